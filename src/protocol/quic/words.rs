//! What became of a connection: for the guest an error, for the trace a sentence.

use quinn_proto::{ConnectionError, TransportErrorCode};

use crate::error::Error;

/// What calls on a connection answer that was lost for this reason.
pub fn error(reason: &ConnectionError) -> Error {
    match reason {
        ConnectionError::TimedOut => Error::TimedOut,
        ConnectionError::Reset => Error::ConnectionReset,
        ConnectionError::ConnectionClosed(close)
            if close.error_code == TransportErrorCode::CONNECTION_REFUSED =>
        {
            Error::ConnectionRefused
        }
        ConnectionError::ConnectionClosed(close) if close.error_code == TransportErrorCode::NO_ERROR => {
            Error::ConnectionAborted
        }
        ConnectionError::VersionMismatch
        | ConnectionError::TransportError(_)
        | ConnectionError::ConnectionClosed(_) => Error::Protocol,
        ConnectionError::ApplicationClosed(_) | ConnectionError::LocallyClosed => Error::ConnectionAborted,
        ConnectionError::CidsExhausted => Error::NoBuffers,
    }
}

/// A sentence without a secret in it. What a peer says in it is cut short and made printable.
pub fn words(reason: &ConnectionError) -> String {
    let text = match reason {
        ConnectionError::ConnectionClosed(close) => format!("the peer gave up: {close}"),
        ConnectionError::ApplicationClosed(close) => format!("closed by the peer: {close}"),
        ConnectionError::TimedOut => "nothing came for too long".to_owned(),
        ConnectionError::VersionMismatch
        | ConnectionError::TransportError(_)
        | ConnectionError::Reset
        | ConnectionError::LocallyClosed
        | ConnectionError::CidsExhausted => reason.to_string(),
    };
    text.chars().take(256).flat_map(char::escape_debug).collect()
}
