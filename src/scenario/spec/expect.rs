//! The tables `[[expect]]`.

use std::ops::{Range, RangeInclusive};
use std::path::PathBuf;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::super::expectation::{Counter, ExpectedEnding, ExpectedExit, ExpectedText};
use super::super::mistake::{Mistakes, Problem, quote};
use super::super::read::{Reader, article, boolean, integer, string};
use super::super::units;
use crate::network::drops::DeviceDrop;
use crate::network::link::DropReason;

/// What an `[[expect]]` is about: the one of these keys that it has.
const SUBJECTS: &[&str] =
    &["guest", "packets", "eventually", "never", "always", "counter", "ending", "golden"];

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
        within: Option<Spanned<Duration>>,
        open: Option<RangeInclusive<u64>>,
        file: Option<FileSpec>,
    },
    Packets {
        filter: Spanned<String>,
        rule: Rule,
        place: Where,
    },
    Counter {
        counter: Spanned<Counter>,
        count: RangeInclusive<u64>,
        place: Where,
    },
    Ending {
        ending: Spanned<ExpectedEnding>,
        within: Option<Spanned<Duration>>,
    },
    Golden {
        path: Spanned<PathBuf>,
        compare: CompareSpec,
    },
}

/// A file as the guest names it, and what it is to be.
pub(in super::super) struct FileSpec {
    pub path: Spanned<String>,
    pub content: ContentSpec,
}

pub(in super::super) enum ContentSpec {
    Text(ExpectedText),
    SameAs(Spanned<PathBuf>),
    Absent,
}

/// Where and when packets are looked at.
pub(in super::super) struct Where {
    pub at: Vec<Spanned<String>>,
    pub from: Option<Spanned<Duration>>,
    pub until: Option<Spanned<Duration>>,
}

pub(in super::super) enum CompareSpec {
    Bytes,
    Frames,
    Packets { among: Option<Spanned<String>>, at: Vec<Spanned<String>> },
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
        "counter" => counter(reader),
        "golden" => golden(reader),
        packets => packet_rule(reader, packets),
    }
}

fn guest(reader: &mut Reader<'_>) -> Option<Subject> {
    let guest = reader.get("guest", string);
    let exit = reader.get("exit", exit).map(Spanned::into_inner);
    let stdout = text(reader, "stdout", "stdout_has");
    let stderr = text(reader, "stderr", "stderr_has");
    let within = reader.get("within", units::duration);
    let open = reader.get("open", count).map(Spanned::into_inner);
    let file = file(reader);
    let says = ["exit", "stdout", "stdout_has", "stderr", "stderr_has", "within", "open", "file"];
    if let Some(guest) = guest.as_ref().filter(|_| !says.iter().any(|key| reader.has(key))) {
        let message = format!("nothing is expected of guest {}", quote(guest.get_ref()));
        reader.mistakes.add(guest.span(), message, format!("add one of {}", says.join(", ")));
    }
    Some(Subject::Guest { guest: guest?, exit, stdout, stderr, within, open, file })
}

/// What a file is to be, by one of these keys.
const OF_FILE: [&str; 4] = ["is", "has", "same_as", "absent"];

fn file(reader: &mut Reader<'_>) -> Option<FileSpec> {
    let mistakes = reader.mistakes;
    let path = reader.get("file", string);
    let is = reader.get("is", string);
    let has = reader.get("has", string);
    let same_as = reader.get("same_as", super::guest::path);
    let absent = reader.get("absent", |value| match boolean(value)? {
        true => Ok(()),
        false => Err(Problem::new("is false", "a file that is there is one that `is` or `has` something")),
    });
    let given: Vec<_> = OF_FILE.into_iter().filter(|key| reader.has(key)).collect();
    let Some(path) = path else {
        // Without a file they mean nothing; a file that is no text was told of.
        if !reader.has("file")
            && let Some(value) = given.first().and_then(|&key| reader.value(key))
        {
            let message = format!("{}: of which file is not said", given[0]);
            mistakes.add(value.span(), message, "`file = \"/box/out.txt\"`, as the guest names it");
        }
        return None;
    };
    if given.len() != 1 {
        let message = match given.as_slice() {
            [] => "file: what it is to be is not said".to_owned(),
            several => format!("file: has both `{}`", several.join("` and `")),
        };
        mistakes.add(path.span(), message, format!("exactly one of {}", OF_FILE.join(", ")));
        return None;
    }
    let content = match (is, has, same_as, absent) {
        (Some(text), ..) => ContentSpec::Text(ExpectedText::Whole(text.into_inner())),
        (_, Some(text), ..) => ContentSpec::Text(ExpectedText::Part(text.into_inner())),
        (_, _, Some(other), _) => ContentSpec::SameAs(other),
        (_, _, _, Some(_)) => ContentSpec::Absent,
        (None, None, None, None) => return None,
    };
    Some(FileSpec { path, content })
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
    let place = place(reader);
    Some(Subject::Packets { filter: filter?, rule: rule?, place })
}

