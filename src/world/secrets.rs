//! What protocol objects tell of their secrets goes into the capture, before the frames that it decrypts.

use std::collections::{BTreeSet, VecDeque};

use super::World;

/// Lines that are remembered. Both ends of a connection in the lab tell the same, shortly after one another.
const LINES_MAX: usize = 4096;

/// Lines that the capture has.
#[derive(Default)]
pub(super) struct Secrets {
    known: BTreeSet<String>,
    order: VecDeque<String>,
}

impl Secrets {
    /// Leaves out what was told before.
    fn sift(&mut self, lines: Vec<String>) -> String {
        let mut fresh = String::new();
        for line in lines {
            if !self.known.insert(line.clone()) {
                continue;
            }
            fresh.push_str(&line);
            fresh.push('\n');
            self.order.push_back(line);
            if self.order.len() > LINES_MAX
                && let Some(oldest) = self.order.pop_front()
            {
                self.known.remove(&oldest);
            }
        }
        fresh
    }
}

impl World {
    /// To be called before anything is recorded of what the node sends.
    pub(super) fn record_secrets(&mut self, lines: Vec<String>) {
        if lines.is_empty() {
            return;
        }
        let Some(sink) = &mut self.sink else { return };
        let fresh = self.secrets.sift(lines);
        if let Err(error) = sink.secrets(&fresh) {
            self.sink_error.get_or_insert(error);
            self.sink = None;
        }
    }
}
