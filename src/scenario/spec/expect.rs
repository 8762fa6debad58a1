//! The tables `[[expect]]`.

use std::ops::{Range, RangeInclusive};
use std::path::PathBuf;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::super::expectation::{Compare, ExpectedEnding, ExpectedExit, ExpectedText};
use super::super::mistake::{Mistakes, Problem, quote};
use super::super::read::{Reader, article, boolean, integer, string};
use super::super::units;

/// What an `[[expect]]` is about: the one of these keys that it has.
const SUBJECTS: &[&str] = &["guest", "packets", "eventually", "never", "always", "ending", "golden"];

pub(in super::super) struct ExpectSpec {
    pub at: Range<usize>,
    pub sometimes: bool,
    pub subject: Subject,
}

pub(in super::super) enum Subject {
    Guest {
        guest: Spanned<String>,
        exit: Option<ExpectedExit>,
        stdout: Option<ExpectedText>,
        stderr: Option<ExpectedText>,
        within: Option<Duration>,
    },
    Packets {
        filter: Spanned<String>,
        rule: Rule,
        at: Vec<Spanned<String>>,
        from: Option<Duration>,
        until: Option<Spanned<Duration>>,
    },
    Ending {
        ending: ExpectedEnding,
        within: Option<Duration>,
    },
    Golden {
        path: Spanned<PathBuf>,
        compare: Compare,
    },
}

pub(in super::super) enum Rule {
    Count(RangeInclusive<u64>),
    Always { among: Option<Spanned<String>> },
}

/// `None` after a mistake that leaves nothing to resolve.
pub(super) fn expect(at: Range<usize>, table: &DeTable<'_>, mistakes: &Mistakes) -> Option<ExpectSpec> {
    let mut reader = Reader::new(table, "an expectation", mistakes);
    let given: Vec<_> = SUBJECTS.iter().copied().filter(|key| reader.has(key)).collect();
    let &[subject] = given.as_slice() else {
        let message = match given.as_slice() {
            [] => "an expectation is about nothing".to_owned(),
            several => format!("an expectation is about {} at once", several.join(" and ")),
        };
        let meant = table.iter().find_map(|(key, _)| {
            let meant = mistakes.did_you_mean(key.get_ref(), SUBJECTS.iter().copied());
            (given.is_empty() && !meant.is_empty()).then_some(meant)
        });
        let meant = meant.map(|meant| format!("{meant} ")).unwrap_or_default();
        mistakes.add(at, message, format!("{meant}it has exactly one of {}", SUBJECTS.join(", ")));
        // What else is wrong with it is told at once, whatever it is about.
        for subject in SUBJECTS {
            expected(&mut reader, subject);
        }
        reader.get("sometimes", boolean);
        reader.finish();
        return None;
    };
    let sometimes = reader.get("sometimes", boolean).is_some_and(Spanned::into_inner);
    let subject = expected(&mut reader, subject);
    reader.finish();
    Some(ExpectSpec { at, sometimes, subject: subject? })
}

fn expected(reader: &mut Reader<'_>, subject: &'static str) -> Option<Subject> {
    match subject {
        "guest" => guest(reader),
        "ending" => ending(reader),
        "golden" => golden(reader),
        packets => packet_rule(reader, packets),
    }
}

fn guest(reader: &mut Reader<'_>) -> Option<Subject> {
    let guest = reader.get("guest", string);
    let exit = reader.get("exit", exit).map(Spanned::into_inner);
    let stdout = text(reader, "stdout", "stdout_has");
    let stderr = text(reader, "stderr", "stderr_has");
    let within = reader.get("within", units::duration).map(Spanned::into_inner);
    let says = ["exit", "stdout", "stdout_has", "stderr", "stderr_has", "within"];
    if let Some(guest) = guest.as_ref().filter(|_| !says.iter().any(|key| reader.has(key))) {
        let message = format!("nothing is expected of guest {}", quote(guest.get_ref()));
        reader.mistakes.add(guest.span(), message, format!("add one of {}", says.join(", ")));
    }
    Some(Subject::Guest { guest: guest?, exit, stdout, stderr, within })
}

/// The whole output by one key, or a part of it by the other.
fn text(reader: &mut Reader<'_>, whole: &'static str, part: &'static str) -> Option<ExpectedText> {
    let all = reader.get(whole, string);
    let some = reader.get(part, string);
    match (all, some) {
        (Some(all), Some(_)) => {
            let message = format!("both `{whole}` and `{part}` are expected");
            reader.mistakes.add(all.span(), message, "the whole has the part: keep one");
            None
        }
        (Some(all), None) => Some(ExpectedText::Whole(all.into_inner())),
        (None, some) => some.map(|some| ExpectedText::Part(some.into_inner())),
    }
}

