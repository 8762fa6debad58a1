//! Guest calls as strace prints them, for `--trace`: virtual time, name, arguments, answer, time spent.

use std::fmt::{self, Write};
use std::sync::Arc;

use wasmtime_wasi::p1::types::{self as preview1, Errno};
use wiggle::{GuestMemory, GuestPtr};

use super::rights::Rights;
use super::{Context, SharedNode, lock, names};
use crate::time::Instant;

/// A call under way. One that is dropped before it is finished, as its guest was ended in it, says so.
pub struct Call {
    name: &'static str,
    started: Instant,
    /// The arguments that are known before the call answers, until it does.
    begun: Option<String>,
    node: SharedNode,
}

/// When a call's arguments are printed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Moment {
    /// Before it answers: up to the first that it stores, as strace does.
    Begun,
    Failed,
    Succeeded,
}

/// How an argument is printed. Numbers in them say how many arguments further on the size is that the call stored.
#[derive(Clone, Copy)]
enum Argument {
    Number,
    Hexadecimal,
    /// Pointer and length of UTF-8.
    Text,
    /// Bits of `networking`'s rights, and of preview 1's.
    Rights,
    RightsPreview1,
    /// Bits by their names.
    Flags(&'static [&'static str]),
    /// A number by its name.
    Word(&'static [&'static str]),
    /// A descriptor, or a number of 4 bytes, that the call stored.
    Stored,
    /// The same, 8 bytes.
    StoredLong,
    /// A pointer to what the call stored: as much of it as it says.
    StoredBytes(usize),
    /// Pointer and length of a buffer that the call filled.
    Filled,
    /// Pointer and length of a list of buffers that the call takes its data from.
    From,
    /// The same, that the call fills.
    Into(usize),
}

impl Argument {
    /// The call stores something there.
    fn is_result(self) -> bool {
        match self {
            Argument::Stored
            | Argument::StoredLong
            | Argument::StoredBytes(_)
            | Argument::Filled
            | Argument::Into(_) => true,
            Argument::Number
            | Argument::Hexadecimal
            | Argument::Text
            | Argument::Rights
            | Argument::RightsPreview1
            | Argument::Flags(_)
            | Argument::Word(_)
            | Argument::From => false,
        }
    }
}

/// What is known of a call's arguments, in order; the rest are numbers.
fn arguments(name: &str) -> &'static [Argument] {
    use Argument::{
        Filled, Flags, From, Hexadecimal, Into, Number, Rights, RightsPreview1, Stored, StoredBytes,
        StoredLong, Text, Word,
    };
    use names::{
        CLOCKS, FDFLAGS, FILETYPES, FSTFLAGS, LOOKUPFLAGS, OFLAGS, OPTIONS, RIFLAGS, SDFLAGS, WHENCE,
    };
    match name {
        "open" => &[Number, Text, Word(FILETYPES), Rights, Rights, Flags(FDFLAGS), Stored],
        "accept" | "stream_accept" => &[Number, Stored],
        "connect" => &[Number, Text, Stored],
        "stream_create" => &[Number, Rights, Rights, Flags(FDFLAGS), Stored],
        "local_address" | "peer_address" | "application_protocol" => {
            &[Number, StoredBytes(2), Number, Stored]
        }
        "group_join" | "group_leave" => &[Number, Text],
        "option_get" => &[Number, Word(OPTIONS), StoredLong],
        "option_set" => &[Number, Word(OPTIONS)],
        "fd_read" => &[Number, Into(2), Stored],
        "fd_write" => &[Number, From, Stored],
        "fd_pread" => &[Number, Into(3), Number, Stored],
        "fd_pwrite" => &[Number, From, Number, Stored],
        "sock_recv" => &[Number, Into(3), Flags(RIFLAGS), Stored, Hexadecimal],
        "sock_send" => &[Number, From, Hexadecimal, Stored],
        "sock_shutdown" => &[Number, Flags(SDFLAGS)],
        "sock_accept" => &[Number, Flags(FDFLAGS), Stored],
        "clock_time_get" => &[Word(CLOCKS), Number, StoredLong],
        "clock_res_get" => &[Word(CLOCKS), StoredLong],
        "path_open" => &[
            Number,
            Flags(LOOKUPFLAGS),
            Text,
            Flags(OFLAGS),
            RightsPreview1,
            RightsPreview1,
            Flags(FDFLAGS),
            Stored,
        ],
        "path_unlink_file" | "path_create_directory" | "path_remove_directory" => &[Number, Text],
        "path_filestat_get" => &[Number, Flags(LOOKUPFLAGS), Text, Hexadecimal],
        "path_filestat_set_times" => &[Number, Flags(LOOKUPFLAGS), Text, Number, Number, Flags(FSTFLAGS)],
        "path_rename" => &[Number, Text, Number, Text],
        "path_link" => &[Number, Flags(LOOKUPFLAGS), Text, Number, Text],
        "path_symlink" => &[Text, Number, Text],
        "path_readlink" => &[Number, Text, StoredBytes(2), Number, Stored],
        "poll_oneoff" => &[Hexadecimal, Hexadecimal, Number, Stored],
        "random_get" => &[Filled],
        "fd_seek" => &[Number, Number, Word(WHENCE), StoredLong],
        "fd_tell" => &[Number, StoredLong],
        "fd_filestat_set_times" => &[Number, Number, Number, Flags(FSTFLAGS)],
        "fd_fdstat_set_flags" => &[Number, Flags(FDFLAGS)],
        "fd_fdstat_set_rights" => &[Number, RightsPreview1, RightsPreview1],
        "fd_readdir" => &[Number, Hexadecimal, Number, Number, Stored],
        "fd_prestat_dir_name" => &[Number, Filled],
        "fd_prestat_get" | "fd_fdstat_get" | "fd_filestat_get" => &[Number, Hexadecimal],
        "args_get" | "environ_get" | "args_sizes_get" | "environ_sizes_get" => &[Hexadecimal, Hexadecimal],
        _ => &[],
    }
}

