//! What names of guests, replicas, links and ports mean.

use std::collections::BTreeMap;

use super::{Name, Resolver};
use crate::scenario::mistake::quote;
use crate::scenario::plan::{DeviceRef, Plan, PortPlan};
use crate::scenario::resolve::expect::is_replica;

/// What entries can name.
pub(in super::super) struct Names<'a> {
    pub devices: BTreeMap<&'a str, DeviceRef>,
    pub(super) links: BTreeMap<&'a str, usize>,
    pub(super) ports: BTreeMap<&'a str, PortPlan>,
}

impl<'a> Names<'a> {
    pub(super) fn of(plan: &'a Plan) -> Names<'a> {
        let guests = plan.guests.iter().enumerate().map(|(i, it)| (&*it.name, DeviceRef::Guest(i)));
        let switches = plan.switches.iter().enumerate().map(|(i, it)| (&*it.name, DeviceRef::Switch(i)));
        let routers = plan.routers.iter().enumerate().map(|(i, it)| (&*it.name, DeviceRef::Router(i)));
        let taps = plan.taps.iter().enumerate().map(|(i, it)| (&*it.name, DeviceRef::Tap(i)));
        let services = plan.services.iter().enumerate().map(|(i, it)| (&*it.name, DeviceRef::Service(i)));
        let ports = plan.links.iter().enumerate().flat_map(|(link, it)| {
            it.ends.iter().enumerate().map(move |(end, port)| (&*port.name, PortPlan { link, end }))
        });
        Names {
            devices: guests.chain(switches).chain(routers).chain(taps).chain(services).collect(),
            links: plan.links.iter().enumerate().map(|(link, it)| (&*it.name, link)).collect(),
            ports: ports.collect(),
        }
    }
}

impl Resolver<'_> {
    pub(super) fn guests(&self, key: &str, names: &[Name]) -> Option<Vec<usize>> {
        all(names, |name| self.guest_or_replicas(key, name))
    }

    /// The one guest of this name.
    pub(super) fn guest(&self, key: &str, name: &Name) -> Option<usize> {
        let guests = self.guest_or_replicas(key, name)?;
        if let [guest] = guests[..] {
            return Some(guest);
        }
        let message = format!("{key}: {} stands for {} replicas", quote(name.get_ref()), guests.len());
        let first = quote(&self.plan.guests[guests[0]].name);
        self.mistakes.add(name.span(), message, format!("name one of them, such as {first}"));
        None
    }

    /// A guest by its name, or replicas by the name that they share; at least one.
    pub fn guest_or_replicas(&self, key: &str, name: &Name) -> Option<Vec<usize>> {
        if let Some(&DeviceRef::Guest(guest)) = self.names.devices.get(name.get_ref().as_str()) {
            return Some(vec![guest]);
        }
        let replicas = self.replicas(name.get_ref());
        if replicas.is_empty() {
            self.unknown(key, "guest", name, self.plan.guests.iter().map(|guest| &*guest.name));
            return None;
        }
        Some(replicas)
    }

    /// In the plan's order.
    pub(super) fn replicas(&self, shared: &str) -> Vec<usize> {
        let first = format!("{shared}-");
        let alike = self.names.devices.range(&*first..).take_while(|(name, _)| name.starts_with(&first));
        let guests = alike.filter_map(|(name, device)| match device {
            DeviceRef::Guest(guest) if is_replica(name, shared) => Some(*guest),
            DeviceRef::Guest(_)
            | DeviceRef::Switch(_)
            | DeviceRef::Router(_)
            | DeviceRef::Tap(_)
            | DeviceRef::Service(_) => None,
        });
        let mut guests: Vec<usize> = guests.collect();
        guests.sort_unstable();
        guests
    }

    /// A link by its name; of replicas, `client:lan` stands for the cables of all.
    pub(super) fn link_or_replicas(&self, name: &Name) -> Option<Vec<usize>> {
        if let Some(&link) = self.names.links.get(name.get_ref().as_str()) {
            return Some(vec![link]);
        }
        let (port, rest) = name.get_ref().split_at(name.get_ref().find([':', '.']).unwrap_or_default());
        let of_replica = |&guest: &usize| {
            let cable = format!("{}{rest}", self.plan.guests[guest].name);
            self.names.links.get(cable.as_str()).copied()
        };
        let links: Vec<usize> = self.replicas(port).iter().filter_map(of_replica).collect();
        if links.is_empty() {
            self.unknown("link", "link", name, self.names.links.keys().copied());
            return None;
        }
        Some(links)
    }

    /// As captures name it; a guest or TAP with one port stands for it.
    pub(super) fn port(&self, key: &str, name: &Name) -> Option<PortPlan> {
        let text = name.get_ref().as_str();
        if let Some(&port) = self.names.ports.get(text) {
            return Some(port);
        }
        let first = format!("{text}.");
        let mut of_device =
            self.names.ports.range(&*first..).take_while(|(port, _)| port.starts_with(&first));
        if let (Some((_, &port)), None) = (of_device.next(), of_device.next()) {
            return Some(port);
        }
        self.unknown(key, "port", name, self.names.ports.keys().copied());
        None
    }

    pub(super) fn unknown<'a>(
        &self,
        key: &str,
        what: &str,
        name: &Name,
        candidates: impl Iterator<Item = &'a str> + Clone,
    ) {
        /// Names told in full: a lab can have a hundred thousand.
        const TOLD_MAX: usize = 12;
        let meant = self.mistakes.did_you_mean(name.get_ref(), candidates.clone());
        let mut known: Vec<&str> = candidates.clone().take(TOLD_MAX).collect();
        if candidates.count() > TOLD_MAX {
            known.push("...");
        }
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        let help = format!("{meant}{}there are: {known}", if meant.is_empty() { "" } else { " " });
        let message = format!("{key}: there is no {what} {}", quote(name.get_ref()));
        self.mistakes.add(name.span(), message, help);
    }
}

/// All that the names stand for, or nothing; the mistakes of all are told.
pub(super) fn all<T>(names: &[Name], find: impl Fn(&Name) -> Option<Vec<T>>) -> Option<Vec<T>> {
    let found: Vec<Option<Vec<T>>> = names.iter().map(find).collect();
    let found: Option<Vec<Vec<T>>> = found.into_iter().collect();
    Some(found?.into_iter().flatten().collect())
}
