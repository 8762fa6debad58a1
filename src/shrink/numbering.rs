//! Lists name frames by their numbers, and whoever is left out sends none any more: those after them move up.

use std::collections::{BTreeMap, BTreeSet};

use toml_edit::{Array, Item, Value};

use super::devices::{Device, is_spoken_of};
use super::fates;
use super::knobs::{self, DIRECTIONS};
use super::lists::{self, LISTS};
use super::script::{Place, Script};
use crate::capture::Way;
use crate::lab::Report;
use crate::network::PacketId;
use crate::scenario::plan::Plan;

/// Where the frames come from that were offered to each direction with lists, in a run.
pub(super) struct Numbering {
    /// Of each such table, the ports that its frames left first, in the order in which the link counted them.
    origins: BTreeMap<Place, Vec<u32>>,
    ports: Vec<String>,
}

impl Numbering {
    pub fn of(script: &Script, plan: &Plan, report: &Report) -> Numbering {
        let mut first: BTreeMap<PacketId, u32> = BTreeMap::new();
        let mut origins = BTreeMap::new();
        for (place, link) in lists::cables_of(script, plan) {
            for (direction, key) in DIRECTIONS.iter().enumerate() {
                let place = [place.as_slice(), &[(*key).to_owned()]].concat();
                if !script.keys(&place).iter().any(|key| LISTS.contains(&key.as_str())) {
                    continue;
                }
                if first.is_empty() {
                    let sent = report.records.iter().filter(|record| record.way == Way::Outbound);
                    sent.for_each(|record| _ = first.entry(record.frame.id).or_insert(record.port));
                }
                let offered = fates::offered(&plan.links[link], direction, report).unwrap_or_default();
                let from = offered.iter().map(|frame| first[&frame.sent.frame.id]);
                origins.insert(place, from.collect());
            }
        }
        let ports = report.session.ports.iter().map(|port| port.name.clone()).collect();
        Numbering { origins, ports }
    }

    /// The lists of a script without these devices as they name the same frames. `None` if that changes nothing.
    pub fn without(&self, script: &Script, gone: &BTreeSet<Device>) -> Option<Script> {
        let is_gone = |port: u32| self.ports.get(port as usize).is_some_and(|name| is_spoken_of(name, gone));
        let mut script = script.clone();
        let mut changed = false;
        for (place, origins) in &self.origins {
            // The number that each frame has now; `None`: it is not sent any more.
            let mut left = 0;
            let numbers: Vec<Option<i64>> = origins
                .iter()
                .map(|&port| {
                    left += i64::from(!is_gone(port));
                    (!is_gone(port)).then_some(left)
                })
                .collect();
            let new = |number: i64| match usize::try_from(number - 1).ok().and_then(|at| numbers.get(at)) {
                Some(new) => *new,
                // A frame that was never sent.
                None => Some(number),
            };
            for key in LISTS {
                let renumber = |list: &mut Array| {
                    let before: Vec<i64> = list.iter().filter_map(lists::frame_of).collect();
                    list.retain(|entry| lists::frame_of(entry).is_none_or(|frame| new(frame).is_some()));
                    for entry in list.iter_mut() {
                        if let Some(number) = lists::frame_of(entry).and_then(new) {
                            set_frame(entry, number);
                        }
                    }
                    list.fmt();
                    let after: Vec<i64> = list.iter().filter_map(lists::frame_of).collect();
                    (before != after, after.is_empty())
                };
                let edited = script.edit(place, |table| {
                    let (differs, empty) = renumber(table.get_mut(key).and_then(Item::as_array_mut)?);
                    if empty {
                        table.remove(key);
                    }
                    Some(differs)
                });
                changed |= edited.flatten().unwrap_or(false);
            }
            knobs::drop_if_empty(&mut script, place);
        }
        changed.then_some(script)
    }
}

fn set_frame(entry: &mut Value, number: i64) {
    match entry.as_inline_table_mut() {
        Some(table) => _ = table.insert("frame", number.into()),
        None => *entry = number.into(),
    }
}
