//! Every import of both modules, wired by hand over the functions that wiggle generates.
//!
//! Generated wiring stores a call's result after the call has run, and preview 1's traps on a pointer outside
//! memory. This ABI promises `fault` and no effect, so result pointers are checked first here, and pointer
//! errors become the errno.

#![expect(clippy::too_many_arguments, reason = "the ABI decides how many there are")]

use wasmtime::{AsContextMut, Caller, Extern, Linker, Memory};
use wasmtime_wasi::p1::types::{Errno, Fd, Fdflags, Riflags};
use wasmtime_wasi::p1::{types, wasi_snapshot_preview1 as preview1};
use wiggle::{GuestError, GuestMemory, GuestPtr};

use super::Context;
use super::errno::of_argument;
use super::networking::module as networking;
use super::trace;

/// The guest's memory and its context.
fn split<'a>(caller: &'a mut Caller<'_, Context>) -> wasmtime::Result<(GuestMemory<'a>, &'a mut Context)> {
    let fuel = caller.as_context_mut().hostcall_fuel();
    let left = caller.get_fuel()?;
    let memory = match caller.data().memory {
        Some(memory) => memory,
        None => find_memory(caller)?,
    };
    let (memory, context) = memory.data_and_store_mut(caller);
    preview1::WasiSnapshotPreview1::set_hostcall_fuel(context, fuel);
    context.effort.begin(left)?;
    Ok((GuestMemory::Unshared(memory), context))
}

/// Looks the memory up by its name, once: that takes longer than a short call. A store has one instance.
#[cold]
fn find_memory(caller: &mut Caller<'_, Context>) -> wasmtime::Result<Memory> {
    let Some(Extern::Memory(memory)) = caller.get_export("memory") else {
        wasmtime::bail!("the module exports no memory called \"memory\"");
    };
    caller.data_mut().memory = Some(memory);
    Ok(memory)
}

/// `fault` unless `bytes` bytes may be stored at `pointer`, `inval` if not aligned.
fn check_result(memory: &GuestMemory<'_>, pointer: i32, bytes: u32) -> Result<(), Errno> {
    let pointer = pointer as u32;
    memory.as_cow(GuestPtr::<[u8]>::new((pointer, bytes))).map_err(|_| Errno::Fault)?;
    if pointer.is_multiple_of(bytes) { Ok(()) } else { Err(Errno::Inval) }
}

/// A call's errno: what is wrong with an argument is the guest's to know, everything else ends it.
fn finish(result: wasmtime::Result<i32>) -> wasmtime::Result<i32> {
    let error = match result {
        Ok(errno) => return Ok(errno),
        Err(error) => error,
    };
    match error.downcast_ref::<GuestError>() {
        Some(argument) => Ok(i32::from(u16::from(of_argument(argument)))),
        None => Err(error),
    }
}

fn errno_of(result: Result<(), types::Error>) -> wasmtime::Result<i32> {
    match result {
        Ok(()) => Ok(0),
        Err(error) => Ok(i32::from(u16::from(error.downcast()?))),
    }
}

