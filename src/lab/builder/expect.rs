//! Expectations of a lab that is made in Rust.

use std::ops::{Bound, RangeBounds};
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

    /// So many packets match this display filter: `1..=1`, `2..`, `..10`.
    pub fn packets(filter: &str, count: impl RangeBounds<u64>) -> Expect {
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

    /// Every packet matches, of those that match [`Expect::among`] if that is given, and there is one.
    pub fn always(filter: &str) -> Expect {
        Expect::default().set("always", filter)
    }

    /// `frames`, `bytes`, `drops`, `retransmissions` or `handshakes`: so many.
    pub fn counter(name: &str, count: impl RangeBounds<u64>) -> Expect {
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

    /// The packets that [`Expect::always`] is about.
    pub fn among(self, filter: &str) -> Expect {
        self.set("among", filter)
    }

    /// One seed of a sweep that meets it is enough: `guestnet test` says whether there was one, and a report of one run only whether
    /// it was this one.
    pub fn sometimes(self) -> Expect {
        self.set("sometimes", true)
    }

    /// Any other key.
    pub fn set(mut self, key: &str, value: impl Into<Value>) -> Expect {
        self.keys.set(key, value);
        self
    }
}

/// As scenarios write it: both ends count, and the upper one may be left out. One that is empty is a mistake there.
fn range(count: &impl RangeBounds<u64>) -> String {
    let least = match count.start_bound() {
        Bound::Included(&least) => least,
        Bound::Excluded(&below) => below.saturating_add(1),
        Bound::Unbounded => 0,
    };
    match count.end_bound() {
        Bound::Unbounded | Bound::Included(&u64::MAX) => format!("{least}.."),
        Bound::Included(most) => format!("{least}..{most}"),
        Bound::Excluded(0) => "1..0".to_owned(),
        Bound::Excluded(above) => format!("{least}..{}", above - 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_rust_are_those_of_scenarios() {
        assert_eq!(range(&(1..=3)), "1..3");
        assert_eq!(range(&(1..3)), "1..2");
        assert_eq!(range(&(2..)), "2..");
        assert_eq!(range(&(2..=u64::MAX)), "2..");
        assert_eq!(range(&(..10)), "0..9");
        assert_eq!(range(&..), "0..");
        assert_eq!(range(&(..0)), "1..0");
    }
}
