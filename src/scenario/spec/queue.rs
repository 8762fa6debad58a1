//! The key `queue`: a number of packets, or limits and a discipline with its keys.

use std::ops::Range;

use toml::Spanned;
use toml::de::DeValue;

use super::super::mistake::Problem;
use super::super::read::{Reader, boolean, integer, word};
use super::super::units;
use super::link::{table_of, tell_keys_of_others};
use super::missing;
use crate::network::link::{CoDelParameters, Discipline, QueueLimits, RedParameters, RedUnit};

/// Frames that may be asked to wait in a queue.
const FRAMES_MAX: u64 = 1_000_000;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    DropTail,
    CoDel,
    Red,
}

/// Disciplines by name, with the keys of each.
const KINDS: [(&str, Kind, &[&str]); 3] = [
    ("drop-tail", Kind::DropTail, &[]),
    ("codel", Kind::CoDel, &["target", "interval", "ecn"]),
    ("red", Kind::Red, &["min", "max", "probability", "weight", "ecn"]),
];

pub(super) fn queue(reader: &mut Reader<'_>) -> Option<(QueueLimits, Discipline)> {
    let mistakes = reader.mistakes;
    let Some((at, table)) = table_of(reader, "queue") else {
        let frames = reader.get("queue", integer(0..=FRAMES_MAX))?.into_inner();
        let limits = QueueLimits { frames_max: frames as usize, bytes_max: None };
        return Some((limits, Discipline::DropTail));
    };
    let mut reader = Reader::new(table, "`queue`", mistakes);
    let packets = reader.get("packets", integer(0..=FRAMES_MAX)).map(|packets| packets.into_inner() as usize);
    let bytes_max = reader.get("bytes", units::size).map(Spanned::into_inner);
    // A limit in bytes stands for itself.
    let default = if reader.has("bytes") { usize::MAX } else { QueueLimits::default().frames_max };
    let limits = QueueLimits { frames_max: packets.unwrap_or(default), bytes_max };
    let kind = match reader.has("discipline") {
        false => Kind::DropTail,
        // Of an unknown one, no key can be judged.
        true => reader.get("discipline", kind)?.into_inner(),
    };
    let discipline = match kind {
        Kind::DropTail => Discipline::DropTail,
        Kind::CoDel => Discipline::CoDel(codel(&mut reader, &at)),
        Kind::Red => Discipline::Red(red(&mut reader, &at, &limits)),
    };
    tell_keys_of_others(&mut reader, "queue", "discipline", &KINDS, kind);
    reader.finish();
    Some((limits, discipline))
}

fn kind(value: &DeValue<'_>) -> Result<Kind, Problem> {
    word(value, "a discipline", &KINDS.map(|(name, kind, _)| (name, kind)))
}

fn codel(reader: &mut Reader<'_>, at: &Range<usize>) -> CoDelParameters {
    let default = CoDelParameters::default();
    let target = reader.get("target", units::duration);
    let interval = reader.get("interval", units::duration);
    let ecn = reader.get("ecn", boolean).is_some_and(Spanned::into_inner);
    let place = target.as_ref().or(interval.as_ref()).map_or_else(|| at.clone(), Spanned::span);
    let target = target.map_or(default.target, Spanned::into_inner);
    let interval = interval.map_or(default.interval, Spanned::into_inner);
    if target >= interval {
        let message =
            format!("queue: CoDel's target, {target:?}, is not less than its interval, {interval:?}");
        let help = "RFC 8289: the interval is about a round trip, the target 5 to 10 % of it";
        reader.mistakes.add(place, message, help);
    }
    CoDelParameters { target, interval, ecn }
}

fn red(reader: &mut Reader<'_>, at: &Range<usize>, limits: &QueueLimits) -> RedParameters {
    let default = RedParameters::default();
    for (key, other) in [("min", "max"), ("max", "min")] {
        if reader.has(key) && !reader.has(other) {
            let help = "RED's thresholds come together, such as `min = 5, max = 15`";
            missing(reader.mistakes, at.clone(), "`queue`", other, help);
        }
    }
    let min = reader.get("min", threshold);
    let max = reader.get("max", threshold);
    let probability = reader.get("probability", units::probability).map(Spanned::into_inner);
    let weight = reader.get("weight", units::probability);
    let ecn = reader.get("ecn", boolean).is_some_and(Spanned::into_inner);
    if let Some(weight) = weight.as_ref().filter(|weight| *weight.get_ref() == 0.0) {
        reader.mistakes.add(weight.span(), "weight: an average of weight 0 never moves", "such as 0.002");
    }
    let (mut thresholds, mut unit) = ((default.min, default.max), default.unit);
    if let (Some(min), Some(max)) = (min, max) {
        let span = max.span();
        let ((min, min_unit), (max, max_unit)) = (min.into_inner(), max.into_inner());
        let limit = match max_unit {
            RedUnit::Frames => limits.frames_max as u64,
            RedUnit::Bytes => limits.bytes_max.unwrap_or(u64::MAX),
        };
        if min_unit != max_unit {
            let help = "both are numbers of packets, or both sizes such as \"30KiB\"";
            reader.mistakes.add(span, "max: is not in the unit of `min`", help);
        } else if min >= max {
            reader.mistakes.add(
                span,
                format!("max: {max} is not more than `min`, {min}"),
                "such as three times `min`",
            );
        } else if max > limit {
            let message = format!("max: {max} is more than the queue holds, {limit}");
            reader.mistakes.add(span, message, "an average that is never reached: raise the limit");
        }
        (thresholds, unit) = ((min, max), max_unit);
    }
    let (min, max) = thresholds;
    RedParameters {
        min,
        max,
        unit,
        probability: probability.unwrap_or(default.probability),
        weight: weight.map_or(default.weight, Spanned::into_inner),
        ecn,
    }
}

/// Packets as a number, bytes as a size with its unit.
fn threshold(value: &DeValue<'_>) -> Result<(u64, RedUnit), Problem> {
    match value {
        DeValue::Integer(_) => Ok((integer(0..=FRAMES_MAX)(value)?, RedUnit::Frames)),
        _ => Ok((units::size(value)?, RedUnit::Bytes)),
    }
}
