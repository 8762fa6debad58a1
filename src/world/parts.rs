//! What a world is made of, each from its part of the plan: nodes, devices, and what the capture says of them.

use std::sync::{Arc, Mutex};

use smallvec::smallvec;

use super::{NodeSlot, Service, Settings};
use crate::capture::{PortInfo, Session};
use crate::dns::server::DnsServer;
use crate::guest::Limits;
use crate::network::dhcp::Server;
use crate::network::router::Router;
use crate::network::switch::Switch;
use crate::node::{Cpu, Namespace, Node};
use crate::protocol::tls::supplies::Supplies;
use crate::protocol::unix::Directory;
use crate::rng::Seed;
use crate::scenario::assets::Assets;
use crate::scenario::plan::{
    DeviceRef, GuestPlan, Plan, RouterPlan, ServiceKind, ServicePlan, StdinPlan, SwitchPlan,
};
use crate::time::Instant;

/// What protocol objects are made with.
pub(super) fn supplies(plan: &Plan, assets: &Assets, settings: &Settings) -> Supplies {
    let mut supplies = Supplies::new(settings.entropy, settings.epoch, settings.log_secrets);
    plan.authorities.iter().for_each(|authority| supplies.add_authority(authority));
    for path in plan.certificate_files() {
        supplies.add_file(path, assets.get(path).map(<[u8]>::to_vec));
    }
    if let Some(roots) = assets.system_roots() {
        supplies.set_system_roots(roots);
    }
    supplies
}

pub(super) fn limits(plan: &GuestPlan) -> Limits {
    Limits { fuel_max: plan.fuel_max, cpu_hz: plan.cpu_hz }
}

pub(super) fn node(plan: &GuestPlan, seed: Seed, settings: &Settings) -> NodeSlot {
    NodeSlot {
        node: Arc::new(Mutex::new(fresh_node(plan, seed, 0, settings))),
        dirty: false,
        timer: None,
        powered: true,
        boots: 0,
        programs: 0,
        ports: smallvec![usize::MAX; plan.interfaces.len() + usize::from(plan.unix.is_some())],
    }
}

/// A service's node as it is when its machine is switched on; each time it draws other random numbers.
pub(super) fn service_node(plan: &ServicePlan, seed: Seed, boots: u32) -> Node {
    let rng = |what: &str| match boots {
        0 => seed.fork(&format!("{what}:{}", plan.name)),
        again => seed.fork(&format!("{what}:{}:{again}", plan.name)),
    };
    Node::new(&plan.interfaces, &plan.routes, rng("stack"), rng("service"))
}

/// Begins the program of a service.
pub(super) fn service(plan: &ServicePlan, node: &mut Node) -> Service {
    match &plan.kind {
        ServiceKind::Dns(zones) => Service::Dns(node.spawn(DnsServer::new(zones.clone()))),
        ServiceKind::Directory => Service::Directory(node.spawn(Directory::default())),
    }
}

/// A node as it is when its machine is switched on; each time it draws other random numbers.
pub(super) fn fresh_node(plan: &GuestPlan, seed: Seed, boots: u32, settings: &Settings) -> Node {
    let rng = |what: &str| match boots {
        0 => seed.fork(&format!("{what}:{}", plan.name)),
        again => seed.fork(&format!("{what}:{}:{again}", plan.name)),
    };
    let mut node = Node::new(&plan.interfaces, &plan.routes, rng("stack"), rng("guest"));
    if let Some(interface) = &plan.unix {
        node.join(Namespace::new(interface, rng("unix"), boots));
    }
    node.set_buffers(usize::try_from(plan.buffer_bytes_max).unwrap_or(usize::MAX));
    for (interface, &automatic) in plan.automatic.iter().enumerate() {
        node.configure(interface, automatic);
    }
    node.cpu = Cpu::new(settings.charge_fuel.then_some(plan.cpu_hz));
    node
}

pub(super) fn switch(plan: &SwitchPlan) -> Switch {
    let switch = Switch::new(plan.ports, plan.ageing);
    if plan.snooping { switch.snooping() } else { switch }
}

/// A router as it is when it is switched on: a DHCP server has forgotten its leases.
pub(super) fn router(now: Instant, plan: &RouterPlan) -> Router {
    let mut router = Router::new(&plan.interfaces, &plan.routes);
    for (port, settings) in plan.advertise.iter().enumerate() {
        if let Some(settings) = settings {
            router.advertise(now, port, settings.clone());
        }
    }
    if let Some(config) = &plan.dhcp {
        router.serve_dhcp(0, Server::new(config.clone()));
    }
    router
}

/// What a guest's standard input has in it; `None`: the driver feeds it.
pub(super) fn stdin(
    plan: &StdinPlan,
    assets: &Assets,
    supplies: &Supplies,
) -> Result<Option<Vec<u8>>, String> {
    match plan {
        StdinPlan::Empty => Ok(Some(Vec::new())),
        StdinPlan::Text(text) => Ok(Some(supplies.with_roots(text).into_bytes())),
        StdinPlan::File(path) => Ok(Some(assets.get(path)?.to_vec())),
        StdinPlan::Inherit => Ok(None),
    }
}

pub(super) fn session(plan: &Plan, settings: &Settings) -> Session {
    let ports = plan.links.iter().flat_map(|link| {
        link.ends.iter().map(|end| PortInfo {
            name: end.name.clone(),
            description: match end.device {
                DeviceRef::Guest(guest) => format!("guest {}", plan.guests[guest].name),
                DeviceRef::Switch(switch) => format!("switch {}", plan.switches[switch].name),
                DeviceRef::Router(router) if plan.routers[router].dhcp.is_some() => {
                    format!("DHCP server {}", plan.routers[router].name)
                }
                DeviceRef::Router(router) => format!("router {}", plan.routers[router].name),
                DeviceRef::Tap(tap) => format!("TAP {}", plan.taps[tap].device),
                DeviceRef::Service(service) => match &plan.services[service].kind {
                    ServiceKind::Dns(_) => format!("DNS server {}", plan.services[service].name),
                    ServiceKind::Directory => "directory of Unix-domain sockets".to_owned(),
                },
            },
        })
    });
    let guests = plan.guests.iter().map(|guest| (&guest.name, &guest.interfaces));
    let routers = plan.routers.iter().map(|router| (&router.name, &router.interfaces));
    let services = plan.services.iter().map(|service| (&service.name, &service.interfaces));
    let names = guests.chain(services).chain(routers).flat_map(|(name, interfaces)| {
        let addresses = interfaces.iter().flat_map(|interface| &interface.addresses);
        addresses.map(|cidr| (cidr.address().into(), name.clone()))
    });
    let (mut ports, mut names): (Vec<_>, Vec<_>) = (ports.collect(), names.collect());
    // A lab of many guests has many of both.
    ports.shrink_to_fit();
    names.shrink_to_fit();
    Session {
        name: plan.name.clone(),
        seed: settings.seed,
        digest: plan.digest.clone(),
        epoch: settings.epoch,
        ports,
        names,
    }
}
