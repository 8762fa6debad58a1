//! A reader of TOML tables that knows where everything stands, goes on after a mistake, and tells
//! keys that nobody asked for.
//!
//! It walks the `toml` crate's spanned document rather than deriving `Deserialize`: serde stops at
//! the first mistake, and a scenario's are told all together.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::mistake::{Mistakes, Problem, quote};

/// One table being read.
pub(super) struct Reader<'a> {
    table: &'a DeTable<'a>,
    /// As messages call it: "guest `server`".
    what: String,
    known: Vec<&'static str>,
    pub mistakes: &'a Mistakes,
}

/// A table under a name of its own, such as `[guest.server]`.
pub(super) struct Named<'a> {
    pub name: Spanned<String>,
    pub table: &'a DeTable<'a>,
}

impl<'a> Reader<'a> {
    pub fn new(table: &'a DeTable<'a>, what: impl Into<String>, mistakes: &'a Mistakes) -> Self {
        Self { table, what: what.into(), known: Vec::new(), mistakes }
    }

    /// Whether the table has `key`, without reading it.
    pub fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// The value of `key`, which counts as known from here on.
    pub fn value(&mut self, key: &'static str) -> Option<&'a Spanned<DeValue<'a>>> {
        if !self.known.contains(&key) {
            self.known.push(key);
        }
        self.table.get(key)
    }

