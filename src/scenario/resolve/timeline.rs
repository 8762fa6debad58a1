//! The timeline: names of guests, links, ports and devices looked up, times checked against the lab's.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use smoltcp::config::IFACE_MAX_ADDR_COUNT;
use smoltcp::wire::IpCidr;
use toml::Spanned;

use super::super::address::address_of;
use super::super::mistake::{Mistakes, quote};
use super::super::plan::{Action, DeviceRef, EntryPlan, FramesPlan, Plan, PortPlan, Span, When};
use super::super::spec::{ActionSpec, AfterSpec, EntrySpec, FramesSpec};
use super::addressing::MTU_MIN_V6;
use super::expect::{is_replica, parsed};
use crate::network::ip::is_link_local;
use crate::network::link::LinkParameters;

pub(super) type Name = Spanned<String>;

/// The entries of a timeline, as far as there was no mistake in them.
pub(super) fn timeline(
    entries: &[EntrySpec],
    plan: &Plan,
    folder: &Path,
    mistakes: &Mistakes,
) -> Vec<EntryPlan> {
    let resolver = Resolver { plan, folder, mistakes, names: Names::of(plan) };
    let resolved: Vec<_> = entries.iter().map(|entry| resolver.entry(entry)).collect();
    check_jitters(entries, &resolved, plan, mistakes);
    resolved.into_iter().flatten().collect()
}

/// A jitter that is set is more than no delay that its link has at any time.
fn check_jitters(specs: &[EntrySpec], entries: &[Option<EntryPlan>], plan: &Plan, mistakes: &Mistakes) {
    if !specs.iter().any(|spec| matches!(spec.action, ActionSpec::Change { jitter: Some(_), .. })) {
        return;
    }
    let changes = entries.iter().map(|entry| entry.as_ref()?.action.change());
    let changes: Vec<_> = changes.collect();
    let ports = |links: &[usize], directions: [bool; 2]| -> Vec<(usize, usize)> {
        let ends = [0, 1].into_iter().filter(move |&end| directions[end]);
        links.iter().flat_map(|&link| ends.clone().map(move |end| (link, end))).collect()
    };
    let mut longest: BTreeMap<(usize, usize), Duration> = BTreeMap::new();
    for (links, directions, change) in changes.iter().flatten() {
        let Some(delay) = change.delay() else { continue };
        for port in ports(links, *directions) {
            let longest = longest.entry(port).or_default();
            *longest = delay.max(*longest);
        }
    }
    for (spec, change) in specs.iter().zip(changes) {
        let ActionSpec::Change { jitter: Some(at), .. } = &spec.action else { continue };
        let Some((links, directions, change)) = change else { continue };
        let deviation = change.over(&LinkParameters::default()).jitter.deviation;
        // With this entry's own delay alone, or with any that the link ever has.
        let own = change.delay();
        let delays = ports(links, directions).into_iter().map(|port| {
            let (link, end) = port;
            let ever = || longest.get(&port).copied().unwrap_or_default();
            own.unwrap_or_else(|| plan.links[link].directions[end].delay.max(ever()))
        });
        if let Some(delay) = delays.min().filter(|delay| deviation > *delay) {
            let message = format!("jitter: {deviation:?} is more than the delay, {delay:?}");
            mistakes.add(at.clone(), message, "a frame cannot arrive before it was sent: set `delay` too");
        }
    }
}

pub(super) struct Resolver<'a> {
    pub plan: &'a Plan,
    folder: &'a Path,
    pub mistakes: &'a Mistakes,
    pub names: Names<'a>,
}

/// What entries can name.
pub(super) struct Names<'a> {
    pub devices: BTreeMap<&'a str, DeviceRef>,
    links: BTreeMap<&'a str, usize>,
    ports: BTreeMap<&'a str, PortPlan>,
}