/// Bytes of a string that are printed, and of data, which has strace's own limit.
const TEXT_MAX: usize = 64;
const DATA_MAX: usize = 32;

impl Call {
    /// A call that cannot be interrupted.
    pub fn new(context: &Context, name: &'static str) -> Call {
        Call { name, started: context.node().now, begun: None, node: Arc::clone(&context.node) }
    }

    /// One that may wait.
    pub fn begin(context: &Context, name: &'static str, memory: &GuestMemory<'_>, arguments: &[i64]) -> Call {
        let mut begun = String::new();
        write_arguments(&mut begun, name, memory, arguments, Moment::Begun);
        let mut call = Call::new(context, name);
        call.begun = Some(begun);
        call
    }

    /// Hands the line to the node's output.
    pub fn finish(
        mut self,
        context: &Context,
        memory: &GuestMemory<'_>,
        arguments: &[i64],
        answer: &wasmtime::Result<i32>,
    ) {
        self.begun = None;
        let mut line = format!("{} {}(", self.started, self.name);
        let moment = if matches!(answer, Ok(0)) { Moment::Succeeded } else { Moment::Failed };
        write_arguments(&mut line, self.name, memory, arguments, moment);
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

impl Drop for Call {
    fn drop(&mut self) {
        if let Some(begun) = self.begun.take() {
            let line = format!("{} {}({begun} <unfinished ...>", self.started, self.name);
            lock(&self.node).stdio.trace(line);
        }
    }
}

/// The call that a guest ends itself by: it has no answer.
pub fn exit(context: &Context, code: u32) {
    let mut node = context.node();
    let line = format!("{} proc_exit({code}) = ?", node.now);
    node.stdio.trace(line);
}

fn write_arguments(line: &mut String, name: &str, memory: &GuestMemory<'_>, values: &[i64], moment: Moment) {
    let stored = moment == Moment::Succeeded;
    let mut kinds = arguments(name).iter();
    let mut at = 0;
    while let Some(&value) = values.get(at) {
        let kind = kinds.next().copied().unwrap_or(Argument::Number);
        if moment == Moment::Begun && kind.is_result() {
            return;
        }
        if at > 0 {
            line.push_str(", ");
        }
        let pointer = value as u32;
        let length = || values.get(at + 1).copied().unwrap_or(0) as u32;
        // What the call stored as the size of something, so many arguments further on.
        let size = |further: usize| {
            let at = values.get(at + further).filter(|_| stored)?;
            memory.read(GuestPtr::<u32>::new(*at as u32)).ok()
        };
        let mut taken = 1;
        let _ = match kind {
            Argument::Number => write!(line, "{value}"),
            Argument::Hexadecimal => write!(line, "{value:#x}"),
            Argument::Text => {
                taken = 2;
                write_bytes(line, memory, (pointer, length()), TEXT_MAX)
            }
            Argument::Rights => {
                names::write_flags(line, value as u64, names::RIGHTS);
                Ok(())
            }
            Argument::RightsPreview1 => {
                let known = preview1::Rights::from_bits_truncate(value as u64);
                let rest = value as u64 & !known.bits();
                // Bits that preview 1 does not have stay where they are.
                names::write_flags(line, Rights::from_preview1(known).bits(), names::RIGHTS);
                if rest == 0 { Ok(()) } else { write!(line, "|{rest:#x}") }
            }
            Argument::Flags(names) => {
                names::write_flags(line, u64::from(pointer), names);
                Ok(())
            }
            Argument::Word(words) => {
                names::write_word(line, value, words);
                Ok(())
            }
            Argument::Stored => match size(0) {
                Some(number) => write!(line, "[{number}]"),
                None => write!(line, "{pointer:#x}"),
            },
            Argument::StoredLong => match memory.read(GuestPtr::<u64>::new(pointer)) {
                Ok(number) if stored => write!(line, "[{number}]"),
                _ => write!(line, "{pointer:#x}"),
            },
            Argument::StoredBytes(further) => match size(further) {
                Some(size) => write_bytes(line, memory, (pointer, size), TEXT_MAX),
                None => write!(line, "{pointer:#x}"),
            },
            Argument::Filled => {
                taken = 2;
                if stored {
                    write_bytes(line, memory, (pointer, length()), DATA_MAX)
                } else {
                    write!(line, "{pointer:#x}, {}", length())
                }
            }
            Argument::From => {
                taken = 2;
                write_buffers(line, memory, (pointer, length()), u32::MAX)
            }
            Argument::Into(further) => {
                taken = 2;
                match size(further) {
                    Some(size) => write_buffers(line, memory, (pointer, length()), size),
                    None => write!(line, "{pointer:#x} x {}", length()),
                }
            }
        };
        at += taken;
    }
}

/// The first bytes of a piece of memory as strace quotes them, or where it is if that is nowhere.
fn write_bytes(
    line: &mut String,
    memory: &GuestMemory<'_>,
    (at, len): (u32, u32),
    max: usize,
) -> fmt::Result {
    match memory.as_cow(GuestPtr::<[u8]>::new((at, len))) {
        Ok(bytes) => write_quoted(line, &bytes[..bytes.len().min(max)], bytes.len() > max),
        Err(_) => write!(line, "{at:#x}, {len}"),
    }
}

fn write_quoted(line: &mut String, bytes: &[u8], more: bool) -> fmt::Result {
    let dots = if more { "..." } else { "" };
    match std::str::from_utf8(bytes) {
        Ok(text) => write!(line, "{text:?}{dots}"),
        // Cut within a character.
        Err(error) if more && error.error_len().is_none() => {
            let text = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
            write!(line, "{text:?}{dots}")
        }
        Err(_) => write!(line, "\"{}\"{dots}", bytes.escape_ascii()),
    }
}

/// What a list of buffers has in it, as if it were one, of `size` bytes at most.
fn write_buffers(
    line: &mut String,
    memory: &GuestMemory<'_>,
    (list, count): (u32, u32),
    size: u32,
) -> fmt::Result {
    const IOVEC_BYTES: u32 = 8;
    /// As many as a call takes.
    const IOVECS_MAX: u32 = 1024;
    let mut left = size as usize;
    let mut data = Vec::new();
    for index in 0..count.min(IOVECS_MAX) {
        let iovec = || {
            let at = list.checked_add(index.checked_mul(IOVEC_BYTES)?)?;
            let buffer = memory.read(GuestPtr::<u32>::new(at)).ok()?;
            let len = memory.read(GuestPtr::<u32>::new(at.checked_add(4)?)).ok()?;
            memory.as_slice(GuestPtr::<[u8]>::new((buffer, len))).ok()?
        };
        let Some(part) = iovec() else { return write!(line, "{list:#x} x {count}") };
        let part = &part[..part.len().min(left)];
        left -= part.len();
        data.extend_from_slice(&part[..part.len().min(DATA_MAX + 1)]);
        if left == 0 || data.len() > DATA_MAX {
            break;
        }
    }
    write_quoted(line, &data[..data.len().min(DATA_MAX)], data.len() > DATA_MAX)
}
