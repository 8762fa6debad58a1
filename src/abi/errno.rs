//! One table from what an operation answers to the guest ABI's `errno`. Both modules number it alike.

use wasmtime_wasi::p1::types::Errno;
use wiggle::GuestError;

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
        Error::NoEntry => Errno::Noent,
        Error::NameServer => Errno::Hostunreach,
        Error::Pipe => Errno::Pipe,
        Error::Protocol => Errno::Proto,
        Error::Overflow => Errno::Overflow,
    }
}

/// The errno of an argument: `inval` for a value that its type does not have and a pointer that is not aligned,
/// `ilseq` for text that is not UTF-8, `fault` for a pointer outside memory.
pub fn of_argument(error: &GuestError) -> Errno {
    match error {
        GuestError::InFunc { err, .. } => of_argument(err),
        GuestError::InvalidFlagValue(_)
        | GuestError::InvalidEnumValue(_)
        | GuestError::TryFromIntError(_)
        | GuestError::PtrNotAligned(..) => Errno::Inval,
        GuestError::InvalidUtf8(_) => Errno::Ilseq,
        GuestError::PtrOverflow | GuestError::PtrOutOfBounds(_) | GuestError::SliceLengthsDiffer => {
            Errno::Fault
        }
    }
}
