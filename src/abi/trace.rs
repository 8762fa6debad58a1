//! Guest calls as strace prints them, for `--trace`: virtual time, name, arguments, answer, time spent.

use std::fmt::Write;

use wasmtime_wasi::p1::types::Errno;
use wiggle::{GuestMemory, GuestPtr};

use super::Context;
use crate::time::Instant;

/// A call under way.
pub struct Call {
    name: &'static str,
    started: Instant,
}

/// How an argument is printed.
#[derive(Clone, Copy)]
enum Argument {
    Number,
    Hexadecimal,
    /// Pointer and length of UTF-8.
    Text,
    /// `socket_stream`, `socket_dgram`.
    Kind,
    /// A descriptor that the call stored.
    StoredFd,
    /// A number that the call stored, 4 bytes.
    Stored,
    /// The same, 8 bytes.
    StoredLong,
    /// Pointer and length of a list of buffers.
    Buffers,
}

/// What is known of a call's arguments, in order; the rest are numbers.
fn arguments(name: &str) -> &'static [Argument] {
    use Argument::{Buffers, Hexadecimal, Kind, Number, Stored, StoredFd, StoredLong, Text};
    match name {
        "open" => &[Number, Text, Kind, Hexadecimal, Hexadecimal, Hexadecimal, StoredFd],
        "accept" | "stream_accept" => &[Number, StoredFd],
        "connect" => &[Number, Text, StoredFd],
        "stream_create" => &[Number, Hexadecimal, Hexadecimal, Hexadecimal, StoredFd],
        "local_address" | "peer_address" => &[Number, Hexadecimal, Number, Stored],
        "option_get" => &[Number, Number, StoredLong],
        "fd_read" | "fd_write" => &[Number, Buffers, Stored],
        "fd_pread" | "fd_pwrite" => &[Number, Buffers, Number, Stored],
        "sock_recv" => &[Number, Buffers, Hexadecimal, Stored, Hexadecimal],
        "sock_send" => &[Number, Buffers, Hexadecimal, Stored],
        "sock_accept" => &[Number, Hexadecimal, StoredFd],
        "clock_time_get" => &[Number, Number, StoredLong],
        "path_open" => {
            &[Number, Hexadecimal, Text, Hexadecimal, Hexadecimal, Hexadecimal, Hexadecimal, StoredFd]
        }
        "path_unlink_file" | "path_create_directory" | "path_remove_directory" => &[Number, Text],
        "path_filestat_get" => &[Number, Hexadecimal, Text, Hexadecimal],
        "poll_oneoff" => &[Hexadecimal, Hexadecimal, Number, Stored],
        "random_get" => &[Hexadecimal, Number],
        "fd_prestat_get" | "fd_fdstat_get" | "fd_filestat_get" => &[Number, Hexadecimal],
        "args_get" | "environ_get" | "args_sizes_get" | "environ_sizes_get" => &[Hexadecimal, Hexadecimal],
        _ => &[],
    }
}

/// Characters of a string that are printed, as strace has it.
const TEXT_MAX: usize = 64;

impl Call {
    pub fn new(context: &Context, name: &'static str) -> Call {
        Call { name, started: context.node().now }
    }

    /// Hands the line to the node's output.
    pub fn finish(
        self,
        context: &Context,
        memory: &GuestMemory<'_>,
        arguments: &[i64],
        answer: &wasmtime::Result<i32>,
    ) {
        let mut line = format!("{} {}(", self.started, self.name);
        write_arguments(&mut line, self.name, memory, arguments, matches!(answer, Ok(0)));
        let _ = match answer {
            Ok(0) => write!(line, ") = 0"),
            Ok(number) => {
                let known = u16::try_from(*number).ok().and_then(|number| Errno::try_from(number).ok());
                let name = known.map_or_else(String::new, |errno| format!("{errno:?}").to_uppercase());
                write!(line, ") = {number} {name}")
            }
            Err(_) => write!(line, ") = ?"),
        };
        let mut node = context.node();
        let spent = node.now - self.started;
        if !spent.is_zero() {
            let _ = write!(line, " <{}.{:09}>", spent.as_secs(), spent.subsec_nanos());
        }
        node.stdio.trace(line);
    }
}

fn write_arguments(line: &mut String, name: &str, memory: &GuestMemory<'_>, values: &[i64], stored: bool) {
    let kinds = arguments(name);
    let mut values = values.iter().copied();
    let mut index = 0;
    while let Some(value) = values.next() {
        let kind = kinds.get(index).copied().unwrap_or(Argument::Number);
        if index > 0 {
            line.push_str(", ");
        }
        index += 1;
        let at = value as u32;
        let _ = match kind {
            Argument::Number => write!(line, "{value}"),
            Argument::Hexadecimal => write!(line, "{value:#x}"),
            Argument::Text => {
                let len = values.next().unwrap_or(0) as u32;
                match memory.as_cow(GuestPtr::<[u8]>::new((at, len))) {
                    Ok(bytes) => {
                        let text = String::from_utf8_lossy(&bytes[..bytes.len().min(TEXT_MAX)]).into_owned();
                        let more = if bytes.len() > TEXT_MAX { "..." } else { "" };
                        write!(line, "{text:?}{more}")
                    }
                    Err(_) => write!(line, "{value:#x}, {len}"),
                }
            }
            Argument::Kind => match value {
                5 => write!(line, "socket_dgram"),
                6 => write!(line, "socket_stream"),
                _ => write!(line, "{value}"),
            },
            Argument::StoredFd | Argument::Stored => match memory.read(GuestPtr::<u32>::new(at)) {
                Ok(number) if stored => write!(line, "[{number}]"),
                _ => write!(line, "{at:#x}"),
            },
            Argument::StoredLong => match memory.read(GuestPtr::<u64>::new(at)) {
                Ok(number) if stored => write!(line, "[{number}]"),
                _ => write!(line, "{at:#x}"),
            },
            Argument::Buffers => {
                let count = values.next().unwrap_or(0);
                write!(line, "{value:#x} x {count}")
            }
        };
    }
}
