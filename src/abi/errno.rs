//! One table from what an operation answers to the guest ABI's `errno`. Both modules number it alike.

use wasmtime_wasi::p1::types::Errno;

use crate::error::Error;

/// The errno of `error`. `WouldBlock` is what a non-blocking call sees.
pub fn errno(error: Error) -> Errno {
    match error {
        Error::WouldBlock => Errno::Again,
        Error::InProgress => Errno::Inprogress,
        Error::Already => Errno::Already,
        Error::Access => Errno::Acces,
        Error::AddressInUse => Errno::Addrinuse,
        Error::AddressNotAvailable => Errno::Addrnotavail,
        Error::AddressFamily => Errno::Afnosupport,
        Error::Prototype => Errno::Prototype,
        Error::Invalid => Errno::Inval,
        Error::BadDescriptor => Errno::Badf,
        Error::NotSocket => Errno::Notsock,
        Error::NotConnected => Errno::Notconn,
        Error::NoOption => Errno::Noprotoopt,
        Error::NotCapable => Errno::Notcapable,
        Error::NotSupported => Errno::Notsup,
        Error::IsConnected => Errno::Isconn,
        Error::ConnectionRefused => Errno::Connrefused,
        Error::ConnectionReset => Errno::Connreset,
        Error::ConnectionAborted => Errno::Connaborted,
        Error::TimedOut => Errno::Timedout,
        Error::HostUnreachable => Errno::Hostunreach,
        Error::NetworkUnreachable => Errno::Netunreach,
        Error::MessageSize => Errno::Msgsize,
        Error::NoBuffers => Errno::Nobufs,
        Error::TooManyDescriptors => Errno::Mfile,
        Error::Pipe => Errno::Pipe,
        Error::Overflow => Errno::Overflow,
    }
}
