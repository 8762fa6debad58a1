//! Rights inside the host, and the layouts of the two modules at its edges.
//!
//! The `networking` module is one step past preview 1: it has `path_permissions_set` at bit 21 and
//! `fd_permissions_set` at bit 25, which moves everything behind them. Here rights have that layout.
//!
//! Neither has bits for the calls of `networking`, and a set of rights must mean the same to guests that were compiled
//! before: so a control is read by taking connections from it and written by making them, as `poll_oneoff` has it too.
//!
//! | call | right |
//! | --- | --- |
//! | `listen`, `accept`, `sock_accept` | `fd_read` |
//! | `connect` | `fd_write` |
//! | `option_get` | `fd_filestat_get` |
//! | `option_set`, `group_join`, `group_leave` | `fd_fdstat_set_flags` |
//!
//! `stream_create` and `stream_accept` hand down what the connection inherits, and addresses are no secret: no right.

use wasmtime_wasi::p1::types as preview1;

/// A set of rights, in the layout of the `networking` module.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rights(u64);

impl Rights {
    pub const NONE: Rights = Rights(0);
    pub const FD_READ: Rights = Rights(1 << 1);
    pub const FD_FDSTAT_SET_FLAGS: Rights = Rights(1 << 3);
    pub const FD_WRITE: Rights = Rights(1 << 6);
    pub const FD_FILESTAT_GET: Rights = Rights(1 << 22);
    pub const POLL_FD_READWRITE: Rights = Rights(1 << 29);
    pub const SOCK_SHUTDOWN: Rights = Rights(1 << 30);

    /// Everything that can be done to a network descriptor.
    pub const NETWORK: Rights = Rights(
        Self::FD_READ.0
            | Self::FD_FDSTAT_SET_FLAGS.0
            | Self::FD_WRITE.0
            | Self::FD_FILESTAT_GET.0
            | Self::POLL_FD_READWRITE.0
            | Self::SOCK_SHUTDOWN.0,
    );

    pub const fn from_networking(bits: u64) -> Self {
        Rights(bits)
    }

    pub fn from_preview1(rights: preview1::Rights) -> Self {
        let bits = rights.bits();
        // Bits below 21 stay, 21..24 move by one, 24 and up by two.
        Rights((bits & 0x001f_ffff) | ((bits >> 21 & 0b111) << 22) | ((bits >> 24) << 26))
    }

    /// What preview 1 has no bit for is left out.
    pub fn to_preview1(self) -> preview1::Rights {
        let bits = (self.0 & 0x001f_ffff) | ((self.0 >> 22 & 0b111) << 21) | ((self.0 >> 26) << 24);
        preview1::Rights::from_bits_truncate(bits)
    }

    pub const fn bits(self) -> u64 {
        self.0
    }

    pub fn contains(self, other: Rights) -> bool {
        self.0 & other.0 == other.0
    }

    pub fn and(self, other: Rights) -> Rights {
        Rights(self.0 & other.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn preview_1_has_the_same_rights_at_its_own_bits() {
        for (ours, theirs) in [
            (Rights::FD_READ, preview1::Rights::FD_READ),
            (Rights::FD_WRITE, preview1::Rights::FD_WRITE),
            (Rights::FD_FILESTAT_GET, preview1::Rights::FD_FILESTAT_GET),
            (Rights::POLL_FD_READWRITE, preview1::Rights::POLL_FD_READWRITE),
            (Rights::SOCK_SHUTDOWN, preview1::Rights::SOCK_SHUTDOWN),
        ] {
            assert_eq!(ours.to_preview1(), theirs);
            assert_eq!(Rights::from_preview1(theirs), ours);
        }
    }

    #[test]
    fn every_right_of_preview_1_survives_the_way_there_and_back() {
        let all = preview1::Rights::all();
        assert_eq!(Rights::from_preview1(all).to_preview1(), all);
    }
}
