//! A scenario's text on its way to a smaller one: its comments and its order stay.

use std::collections::BTreeSet;

use toml_edit::{Array, ArrayOfTables, DocumentMut, Item, Table, TableLike};

/// Where a table stands: keys, and places in lists of tables.
pub(super) type Place = Vec<String>;

/// A scenario that can be made smaller.
#[derive(Clone)]
pub(super) struct Script {
    document: DocumentMut,
    /// Of the expectations that are left, the places in the scenario that is shrunk.
    expectations: Vec<usize>,
}

impl Script {
    /// # Errors
    ///
    /// The text is not TOML.
    pub fn parse(text: &str) -> Result<Script, toml_edit::TomlError> {
        let mut document: DocumentMut = text.parse()?;
        for key in ["at", "expect"] {
            // A list in brackets is one of tables from here on.
            if let Some(item) = document.get_mut(key)
                && item.is_array()
            {
                *item = match std::mem::take(item).into_array_of_tables() {
                    Ok(tables) => Item::ArrayOfTables(tables),
                    Err(other) => other,
                };
            }
        }
        let mut script = Script { document, expectations: Vec::new() };
        script.expectations = (0..script.list("expect").map_or(0, ArrayOfTables::len)).collect();
        Ok(script)
    }

    pub fn text(&self) -> String {
        self.document.to_string()
    }

    /// Of the expectations that are left, the places in the scenario that is shrunk.
    pub fn expectations(&self) -> &[usize] {
        &self.expectations
    }

    /// Entries of the timeline.
    pub fn entries(&self) -> usize {
        self.list("at").map_or(0, ArrayOfTables::len)
    }

    /// Names of the tables `[KIND.NAME]`, in file order.
    pub fn names(&self, kind: &str) -> Vec<String> {
        self.keys(&[kind.to_owned()])
    }

    /// The keys of a table; none if it is not there.
    pub fn keys(&self, place: &[String]) -> Vec<String> {
        let table = self.table(place);
        table.map_or_else(Vec::new, |table| table.iter().map(|(key, _)| key.to_owned()).collect())
    }

    fn item(&self, place: &[String]) -> Option<&Item> {
        let mut item = self.document.as_item();
        for step in place {
            item = match item {
                Item::ArrayOfTables(_) => item.get(step.parse::<usize>().ok()?)?,
                Item::Value(_) if item.is_array() => item.get(step.parse::<usize>().ok()?)?,
                Item::Table(_) | Item::Value(_) => item.get(step.as_str())?,
                Item::None => return None,
            };
        }
        Some(item)
    }

    pub fn table(&self, place: &[String]) -> Option<&dyn TableLike> {
        self.item(place)?.as_table_like()
    }

    /// Places of the tables in a list, or of the one that stands in its place.
    pub fn elements(&self, place: &[String]) -> Vec<Place> {
        let count = match self.item(place) {
            Some(Item::ArrayOfTables(list)) => list.len(),
            Some(item) if item.is_array() => item.as_array().map_or(0, Array::len),
            Some(_) => return vec![place.to_vec()],
            None => 0,
        };
        (0..count).map(|number| [place, &[number.to_string()]].concat()).collect()
    }

    /// Changes a table, if it is there; one in braces is spaced anew.
    pub fn edit<R>(&mut self, place: &[String], change: impl FnOnce(&mut dyn TableLike) -> R) -> Option<R> {
        let mut item = self.document.as_item_mut();
        for step in place {
            item = match item {
                Item::ArrayOfTables(_) => item.get_mut(step.parse::<usize>().ok()?)?,
                Item::Value(_) if item.is_array() => item.get_mut(step.parse::<usize>().ok()?)?,
                Item::Table(_) | Item::Value(_) => item.get_mut(step.as_str())?,
                Item::None => return None,
            };
        }
        let changed = change(item.as_table_like_mut()?);
        if let Some(inline) = item.as_inline_table_mut() {
            inline.fmt();
        }
        Some(changed)
    }

    /// False if the scenario names no seed yet, or one that only its own reader can have.
    pub fn set_seed(&mut self, seed: u64) -> bool {
        let (Some(item), Ok(number)) = (self.document.get_mut("seed"), i64::try_from(seed)) else {
            self.document.remove("seed");
            return false;
        };
        if let Some(value) = item.as_value_mut() {
            let decor = value.decor().clone();
            *value = number.into();
            *value.decor_mut() = decor;
        }
        true
    }

    /// Takes a key out of a table; false if it is not there.
    pub fn remove(&mut self, place: &[String], key: &str) -> bool {
        self.edit(place, |table| table.remove(key).is_some()).unwrap_or(false)
    }

    pub fn list(&self, key: &str) -> Option<&ArrayOfTables> {
        self.document.get(key)?.as_array_of_tables()
    }

    pub fn list_mut(&mut self, key: &str) -> Option<&mut ArrayOfTables> {
        self.document.get_mut(key)?.as_array_of_tables_mut()
    }

    pub fn remove_entries(&mut self, gone: &BTreeSet<usize>) {
        self.remove_from("at", gone);
    }

    /// Without these entries of the timeline.
    pub fn without_entries(mut self, gone: &BTreeSet<usize>) -> Script {
        self.remove_entries(gone);
        self
    }

    /// Without these expectations, by their places in the scenario that is shrunk.
    pub fn without_expectations(mut self, gone: &BTreeSet<usize>) -> Script {
        let places = self.expectations.iter().enumerate();
        let here = places.filter(|(_, number)| gone.contains(number)).map(|(place, _)| place).collect();
        self.remove_from("expect", &here);
        self.expectations.retain(|number| !gone.contains(number));
        self
    }

    fn remove_from(&mut self, key: &str, gone: &BTreeSet<usize>) {
        let Some(list) = self.list_mut(key) else { return };
        for &place in gone.iter().rev().filter(|&&place| place < list.len()).collect::<Vec<_>>() {
            list.remove(place);
        }
        if list.is_empty() {
            self.document.remove(key);
        }
    }
}

/// Puts a table and those inside it at one place of the file, where they stand in the order in which they are found; `None`:
/// behind the table before it.
pub(super) fn set_position(table: &mut Table, position: Option<isize>) {
    table.set_position(position);
    for (_, item) in table.iter_mut() {
        match item {
            Item::Table(table) => set_position(table, position),
            Item::ArrayOfTables(list) => list.iter_mut().for_each(|table| set_position(table, position)),
            Item::Value(_) | Item::None => {}
        }
    }
}
