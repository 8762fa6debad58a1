//! The knobs of a link: each direction's keys, and what of them contradicts.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::super::mistake::{Mistakes, Problem};
use super::super::read::{Reader, boolean, integer, signed, word};
use super::super::units;
use super::{guest, loss, queue};
use crate::network::link::{Chance, Distribution, Framing, Jitter, LinkParameters, Rate, Reorder, Script};

/// Both directions of a cable: there, and back.
pub(in super::super) type Directions = [DirectionSpec; 2];

/// One direction: its parameters, but for what stands in a file.
#[derive(Clone, Default)]
pub(in super::super) struct DirectionSpec {
    pub parameters: LinkParameters,
    /// The rate is this trace's.
    pub trace: Option<Spanned<PathBuf>>,
    /// Where keys stand that can contradict others.
    places: Places,
}

#[derive(Clone, Default)]
struct Places {
    delay: Option<Range<usize>>,
    jitter: Option<Range<usize>>,
    reorder: Option<Range<usize>>,
    correlation: Option<Range<usize>>,
    distribution: Option<Range<usize>>,
}

/// Longest IP packet that a frame of 65,535 bytes carries, and the shortest that IPv4 allows.
const MTU: std::ops::RangeInclusive<u64> = 68..=65_521;

/// The key `link` of whatever plugs into a switch.
pub(super) fn directions(reader: &mut Reader<'_>) -> Directions {
    let mistakes = reader.mistakes;
    let Some((_, table)) = reader.table("link") else { return Directions::default() };
    let mut reader = Reader::new(table, "`link`", mistakes);
    let directions = knobs(&mut reader);
    reader.finish();
    directions
}

/// The knobs of a link, with those of one direction alone in `forward` and `backward`.
pub(super) fn knobs(reader: &mut Reader<'_>) -> Directions {
    let both = one_direction(reader, DirectionSpec::default());
    let mistakes = reader.mistakes;
    ["forward", "backward"].map(|key| {
        let direction = match reader.table(key) {
            None => both.clone(),
            Some((_, table)) => {
                let mut reader = Reader::new(table, format!("`{key}`"), mistakes);
                let direction = one_direction(&mut reader, both.clone());
                reader.finish();
                direction
            }
        };
        direction.check(mistakes);
        direction
    })
}

/// The knobs of one direction, over what it has: for a table that was found without a mistake.
pub(in super::super) fn knobs_over(table: &DeTable<'_>, base: &LinkParameters) -> LinkParameters {
    let base = DirectionSpec { parameters: base.clone(), ..DirectionSpec::default() };
    one_direction(&mut Reader::new(table, "the change", &Mistakes::default()), base).parameters
}

pub(super) fn one_direction(reader: &mut Reader<'_>, base: DirectionSpec) -> DirectionSpec {
    let DirectionSpec { mut parameters, mut trace, mut places } = base;
    if let Some(up) = reader.get("up", boolean) {
        parameters.up = up.into_inner();
    }
    if let Some(mtu) = reader.get("mtu", integer(MTU)) {
        parameters.mtu = Some(mtu.into_inner() as usize);
    }
    if let Some(delay) = reader.get("delay", units::duration) {
        places.delay = Some(delay.span());
        parameters.delay = delay.into_inner();
    }
    jitter(reader, &mut parameters.jitter, &mut places);
    if let Some(rate) = rate(reader) {
        (parameters.rate, parameters.framing, trace) = rate;
    }
    if let Some((limits, discipline)) = queue::queue(reader) {
        (parameters.queue, parameters.discipline) = (limits, discipline);
    }
    if let Some((loss, marks)) = loss::loss(reader) {
        (parameters.loss, parameters.loss_marks) = (loss, marks);
    }
    if let Some(duplicate) = chance(reader, "duplicate") {
        parameters.duplicate = duplicate;
    }
    if let Some(corrupt) = chance(reader, "corrupt") {
        parameters.corrupt = corrupt;
    }
    if let Some(reorder) = reorder(reader) {
        places.reorder = (reorder.get_ref().gap > 0).then(|| reorder.span());
        parameters.reorder = reorder.into_inner();
    }
    parameters.script = script(reader, &parameters.script);
    DirectionSpec { parameters, trace, places }
}

