//! Expectations: guests and ports looked up, filters parsed.

use std::path::Path;
use std::time::Duration;

use toml::Spanned;

use super::super::expectation::{
    Compare, Expectation, Expected, ExpectedContent, ExpectedCounter, ExpectedEnding, ExpectedExit,
    ExpectedFile, ExpectedGuest, ExpectedPackets, PacketRule, Place,
};
use super::super::mistake::{Mistakes, quote};
use super::super::plan::{DirectoryPlan, GuestPlan, LinkPlan};
use super::super::spec::{CompareSpec, ContentSpec, ExpectSpec, FileSpec, Rule, Subject, Where};
use crate::capture::is_port_of;
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
        Subject::Guest { guest, exit, stdout, stderr, within, open, file } => {
            check_within(within, named, mistakes);
            if let (Some(within), Some(ExpectedExit::Stopped)) = (within, exit) {
                let message = "within: a guest that is there until the lab's end does not end before";
                mistakes.add(within.span(), message, "leave it out, or the `exit`");
            }
            let guests = guests(guest, named, mistakes);
            Expected::Guest(ExpectedGuest {
                exit: *exit,
                stdout: stdout.clone(),
                stderr: stderr.clone(),
                within: within.as_ref().map(|within| *within.get_ref()),
                open: open.clone(),
                file: file.as_ref().map(|file| self::file(file, &guests, named, mistakes)),
                guests,
            })
        }
        Subject::Packets { filter, rule, place } => {
            let (at, from, until) = self::place(place, named, mistakes);
            Expected::Packets(ExpectedPackets { rule: packet_rule(filter, rule, mistakes)?, at, from, until })
        }
        Subject::Counter { counter, count, place } => {
            let (at, from, until) = self::place(place, named, mistakes);
            let counter = *counter.get_ref();
            Expected::Counter(ExpectedCounter { counter, count: count.clone(), at, from, until })
        }
        Subject::Ending { ending, within } => {
            check_within(within, named, mistakes);
            if *ending.get_ref() == ExpectedEnding::Duration && named.duration.is_none() {
                let help = "give the lab a `duration`";
                mistakes.add(ending.span(), "ending: the lab has no duration that could be over", help);
            }
            let within = within.as_ref().map(|within| *within.get_ref());
            Expected::Ending { ending: *ending.get_ref(), within }
        }
        Subject::Golden { path, compare } => {
            let compare = match compare {
                CompareSpec::Bytes => Compare::Bytes,
                CompareSpec::Frames => Compare::Frames,
                CompareSpec::Packets { among, at } => {
                    let at = ports(at, named, mistakes);
                    let among = match among {
                        None => None,
                        Some(among) => Some(parsed(among, mistakes)?),
                    };
                    Compare::Packets { among, at }
                }
            };
            Expected::Golden { path: named.folder.join(path.get_ref()), compare }
        }
    })
}

/// Nothing ends after the lab, so an end within more than that is none that is expected.
fn check_within(within: &Option<Spanned<Duration>>, named: &Named<'_>, mistakes: &Mistakes) {
    if let (Some(within), Some(duration)) = (within, named.duration)
        && *within.get_ref() > duration
    {
        let message = "within: is longer than the lab, at whose end everything has ended";
        mistakes.add(within.span(), message, format!("at most the lab's `duration`, {duration:?}"));
    }
}

/// A file that each of these guests has a directory for.
fn file(spec: &FileSpec, guests: &[usize], named: &Named<'_>, mistakes: &Mistakes) -> ExpectedFile {
    let path = spec.path.get_ref();
    let guests = guests.iter().map(|&guest| &named.guests[guest]);
    if let Some(guest) =
        guests.into_iter().find(|guest| DirectoryPlan::of(&guest.directories, path).is_none())
    {
        let message = format!("file: guest {} has no directory with {}", quote(&guest.name), quote(path));
        let has: Vec<_> = guest.directories.iter().map(|directory| quote(&directory.guest)).collect();
        let help = match has.as_slice() {
            [] => {
                "hand it one: `directories = { \"/box\" = { host = \"box\", writable = true } }`".to_owned()
            }
            has => format!("a file in one of its directories: {}", has.join(", ")),
        };
        mistakes.add(spec.path.span(), message, help);
    }
    let content = match &spec.content {
        ContentSpec::Text(text) => ExpectedContent::Text(text.clone()),
        ContentSpec::SameAs(other) => ExpectedContent::SameAs(named.folder.join(other.get_ref())),
        ContentSpec::Absent => ExpectedContent::Absent,
    };
    ExpectedFile { path: path.clone(), content }
}

/// Ports, and from when until when they are looked at.
fn place(place: &Where, named: &Named<'_>, mistakes: &Mistakes) -> (Vec<Place>, Duration, Option<Duration>) {
    if let (Some(duration), Some(from)) = (named.duration, &place.from)
        && *from.get_ref() > duration
    {
        let message = "from: packets are looked for after the lab's end";
        mistakes.add(from.span(), message, "`from` is within the lab's `duration`");
    }
    if let (Some(duration), Some(until)) = (named.duration, &place.until)
        && *until.get_ref() > duration
    {
        let message = format!("until: is after the lab's end, {duration:?}");
        mistakes.add(until.span(), message, "leave it out: nothing is looked for after the end");
    }
    let time = |time: &Option<Spanned<Duration>>| time.as_ref().map(|time| *time.get_ref());
    (ports(&place.at, named, mistakes), time(&place.from).unwrap_or_default(), time(&place.until))
}

fn ports(at: &[Spanned<String>], named: &Named<'_>, mistakes: &Mistakes) -> Vec<Place> {
    at.iter().filter_map(|name| port_or_link(name, named, mistakes)).collect()
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

/// `client`, `client.eth1`, `r1` for all of its ports, as `--capture-at` has it; or a link: `line`, `client:lan`. `None` after a
/// mistake.
fn port_or_link(name: &Spanned<String>, named: &Named<'_>, mistakes: &Mistakes) -> Option<Place> {
    let wanted = name.get_ref();
    let ports = || named.links.iter().flat_map(|link| &link.ends).map(|end| end.name.as_str());
    if ports().any(|port| is_port_of(port, wanted)) {
        return Some(Place::Port(wanted.clone()));
    }
    if let Some(link) = named.links.iter().find(|link| link.name == *wanted) {
        let ports = link.ends.each_ref().map(|end| end.name.clone());
        return Some(Place::Link { name: wanted.clone(), ports });
    }
    let links = named.links.iter().map(|link| link.name.as_str());
    let help = match mistakes.did_you_mean(wanted, ports().chain(links)) {
        help if help.is_empty() => {
            "a guest, router, switch, TAP or port, such as `client`, `r1.wan` or `lan.0`, or a link, such as \
             `client:lan`"
                .to_owned()
        }
        help => help,
    };
    mistakes.add(name.span(), format!("there is no port or link {}", quote(wanted)), help);
    None
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
