//! What an operation on a protocol object can answer. One table, in `abi/errno.rs`, maps it to the
//! guest ABI's `errno`; every layer below that speaks this enum.

use thiserror::Error;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Error {
    /// Nothing to do yet: wait for readiness and run the operation again.
    #[error("operation would block")]
    WouldBlock,
    #[error("connection in progress")]
    InProgress,
    #[error("another connection is in progress")]
    Already,
    #[error("outside the protocol object's policy")]
    Access,
    #[error("address in use")]
    AddressInUse,
    #[error("address not available")]
    AddressNotAvailable,
    #[error("address family of another protocol")]
    AddressFamily,
    #[error("type not supported by the protocol")]
    Prototype,
    #[error("invalid argument")]
    Invalid,
    #[error("bad descriptor")]
    BadDescriptor,
    #[error("not a network descriptor")]
    NotSocket,
    #[error("not connected")]
    NotConnected,
    #[error("option not supported by the protocol")]
    NoOption,
    #[error("not capable")]
    NotCapable,
    #[error("not supported")]
    NotSupported,
    #[error("already connected")]
    IsConnected,
    #[error("connection refused")]
    ConnectionRefused,
    #[error("connection reset")]
    ConnectionReset,
    #[error("connection aborted")]
    ConnectionAborted,
    #[error("timed out")]
    TimedOut,
    #[error("host unreachable")]
    HostUnreachable,
    #[error("network unreachable")]
    NetworkUnreachable,
    #[error("message too long")]
    MessageSize,
    #[error("no buffer space")]
    NoBuffers,
    #[error("too many open descriptors")]
    TooManyDescriptors,
    /// A name that does not resolve, or nothing at a path.
    #[error("no such name")]
    NoEntry,
    /// Nobody who could resolve a name answers.
    #[error("no name server answers")]
    NameServer,
    #[error("the peer closed the stream")]
    Pipe,
    #[error("the peer broke the protocol")]
    Protocol,
    #[error("result too large for the buffer")]
    Overflow,
}

pub type Result<T, E = Error> = std::result::Result<T, E>;
