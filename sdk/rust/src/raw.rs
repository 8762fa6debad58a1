//! The imports, each with a safe function around it. All of the crate's `unsafe` is here.
//!
//! An import is given only pointers to, and lengths of, slices and locals that live across the call, and the host
//! writes nowhere else: that is what every SAFETY comment here comes down to.

use crate::errno::{Errno, Result};

mod networking {
    #[link(wasm_import_module = "networking")]
    extern "C" {
        pub fn open(
            protocol: i32,
            address: *const u8,
            len: usize,
            kind: i32,
            base: i64,
            inheriting: i64,
            flags: i32,
            result: *mut u32,
        ) -> i32;
        pub fn listen(control: i32, backlog: i32) -> i32;
        pub fn accept(control: i32, result: *mut u32) -> i32;
        pub fn connect(control: i32, address: *const u8, len: usize, result: *mut u32) -> i32;
        pub fn stream_create(
            connection: i32,
            rights: i64,
            inheriting: i64,
            flags: i32,
            result: *mut u32,
        ) -> i32;
        pub fn stream_accept(connection: i32, result: *mut u32) -> i32;
        pub fn local_address(fd: i32, buf: *mut u8, len: usize, result: *mut u32) -> i32;
        pub fn peer_address(fd: i32, buf: *mut u8, len: usize, result: *mut u32) -> i32;
        pub fn application_protocol(fd: i32, buf: *mut u8, len: usize, result: *mut u32) -> i32;
        pub fn group_join(control: i32, group: *const u8, len: usize) -> i32;
        pub fn group_leave(control: i32, group: *const u8, len: usize) -> i32;
        pub fn option_get(fd: i32, option: i32, result: *mut u64) -> i32;
        pub fn option_set(fd: i32, option: i32, value: i64) -> i32;
    }
}

mod preview1 {
    #[link(wasm_import_module = "wasi_snapshot_preview1")]
    extern "C" {
        pub fn fd_read(fd: i32, iovs: *const super::MutableBytes, count: usize, result: *mut u32) -> i32;
        pub fn fd_write(fd: i32, iovs: *const super::Bytes, count: usize, result: *mut u32) -> i32;
        pub fn fd_close(fd: i32) -> i32;
        pub fn fd_fdstat_set_flags(fd: i32, flags: i32) -> i32;
        pub fn sock_shutdown(fd: i32, how: i32) -> i32;
        pub fn fd_prestat_get(fd: i32, result: *mut super::Prestat) -> i32;
        pub fn fd_prestat_dir_name(fd: i32, buf: *mut u8, len: usize) -> i32;
    }
}

/// A `ciovec`.
#[repr(C)]
pub struct Bytes {
    buf: *const u8,
    len: usize,
}

/// An `iovec`.
#[repr(C)]
pub struct MutableBytes {
    buf: *mut u8,
    len: usize,
}

/// What a preopened descriptor is.
#[repr(C)]
#[derive(Default)]
pub struct Prestat {
    /// 0 is a directory, 1 a network object.
    pub tag: u8,
    /// Bytes.
    pub name_len: u32,
}

pub fn open(protocol: u32, bind: &str, kind: u8, base: u64, inheriting: u64, flags: u16) -> Result<u32> {
    let mut fd = 0;
    // SAFETY: see the module.
    Errno::check(unsafe {
        networking::open(
            protocol as i32,
            bind.as_ptr(),
            bind.len(),
            kind.into(),
            base as i64,
            inheriting as i64,
            flags.into(),
            &mut fd,
        )
    })?;
    Ok(fd)
}

pub fn listen(control: u32, backlog: u32) -> Result<()> {
    // SAFETY: no pointers.
    Errno::check(unsafe { networking::listen(control as i32, backlog as i32) })
}

pub fn accept(control: u32) -> Result<u32> {
    let mut fd = 0;
    // SAFETY: see the module.
    Errno::check(unsafe { networking::accept(control as i32, &mut fd) })?;
    Ok(fd)
}

pub fn connect(control: u32, address: &str) -> Result<u32> {
    let mut fd = 0;
    // SAFETY: see the module.
    Errno::check(unsafe { networking::connect(control as i32, address.as_ptr(), address.len(), &mut fd) })?;
    Ok(fd)
}

