//! What became of the frames of a link, read from a run's records; and the lists that say the same.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use toml_edit::{Array, InlineTable, Item, Value, value};

use super::knobs::{self, DIRECTIONS, Knob};
use super::script::{self, Place, Script};
use crate::capture::{Record, Way};
use crate::lab::Report;
use crate::network::PacketId;
use crate::network::link::{DropReason, LinkParameters, Rate};
use crate::scenario::plan::{LinkPlan, Plan};

/// Fates of single frames of one direction, by their numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Fates {
    pub drop: Vec<u64>,
    pub delayed: Vec<(u64, Duration)>,
    pub duplicated: Vec<u64>,
    /// The delay of all others, where it was random.
    pub delay: Option<Duration>,
}

/// A frame that was offered to a direction, and how its copies arrived.
pub(super) struct Offered<'a> {
    pub sent: &'a Record,
    arrivals: Vec<&'a Record>,
}

/// The frames that left by one port, in the order in which the link counts them, and their arrivals at the other.
fn offered<'a>(records: &'a [Record], from: u32, to: u32) -> Vec<Offered<'a>> {
    let mut offered: Vec<Offered<'a>> = Vec::new();
    let mut last: BTreeMap<PacketId, usize> = BTreeMap::new();
    for record in records {
        match record.way {
            Way::Outbound if record.port == from => {
                // A frame that waits in the queue may be dropped later, which is a record of its own.
                let late = match record.dropped {
                    Some(DropReason::Loss | DropReason::Listed | DropReason::TooLong) | None => false,
                    Some(_) => {
                        last.get(&record.frame.id).is_some_and(|&at| offered[at].sent.dropped.is_none())
                    }
                };
                if !late {
                    last.insert(record.frame.id, offered.len());
                    offered.push(Offered { sent: record, arrivals: Vec::new() });
                }
            }
            Way::Inbound if record.port == to => {
                if let Some(&at) = last.get(&record.frame.id) {
                    offered[at].arrivals.push(record);
                }
            }
            Way::Outbound | Way::Inbound => {}
        }
    }
    offered
}

/// True if chance delays frames, and nothing else but the link's own delay does.
fn is_delay_random(parameters: &LinkParameters) -> bool {
    (!parameters.jitter.is_none() || parameters.reorder.gap > 0) && parameters.rate == Rate::Unlimited
}

/// The frames that were offered to one direction of a link.
pub(super) fn offered_to<'a>(
    link: &LinkPlan,
    direction: usize,
    report: &'a Report,
) -> Option<Vec<Offered<'a>>> {
    let port = |end: usize| {
        let port = report.session.ports.iter().position(|port| port.name == link.ends[end].name);
        port.and_then(|port| u32::try_from(port).ok())
    };
    Some(offered(&report.records, port(direction)?, port(1 - direction)?))
}

/// What became of the frames of one direction of a link. One that arrived altered counts as dropped: the checksums of its
/// receiver see to that.
pub(super) fn of_direction(link: &LinkPlan, direction: usize, report: &Report) -> Option<Fates> {
    let offered = offered_to(link, direction, report)?;
    let latency =
        |offered: &Offered<'_>| offered.arrivals.first().map(|first| first.at.since(offered.sent.at));
    let mut fates = Fates::default();
    if is_delay_random(&link.directions[direction]) {
        fates.delay = offered.iter().filter_map(latency).min();
    }
    for (number, frame) in (1..).zip(&offered) {
        let altered = frame.arrivals.first().is_some_and(|first| first.frame.bytes != frame.sent.frame.bytes);
        let lost = matches!(frame.sent.dropped, Some(DropReason::Loss | DropReason::Listed));
        if lost || altered {
            fates.drop.push(number);
            continue;
        }
        if frame.arrivals.len() > 1 {
            fates.duplicated.push(number);
        }
        let late = fates.delay.zip(latency(frame)).map(|(delay, latency)| latency.saturating_sub(delay));
        fates.delayed.extend(late.filter(|late| !late.is_zero()).map(|late| (number, late)));
    }
    Some(fates)
}

/// Knobs that draw, and those that go with them.
const RANDOM: [&str; 3] = ["loss", "duplicate", "corrupt"];
const RANDOM_DELAY: [&str; 5] = ["jitter", "distribution", "correlation", "in_order", "reorder"];
pub(super) const LISTS: [&str; 3] = ["drop", "delayed", "duplicated"];

