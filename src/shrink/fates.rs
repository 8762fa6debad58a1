//! What became of the frames of a link, read from a run's records.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::capture::{Record, Way};
use crate::lab::Report;
use crate::network::PacketId;
use crate::network::link::{
    Chance, Direction, Discipline, DropReason, Jitter, LinkParameters, Loss, Rate, Reorder, Script, Verdict,
};
use crate::rng::Seed;
use crate::scenario::plan::LinkPlan;

/// Fates of single frames of one direction, by their numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Fates {
    pub drop: Vec<u64>,
    pub delayed: Vec<(u64, Duration)>,
    pub duplicated: Vec<u64>,
    /// The delay of all others, where theirs was not the same.
    pub delay: Option<Duration>,
}

/// A frame that was offered to a direction, and how its copies arrived.
pub(super) struct Offered<'a> {
    pub sent: &'a Record,
    arrivals: Vec<&'a Record>,
}

impl Offered<'_> {
    fn latency(&self) -> Option<Duration> {
        self.arrivals.first().map(|first| first.at.since(self.sent.at))
    }
}

/// The frames that were offered to one direction of a link, in the order in which it counts them.
pub(super) fn offered<'a>(link: &LinkPlan, direction: usize, report: &'a Report) -> Option<Vec<Offered<'a>>> {
    let port = |end: usize| {
        let port = report.session.ports.iter().position(|port| port.name == link.ends[end].name);
        port.and_then(|port| u32::try_from(port).ok())
    };
    let (from, to) = (port(direction)?, port(1 - direction)?);
    let mut offered: Vec<Offered<'a>> = Vec::new();
    let mut last: BTreeMap<PacketId, usize> = BTreeMap::new();
    for record in &report.records {
        match record.way {
            Way::Outbound if record.port == from && !record.late => {
                last.insert(record.frame.id, offered.len());
                offered.push(Offered { sent: record, arrivals: Vec::new() });
            }
            Way::Inbound if record.port == to => {
                if let Some(&at) = last.get(&record.frame.id) {
                    offered[at].arrivals.push(record);
                }
            }
            Way::Outbound | Way::Inbound => {}
        }
    }
    Some(offered)
}

/// How lists can tell of a direction's delays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Delays {
    /// All are the link's own.
    Fixed,
    /// Chance has a part in them: whatever is more than the link would have them wait by itself.
    Drawn,
    /// The timeline changes them: whatever is more than the shortest.
    Changed,
}

/// What became of the frames of one direction of a link. One that arrived altered counts as dropped: the checksums of its
/// receiver see to that. `None` if lists cannot tell of it.
pub(super) fn of_direction(
    link: &LinkPlan,
    direction: usize,
    delays: Delays,
    report: &Report,
) -> Option<Fates> {
    let offered = offered(link, direction, report)?;
    let parameters = &link.directions[direction];
    let mut fates = Fates::default();
    for (number, frame) in (1..).zip(&offered) {
        let altered = frame.arrivals.first().is_some_and(|first| first.frame.bytes != frame.sent.frame.bytes);
        let drawn = [DropReason::Loss, DropReason::Listed, DropReason::Red];
        if altered || frame.sent.dropped.is_some_and(|reason| drawn.contains(&reason)) {
            fates.drop.push(number);
        } else if frame.arrivals.len() > 1 {
            fates.duplicated.push(number);
        }
    }
    let by_itself = match delays {
        Delays::Fixed => return Some(fates),
        Delays::Drawn => undisturbed(parameters, &offered)?,
        Delays::Changed if parameters.rate == Rate::Unlimited => vec![Duration::ZERO; offered.len()],
        Delays::Changed => return None,
    };
    // How much later than by itself each arrived, or sooner.
    let nanos = |duration: Duration| i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX);
    let late: Vec<Option<i64>> = offered
        .iter()
        .zip(&by_itself)
        .map(|(frame, by_itself)| frame.latency().map(|latency| nanos(latency) - nanos(*by_itself)))
        .collect();
    let least = late.iter().flatten().copied().min().unwrap_or(0);
    let own = if delays == Delays::Changed { 0 } else { nanos(parameters.delay) };
    fates.delay = Some(Duration::from_nanos(u64::try_from(own + least).ok()?));
    let late =
        (1..).zip(late).filter_map(|(number, late)| Some((number, u64::try_from(late? - least).ok()?)));
    let late = late.filter(|(number, by)| *by > 0 && fates.drop.binary_search(number).is_err());
    fates.delayed = late.map(|(number, by)| (number, Duration::from_nanos(by))).collect();
    Some(fates)
}

/// How long these frames would have been under way, those that arrived, had nothing happened to them by chance or by a list.
/// `None` where that cannot be foreseen.
fn undisturbed(parameters: &LinkParameters, offered: &[Offered<'_>]) -> Option<Vec<Duration>> {
    let never = Chance { probability: 0.0, correlation: 0.0 };
    let discipline = match parameters.discipline {
        Discipline::DropTail | Discipline::Red(_) => Discipline::DropTail,
        Discipline::CoDel(_) => return None,
    };
    let parameters = LinkParameters {
        jitter: Jitter::default(),
        reorder: Reorder::default(),
        loss: Loss::Never,
        duplicate: never,
        corrupt: never,
        script: Script::default(),
        discipline,
        ..parameters.clone()
    };
    // It draws nothing.
    let mut direction = Direction::new(parameters, Seed(0).fork("shrink"));
    let mut out = Vec::new();
    let of_frame = |frame: &Offered<'_>| {
        let mut latency = Some(Duration::ZERO);
        for copy in 0..frame.arrivals.len() {
            let verdict = direction.offer(frame.sent.at, &frame.sent.frame, &mut out);
            if copy == 0 {
                latency = match verdict {
                    Verdict::Deliver(at) => Some(at.since(frame.sent.at)),
                    Verdict::Drop(_) | Verdict::Taken => None,
                };
            }
        }
        latency
    };
    offered.iter().map(of_frame).collect()
}
