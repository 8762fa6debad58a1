//! Guests by turns: started, run, woken, ended, and their stacks lingering on.

use super::{Event, Report, World};
use crate::abi::lock;
use crate::guest::{Exit, Step};
use crate::time::Instant;

/// Where a guest is in its life. World guest `n` is on node `n`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GuestState {
    /// Its time has not come.
    Waiting,
    Running,
    /// It ended; its stack has bytes that are not acknowledged yet.
    Lingering,
    Gone,
}

impl GuestState {
    pub fn is_running(self) -> bool {
        match self {
            GuestState::Waiting | GuestState::Running => true,
            GuestState::Lingering | GuestState::Gone => false,
        }
    }
}

impl World {
    pub(super) fn make_ready(&mut self, guest: usize) {
        // A service has its turn when its node is polled.
        let Some(slot) = self.guests.get_mut(guest) else { return };
        if slot.state != GuestState::Running || slot.guest.is_none() {
            return;
        }
        if slot.paused {
            slot.missed = true;
        } else if !slot.ready {
            slot.ready = true;
            self.ready.push_back(guest);
        }
    }

    pub(super) fn start(&mut self, guest: usize) {
        // Built before; one that could not be ended then.
        if self.guests[guest].state == GuestState::Waiting && !self.waits_for_address(guest) {
            self.guests[guest].state = GuestState::Running;
            self.make_ready(guest);
            self.saw_start(guest);
        }
    }

    /// True while a guest that is to start has no address yet, and may wait for one.
    fn waits_for_address(&mut self, guest: usize) -> bool {
        let powered = self.nodes[guest].powered;
        let configured = lock(&self.nodes[guest].node).is_configured();
        let slot = &mut self.guests[guest];
        let until = match slot.awaits_address {
            Some(until) => until,
            None => {
                let until = self.now + slot.address_wait;
                if !configured && powered && until > self.now {
                    slot.awaits_address = Some(until);
                    self.events.push(until, Event::Start { guest });
                }
                until
            }
        };
        if !configured && powered && until > self.now {
            return true;
        }
        slot.awaits_address = None;
        false
    }

    /// Each ready guest has one turn.
    pub(super) fn run_guests(&mut self) {
        for _ in 0..self.ready.len() {
            let Some(guest) = self.ready.pop_front() else { break };
            let now = self.now;
            let slot = &mut self.guests[guest];
            slot.ready = false;
            slot.deadline = None;
            let Some(running) = &mut slot.guest else { continue };
            self.turn_at = now;
            lock(&self.nodes[guest].node).now = now;
            let step = running.run();
            self.turns += 1;
            let quantum_fuel = running.quantum_fuel();
            let deadline = self.look_after(guest);
            match step {
                Step::Yielded => {
                    let at = {
                        let mut node = lock(&self.nodes[guest].node);
                        node.cpu.charge_quantum(now, quantum_fuel);
                        node.clock()
                    };
                    // It computed: in virtual time that took as long as its fuel says.
                    if at > now { self.wake_at(guest, at) } else { self.make_ready(guest) }
                }
                Step::Blocked => {
                    if let Some(at) = deadline {
                        self.wake_at(guest, at);
                    }
                }
                Step::Exited(exit) => self.end(guest, exit),
            }
        }
    }

    /// An alarm that is set already and rings before `at` is looked at again then: guests that wait with a long
    /// timeout for what comes soon, again and again, must not fill the queue.
    fn wake_at(&mut self, guest: usize, at: Instant) {
        let slot = &mut self.guests[guest];
        slot.deadline = Some(at);
        if at < Instant::FAR_FUTURE && slot.alarms.last().is_none_or(|&next| at < next) {
            slot.alarms.push(at);
            self.events.push(at, Event::Alarm { guest });
        }
    }

    pub(super) fn alarm(&mut self, guest: usize) {
        let slot = &mut self.guests[guest];
        slot.alarms.pop();
        match slot.deadline {
            Some(deadline) if deadline <= self.now => self.make_ready(guest),
            Some(deadline) => self.wake_at(guest, deadline),
            None => {}
        }
    }

    /// Takes what a guest's calls left in its node: work, output, a wake-up, a deadline.
    pub(super) fn look_after(&mut self, guest: usize) -> Option<Instant> {
        let (work, woken, deadline, output) = {
            let mut node = lock(&self.nodes[guest].node);
            (node.has_work(), node.take_woken(), node.take_deadline(), node.stdio.has_output())
        };
        if work {
            self.mark_dirty(guest);
        }
        if output {
            self.collect_output(guest);
        }
        if woken {
            self.make_ready(guest);
        }
        deadline
    }

    pub(super) fn collect_output(&mut self, guest: usize) {
        let (outputs, woken) = {
            let mut node = lock(&self.nodes[guest].node);
            (node.stdio.take_output(), node.take_woken())
        };
        self.saw_output(guest, &outputs);
        self.reports.extend(outputs.into_iter().map(|output| Report::Output { guest, output }));
        if woken {
            self.make_ready(guest);
        }
    }

    /// The guest is gone; its stack goes on until what was written is acknowledged or its linger is over.
    pub(super) fn end(&mut self, guest: usize, exit: Exit) {
        // The trace tells of the call that it was in.
        self.guests[guest].guest = None;
        self.collect_output(guest);
        let slot = &mut self.guests[guest];
        slot.state = GuestState::Lingering;
        let linger = slot.linger;
        self.gone(guest, exit);
        let drained = {
            let mut node = lock(&self.nodes[guest].node);
            node.now = self.now;
            node.close_all();
            node.is_drained()
        };
        if drained {
            self.drained(guest);
        } else {
            self.mark_dirty(guest);
            self.events.push(self.now + linger, Event::LingerOver { guest });
        }
    }

    /// Tells the end of a guest, whose store is dropped already.
    pub(super) fn gone(&mut self, guest: usize, exit: Exit) {
        let left_open = lock(&self.nodes[guest].node).left_open;
        self.reports.push(Report::Exited { guest, exit, left_open });
        self.saw_exit(guest);
    }

    /// Its stack has nothing left to do: if the guest has ended, it is gone.
    pub(super) fn drained(&mut self, guest: usize) {
        let Some(slot) = self.guests.get_mut(guest) else { return };
        if slot.state == GuestState::Lingering {
            slot.state = GuestState::Gone;
            self.at_work -= usize::from(!slot.background);
        }
    }

    pub(super) fn linger_over(&mut self, guest: usize) {
        if self.guests[guest].state != GuestState::Lingering {
            return;
        }
        lock(&self.nodes[guest].node).abort_all();
        self.drained(guest);
        self.mark_dirty(guest);
    }
}
