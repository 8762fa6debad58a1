//! What is expected of guests, held against what they did.

use super::verdict::{Found, Unmet, range};
use super::{GuestReport, Report};
use crate::folders::Content;
use crate::guest::Exit;
use crate::scenario::assets::Assets;
use crate::scenario::expectation::{
    ExpectedContent, ExpectedExit, ExpectedFile, ExpectedGuest, ExpectedText,
};
use crate::scenario::plan::Plan;
use crate::time::Instant;

/// Characters of an output that a verdict quotes.
const QUOTED_MAX: usize = 400;

pub(super) fn describe(plan: &Plan, expected: &ExpectedGuest) -> String {
    let names: Vec<_> =
        expected.guests.iter().map(|&guest| format!("`{}`", plan.guests[guest].name)).collect();
    let mut parts = Vec::new();
    parts.extend(expected.exit.map(|exit| match exit {
        ExpectedExit::Code(code) => format!("exits with {code}"),
        ExpectedExit::Trap => "traps".to_owned(),
        ExpectedExit::OutOfFuel => "runs out of fuel".to_owned(),
        ExpectedExit::Failed => "cannot be started".to_owned(),
        ExpectedExit::Stopped => "runs until the lab's end".to_owned(),
    }));
    for (stream, text) in [("output", &expected.stdout), ("error output", &expected.stderr)] {
        parts.extend(text.as_ref().map(|text| match text {
            ExpectedText::Whole(text) => format!("its {stream} is {}", quoted(text)),
            ExpectedText::Part(text) => format!("its {stream} has {}", quoted(text)),
        }));
    }
    parts.extend(expected.within.map(|within| format!("it ends within {within:?}")));
    parts.extend(expected.open.as_ref().map(|open| format!("it leaves {} descriptors open", range(open))));
    parts.extend(expected.file.as_ref().map(|file| {
        let content = match &file.content {
            ExpectedContent::Text(ExpectedText::Whole(text)) => format!("is {}", quoted(text)),
            ExpectedContent::Text(ExpectedText::Part(text)) => format!("has {}", quoted(text)),
            ExpectedContent::SameAs(other) => format!("is the same as {}", other.display()),
            ExpectedContent::Absent => "is not there".to_owned(),
        };
        format!("its file {} {content}", file.path)
    }));
    let many = if names.len() > 3 { format!("{}, ...", names[..3].join(", ")) } else { names.join(", ") };
    format!("guest {many}: {}", parts.join(", "))
}

pub(super) fn judge(expected: &ExpectedGuest, assets: &Assets, report: &Report) -> Option<Found> {
    let mut unmet = expected.guests.iter().filter_map(|&number| {
        let guest = &report.guests[number];
        let found = |unmet, what: String| {
            Some(Found::of_guest(format!("`{}` {what}", guest.name), unmet, number, guest.at))
        };
        if let Some(exit) = expected.exit
            && !exit_is(&guest.exit, exit)
        {
            return found(Unmet::Exit, with_stderr(guest, &guest.exit.to_string()));
        }
        for (text, unmet, stream, wrote) in [
            (&expected.stdout, Unmet::Stdout, "output", guest.stdout()),
            (&expected.stderr, Unmet::Stderr, "error output", guest.stderr()),
        ] {
            let met = match text {
                None => true,
                Some(ExpectedText::Whole(text)) => *text == wrote,
                Some(ExpectedText::Part(text)) => wrote.contains(text),
            };
            if !met {
                return found(unmet, format!("has the {stream} {}", quoted(&wrote)));
            }
        }
        let left = guest.left_open.descriptors;
        if expected.open.as_ref().is_some_and(|open| !open.contains(&(left as u64))) {
            return found(Unmet::Descriptors, format!("left {left} open"));
        }
        if let Some(within) = expected.within {
            // One that was stopped with the lab had not ended, whenever that was.
            if guest.exit == Exit::Stopped {
                return found(Unmet::Late, "had not ended when the lab did".to_owned());
            }
            if guest.at > Instant::START + within {
                return found(Unmet::Late, "ended later".to_owned());
            }
        }
        let file = expected.file.as_ref()?;
        let why = judge_file(file, &guest.name, assets, report)?;
        found(Unmet::File, format!("has {}: {why}", file.path))
    });
    let first = unmet.next()?;
    let guests: Vec<_> = first.guests.iter().copied().chain(unmet.flat_map(|found| found.guests)).collect();
    let all = expected.guests.len();
    let more = match guests.len() - 1 {
        0 => String::new(),
        1 => format!("\none more of these {all} is not as expected"),
        more => format!("\n{more} more of these {all} are not as expected"),
    };
    Some(Found { what: first.what + &more, guests, at: first.at, unmet: first.unmet })
}

fn exit_is(exit: &Exit, expected: ExpectedExit) -> bool {
    match expected {
        ExpectedExit::Code(code) => *exit == Exit::Code(code),
        ExpectedExit::Trap => matches!(exit, Exit::Trap { .. }),
        ExpectedExit::OutOfFuel => matches!(exit, Exit::OutOfFuel { .. }),
        ExpectedExit::Failed => matches!(exit, Exit::Failed(_)),
        ExpectedExit::Stopped => *exit == Exit::Stopped,
    }
}

/// What a file is in place of what is expected; `None` if it is as expected.
fn judge_file(expected: &ExpectedFile, guest: &str, assets: &Assets, report: &Report) -> Option<String> {
    let bytes = match report.file(guest, &expected.path) {
        Ok(Content::Bytes(bytes)) => bytes,
        Ok(Content::Absent) => {
            let wanted = expected.content != ExpectedContent::Absent;
            return wanted.then(|| "there is no such file".to_owned());
        }
        Ok(Content::Other(what)) => return Some(format!("it is {what}")),
        Err(error) => return Some(error.to_string()),
    };
    let has = || format!("it is {}", quoted(&String::from_utf8_lossy(&bytes)));
    match &expected.content {
        ExpectedContent::Absent => Some(has()),
        ExpectedContent::Text(ExpectedText::Whole(text)) => (bytes != text.as_bytes()).then(has),
        ExpectedContent::Text(ExpectedText::Part(text)) => {
            let text = text.as_bytes();
            let is_there = text.is_empty() || bytes.windows(text.len()).any(|part| part == text);
            (!is_there).then(has)
        }
        ExpectedContent::SameAs(other) => match assets.get(other) {
            Ok(other) => differing(&bytes, other),
            Err(why) => Some(why),
        },
    }
}

/// Where two files differ first.
fn differing(ours: &[u8], theirs: &[u8]) -> Option<String> {
    if ours == theirs {
        return None;
    }
    let at = ours.iter().zip(theirs).take_while(|(ours, theirs)| ours == theirs).count();
    let line = ours[..at].iter().filter(|&&byte| byte == b'\n').count() + 1;
    Some(format!(
        "{} bytes in place of {}, of which byte {at}, in line {line}, is the first that differs",
        ours.len(),
        theirs.len()
    ))
}

/// With what it wrote to its error output, which is where programs say why.
pub(super) fn with_stderr(guest: &GuestReport, what: &str) -> String {
    let stderr = guest.stderr();
    let last: Vec<_> = stderr.lines().rev().take(5).collect();
    let told: String = last.iter().rev().map(|line| format!("\n  {line}")).collect();
    format!("{what}{told}")
}

pub(super) fn quoted(text: &str) -> String {
    let cut: String = text.chars().take(QUOTED_MAX).collect();
    if cut.len() < text.len() { format!("{cut:?}...") } else { format!("{cut:?}") }
}
