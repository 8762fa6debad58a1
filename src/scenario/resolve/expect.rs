//! Expectations: guests and ports looked up, filters parsed.

use std::path::Path;
use std::time::Duration;

use toml::Spanned;

use super::super::expectation::{
    Compare, Expectation, Expected, ExpectedCounter, ExpectedGuest, ExpectedPackets, PacketRule,
};
use super::super::mistake::{Mistakes, quote};
use super::super::plan::{GuestPlan, LinkPlan};
use super::super::spec::{CompareSpec, ExpectSpec, Rule, Subject, Where};
use crate::filter::{Filter, FilterError};

/// What expectations may name.
pub(super) struct Named<'a> {
    pub guests: &'a [GuestPlan],
    pub links: &'a [LinkPlan],
    pub duration: Option<Duration>,
    /// Folder that paths are relative to.
    pub folder: &'a Path,
    /// The scenario, for the lines of it.
    pub text: &'a str,
}

pub(super) fn expectations(specs: &[ExpectSpec], named: &Named<'_>, mistakes: &Mistakes) -> Vec<Expectation> {
    specs
        .iter()
        .filter_map(|spec| {
            Some(Expectation {
                line: named.text[..spec.at.start].matches('\n').count() + 1,
                sometimes: spec.sometimes,
                expected: expected(&spec.subject, named, mistakes)?,
            })
        })
        .collect()
}

/// `None` after a mistake.
fn expected(subject: &Subject, named: &Named<'_>, mistakes: &Mistakes) -> Option<Expected> {
    Some(match subject {
        Subject::Guest { guest, exit, stdout, stderr, within, open } => Expected::Guest(ExpectedGuest {
            guests: guests(guest, named, mistakes),
            exit: *exit,
            stdout: stdout.clone(),
            stderr: stderr.clone(),
            within: *within,
            open: open.clone(),
        }),
        Subject::Packets { filter, rule, place } => {
            let (at, from, until) = self::place(place, named, mistakes);
            Expected::Packets(ExpectedPackets { rule: packet_rule(filter, rule, mistakes)?, at, from, until })
        }
        Subject::Counter { counter, count, place } => {
            let (at, from, until) = self::place(place, named, mistakes);
            let counter = *counter.get_ref();
            Expected::Counter(ExpectedCounter { counter, count: count.clone(), at, from, until })
        }
        Subject::Ending { ending, within } => Expected::Ending { ending: *ending, within: *within },
        Subject::Golden { path, compare } => {
            let compare = match compare {
                CompareSpec::Bytes => Compare::Bytes,
                CompareSpec::Frames => Compare::Frames,
                CompareSpec::Packets { among, at } => Compare::Packets {
                    among: match among {
                        None => None,
                        Some(among) => Some(parsed(among, mistakes)?),
                    },
                    at: ports(at, named, mistakes),
                },
            };
            Expected::Golden { path: named.folder.join(path.get_ref()), compare }
        }
    })
}

/// Ports, and from when until when they are looked at.
fn place(place: &Where, named: &Named<'_>, mistakes: &Mistakes) -> (Vec<String>, Duration, Option<Duration>) {
    if let (Some(duration), Some(from)) = (named.duration, &place.from)
        && *from.get_ref() > duration
    {
        let message = "from: packets are looked for after the lab's end";
        mistakes.add(from.span(), message, "`from` is within the lab's `duration`");
    }
    let time = |time: &Option<Spanned<Duration>>| time.as_ref().map(|time| *time.get_ref());
    (ports(&place.at, named, mistakes), time(&place.from).unwrap_or_default(), time(&place.until))
}

fn ports(at: &[Spanned<String>], named: &Named<'_>, mistakes: &Mistakes) -> Vec<String> {
    at.iter().for_each(|port| check_port(port, named, mistakes));
    at.iter().map(|port| port.get_ref().clone()).collect()
}

/// True if the guest is one of the replicas that share this name.
pub(super) fn is_replica(guest: &str, shared: &str) -> bool {
    let number = guest.strip_prefix(shared).and_then(|rest| rest.strip_prefix('-'));
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// A guest by its name; replicas by the name that they share too.
fn guests(name: &Spanned<String>, named: &Named<'_>, mistakes: &Mistakes) -> Vec<usize> {
    let is_replica = |guest: &GuestPlan| is_replica(&guest.name, name.get_ref());
    let by_name = named.guests.iter().position(|guest| guest.name == *name.get_ref());
    let found: Vec<usize> = match by_name {
        Some(one) => vec![one],
        None => (0..named.guests.len()).filter(|&guest| is_replica(&named.guests[guest])).collect(),
    };
    if found.is_empty() {
        let known = named.guests.iter().map(|guest| guest.name.as_str());
        let help = mistakes.did_you_mean(name.get_ref(), known);
        mistakes.add(name.span(), format!("there is no guest {}", quote(name.get_ref())), help);
    }
    found
}

/// `client`, `client.eth1`, `r1` for all of its ports: as `--capture-at` has it.
fn check_port(name: &Spanned<String>, named: &Named<'_>, mistakes: &Mistakes) {
    let ports = || named.links.iter().flat_map(|link| &link.ends).map(|end| end.name.as_str());
    if !ports().any(|port| crate::capture::is_port_of(port, name.get_ref())) {
        let help = mistakes.did_you_mean(name.get_ref(), ports());
        let help = if help.is_empty() {
            "a guest, router, switch, TAP or port, such as `client`, `r1.wan` or `lan.0`".to_owned()
        } else {
            help
        };
        mistakes.add(name.span(), format!("there is no port of {}", quote(name.get_ref())), help);
    }
}

/// `None` after a mistake.
fn packet_rule(filter: &Spanned<String>, rule: &Rule, mistakes: &Mistakes) -> Option<PacketRule> {
    let filter = parsed(filter, mistakes);
    Some(match rule {
        Rule::Count(count) => PacketRule::Count { filter: filter?, count: count.clone() },
        Rule::Always { among } => {
            let among = match among {
                None => None,
                Some(among) => Some(parsed(among, mistakes)?),
            };
            PacketRule::Always { filter: filter?, among }
        }
    })
}

pub(super) fn parsed(filter: &Spanned<String>, mistakes: &Mistakes) -> Option<Filter> {
    let told = |error: FilterError| {
        let help = error.help_text().unwrap_or_default();
        mistakes.add(filter.span(), format!("filter: {}", error.message()), help);
    };
    Filter::parse(filter.get_ref()).map_err(told).ok()
}