impl DirectionSpec {
    /// Where the key `jitter` stands.
    pub(super) fn jitter_at(&self) -> Option<Range<usize>> {
        self.places.jitter.clone()
    }

    /// Where the key `delay` stands.
    pub(super) fn delay_at(&self) -> Option<Range<usize>> {
        self.places.delay.clone()
    }

    /// What each key allows and all together do not.
    fn check(&self, mistakes: &Mistakes) {
        let LinkParameters { delay, jitter, .. } = &self.parameters;
        if let Some(at) = &self.places.jitter
            && jitter.deviation > *delay
        {
            let message = format!("jitter: {:?} is more than the delay, {delay:?}", jitter.deviation);
            mistakes.add(at.clone(), message, "a frame cannot arrive before it was sent: add to `delay`");
        }
        if let Some(at) = &self.places.reorder
            && delay.is_zero()
        {
            let help = "frames that are not delayed cannot be overtaken: add `delay = \"10ms\"`";
            mistakes.add(at.clone(), "reorder: the link has no delay", help);
        }
        for (key, at) in
            [("distribution", &self.places.distribution), ("correlation", &self.places.correlation)]
        {
            if let Some(at) = at
                && jitter.is_none()
            {
                let help = "it is the jitter's: add `jitter = \"5ms\"`";
                mistakes.add(at.clone(), format!("{key}: the link has no jitter"), help);
            }
        }
    }
}

fn jitter(reader: &mut Reader<'_>, jitter: &mut Jitter, places: &mut Places) {
    if let Some(deviation) = reader.get("jitter", units::duration) {
        places.jitter = Some(deviation.span());
        jitter.deviation = deviation.into_inner();
    }
    if let Some(distribution) = reader.get("distribution", distribution) {
        places.distribution = Some(distribution.span());
        jitter.distribution = distribution.into_inner();
    }
    if let Some(correlation) = reader.get("correlation", units::probability) {
        places.correlation = Some(correlation.span());
        jitter.correlation = correlation.into_inner();
    }
    if let Some(in_order) = reader.get("in_order", boolean) {
        jitter.in_order = in_order.into_inner();
    }
}

fn distribution(value: &DeValue<'_>) -> Result<Distribution, Problem> {
    let names = [
        ("uniform", Distribution::Uniform),
        ("normal", Distribution::Normal),
        ("pareto", Distribution::Pareto),
        ("paretonormal", Distribution::ParetoNormal),
    ];
    word(value, "a distribution", &names)
}

