//! Guests with a `count`, each with a table of its own: what is said of one replica is then not said of all.

use std::collections::BTreeSet;

use toml_edit::{Item, Key, Value};

use super::devices::Device;
use super::is_made_from;
use super::script::{self, Script};

/// Replicas of a lab that are taken apart: every candidate is written and read once, whatever it leaves out.
const APART_MAX: u64 = 2000;

/// The script with a table for each replica, in their order, so that automatic addresses and everything that is drawn stay
/// as they are. The name that they share still stands for them. `None` if there are none, or too many.
pub(super) fn apart(script: &Script) -> Option<Script> {
    let mut script = script.clone();
    let guests = ["guest".to_owned()];
    let counts: u64 = script.table(&guests)?.iter().filter_map(|(_, guest)| count(guest)).sum();
    if !(1..=APART_MAX).contains(&counts) {
        return None;
    }
    script.edit(&guests, |guests| {
        let names: Vec<String> = guests.iter().map(|(name, _)| name.to_owned()).collect();
        for name in names {
            let Some(key) = guests.get_key_value(&name).map(|(key, _)| key.clone()) else { continue };
            // Whatever it becomes goes to the end, and so all keep their order.
            let Some(guest) = guests.remove(&name) else { continue };
            let Some(count) = count(&guest) else {
                guests.entry_format(&key).or_insert(guest);
                continue;
            };
            for replica in 0..count {
                let key = Key::new(format!("{name}-{replica}"))
                    .with_leaf_decor(key.leaf_decor().clone())
                    .with_dotted_decor(key.dotted_decor().clone());
                guests.entry_format(&key).or_insert(single(guest.clone(), replica));
            }
        }
    })?;
    Some(script)
}

fn count(guest: &Item) -> Option<u64> {
    guest.as_table_like()?.get("count")?.as_integer().and_then(|count| u64::try_from(count).ok())
}

/// The table of one replica.
fn single(mut guest: Item, replica: u64) -> Item {
    if let Some(table) = guest.as_table_like_mut() {
        table.remove("count");
        for key in ["args", "env", "stdin"] {
            // A table is a file's name, in which braces are braces.
            if let Some(item) = table.get_mut(key)
                && (key != "stdin" || item.is_str())
            {
                fill(item, replica);
            }
        }
    }
    if let Some(inline) = guest.as_inline_table_mut() {
        inline.fmt();
    }
    if let Some(table) = guest.as_table_mut() {
        let position = table.position();
        script::set_position(table, position);
    }
    guest
}

/// Puts the replica's number where `{index}` stands.
fn fill(item: &mut Item, replica: u64) {
    match item {
        Item::Value(value) => fill_value(value, replica),
        Item::Table(table) => table.iter_mut().for_each(|(_, item)| fill(item, replica)),
        Item::ArrayOfTables(_) | Item::None => {}
    }
}

fn fill_value(value: &mut Value, replica: u64) {
    if let Some(array) = value.as_array_mut() {
        array.iter_mut().for_each(|value| fill_value(value, replica));
    } else if let Some(table) = value.as_inline_table_mut() {
        table.iter_mut().for_each(|(_, value)| fill_value(value, replica));
    } else if let Some(text) = value.as_str().filter(|text| text.contains("{index}")) {
        let decor = value.decor().clone();
        *value = text.replace("{index}", &replica.to_string()).into();
        *value.decor_mut() = decor;
    }
}

/// The names that replicas share of which none is left once these are gone: what is said of them is void.
pub(super) fn shared_names(script: &Script, gone: &BTreeSet<Device>) -> BTreeSet<Device> {
    let guest = |name: &str| Device { kind: "guest", name: name.to_owned() };
    let names = script.names("guest");
    let left = names.iter().filter(|name| !gone.contains(&guest(name)));
    let used: BTreeSet<&str> = left.flat_map(|name| [Some(name.as_str()), shared(name)]).flatten().collect();
    let guests = gone.iter().filter(|device| device.kind == "guest");
    let unused = guests.filter_map(|device| shared(&device.name)).filter(|shared| !used.contains(shared));
    unused.map(guest).collect()
}

/// The `b` of `b-12`.
fn shared(name: &str) -> Option<&str> {
    name.rsplit_once('-').map(|(shared, _)| shared).filter(|shared| is_made_from(name, shared))
}
