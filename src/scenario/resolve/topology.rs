//! Who is plugged in where: names looked up, cables laid, switches' ports numbered.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use toml::Spanned;

use super::super::mistake::{Mistakes, quote};
use super::super::plan::{DeviceRef, LinkPlan, PortRef};
use super::super::spec::{Directions, InterfaceSpec, LinkSpec, SwitchSpec, TapSpec};
use super::expand::Node;
use super::groups::Groups;

/// What lies on one side of a cable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Index into [`Topology::interfaces`].
    Interface(usize),
    Switch(usize),
    Tap(usize),
}

pub(super) struct Cable {
    name: String,
    ends: [End; 2],
    directions: Directions,
}

/// Devices that hear one another's broadcasts: switches cabled together (told by one of them), or
/// the two ends of a cable without a switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Domain {
    Switches(usize),
    Cable(usize),
}

/// An interface of a guest, a router or a service, in that order of devices.
pub(super) struct Interface<'a> {
    pub device: DeviceRef,
    /// Among the device's own.
    pub index: usize,
    /// `client`, `client.eth1`, `r1.lan`.
    pub port: String,
    pub spec: &'a InterfaceSpec,
    /// `None` only after a mistake.
    pub domain: Option<Domain>,
    plugged: bool,
}

/// The cabled lab.
pub(super) struct Topology<'a> {
    pub interfaces: Vec<Interface<'a>>,
    pub switches: &'a [SwitchSpec],
    cables: Vec<Cable>,
    guests: &'a [Node<'a>],
    routers: &'a [Node<'a>],
    services: &'a [Node<'a>],
    taps: &'a [TapSpec],
    taps_plugged: Vec<bool>,
    names: BTreeMap<&'a str, DeviceRef>,
    /// For each switch, the first of those it is joined with.
    groups: Vec<usize>,
    /// Domains that TAPs are plugged into.
    tapped: BTreeSet<Domain>,
    mistakes: &'a Mistakes,
}

