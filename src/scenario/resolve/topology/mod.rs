//! Who is plugged in where: names looked up (names.rs), cables laid (cables.rs), switches joined (groups.rs), switches'
//! ports numbered.

mod cables;
mod groups;
mod names;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::super::mistake::Mistakes;
use super::super::plan::{DeviceRef, LinkPlan, PortRef};
use super::super::spec::{Directions, InterfaceSpec, LinkSpec, SwitchSpec, TapSpec};
use super::expand::Node;

/// What lies on one side of a cable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Index into [`Topology::interfaces`].
    Interface(usize),
    Switch(usize),
    Tap(usize),
}

struct Cable {
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