fn exit(value: &DeValue<'_>) -> Result<ExpectedExit, Problem> {
    const HELP: &str = "an exit code, or \"trap\", \"fuel\", \"failed\" or \"stopped\"";
    match value {
        DeValue::Integer(_) => {
            let code = integer(0..=u64::from(u32::MAX))(value)?;
            Ok(ExpectedExit::Code(u32::try_from(code).unwrap_or(u32::MAX)))
        }
        DeValue::String(word) => match word.as_ref() {
            "trap" => Ok(ExpectedExit::Trap),
            "fuel" => Ok(ExpectedExit::OutOfFuel),
            "failed" => Ok(ExpectedExit::Failed),
            "stopped" => Ok(ExpectedExit::Stopped),
            other => Err(Problem::new(format!("{} is no way to end", quote(other)), HELP)),
        },
        other => Err(Problem::new(format!("{} where the end of a guest belongs", article(other)), HELP)),
    }
}

fn packet_rule(reader: &mut Reader<'_>, subject: &'static str) -> Option<Subject> {
    let filter = reader.get(subject, string);
    let rule = match subject {
        "eventually" => Some(Rule::Count(1..=u64::MAX)),
        "never" => Some(Rule::Count(0..=0)),
        "always" => Some(Rule::Always { among: reader.get("among", string) }),
        _ => reader.get("count", count).map(|count| Rule::Count(count.into_inner())),
    };
    if let Some(filter) = filter.as_ref().filter(|_| rule.is_none() && !reader.has("count")) {
        let help = "`count = 3` or `count = \"1..5\"`; for at least one, and for none, there are \
                    `eventually` and `never`";
        reader.mistakes.add(filter.span(), "packets: how many is not said", help);
    }
    let at = reader.list("at", string).unwrap_or_default();
    let from = reader.get("from", units::duration).map(Spanned::into_inner);
    let until = reader.get("until", units::duration);
    if let (Some(from), Some(until)) = (from, &until)
        && *until.get_ref() < from
    {
        reader.mistakes.add(until.span(), "until: is before `from`", "the later time is `until`");
    }
    Some(Subject::Packets { filter: filter?, rule: rule?, at, from, until })
}

/// `3`, `"1..5"` (both ends count), `"2.."`, `"..9"`.
fn count(value: &DeValue<'_>) -> Result<RangeInclusive<u64>, Problem> {
    const HELP: &str = "a number, or a range with both its ends, such as 3, \"1..5\", \"2..\" or \"..9\"";
    let DeValue::String(text) = value else {
        let number = integer(0..=u64::MAX)(value)?;
        return Ok(number..=number);
    };
    let wrong = || Problem::new(format!("{} is no count", quote(text)), HELP);
    let number = |text: &str, otherwise| match text.trim() {
        "" => Ok(otherwise),
        digits => digits.parse::<u64>().map_err(|_| wrong()),
    };
    let (least, most) = text.split_once("..").ok_or_else(wrong)?;
    let range = number(least, 0)?..=number(most, u64::MAX)?;
    if range.is_empty() || text.trim() == ".." { Err(wrong()) } else { Ok(range) }
}

fn ending(reader: &mut Reader<'_>) -> Option<Subject> {
    let ending = reader.get("ending", |value| match string(value)?.as_str() {
        "over" => Ok(ExpectedEnding::Over),
        "stalled" => Ok(ExpectedEnding::Stalled),
        "duration" => Ok(ExpectedEnding::Duration),
        other => {
            let help = "\"over\", \"stalled\" or \"duration\"";
            Err(Problem::new(format!("{} is no way for a lab to end", quote(other)), help))
        }
    });
    let within = reader.get("within", units::duration).map(Spanned::into_inner);
    Some(Subject::Ending { ending: ending?.into_inner(), within })
}

fn golden(reader: &mut Reader<'_>) -> Option<Subject> {
    let path = reader.get("golden", super::guest::path);
    let compare = reader.get("compare", |value| match string(value)?.as_str() {
        "bytes" => Ok(Compare::Bytes),
        "frames" => Ok(Compare::Frames),
        other => {
            let help = "\"bytes\" for the whole file, \"frames\" for the frames alone, whenever they were";
            Err(Problem::new(format!("{} is no way to compare", quote(other)), help))
        }
    });
    Some(Subject::Golden { path: path?, compare: compare.map_or(Compare::Bytes, Spanned::into_inner) })
}
