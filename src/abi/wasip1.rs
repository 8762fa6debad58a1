//! Module `wasi_snapshot_preview1` on the one descriptor table: files and directories go on to
//! wasmtime-wasi's own implementation under its numbers; clocks, randomness, the standard streams and
//! network descriptors are answered here, from the world.

use wasmtime_wasi::p1::types::{self, Errno, Fd};
use wasmtime_wasi::p1::wasi_snapshot_preview1::WasiSnapshotPreview1;
use wiggle::{GuestMemory, GuestPtr};

use super::rights::Rights;
use super::sockets::{read_ciovecs, read_iovecs};
use super::table::{Descriptor, Network, NetworkKind, Stdio};
use super::{Context, FileTimes, ProcExit, lock, suspend};
use crate::node::OutputStream;

/// Bytes that one `random_get` may ask for.
const RANDOM_BYTES_MAX: u32 = 16 * 1024 * 1024;

type Result<T, E = types::Error> = std::result::Result<T, E>;

/// Functions on files alone: the descriptor is translated, anything else answers the errno given.
macro_rules! files {
    ($($(#[$async:ident])? fn $name:ident($($arg:ident: $ty:ty),*) -> $result:ty, otherwise $errno:ident;)*) => {
        $(files!(@one $($async)? $name ($($arg: $ty),*) $result, $errno);)*
    };
    (@one asynchronous $name:ident ($($arg:ident: $ty:ty),*) $result:ty, $errno:ident) => {
        async fn $name(&mut self, memory: &mut GuestMemory<'_>, fd: Fd $(, $arg: $ty)*) -> Result<$result> {
            let file = self.table.file(fd, Errno::$errno)?;
            self.wasi.$name(memory, file $(, $arg)*).await
        }
    };
    (@one $name:ident ($($arg:ident: $ty:ty),*) $result:ty, $errno:ident) => {
        fn $name(&mut self, memory: &mut GuestMemory<'_>, fd: Fd $(, $arg: $ty)*) -> Result<$result> {
            let file = self.table.file(fd, Errno::$errno)?;
            self.wasi.$name(memory, file $(, $arg)*)
        }
    };
}

impl WasiSnapshotPreview1 for Context {
    fn set_hostcall_fuel(&mut self, fuel: usize) {
        self.wasi.set_hostcall_fuel(fuel);
    }

    files! {
        #[asynchronous] fn fd_advise(at: types::Filesize, len: types::Filesize, advice: types::Advice) -> (), otherwise Spipe;
        fn fd_allocate(at: types::Filesize, len: types::Filesize) -> (), otherwise Inval;
        #[asynchronous] fn fd_datasync() -> (), otherwise Inval;
        #[asynchronous] fn fd_sync() -> (), otherwise Inval;
        #[asynchronous] fn fd_filestat_set_size(size: types::Filesize) -> (), otherwise Inval;
        #[asynchronous] fn fd_filestat_set_times(accessed: types::Timestamp, modified: types::Timestamp, flags: types::Fstflags) -> (), otherwise Inval;
        #[asynchronous] fn fd_pread(iovecs: types::IovecArray, at: types::Filesize) -> types::Size, otherwise Spipe;
        #[asynchronous] fn fd_pwrite(iovecs: types::CiovecArray, at: types::Filesize) -> types::Size, otherwise Spipe;
        #[asynchronous] fn fd_seek(offset: types::Filedelta, whence: types::Whence) -> types::Filesize, otherwise Spipe;
        fn fd_tell() -> types::Filesize, otherwise Spipe;
        #[asynchronous] fn fd_readdir(buffer: GuestPtr<u8>, len: types::Size, cookie: types::Dircookie) -> types::Size, otherwise Notdir;
        #[asynchronous] fn path_create_directory(path: GuestPtr<str>) -> (), otherwise Notdir;
        #[asynchronous] fn path_filestat_set_times(flags: types::Lookupflags, path: GuestPtr<str>, accessed: types::Timestamp, modified: types::Timestamp, times: types::Fstflags) -> (), otherwise Notdir;
        #[asynchronous] fn path_readlink(path: GuestPtr<str>, buffer: GuestPtr<u8>, len: types::Size) -> types::Size, otherwise Notdir;
        #[asynchronous] fn path_remove_directory(path: GuestPtr<str>) -> (), otherwise Notdir;
        #[asynchronous] fn path_unlink_file(path: GuestPtr<str>) -> (), otherwise Notdir;
    }

    fn args_get(
        &mut self,
        memory: &mut GuestMemory<'_>,
        argv: GuestPtr<GuestPtr<u8>>,
        buffer: GuestPtr<u8>,
    ) -> Result<()> {
        self.wasi.args_get(memory, argv, buffer)
    }

    fn args_sizes_get(&mut self, memory: &mut GuestMemory<'_>) -> Result<(types::Size, types::Size)> {
        self.wasi.args_sizes_get(memory)
    }

    fn environ_get(
        &mut self,
        memory: &mut GuestMemory<'_>,
        environ: GuestPtr<GuestPtr<u8>>,
        buffer: GuestPtr<u8>,
    ) -> Result<()> {
        self.wasi.environ_get(memory, environ, buffer)
    }

    fn environ_sizes_get(&mut self, memory: &mut GuestMemory<'_>) -> Result<(types::Size, types::Size)> {
        self.wasi.environ_sizes_get(memory)
    }

    fn clock_res_get(&mut self, _: &mut GuestMemory<'_>, id: types::Clockid) -> Result<types::Timestamp> {
        match id {
            types::Clockid::Realtime | types::Clockid::Monotonic => Ok(1),
            types::Clockid::ProcessCputimeId | types::Clockid::ThreadCputimeId => Err(Errno::Notsup.into()),
        }
    }

    fn clock_time_get(
        &mut self,
        _: &mut GuestMemory<'_>,
        id: types::Clockid,
        _precision: types::Timestamp,
    ) -> Result<types::Timestamp> {
        let node = self.charged();
        let time = match id {
            types::Clockid::Realtime => node.wall_clock(self.epoch),
            types::Clockid::Monotonic => node.clock().elapsed(),
            types::Clockid::ProcessCputimeId | types::Clockid::ThreadCputimeId => {
                return Err(Errno::Notsup.into());
            }
        };
        u64::try_from(time.as_nanos()).map_err(|_| Errno::Overflow.into())
    }

    async fn fd_close(&mut self, memory: &mut GuestMemory<'_>, fd: Fd) -> Result<()> {
        let descriptor = self.table.remove(fd)?;
        self.dispose(memory, descriptor).await
    }

    async fn fd_renumber(&mut self, memory: &mut GuestMemory<'_>, from: Fd, to: Fd) -> Result<()> {
        match self.table.renumber(from, to)? {
            Some(replaced) => self.dispose(memory, replaced).await,
            None => Ok(()),
        }
    }

    async fn fd_fdstat_get(&mut self, memory: &mut GuestMemory<'_>, fd: Fd) -> Result<types::Fdstat> {
        match self.table.get(fd)? {
            Descriptor::File(file) => {
                let file = *file;
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

    fn fd_fdstat_set_flags(
        &mut self,
        memory: &mut GuestMemory<'_>,
        fd: Fd,
        to: types::Fdflags,
    ) -> Result<()> {
        match self.table.get_mut(fd)? {
            Descriptor::File(file) => {
                let file = *file;
                self.wasi.fd_fdstat_set_flags(memory, file, to)
            }
            Descriptor::Stdio { nonblock, .. } => {
                *nonblock = to.contains(types::Fdflags::NONBLOCK);
                Ok(())
            }
            Descriptor::Network(network) => {
                if !network.base.contains(Rights::FD_FDSTAT_SET_FLAGS) {
                    return Err(Errno::Notcapable.into());
                }
                network.nonblock = to.contains(types::Fdflags::NONBLOCK);
                Ok(())
            }
        }
    }

    fn fd_fdstat_set_rights(
        &mut self,
        memory: &mut GuestMemory<'_>,
        fd: Fd,
        base: types::Rights,
        inheriting: types::Rights,
    ) -> Result<()> {
        match self.table.get_mut(fd)? {
            Descriptor::File(file) => {
                let file = *file;
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

    async fn fd_filestat_get(&mut self, memory: &mut GuestMemory<'_>, fd: Fd) -> Result<types::Filestat> {
        let filetype = match self.table.get(fd)? {
            Descriptor::File(file) => {
                let file = *file;
                let stat = self.wasi.fd_filestat_get(memory, file).await?;
                return Ok(self.tell(stat));
            }
            Descriptor::Stdio { .. } => types::Filetype::Unknown,
            Descriptor::Network(network) => {
                if !network.base.contains(Rights::FD_FILESTAT_GET) {
                    return Err(Errno::Notcapable.into());
                }
                filetype(network)
            }
        };
        Ok(types::Filestat { dev: 0, ino: 0, filetype, nlink: 1, size: 0, atim: 0, mtim: 0, ctim: 0 })
    }

    async fn fd_read(
        &mut self,
        memory: &mut GuestMemory<'_>,
        fd: Fd,
        list: types::IovecArray,
    ) -> Result<types::Size> {
        match self.table.get(fd)? {
            Descriptor::File(file) => {
                let file = *file;
                self.wasi.fd_read(memory, file, list).await
            }
            Descriptor::Stdio { stream: Stdio::In, nonblock } => {
                let nonblock = *nonblock;
                let parts = read_iovecs(memory, list)?;
                let Some(&slice) = parts.iter().find(|slice| slice.len() > 0) else { return Ok(0) };
                loop {
                    {
                        let mut node = self.charged();
                        let into = memory.as_slice_mut(slice)?.ok_or(Errno::Notsup)?;
                        match node.stdio.read(into) {
                            Ok(count) => return Ok(count as types::Size),
                            Err(_) if nonblock => return Err(Errno::Again.into()),
                            Err(_) => node.stdio.watch_input(),
                        }
                    }
                    suspend().await;
                }
            }
            Descriptor::Stdio { stream: Stdio::Out | Stdio::Err, .. } => Err(Errno::Badf.into()),
            Descriptor::Network(_) => {
                let network = self.network(fd, NetworkKind::Stream)?;
                let parts = read_iovecs(memory, list)?;
                Ok(self.read_stream(memory, &network, &parts, false, false).await?.count as types::Size)
            }
        }
    }

    async fn fd_write(
        &mut self,
        memory: &mut GuestMemory<'_>,
        fd: Fd,
        list: types::CiovecArray,
    ) -> Result<types::Size> {
        match self.table.get(fd)? {
            Descriptor::File(file) => {
                let file = *file;
                self.wasi.fd_write(memory, file, list).await
            }
            Descriptor::Stdio { stream, nonblock } => {
                let (nonblock, stream) = (*nonblock, *stream);
                let stream = match stream {
                    Stdio::In => return Err(Errno::Badf.into()),
                    Stdio::Out => OutputStream::Stdout,
                    Stdio::Err => OutputStream::Stderr,
                };
                self.write_output(memory, stream, nonblock, list).await
            }
            Descriptor::Network(_) => {
                let network = self.network(fd, NetworkKind::Stream)?;
                let parts = read_ciovecs(memory, list)?;
                Ok(self.write_stream(memory, &network, &parts).await? as types::Size)
            }
        }
    }

    // `fd_prestat_*` and `sock_*` say more than these signatures can, or wait: link.rs wires them to
    // `Context::prestat*` and `Context::sock_*` instead.

    fn fd_prestat_get(&mut self, memory: &mut GuestMemory<'_>, fd: Fd) -> Result<types::Prestat> {
        let file = self.table.file(fd, Errno::Badf)?;
        self.wasi.fd_prestat_get(memory, file)
    }

    fn fd_prestat_dir_name(
        &mut self,
        memory: &mut GuestMemory<'_>,
        fd: Fd,
        path: GuestPtr<u8>,
        len: types::Size,
    ) -> Result<()> {
        let file = self.table.file(fd, Errno::Badf)?;
        self.wasi.fd_prestat_dir_name(memory, file, path, len)
    }

    fn sock_accept(&mut self, _: &mut GuestMemory<'_>, _: Fd, _: types::Fdflags) -> Result<Fd> {
        Err(Errno::Notsup.into())
    }

    fn sock_recv(
        &mut self,
        _: &mut GuestMemory<'_>,
        _: Fd,
        _: types::IovecArray,
        _: types::Riflags,
    ) -> Result<(types::Size, types::Roflags)> {
        Err(Errno::Notsup.into())
    }

    fn sock_send(
        &mut self,
        _: &mut GuestMemory<'_>,
        _: Fd,
        _: types::CiovecArray,
        _: types::Siflags,
    ) -> Result<types::Size> {
        Err(Errno::Notsup.into())
    }

    fn sock_shutdown(&mut self, _: &mut GuestMemory<'_>, fd: Fd, how: types::Sdflags) -> Result<()> {
        Context::sock_shutdown(self, fd, how)
    }

    async fn path_filestat_get(
        &mut self,
        memory: &mut GuestMemory<'_>,
        directory: Fd,
        flags: types::Lookupflags,
        path: GuestPtr<str>,
    ) -> Result<types::Filestat> {
        let directory = self.table.file(directory, Errno::Notdir)?;
        let stat = self.wasi.path_filestat_get(memory, directory, flags, path).await?;
        Ok(self.tell(stat))
    }

    async fn path_link(
        &mut self,
        memory: &mut GuestMemory<'_>,
        from: Fd,
        flags: types::Lookupflags,
        from_path: GuestPtr<str>,
        to: Fd,
        to_path: GuestPtr<str>,
    ) -> Result<()> {
        let (from, to) = (self.table.file(from, Errno::Notdir)?, self.table.file(to, Errno::Notdir)?);
        self.wasi.path_link(memory, from, flags, from_path, to, to_path).await
    }

    async fn path_rename(
        &mut self,
        memory: &mut GuestMemory<'_>,
        from: Fd,
        from_path: GuestPtr<str>,
        to: Fd,
        to_path: GuestPtr<str>,
    ) -> Result<()> {
        let (from, to) = (self.table.file(from, Errno::Notdir)?, self.table.file(to, Errno::Notdir)?);
        self.wasi.path_rename(memory, from, from_path, to, to_path).await
    }

    async fn path_symlink(
        &mut self,
        memory: &mut GuestMemory<'_>,
        target: GuestPtr<str>,
        directory: Fd,
        path: GuestPtr<str>,
    ) -> Result<()> {
        let directory = self.table.file(directory, Errno::Notdir)?;
        self.wasi.path_symlink(memory, target, directory, path).await
    }

    async fn path_open(
        &mut self,
        memory: &mut GuestMemory<'_>,
        directory: Fd,
        lookup: types::Lookupflags,
        path: GuestPtr<str>,
        how: types::Oflags,
        base: types::Rights,
        inheriting: types::Rights,
        flags: types::Fdflags,
    ) -> Result<Fd> {
        let directory = self.table.file(directory, Errno::Notdir)?;
        if self.table.is_full() {
            return Err(Errno::Mfile.into());
        }
        let file = self.wasi.path_open(memory, directory, lookup, path, how, base, inheriting, flags).await?;
        Ok(self.table.insert(Descriptor::File(file))?)
    }

    async fn poll_oneoff(
        &mut self,
        memory: &mut GuestMemory<'_>,
        subscriptions: GuestPtr<types::Subscription>,
        events: GuestPtr<types::Event>,
        count: types::Size,
    ) -> Result<types::Size> {
        self.poll(memory, subscriptions, events, count).await
    }

    fn proc_exit(&mut self, _: &mut GuestMemory<'_>, status: types::Exitcode) -> wasmtime::Error {
        wasmtime::Error::from(ProcExit(status))
    }

    fn proc_raise(&mut self, _: &mut GuestMemory<'_>, _: types::Signal) -> Result<()> {
        Err(Errno::Notsup.into())
    }

    /// Wired asynchronously by link.rs.
    fn sched_yield(&mut self, _: &mut GuestMemory<'_>) -> Result<()> {
        Ok(())
    }

    fn random_get(
        &mut self,
        memory: &mut GuestMemory<'_>,
        buffer: GuestPtr<u8>,
        len: types::Size,
    ) -> Result<()> {
        let into = memory.as_slice_mut(buffer.as_array(len))?.ok_or(Errno::Notsup)?;
        if len > RANDOM_BYTES_MAX {
            return Err(Errno::Inval.into());
        }
        lock(&self.node).random(into);
        Ok(())
    }
}

impl Context {
    /// A file's properties as this guest is to see them.
    fn tell(&self, stat: types::Filestat) -> types::Filestat {
        match self.file_times {
            FileTimes::Own => stat,
            FileTimes::Epoch => {
                let at = u64::try_from(self.epoch.as_nanos()).unwrap_or(u64::MAX);
                types::Filestat { atim: at, mtim: at, ctim: at, ..stat }
            }
        }
    }

    async fn write_output(
        &mut self,
        memory: &mut GuestMemory<'_>,
        stream: OutputStream,
        nonblock: bool,
        list: types::CiovecArray,
    ) -> Result<types::Size> {
        let parts = read_ciovecs(memory, list)?;
        let mut total = 0;
        for &slice in &parts {
            loop {
                {
                    let mut node = self.charged();
                    let from = memory.as_slice_mut(slice)?.ok_or(Errno::Notsup)?;
                    match node.stdio.write(stream, from) {
                        Ok(count) => {
                            total += count;
                            if count < from.len() {
                                return Ok(total as types::Size);
                            }
                            break;
                        }
                        Err(_) if total > 0 => return Ok(total as types::Size),
                        Err(_) if nonblock => return Err(Errno::Again.into()),
                        Err(_) => node.stdio.watch_output(),
                    }
                }
                suspend().await;
            }
        }
        Ok(total as types::Size)
    }

    async fn dispose(&mut self, memory: &mut GuestMemory<'_>, descriptor: Descriptor) -> Result<()> {
        match descriptor {
            Descriptor::File(file) => self.wasi.fd_close(memory, file).await,
            Descriptor::Stdio { .. } => Ok(()),
            Descriptor::Network(network) => {
                let mut node = self.node();
                node.close(network.id);
                if let Some(carrier) = network.carrier {
                    node.close(carrier);
                }
                Ok(())
            }
        }
    }

    /// Tag and name length of a preopened descriptor: 0 a directory, 1 a network object (ours).
    pub(super) fn prestat(&mut self, memory: &mut GuestMemory<'_>, fd: Fd) -> Result<(u8, types::Size)> {
        if let Ok(network) = self.table.any_network(fd) {
            let name = network.name.as_ref().ok_or(Errno::Badf)?;
            return Ok((1, name.len() as types::Size));
        }
        let types::Prestat::Dir(directory) = self.fd_prestat_get(memory, fd)?;
        Ok((0, directory.pr_name_len))
    }

    pub(super) fn prestat_name(
        &mut self,
        memory: &mut GuestMemory<'_>,
        fd: Fd,
        buffer: GuestPtr<u8>,
        len: types::Size,
    ) -> Result<()> {
        let Ok(network) = self.table.any_network(fd) else {
            return self.fd_prestat_dir_name(memory, fd, buffer, len);
        };
        let name = network.name.as_ref().ok_or(Errno::Badf)?;
        if name.len() > len as usize {
            return Err(Errno::Nametoolong.into());
        }
        memory.copy_from_slice(name.as_bytes(), buffer.as_array(name.len() as u32))?;
        Ok(())
    }

    /// Lets the others run.
    pub(super) async fn sched_yield(&mut self) {
        {
            let mut node = self.charged();
            let now = node.now;
            node.wake_at(now);
        }
        suspend().await;
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