    /// The value of `key` through `parse`; `None` if it is absent or a mistake (which is then noted).
    pub fn get<T>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&DeValue<'_>) -> Result<T, Problem>,
    ) -> Option<Spanned<T>> {
        let value = self.value(key)?;
        self.parsed(key, value, parse)
    }

    fn parsed<T>(
        &self,
        key: &str,
        value: &Spanned<DeValue<'_>>,
        parse: impl FnOnce(&DeValue<'_>) -> Result<T, Problem>,
    ) -> Option<Spanned<T>> {
        match parse(value.get_ref()) {
            Ok(parsed) => Some(Spanned::new(value.span(), parsed)),
            Err(problem) => {
                self.mistakes.add(value.span(), format!("{key}: {}", problem.message), problem.help);
                None
            }
        }
    }

    /// A list, each element through `parse`; one element may stand without brackets. `None` if the key is absent.
    pub fn list<T>(
        &mut self,
        key: &'static str,
        mut parse: impl FnMut(&DeValue<'_>) -> Result<T, Problem>,
    ) -> Option<Vec<Spanned<T>>> {
        let value = self.value(key)?;
        Some(match value.get_ref() {
            DeValue::Array(elements) => {
                elements.iter().filter_map(|element| self.parsed(key, element, &mut parse)).collect()
            }
            _ => self.parsed(key, value, parse).into_iter().collect(),
        })
    }

    /// An inline or headed table.
    pub fn table(&mut self, key: &'static str) -> Option<(Range<usize>, &'a DeTable<'a>)> {
        self.table_or(key, &format!("write `{key} = {{ ... }}`"))
    }

    fn table_or(&mut self, key: &'static str, help: &str) -> Option<(Range<usize>, &'a DeTable<'a>)> {
        let value = self.value(key)?;
        match value.get_ref() {
            DeValue::Table(table) => Some((value.span(), table)),
            other => {
                let message = format!("{key}: {} where a table belongs", article(other));
                self.mistakes.add(value.span(), message, help);
                None
            }
        }
    }

    /// A list of tables, as `[[key]]` or `key = [{...}]`.
    pub fn tables(&mut self, key: &'static str) -> Vec<(Range<usize>, &'a DeTable<'a>)> {
        let Some(value) = self.value(key) else { return Vec::new() };
        let help = format!("write `{key} = [{{ ... }}]` or `[[...{key}]]`");
        let DeValue::Array(elements) = value.get_ref() else {
            let message = format!("{key}: {} where a list of tables belongs", article(value.get_ref()));
            self.mistakes.add(value.span(), message, help);
            return Vec::new();
        };
        let mut tables = Vec::new();
        for element in elements {
            match element.get_ref() {
                DeValue::Table(table) => tables.push((element.span(), table)),
                other => {
                    let message = format!("{key}: {} where a table belongs", article(other));
                    self.mistakes.add(element.span(), message, help.as_str());
                }
            }
        }
        tables
    }

    /// The tables `[key.NAME]`, in file order, their names checked.
    pub fn named(&mut self, key: &'static str) -> Vec<Named<'a>> {
        let help = format!("write `[{key}.NAME]` with its keys below");
        let entries = self.table_or(key, &help).map(|(_, table)| in_file_order(table)).unwrap_or_default();
        let mut named = Vec::with_capacity(entries.len());
        for (name, value) in entries {
            if let Err(problem) = check_name(name.get_ref()) {
                self.mistakes.add(name.span(), format!("{key}: {}", problem.message), problem.help);
            }
            match value.get_ref() {
                DeValue::Table(table) => named.push(Named { name, table }),
                other => {
                    let message =
                        format!("{key}.{}: {} where a table belongs", name.get_ref(), article(other));
                    self.mistakes.add(value.span(), message, help.as_str());
                }
            }
        }
        named
    }

    /// All entries of the table `key`, in file order, whatever their values.
    pub fn entries(&mut self, key: &'static str) -> Vec<(Spanned<String>, &'a Spanned<DeValue<'a>>)> {
        self.table(key).map(|(_, table)| in_file_order(table)).unwrap_or_default()
    }

    /// Tells the keys that were not asked for.
    pub fn finish(self) {
        if self.table.len() <= self.known.len() && self.table.iter().all(|(key, _)| self.knows(key.get_ref()))
        {
            return;
        }
        for (key, _) in in_file_order(self.table) {
            if self.knows(key.get_ref()) {
                continue;
            }
            let meant = self.mistakes.did_you_mean(key.get_ref(), self.known.iter().copied());
            let known = self.known.join(", ");
            let help = format!("{meant}{}known here: {known}", if meant.is_empty() { "" } else { " " });
            let message = format!("unknown key {} in {}", quote(key.get_ref()), self.what);
            self.mistakes.add(key.span(), message, help);
        }
    }

    fn knows(&self, key: &str) -> bool {
        self.known.contains(&key)
    }
}

/// The `toml` crate's tables are sorted by key unless one of its features is on, so order by place.
fn in_file_order<'a>(table: &'a DeTable<'a>) -> Vec<(Spanned<String>, &'a Spanned<DeValue<'a>>)> {
    let mut entries: Vec<_> = table
        .iter()
        .map(|(key, value)| (Spanned::new(key.span(), key.get_ref().clone().into_owned()), value))
        .collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    entries
}

/// "a string", "an integer": for messages.
pub(super) fn article(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a float",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

pub(super) fn string(value: &DeValue<'_>) -> Result<String, Problem> {
    match value {
        DeValue::String(text) => Ok(text.clone().into_owned()),
        other => Err(Problem::new(format!("{} where a string belongs", article(other)), "put it in quotes")),
    }
}

/// A string that can be handed to a C program.
pub(super) fn c_string(value: &DeValue<'_>) -> Result<String, Problem> {
    let text = string(value)?;
    if text.contains('\0') {
        return Err(Problem::new(
            "has a NUL character in it",
            "programs end their strings there: leave it out",
        ));
    }
    Ok(text)
}

pub(super) fn boolean(value: &DeValue<'_>) -> Result<bool, Problem> {
    match value {
        DeValue::Boolean(value) => Ok(*value),
        other => {
            Err(Problem::new(format!("{} where a boolean belongs", article(other)), "write true or false"))
        }
    }
}

/// A whole number in `range`.
pub(super) fn integer(range: std::ops::RangeInclusive<u64>) -> impl Fn(&DeValue<'_>) -> Result<u64, Problem> {
    move |value| {
        let (least, most) = (range.start(), range.end());
        let help = match *most {
            u64::MAX => format!("a whole number from {least} on"),
            most => format!("a whole number from {least} to {most}"),
        };
        let DeValue::Integer(digits) = value else {
            return Err(Problem::new(format!("{} where an integer belongs", article(value)), help));
        };
        match u64::from_str_radix(digits.as_str(), digits.radix()) {
            Ok(number) if range.contains(&number) => Ok(number),
            _ => Err(Problem::new(format!("{} is out of range", quote(&digits.to_string())), help)),
        }
    }
}

/// A whole number in `range`, which may be negative.
pub(super) fn signed(range: std::ops::RangeInclusive<i32>) -> impl Fn(&DeValue<'_>) -> Result<i32, Problem> {
    move |value| {
        let help = format!("a whole number from {} to {}", range.start(), range.end());
        let DeValue::Integer(digits) = value else {
            return Err(Problem::new(format!("{} where an integer belongs", article(value)), help));
        };
        match i32::from_str_radix(digits.as_str(), digits.radix()) {
            Ok(number) if range.contains(&number) => Ok(number),
            _ => Err(Problem::new(format!("{} is out of range", quote(&digits.to_string())), help)),
        }
    }
}

/// One of the words that `what` can be, and what it stands for.
pub(super) fn word<T: Copy>(value: &DeValue<'_>, what: &str, words: &[(&str, T)]) -> Result<T, Problem> {
    let text = string(value)?;
    let known: Vec<String> = words.iter().map(|(word, _)| format!("{word:?}")).collect();
    words
        .iter()
        .find(|(word, _)| *word == text)
        .map(|&(_, meant)| meant)
        .ok_or_else(|| Problem::new(format!("{} is not {what}", quote(&text)), known.join(", ")))
}

/// The rule for names of guests, switches, interfaces and so on.
pub(super) fn check_name(name: &str) -> Result<(), Problem> {
    let legal = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if (1..=32).contains(&name.len()) && name.chars().all(legal) {
        return Ok(());
    }
    Err(Problem::new(
        format!("{} cannot be a name", quote(name)),
        "names are 1 to 32 of the letters A-Z and a-z, digits, `-` and `_`",
    ))
}
