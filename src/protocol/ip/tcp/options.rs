//! Options of TCP, as guests read and set them.

use std::time::Duration;

use crate::error::{Error, Result};
use crate::node::object::SocketOption;
use crate::node::stack::TcpOptions;

/// Least and most bytes of a buffer, as net.ipv4.tcp_rmem bounds them.
const BUFFER_BYTES: std::ops::RangeInclusive<u64> = 4096..=6 * 1024 * 1024;

pub fn buffer_bytes(value: u64) -> Result<usize> {
    // Bounded, so that it fits.
    Ok(value.clamp(*BUFFER_BYTES.start(), *BUFFER_BYTES.end()) as usize)
}

pub fn get(options: &TcpOptions, option: SocketOption) -> Result<u64> {
    Ok(match option {
        SocketOption::NoDelay => u64::from(options.no_delay),
        SocketOption::KeepAlive => options.keep_alive.map_or(0, |interval| interval.as_secs()),
        SocketOption::HopLimit => u64::from(options.hop_limit.unwrap_or(64)),
        SocketOption::ReceiveBuffer => options.receive_buffer as u64,
        SocketOption::SendBuffer => options.send_buffer as u64,
        SocketOption::Linger => options.linger.map_or(u64::MAX, |linger| linger.as_millis() as u64),
        SocketOption::Unidirectional | SocketOption::GroupHopLimit | SocketOption::GroupLoop => {
            return Err(Error::NoOption);
        }
    })
}

/// What may change on a connection at work; buffer sizes may not.
pub fn set(mut options: TcpOptions, option: SocketOption, value: u64) -> Result<TcpOptions> {
    match option {
        SocketOption::NoDelay if value <= 1 => options.no_delay = value == 1,
        SocketOption::KeepAlive if value <= 86_400 => {
            options.keep_alive = (value > 0).then(|| Duration::from_secs(value));
        }
        SocketOption::HopLimit if (1..=255).contains(&value) => options.hop_limit = Some(value as u8),
        SocketOption::Linger => {
            options.linger = (value != u64::MAX).then(|| Duration::from_millis(value));
        }
        SocketOption::ReceiveBuffer
        | SocketOption::SendBuffer
        | SocketOption::Unidirectional
        | SocketOption::GroupHopLimit
        | SocketOption::GroupLoop => return Err(Error::NoOption),
        SocketOption::NoDelay | SocketOption::KeepAlive | SocketOption::HopLimit => {
            return Err(Error::Invalid);
        }
    }
    Ok(options)
}
