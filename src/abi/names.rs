//! Words for the numbers and bits of calls, in the order in which the witx files have them.

use std::fmt::Write;

/// Rights as `networking` counts them.
pub const RIGHTS: &[&str] = &[
    "fd_datasync",
    "fd_read",
    "fd_seek",
    "fd_fdstat_set_flags",
    "fd_sync",
    "fd_tell",
    "fd_write",
    "fd_advise",
    "fd_allocate",
    "path_create_directory",
    "path_create_file",
    "path_link_source",
    "path_link_target",
    "path_open",
    "fd_readdir",
    "path_readlink",
    "path_rename_source",
    "path_rename_target",
    "path_filestat_get",
    "path_filestat_set_size",
    "path_filestat_set_times",
    "path_permissions_set",
    "fd_filestat_get",
    "fd_filestat_set_size",
    "fd_filestat_set_times",
    "fd_permissions_set",
    "path_symlink",
    "path_remove_directory",
    "path_unlink_file",
    "poll_fd_readwrite",
    "sock_shutdown",
];
pub const FDFLAGS: &[&str] = &["append", "dsync", "nonblock", "rsync", "sync"];
pub const OFLAGS: &[&str] = &["creat", "directory", "excl", "trunc"];
pub const LOOKUPFLAGS: &[&str] = &["symlink_follow"];
pub const FSTFLAGS: &[&str] = &["atim", "atim_now", "mtim", "mtim_now"];
pub const RIFLAGS: &[&str] = &["recv_peek", "recv_waitall"];
pub const SDFLAGS: &[&str] = &["rd", "wr"];
pub const WHENCE: &[&str] = &["set", "cur", "end"];
pub const CLOCKS: &[&str] = &["realtime", "monotonic", "process_cputime_id", "thread_cputime_id"];
pub const FILETYPES: &[&str] = &[
    "unknown",
    "block_device",
    "character_device",
    "directory",
    "regular_file",
    "socket_dgram",
    "socket_stream",
    "symbolic_link",
];
pub const OPTIONS: &[&str] = &[
    "no_delay",
    "keep_alive",
    "hop_limit",
    "receive_buffer",
    "send_buffer",
    "linger",
    "unidirectional",
    "group_hop_limit",
    "group_loop",
];

/// `append|nonblock`; bits without a name as a number, none as 0.
pub fn write_flags(line: &mut String, bits: u64, names: &[&str]) {
    let named = names.iter().enumerate().filter(|(bit, _)| bits >> bit & 1 == 1);
    let begun = line.len();
    for (_, name) in named {
        let _ = write!(line, "{}{name}", if line.len() > begun { "|" } else { "" });
    }
    let rest = bits.checked_shr(names.len() as u32).unwrap_or(0);
    if rest != 0 {
        let bar = if line.len() > begun { "|" } else { "" };
        let _ = write!(line, "{bar}{:#x}", rest << names.len());
    } else if line.len() == begun {
        line.push('0');
    }
}

/// The word for a number, or the number.
pub fn write_word(line: &mut String, number: i64, words: &[&str]) {
    let _ = match usize::try_from(number).ok().and_then(|number| words.get(number)) {
        Some(word) => write!(line, "{word}"),
        None => write!(line, "{number}"),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(bits: u64, names: &[&str]) -> String {
        let mut line = String::new();
        write_flags(&mut line, bits, names);
        line
    }

    #[test]
    fn flags_have_names_and_what_has_none_is_a_number() {
        assert_eq!(flags(0, FDFLAGS), "0");
        assert_eq!(flags(5, FDFLAGS), "append|nonblock");
        assert_eq!(flags(0x44, FDFLAGS), "nonblock|0x40");
        assert_eq!(flags(1 << 63, RIGHTS), "0x8000000000000000");
        assert_eq!(flags(1 << 1 | 1 << 29 | 1 << 30, RIGHTS), "fd_read|poll_fd_readwrite|sock_shutdown");
    }

    /// The witx is where bits and numbers are decided.
    #[test]
    fn names_are_those_of_the_witx() {
        let witx = include_str!("../../witx/typenames.witx");
        let networking = include_str!("../../witx/networking.witx");
        let of = |text: &str, name: &str| -> Vec<String> {
            let (_, rest) = text.split_once(&format!("(typename ${name}\n")).expect(name);
            let rest = rest.split("\n(typename").next().unwrap_or(rest);
            let lines = rest.lines().map(str::trim).filter_map(|line| line.strip_prefix('$'));
            lines.map(str::to_owned).collect()
        };
        assert_eq!(of(witx, "rights"), RIGHTS);
        assert_eq!(of(witx, "fdflags"), FDFLAGS);
        assert_eq!(of(witx, "filetype"), FILETYPES);
        assert_eq!(of(networking, "socket_option"), OPTIONS);
    }
}