pub fn stream_create(connection: u32, rights: u64, flags: u16) -> Result<u32> {
    let mut fd = 0;
    // SAFETY: see the module.
    Errno::check(unsafe {
        networking::stream_create(connection as i32, rights as i64, 0, flags.into(), &mut fd)
    })?;
    Ok(fd)
}

pub fn stream_accept(connection: u32) -> Result<u32> {
    let mut fd = 0;
    // SAFETY: see the module.
    Errno::check(unsafe { networking::stream_accept(connection as i32, &mut fd) })?;
    Ok(fd)
}

pub fn local_address(fd: u32, buf: &mut [u8]) -> Result<usize> {
    let mut len = 0;
    // SAFETY: see the module.
    Errno::check(unsafe { networking::local_address(fd as i32, buf.as_mut_ptr(), buf.len(), &mut len) })?;
    Ok(len as usize)
}

pub fn peer_address(fd: u32, buf: &mut [u8]) -> Result<usize> {
    let mut len = 0;
    // SAFETY: see the module.
    Errno::check(unsafe { networking::peer_address(fd as i32, buf.as_mut_ptr(), buf.len(), &mut len) })?;
    Ok(len as usize)
}

pub fn application_protocol(fd: u32, buf: &mut [u8]) -> Result<usize> {
    let mut len = 0;
    // SAFETY: see the module.
    Errno::check(unsafe {
        networking::application_protocol(fd as i32, buf.as_mut_ptr(), buf.len(), &mut len)
    })?;
    Ok(len as usize)
}

pub fn group_join(control: u32, group: &str) -> Result<()> {
    // SAFETY: see the module.
    Errno::check(unsafe { networking::group_join(control as i32, group.as_ptr(), group.len()) })
}

pub fn group_leave(control: u32, group: &str) -> Result<()> {
    // SAFETY: see the module.
    Errno::check(unsafe { networking::group_leave(control as i32, group.as_ptr(), group.len()) })
}

pub fn option_get(fd: u32, option: u16) -> Result<u64> {
    let mut value = 0;
    // SAFETY: see the module.
    Errno::check(unsafe { networking::option_get(fd as i32, option.into(), &mut value) })?;
    Ok(value)
}

pub fn option_set(fd: u32, option: u16, value: u64) -> Result<()> {
    // SAFETY: no pointers.
    Errno::check(unsafe { networking::option_set(fd as i32, option.into(), value as i64) })
}

pub fn read(fd: u32, buf: &mut [u8]) -> Result<usize> {
    let into = MutableBytes { buf: buf.as_mut_ptr(), len: buf.len() };
    let mut len = 0;
    // SAFETY: see the module; the one iovec is the caller's slice.
    Errno::check(unsafe { preview1::fd_read(fd as i32, &into, 1, &mut len) })?;
    Ok(len as usize)
}

pub fn write(fd: u32, buf: &[u8]) -> Result<usize> {
    let from = Bytes { buf: buf.as_ptr(), len: buf.len() };
    let mut len = 0;
    // SAFETY: see the module; the one iovec is the caller's slice, and only read.
    Errno::check(unsafe { preview1::fd_write(fd as i32, &from, 1, &mut len) })?;
    Ok(len as usize)
}

pub fn close(fd: u32) -> Result<()> {
    // SAFETY: no pointers, and a descriptor is no memory.
    Errno::check(unsafe { preview1::fd_close(fd as i32) })
}

pub fn set_flags(fd: u32, flags: u16) -> Result<()> {
    // SAFETY: no pointers.
    Errno::check(unsafe { preview1::fd_fdstat_set_flags(fd as i32, flags.into()) })
}

pub fn shutdown(fd: u32, how: u8) -> Result<()> {
    // SAFETY: no pointers.
    Errno::check(unsafe { preview1::sock_shutdown(fd as i32, how.into()) })
}

pub fn prestat(fd: u32) -> Result<Prestat> {
    let mut prestat = Prestat::default();
    // SAFETY: see the module; the layout is preview 1's: the tag at 0, the length at 4.
    Errno::check(unsafe { preview1::fd_prestat_get(fd as i32, &mut prestat) })?;
    Ok(prestat)
}

pub fn prestat_name(fd: u32, buf: &mut [u8]) -> Result<()> {
    // SAFETY: see the module.
    Errno::check(unsafe { preview1::fd_prestat_dir_name(fd as i32, buf.as_mut_ptr(), buf.len()) })
}