impl<'a> Topology<'a> {
    pub fn new(
        guests: &'a [Node<'a>],
        routers: &'a [Node<'a>],
        services: &'a [Node<'a>],
        switches: &'a [SwitchSpec],
        taps: &'a [TapSpec],
        links: &'a [LinkSpec],
        mistakes: &'a Mistakes,
    ) -> Self {
        let mut topology = Self {
            interfaces: interfaces(guests, routers, services),
            switches,
            cables: Vec::new(),
            guests,
            routers,
            services,
            taps,
            taps_plugged: vec![false; taps.len()],
            names: BTreeMap::new(),
            groups: Vec::new(),
            tapped: BTreeSet::new(),
            mistakes,
        };
        topology.register_names();
        topology.plug_into_networks(links);
        topology.groups = topology.lay_links(links).roots();
        topology.check_plugged();
        topology.find_domains();
        topology
    }

    /// Interfaces of one device, as indices.
    pub fn interfaces_of(&self, node: &Node<'_>) -> Range<usize> {
        node.first_interface..node.first_interface + node.interfaces.len()
    }

    /// The switch that stands for a domain of switches.
    pub fn switch_domain(&self, switch: usize) -> Domain {
        Domain::Switches(self.groups[switch])
    }

    /// True if a TAP is plugged in there.
    pub fn has_tap(&self, domain: Domain) -> bool {
        self.tapped.contains(&domain)
    }

    fn is_plain(&self, device: DeviceRef) -> bool {
        match device {
            DeviceRef::Guest(index) => self.guests[index].plain,
            DeviceRef::Router(index) => self.routers[index].plain,
            DeviceRef::Service(index) => self.services[index].plain,
            DeviceRef::Switch(_) | DeviceRef::Tap(_) => false,
        }
    }

    fn kind(&self, device: DeviceRef) -> &'static str {
        match device {
            DeviceRef::Router(_) if self.is_plain(device) => "DHCP server",
            device => kind(device),
        }
    }

    fn register_names(&mut self) {
        let guests = self
            .guests
            .iter()
            .enumerate()
            .map(|(i, node)| (DeviceRef::Guest(i), &*node.name, node.at.clone()));
        let routers = self
            .routers
            .iter()
            .enumerate()
            .map(|(i, node)| (DeviceRef::Router(i), &*node.name, node.at.clone()));
        let switches = self
            .switches
            .iter()
            .enumerate()
            .map(|(i, s)| (DeviceRef::Switch(i), &**s.name.get_ref(), s.name.span()));
        let taps = self
            .taps
            .iter()
            .enumerate()
            .map(|(i, t)| (DeviceRef::Tap(i), &**t.name.get_ref(), t.name.span()));
        let services = self
            .services
            .iter()
            .enumerate()
            .map(|(i, node)| (DeviceRef::Service(i), &*node.name, node.at.clone()));
        for (device, name, at) in guests.chain(switches).chain(routers).chain(taps).chain(services) {
            if let Some(&other) = self.names.get(name) {
                let message = match (self.kind(other), self.kind(device)) {
                    (one, same) if one == same => format!("`{name}` names two {one}s"),
                    (one, other) => format!("`{name}` names a {one} and a {other}"),
                };
                let help = "guests, switches, routers, services and TAPs share one space of names: links and captures tell them \
                            apart by nothing else";
                self.mistakes.add(at, message, help);
            } else {
                self.names.insert(name, device);
            }
        }
    }

    /// Cables that the keys `network` ask for, and those of guests that leave it out.
    fn plug_into_networks(&mut self, links: &[LinkSpec]) {
        let linked: BTreeSet<&str> =
            links.iter().flat_map(|link| &link.ends).flatten().map(|end| end.get_ref().as_str()).collect();
        for at in 0..self.interfaces.len() {
            let Interface { spec, ref port, device, .. } = self.interfaces[at];
            let port = port.clone();
            let switch = match &spec.network {
                Some(network) => self.switch_named(network),
                None => {
                    // A guest or service that says nothing is on the only switch there is, unless a link names it.
                    let eth0 = self.is_plain(device) && spec.name.get_ref() == "eth0";
                    let free = !linked.contains(&*port) && !linked.contains(&*format!("{port}.eth0"));
                    (eth0 && free && !spec.broken && self.switches.len() == 1).then_some(0)
                }
            };
            if spec.network.is_some() {
                // Even to an unknown switch: it was meant to be plugged in.
                self.interfaces[at].plugged = true;
            }
            if let Some(switch) = switch {
                self.interfaces[at].plugged = true;
                let name = format!("{port}:{}", self.switches[switch].name.get_ref());
                self.lay(name, [End::Interface(at), End::Switch(switch)], &spec.directions);
            }
        }
        for (at, tap) in self.taps.iter().enumerate() {
            let Some(network) = &tap.network else { continue };
            self.taps_plugged[at] = true;
            if let Some(switch) = self.switch_named(network) {
                let name = format!("{}:{}", tap.name.get_ref(), self.switches[switch].name.get_ref());
                self.lay(name, [End::Tap(at), End::Switch(switch)], &tap.directions);
            }
        }
    }

    fn lay(&mut self, name: String, ends: [End; 2], directions: &Directions) {
        self.cables.push(Cable { name, ends, directions: directions.clone() });
    }

    fn switch_named(&self, network: &Spanned<String>) -> Option<usize> {
        let name = network.get_ref().as_str();
        match self.names.get(name) {
            Some(DeviceRef::Switch(index)) => return Some(*index),
            Some(&other) => {
                let message = format!("network: `{name}` is a {}, not a switch", kind(other));
                let help = "to join two ports without a switch, add [link.NAME] with `ends`";
                self.mistakes.add(network.span(), message, help);
            }
            None => {
                let meant = self
                    .mistakes
                    .did_you_mean(name, self.switches.iter().map(|switch| switch.name.get_ref().as_str()));
                let help = if meant.is_empty() { "add it: [switch.NAME]".to_owned() } else { meant };
                self.mistakes.add(
                    network.span(),
                    format!("network: there is no switch {}", quote(name)),
                    help,
                );
            }
        }
        None
    }

    /// The cables of the tables `[link.NAME]`.
    fn lay_links(&mut self, links: &'a [LinkSpec]) -> Groups {
        let mut groups = Groups::new(self.switches.len());
        for link in links {
            let Some(ends) = &link.ends else { continue };
            let [Some(one), Some(other)] = ends.each_ref().map(|end| self.end(end)) else { continue };
            if one == other {
                let message = format!("link `{}` leads back to where it begins", link.name.get_ref());
                self.mistakes.add(ends[1].span(), message, "join two different ports");
                continue;
            }
            if let (End::Switch(a), End::Switch(b)) = (one, other)
                && !groups.join(a, b)
            {
                let message = format!("link `{}` closes a loop of switches", link.name.get_ref());
                let help = "a broadcast would go round it for ever: these switches are joined already, so leave it out";
                self.mistakes.add(link.name.span(), message, help);
                continue;
            }
            if self.plug(one, &ends[0]) && self.plug(other, &ends[1]) {
                self.lay(link.name.get_ref().clone(), [one, other], &link.directions);
            }
        }
        groups
    }

    /// Takes one end of a link; false if it is taken already.
    fn plug(&mut self, end: End, written: &Spanned<String>) -> bool {
        let taken = match end {
            End::Switch(_) => false,
            End::Interface(at) => {
                let interface = &mut self.interfaces[at];
                if let Some(at) = &interface.spec.link
                    && !interface.plugged
                {
                    let help = "move them to the [link.NAME] that joins it";
                    self.mistakes.add(
                        at.clone(),
                        format!("`{}` is joined by a link of its own", interface.port),
                        help,
                    );
                }
                std::mem::replace(&mut interface.plugged, true)
            }
            End::Tap(at) => std::mem::replace(&mut self.taps_plugged[at], true),
        };
        if taken {
            let message = format!("`{}` is plugged in twice", written.get_ref());
            let help = "a port takes one cable: its `network`, or one link; a switch joins more";
            self.mistakes.add(written.span(), message, help);
        }
        !taken
    }

    /// What an end of a link names.
    fn end(&self, written: &Spanned<String>) -> Option<End> {
        let text = written.get_ref().as_str();
        let (name, interface) = match text.split_once('.') {
            Some((name, interface)) => (name, Some(interface)),
            None => (text, None),
        };
        let wrong = |message: String, help: String| {
            self.mistakes.add(written.span(), message, help);
            None
        };
        match (self.names.get(name), interface) {
            (Some(&DeviceRef::Switch(index)), None) => Some(End::Switch(index)),
            (Some(&DeviceRef::Tap(index)), None) => Some(End::Tap(index)),
            (Some(&device @ (DeviceRef::Switch(_) | DeviceRef::Tap(_))), Some(_)) => wrong(
                format!("ends: {} names a port of a {}", quote(text), kind(device)),
                format!("write `{name}`: its ports are numbered as links come"),
            ),
            (Some(&DeviceRef::Guest(index)), _) => {
                self.interface_named(&self.guests[index], interface, written)
            }
            (Some(&DeviceRef::Service(index)), _) => {
                self.interface_named(&self.services[index], interface, written)
            }
            (Some(&DeviceRef::Router(index)), _) => {
                self.interface_named(&self.routers[index], interface, written)
            }
            (None, _) => {
                let meant = self.mistakes.did_you_mean(name, self.names.keys().copied());
                let help = if meant.is_empty() {
                    "ends are `GUEST`, `GUEST.INTERFACE`, `ROUTER.INTERFACE`, `SWITCH` or `TAP`".into()
                } else {
                    meant
                };
                wrong(format!("ends: there is no {} to plug into", quote(name)), help)
            }
        }
    }

    fn interface_named(
        &self,
        node: &Node<'_>,
        interface: Option<&str>,
        written: &Spanned<String>,
    ) -> Option<End> {
        let wanted = match (interface, node.interfaces) {
            (Some(interface), _) => interface,
            (None, [only]) => only.name.get_ref(),
            (None, _) => "eth0",
        };
        if let Some(index) = node.interfaces.iter().position(|spec| spec.name.get_ref() == wanted) {
            return Some(End::Interface(node.first_interface + index));
        }
        let names = || node.interfaces.iter().map(|spec| spec.name.get_ref().as_str());
        let meant = self.mistakes.did_you_mean(wanted, names());
        let list: Vec<&str> = names().collect();
        let help = format!("{meant}{}it has {}", if meant.is_empty() { "" } else { " " }, list.join(", "));
        let message = format!("ends: `{}` has no interface {}", node.name, quote(wanted));
        self.mistakes.add(written.span(), message, help);
        None
    }

    fn check_plugged(&self) {
        for interface in &self.interfaces {
            if interface.plugged || interface.spec.broken {
                continue;
            }
            let switches = self.switches.len();
            let help = match switches {
                0 => {
                    "add a [switch.NAME] and `network = \"NAME\"`, or a [link.NAME] with it among its `ends`"
                        .to_owned()
                }
                _ => format!(
                    "add `network = \"{}\"`, or a [link.NAME] with it among its `ends`",
                    self.switches[0].name.get_ref()
                ),
            };
            let message = format!("`{}` is plugged in nowhere", interface.port);
            self.mistakes.add(interface.spec.name.span(), message, help);
        }
        for (tap, _) in self.taps.iter().zip(&self.taps_plugged).filter(|(_, plugged)| !**plugged) {
            let message = format!("`{}` is plugged in nowhere", tap.name.get_ref());
            self.mistakes.add(
                tap.name.span(),
                message,
                "add `network`, or a [link.NAME] with it among its `ends`",
            );
        }
    }

    fn find_domains(&mut self) {
        for (index, cable) in self.cables.iter().enumerate() {
            let domain = self.domain_of(index, cable);
            for end in cable.ends {
                match end {
                    End::Interface(at) => self.interfaces[at].domain = Some(domain),
                    End::Tap(_) => drop(self.tapped.insert(domain)),
                    End::Switch(_) => {}
                }
            }
        }
    }

    fn domain_of(&self, index: usize, cable: &Cable) -> Domain {
        match cable.ends {
            [End::Switch(switch), _] | [_, End::Switch(switch)] => Domain::Switches(self.groups[switch]),
            [End::Interface(_) | End::Tap(_), End::Interface(_) | End::Tap(_)] => Domain::Cable(index),
        }
    }

    /// The links of the plan, and how many ports each switch has.
    pub fn links(&self) -> (Vec<LinkPlan>, Vec<usize>) {
        let mut switch_ports = vec![0; self.switches.len()];
        let mut port = |end: End| match end {
            End::Interface(at) => {
                let Interface { device, index, ref port, .. } = self.interfaces[at];
                PortRef { device, index, name: port.clone() }
            }
            End::Switch(switch) => {
                let index = switch_ports[switch];
                switch_ports[switch] += 1;
                let name = format!("{}.{index}", self.switches[switch].name.get_ref());
                PortRef { device: DeviceRef::Switch(switch), index, name }
            }
            End::Tap(tap) => {
                PortRef { device: DeviceRef::Tap(tap), index: 0, name: self.taps[tap].name.get_ref().clone() }
            }
        };
        let links = self.cables.iter().map(|cable| LinkPlan {
            name: cable.name.clone(),
            ends: cable.ends.map(&mut port),
            directions: cable.directions.each_ref().map(|direction| direction.parameters.clone()),
        });
        (links.collect(), switch_ports)
    }
}

