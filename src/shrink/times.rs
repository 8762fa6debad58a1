//! Times of the timeline: what was drawn in the place of what it was drawn from, and then in round figures.

use std::time::Duration;

use toml_edit::{ArrayOfTables, Item, Table};

use super::knobs::{self, Knob};
use super::script::Script;
use crate::rng::{Rng, Seed};
use crate::scenario::plan::{EntryPlan, Plan, When};
use crate::time::Instant;

/// Entries that those which come again and again may become.
const ENTRIES_MAX: usize = 200;

/// The script with the times that this seed draws; each time that an entry comes again is an entry of its own where that is known
/// before the lab is run. `None` if nothing is drawn, and nothing comes again.
pub(super) fn drawn(script: &Script, plan: &Plan, seed: u64, end: Instant) -> Option<Script> {
    let list = script.list("at")?;
    let mut entries: Vec<Table> = Vec::new();
    for (number, (table, planned)) in list.iter().zip(&plan.timeline).enumerate() {
        // As the world draws them.
        let mut rng = Seed(seed).fork(&format!("timeline:{number}"));
        match times(planned, &mut rng, end) {
            Some(times) if !times.is_empty() => entries.extend(times.into_iter().map(|time| {
                let mut table = table.clone();
                ["every", "until", "times"].iter().for_each(|key| drop(table.remove(key)));
                set(&mut table, "time", time);
                table
            })),
            // Never, or after what only a run tells.
            Some(_) | None => {
                let mut table = table.clone();
                if table.contains_key("delay") {
                    let delay = planned.delay.draw(&mut rng);
                    set(&mut table, "delay", delay);
                }
                entries.push(table);
            }
        }
        if entries.len() > ENTRIES_MAX {
            return None;
        }
    }
    let before = script.text();
    let mut script = script.clone();
    *script.list_mut("at")? = entries.into_iter().collect::<ArrayOfTables>();
    (script.text() != before).then_some(script)
}

/// When an entry comes; `None` if it waits for an event.
fn times(entry: &EntryPlan, rng: &mut Rng, end: Instant) -> Option<Vec<Duration>> {
    let When::Time(first) = &entry.when else { return None };
    let mut times = Vec::new();
    let mut at = first.draw(rng);
    let last = entry.until.unwrap_or(Duration::MAX).min(end.elapsed());
    while at <= last && times.len() <= ENTRIES_MAX {
        times.push(at);
        let Some(every) = entry.every.filter(|_| entry.times.is_none_or(|most| (times.len() as u64) < most))
        else {
            break;
        };
        at += every.draw(rng);
    }
    Some(times)
}

/// A key that the table has or not, before its action.
fn set(table: &mut Table, key: &str, time: Duration) {
    let item: Item = knobs::duration(time);
    if let Some(old) = table.get_mut(key) {
        if old.as_str().is_some_and(|text| crate::scenario::parse_duration(text) == Ok(time)) {
            return;
        }
        let decor = old.as_value().map(|value| value.decor().clone());
        *old = item;
        if let (Some(decor), Some(value)) = (decor, old.as_value_mut()) {
            *value.decor_mut() = decor;
        }
    } else {
        table.insert(key, item);
        table.sort_values_by(|a, _, b, _| (b.get() == key).cmp(&(a.get() == key)));
    }
}

/// The durations that are written in a script and that a person would rather read in round figures.
pub(super) fn crooked(script: &Script) -> Vec<Knob> {
    let of_entry = |entry: usize| {
        let place = vec!["at".to_owned(), entry.to_string()];
        ["time", "delay", "every", "until"].map(|key| Knob { place: place.clone(), key: key.to_owned() })
    };
    let of_timeline = (0..script.entries()).flat_map(of_entry);
    // Delays are as short as they can be already, to the millisecond.
    let is_crooked = |delay: &Duration| !delay.as_nanos().is_multiple_of(1_000_000);
    let of_links =
        knobs::delays(script).into_iter().filter(|(_, delay)| is_crooked(delay)).map(|(knob, _)| knob);
    of_timeline.chain(of_links).filter(|knob| knobs::duration_of(script, knob).is_some()).collect()
}

/// The script with this duration in fewer digits, the fewest first.
pub(super) fn rounder(script: &Script, knob: &Knob) -> Vec<Script> {
    let Some(exact) = knobs::duration_of(script, knob) else { return Vec::new() };
    let rounded = rounded(exact).into_iter();
    rounded.filter_map(|round| knobs::with_value(script, knob, knobs::duration(round))).collect()
}

/// To one, two and three digits, as far as that changes anything.
pub(super) fn rounded(exact: Duration) -> Vec<Duration> {
    let nanos = u64::try_from(exact.as_nanos()).unwrap_or(u64::MAX);
    let digits = nanos.checked_ilog10().map_or(0, |log| log + 1);
    let to = |kept: u32| {
        let unit = 10u64.checked_pow(digits.checked_sub(kept)?)?;
        let round = nanos.checked_add(unit / 2)? / unit * unit;
        Some(Duration::from_nanos(round))
    };
    let mut all: Vec<Duration> = (1..=3).map_while(to).take_while(|&round| round != exact).collect();
    all.dedup();
    all
}

/// Of lists of frames that are late, how late each is, rounded to so many digits and no less than before.
pub(super) fn with_round_lists(script: &Script, digits: u32) -> Option<Script> {
    let mut script = script.clone();
    let mut changed = false;
    for knob in knobs::knobs(&script).into_iter().filter(|knob| knob.key == "delayed") {
        script.edit(&knob.place, |table| {
            let list = table.get_mut(&knob.key).and_then(Item::as_array_mut)?;
            for entry in list.iter_mut().filter_map(|entry| entry.as_inline_table_mut()) {
                let by = entry.get("by").and_then(|by| by.as_str()).map(str::to_owned);
                let Some(Ok(exact)) = by.as_deref().map(crate::scenario::parse_duration) else { continue };
                let round = up(exact, digits);
                if round != exact
                    && let Item::Value(by) = knobs::duration(round)
                {
                    entry.insert("by", by);
                    changed = true;
                }
            }
            Some(())
        });
    }
    changed.then_some(script)
}

fn up(exact: Duration, digits: u32) -> Duration {
    let nanos = u64::try_from(exact.as_nanos()).unwrap_or(u64::MAX);
    let all = nanos.checked_ilog10().map_or(0, |log| log + 1);
    let unit = 10u64.pow(all.saturating_sub(digits).min(18));
    Duration::from_nanos(nanos.div_ceil(unit).saturating_mul(unit))
}
