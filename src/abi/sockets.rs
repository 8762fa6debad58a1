//! Reading and writing network streams, and preview 1's `sock_*`.

use wasmtime_wasi::p1::types::{self, Errno, Fd};
use wiggle::{GuestMemory, GuestPtr};

use super::errno::errno;
use super::rights::Rights;
use super::table::{Network, NetworkKind};
use super::{Context, block};
use crate::error::Error;
use crate::node::object::Read;
use crate::node::{Interest, Node};

/// Largest datagram payload: what a UDP length field can say.
const DATAGRAM_BYTES_MAX: usize = 65_535;

/// A guest's scatter or gather list, bounds-checked whole before anything is moved.
pub(super) type Slices = smallvec::SmallVec<[GuestPtr<[u8]>; 4]>;

/// `fault` if any part is outside memory; more than 1,024 parts are `inval`, as IOV_MAX has it.
pub(super) fn read_iovecs(memory: &GuestMemory<'_>, list: types::IovecArray) -> Result<Slices, types::Error> {
    check_list(list.len(), list.offset_base(), memory)?;
    list.iter()
        .map(|iovec| {
            let iovec = memory.read(iovec?)?;
            checked(memory, iovec.buf.as_array(iovec.buf_len))
        })
        .collect()
}

pub(super) fn read_ciovecs(
    memory: &GuestMemory<'_>,
    list: types::CiovecArray,
) -> Result<Slices, types::Error> {
    check_list(list.len(), list.offset_base(), memory)?;
    list.iter()
        .map(|iovec| {
            let iovec = memory.read(iovec?)?;
            checked(memory, iovec.buf.as_array(iovec.buf_len))
        })
        .collect()
}

const IOVEC_BYTES: u32 = 8;

/// Bytes of a list of buffers itself, as many as it says it has.
pub(super) fn list_bytes(count: u32) -> usize {
    count as usize * IOVEC_BYTES as usize
}

fn check_list(count: u32, offset: u32, memory: &GuestMemory<'_>) -> Result<(), types::Error> {
    let bytes = count.checked_mul(IOVEC_BYTES).ok_or(Errno::Fault)?;
    checked(memory, GuestPtr::<[u8]>::new((offset, bytes)))?;
    if count > 1024 { Err(Errno::Inval.into()) } else { Ok(()) }
}

fn checked(memory: &GuestMemory<'_>, slice: GuestPtr<[u8]>) -> Result<GuestPtr<[u8]>, types::Error> {
    memory.as_cow(slice)?;
    Ok(slice)
}

/// One part as the host's own slice. Guests have no shared memory, so there is one.
fn part<'m>(memory: &'m mut GuestMemory<'_>, slice: GuestPtr<[u8]>) -> Result<&'m mut [u8], Error> {
    memory.as_slice_mut(slice).ok().flatten().ok_or(Error::NotSupported)
}

impl Context {
    /// Reads a stream into `parts`; a datagram is scattered, its rest cut.
    pub(super) async fn read_stream(
        &mut self,
        memory: &mut GuestMemory<'_>,
        network: &Network,
        parts: &Slices,
        peek: bool,
        wait_all: bool,
    ) -> Result<Read, Errno> {
        network.needs(Rights::FD_READ)?;
        self.effort.add(list_bytes(parts.len() as u32));
        if network.datagram {
            return self.read_datagram(memory, network, parts, peek).await;
        }
        let id = network.id;
        let mut total = Read::default();
        // The first part waits for bytes; the others take what is there, unless all is waited for.
        for &slice in parts.iter().filter(|slice| slice.len() > 0) {
            let mut filled = 0;
            loop {
                let wait = total.count == 0 || (wait_all && !peek);
                let read = |node: &mut Node| node.read(id, &mut part(memory, slice)?[filled..], peek);
                let nonblock = network.nonblock || !wait;
                match block(&self.node, &mut self.effort, id, Interest::READ, nonblock, read).await {
                    Ok(read) => {
                        if peek {
                            // The same bytes may be read again and again; others a buffer has once.
                            self.effort.add(read.count);
                        }
                        filled += read.count;
                        total.count += read.count;
                        if read.count == 0 || peek {
                            return Ok(total);
                        }
                    }
                    Err(_) if total.count > 0 => return Ok(total),
                    Err(error) => return Err(errno(error)),
                }
                if filled == slice.len() as usize {
                    break;
                }
                if !wait_all {
                    return Ok(total);
                }
            }
        }
        Ok(total)
    }

    async fn read_datagram(
        &mut self,
        memory: &mut GuestMemory<'_>,
        network: &Network,
        parts: &Slices,
        peek: bool,
    ) -> Result<Read, Errno> {
        let id = network.id;
        if let &[whole] = parts.as_slice() {
            let read = |node: &mut Node| node.read(id, part(memory, whole)?, peek);
            let read = block(&self.node, &mut self.effort, id, Interest::READ, network.nonblock, read)
                .await
                .map_err(errno)?;
            if peek {
                self.effort.add(read.count);
            }
            return Ok(read);
        }
        let room: usize = parts.iter().map(|part| part.len() as usize).sum();
        let mut buffer = vec![0; room.min(DATAGRAM_BYTES_MAX)];
        // Whether there is anything to read or not.
        self.effort.add(buffer.len());
        let read = |node: &mut Node| node.read(id, &mut buffer, peek);
        let total = block(&self.node, &mut self.effort, id, Interest::READ, network.nonblock, read)
            .await
            .map_err(errno)?;
        let mut rest = &buffer[..total.count];
        for &slice in parts {
            let into = part(memory, slice).map_err(errno)?;
            let count = into.len().min(rest.len());
            into[..count].copy_from_slice(&rest[..count]);
            rest = &rest[count..];
        }
        Ok(total)
    }

