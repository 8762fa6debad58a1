//! When two runs fail in the same way.

use std::collections::{BTreeMap, BTreeSet};

use crate::capture::is_port_of;
use crate::guest::Exit;
use crate::lab::{GuestReport, Report, Subject, Unmet, Verdict};
use crate::scenario::expectation::{Expectation, Expected, Place};
use crate::scenario::plan::Plan;
use crate::sim::Ending;

/// What a failure is told apart by. Neither when it comes nor what was written counts: those change with what is left
/// out. Of several guests that do not do what is expected of each, replicas above all, each fails by itself: the others may
/// then be left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    about: About,
    /// The part of it that is not met.
    unmet: Unmet,
    /// How the lab ended, where that is what it is about.
    ending: Option<&'static str>,
    /// How the guests that it is about ended, by their names.
    ends: BTreeMap<String, End>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum About {
    /// An expectation, by its place in the scenario that is shrunk.
    Expectation(usize),
    /// What is expected of every lab.
    Ending,
    Guest,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum End {
    /// With the last line of its error output, in which programs say why, without its numbers.
    Code(u32, String),
    /// The reason, and where.
    Trap(String, String),
    OutOfFuel,
    Failed(String),
    Stopped,
    Killed,
}

impl End {
    fn of(guest: &GuestReport) -> End {
        match &guest.exit {
            Exit::Code(0) => End::Code(0, String::new()),
            Exit::Code(code) => End::Code(*code, last_words(&guest.stderr())),
            Exit::Trap { reason, backtrace } => End::Trap(reason.clone(), innermost(backtrace)),
            Exit::OutOfFuel { .. } => End::OutOfFuel,
            Exit::Failed(why) => End::Failed(why.clone()),
            Exit::Stopped => End::Stopped,
            Exit::Killed => End::Killed,
        }
    }
}

/// Numbers are what it got to, or addresses and ports: those change with what is left out.
fn last_words(stderr: &str) -> String {
    let last = stderr.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
    last.split(|c: char| c.is_ascii_digit()).filter(|part| !part.is_empty()).collect::<Vec<_>>().join("#")
}

/// The function that a backtrace begins with.
fn innermost(backtrace: &str) -> String {
    let frame = backtrace.lines().find(|line| line.trim_start().starts_with("0:"));
    frame.unwrap_or_default().trim().to_owned()
}

/// Expectations of a plan by their places in the scenario that is shrunk.
pub(super) type Numbers = [usize];

impl Failure {
    /// How a run failed: the first of what the scenario itself expects, or else of what is expected of every lab. A golden
    /// capture is the last, as every smaller scenario differs from it.
    pub fn first(plan: &Plan, numbers: &Numbers, report: &Report) -> Option<Failure> {
        let is_golden = |verdict: &Verdict| match verdict.subject {
            Subject::Expectation(number) => {
                matches!(plan.expectations[number].expected, Expected::Golden { .. })
            }
            Subject::Guest(_) | Subject::Ending => false,
        };
        let verdict = unmet(report).min_by_key(|verdict| (is_golden(verdict), verdict.subject))?;
        Failure::of(plan, numbers, report, verdict).into_iter().next()
    }

    /// Every way in which a run failed.
    pub fn all(plan: &Plan, numbers: &Numbers, report: &Report) -> Vec<Failure> {
        unmet(report).flat_map(|verdict| Failure::of(plan, numbers, report, verdict)).collect()
    }

    /// What a run that failed so says of it.
    pub fn verdict<'a>(&self, plan: &Plan, numbers: &Numbers, report: &'a Report) -> Option<&'a Verdict> {
        unmet(report).find(|verdict| Failure::of(plan, numbers, report, verdict).contains(self))
    }

    /// What one verdict tells: a failure for each guest of which it was expected and that did not do it.
    fn of(plan: &Plan, numbers: &Numbers, report: &Report, verdict: &Verdict) -> Vec<Failure> {
        let Some(found) = &verdict.found else { return Vec::new() };
        let end = |number: usize| {
            let guest = &report.guests[number];
            (guest.name.clone(), End::of(guest))
        };
        let of_guests = |about: About| {
            let failure = |&(number, unmet): &(usize, Unmet)| Failure {
                about: about.clone(),
                unmet,
                ending: None,
                ends: [end(number)].into(),
            };
            found.guests.iter().map(failure).collect()
        };
        let of_lab = |about: About, is_ending: bool| {
            let ending = is_ending.then(|| ending(report));
            let waiting = if is_ending { waiting(report) } else { Vec::new() };
            let ends = waiting.into_iter().map(end).collect();
            vec![Failure { about, unmet: found.unmet, ending, ends }]
        };
        match verdict.subject {
            Subject::Expectation(index) => {
                let about = About::Expectation(numbers[index]);
                match &plan.expectations[index].expected {
                    Expected::Guest(_) => of_guests(about),
                    Expected::Packets(_) | Expected::Counter(_) | Expected::Golden { .. } => {
                        of_lab(about, false)
                    }
                    Expected::Ending { .. } => of_lab(about, true),
                }
            }
            Subject::Guest(_) => of_guests(About::Guest),
            Subject::Ending => of_lab(About::Ending, true),
        }
    }

    /// A guest came to harm, or the lab did not end by itself: where that is new, it fails for another reason too, and perhaps
    /// for no other.
    pub fn is_harm(&self) -> bool {
        let is_hurt = |end: &End| *end != End::Code(0, String::new());
        match self.unmet {
            Unmet::Exit | Unmet::Descriptors => self.ends.values().any(is_hurt),
            Unmet::Ending => self.ending.is_some_and(|ending| ending != "over"),
            Unmet::Stdout | Unmet::Stderr | Unmet::Late | Unmet::File => false,
            Unmet::TooMany | Unmet::TooFew | Unmet::Golden => false,
        }
    }

    /// The expectation that is not met, by its place in the scenario that is shrunk.
    pub fn expectation(&self) -> Option<usize> {
        match self.about {
            About::Expectation(number) => Some(number),
            About::Ending | About::Guest => None,
        }
    }

    /// The guests without which this would be another failure. Nobody can tell who was to send a packet that did not
    /// come: that may be any.
    pub fn guests(&self, plan: &Plan, numbers: &Numbers) -> BTreeSet<usize> {
        let names = plan.guests.iter().map(|guest| guest.name.as_str()).enumerate();
        if self.unmet == Unmet::TooFew {
            return names.map(|(number, _)| number).collect();
        }
        let place = numbers.iter().position(|number| self.expectation() == Some(*number));
        let looked_at = match place.map(|place| &plan.expectations[place]) {
            Some(Expectation { expected: Expected::Packets(packets), .. }) => packets.at.as_slice(),
            Some(Expectation { expected: Expected::Counter(counter), .. }) => counter.at.as_slice(),
            Some(_) | None => &[],
        };
        let is_named = |guest: &str| {
            let has_port = |port: &String| is_port_of(port, guest) || is_port_of(guest, port);
            self.ends.contains_key(guest) || looked_at.iter().flat_map(Place::ports).any(has_port)
        };
        names.filter(|(_, guest)| is_named(guest)).map(|(number, _)| number).collect()
    }
}

fn unmet(report: &Report) -> impl Iterator<Item = &Verdict> {
    report.verdicts.iter().filter(|verdict| !verdict.sometimes && !verdict.is_met())
}

fn ending(report: &Report) -> &'static str {
    match report.ending {
        Ending::Over => "over",
        Ending::Stalled => "stalled",
        Ending::Duration => "duration",
        Ending::Interrupted => "interrupted",
        Ending::Livelock(_) => "livelock",
    }
}

/// Guests that the lab's end found still at work, and that it would have waited for.
fn waiting(report: &Report) -> Vec<usize> {
    let guests = report.guests.iter().enumerate();
    guests
        .filter(|(_, guest)| guest.exit == Exit::Stopped && !guest.background)
        .map(|(number, _)| number)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_words_are_told_apart_by_all_but_their_numbers() {
        assert_eq!(last_words("a: gave up on 17 of 50\n\n"), last_words("x\na: gave up on 3 of 50\n"));
        assert_ne!(last_words("a: gave up on 17 of 50"), last_words("a: 10.0.0.2:7: Network unreachable"));
        assert_eq!(last_words(""), "");
    }
}
