//! What is wrong with a scenario: mistakes are gathered while it is read and resolved, then told
//! all together, each with its place and what would be right.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use miette::{Diagnostic, NamedSource, SourceSpan};

use super::masked::masked;

/// Mistakes told in full; the rest are only counted.
const TOLD_MAX: usize = 100;

/// Names compared while looking for "did you mean", in one scenario: bounds the work on hostile input.
const COMPARISONS_MAX: usize = 20_000;

/// Why there is no plan.
#[derive(Debug, thiserror::Error, Diagnostic)]
pub enum ScenarioError {
    #[error("{}: cannot be read: {error}", path.display())]
    Unreadable {
        path: PathBuf,
        /// Its message is part of this one's.
        error: io::Error,
    },
    #[error("{}: {}", path.display(), Count(mistakes.len() + omitted, *omitted))]
    Mistaken {
        path: PathBuf,
        #[source_code]
        text: Arc<NamedSource<String>>,
        /// In the order of the file.
        #[related]
        mistakes: Vec<Located>,
        /// Further mistakes that are not told.
        omitted: usize,
    },
}

/// One mistake and its place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Diagnostic)]
#[error("{message}")]
pub struct Located {
    /// Counted from 1.
    pub line: usize,
    /// Counted from 1, in characters.
    pub column: usize,
    pub message: String,
    #[help]
    pub help: Option<String>,
    /// In bytes of the text.
    #[label("here")]
    pub span: SourceSpan,
}

impl ScenarioError {
    /// What is found out later about values of a scenario that has been read: for each its place in `text`, in bytes,
    /// what is wrong, and what would help, if anything does.
    pub fn found_later(
        path: &Path,
        text: &str,
        found: impl IntoIterator<Item = (Range<usize>, String, String)>,
    ) -> ScenarioError {
        let mistakes = Mistakes::default();
        found.into_iter().for_each(|(at, message, help)| mistakes.add(at, message, help));
        mistakes.into_error(path, text)
    }

    /// The mistakes in the order of the file; none if it could not be read at all.
    pub fn mistakes(&self) -> impl Iterator<Item = &Located> {
        match self {
            ScenarioError::Unreadable { .. } => [].iter(),
            ScenarioError::Mistaken { mistakes, .. } => mistakes.iter(),
        }
    }

    /// One line a mistake, as compilers print them: `path:line:column: message; help`.
    pub fn plain(&self) -> String {
        match self {
            ScenarioError::Unreadable { .. } => format!("{self}\n"),
            ScenarioError::Mistaken { path, mistakes, omitted, .. } => {
                let path = path.display();
                let mut lines = String::new();
                for Located { line, column, message, help, .. } in mistakes {
                    let help = help.as_ref().map(|help| format!("; {help}")).unwrap_or_default();
                    lines += &format!("{path}:{line}:{column}: {message}{help}\n");
                }
                if *omitted > 0 {
                    lines += &format!("{path}: and {omitted} more\n");
                }
                lines
            }
        }
    }
}

/// "1 mistake", "3 mistakes", "250 mistakes, of which the first 100 follow".
struct Count(usize, usize);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Count(all, omitted) = *self;
        write!(f, "{all} mistake{}", if all == 1 { "" } else { "s" })?;
        if omitted > 0 {
            write!(f, ", of which {} follow", all - omitted)?;
        }
        Ok(())
    }
}

/// What is wrong with one value, before its place is known.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Problem {
    pub message: String,
    pub help: String,
}

impl Problem {
    pub fn new(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { message: message.into(), help: help.into() }
    }
}

/// The mistakes found so far. Shared by reference among everything that reads the scenario.
#[derive(Default)]
pub(super) struct Mistakes {
    told: RefCell<Vec<Mistake>>,
    omitted: Cell<usize>,
    comparisons: Cell<usize>,
}

struct Mistake {
    span: Range<usize>,
    message: String,
    help: String,
}

impl Mistakes {
    /// An empty `help` is none. The same message at the same place counts once: replicas of a guest repeat it.
    pub fn add(&self, span: Range<usize>, message: impl Into<String>, help: impl Into<String>) {
        let message = message.into();
        let mut told = self.told.borrow_mut();
        if told.iter().any(|mistake| mistake.span == span && mistake.message == message) {
            return;
        }
        if told.len() < TOLD_MAX {
            told.push(Mistake { span, message, help: help.into() });
        } else {
            self.omitted.set(self.omitted.get() + 1);
        }
    }

    /// How many there are so far.
    pub fn count(&self) -> usize {
        self.told.borrow().len() + self.omitted.get()
    }

