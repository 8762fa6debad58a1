//! The timeline at work: entries wait for their time or their trigger, and act.
//!
//! ```text
//! time, or trigger (watch.rs) --> Event::Entry --> act.rs: links, partitions, frames, clocks, addresses
//!                                                  '-> boot.rs: guests killed, paused, started anew
//! ```
//!
//! An entry that is due is an event of the world like any other, so entries of one instant happen in the order in
//! which they became due, and those that are due from the beginning in file order, before anything else of that
//! instant. Each entry draws from a stream of its own, `timeline:N`, counted from 0 in file order.

mod act;
mod boot;
mod servers;
mod watch;

pub(super) use boot::Boot;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::{Event, World};
use crate::capture::{self, Session};
use crate::rng::{Rng, Seed};
use crate::scenario::assets::Assets;
use crate::scenario::plan::{Action, EntryPlan, FramesPlan, Plan, PortPlan, RouterPlan, ServicePlan, When};
use crate::time::Instant;
use watch::Watches;

/// Frames to be injected, each with its time after the first.
type Frames = Arc<[(Duration, Bytes)]>;

#[derive(Default)]
pub(super) struct Timeline {
    entries: Vec<Entry>,
    watches: Watches,
    captures: BTreeMap<PathBuf, Frames>,
    partition: Option<Partition>,
    sides_used: u32,
    /// What routers and services are made from, if the timeline switches any on again.
    routers: Vec<RouterPlan>,
    services: Vec<ServicePlan>,
}

struct Entry {
    plan: Arc<EntryPlan>,
    rng: Rng,
    /// It is among the world's events.
    due: bool,
    taken: u64,
}

/// Who is kept apart from whom.
struct Partition {
    /// Sides of other partitions have lower numbers: frames that still carry those belong to no side of this one.
    first_side: u32,
    /// Of the device of each port of the world; 0: of none.
    sides: Vec<u32>,
}

impl Timeline {
    /// # Errors
    /// A capture to be injected that cannot be read.
    pub fn new(plan: &Plan, assets: &Assets, seed: Seed, session: &Session) -> Result<Timeline, String> {
        let mut timeline = Timeline::default();
        for entry in &plan.timeline {
            if let Action::Restart { machines, .. } = &entry.action {
                if !machines.routers.is_empty() {
                    timeline.routers.clone_from(&plan.routers);
                }
                if !machines.services.is_empty() {
                    timeline.services.clone_from(&plan.services);
                }
            }
        }
        for (number, entry) in plan.timeline.iter().enumerate() {
            if let Action::Inject { frames: FramesPlan::Capture(path), .. } = &entry.action
                && !timeline.captures.contains_key(path)
            {
                let frames =
                    capture::frames(assets.get(path)?).map_err(|why| format!("{}: {why}", path.display()))?;
                timeline.captures.insert(path.clone(), frames.into());
            }
            timeline.watches.add(number, &entry.when, session);
            timeline.entries.push(Entry {
                plan: Arc::new(entry.clone()),
                rng: seed.fork(&format!("timeline:{number}")),
                due: false,
                taken: 0,
            });
        }
        Ok(timeline)
    }

    /// True if a frame may not go from a device to the next. Marks the frame with the side that it comes from.
    pub fn parts(&self, frame: &mut crate::network::Frame, port: usize, peer: usize) -> bool {
        let Some(Partition { first_side, sides }) = &self.partition else { return false };
        if sides[port] != 0 {
            frame.side = sides[port];
        }
        sides[peer] != 0 && frame.side >= *first_side && frame.side != sides[peer]
    }

    /// True if there are entries to come at times that are known.
    pub fn awaits_time(&self) -> bool {
        self.entries.iter().any(|entry| entry.due)
    }

    /// True if the timeline may start the guest again.
    pub fn restarts(&self, guest: usize) -> bool {
        self.entries.iter().any(|entry| entry.restarts(guest))
    }
}

impl Entry {
    fn restarts(&self, guest: usize) -> bool {
        matches!(&self.plan.action, Action::Restart { machines, .. } if machines.guests.contains(&guest))
    }
}

impl World {
    /// True if a guest that was killed is to be started again at a time that is known.
    pub(super) fn awaits_restart(&self) -> bool {
        let killed = |guest: usize| self.guests[guest].killed && !self.guests[guest].background;
        self.timeline.entries.iter().filter(|entry| entry.due).any(|entry| match &entry.plan.action {
            Action::Restart { machines, .. } => machines.guests.iter().any(|&guest| killed(guest)),
            _ => false,
        })
    }

    /// Entries with a time become events.
    pub(super) fn begin_timeline(&mut self) {
        for number in 0..self.timeline.entries.len() {
            let entry = &mut self.timeline.entries[number];
            if let When::Time(span) = entry.plan.when {
                let at = Instant::START + span.draw(&mut entry.rng);
                self.schedule_entry(number, at);
            }
        }
    }

    fn schedule_entry(&mut self, number: usize, at: Instant) {
        let entry = &mut self.timeline.entries[number];
        if entry.plan.until.is_none_or(|until| at <= Instant::START + until) {
            entry.due = true;
            self.events.push(at, Event::Entry { number });
        }
    }

    /// What an entry waited for has happened.
    fn trigger_entry(&mut self, number: usize) {
        let entry = &mut self.timeline.entries[number];
        let at = self.now + entry.plan.delay.draw(&mut entry.rng);
        self.schedule_entry(number, at);
    }

    pub(super) fn take_entry(&mut self, number: usize) {
        let entry = &mut self.timeline.entries[number];
        entry.due = false;
        entry.taken += 1;
        let plan = Arc::clone(&entry.plan);
        if let Some(every) = plan.every
            && plan.times.is_none_or(|times| entry.taken < times)
        {
            let at = self.now + every.draw(&mut entry.rng);
            self.schedule_entry(number, at);
        }
        self.act(&plan.action);
    }
}

/// The world's number of a port: both ends of each link, in the plan's order.
fn world_port(port: PortPlan) -> usize {
    2 * port.link + port.end
}
