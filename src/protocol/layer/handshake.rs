//! An upgrade as a task of its own, so that no peer waits for another's handshake.

use std::time::Duration;

use super::Upgrade;
use super::gate::Gate;
use crate::error::Error;
use crate::node::Waiter;
use crate::node::object::Context;
use crate::node::task::{Handle, Task, TaskId};
use crate::time::Instant;

/// From the connection below to the guest's own, whatever lies between.
pub const HANDSHAKE: Duration = Duration::from_secs(30);

pub(super) struct Handshake {
    upgrade: Option<Box<dyn Upgrade>>,
    gate: Handle<Gate>,
    /// With whom, for the trace.
    peer: String,
    deadline: Instant,
}

impl Handshake {
    pub fn new(now: Instant, upgrade: Box<dyn Upgrade>, gate: Handle<Gate>, peer: String) -> Self {
        Self { upgrade: Some(upgrade), gate, peer, deadline: now + HANDSHAKE }
    }
}

impl Task for Handshake {
    fn poll(&mut self, cx: &mut Context, me: TaskId) {
        let Some(upgrade) = &mut self.upgrade else { return };
        let outcome = match upgrade.poll(cx, Waiter::Task(me)) {
            Err(Error::WouldBlock) if cx.now < self.deadline => return,
            Err(Error::WouldBlock) => {
                upgrade.close(cx);
                let peer = &self.peer;
                cx.journal.remark(|| format!("{peer}: handshake given up after {} s", HANDSHAKE.as_secs()));
                Err(Error::TimedOut)
            }
            outcome => outcome,
        };
        self.upgrade = None;
        let mut outcome = Some(outcome);
        cx.with_task(self.gate, |gate, cx| {
            if let Some(outcome) = outcome.take() {
                gate.finished(cx, me, outcome);
            }
        });
        // Nobody is there to have it.
        if let Some(Ok(mut connection)) = outcome {
            connection.close(cx);
        }
    }

    fn poll_at(&self) -> Option<Instant> {
        let upgrade = self.upgrade.as_ref()?;
        Some(upgrade.poll_at().map_or(self.deadline, |at| at.min(self.deadline)))
    }

    fn is_over(&self) -> bool {
        self.upgrade.is_none()
    }

    fn abort(&mut self, cx: &mut Context) {
        if let Some(mut upgrade) = self.upgrade.take() {
            upgrade.close(cx);
        }
    }
}
