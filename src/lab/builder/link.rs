//! The knobs of a link of a lab that is made in Rust.

use std::time::Duration;

use toml_edit::Value;

use super::{Keys, time};

/// Knobs of a link; the ideal one without any. docs/links.md tells what each does.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Link {
    keys: Keys,
}

impl Link {
    pub fn new() -> Link {
        Link::default()
    }

    /// One-way.
    pub fn delay(self, delay: Duration) -> Link {
        self.set("delay", time(delay))
    }

    /// How far the delay varies.
    pub fn jitter(self, jitter: Duration) -> Link {
        self.set("jitter", time(jitter))
    }

    /// Bits a second.
    pub fn rate(self, bits_per_second: u64) -> Link {
        self.set("rate", format!("{bits_per_second}bit"))
    }

    /// Packets that may wait for the rate.
    pub fn queue(self, packets: u32) -> Link {
        self.set("queue", i64::from(packets))
    }

    /// Probability that a frame is lost, each for itself.
    pub fn loss(self, probability: f64) -> Link {
        self.set("loss", probability)
    }

    /// Frames that are lost, by their numbers from 1.
    pub fn drop(self, frames: impl IntoIterator<Item = i64>) -> Link {
        self.set("drop", Value::Array(frames.into_iter().collect()))
    }

    /// Other knobs from the first end to the second: from a guest to its switch.
    pub fn forward(self, link: Link) -> Link {
        self.set("forward", link.keys.into_inline())
    }

    /// Other knobs from the second end to the first.
    pub fn backward(self, link: Link) -> Link {
        self.set("backward", link.keys.into_inline())
    }

    /// Any other knob.
    pub fn set(mut self, knob: &str, value: impl Into<Value>) -> Link {
        self.keys.set(knob, value);
        self
    }

    pub(super) fn into_keys(self) -> Keys {
        self.keys
    }
}