    /// "did you mean `x`?" for the candidate nearest to `name`, if one is near; empty otherwise.
    pub fn did_you_mean<'a>(&self, name: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
        // One letter is near to every other; what is longer than any key or name is not cheap to compare.
        if !(2..=64).contains(&name.len()) {
            return String::new();
        }
        let lower = name.to_ascii_lowercase();
        let distance_max = (name.chars().count() / 3).clamp(1, 3);
        let mut best: Option<(usize, &str)> = None;
        for candidate in candidates {
            if self.comparisons.get() >= COMPARISONS_MAX {
                break;
            }
            if candidate.len().abs_diff(name.len()) > 2 * distance_max {
                continue;
            }
            self.comparisons.set(self.comparisons.get() + 1);
            let distance = strsim::osa_distance(&lower, &candidate.to_ascii_lowercase());
            if distance <= distance_max && best.is_none_or(|(least, _)| distance < least) {
                best = Some((distance, candidate));
            }
        }
        best.map(|(_, candidate)| format!("did you mean `{candidate}`?")).unwrap_or_default()
    }

    /// The error to return, with every place counted out in `text`.
    pub fn into_error(self, path: &Path, text: &str) -> ScenarioError {
        let mut told = self.told.into_inner();
        // Stable: two mistakes in one place stay in the order found.
        told.sort_by_key(|mistake| mistake.span.start);
        let mut places = Places::new(text);
        let mistakes = told
            .into_iter()
            .map(|Mistake { span, message, help }| {
                let start = floor_char_boundary(text, span.start);
                let end = floor_char_boundary(text, span.end).max(start);
                let (line, column) = places.of(start);
                let help = Some(help).filter(|help| !help.is_empty());
                Located { line, column, message, help, span: (start..end).into() }
            })
            .collect();
        ScenarioError::Mistaken {
            path: path.to_path_buf(),
            text: Arc::new(NamedSource::new(path.to_string_lossy(), masked(text)).with_language("TOML")),
            mistakes,
            omitted: self.omitted.get(),
        }
    }
}

/// Line and column of a place in `text`, counted from 1.
pub(super) fn place(text: &str, at: usize) -> (usize, usize) {
    Places::new(text).of(floor_char_boundary(text, at))
}

fn floor_char_boundary(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// Lines and columns of rising offsets, in one pass over the text.
struct Places<'a> {
    text: &'a str,
    at: usize,
    line: usize,
    column: usize,
}

impl<'a> Places<'a> {
    fn new(text: &'a str) -> Self {
        Self { text, at: 0, line: 1, column: 1 }
    }

    /// `at` must be a character boundary, not before the one asked for last.
    fn of(&mut self, at: usize) -> (usize, usize) {
        for c in self.text[self.at..at].chars() {
            if c == '\n' {
                self.line += 1;
                self.column = 1;
            } else {
                self.column += 1;
            }
        }
        self.at = at;
        (self.line, self.column)
    }
}

/// A value as messages quote it: one line, cut to a readable length.
pub(super) fn quote(text: &str) -> String {
    const CHARS_MAX: usize = 48;
    let mut quoted: String = text.chars().take(CHARS_MAX).flat_map(char::escape_debug).collect();
    if text.chars().nth(CHARS_MAX).is_some() {
        quoted.push_str("...");
    }
    format!("`{quoted}`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_lines_and_characters() {
        let text = "a = 1\nü = é2\n";
        let mut places = Places::new(text);
        assert_eq!(places.of(0), (1, 1));
        assert_eq!(places.of(text.find('é').unwrap()), (2, 5));
        assert_eq!(places.of(text.find('2').unwrap()), (2, 6));
        assert_eq!(places.of(text.len()), (3, 1));
    }

    #[test]
    fn the_nearest_candidate_is_meant_and_far_ones_are_not() {
        let mistakes = Mistakes::default();
        assert_eq!(mistakes.did_you_mean("modul", ["mac", "module"]), "did you mean `module`?");
        assert_eq!(mistakes.did_you_mean("LAN", ["lan", "wan"]), "did you mean `lan`?");
        assert_eq!(mistakes.did_you_mean("colour", ["module", "mac"]), "");
        assert_eq!(mistakes.did_you_mean("a", ["b"]), "");
    }

    #[test]
    fn mistakes_past_the_limit_are_counted() {
        let mistakes = Mistakes::default();
        for n in 0..TOLD_MAX + 7 {
            mistakes.add(0..1, format!("wrong {n}"), "");
            mistakes.add(0..1, "wrong 0", "");
        }
        let error = mistakes.into_error(Path::new("lab.toml"), "x");
        assert_eq!(error.mistakes().count(), TOLD_MAX);
        assert_eq!(error.to_string(), "lab.toml: 107 mistakes, of which 100 follow");
        assert!(error.plain().ends_with("lab.toml: and 7 more\n"));
    }
}
