//! Milder links: knobs left out, and delays cut down.

use std::collections::BTreeSet;
use std::time::Duration;

use toml_edit::{Item, value};

use super::script::{Place, Script};
use crate::scenario::parse_duration;

/// Of `[link.NAME]` and of whatever else has the keys of one.
const KNOBS: [&str; 16] = [
    "up",
    "mtu",
    "delay",
    "jitter",
    "distribution",
    "correlation",
    "in_order",
    "rate",
    "queue",
    "loss",
    "duplicate",
    "corrupt",
    "reorder",
    "drop",
    "delayed",
    "duplicated",
];
/// The directions of a link, there and back.
pub(super) const DIRECTIONS: [&str; 2] = ["forward", "backward"];

/// A knob that the scenario sets.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Knob {
    pub place: Place,
    pub key: String,
}

/// Where the cables of a scenario are described, each with its name in the plan: `PORT` alone where the key `network`
/// plugs it into a switch.
pub(super) fn cables(script: &Script) -> Vec<(String, Place)> {
    let mut cables = cables_to_be(script);
    cables.retain(|(_, place)| script.table(place).is_some());
    cables
}

/// Where they are described or would be, those of which nothing is said among them.
pub(super) fn cables_to_be(script: &Script) -> Vec<(String, Place)> {
    let place = |steps: &[&str]| steps.iter().map(|&step| step.to_owned()).collect::<Place>();
    let mut cables: Vec<_> =
        script.names("link").into_iter().map(|name| (name.clone(), place(&["link", &name]))).collect();
    for kind in ["guest", "router", "dhcp", "dns", "tap"] {
        for name in script.names(kind) {
            let own = place(&[kind, &name]);
            if kind != "router" {
                cables.push((name.clone(), [own.as_slice(), &place(&["link"])].concat()));
            }
            for interface in script.keys(&[own.as_slice(), &place(&["interface"])].concat()) {
                let port = if kind == "guest" && interface == "eth0" {
                    name.clone()
                } else {
                    format!("{name}.{interface}")
                };
                cables.push((port, place(&[kind, &name, "interface", &interface, "link"])));
            }
        }
    }
    cables
}

/// The tables with knobs: of cables, of their directions, and of entries of the timeline.
pub(super) fn tables(script: &Script) -> Vec<Place> {
    let mut tables = Vec::new();
    for (_, cable) in cables(script) {
        let inside = DIRECTIONS.map(|direction| [cable.as_slice(), &[direction.to_owned()]].concat());
        tables.push(cable);
        tables.extend(inside);
    }
    tables.extend(
        (0..script.entries()).map(|entry| vec!["at".to_owned(), entry.to_string(), "set".to_owned()]),
    );
    tables.retain(|place| script.table(place).is_some());
    tables
}

pub(super) fn knobs(script: &Script) -> Vec<Knob> {
    let of_table = |place: Place| {
        let keys = script.keys(&place).into_iter().filter(|key| KNOBS.contains(&key.as_str()));
        keys.map(|key| Knob { place: place.clone(), key }).collect::<Vec<_>>()
    };
    tables(script).into_iter().flat_map(of_table).collect()
}

/// The script without these knobs. `None` if a direction would then have what the cable says for both, which may be
/// anything but milder, or if an entry would have nothing to set.
pub(super) fn without_knobs(script: &Script, gone: &BTreeSet<Knob>) -> Option<Script> {
    let mut script = script.clone();
    for Knob { place, key } in gone {
        if let Some((last, cable)) = place.split_last()
            && DIRECTIONS.contains(&last.as_str())
            && let cable = (Knob { place: cable.to_vec(), key: key.clone() })
            && !gone.contains(&cable)
            && script.table(&cable.place).is_some_and(|table| table.contains_key(key))
        {
            return None;
        }
        script.remove(place, key);
    }
    let is_empty = |script: &Script, place: &Place| script.table(place).is_some_and(|table| table.is_empty());
    for knob in gone.iter().rev().filter(|knob| knob.place[0] != "at") {
        drop_if_empty(&mut script, &knob.place);
    }
    let sets_nothing = gone.iter().any(|knob| knob.place[0] == "at" && is_empty(&script, &knob.place));
    (!sets_nothing).then_some(script)
}

/// Takes out a `link`, `forward` or `backward` that says nothing.
pub(super) fn drop_if_empty(script: &mut Script, place: &[String]) {
    if script.table(place).is_some_and(|table| table.is_empty())
        && let Some((last, above)) = place.split_last()
        && (last == "link" || DIRECTIONS.contains(&last.as_str()))
    {
        script.remove(above, last);
        drop_if_empty(script, above);
    }
}

/// The knobs whose value is a duration that could be shorter.
pub(super) fn delays(script: &Script) -> Vec<(Knob, Duration)> {
    let long = knobs(script).into_iter().filter(|knob| matches!(knob.key.as_str(), "delay" | "jitter"));
    long.filter_map(|knob| duration_of(script, &knob).map(|duration| (knob, duration))).collect()
}

pub(super) fn duration_of(script: &Script, knob: &Knob) -> Option<Duration> {
    parse_duration(script.table(&knob.place)?.get(&knob.key)?.as_str()?).ok()
}

/// The script with another value of a knob.
pub(super) fn with_value(script: &Script, knob: &Knob, value: Item) -> Option<Script> {
    let mut script = script.clone();
    script.edit(&knob.place, |table| {
        let item = table.get_mut(&knob.key)?;
        let decor = item.as_value().map(|value| value.decor().clone());
        *item = value;
        if let Some(decor) = decor {
            *item.as_value_mut()?.decor_mut() = decor;
        }
        Some(())
    })??;
    Some(script)
}

/// As scenarios write it.
pub(super) fn duration(duration: Duration) -> Item {
    let nanos = duration.as_nanos();
    let units = [("s", 1_000_000_000), ("ms", 1_000_000), ("us", 1_000), ("ns", 1)];
    let whole = units.iter().find(|(_, unit)| nanos.is_multiple_of(*unit));
    let (unit, size) = whole.copied().unwrap_or(("ns", 1));
    value(format!("{}{unit}", nanos / size))
}
