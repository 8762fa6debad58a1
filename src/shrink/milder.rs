//! Knobs that cannot be left out, turned down: chances halved, rates and queues doubled, MTUs raised.

use toml_edit::{InlineTable, Item, Value, value};

use super::knobs::{self, Knob};
use super::script::Script;

/// How often a knob is turned down at most in a row.
pub(super) const TURNS_MAX: usize = 24;

/// Chances below this meet next to nobody: what fails with them fails without.
const CHANCE_MIN: f64 = 1e-5;
/// Rates and queues above this, in their own unit, hold nothing up.
const LARGE: f64 = 1e6;
/// Ethernet's, at which a link's MTU is none.
const MTU: i64 = 1500;

/// What the script is with this knob a step milder; of several ways the simplest comes first.
pub(super) fn milder(script: &Script, knob: &Knob) -> Vec<Script> {
    let item = script.table(&knob.place).and_then(|table| table.get(&knob.key));
    // One in brackets becomes one in braces.
    let old = item.and_then(|item| item.clone().into_value().ok());
    let values: Vec<Item> = match (knob.key.as_str(), &old) {
        (_, None) => Vec::new(),
        ("loss" | "duplicate" | "corrupt" | "reorder", Some(value)) => chance(value),
        ("rate", Some(value)) => limits(value, &["limit"]),
        ("queue", Some(value)) => limits(value, &["packets", "bytes"]),
        ("mtu", Some(value)) => value.as_integer().into_iter().flat_map(wider).map(self::value).collect(),
        (_, Some(_)) => Vec::new(),
    };
    values.into_iter().filter_map(|value| knobs::with_value(script, knob, value)).collect()
}

/// Jitter on this table taken away, in exchange for a delay as long as it made most frames', or the latest.
pub(super) fn steady(script: &Script, knob: &Knob) -> Vec<Script> {
    let sibling = |key: &str| Knob { place: knob.place.clone(), key: key.to_owned() };
    let duration = |key| knobs::duration_of(script, &sibling(key));
    let (Some(delay), Some(jitter)) = (duration("delay"), duration("jitter")) else { return Vec::new() };
    let with = |times: u32| {
        let mut script = script.clone();
        script.edit(&knob.place, |table| {
            ["jitter", "distribution", "correlation", "in_order"]
                .iter()
                .for_each(|key| drop(table.remove(key)));
        })?;
        knobs::with_value(&script, &sibling("delay"), knobs::duration(delay + jitter * times))
    };
    // Distributions are cut off at four deviations.
    [1, 4].into_iter().filter_map(with).collect()
}

fn chance(value: &Value) -> Vec<Item> {
    if let Some(half) = halved(value) {
        return vec![half];
    }
    let Some(table) = value.as_inline_table() else { return Vec::new() };
    let plain = |key: &str| table.get(key).map(|value| Item::Value(value.clone()));
    let simple = match table.get("model").and_then(Value::as_str) {
        None | Some("random") if !table.contains_key("gap") => plain("probability"),
        Some(_) | None => None,
    };
    let simpler = simple.into_iter().chain(one_key_less(table));
    // The keys that say how often it begins.
    let halves = ["probability", "p", "p13"].into_iter().filter_map(|key| {
        let half = halved(table.get(key)?)?;
        Some(with(table, &[(key, half)]))
    });
    let doubles = ["n", "gap"].into_iter().filter_map(|key| {
        let twice = scaled(table.get(key)?, 2.0)?;
        Some(with(table, &[(key, twice)]))
    });
    simpler.chain(halves).chain(doubles).collect()
}

/// Without whatever else there is beside these limits, or with all of them doubled.
fn limits(value: &Value, keys: &[&str]) -> Vec<Item> {
    let Some(table) = value.as_inline_table() else { return scaled(value, 2.0).into_iter().collect() };
    let simple = match keys {
        [key, ..] if table.len() > 1 => table.get(key).map(|value| Item::Value(value.clone())),
        _ => None,
    };
    let doubled: Vec<_> = keys.iter().filter_map(|key| Some((*key, scaled(table.get(key)?, 2.0)?))).collect();
    let doubled = (!doubled.is_empty()).then(|| with(table, &doubled));
    simple.into_iter().chain(one_key_less(table)).chain(doubled).collect()
}

/// What a table says beyond its defaults, all but one thing. What cannot be left out is told by the scenario's own reader.
fn one_key_less(table: &InlineTable) -> impl Iterator<Item = Item> {
    let keys = table.iter().map(|(key, _)| key).filter(|_| table.len() > 1);
    keys.map(|key| {
        let mut table = table.clone();
        table.remove(key);
        table.fmt();
        value(table)
    })
}

fn with(table: &InlineTable, values: &[(&str, Item)]) -> Item {
    let mut table = table.clone();
    for (key, item) in values {
        if let Some(value) = item.as_value() {
            table.insert(*key, value.clone());
        }
    }
    table.fmt();
    value(table)
}

/// A share or a percentage.
fn halved(value: &Value) -> Option<Item> {
    let chance = match value {
        Value::String(text) => number(text.value().trim_end().strip_suffix('%')?)? / 100.0,
        Value::Float(float) => *float.value(),
        Value::Integer(integer) => *integer.value() as f64,
        Value::Boolean(_) | Value::Datetime(_) | Value::Array(_) | Value::InlineTable(_) => return None,
    };
    (chance > 2.0 * CHANCE_MIN).then(|| self::value(format!("{}%", three_digits(chance * 50.0))))
}

fn scaled(value: &Value, factor: f64) -> Option<Item> {
    match value {
        Value::Integer(integer) => {
            let scaled = *integer.value() as f64 * factor;
            (scaled > 0.0 && scaled <= LARGE).then(|| self::value(scaled as i64))
        }
        Value::String(text) => {
            let text = text.value();
            let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.').len();
            let (count, unit) = text.split_at(digits);
            let scaled = number(count)? * factor;
            (scaled > 0.0 && scaled <= LARGE).then(|| self::value(format!("{scaled}{unit}")))
        }
        Value::Float(_)
        | Value::Boolean(_)
        | Value::Datetime(_)
        | Value::Array(_)
        | Value::InlineTable(_) => None,
    }
}

fn number(text: &str) -> Option<f64> {
    text.trim().parse().ok().filter(|number: &f64| number.is_finite())
}

fn three_digits(number: f64) -> f64 {
    let digits = 2 - number.abs().log10().floor() as i32;
    let scale = 10f64.powi(digits);
    (number * scale).round() / scale
}

/// MTUs between this one and Ethernet's, the largest first.
fn wider(mtu: i64) -> Vec<i64> {
    let mut wider = vec![MTU, (mtu + MTU) / 2];
    wider.retain(|&wider| wider > mtu);
    wider.dedup();
    wider
}