fn place(reader: &mut Reader<'_>) -> Where {
    let at = reader.list("at", string).unwrap_or_default();
    let from = reader.get("from", units::duration);
    let until = reader.get("until", units::duration);
    if let (Some(from), Some(until)) = (&from, &until)
        && until.get_ref() < from.get_ref()
    {
        reader.mistakes.add(until.span(), "until: is before `from`", "the later time is `until`");
    }
    Where { at, from, until }
}

fn counter(reader: &mut Reader<'_>) -> Option<Subject> {
    let of = reader.get("counter", |value| match string(value)?.as_str() {
        "frames" => Ok(Counter::Frames),
        "bytes" => Ok(Counter::Bytes),
        "drops" => Ok(Counter::LinkDrops(None)),
        "retransmissions" => Ok(Counter::Retransmissions),
        "handshakes" => Ok(Counter::Handshakes),
        other => {
            let help = "one of \"frames\", \"bytes\", \"drops\", \"retransmissions\" and \"handshakes\"";
            Err(Problem::new(format!("{} is not counted", quote(other)), help))
        }
    });
    let reason = reader.get("reason", drop_reason);
    let count = reader.get("count", count);
    let place = place(reader);
    let counter = of?;
    let mistakes = reader.mistakes;
    if count.is_none() && !reader.has("count") {
        let help = "`count = 3`, `count = \"1..5\"`, `count = \"2..\"` or `count = \"..9\"`";
        mistakes.add(counter.span(), "counter: how many is not said", help);
    }
    let counter = match (reason, counter.get_ref()) {
        (None, _) => counter,
        (Some(reason), Counter::LinkDrops(_)) => {
            let placed = reader.has("at") || reader.has("from") || reader.has("until");
            if let (Counter::DeviceDrops(_), true) = (reason.get_ref(), placed) {
                let help = "leave `at`, `from` and `until` out: devices count over the whole run";
                mistakes.add(
                    reason.span(),
                    "reason: is a device's, which no place or time is known of",
                    help,
                );
            }
            reason
        }
        (Some(reason), _) => {
            mistakes.add(reason.span(), "reason: without `counter = \"drops\"`", "leave it out");
            counter
        }
    };
    Some(Subject::Counter { counter, count: count?.into_inner(), place })
}

/// As captures and summaries have it.
fn drop_reason(value: &DeValue<'_>) -> Result<Counter, Problem> {
    let text = string(value)?;
    let of_link = DropReason::ALL.into_iter().find(|reason| reason.as_str() == text);
    let of_device = DeviceDrop::ALL.into_iter().find(|reason| reason.as_str() == text);
    match (of_link, of_device) {
        (Some(reason), _) => Ok(Counter::LinkDrops(Some(reason))),
        (None, Some(reason)) => Ok(Counter::DeviceDrops(reason)),
        (None, None) => {
            let all = DropReason::ALL.iter().map(|reason| reason.as_str());
            let all = all.chain(DeviceDrop::ALL.iter().map(|reason| reason.as_str()));
            let all: Vec<_> = all.map(|reason| format!("\"{reason}\"")).collect();
            Err(Problem::new(
                format!("{} is no reason to drop a frame", quote(&text)),
                format!("one of {}", all.join(", ")),
            ))
        }
    }
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
    let within = reader.get("within", units::duration);
    Some(Subject::Ending { ending: ending?, within })
}

fn golden(reader: &mut Reader<'_>) -> Option<Subject> {
    let path = reader.get("golden", super::guest::path);
    let compare = reader.get("compare", |value| match string(value)?.as_str() {
        word @ ("bytes" | "frames" | "packets") => Ok(word.to_owned()),
        other => {
            let help = "\"bytes\" for the whole file, \"frames\" for the frames alone, whenever they were, \"packets\" for \
                        what a person reads of them";
            Err(Problem::new(format!("{} is no way to compare", quote(other)), help))
        }
    });
    let compare = compare.map_or_else(|| "bytes".to_owned(), Spanned::into_inner);
    let compare = match compare.as_str() {
        "packets" => {
            let among = reader.get("among", string);
            CompareSpec::Packets { among, at: reader.list("at", string).unwrap_or_default() }
        }
        "frames" => CompareSpec::Frames,
        _ => CompareSpec::Bytes,
    };
    Some(Subject::Golden { path: path?, compare })
}