/// `"10Mbit"`, or a table of `limit` or `trace` with the framing.
fn rate(reader: &mut Reader<'_>) -> Option<(Rate, Framing, Option<Spanned<PathBuf>>)> {
    let mistakes = reader.mistakes;
    let Some((at, table)) = table_of(reader, "rate") else {
        let rate = reader.get("rate", units::rate)?.into_inner();
        return Some((Rate::BytesPerSecond(rate), Framing::default(), None));
    };
    let mut reader = Reader::new(table, "`rate`", mistakes);
    let limit = reader.get("limit", units::rate).map(Spanned::into_inner);
    let trace = reader.get("trace", guest::path);
    let overhead = reader.get("overhead", signed(-1500..=1500)).map(Spanned::into_inner);
    let cell = reader.get("cell", integer(1..=65_535)).map(Spanned::into_inner);
    let cell_overhead = reader.get("cell_overhead", signed(-1500..=1500));
    let given = (reader.has("limit"), reader.has("trace"));
    reader.finish();
    let help = "`limit = \"10Mbit\"`, or `trace = \"FILE\"` in Mahimahi's format";
    match given {
        (true, true) => mistakes.add(at, "rate: both a limit and a trace", help),
        (false, false) => mistakes.add(at, "rate: neither a limit nor a trace", help),
        (true, false) | (false, true) => {}
    }
    if let Some(overhead) = &cell_overhead {
        let (bytes, cell) = (i64::from(*overhead.get_ref()), cell.map(|cell| cell as i64));
        if cell.is_none() {
            let help = "it is added to each cell: add `cell = 48`";
            mistakes.add(overhead.span(), "cell_overhead: frames are not cut into cells", help);
        } else if cell.is_some_and(|cell| cell + bytes <= 0) {
            mistakes.add(
                overhead.span(),
                "cell_overhead: leaves nothing of a cell",
                "more than minus `cell`",
            );
        }
    }
    let framing = Framing {
        overhead_bytes: overhead.unwrap_or(0),
        cell_bytes: cell.map_or(0, |cell| cell as u32),
        cell_overhead_bytes: cell_overhead.map_or(0, Spanned::into_inner),
    };
    Some((limit.map_or(Rate::Unlimited, Rate::BytesPerSecond), framing, trace))
}

/// The value of `key` if it is a table; whatever else it is, is left to whoever reads the key next.
pub(super) fn table_of<'a>(
    reader: &mut Reader<'a>,
    key: &'static str,
) -> Option<(Range<usize>, &'a DeTable<'a>)> {
    match reader.value(key)? {
        value if matches!(value.get_ref(), DeValue::Table(_)) => reader.table(key),
        _ => None,
    }
}

/// Keys that belong to another choice of `key` contradict it. A choice is a name, what it stands for, and its keys.
pub(super) fn tell_keys_of_others<K: PartialEq>(
    reader: &mut Reader<'_>,
    key: &str,
    what: &str,
    choices: &[(&'static str, K, &[&'static str])],
    chosen: K,
) {
    let Some((own_name, _, own_keys)) = choices.iter().find(|(_, kind, _)| *kind == chosen) else { return };
    let mut told = own_keys.to_vec();
    for (name, _, keys) in choices {
        for other in *keys {
            if told.contains(other) || !reader.has(other) {
                continue;
            }
            told.push(other);
            let Some(value) = reader.value(other) else { continue };
            let message =
                format!("{key}: `{other}` is a key of the {what} \"{name}\", and this is \"{own_name}\"");
            let help = format!("there is one {what}: write `{what} = \"{name}\"`, or leave the key out");
            reader.mistakes.add(value.span(), message, help);
        }
    }
}

/// A share, or a table of `probability` and `correlation`.
fn chance(reader: &mut Reader<'_>, key: &'static str) -> Option<Chance> {
    let mistakes = reader.mistakes;
    let Some((at, table)) = table_of(reader, key) else {
        return reader.get(key, units::probability).map(|share| Chance::of(share.into_inner()));
    };
    let mut reader = Reader::new(table, format!("`{key}`"), mistakes);
    let chance = chance_keys(&mut reader, key, at);
    reader.finish();
    chance
}

/// The keys `probability` and `correlation` of the table `key`.
pub(super) fn chance_keys(reader: &mut Reader<'_>, key: &str, at: Range<usize>) -> Option<Chance> {
    if !reader.has("probability") {
        super::missing(reader.mistakes, at, &format!("`{key}`"), "probability", "a share such as \"1%\"");
    }
    let probability = reader.get("probability", units::probability).map(Spanned::into_inner);
    let correlation = reader.get("correlation", units::probability).map(Spanned::into_inner);
    Some(Chance { probability: probability?, correlation: correlation.unwrap_or(0.0) })
}

