//! A report held against what its scenario expects.

use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::guests::with_stderr;
use super::packets::Selection;
use super::{Report, golden, guests};
use crate::filter::Packet;
use crate::guest::Exit;
use crate::scenario::assets::Assets;
use crate::scenario::expectation::{
    Compare, Counter, Expected, ExpectedCounter, ExpectedEnding, ExpectedGuest, ExpectedPackets, PacketRule,
    Place,
};
use crate::scenario::plan::Plan;
use crate::sim::Ending;
use crate::time::Instant;

/// What became of one expectation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    pub subject: Subject,
    /// Line of the expectation in the scenario; `None` for what is expected of every lab.
    pub line: Option<usize>,
    /// One seed of a sweep that meets it is enough.
    pub sometimes: bool,
    /// What was expected.
    pub expected: String,
    /// What was found instead; `None`: it was met.
    pub found: Option<Found>,
}

/// What a verdict is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// An expectation, by its place in the plan.
    Expectation(usize),
    /// How every guest ends, unless something else is expected; by its place in the plan.
    Guest(usize),
    /// How every lab ends, unless something else is expected. It is the last that is told: guests that fail keep others waiting.
    Ending,
}

/// What was found in place of what was expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub what: String,
    /// Which part of it is not met. Of several guests, the first one's.
    pub unmet: Unmet,
    /// Where something is expected of guests, those that do not meet it, by their places in the plan, and which part each
    /// does not. It is the first of them that `what` tells of.
    pub guests: Vec<(usize, Unmet)>,
    /// When, for a look at the packets and calls around it.
    pub at: Instant,
}

/// The parts of an expectation, any of which can be the one that is not met: runs that fall short in different ones have
/// different reasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unmet {
    Exit,
    Stdout,
    Stderr,
    /// It left too many or too few descriptors open, or was refused one.
    Descriptors,
    /// A guest or the lab did not end in time.
    Late,
    File,
    /// There are packets that should not be, or more of something than there should be.
    TooMany,
    /// There are no packets that should be, or less of something than there should be.
    TooFew,
    Ending,
    Golden,
}

impl Found {
    fn new(what: String, unmet: Unmet, at: Instant) -> Found {
        Found { what, unmet, guests: Vec::new(), at }
    }

    pub(super) fn of_guest(what: String, unmet: Unmet, number: usize, at: Instant) -> Found {
        Found { what, unmet, guests: vec![(number, unmet)], at }
    }
}

impl Verdict {
    pub fn is_met(&self) -> bool {
        self.found.is_none()
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected: {}", self.expected)?;
        if let Some(line) = self.line {
            write!(f, " (line {line})")?;
        }
        match &self.found {
            None => Ok(()),
            Some(found) => {
                // The time belongs to what is said first, not to the last line of a table.
                let (first, more) = found.what.split_once('\n').unwrap_or((&found.what, ""));
                write!(f, "\nfound: {}, at {} s", first.trim_end_matches(':'), found.at)?;
                more.lines().try_for_each(|line| write!(f, "\n{line}"))
            }
        }
    }
}

/// Every expectation of the scenario in its order, and before them what is expected of every lab and was not met.
pub(super) fn judge(plan: &Plan, assets: &Assets, report: &Report) -> Vec<Verdict> {
    let mut verdicts = built_in(plan, report);
    for (number, expectation) in plan.expectations.iter().enumerate() {
        let (expected, found) = match &expectation.expected {
            Expected::Guest(guest) => (guests::describe(plan, guest), guests::judge(guest, assets, report)),
            Expected::Packets(packets) => (describe_packets(packets), judge_packets(packets, report)),
            Expected::Counter(counter) => (describe_counter(counter), judge_counter(counter, report)),
            Expected::Ending { ending, within } => {
                (describe_ending(*ending, *within), judge_ending(*ending, *within, report))
            }
            Expected::Golden { path, compare } => {
                let what = match compare {
                    Compare::Bytes => "the capture is",
                    Compare::Frames => "the capture has the frames of",
                    Compare::Packets { among: None, .. } => "the capture has the packets of",
                    Compare::Packets { among: Some(among), .. } => {
                        &format!("the packets that are `{among}` are those of")
                    }
                };
                let found = match assets.get(path) {
                    // Other seeds lose other frames: a golden capture is of one.
                    _ if report.seed != plan.seed.unwrap_or(0) => None,
                    Ok(golden) => golden::compare(golden, report, compare),
                    Err(why) => {
                        let what = format!("{why}; `guestnet test --bless` writes it");
                        Some(golden::Differs { what, at: report.at })
                    }
                };
                let found = found.map(|golden::Differs { what, at }| Found::new(what, Unmet::Golden, at));
                (format!("{what} {}", path.display()), found)
            }
        };
        let (line, sometimes) = (Some(expectation.line), expectation.sometimes);
        verdicts.push(Verdict { subject: Subject::Expectation(number), line, sometimes, expected, found });
    }
    verdicts
}

