//! Expectations of a lab that is made in Rust.

use std::ops::RangeInclusive;
use std::time::Duration;

use toml_edit::Value;

use super::{Keys, time};

/// What is expected of every run: an `[[expect]]`.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Expect {
    pub(super) keys: Keys,
}

impl Expect {
    /// Of a guest; what, is for [`Expect::exit`] and those below it to say.
    pub fn guest(name: &str) -> Expect {
        Expect::default().set("guest", name)
    }

    /// So many packets match this display filter.
    pub fn packets(filter: &str, count: RangeInclusive<u64>) -> Expect {
        Expect::default().set("packets", filter).set("count", range(&count))
    }

    /// At least one packet matches.
    pub fn eventually(filter: &str) -> Expect {
        Expect::default().set("eventually", filter)
    }

    /// No packet matches.
    pub fn never(filter: &str) -> Expect {
        Expect::default().set("never", filter)
    }

    /// `frames`, `bytes`, `drops`, `retransmissions` or `handshakes`: so many.
    pub fn counter(name: &str, count: RangeInclusive<u64>) -> Expect {
        Expect::default().set("counter", name).set("count", range(&count))
    }

    pub fn exit(self, code: u32) -> Expect {
        self.set("exit", i64::from(code))
    }

    pub fn stdout(self, whole: &str) -> Expect {
        self.set("stdout", whole)
    }

    pub fn stdout_has(self, part: &str) -> Expect {
        self.set("stdout_has", part)
    }

    pub fn within(self, limit: Duration) -> Expect {
        self.set("within", time(limit))
    }

    /// A file of the guest's, as it names it, is this when the lab is over; for other keys of files there is [`Expect::set`].
    pub fn file(self, path: &str, whole: &str) -> Expect {
        self.set("file", path).set("is", whole)
    }

    /// Where packets are looked at.
    pub fn at(self, port: &str) -> Expect {
        self.set("at", port)
    }

    /// Any other key.
    pub fn set(mut self, key: &str, value: impl Into<Value>) -> Expect {
        self.keys.set(key, value);
        self
    }
}

/// As scenarios write it: both ends count, and the upper one may be left out.
fn range(count: &RangeInclusive<u64>) -> String {
    match *count.end() {
        u64::MAX => format!("{}..", count.start()),
        most => format!("{}..{most}", count.start()),
    }
}
