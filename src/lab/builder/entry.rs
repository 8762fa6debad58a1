//! Entries of the timeline of a lab that is made in Rust.

use std::time::Duration;

use toml_edit::{Array, InlineTable, Value};

use super::{Keys, Link, list, time};

/// When something happens; what it is makes an [`Entry`] of it.
#[derive(Clone, Debug)]
#[must_use]
pub struct At {
    keys: Keys,
}

/// What happens, and when: an `[[at]]`.
#[derive(Clone, Debug)]
#[must_use]
pub struct Entry {
    pub(super) keys: Keys,
}

impl At {
    /// So long after the lab began.
    pub fn time(after: Duration) -> At {
        let mut keys = Keys::default();
        keys.set("time", time(after));
        At { keys }
    }

    /// Once a guest has written this, on either output.
    pub fn printed(guest: &str, text: &str) -> At {
        At::after([("guest", guest.into()), ("printed", text.into())])
    }

    pub fn started(guest: &str) -> At {
        At::after([("guest", guest.into()), ("started", true.into())])
    }

    pub fn exited(guest: &str) -> At {
        At::after([("guest", guest.into()), ("exited", true.into())])
    }

    /// Once a packet that matches this display filter crosses a port.
    pub fn packet(port: &str, filter: &str) -> At {
        At::after([("at", port.into()), ("packet", filter.into())])
    }

    fn after(event: impl IntoIterator<Item = (&'static str, Value)>) -> At {
        let mut keys = Keys::default();
        keys.set("after", Value::InlineTable(event.into_iter().collect::<InlineTable>()));
        At { keys }
    }

    /// So long after that event.
    pub fn delay(self, delay: Duration) -> At {
        self.key("delay", time(delay))
    }

    /// Again and again, so long after the last time.
    pub fn every(self, interval: Duration) -> At {
        self.key("every", time(interval))
    }

    /// How often at most, with [`At::every`].
    pub fn times(self, times: u32) -> At {
        self.key("times", i64::from(times))
    }

    /// Changes these knobs of a link, and leaves the others.
    pub fn change(self, link: &str, knobs: Link) -> Entry {
        self.key("link", link).action("set", knobs.into_keys().into_inline())
    }

    pub fn down(self, link: &str) -> Entry {
        self.action("down", link)
    }

    pub fn up(self, link: &str) -> Entry {
        self.action("up", link)
    }

    /// Keeps these apart: names of guests, routers and switches.
    pub fn partition(self, one_side: &[&str], other_side: &[&str]) -> Entry {
        let sides = [one_side, other_side].map(|side| list(side.iter().copied()));
        self.action("partition", Value::Array(Array::from_iter(sides)))
    }

    pub fn heal(self) -> Entry {
        self.action("heal", true)
    }

    /// Ends a guest or a router, as a machine whose power fails.
    pub fn kill(self, name: &str) -> Entry {
        self.action("kill", name)
    }

    pub fn restart(self, name: &str) -> Entry {
        self.action("restart", name)
    }

    pub fn pause(self, guest: &str) -> Entry {
        self.action("pause", guest)
    }

    pub fn resume(self, guest: &str) -> Entry {
        self.action("resume", guest)
    }

    /// Any other action; keys that go with it are for [`Entry::set`].
    pub fn action(self, key: &str, value: impl Into<Value>) -> Entry {
        let At { keys } = self.key(key, value);
        Entry { keys }
    }

    fn key(mut self, key: &str, value: impl Into<Value>) -> At {
        self.keys.set(key, value);
        self
    }
}

impl Entry {
    /// Any other key: `graceful`, `direction`.
    pub fn set(mut self, key: &str, value: impl Into<Value>) -> Entry {
        self.keys.set(key, value);
        self
    }
}
