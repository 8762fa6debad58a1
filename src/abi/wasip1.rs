//! Module `wasi_snapshot_preview1` on the one descriptor table: files and directories go on to
//! wasmtime-wasi's own implementation under its numbers; clocks, randomness, the standard streams and
//! network descriptors are answered here, from the world.

use wasmtime_wasi::p1::types::{self, Errno, Fd};
use wasmtime_wasi::p1::wasi_snapshot_preview1::WasiSnapshotPreview1;
use wiggle::{GuestMemory, GuestPtr};

use super::files::check_path;
use super::sockets::{list_bytes, read_ciovecs, read_iovecs};
use super::table::{Descriptor, NetworkKind, Stdio};
use super::{Context, ProcExit};
use crate::node::OutputStream;

type Result<T, E = types::Error> = std::result::Result<T, E>;

/// Functions on files alone: the descriptor is translated, anything else answers the errno given.
macro_rules! files {
    ($($(#[$way:ident])? fn $name:ident($($arg:ident: $ty:ty),*) -> $result:ty, otherwise $errno:ident;)*) => {
        $(files!(@one $($way)? $name ($($arg: $ty),*) $result, $errno);)*
    };
    (@one asynchronous $name:ident ($($arg:ident: $ty:ty),*) $result:ty, $errno:ident) => {
        async fn $name(&mut self, memory: &mut GuestMemory<'_>, fd: Fd $(, $arg: $ty)*) -> Result<$result> {
            let file = self.table.file(fd, Errno::$errno)?.inner;
            self.wasi.$name(memory, file $(, $arg)*).await
        }
    };
    // What the host's disk takes is a turn.
    (@one flushed $name:ident () $result:ty, $errno:ident) => {
        async fn $name(&mut self, memory: &mut GuestMemory<'_>, fd: Fd) -> Result<$result> {
            let file = self.table.file(fd, Errno::$errno)?.inner;
            self.effort.add_turn();
            self.wasi.$name(memory, file).await
        }
    };
    // The list and the bytes that go into it or come out of it are effort.
    (@one counted $name:ident ($list:ident: $list_ty:ty $(, $arg:ident: $ty:ty)*) $result:ty, $errno:ident) => {
        async fn $name(&mut self, memory: &mut GuestMemory<'_>, fd: Fd, $list: $list_ty $(, $arg: $ty)*) -> Result<$result> {
            let file = self.table.file(fd, Errno::$errno)?.inner;
            self.effort.add(list_bytes($list.len()));
            let size = self.wasi.$name(memory, file, $list $(, $arg)*).await?;
            self.effort.add(size as usize);
            Ok(size)
        }
    };
    (@one $name:ident ($($arg:ident: $ty:ty),*) $result:ty, $errno:ident) => {
        fn $name(&mut self, memory: &mut GuestMemory<'_>, fd: Fd $(, $arg: $ty)*) -> Result<$result> {
            let file = self.table.file(fd, Errno::$errno)?.inner;
            self.wasi.$name(memory, file $(, $arg)*)
        }
    };
}

/// Functions on a path from a directory.
macro_rules! paths {
    ($(fn $name:ident($($arg:ident: $ty:ty),*) -> $result:ty;)*) => {
        $(async fn $name(&mut self, memory: &mut GuestMemory<'_>, fd: Fd, path: GuestPtr<str> $(, $arg: $ty)*) -> Result<$result> {
            let directory = self.directory(fd)?;
            check_path(memory, path)?;
            self.wasi.$name(memory, directory, path $(, $arg)*).await
        })*
    };
}

/// Functions that the trait has and nobody calls.
macro_rules! unwired {
    ($(fn $name:ident($($ty:ty),*) -> $result:ty;)*) => {
        $(fn $name(&mut self, _: &mut GuestMemory<'_> $(, _: $ty)*) -> Result<$result> {
            Err(Errno::Notsup.into())
        })*
    };
}

impl WasiSnapshotPreview1 for Context {
    fn set_hostcall_fuel(&mut self, fuel: usize) {
        self.wasi.set_hostcall_fuel(fuel);
    }

    files! {
        #[asynchronous] fn fd_advise(at: types::Filesize, len: types::Filesize, advice: types::Advice) -> (), otherwise Spipe;
        fn fd_allocate(at: types::Filesize, len: types::Filesize) -> (), otherwise Inval;
        #[asynchronous] fn fd_filestat_set_size(size: types::Filesize) -> (), otherwise Inval;
        #[asynchronous] fn fd_seek(offset: types::Filedelta, whence: types::Whence) -> types::Filesize, otherwise Spipe;
        fn fd_tell() -> types::Filesize, otherwise Spipe;
        #[flushed] fn fd_datasync() -> (), otherwise Inval;
        #[flushed] fn fd_sync() -> (), otherwise Inval;
        #[counted] fn fd_pread(list: types::IovecArray, at: types::Filesize) -> types::Size, otherwise Spipe;
        #[counted] fn fd_pwrite(list: types::CiovecArray, at: types::Filesize) -> types::Size, otherwise Spipe;
    }

    paths! {
        fn path_create_directory() -> ();
        fn path_readlink(buffer: GuestPtr<u8>, len: types::Size) -> types::Size;
        fn path_remove_directory() -> ();
        fn path_unlink_file() -> ();
    }

    fn args_get(
        &mut self,
        memory: &mut GuestMemory<'_>,
        argv: GuestPtr<GuestPtr<u8>>,
        buffer: GuestPtr<u8>,
    ) -> Result<()> {
        self.arguments.store(memory, argv, buffer)
    }

    fn args_sizes_get(&mut self, _: &mut GuestMemory<'_>) -> Result<(types::Size, types::Size)> {
        self.arguments.sizes()
    }

    fn environ_get(
        &mut self,
        memory: &mut GuestMemory<'_>,
        environ: GuestPtr<GuestPtr<u8>>,
        buffer: GuestPtr<u8>,
    ) -> Result<()> {
        self.environment.store(memory, environ, buffer)
    }

    fn environ_sizes_get(&mut self, _: &mut GuestMemory<'_>) -> Result<(types::Size, types::Size)> {
        self.environment.sizes()
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
        self.fdstat(memory, fd).await
    }

    fn fd_fdstat_set_flags(
        &mut self,
        memory: &mut GuestMemory<'_>,
        fd: Fd,
        to: types::Fdflags,
    ) -> Result<()> {
        self.set_flags(memory, fd, to)
    }

    fn fd_fdstat_set_rights(
        &mut self,
        memory: &mut GuestMemory<'_>,
        fd: Fd,
        base: types::Rights,
        inheriting: types::Rights,
    ) -> Result<()> {
        self.set_rights(memory, fd, base, inheriting)
    }

    async fn fd_filestat_get(&mut self, memory: &mut GuestMemory<'_>, fd: Fd) -> Result<types::Filestat> {
        self.filestat(memory, fd).await
    }

    async fn fd_filestat_set_times(
        &mut self,
        memory: &mut GuestMemory<'_>,
        fd: Fd,
        accessed: types::Timestamp,
        modified: types::Timestamp,
        flags: types::Fstflags,
    ) -> Result<()> {
        let file = self.table.file(fd, Errno::Inval)?.inner;
        let (accessed, modified, flags) = self.times(accessed, modified, flags);
        self.wasi.fd_filestat_set_times(memory, file, accessed, modified, flags).await
    }

    async fn fd_readdir(
        &mut self,
        memory: &mut GuestMemory<'_>,
        fd: Fd,
        buffer: GuestPtr<u8>,
        len: types::Size,
        cookie: types::Dircookie,
    ) -> Result<types::Size> {
        let directory = self.table.file(fd, Errno::Notdir)?.clone();
        self.read_directory(memory, &directory, buffer, len, cookie).await
    }

    async fn fd_read(
        &mut self,
        memory: &mut GuestMemory<'_>,
        fd: Fd,
        list: types::IovecArray,
    ) -> Result<types::Size> {
        match self.table.get(fd)? {
            Descriptor::File(file) => {
                let file = file.inner;
                self.effort.add(list_bytes(list.len()));
                let size = self.wasi.fd_read(memory, file, list).await?;
                self.effort.add(size as usize);
                Ok(size)
            }
            Descriptor::Stdio { stream: Stdio::In, nonblock } => {
                let nonblock = *nonblock;
                self.read_input(memory, nonblock, list).await
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
                let file = file.inner;
                self.effort.add(list_bytes(list.len()));
                let size = self.wasi.fd_write(memory, file, list).await?;
                self.effort.add(size as usize);
                Ok(size)
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

    // link.rs wires these to `Context` itself, as the signatures here say too little or cannot wait.
    unwired! {
        fn fd_prestat_get(Fd) -> types::Prestat;
        fn fd_prestat_dir_name(Fd, GuestPtr<u8>, types::Size) -> ();
        fn random_get(GuestPtr<u8>, types::Size) -> ();
        fn sched_yield() -> ();
        fn sock_accept(Fd, types::Fdflags) -> Fd;
        fn sock_recv(Fd, types::IovecArray, types::Riflags) -> (types::Size, types::Roflags);
        fn sock_send(Fd, types::CiovecArray, types::Siflags) -> types::Size;
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
        let directory = self.table.file(directory, Errno::Notdir)?.clone();
        self.stat_path(memory, &directory, flags, path).await
    }

    async fn path_filestat_set_times(
        &mut self,
        memory: &mut GuestMemory<'_>,
        directory: Fd,
        lookup: types::Lookupflags,
        path: GuestPtr<str>,
        accessed: types::Timestamp,
        modified: types::Timestamp,
        flags: types::Fstflags,
    ) -> Result<()> {
        let directory = self.directory(directory)?;
        check_path(memory, path)?;
        // It is opened for that.
        self.refuse_devices(memory, directory, lookup, path).await?;
        let (accessed, modified, flags) = self.times(accessed, modified, flags);
        self.wasi.path_filestat_set_times(memory, directory, lookup, path, accessed, modified, flags).await
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
        let (from, to) = (self.directory(from)?, self.directory(to)?);
        check_path(memory, from_path)?;
        check_path(memory, to_path)?;
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
        let (from, to) = (self.directory(from)?, self.directory(to)?);
        check_path(memory, from_path)?;
        check_path(memory, to_path)?;
        self.wasi.path_rename(memory, from, from_path, to, to_path).await
    }

    async fn path_symlink(
        &mut self,
        memory: &mut GuestMemory<'_>,
        target: GuestPtr<str>,
        directory: Fd,
        path: GuestPtr<str>,
    ) -> Result<()> {
        let directory = self.directory(directory)?;
        check_path(memory, target)?;
        check_path(memory, path)?;
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
        let directory = self.table.file(directory, Errno::Notdir)?.clone();
        self.open_path(memory, &directory, lookup, path, how, (base, inheriting), flags).await
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

    // Not called: link.rs wires it without a memory, which a guest that only exits need not have.
    fn proc_exit(&mut self, _: &mut GuestMemory<'_>, status: types::Exitcode) -> wasmtime::Error {
        wasmtime::Error::from(ProcExit(status))
    }

    fn proc_raise(&mut self, _: &mut GuestMemory<'_>, _: types::Signal) -> Result<()> {
        Err(Errno::Notsup.into())
    }
}

impl Context {
    fn directory(&self, fd: Fd) -> Result<Fd, Errno> {
        Ok(self.table.file(fd, Errno::Notdir)?.inner)
    }

    async fn dispose(&mut self, memory: &mut GuestMemory<'_>, descriptor: Descriptor) -> Result<()> {
        match descriptor {
            Descriptor::File(file) => {
                self.listings.forget(file.inner);
                self.wasi.fd_close(memory, file.inner).await
            }
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
}
