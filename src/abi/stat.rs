//! What a descriptor says of itself, and what of that can be changed: `fd_fdstat_*` and `fd_filestat_get`.

use wasmtime_wasi::p1::types::{self, Errno, Fd};
use wasmtime_wasi::p1::wasi_snapshot_preview1::WasiSnapshotPreview1;
use wiggle::GuestMemory;

use super::Context;
use super::rights::Rights;
use super::table::{Descriptor, Network, NetworkKind, Stdio};

type Result<T, E = types::Error> = std::result::Result<T, E>;

impl Context {
    pub(super) async fn fdstat(&mut self, memory: &mut GuestMemory<'_>, fd: Fd) -> Result<types::Fdstat> {
        match self.table.get(fd)? {
            Descriptor::File(file) => {
                let file = file.inner;
                self.wasi.fd_fdstat_get(memory, file).await
            }
            Descriptor::Stdio { stream, nonblock } => {
                let right = if *stream == Stdio::In { Rights::FD_READ } else { Rights::FD_WRITE };
                Ok(types::Fdstat {
                    fs_filetype: types::Filetype::Unknown,
                    fs_flags: flags(*nonblock),
                    fs_rights_base: right.to_preview1() | Rights::POLL_FD_READWRITE.to_preview1(),
                    fs_rights_inheriting: Rights::NONE.to_preview1(),
                })
            }
            Descriptor::Network(network) => Ok(types::Fdstat {
                fs_filetype: filetype(network),
                fs_flags: flags(network.nonblock),
                fs_rights_base: network.base.to_preview1(),
                fs_rights_inheriting: network.inheriting.to_preview1(),
            }),
        }
    }

    pub(super) fn set_flags(
        &mut self,
        memory: &mut GuestMemory<'_>,
        fd: Fd,
        to: types::Fdflags,
    ) -> Result<()> {
        match self.table.get_mut(fd)? {
            Descriptor::File(file) => {
                let file = file.inner;
                self.wasi.fd_fdstat_set_flags(memory, file, to)
            }
            Descriptor::Stdio { nonblock, .. } => {
                *nonblock = to.contains(types::Fdflags::NONBLOCK);
                Ok(())
            }
            Descriptor::Network(network) => {
                network.needs(Rights::FD_FDSTAT_SET_FLAGS)?;
                network.nonblock = to.contains(types::Fdflags::NONBLOCK);
                Ok(())
            }
        }
    }

    pub(super) fn set_rights(
        &mut self,
        memory: &mut GuestMemory<'_>,
        fd: Fd,
        base: types::Rights,
        inheriting: types::Rights,
    ) -> Result<()> {
        match self.table.get_mut(fd)? {
            Descriptor::File(file) => {
                let file = file.inner;
                self.wasi.fd_fdstat_set_rights(memory, file, base, inheriting)
            }
            Descriptor::Stdio { .. } => Err(Errno::Notsup.into()),
            Descriptor::Network(network) => {
                let (base, inheriting) = (Rights::from_preview1(base), Rights::from_preview1(inheriting));
                if !network.base.contains(base) || !network.inheriting.contains(inheriting) {
                    return Err(Errno::Notcapable.into());
                }
                (network.base, network.inheriting) = (base, inheriting);
                Ok(())
            }
        }
    }

    pub(super) async fn filestat(&mut self, memory: &mut GuestMemory<'_>, fd: Fd) -> Result<types::Filestat> {
        let filetype = match self.table.get(fd)? {
            Descriptor::File(file) => {
                let file = file.clone();
                let stat = self.wasi.fd_filestat_get(memory, file.inner).await?;
                return Ok(self.tell(&file.path, stat));
            }
            Descriptor::Stdio { .. } => types::Filetype::Unknown,
            Descriptor::Network(network) => {
                network.needs(Rights::FD_FILESTAT_GET)?;
                filetype(network)
            }
        };
        Ok(types::Filestat { dev: 0, ino: 0, filetype, nlink: 1, size: 0, atim: 0, mtim: 0, ctim: 0 })
    }
}

fn flags(nonblock: bool) -> types::Fdflags {
    if nonblock { types::Fdflags::NONBLOCK } else { types::Fdflags::empty() }
}

fn filetype(network: &Network) -> types::Filetype {
    match (network.kind, network.datagram) {
        (NetworkKind::Protocol, _) => types::Filetype::Unknown,
        (NetworkKind::Control | NetworkKind::Connection | NetworkKind::Stream, false) => {
            types::Filetype::SocketStream
        }
        (NetworkKind::Control | NetworkKind::Connection | NetworkKind::Stream, true) => {
            types::Filetype::SocketDgram
        }
    }
}