/// Cables whose randomness lists can take the place of, be it their own or the timeline's: where they are described, and which
/// link they are.
pub(super) fn random_cables(script: &Script, plan: &Plan) -> Vec<(Place, usize)> {
    let entries = (0..script.entries()).filter(|entry| {
        let set = script.keys(&["at".to_owned(), entry.to_string(), "set".to_owned()]);
        set.iter().any(|key| RANDOM.contains(&key.as_str()))
    });
    let changed: BTreeSet<usize> = entries
        .filter_map(|entry| plan.timeline.get(entry))
        .flat_map(|entry| entry.action.links().iter().copied())
        .collect();
    let is_random = |place: &Place| {
        let inside = DIRECTIONS.map(|direction| [place.as_slice(), &[direction.to_owned()]].concat());
        let tables = inside.iter().chain([place]);
        let drawing = |key: &String| RANDOM.contains(&key.as_str()) || RANDOM_DELAY.contains(&key.as_str());
        tables.flat_map(|place| script.keys(place)).any(|key| drawing(&key))
    };
    let cables = cables_of(script, plan).into_iter();
    cables.filter(|(place, link)| is_random(place) || changed.contains(link)).collect()
}

/// The scenario's cables: where they are described, or would be, and which link of the plan they are.
pub(super) fn cables_of(script: &Script, plan: &Plan) -> Vec<(Place, usize)> {
    let link_of = |name: &str, place: &Place| {
        let is_it = |link: &LinkPlan| match place[0].as_str() {
            "link" => link.name == name,
            _ => link.name.rsplit_once(':').is_some_and(|(port, _)| port == name),
        };
        plan.links.iter().position(is_it)
    };
    let cables = knobs::cables_to_be(script).into_iter();
    cables.filter_map(|(name, place)| link_of(&name, &place).map(|link| (place, link))).collect()
}

/// The script with lists in place of chance, on these cables.
pub(super) fn with_lists(
    script: &Script,
    plan: &Plan,
    report: &Report,
    cables: &[(Place, usize)],
) -> Option<Script> {
    let mut script = script.clone();
    for (place, link) in cables {
        let link = &plan.links[*link];
        let delays_too = link.directions.iter().all(|parameters| {
            is_delay_random(parameters) || (parameters.jitter.is_none() && parameters.reorder.gap == 0)
        });
        let mut replaced = [&RANDOM[..], &LISTS[..]].concat();
        if delays_too {
            replaced.extend(RANDOM_DELAY);
        }
        if let (None, Some((last, above))) = (script.table(place), place.split_last()) {
            script.edit(above, |table| drop(table.insert(last, value(InlineTable::new()))))?;
        }
        let inside = DIRECTIONS.map(|direction| [place.as_slice(), &[direction.to_owned()]].concat());
        for table in inside.iter().chain([place]) {
            script.edit(table, |table| replaced.iter().for_each(|key| drop(table.remove(key))));
        }
        for (direction, place_inside) in inside.iter().enumerate() {
            let mut fates = of_direction(link, direction, report)?;
            if !delays_too {
                (fates.delay, fates.delayed) = (None, Vec::new());
            }
            write(&mut script, place, DIRECTIONS[direction], &fates)?;
            knobs::drop_if_empty(&mut script, place_inside);
        }
        knobs::drop_if_empty(&mut script, place);
    }
    let links = cables.iter().map(|(_, link)| *link).collect();
    forget_chance(&mut script, plan, &links)?;
    Some(script)
}

fn write(script: &mut Script, cable: &Place, direction: &str, fates: &Fates) -> Option<()> {
    if *fates == Fates::default() {
        return Some(());
    }
    let numbers =
        |list: &[u64]| value(list.iter().map(|&n| i64::try_from(n).unwrap_or(i64::MAX)).collect::<Array>());
    let place = [cable.as_slice(), &[direction.to_owned()]].concat();
    if script.table(&place).is_none() {
        script.edit(cable, |table| drop(table.insert(direction, value(InlineTable::new()))))?;
    }
    script.edit(&place, |table| {
        if let Some(delay) = fates.delay {
            table.insert("delay", knobs::duration(delay));
        }
        if !fates.drop.is_empty() {
            table.insert("drop", numbers(&fates.drop));
        }
        if !fates.delayed.is_empty() {
            let entries = fates.delayed.iter().map(|&(frame, by)| {
                let mut entry = InlineTable::new();
                entry.insert("frame", Value::from(i64::try_from(frame).unwrap_or(i64::MAX)));
                if let Item::Value(by) = knobs::duration(by) {
                    entry.insert("by", by);
                }
                Value::InlineTable(entry)
            });
            table.insert("delayed", value(entries.collect::<Array>()));
        }
        if !fates.duplicated.is_empty() {
            table.insert("duplicated", numbers(&fates.duplicated));
        }
    })
}

