//! The entries `[[at]]`: when, and what.

mod action;
mod after;

use std::ops::Range;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::super::mistake::{Mistakes, Problem};
use super::super::plan::Span;
use super::super::read::{Reader, boolean, integer};
use super::super::units;
pub(in super::super) use action::{ActionSpec, FramesSpec};
pub(in super::super) use after::AfterSpec;

pub(in super::super) struct EntrySpec {
    pub time: Option<Spanned<Span>>,
    pub after: Option<AfterSpec>,
    pub delay: Option<Spanned<Span>>,
    pub every: Option<Spanned<Span>>,
    pub until: Option<Spanned<Duration>>,
    pub times: Option<Spanned<u64>>,
    pub action: ActionSpec,
}

const HELP: &str = "an entry is a time and an action, such as `time = \"2s\"` and `down = \"line\"`";

pub(super) fn entries(reader: &mut Reader<'_>) -> Vec<EntrySpec> {
    let mistakes = reader.mistakes;
    reader.tables("at").into_iter().filter_map(|(at, table)| entry(at, table, mistakes)).collect()
}

fn entry(at: Range<usize>, table: &DeTable<'_>, mistakes: &Mistakes) -> Option<EntrySpec> {
    let mistakes_before = mistakes.count();
    let mut reader = Reader::new(table, "an entry of the timeline", mistakes);
    let time = reader.get("time", units::span);
    let after = after::after(&mut reader);
    let delay = reader.get("delay", units::span);
    let every = reader.get("every", units::span);
    let until = reader.get("until", units::duration);
    let times = reader.get("times", integer(1..=u64::MAX));
    let action = action::action(&mut reader, &at);
    check_when(&reader, &at);
    if let Some(every) = every.as_ref().filter(|every| every.get_ref().least.is_zero()) {
        mistakes.add(every.span(), "every: may come again at the same instant", "longer than \"0s\"");
    }
    reader.finish();
    if mistakes.count() != mistakes_before {
        return None;
    }
    Some(EntrySpec { time, after, delay, every, until, times, action: action? })
}

/// Which keys of those that say when go together.
fn check_when(reader: &Reader<'_>, at: &Range<usize>) {
    let wrong = |message: &str, help: &str| {
        reader.mistakes.add(at.clone(), format!("an entry of the timeline {message}"), help);
    };
    match (reader.has("time"), reader.has("after")) {
        (true, true) => wrong("has both `time` and `after`", "for so long after a trigger, add `delay`"),
        (false, false) if !reader.has("every") => wrong("has neither `time` nor `after`", HELP),
        _ => {}
    }
    if reader.has("delay") && !reader.has("after") {
        wrong("has `delay` without `after`", "`time` can be a range as well: \"10ms..200ms\"");
    }
    for key in ["until", "times"] {
        if reader.has(key) && !reader.has("every") {
            wrong(&format!("has `{key}` without `every`"), "`every` says how often it happens again");
        }
    }
}

fn only_true(value: &DeValue<'_>) -> Result<(), Problem> {
    if boolean(value)? { Ok(()) } else { Err(Problem::new("is false", "write true, or leave it out")) }
}
