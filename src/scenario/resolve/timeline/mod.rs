//! The timeline: names of guests, links, ports and devices looked up, times checked against the lab's.

mod act;
mod jitter;
mod machines;
mod names;

use std::path::Path;

use toml::Spanned;

use super::super::mistake::Mistakes;
use super::super::plan::{Action, EntryPlan, FramesPlan, Plan, Span, When};
use super::super::spec::{ActionSpec, AfterSpec, EntrySpec, FramesSpec};
use super::expect::parsed;
use jitter::check_jitters;
use names::{Names, all};

pub(super) type Name = Spanned<String>;

/// The entries of a timeline, as far as there was no mistake in them.
pub(super) fn timeline(
    entries: &[EntrySpec],
    plan: &Plan,
    folder: &Path,
    mistakes: &Mistakes,
) -> Vec<EntryPlan> {
    let resolver = Resolver { plan, folder, mistakes, names: Names::of(plan) };
    let resolved: Vec<_> = entries.iter().map(|entry| resolver.entry(entry)).collect();
    check_jitters(entries, &resolved, plan, mistakes);
    resolved.into_iter().flatten().collect()
}

pub(super) struct Resolver<'a> {
    pub plan: &'a Plan,
    folder: &'a Path,
    pub mistakes: &'a Mistakes,
    pub names: Names<'a>,
}

impl Resolver<'_> {
    fn entry(&self, spec: &EntrySpec) -> Option<EntryPlan> {
        self.check_end(spec);
        let action = self.action(&spec.action);
        let when = match (&spec.time, &spec.after, &spec.every) {
            (Some(time), ..) => When::Time(*time.get_ref()),
            (None, Some(after), _) => self.after(after)?,
            (None, None, every) => When::Time(*every.as_ref()?.get_ref()),
        };
        let span = |span: &Option<Spanned<Span>>| span.as_ref().map(|span| *span.get_ref());
        Some(EntryPlan {
            when,
            delay: span(&spec.delay).unwrap_or_default(),
            every: span(&spec.every),
            until: spec.until.as_ref().map(|until| *until.get_ref()),
            times: spec.times.as_ref().map(|times| *times.get_ref()),
            action: action?,
        })
    }

    /// What could never happen, and what could never end.
    fn check_end(&self, spec: &EntrySpec) {
        let first = spec.time.as_ref().or(spec.delay.as_ref()).or(spec.every.as_ref());
        if let (Some(duration), Some(first)) = (self.plan.duration, first)
            && first.get_ref().most > duration
        {
            let message = format!("an entry of the timeline comes after the lab's end, {duration:?}");
            self.mistakes.add(first.span(), message, "make `duration` longer, or have it earlier");
        }
        if let (Some(duration), Some(until)) = (self.plan.duration, &spec.until)
            && *until.get_ref() > duration
        {
            let message = format!("until: is after the lab's end, {duration:?}");
            self.mistakes.add(until.span(), message, "leave it out: nothing comes after the end");
        }
        if let (Some(until), Some(first)) = (&spec.until, first)
            && first.get_ref().least > *until.get_ref()
        {
            self.mistakes.add(until.span(), "until: is before the first time", "later than its beginning");
        }
        if let (Some(duration), Some(every), Some(times)) = (self.plan.duration, &spec.every, &spec.times) {
            // From the earliest instant that it can begin at, so that the last of them could not come whatever is drawn.
            let begin = if spec.after.is_some() { spec.delay.as_ref() } else { first };
            let begin = begin.map(|begin| begin.get_ref().least).unwrap_or_default();
            let after_first = u32::try_from(times.get_ref() - 1).unwrap_or(u32::MAX);
            let last =
                every.get_ref().least.checked_mul(after_first).and_then(|span| span.checked_add(begin));
            if last.is_none_or(|last| last > duration) {
                let message = format!("times: the last of them come after the lab's end, {duration:?}");
                self.mistakes.add(times.span(), message, "leave it out: nothing comes after the end");
            }
        }
        if let Some(every) = &spec.every
            && spec.until.is_none()
            && spec.times.is_none()
            && self.plan.duration.is_none()
        {
            let help = "add `until` or `times`, or give the lab a `duration`";
            self.mistakes.add(every.span(), "every: never ends, and would keep the lab going for ever", help);
        }
    }

    fn after(&self, spec: &AfterSpec) -> Option<When> {
        Some(match spec {
            AfterSpec::Printed { guest, text } => {
                When::Printed { guests: self.guest_or_replicas("after", guest)?, text: text.clone() }
            }
            AfterSpec::Started { guest } => When::Started { guests: self.guest_or_replicas("after", guest)? },
            AfterSpec::Exited { guest } => When::Exited { guests: self.guest_or_replicas("after", guest)? },
            AfterSpec::Packet { port, packet } => {
                When::Packet { port: self.port("at", port)?, packet: *packet }
            }
            AfterSpec::Matching { port, filter } => {
                let (port, filter) = (self.port("at", port), parsed(filter, self.mistakes));
                When::Matching { port: port?, filter: filter? }
            }
        })
    }

    fn action(&self, spec: &ActionSpec) -> Option<Action> {
        Some(match spec {
            ActionSpec::Change { links, directions, change, .. } => Action::Change {
                links: all(links, |name| self.link_or_replicas(name))?,
                directions: *directions,
                change: change.clone(),
            },
            ActionSpec::Partition(sides) => Action::Partition(self.partition(sides)?),
            ActionSpec::Heal => Action::Heal,
            ActionSpec::Kill { names, graceful } => {
                let (machines, graceful) = self.stopped("kill", names, graceful)?;
                Action::Kill { machines, graceful }
            }
            ActionSpec::Pause(names) => Action::Pause(self.processes("pause", names)?),
            ActionSpec::Resume(names) => Action::Resume(self.processes("resume", names)?),
            ActionSpec::Restart { names, graceful } => {
                let (machines, graceful) = self.stopped("restart", names, graceful)?;
                Action::Restart { machines, graceful }
            }
            ActionSpec::Rebind { device, interface, addresses } => {
                self.rebind(device, interface, addresses)?
            }
            ActionSpec::Dhcp { server, range, revoke } => self.dhcp(server, range.as_ref(), revoke)?,
            ActionSpec::Inject { port, frames } => Action::Inject {
                port: self.port("inject", port)?,
                frames: match frames {
                    FramesSpec::One(frame) => FramesPlan::One(frame.clone()),
                    FramesSpec::Capture(path) => FramesPlan::Capture(self.folder.join(path.get_ref())),
                },
            },
            ActionSpec::Clock { guest, skew_ns } => {
                Action::Clock { guests: self.guest_or_replicas("clock", guest)?, skew_ns: *skew_ns }
            }
        })
    }
}