/// Wires functions of one module: `async` ones may suspend the guest. After the arguments stand the results that
/// are stored in memory, each with its size; `via` names what is called if not the generated function.
macro_rules! link {
    ($linker:ident, $module:literal, $path:ident:
        $($(#[$async:ident])? $name:ident($($arg:ident: $ty:ident),*) $([$($result:ident: $bytes:literal),*])?;)*) => {
        $(link!(@one $($async)?, $linker, $module, $path, $name, ($($arg: $ty),*), [$($($result: $bytes),*)?]);)*
    };
    (@one asynchronous, $linker:ident, $module:literal, $path:ident, $name:ident,
        ($($arg:ident: $ty:ident),*), [$($result:ident: $bytes:literal),*]) => {
        $linker.func_wrap_async($module, stringify!($name),
            |mut caller: Caller<'_, Context>, ($($arg,)* $($result,)*): ($($ty,)* $(link!(@i32 $result),)*)| {
                Box::new(async move {
                    let (mut memory, context) = split(&mut caller)?;
                    let trace = context.trace.then(|| {
                        let arguments = [$($arg as i64,)* $($result as i64,)*];
                        trace::Call::begin(context, stringify!($name), &memory, &arguments)
                    });
                    let checked: Result<(), Errno> = Ok(())$(.and_then(|()| check_result(&memory, $result, $bytes)))*;
                    let answer = match checked {
                        Ok(()) => finish($path::$name(context, &mut memory, $($arg,)* $($result,)*).await),
                        Err(errno) => Ok(i32::from(u16::from(errno))),
                    };
                    let answer = if context.effort.is_turn_over() {
                        context.end_turn().await.map_err(wasmtime::Error::from).and(answer)
                    } else {
                        answer
                    };
                    if let Some(trace) = trace {
                        trace.finish(context, &memory, &[$($arg as i64,)* $($result as i64,)*], &answer);
                    }
                    answer
                })
            })?;
    };
    (@one , $linker:ident, $module:literal, $path:ident, $name:ident,
        ($($arg:ident: $ty:ident),*), [$($result:ident: $bytes:literal),*]) => {
        $linker.func_wrap($module, stringify!($name),
            |mut caller: Caller<'_, Context>, $($arg: $ty,)* $($result: i32,)*| -> wasmtime::Result<i32> {
                let (mut memory, context) = split(&mut caller)?;
                let trace = context.trace.then(|| trace::Call::new(context, stringify!($name)));
                let checked: Result<(), Errno> = Ok(())$(.and_then(|()| check_result(&memory, $result, $bytes)))*;
                let answer = match checked {
                    Ok(()) => finish($path::$name(context, &mut memory, $($arg,)* $($result,)*)),
                    Err(errno) => Ok(i32::from(u16::from(errno))),
                };
                if let Some(trace) = trace {
                    trace.finish(context, &memory, &[$($arg as i64,)* $($result as i64,)*], &answer);
                }
                answer
            })?;
    };
    (@i32 $result:ident) => { i32 };
}

