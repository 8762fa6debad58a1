//! Rights, in the layout of the `networking` module, which is not preview 1's.

use core::ops::{BitAnd, BitOr};

/// What may be done with a descriptor, as `networking` counts the bits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Rights(u64);

impl Rights {
    /// No right at all.
    pub const NONE: Rights = Rights(0);
    /// `fd_read`, `sock_recv`; on a control `listen` and `accept`.
    pub const READ: Rights = Rights(1 << 1);
    /// `fd_fdstat_set_flags`, `option_set`.
    pub const SET_FLAGS: Rights = Rights(1 << 3);
    /// `fd_write`, `sock_send`; on a control `connect`.
    pub const WRITE: Rights = Rights(1 << 6);
    /// `fd_filestat_get`, `option_get`.
    pub const FILESTAT_GET: Rights = Rights(1 << 22);
    /// `poll_oneoff`.
    pub const POLL: Rights = Rights(1 << 29);
    /// `sock_shutdown`.
    pub const SHUTDOWN: Rights = Rights(1 << 30);
    /// Everything that has a meaning for a network descriptor.
    pub const SOCKET: Rights = Rights(
        Rights::READ.0
            | Rights::SET_FLAGS.0
            | Rights::WRITE.0
            | Rights::FILESTAT_GET.0
            | Rights::POLL.0
            | Rights::SHUTDOWN.0,
    );

    /// The rights with these bits.
    pub const fn from_bits(bits: u64) -> Rights {
        Rights(bits)
    }

    /// The bits.
    pub const fn bits(self) -> u64 {
        self.0
    }
}

impl BitOr for Rights {
    type Output = Rights;
    fn bitor(self, other: Rights) -> Rights {
        Rights(self.0 | other.0)
    }
}

impl BitAnd for Rights {
    type Output = Rights;
    fn bitand(self, other: Rights) -> Rights {
        Rights(self.0 & other.0)
    }
}
