//! How a run ends: by itself, for nothing more to come, or because it is stopped.

use std::time::Duration;

use super::{GuestState, World};
use crate::guest::Exit;
use crate::time::Instant;

/// Rounds that what is sent at the end may go on for.
const LAST_ROUNDS: usize = 64;

/// Longer than the lifetimes that anybody advertises.
const IDLE_MAX: Duration = Duration::from_secs(60 * 86_400);

impl World {
    /// True once every guest ended and what it wrote was acknowledged. Guests in the background do not count;
    /// a lab without any other is never over by itself. One that was killed counts while it is to be restarted.
    pub fn is_over(&self) -> bool {
        self.foreground > 0 && self.at_work == 0 && !self.awaits_restart()
    }

    /// True if what happens next, at `at`, is only what machines do by themselves, advertisements and leases, and has
    /// been for so long that no guest will ever hear of it.
    pub fn has_stalled(&self, at: Instant) -> bool {
        at.since(self.turn_at) > IDLE_MAX
            && self.guests.iter().all(|slot| {
                slot.deadline.is_none()
                    && slot.state != GuestState::Waiting
                    && slot.state != GuestState::Lingering
            })
            && !self.timeline.awaits_time()
    }

    /// How long a guest's stack may live on: the longest of them.
    pub fn linger_max(&self) -> Duration {
        self.guests.iter().map(|slot| slot.linger).max().unwrap_or_default()
    }

    /// Ends every guest that is still there, and lets their stacks say so: what they send at this instant is
    /// sent, and nothing after. Connections that are not done by then are reset, as there is nobody left to carry
    /// them on: a peer outside would wait for ever.
    pub fn stop(&mut self) {
        for guest in 0..self.guests.len() {
            if self.guests[guest].state.is_running() {
                self.end(guest, Exit::Stopped);
            }
        }
        self.last_rounds();
        for guest in 0..self.guests.len() {
            self.linger_over(guest);
        }
        self.last_rounds();
    }

    fn last_rounds(&mut self) {
        for _ in 0..LAST_ROUNDS {
            if !self.poll(self.now) {
                break;
            }
        }
    }
}
