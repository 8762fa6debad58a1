//! Numbers of UDP flows, in order of their first datagram.

use std::collections::BTreeMap;

use super::tcp::Endpoint;

#[derive(Debug, Default)]
pub(super) struct Flows {
    numbers: BTreeMap<[Endpoint; 2], u32>,
}

impl Flows {
    pub fn len(&self) -> usize {
        self.numbers.len()
    }

    /// The flow between two ends, whichever of them sends.
    pub fn number(&mut self, from: Endpoint, to: Endpoint) -> u32 {
        let next = self.numbers.len() as u32;
        *self.numbers.entry([from.min(to), from.max(to)]).or_insert(next)
    }
}
