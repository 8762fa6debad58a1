//! Lists of what became of each frame, in the place of the chance that it came of.

use std::collections::{BTreeMap, BTreeSet};

use toml_edit::{Array, InlineTable, Item, TableLike, Value, value};

use super::fates::{self, Delays, Fates};
use super::knobs::{self, DIRECTIONS, Knob};
use super::script::{self, Place, Script};
use crate::lab::Report;
use crate::scenario::plan::{LinkPlan, Plan};

/// Knobs that draw what is to become of a frame, and those that draw when it arrives, with what goes with them.
const RANDOM: [&str; 3] = ["loss", "duplicate", "corrupt"];
const RANDOM_DELAY: [&str; 5] = ["jitter", "distribution", "correlation", "in_order", "reorder"];
pub(super) const LISTS: [&str; 3] = ["drop", "delayed", "duplicated"];

/// Cables whose randomness lists can take the place of, be it their own or the timeline's: where they are described, and which
/// link they are.
pub(super) fn random_cables(script: &Script, plan: &Plan) -> Vec<(Place, usize)> {
    let draws = |key: &str| RANDOM.contains(&key) || RANDOM_DELAY.contains(&key);
    let is_random = |place: &Place| {
        let has_red = script.table(place).is_some_and(draws_at_queue);
        has_red || script.keys(place).iter().any(|key| draws(key))
    };
    let cables = cables_of(script, plan).into_iter();
    let is_changed = |link: usize| set_on(script, plan, link).iter().any(|key| draws(key));
    cables.filter(|(place, link)| tables_of(place).iter().any(is_random) || is_changed(*link)).collect()
}

/// Where a cable's knobs stand: those of each direction, and those of both.
fn tables_of(cable: &Place) -> [Place; 3] {
    let [forward, backward] =
        DIRECTIONS.map(|direction| [cable.as_slice(), &[direction.to_owned()]].concat());
    [forward, backward, cable.clone()]
}

fn draws_at_queue(table: &dyn TableLike) -> bool {
    let queue = table.get("queue").and_then(Item::as_table_like);
    queue.and_then(|queue| queue.get("discipline")).and_then(Item::as_str) == Some("red")
}