    /// Writes `parts` to a stream: as much as fits, after waiting for some room. A datagram goes whole.
    pub(super) async fn write_stream(
        &mut self,
        memory: &mut GuestMemory<'_>,
        network: &Network,
        parts: &Slices,
    ) -> Result<usize, Errno> {
        network.needs(Rights::FD_WRITE)?;
        self.effort.add(list_bytes(parts.len() as u32));
        if network.datagram {
            return self.write_datagram(memory, network, parts).await;
        }
        let id = network.id;
        let mut total = 0;
        for &slice in parts.iter().filter(|slice| slice.len() > 0) {
            let write = |node: &mut Node| node.write(id, part(memory, slice)?);
            let nonblock = network.nonblock || total > 0;
            match block(&self.node, &mut self.effort, id, Interest::WRITE, nonblock, write).await {
                Ok(count) => {
                    total += count;
                    if count < slice.len() as usize {
                        break;
                    }
                }
                Err(_) if total > 0 => return Ok(total),
                Err(error) => return Err(errno(error)),
            }
        }
        Ok(total)
    }

    async fn write_datagram(
        &mut self,
        memory: &mut GuestMemory<'_>,
        network: &Network,
        parts: &Slices,
    ) -> Result<usize, Errno> {
        let id = network.id;
        let length: usize = parts.iter().map(|part| part.len() as usize).sum();
        if length > DATAGRAM_BYTES_MAX {
            return Err(Errno::Msgsize);
        }
        let mut joined = Vec::new();
        let whole: &[u8] = if let &[whole] = parts.as_slice() {
            part(memory, whole).map_err(errno)?
        } else {
            // Whether there is room for it or not.
            self.effort.add(length);
            joined.reserve_exact(length);
            for &slice in parts {
                joined.extend_from_slice(part(memory, slice).map_err(errno)?);
            }
            &joined
        };
        let write = |node: &mut Node| node.write(id, whole);
        block(&self.node, &mut self.effort, id, Interest::WRITE, network.nonblock, write).await.map_err(errno)
    }

    pub(super) async fn sock_recv(
        &mut self,
        memory: &mut GuestMemory<'_>,
        fd: Fd,
        list: types::IovecArray,
        flags: types::Riflags,
    ) -> Result<(types::Size, types::Roflags), types::Error> {
        let network = self.network(fd, NetworkKind::Stream)?;
        let parts = read_iovecs(memory, list)?;
        let peek = flags.contains(types::Riflags::RECV_PEEK);
        let wait_all = flags.contains(types::Riflags::RECV_WAITALL);
        let read = self.read_stream(memory, &network, &parts, peek, wait_all).await?;
        let flags =
            if read.truncated { types::Roflags::RECV_DATA_TRUNCATED } else { types::Roflags::empty() };
        Ok((read.count as types::Size, flags))
    }

    pub(super) async fn sock_send(
        &mut self,
        memory: &mut GuestMemory<'_>,
        fd: Fd,
        list: types::CiovecArray,
    ) -> Result<types::Size, types::Error> {
        let network = self.network(fd, NetworkKind::Stream)?;
        let parts = read_ciovecs(memory, list)?;
        Ok(self.write_stream(memory, &network, &parts).await? as types::Size)
    }

    /// Preview 1 knows one descriptor for what is a connection and its stream here: the guest gets the stream,
    /// and the connection goes with it.
    pub(super) async fn sock_accept(&mut self, fd: Fd, flags: types::Fdflags) -> Result<Fd, types::Error> {
        let control = self.network(fd, NetworkKind::Control)?;
        control.needs(Rights::FD_READ)?;
        if self.table.is_full() {
            return Err(Errno::Mfile.into());
        }
        let (id, nonblock) = (control.id, control.nonblock);
        let accept = |node: &mut Node| {
            let connection = node.accept(id)?;
            let stream = node.stream_accept(connection).inspect_err(|_| node.close(connection))?;
            Ok((connection, stream))
        };
        let (connection, stream) =
            block(&self.node, &mut self.effort, id, Interest::READ, nonblock, accept).await.map_err(errno)?;
        Ok(self.insert(Network {
            id: stream,
            kind: NetworkKind::Stream,
            base: control.inheriting,
            inheriting: control.inheriting,
            nonblock: flags.contains(types::Fdflags::NONBLOCK),
            datagram: control.datagram,
            carrier: Some(connection),
            name: None,
        })?)
    }

    pub(super) fn sock_shutdown(&mut self, fd: Fd, how: types::Sdflags) -> Result<(), types::Error> {
        let network = self.network(fd, NetworkKind::Stream)?;
        network.needs(Rights::SOCK_SHUTDOWN)?;
        let (read, write) = (how.contains(types::Sdflags::RD), how.contains(types::Sdflags::WR));
        if !read && !write {
            return Err(Errno::Inval.into());
        }
        Ok(self.node().shutdown(network.id, read, write).map_err(errno)?)
    }
}
