//! Guests killed and started anew, paused and resumed.

use std::sync::Arc;

use crate::abi::lock;
use crate::guest::{Exit, Guest, Program};
use crate::node::LeftOpen;
use crate::rng::Seed;
use crate::scenario::plan::GuestPlan;
use crate::world::build::{fresh_node, limits};
use crate::world::{GuestState, Report, World};

/// What a guest is started from, again and again.
pub(in crate::world) struct Boot {
    pub plan: GuestPlan,
    pub program: Program,
    /// `None`: the driver feeds it.
    pub stdin: Option<Vec<u8>>,
}

impl World {
    pub(super) fn kill(&mut self, guest: usize, graceful: bool) {
        let running = self.guests[guest].state.is_running();
        self.guests[guest].killed |= running;
        if graceful && running {
            self.end(guest, Exit::Killed);
        }
        if graceful {
            return;
        }
        self.nodes[guest].powered = false;
        if running {
            self.guests[guest].guest = None;
            self.collect_output(guest);
            self.guests[guest].state = GuestState::Lingering;
            self.gone(guest, Exit::Killed);
        }
        self.drained(guest);
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
        // One that could not be started at first has nothing to be started from.
        let Some(boot) = self.guests[guest].boot.clone() else { return };
        if !self.nodes[guest].powered {
            self.power_on(guest, &boot.plan);
        }
        let started = self.boot(guest, &boot);
        // What of its stack is left from before is no orphan any more.
        self.drained(guest);
        let slot = &mut self.guests[guest];
        (slot.killed, slot.paused, slot.missed, slot.deadline) = (false, false, false, None);
        slot.awaits_address = None;
        match started {
            Ok(running) => {
                (slot.guest, slot.state) = (Some(running), GuestState::Waiting);
                self.at_work += usize::from(!slot.background);
                self.start(guest);
            }
            Err(exit) => {
                self.reports.push(Report::Exited { guest, exit, left_open: LeftOpen::default() });
            }
        }
    }

    /// A guest on its node, about to run.
    pub(in crate::world) fn boot(&mut self, guest: usize, boot: &Boot) -> Result<Guest, Exit> {
        let shared = Arc::clone(&self.nodes[guest].node);
        {
            let mut node = lock(&shared);
            node.begin_program(self.now);
            if let Some(input) = &boot.stdin {
                node.stdio.feed(input);
                node.stdio.end_input();
            }
        }
        let programs = self.nodes[guest].programs;
        self.nodes[guest].programs += 1;
        Guest::start(&boot.program, shared, self.setup(&boot.plan, programs), limits(&boot.plan))
    }

    /// A stack without a memory: connections, neighbours and sequence numbers are new. The clock keeps its skew.
    fn power_on(&mut self, guest: usize, plan: &GuestPlan) {
        let slot = &mut self.nodes[guest];
        slot.powered = true;
        slot.boots += 1;
        slot.timer = None;
        let mut fresh = fresh_node(plan, Seed(self.settings.seed), slot.boots, &self.settings);
        fresh.set_checksums(self.checksums);
        {
            let mut node = lock(&slot.node);
            fresh.set_skew(node.skew());
            fresh.set_whereabouts(&self.whereabouts);
            *node = fresh;
        }
        let addresses = lock(&self.nodes[guest].node).reachable();
        self.follow_node(guest, &addresses);
        if self.eager {
            self.make_node_eager(guest);
        }
        self.mark_dirty(guest);
    }
}
