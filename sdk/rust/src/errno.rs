//! What a call that failed answered.

use core::fmt;

/// The answer of a call that failed: a code of `wasi_snapshot_preview1`, never 0.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Errno(u16);

/// What every call here returns.
pub type Result<T> = core::result::Result<T, Errno>;

macro_rules! codes {
    ($($name:ident $value:literal $meaning:literal)*) => {
        impl Errno {
            $(#[doc = $meaning] pub const $name: Errno = Errno($value);)*

            fn known(self) -> Option<(&'static str, &'static str)> {
                match self {
                    $(Errno::$name => Some((stringify!($name), $meaning)),)*
                    _ => None,
                }
            }
        }
    };
}

codes! {
    ACCES 2 "the policy forbids this address"
    ADDRINUSE 3 "the address is in use"
    ADDRNOTAVAIL 4 "the address is not one of this guest's"
    AFNOSUPPORT 5 "the address is of another protocol's family"
    AGAIN 6 "the call would have to wait"
    ALREADY 7 "a connect is still under way"
    BADF 8 "no such descriptor"
    CONNABORTED 13 "the connection is closed"
    CONNREFUSED 14 "nobody listens there"
    CONNRESET 15 "the peer reset the connection"
    FAULT 21 "a pointer reaches outside the memory"
    HOSTUNREACH 23 "no way to the host"
    ILSEQ 25 "not UTF-8"
    INPROGRESS 26 "the connect has begun"
    INVAL 28 "an argument has no meaning"
    IO 29 "input or output failed"
    ISCONN 30 "the control has connected"
    MFILE 33 "the descriptor table is full"
    MSGSIZE 35 "the datagram is too long"
    NETDOWN 38 "the guest's port is down"
    NETUNREACH 40 "no route to the address"
    NFILE 41 "the host's limit is reached"
    NOBUFS 42 "no room for another buffer"
    NOENT 44 "the name does not resolve"
    NOPROTOOPT 50 "no such option here"
    NOTCONN 53 "no peer"
    NOTSOCK 57 "a file, not a socket"
    NOTSUP 58 "the protocol cannot do this"
    OVERFLOW 61 "the buffer is too short"
    PIPE 64 "the peer closed the stream"
    PROTO 65 "the peer broke its protocol"
    PROTOTYPE 67 "the protocol has no sockets of this type"
    SPIPE 70 "a socket has no position"
    TIMEDOUT 73 "the peer did not answer in time"
    NOTCAPABLE 76 "the descriptor lacks the right"
}

impl Errno {
    /// The code as a number.
    pub const fn code(self) -> u16 {
        self.0
    }

    /// What an import answered: an error, unless it is 0.
    pub(crate) fn check(answer: i32) -> Result<()> {
        match answer as u16 {
            0 => Ok(()),
            code => Err(Errno(code)),
        }
    }
}

impl fmt::Debug for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.known() {
            Some((name, _)) => f.write_str(name),
            None => write!(f, "Errno({})", self.0),
        }
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.known() {
            Some((_, meaning)) => f.write_str(meaning),
            None => write!(f, "error {}", self.0),
        }
    }
}