/// A share, or a table of `probability`, `correlation` and `gap`. As with tc, a gap alone is certain.
fn reorder(reader: &mut Reader<'_>) -> Option<Spanned<Reorder>> {
    let mistakes = reader.mistakes;
    let Some((at, table)) = table_of(reader, "reorder") else {
        let share = reader.get("reorder", units::probability)?;
        let gap = u64::from(*share.get_ref() > 0.0);
        return Some(Spanned::new(share.span(), Reorder { chance: Chance::of(*share.get_ref()), gap }));
    };
    let mut reader = Reader::new(table, "`reorder`", mistakes);
    let given = (reader.has("probability"), reader.has("gap"));
    if given == (false, false) {
        super::missing(mistakes, at.clone(), "`reorder`", "probability", "a share such as \"25%\"");
    }
    let probability = reader.get("probability", units::probability).map(Spanned::into_inner);
    let correlation = reader.get("correlation", units::probability).map(Spanned::into_inner);
    let gap = reader.get("gap", integer(1..=u64::from(u32::MAX))).map(Spanned::into_inner);
    reader.finish();
    let probability = if given.0 { probability? } else { 1.0 };
    let chance = Chance { probability, correlation: correlation.unwrap_or(0.0) };
    Some(Spanned::new(at, Reorder { chance, gap: gap.unwrap_or(1) }))
}

/// The keys `drop`, `delayed` and `duplicated`; lists that are not there are those of `base`.
fn script(reader: &mut Reader<'_>, base: &Script) -> Script {
    let mistakes = reader.mistakes;
    let number = integer(1..=u64::MAX);
    let drop = reader.list("drop", &number);
    let given = reader.has("delayed");
    let entries = reader.tables("delayed").into_iter();
    let entries: Vec<(Spanned<u64>, Duration)> =
        entries.filter_map(|(at, table)| delayed(at, table, mistakes)).collect();
    let delayed = given.then_some(entries);
    let duplicated = reader.list("duplicated", &number);

    let mut fates: BTreeMap<u64, Vec<&str>> = BTreeMap::new();
    let dropped = drop.iter().flatten().map(|frame| ("drop", frame));
    let late = delayed.iter().flatten().map(|(frame, _)| ("delayed", frame));
    let twice = duplicated.iter().flatten().map(|frame| ("duplicated", frame));
    for (key, frame) in dropped.chain(late).chain(twice) {
        let number = *frame.get_ref();
        let fates = fates.entry(number).or_default();
        if fates.contains(&key) {
            mistakes.add(frame.span(), format!("{key}: frame {number} stands there twice"), "once is enough");
        } else if fates.contains(&"drop") {
            let message = format!("{key}: frame {number} is dropped");
            mistakes.add(
                frame.span(),
                message,
                "a frame that `drop` lists does not arrive: keep one of them",
            );
        }
        fates.push(key);
    }
    let numbers = |list: Option<Vec<Spanned<u64>>>, base: &[u64]| match list {
        Some(list) => list.into_iter().map(Spanned::into_inner).collect(),
        None => base.to_vec(),
    };
    let (base_drop, base_delayed, base_duplicated) = base.lists();
    let delayed = match delayed {
        Some(list) => list.into_iter().map(|(frame, by)| (frame.into_inner(), by)).collect(),
        None => base_delayed.to_vec(),
    };
    Script::new(numbers(drop, base_drop), delayed, numbers(duplicated, base_duplicated))
}

fn delayed(at: Range<usize>, table: &DeTable<'_>, mistakes: &Mistakes) -> Option<(Spanned<u64>, Duration)> {
    let mut reader = Reader::new(table, "an entry of `delayed`", mistakes);
    for key in ["frame", "by"] {
        if !reader.has(key) {
            let help = "an entry is `{ frame = 5, by = \"20ms\" }`";
            super::missing(mistakes, at.clone(), "an entry of `delayed`", key, help);
        }
    }
    let frame = reader.get("frame", integer(1..=u64::MAX));
    let by = reader.get("by", units::duration).map(Spanned::into_inner);
    reader.finish();
    Some((frame?, by?))
}