/// Guests end well, and the lab by itself, where nothing else is expected.
fn built_in(plan: &Plan, report: &Report) -> Vec<Verdict> {
    let says = |guest: usize, of: fn(&ExpectedGuest) -> bool| {
        plan.expectations.iter().any(|expectation| match &expectation.expected {
            Expected::Guest(expected) => of(expected) && expected.guests.contains(&guest),
            Expected::Packets(_)
            | Expected::Counter(_)
            | Expected::Ending { .. }
            | Expected::Golden { .. } => false,
        })
    };
    let of_ending = plan.expectations.iter().any(|e| matches!(e.expected, Expected::Ending { .. }));
    let verdict = |subject, expected: String, found| Verdict {
        subject,
        line: None,
        sometimes: false,
        expected,
        found: Some(found),
    };
    let mut verdicts = Vec::new();
    for (number, guest) in report.guests.iter().enumerate() {
        // Of one that is still there when the lab ends otherwise than it should, the lab's ending tells.
        let may_stop = (of_ending || report.ending != Ending::Over) && guest.exit == Exit::Stopped;
        let of_exit = says(number, |expected| expected.exit.is_some());
        if !guest.is_success() && !of_exit && !may_stop {
            let expected = format!("guest `{}` exits with 0", guest.name);
            let what = with_stderr(guest, &guest.exit.to_string());
            let found = Found::of_guest(what, Unmet::Exit, number, guest.at);
            verdicts.push(verdict(Subject::Guest(number), expected, found));
        }
        // Descriptors that are opened and never closed come to an end.
        if guest.left_open.refused && !says(number, |expected| expected.open.is_some()) {
            let expected = format!("guest `{}` has descriptors to spare", guest.name);
            let what = format!("it was refused one; {} were open as it ended", guest.left_open.descriptors);
            let found = Found::of_guest(what, Unmet::Descriptors, number, guest.at);
            verdicts.push(verdict(Subject::Guest(number), expected, found));
        }
    }
    if report.ending != Ending::Over && !of_ending {
        let what = match report.ending {
            Ending::Stalled => "nothing can happen any more, and guests wait".to_owned(),
            Ending::Duration => "its duration was over before".to_owned(),
            Ending::Interrupted => "it was interrupted".to_owned(),
            Ending::Livelock(_) => "it keeps itself busy at one instant for ever".to_owned(),
            Ending::Over => String::new(),
        };
        let what = what + &who_is_there(report);
        let found = Found::new(what, Unmet::Ending, report.at);
        verdicts.push(verdict(Subject::Ending, "the lab ends by itself".to_owned(), found));
    }
    verdicts
}

/// Where a lab was left, if it did not end by itself.
fn who_is_there(report: &Report) -> String {
    match report.ending {
        Ending::Stalled | Ending::Duration | Ending::Livelock(_) => {
            format!("\n{}", report.netstat.trim_end())
        }
        Ending::Over | Ending::Interrupted => String::new(),
    }
}

fn describe_packets(expected: &ExpectedPackets) -> String {
    let rule = match &expected.rule {
        PacketRule::Count { filter, count } => match (*count.start(), *count.end()) {
            (0, 0) => format!("no packet is `{filter}`"),
            (1, u64::MAX) => format!("a packet is `{filter}`"),
            (_, _) => format!("{} packets are `{filter}`", range(count)),
        },
        PacketRule::Always { filter, among: None } => format!("every packet is `{filter}`"),
        PacketRule::Always { filter, among: Some(among) } => {
            format!("every packet that is `{among}` is `{filter}`")
        }
    };
    format!("{rule}{}", place(&expected.at, expected.from, expected.until))
}

fn place(at: &[Place], from: Duration, until: Option<Duration>) -> String {
    let names: Vec<_> = at.iter().map(Place::name).collect();
    let at = if names.is_empty() { String::new() } else { format!(" at {}", names.join(", ")) };
    let from = if from.is_zero() { String::new() } else { format!(" from {from:?} on") };
    let until = until.map(|until| format!(" until {until:?}")).unwrap_or_default();
    format!("{at}{from}{until}")
}

/// `3`, `3 or more`, `1 to 3`.
pub(super) fn range(count: &RangeInclusive<u64>) -> String {
    match (*count.start(), *count.end()) {
        (least, most) if least == most => least.to_string(),
        (least, u64::MAX) => format!("{least} or more"),
        (0, most) => format!("at most {most}"),
        (least, most) => format!("{least} to {most}"),
    }
}

fn selection(at: &[Place], from: Duration, until: Option<Duration>) -> Selection<'_> {
    let until = until.map_or(Instant::FAR_FUTURE, |until| Instant::START + until);
    Selection { at, from: Instant::START + from, until }
}

fn describe_counter(expected: &ExpectedCounter) -> String {
    let what = match expected.counter {
        Counter::Frames => "frames".to_owned(),
        Counter::Bytes => "bytes of frames".to_owned(),
        Counter::LinkDrops(None) => "frames dropped by links".to_owned(),
        Counter::LinkDrops(Some(reason)) => format!("frames dropped by links ({})", reason.as_str()),
        Counter::DeviceDrops(reason) => format!("frames dropped by devices ({})", reason.as_str()),
        Counter::Retransmissions => "TCP retransmissions".to_owned(),
        Counter::Handshakes => "TCP handshakes".to_owned(),
    };
    let place = place(&expected.at, expected.from, expected.until);
    format!("{what}: {}{place}", range(&expected.count))
}

