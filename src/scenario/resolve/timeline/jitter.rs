//! A jitter that the timeline sets, against the delays that its link has, and a delay against a jitter that stands.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::network::link::LinkParameters;
use crate::scenario::mistake::Mistakes;
use crate::scenario::plan::{EntryPlan, Plan};
use crate::scenario::spec::{ActionSpec, EntrySpec};

/// A jitter that is set is more than no delay that its link has at any time; a delay that is set is less than the jitter that
/// its link has for good.
pub(super) fn check_jitters(
    specs: &[EntrySpec],
    entries: &[Option<EntryPlan>],
    plan: &Plan,
    mistakes: &Mistakes,
) {
    let is_either = |spec: &EntrySpec| matches!(&spec.action, ActionSpec::Change { jitter, delay, .. } if jitter.is_some() || delay.is_some());
    if !specs.iter().any(is_either) {
        return;
    }
    let changes = entries.iter().map(|entry| entry.as_ref()?.action.change());
    let changes: Vec<_> = changes.collect();
    let ports = |links: &[usize], directions: [bool; 2]| -> Vec<(usize, usize)> {
        let ends = [0, 1].into_iter().filter(move |&end| directions[end]);
        links.iter().flat_map(|&link| ends.clone().map(move |end| (link, end))).collect()
    };
    let mut longest: BTreeMap<(usize, usize), Duration> = BTreeMap::new();
    for (links, directions, change) in changes.iter().flatten() {
        let Some(delay) = change.delay() else { continue };
        for port in ports(links, *directions) {
            let longest = longest.entry(port).or_default();
            *longest = delay.max(*longest);
        }
    }
    let mut jitter_changes = BTreeSet::new();
    for (spec, change) in specs.iter().zip(&changes) {
        if let (ActionSpec::Change { jitter: Some(_), .. }, Some((links, directions, _))) =
            (&spec.action, change)
        {
            jitter_changes.extend(ports(links, *directions));
        }
    }
    for (spec, change) in specs.iter().zip(changes) {
        let Some((links, directions, change)) = change else { continue };
        if let (ActionSpec::Change { jitter: None, delay: Some(at), .. }, Some(delay)) =
            (&spec.action, change.delay())
        {
            let for_good = ports(links, directions).into_iter().filter(|port| !jitter_changes.contains(port));
            let jitters = for_good.map(|(link, end)| plan.links[link].directions[end].jitter.deviation);
            if let Some(jitter) = jitters.max().filter(|jitter| *jitter > delay) {
                let message = format!("delay: {delay:?} is less than the link's jitter, {jitter:?}");
                mistakes.add(
                    at.clone(),
                    message,
                    "a frame cannot arrive before it was sent: set `jitter` too",
                );
            }
        }
        let ActionSpec::Change { jitter: Some(at), .. } = &spec.action else { continue };
        let deviation = change.over(&LinkParameters::default()).jitter.deviation;
        // With this entry's own delay alone, or with any that the link ever has.
        let own = change.delay();
        let delays = ports(links, directions).into_iter().map(|port| {
            let (link, end) = port;
            let ever = || longest.get(&port).copied().unwrap_or_default();
            own.unwrap_or_else(|| plan.links[link].directions[end].delay.max(ever()))
        });
        if let Some(delay) = delays.min().filter(|delay| deviation > *delay) {
            let message = format!("jitter: {deviation:?} is more than the delay, {delay:?}");
            mistakes.add(at.clone(), message, "a frame cannot arrive before it was sent: set `delay` too");
        }
    }
}