impl<'a> Names<'a> {
    fn of(plan: &'a Plan) -> Names<'a> {
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
    fn entry(&self, spec: &EntrySpec) -> Option<EntryPlan> {
        self.check_end(spec);
        let action = self.action(&spec.action);
        let when = match (&spec.time, &spec.after, &spec.every) {
            (Some(time), ..) => When::Time(*time.get_ref()),
            (None, Some(after), _) => self.after(after)?,
            (None, None, every) => When::Time(*every.as_ref()?.get_ref()),
        };
        let span = |span: &Option<Spanned<Span>>| span.as_ref().map(|span| *span.get_ref());
        Some(EntryPlan {
            when,
            delay: span(&spec.delay).unwrap_or_default(),
            every: span(&spec.every),
            until: spec.until.as_ref().map(|until| *until.get_ref()),
            times: spec.times,
            action: action?,
        })
    }

    /// What could never happen, and what could never end.
    fn check_end(&self, spec: &EntrySpec) {
        let first = spec.time.as_ref().or(spec.delay.as_ref()).or(spec.every.as_ref());
        if let (Some(duration), Some(first)) = (self.plan.duration, first)
            && first.get_ref().most > duration
        {
            let message = format!("an entry of the timeline comes after the lab's end, {duration:?}");
            self.mistakes.add(first.span(), message, "make `duration` longer, or have it earlier");
        }
        if let (Some(duration), Some(until)) = (self.plan.duration, &spec.until)
            && *until.get_ref() > duration
        {
            let message = format!("until: is after the lab's end, {duration:?}");
            self.mistakes.add(until.span(), message, "leave it out: nothing comes after the end");
        }
        if let (Some(until), Some(first)) = (&spec.until, first)
            && first.get_ref().least > *until.get_ref()
        {
            self.mistakes.add(until.span(), "until: is before the first time", "later than its beginning");
        }
        if let Some(every) = &spec.every
            && spec.until.is_none()
            && spec.times.is_none()
            && self.plan.duration.is_none()
        {
            let help = "add `until` or `times`, or give the lab a `duration`";
            self.mistakes.add(every.span(), "every: never ends, and would keep the lab going for ever", help);
        }
    }

    fn after(&self, spec: &AfterSpec) -> Option<When> {
        Some(match spec {
            AfterSpec::Printed { guest, text } => {
                When::Printed { guests: self.guest_or_replicas("after", guest)?, text: text.clone() }
            }
            AfterSpec::Started { guest } => When::Started { guests: self.guest_or_replicas("after", guest)? },
            AfterSpec::Exited { guest } => When::Exited { guests: self.guest_or_replicas("after", guest)? },
            AfterSpec::Packet { port, packet } => {
                When::Packet { port: self.port("at", port)?, packet: *packet }
            }
            AfterSpec::Matching { port, filter } => {
                let (port, filter) = (self.port("at", port), parsed(filter, self.mistakes));
                When::Matching { port: port?, filter: filter? }
            }
        })
    }

    fn action(&self, spec: &ActionSpec) -> Option<Action> {
        Some(match spec {
            ActionSpec::Change { links, directions, change, .. } => Action::Change {
                links: all(links, |name| self.link_or_replicas(name))?,
                directions: *directions,
                change: change.clone(),
            },
            ActionSpec::Partition(sides) => Action::Partition(self.partition(sides)?),
            ActionSpec::Heal => Action::Heal,
            ActionSpec::Kill { names, graceful } => {
                let (machines, graceful) = self.stopped("kill", names, graceful)?;
                Action::Kill { machines, graceful }
            }
            ActionSpec::Pause(names) => Action::Pause(self.processes("pause", names)?),
            ActionSpec::Resume(names) => Action::Resume(self.processes("resume", names)?),
            ActionSpec::Restart { names, graceful } => {
                let (machines, graceful) = self.stopped("restart", names, graceful)?;
                Action::Restart { machines, graceful }
            }
            ActionSpec::Rebind { device, interface, addresses } => {
                self.rebind(device, interface, addresses)?
            }
            ActionSpec::Dhcp { server, range, revoke } => self.dhcp(server, range.as_ref(), revoke)?,
            ActionSpec::Inject { port, frames } => Action::Inject {
                port: self.port("inject", port)?,
                frames: match frames {
                    FramesSpec::One(frame) => FramesPlan::One(frame.clone()),
                    FramesSpec::Capture(path) => FramesPlan::Capture(self.folder.join(path.get_ref())),
                },
            },
            ActionSpec::Clock { guest, skew_ns } => {
                Action::Clock { guests: self.guest_or_replicas("clock", guest)?, skew_ns: *skew_ns }
            }
        })
    }

    fn partition(&self, sides: &[Vec<Name>]) -> Option<Vec<Vec<DeviceRef>>> {
        let mut sides_of = BTreeMap::new();
        let mut whole = true;
        let mut resolved = Vec::new();
        for (side, names) in sides.iter().enumerate() {
            let mut devices = Vec::new();
            for name in names {
                let named = match self.names.devices.get(name.get_ref().as_str()) {
                    Some(&device) => vec![device],
                    None => self.replicas(name.get_ref()).into_iter().map(DeviceRef::Guest).collect(),
                };
                if named.is_empty() {
                    self.unknown("partition", "device", name, self.names.devices.keys().copied());
                    whole = false;
                }
                let others: Vec<usize> =
                    named.iter().filter_map(|&device| sides_of.insert(device, side)).collect();
                if let Some(&other) = others.first() {
                    let message = match other == side {
                        true => format!("partition: {} stands on its side twice", quote(name.get_ref())),
                        false => format!("partition: {} stands on two sides", quote(name.get_ref())),
                    };
                    self.mistakes.add(name.span(), message, "each device is on one side, or on none");
                }
                devices.extend(named);
            }
            resolved.push(devices);
        }
        whole.then_some(resolved)
    }

    fn rebind(&self, device: &Name, interface: &Name, addresses: &[Spanned<IpCidr>]) -> Option<Action> {
        let router = match self.names.devices.get(device.get_ref().as_str()) {
            Some(&DeviceRef::Router(router)) if self.plan.routers[router].dhcp.is_none() => Some(router),
            Some(_) | None => None,
        };
        let (guest, of_device) = match router {
            Some(router) => (None, &self.plan.routers[router].interfaces),
            None => {
                let guest = self.guest("rebind", device)?;
                (Some(guest), &self.plan.guests[guest].interfaces)
            }
        };
        let wanted = interface.get_ref();
        let Some(index) = of_device.iter().position(|it| it.name == *wanted) else {
            self.unknown("rebind", "interface", interface, of_device.iter().map(|it| &*it.name));
            return None;
        };
        let mtu = of_device[index].mtu;
        let mut list: Vec<IpCidr> = Vec::new();
        for written in addresses {
            let cidr = *written.get_ref();
            if !address_of(cidr).is_ipv4() && mtu < MTU_MIN_V6 {
                let message = format!("rebind: {cidr} needs an MTU of {MTU_MIN_V6}, and {wanted} has {mtu}");
                self.mistakes.add(written.span(), message, "IPv6 needs links of 1280 bytes (RFC 8200)");
            }
            if list.iter().any(|other| other.address() == cidr.address()) {
                let message = format!("rebind: {} stands there twice", cidr.address());
                self.mistakes.add(written.span(), message, "each address once");
            }
            list.push(cidr);
        }
        // The link-local address stays, unless another is named.
        if !list.iter().any(|&cidr| is_link_local(address_of(cidr))) {
            let own = of_device[index].addresses.iter().find(|&&cidr| is_link_local(address_of(cidr)));
            list.extend(own);
        }
        if let Some(last) = addresses.last().filter(|_| list.len() > IFACE_MAX_ADDR_COUNT) {
            let message = format!("rebind: {} addresses", list.len());
            let help = format!("at most {IFACE_MAX_ADDR_COUNT}, the IPv6 link-local address among them");
            self.mistakes.add(last.span(), message, help);
        }
        let (interface, addresses) = (index, list);
        match (guest, router) {
            (Some(guest), _) => Some(Action::Rebind { guest, interface, addresses }),
            (None, router) => Some(Action::RebindRouter { router: router?, interface, addresses }),
        }
    }

    fn dhcp(
        &self,
        server: &Name,
        range: Option<&Spanned<(Ipv4Addr, Ipv4Addr)>>,
        revoke: &[Name],
    ) -> Option<Action> {
        let servers = || self.plan.routers.iter().filter(|router| router.dhcp.is_some());
        let found = self.plan.routers.iter().position(|it| it.dhcp.is_some() && it.name == *server.get_ref());
        let Some(router) = found else {
            self.unknown("dhcp", "DHCP server", server, servers().map(|it| &*it.name));
            return None;
        };
        if let (Some(range), Some(config)) = (range, &self.plan.routers[router].dhcp)
            && !(config.own.contains_addr(&range.get_ref().0) && config.own.contains_addr(&range.get_ref().1))
        {
            let message = format!("range: is not within {}", config.own.network());
            self.mistakes.add(range.span(), message, "a range of the server's own subnet");
        }
        let guests = self.guests("revoke", revoke)?;
        let macs = guests.into_iter().flat_map(|guest| &self.plan.guests[guest].interfaces).map(|it| it.mac);
        Some(Action::Dhcp { router, range: range.map(|range| *range.get_ref()), revoke: macs.collect() })
    }

    fn guests(&self, key: &str, names: &[Name]) -> Option<Vec<usize>> {
        all(names, |name| self.guest_or_replicas(key, name))
    }

    /// The one guest of this name.
    fn guest(&self, key: &str, name: &Name) -> Option<usize> {
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
    fn replicas(&self, shared: &str) -> Vec<usize> {
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
    fn link_or_replicas(&self, name: &Name) -> Option<Vec<usize>> {
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
    fn port(&self, key: &str, name: &Name) -> Option<PortPlan> {
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

    fn unknown<'a>(
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
fn all<T>(names: &[Name], find: impl Fn(&Name) -> Option<Vec<T>>) -> Option<Vec<T>> {
    let found: Vec<Option<Vec<T>>> = names.iter().map(find).collect();
    let found: Option<Vec<Vec<T>>> = found.into_iter().collect();
    Some(found?.into_iter().flatten().collect())
}