/// Defines both modules.
pub fn add_to_linker(linker: &mut Linker<Context>) -> wasmtime::Result<()> {
    link! { linker, "networking", networking:
        #[asynchronous] open(protocol: i32, bind: i32, bind_len: i32, kind: i32, base: i64, inheriting: i64, flags: i32) [fd: 4];
        listen(fd: i32, backlog: i32);
        #[asynchronous] accept(fd: i32) [connection: 4];
        #[asynchronous] connect(fd: i32, address: i32, address_len: i32) [connection: 4];
        #[asynchronous] stream_create(fd: i32, base: i64, inheriting: i64, flags: i32) [stream: 4];
        #[asynchronous] stream_accept(fd: i32) [stream: 4];
        local_address(fd: i32, buffer: i32, len: i32) [size: 4];
        peer_address(fd: i32, buffer: i32, len: i32) [size: 4];
        application_protocol(fd: i32, buffer: i32, len: i32) [size: 4];
        group_join(fd: i32, group: i32, group_len: i32);
        group_leave(fd: i32, group: i32, group_len: i32);
        option_get(fd: i32, option: i32) [value: 8];
        option_set(fd: i32, option: i32, value: i64);
    }
    link! { linker, "wasi_snapshot_preview1", preview1:
        args_get(argv: i32, buffer: i32);
        args_sizes_get() [count: 4, size: 4];
        environ_get(environ: i32, buffer: i32);
        environ_sizes_get() [count: 4, size: 4];
        clock_res_get(id: i32) [time: 8];
        clock_time_get(id: i32, precision: i64) [time: 8];
        #[asynchronous] fd_advise(fd: i32, offset: i64, len: i64, advice: i32);
        fd_allocate(fd: i32, offset: i64, len: i64);
        #[asynchronous] fd_close(fd: i32);
        #[asynchronous] fd_datasync(fd: i32);
        #[asynchronous] fd_fdstat_get(fd: i32, stat: i32);
        fd_fdstat_set_flags(fd: i32, flags: i32);
        fd_fdstat_set_rights(fd: i32, base: i64, inheriting: i64);
        #[asynchronous] fd_filestat_get(fd: i32, stat: i32);
        #[asynchronous] fd_filestat_set_size(fd: i32, size: i64);
        #[asynchronous] fd_filestat_set_times(fd: i32, accessed: i64, modified: i64, flags: i32);
        #[asynchronous] fd_pread(fd: i32, iovecs: i32, iovecs_len: i32, offset: i64) [size: 4];
        #[asynchronous] fd_pwrite(fd: i32, iovecs: i32, iovecs_len: i32, offset: i64) [size: 4];
        #[asynchronous] fd_read(fd: i32, iovecs: i32, iovecs_len: i32) [size: 4];
        #[asynchronous] fd_readdir(fd: i32, buffer: i32, len: i32, cookie: i64) [size: 4];
        #[asynchronous] fd_renumber(from: i32, to: i32);
        #[asynchronous] fd_seek(fd: i32, offset: i64, whence: i32) [position: 8];
        #[asynchronous] fd_sync(fd: i32);
        fd_tell(fd: i32) [position: 8];
        #[asynchronous] fd_write(fd: i32, iovecs: i32, iovecs_len: i32) [size: 4];
        #[asynchronous] path_create_directory(fd: i32, path: i32, path_len: i32);
        #[asynchronous] path_filestat_get(fd: i32, flags: i32, path: i32, path_len: i32, stat: i32);
        #[asynchronous] path_filestat_set_times(fd: i32, flags: i32, path: i32, path_len: i32, accessed: i64, modified: i64, times: i32);
        #[asynchronous] path_link(from: i32, flags: i32, from_path: i32, from_len: i32, to: i32, to_path: i32, to_len: i32);
        #[asynchronous] path_open(fd: i32, lookup: i32, path: i32, path_len: i32, how: i32, base: i64, inheriting: i64, flags: i32) [opened: 4];
        #[asynchronous] path_readlink(fd: i32, path: i32, path_len: i32, buffer: i32, len: i32) [size: 4];
        #[asynchronous] path_remove_directory(fd: i32, path: i32, path_len: i32);
        #[asynchronous] path_rename(from: i32, from_path: i32, from_len: i32, to: i32, to_path: i32, to_len: i32);
        #[asynchronous] path_symlink(target: i32, target_len: i32, fd: i32, path: i32, path_len: i32);
        #[asynchronous] path_unlink_file(fd: i32, path: i32, path_len: i32);
        #[asynchronous] poll_oneoff(subscriptions: i32, events: i32, count: i32) [ready: 4];
        proc_raise(signal: i32);
        sock_shutdown(fd: i32, how: i32);
    }
    link! { linker, "wasi_snapshot_preview1", ours:
        fd_prestat_get(fd: i32) [prestat: 4];
        fd_prestat_dir_name(fd: i32, buffer: i32, len: i32);
        #[asynchronous] random_get(buffer: i32, len: i32);
        #[asynchronous] sched_yield();
        #[asynchronous] sock_accept(fd: i32, flags: i32) [opened: 4];
        #[asynchronous] sock_recv(fd: i32, iovecs: i32, iovecs_len: i32, flags: i32) [size: 4, out: 2];
        #[asynchronous] sock_send(fd: i32, iovecs: i32, iovecs_len: i32, flags: i32) [size: 4];
    }
    linker.func_wrap(
        "wasi_snapshot_preview1",
        "proc_exit",
        |caller: Caller<'_, Context>, code: i32| -> wasmtime::Result<()> {
            if caller.data().trace {
                trace::exit(caller.data(), code as u32);
            }
            Err(wasmtime::Error::from(super::ProcExit(code as u32)))
        },
    )?;
    Ok(())
}