/// The knobs that the timeline sets on a link.
fn set_on(script: &Script, plan: &Plan, link: usize) -> BTreeSet<String> {
    let entries = plan.timeline.iter().enumerate().filter(|(_, entry)| entry.action.links().contains(&link));
    entries
        .flat_map(|(entry, _)| script.keys(&["at".to_owned(), entry.to_string(), "set".to_owned()]))
        .collect()
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

/// The script with lists in place of chance, on these cables; `all`: of delays and of RED's drops as well.
pub(super) fn with_lists(
    script: &Script,
    plan: &Plan,
    report: &Report,
    cables: &[(Place, usize)],
    all: bool,
) -> Option<Script> {
    let mut script = script.clone();
    let mut forgotten = BTreeMap::new();
    for (place, number) in cables {
        let link = &plan.links[*number];
        let set = set_on(&script, plan, *number);
        let is_set = |keys: &[&str]| keys.iter().any(|key| set.contains(*key));
        let mut delays = link.directions.each_ref().map(|parameters| {
            let draws = !parameters.jitter.is_none() || parameters.reorder.gap > 0;
            if draws || !parameters.script.lists().1.is_empty() { Delays::Drawn } else { Delays::Fixed }
        });
        let mut keys = RANDOM.to_vec();
        if is_set(&RANDOM_DELAY) || (is_set(&["delay"]) && delays.contains(&Delays::Drawn)) {
            delays = [Delays::Changed; 2];
            keys.push("delay");
        }
        if all && delays != [Delays::Fixed; 2] && is_set(&["rate", "queue"]) {
            return None;
        }
        keys.extend(if all { &RANDOM_DELAY[..] } else { &[] });
        forgotten.insert(*number, keys.clone());
        // The delay of the cable itself is the shortest, from now on.
        keys.retain(|key| *key != "delay");
        keys.extend(if all { &LISTS[..] } else { &["drop", "duplicated"] });

        if let (None, Some((last, above))) = (script.table(place), place.split_last()) {
            script.edit(above, |table| drop(table.insert(last, value(InlineTable::new()))))?;
        }
        for table in tables_of(place) {
            script.edit(&table, |table| {
                keys.iter().for_each(|key| drop(table.remove(key)));
                if all && draws_at_queue(table) {
                    forget_red(table);
                }
            });
        }
        for (direction, place_inside) in tables_of(place)[..2].iter().enumerate() {
            let delays = if all { delays[direction] } else { Delays::Fixed };
            let fates = fates::of_direction(link, direction, delays, report)?;
            write(&mut script, place, DIRECTIONS[direction], &fates)?;
            knobs::drop_if_empty(&mut script, place_inside);
        }
        knobs::drop_if_empty(&mut script, place);
    }
    forget_chance(&mut script, plan, &forgotten)?;
    Some(script)
}

/// Leaves the queue its limits.
fn forget_red(link: &mut dyn TableLike) {
    let Some(queue) = link.get_mut("queue").and_then(Item::as_table_like_mut) else { return };
    let others: Vec<String> = queue.iter().map(|(key, _)| key.to_owned()).collect();
    for key in others.iter().filter(|key| !["packets", "bytes"].contains(&key.as_str())) {
        queue.remove(key);
    }
    if queue.is_empty() {
        link.remove("queue");
    }
}

fn write(script: &mut Script, cable: &Place, direction: &str, fates: &Fates) -> Option<()> {
    if *fates == Fates::default() {
        return Some(());
    }
    let numbers =
        |list: &[u64]| value(list.iter().map(|&n| i64::try_from(n).unwrap_or(i64::MAX)).collect::<Array>());
    let place = [cable.as_slice(), &[direction.to_owned()]].concat();
    // As the cable has it for both.
    let knob = |place: &Place| Knob { place: place.clone(), key: "delay".to_owned() };
    let has_own = script.table(&place).is_some_and(|table| table.contains_key("delay"));
    let given = knobs::duration_of(script, &knob(if has_own { &place } else { cable })).unwrap_or_default();
    let delay = fates.delay.filter(|delay| *delay != given);
    if script.table(&place).is_none() {
        script.edit(cable, |table| drop(table.insert(direction, value(InlineTable::new()))))?;
    }
    script.edit(&place, |table| {
        if let Some(delay) = delay {
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

/// Entries of the timeline do not set, of each of these links, what lists have taken the place of. Of one that sets it on
/// other links too, these have an entry of their own, at the end, where it shifts no other's draws.
pub(super) fn forget_chance(
    script: &mut Script,
    plan: &Plan,
    forgotten: &BTreeMap<usize, Vec<&str>>,
) -> Option<()> {
    let mut idle = BTreeSet::new();
    let mut others = Vec::new();
    for (entry, planned) in plan.timeline.iter().enumerate().take(script.entries()) {
        let place = vec!["at".to_owned(), entry.to_string()];
        let set = [place.as_slice(), &["set".to_owned()]].concat();
        let (listed, left): (Vec<usize>, Vec<usize>) =
            planned.action.links().iter().partition(|link| forgotten.contains_key(link));
        let gone: BTreeSet<&str> = listed.iter().flat_map(|link| forgotten[link].iter().copied()).collect();
        let keys = script.keys(&set);
        if !keys.iter().any(|key| gone.contains(key.as_str())) {
            continue;
        }
        let names = |links: &[usize]| {
            value(links.iter().map(|&link| plan.links[link].name.as_str()).collect::<Array>())
        };
        let sets_more = keys.iter().any(|key| !gone.contains(key.as_str()));
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
        script.edit(&set, |table| gone.iter().for_each(|key| drop(table.remove(key))));
        if !sets_more {
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