/// How a count that is not in its range is not.
fn beyond(range: &RangeInclusive<u64>, count: u64) -> Unmet {
    if count < *range.start() { Unmet::TooFew } else { Unmet::TooMany }
}

fn judge_counter(expected: &ExpectedCounter, report: &Report) -> Option<Found> {
    let selection = selection(&expected.at, expected.from, expected.until);
    let (count, over) = report.count(expected.counter, &selection, *expected.count.end());
    let at = over.unwrap_or(report.at);
    let found = || Found::new(format!("there are {count}"), beyond(&expected.count, count), at);
    (!expected.count.contains(&count)).then(found)
}

/// Packets that a verdict shows.
const SHOWN_MAX: u64 = 3;

fn judge_packets(expected: &ExpectedPackets, report: &Report) -> Option<Found> {
    let selection = selection(&expected.at, expected.from, expected.until);
    match &expected.rule {
        PacketRule::Count { filter, count } => {
            let matches = report.select(&selection, |packet| filter.matches(packet));
            let found = matches.len() as u64;
            if count.contains(&found) {
                return None;
            }
            let missing = found < *count.start();
            // Of those that are too many the first is one too many; where some are missing, they did not come after the last.
            let odd = if missing { found.saturating_sub(SHOWN_MAX) } else { *count.end() };
            let odd = usize::try_from(odd).unwrap_or(usize::MAX);
            let shown: Vec<_> = matches.iter().skip(odd).take(SHOWN_MAX as usize).collect();
            let lines: String = shown.iter().map(|packet| format!("\n  {}", packet.line)).collect();
            let at = if missing { shown.last() } else { shown.first() };
            let what = match (found, shown.len() as u64 == found) {
                (0, _) => "there is none".to_owned(),
                (1, _) => format!("there is one:{lines}"),
                (_, true) => format!("there are {found}:{lines}"),
                (_, false) if missing => format!("there are {found}, the last of them:{lines}"),
                (_, false) => format!("there are {found}, from number {} on:{lines}", odd + 1),
            };
            Some(Found::new(what, beyond(count, found), at.map_or(report.at, |packet| packet.at)))
        }
        PacketRule::Always { filter, among } => {
            let among = |packet: &Packet| among.as_ref().is_none_or(|among| among.matches(packet));
            let all = report.select(&selection, among);
            let odd = report.select(&selection, |packet| among(packet) && !filter.matches(packet));
            match odd.first() {
                Some(first) => {
                    let what = format!("{} of {} are not:\n  {}", odd.len(), all.len(), first.line);
                    Some(Found::new(what, Unmet::TooMany, first.at))
                }
                None if all.is_empty() => {
                    Some(Found::new("there is no such packet".to_owned(), Unmet::TooFew, report.at))
                }
                None => None,
            }
        }
    }
}

fn describe_ending(ending: ExpectedEnding, within: Option<Duration>) -> String {
    let how = match ending {
        ExpectedEnding::Over => "the lab ends by itself",
        ExpectedEnding::Stalled => "the lab stalls: guests wait, and nothing can happen any more",
        ExpectedEnding::Duration => "the lab lasts until its duration is over",
    };
    format!("{how}{}", within.map(|within| format!(" within {within:?}")).unwrap_or_default())
}

fn judge_ending(ending: ExpectedEnding, within: Option<Duration>, report: &Report) -> Option<Found> {
    let met = match ending {
        ExpectedEnding::Over => report.ending == Ending::Over,
        ExpectedEnding::Stalled => report.ending == Ending::Stalled,
        ExpectedEnding::Duration => report.ending == Ending::Duration,
    };
    let late = within.is_some_and(|within| report.at > Instant::START + within);
    let what = || format!("it is {}{}", report.ending, who_is_there(report));
    let unmet = if met { Unmet::Late } else { Unmet::Ending };
    (!met || late).then(|| Found::new(what(), unmet, report.at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::Lab;

    /// No scenario can have one: the switches of a lab are joined without rounds. `sim.rs` makes it.
    #[test]
    fn a_livelock_is_told_with_who_is_there() {
        let mut lab = Lab::from_toml("[guest.a]\nmodule = 'a.wat'\n", "lab.toml").unwrap();
        lab.set_module("a.wat", "(module (memory (export \"memory\") 1) (func (export \"_start\")))");
        let mut report = lab.run(1);
        assert!(report.is_success(), "{report}");
        report.ending = Ending::Livelock(report.at);
        report.netstat = "who is there".to_owned();
        let verdicts = judge(&lab.plan, &lab.assets, &report);
        let unmet: Vec<_> = verdicts.iter().filter(|verdict| !verdict.is_met()).collect();
        assert_eq!(unmet.len(), 1);
        assert_eq!(unmet[0].subject, Subject::Ending);
        let told = "expected: the lab ends by itself\nfound: it keeps itself busy at one instant for ever, at 0.000000000 s\nwho is there";
        assert_eq!(unmet[0].to_string(), told);
    }
}