/// The functions of preview 1 for which the generated signature says too little, or cannot wait.
mod ours {
    use super::*;

    const PRESTAT_BYTES: u32 = 8;

    pub fn fd_prestat_get(
        context: &mut Context,
        memory: &mut GuestMemory<'_>,
        fd: i32,
        result: i32,
    ) -> wasmtime::Result<i32> {
        let at = result as u32;
        if memory.as_cow(GuestPtr::<[u8]>::new((at, PRESTAT_BYTES))).is_err() {
            return Ok(i32::from(u16::from(Errno::Fault)));
        }
        errno_of(context.prestat(memory, Fd::from(fd as u32)).and_then(|(tag, len)| {
            memory.write(GuestPtr::<u8>::new(at), tag)?;
            memory.write(GuestPtr::<u32>::new(at + 4), len)?;
            Ok(())
        }))
    }

    pub fn fd_prestat_dir_name(
        context: &mut Context,
        memory: &mut GuestMemory<'_>,
        fd: i32,
        buffer: i32,
        len: i32,
    ) -> wasmtime::Result<i32> {
        errno_of(context.prestat_name(memory, Fd::from(fd as u32), GuestPtr::new(buffer as u32), len as u32))
    }

    pub async fn random_get(
        context: &mut Context,
        memory: &mut GuestMemory<'_>,
        buffer: i32,
        len: i32,
    ) -> wasmtime::Result<i32> {
        errno_of(context.random_get(memory, GuestPtr::new(buffer as u32), len as u32).await)
    }

    pub async fn sched_yield(context: &mut Context, _: &mut GuestMemory<'_>) -> wasmtime::Result<i32> {
        context.sched_yield().await;
        Ok(0)
    }

    pub async fn sock_accept(
        context: &mut Context,
        memory: &mut GuestMemory<'_>,
        fd: i32,
        flags: i32,
        result: i32,
    ) -> wasmtime::Result<i32> {
        let Ok(flags) = Fdflags::try_from(flags) else { return Ok(i32::from(u16::from(Errno::Inval))) };
        errno_of(match context.sock_accept(Fd::from(fd as u32), flags).await {
            Ok(opened) => Ok(memory.write(GuestPtr::<Fd>::new(result as u32), opened)?),
            Err(error) => Err(error),
        })
    }

    pub async fn sock_recv(
        context: &mut Context,
        memory: &mut GuestMemory<'_>,
        fd: i32,
        iovecs: i32,
        iovecs_len: i32,
        flags: i32,
        size: i32,
        out: i32,
    ) -> wasmtime::Result<i32> {
        let Ok(flags) = Riflags::try_from(flags) else { return Ok(i32::from(u16::from(Errno::Inval))) };
        let list = GuestPtr::new((iovecs as u32, iovecs_len as u32));
        errno_of(match context.sock_recv(memory, Fd::from(fd as u32), list, flags).await {
            Ok((count, flags)) => {
                memory.write(GuestPtr::<u32>::new(size as u32), count)?;
                Ok(memory.write(GuestPtr::<types::Roflags>::new(out as u32), flags)?)
            }
            Err(error) => Err(error),
        })
    }

    pub async fn sock_send(
        context: &mut Context,
        memory: &mut GuestMemory<'_>,
        fd: i32,
        iovecs: i32,
        iovecs_len: i32,
        flags: i32,
        size: i32,
    ) -> wasmtime::Result<i32> {
        if flags != 0 {
            return Ok(i32::from(u16::from(Errno::Inval)));
        }
        let list = GuestPtr::new((iovecs as u32, iovecs_len as u32));
        errno_of(match context.sock_send(memory, Fd::from(fd as u32), list).await {
            Ok(count) => Ok(memory.write(GuestPtr::<u32>::new(size as u32), count)?),
            Err(error) => Err(error),
        })
    }
}