/// Entries of the timeline do not set chance again where lists have taken its place. Of one that sets it on other links
/// too, these have an entry of their own, at the end, where it shifts no other's draws.
pub(super) fn forget_chance(script: &mut Script, plan: &Plan, links: &BTreeSet<usize>) -> Option<()> {
    let mut idle = BTreeSet::new();
    let mut others = Vec::new();
    for (entry, planned) in plan.timeline.iter().enumerate().take(script.entries()) {
        let place = vec!["at".to_owned(), entry.to_string()];
        let set = [place.as_slice(), &["set".to_owned()]].concat();
        let (listed, left): (Vec<usize>, Vec<usize>) =
            planned.action.links().iter().partition(|link| links.contains(link));
        if listed.is_empty() || !script.keys(&set).iter().any(|key| RANDOM.contains(&key.as_str())) {
            continue;
        }
        let names = |links: &[usize]| {
            value(links.iter().map(|&link| plan.links[link].name.as_str()).collect::<Array>())
        };
        let sets_more = script.keys(&set).iter().any(|key| !RANDOM.contains(&key.as_str()));
        if !left.is_empty() && !sets_more {
            script.edit(&place, |table| table.insert("link", names(&left)))?;
            continue;
        }
        if !left.is_empty() {
            let mut other = script.list("at")?.get(entry)?.clone();
            other.insert("link", names(&left));
            others.push(other);
            script.edit(&place, |table| table.insert("link", names(&listed)))?;
        }
        script.edit(&set, |table| RANDOM.iter().for_each(|key| drop(table.remove(key))));
        if script.table(&set).is_some_and(|table| table.is_empty()) {
            idle.insert(entry);
        }
    }
    for mut other in others {
        script::set_position(&mut other, None);
        script.list_mut("at")?.push(other);
    }
    script.remove_entries(&idle);
    Some(())
}

/// A frame that a list names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Listed {
    pub knob: Knob,
    pub frame: i64,
}

/// The number that an entry of a list names.
pub(super) fn frame_of(entry: &Value) -> Option<i64> {
    entry.as_integer().or_else(|| entry.as_inline_table()?.get("frame")?.as_integer())
}

/// All frames that lists name.
pub(super) fn listed(script: &Script) -> Vec<Listed> {
    let lists = knobs::knobs(script).into_iter().filter(|knob| LISTS.contains(&knob.key.as_str()));
    let of = |knob: Knob| {
        let list = script.table(&knob.place).and_then(|table| table.get(&knob.key)).and_then(Item::as_array);
        let frames: Vec<i64> = list.into_iter().flatten().filter_map(frame_of).collect();
        frames.into_iter().map(move |frame| Listed { knob: knob.clone(), frame })
    };
    lists.flat_map(of).collect()
}

/// The script without these frames in its lists.
pub(super) fn without_listed(script: &Script, gone: &BTreeSet<Listed>) -> Script {
    let mut script = script.clone();
    for knob in gone.iter().map(|listed| &listed.knob).collect::<BTreeSet<_>>() {
        let frames: BTreeSet<i64> =
            gone.iter().filter(|listed| listed.knob == *knob).map(|listed| listed.frame).collect();
        script.edit(&knob.place, |table| {
            let list = table.get_mut(&knob.key).and_then(Item::as_array_mut);
            let empty = list.is_some_and(|list| {
                list.retain(|entry| !frame_of(entry).is_some_and(|frame| frames.contains(&frame)));
                list.fmt();
                list.is_empty()
            });
            if empty {
                table.remove(&knob.key);
            }
        });
        if knob.place[0] != "at" {
            knobs::drop_if_empty(&mut script, &knob.place);
        }
    }
    script
}