fn interfaces<'a>(
    guests: &'a [Node<'a>],
    routers: &'a [Node<'a>],
    services: &'a [Node<'a>],
) -> Vec<Interface<'a>> {
    let guests = guests.iter().enumerate().map(|(index, node)| (DeviceRef::Guest(index), node));
    let routers = routers.iter().enumerate().map(|(index, node)| (DeviceRef::Router(index), node));
    let services = services.iter().enumerate().map(|(index, node)| (DeviceRef::Service(index), node));
    let of = |(device, node): (DeviceRef, &'a Node<'a>)| {
        node.interfaces.iter().enumerate().map(move |(index, spec)| {
            // By the interface's name alone, so that a second interface does not rename the first (and
            // with it the random stream of its link).
            let plain = node.plain && spec.name.get_ref() == "eth0";
            let port =
                if plain { node.name.clone() } else { format!("{}.{}", node.name, spec.name.get_ref()) };
            Interface { device, index, port, spec, domain: None, plugged: false }
        })
    };
    guests.chain(routers).chain(services).flat_map(of).collect()
}

fn kind(device: DeviceRef) -> &'static str {
    match device {
        DeviceRef::Guest(_) => "guest",
        DeviceRef::Switch(_) => "switch",
        DeviceRef::Router(_) => "router",
        DeviceRef::Tap(_) => "TAP",
        DeviceRef::Service(_) => "service",
    }
}
