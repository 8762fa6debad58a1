//! Guests killed, paused, resumed and started anew.

use std::sync::Arc;

use crate::abi::lock;
use crate::guest::{Exit, Guest, Program};
use crate::rng::Seed;
use crate::scenario::plan::GuestPlan;
use crate::world::build::{fresh_node, limits};
use crate::world::{GuestState, Report, World};

/// What a guest is started from again.
pub(in crate::world) struct Boot {
    pub program: Program,
    /// `None`: the driver feeds it.
    pub stdin: Option<Vec<u8>>,
}

impl World {
    pub(super) fn kill(&mut self, guest: usize, graceful: bool) {
        let state = self.guests[guest].state;
        self.guests[guest].killed |= state.is_running();
        if graceful {
            if state.is_running() {
                self.end(guest, Exit::Killed);
            }
            return;
        }
        self.reset_node(guest);
        self.nodes[guest].powered = false;
        if state.is_running() {
            self.gone(guest, Exit::Killed);
        }
        self.guests[guest].state = GuestState::Gone;
    }

    pub(super) fn pause(&mut self, guest: usize) {
        let slot = &mut self.guests[guest];
        slot.paused = true;
        slot.missed |= slot.ready;
        if std::mem::take(&mut slot.ready) {
            self.ready.retain(|&other| other != guest);
        }
    }

    pub(super) fn resume(&mut self, guest: usize) {
        let slot = &mut self.guests[guest];
        slot.paused = false;
        if std::mem::take(&mut slot.missed) {
            self.make_ready(guest);
        }
    }

    pub(super) fn restart(&mut self, guest: usize, graceful: bool) {
        self.kill(guest, graceful);
        let slot = &mut self.guests[guest];
        (slot.killed, slot.paused, slot.missed, slot.deadline) = (false, false, false, None);
        self.nodes[guest].powered = true;
        // One that could not be started at first has nothing to be started from.
        let Some(boot) = slot.boot.clone() else { return };
        let plan = slot.plan.clone();
        let started = self.boot(guest, &plan, &boot);
        match started {
            Ok(running) => {
                self.guests[guest].guest = Some(running);
                self.guests[guest].state = GuestState::Waiting;
                self.start(guest);
            }
            Err(exit) => {
                self.guests[guest].state = GuestState::Gone;
                self.reports.push(Report::Exited { guest, exit });
            }
        }
    }

    /// A guest on its node, about to run.
    pub(in crate::world) fn boot(&self, guest: usize, plan: &GuestPlan, boot: &Boot) -> Result<Guest, Exit> {
        let shared = Arc::clone(&self.nodes[guest].node);
        {
            let mut node = lock(&shared);
            node.begin_program(self.now);
            if let Some(input) = &boot.stdin {
                node.stdio.feed(input);
                node.stdio.end_input();
            }
        }
        Guest::start(&boot.program, shared, self.setup(plan), limits(plan))
    }

    /// A stack without a memory: connections, neighbours and sequence numbers are new. The clock keeps its skew.
    fn reset_node(&mut self, guest: usize) {
        self.collect_output(guest);
        self.guests[guest].guest = None;
        let slot = &mut self.nodes[guest];
        slot.boots += 1;
        slot.timer = None;
        let mut fresh =
            fresh_node(&self.guests[guest].plan, Seed(self.settings.seed), slot.boots, &self.settings);
        fresh.now = self.now;
        {
            let mut node = lock(&slot.node);
            fresh.set_skew(node.skew());
            *node = fresh;
        }
        for port in self.nodes[guest].ports.clone() {
            self.set_eager([port, self.ports[port].link.as_ref().map_or(port, |(peer, _)| *peer)]);
        }
    }
}
