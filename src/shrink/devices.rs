//! Leaving out guests, routers, switches and links, with all that the scenario says of them.

use std::collections::BTreeSet;

use toml_edit::{Item, TableLike, Value, value};

use super::failure::Failure;
use super::script::{Place, Script};
use super::{is_made_from, replicas};
use crate::network::InterfaceConfig;
use crate::scenario::plan::{Plan, RouterPlan, ServiceKind};

/// The kind of a table, such as `guest`, `router` or `link`, and its name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Device {
    pub kind: &'static str,
    pub name: String,
}

impl Device {
    pub fn all(script: &Script, kind: &'static str) -> Vec<Device> {
        script.names(kind).into_iter().map(|name| Device { kind, name }).collect()
    }
}

/// The script without these devices, the cables that end at them, and what is said of them on the timeline and in
/// expectations. `None` if the failure itself is about one of them.
pub(super) fn without_devices(script: &Script, gone: &BTreeSet<Device>, failure: &Failure) -> Option<Script> {
    let (script, void) = left_without(script, gone);
    let is_void = failure.expectation().is_some_and(|number| void.contains(&number));
    (!is_void).then_some(script)
}

/// The script without these devices, and the expectations that went with them.
pub(super) fn left_without(script: &Script, gone: &BTreeSet<Device>) -> (Script, BTreeSet<usize>) {
    let mut script = script.clone();
    let mut gone = gone.clone();
    gone.extend(replicas::shared_names(&script, &gone));
    for link in Device::all(&script, "link") {
        let ends = script.table(&["link".to_owned(), link.name.clone()]).and_then(|link| link.get("ends"));
        if names(ends).iter().any(|end| is_spoken_of(end, &gone)) {
            gone.insert(link);
        }
    }
    for device in &gone {
        script.remove(&[device.kind.to_owned()], &device.name);
    }
    let entries = 0..script.entries();
    let idle = entries.filter(|&entry| forget_in(&mut script, "at", entry, &gone)).collect();
    script.remove_entries(&idle);
    let numbers = script.expectations().to_vec();
    let places = numbers.into_iter().enumerate();
    let void: BTreeSet<usize> = places
        .filter(|&(place, _)| forget_in(&mut script, "expect", place, &gone))
        .map(|(_, number)| number)
        .collect();
    (script.without_expectations(&void), void)
}

fn forget_in(script: &mut Script, key: &str, place: usize, gone: &BTreeSet<Device>) -> bool {
    let place = [key.to_owned(), place.to_string()];
    script.edit(&place, |entry| forget(entry, gone)).unwrap_or(false)
}

/// Keys of entries and expectations that name devices, ports or links, one or many.
const NAMING: [&str; 9] = ["guest", "at", "link", "down", "up", "kill", "pause", "resume", "restart"];
/// Keys whose tables do.
const NAMING_INSIDE: [&str; 5] = ["after", "rebind", "dhcp", "inject", "clock"];

/// Takes names that are gone out of an entry or an expectation. True if nothing is left of what it is about.
fn forget(entry: &mut dyn TableLike, gone: &BTreeSet<Device>) -> bool {
    for key in NAMING {
        if let Some(item) = entry.get_mut(key)
            && forget_names(item, gone)
        {
            return true;
        }
    }
    for key in NAMING_INSIDE {
        let inside = entry.get(key).and_then(Item::as_table_like);
        let about = inside.iter().flat_map(|table| {
            ["guest", "at", "port", "router", "server", "revoke"].map(|key| table.get(key))
        });
        if about.flat_map(names).any(|name| is_spoken_of(&name, gone)) {
            return true;
        }
    }
    let Some(sides) = entry.get_mut("partition").and_then(Item::as_array_mut) else { return false };
    for side in sides.iter_mut().filter_map(Value::as_array_mut) {
        side.retain(|name| !name.as_str().is_some_and(|name| is_spoken_of(name, gone)));
    }
    sides.retain(|side| !side.as_array().is_some_and(toml_edit::Array::is_empty));
    sides.len() < 2
}

/// True if no name is left.
fn forget_names(item: &mut Item, gone: &BTreeSet<Device>) -> bool {
    match item.as_array_mut() {
        Some(list) => {
            list.retain(|name| !name.as_str().is_some_and(|name| is_spoken_of(name, gone)));
            list.fmt();
            list.is_empty()
        }
        None => item.as_str().is_some_and(|name| is_spoken_of(name, gone)),
    }
}

fn names(item: Option<&Item>) -> Vec<String> {
    let one = item.and_then(Item::as_str).map(str::to_owned);
    let many = item.and_then(Item::as_array).into_iter().flatten().filter_map(Value::as_str);
    one.into_iter().chain(many.map(str::to_owned)).collect()
}

/// True for the device's own name, a port of it (`r1.wan`), and a cable of such a port (`client:lan`).
pub(super) fn is_spoken_of(name: &str, gone: &BTreeSet<Device>) -> bool {
    name.split(':').any(|part| {
        let device = part.split('.').next().unwrap_or(part);
        gone.iter()
            .any(|gone| device == gone.name || (gone.kind == "guest" && is_made_from(device, &gone.name)))
    })
}

fn kind(router: &RouterPlan) -> &'static str {
    if router.dhcp.is_some() { "dhcp" } else { "router" }
}

/// Gives interfaces the addresses that they had in `before`, where leaving others out has changed those that are given
/// automatically. `None` for replicas, which cannot have their own.
pub(super) fn pin_addresses(script: &mut Script, before: &Plan, after: &Plan) -> Option<()> {
    let nodes = |plan: &'_ Plan| -> Vec<(&'static str, String, Vec<InterfaceConfig>)> {
        let guests = plan.guests.iter().map(|guest| ("guest", guest.name.clone(), guest.interfaces.clone()));
        let routers =
            plan.routers.iter().map(|router| (kind(router), router.name.clone(), router.interfaces.clone()));
        let servers = plan.services.iter().filter(|service| matches!(service.kind, ServiceKind::Dns(_)));
        let servers = servers.map(|server| ("dns", server.name.clone(), server.interfaces.clone()));
        guests.chain(routers).chain(servers).collect()
    };
    let before = nodes(before);
    for (kind, name, interfaces) in nodes(after) {
        let Some((.., had)) = before.iter().find(|node| node.0 == kind && node.1 == name) else { continue };
        for (now, had) in interfaces.iter().zip(had).filter(|(now, had)| now != had) {
            let own = vec![kind.to_owned(), name.clone()];
            let inside: Place = [own.as_slice(), &["interface".to_owned(), now.name.clone()]].concat();
            let place = if script.table(&inside).is_some() { inside } else { own };
            script.edit(&place, |table| {
                let addresses: toml_edit::Array = had.addresses.iter().map(ToString::to_string).collect();
                table.insert("addresses", value(addresses));
                let octets = had.mac.as_bytes().iter().map(|octet| format!("{octet:02x}"));
                table.insert("mac", value(octets.collect::<Vec<_>>().join(":")));
            })?;
        }
    }
    Some(())
}
