//! A world from a plan.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::{Event, GuestSlot, GuestState, NodeSlot, Port, Report, World};
use crate::abi::{FileTimes, Setup, lock};
use crate::capture::{PortInfo, Session};
use crate::event::Queue;
use crate::guest::{Engine, Exit, Guest, Limits};
use crate::network::link::Direction;
use crate::network::router::Router;
use crate::network::switch::Switch;
use crate::node::Node;
use crate::protocol::Grant;
use crate::rng::Seed;
use crate::scenario::assets::Assets;
use crate::scenario::plan::{DeviceRef, GuestPlan, Plan, StdinPlan};
use crate::time::Instant;

/// What a driver chooses.
#[derive(Clone, Debug)]
pub struct Settings {
    pub seed: u64,
    /// Wall-clock time of the first instant, since the Unix epoch.
    pub epoch: Duration,
    /// Virtual time that a guest's quantum of fuel takes; `None`: time passes by itself.
    pub quantum: Option<Duration>,
    pub file_times: FileTimes,
    /// Record guest calls.
    pub trace: bool,
}

impl Settings {
    /// Virtual time, from the plan's own epoch.
    pub fn sim(plan: &Plan, seed: u64) -> Self {
        Self {
            seed,
            epoch: plan.epoch,
            quantum: Some(super::schedule::quantum()),
            file_times: FileTimes::Epoch,
            trace: false,
        }
    }

    /// Time that passes by itself, from `epoch`.
    pub fn live(epoch: Duration, seed: u64) -> Self {
        Self { seed, epoch, quantum: None, file_times: FileTimes::Own, trace: false }
    }
}

impl World {
    /// Builds the lab: guests are compiled and placed, none has run. One that cannot be is reported as ended, and
    /// the others go on. `progress` hears of each guest.
    pub fn new(
        plan: &Plan,
        assets: &Assets,
        settings: Settings,
        engine: &Engine,
        progress: &mut dyn FnMut(&str),
    ) -> World {
        let seed = Seed(settings.seed);
        let mut world = World {
            now: Instant::START,
            session: session(plan, &settings),
            nodes: plan.guests.iter().map(|guest| node(guest, seed)).collect(),
            guests: Vec::with_capacity(plan.guests.len()),
            foreground: 0,
            at_work: 0,
            switches: plan.switches.iter().map(|switch| Switch::new(switch.ports, switch.ageing)).collect(),
            switch_ports: plan.switches.iter().map(|switch| vec![usize::MAX; switch.ports]).collect(),
            routers: plan
                .routers
                .iter()
                .map(|router| Router::new(&router.interfaces, &router.routes))
                .collect(),
            router_ports: plan.routers.iter().map(|r| vec![usize::MAX; r.interfaces.len()]).collect(),
            router_timers: vec![None; plan.routers.len()],
            tap_ports: vec![usize::MAX; plan.taps.len()],
            ports: Vec::with_capacity(plan.links.len() * 2),
            immediate: Default::default(),
            events: Queue::default(),
            ready: Default::default(),
            dirty: Vec::new(),
            packets: 0,
            sink: None,
            sink_error: None,
            outbound: Vec::new(),
            reports: Vec::new(),
            totals: Default::default(),
            scratch: Vec::new(),
            egress: Vec::new(),
            outcomes: Vec::new(),
            settings,
        };
        world.plug(plan, seed);
        let impaired =
            plan.links.iter().flat_map(|link| &link.directions).any(|direction| !direction.is_ideal());
        world.set_checksums(impaired || !plan.taps.is_empty());
        for guest in &plan.guests {
            progress(&guest.name);
            world.place(guest, assets, engine);
        }
        world
    }

    /// Ports in the order of the plan's links, each link's two ends after one another.
    fn plug(&mut self, plan: &Plan, seed: Seed) {
        for link in &plan.links {
            let first = self.ports.len();
            for (end, port) in link.ends.iter().enumerate() {
                let rng = seed.fork(&format!("link:{}:{end}", link.name));
                let direction = Direction::new(link.directions[end].clone(), rng);
                let eager = !link.directions[end].is_ideal() || !link.directions[1 - end].is_ideal();
                let at = first + end;
                match port.device {
                    DeviceRef::Guest(guest) => {
                        self.nodes[guest].ports[port.index] = at;
                        lock(&self.nodes[guest].node).set_eager(port.index, eager);
                    }
                    DeviceRef::Switch(switch) => self.switch_ports[switch][port.index] = at,
                    DeviceRef::Router(router) => self.router_ports[router][port.index] = at,
                    DeviceRef::Tap(tap) => self.tap_ports[tap] = at,
                }
                let link = Some((first + 1 - end, direction));
                self.ports.push(Port { device: port.device, index: port.index, link, link_timer: None });
            }
        }
        self.plug_the_rest();
    }

    /// Interfaces without a cable get a port that leads nowhere.
    fn plug_the_rest(&mut self) {
        let mut open: Vec<(DeviceRef, usize, String)> = Vec::new();
        let missing = |ports: &[usize]| -> Vec<usize> {
            (0..ports.len()).filter(|&index| ports[index] == usize::MAX).collect()
        };
        for guest in 0..self.nodes.len() {
            for index in missing(&self.nodes[guest].ports) {
                open.push((DeviceRef::Guest(guest), index, format!("guest{guest}.{index}")));
            }
        }
        for router in 0..self.routers.len() {
            for index in missing(&self.router_ports[router]) {
                open.push((DeviceRef::Router(router), index, format!("router{router}.{index}")));
            }
        }
        for (device, index, name) in open {
            let at = self.ports.len();
            match device {
                DeviceRef::Guest(guest) => self.nodes[guest].ports[index] = at,
                DeviceRef::Router(router) => self.router_ports[router][index] = at,
                DeviceRef::Switch(_) | DeviceRef::Tap(_) => continue,
            }
            self.ports.push(Port { device, index, link: None, link_timer: None });
            self.session.ports.push(PortInfo { name, description: "not plugged in".to_owned() });
        }
    }

    fn place(&mut self, plan: &GuestPlan, assets: &Assets, engine: &Engine) {
        let number = self.guests.len();
        let shared = Arc::clone(&self.nodes[number].node);
        let started = assets.get(&plan.module).map_err(Exit::Failed).and_then(|bytes| {
            let program = engine.load(&plan.module, bytes)?;
            feed(&mut lock(&shared), &plan.stdin, assets).map_err(Exit::Failed)?;
            let setup = self.setup(plan);
            Guest::start(&program, shared, setup, Limits { fuel_max: plan.fuel_max })
        });
        let mut slot = GuestSlot {
            name: plan.name.clone(),
            linger: plan.linger,
            background: plan.background,
            state: GuestState::Waiting,
            guest: None,
            deadline: None,
            alarms: Vec::new(),
            ready: false,
        };
        self.foreground += usize::from(!plan.background);
        match started {
            Ok(guest) => {
                self.at_work += usize::from(!plan.background);
                slot.guest = Some(guest);
                self.events.push(Instant::START + plan.start, Event::Start { guest: number });
            }
            Err(exit) => {
                slot.state = GuestState::Gone;
                self.reports.push(Report::Exited { guest: number, exit });
            }
        }
        self.guests.push(slot);
    }

    fn setup(&self, plan: &GuestPlan) -> Setup {
        let program = plan.module.file_name().map(|name| name.to_string_lossy().into_owned());
        Setup {
            args: program.into_iter().chain(plan.args.iter().cloned()).collect(),
            env: plan.env.clone(),
            listeners: plan
                .listeners
                .iter()
                .map(|l| (l.name.clone(), l.protocol.clone(), l.bind.clone(), l.kind, l.backlog))
                .collect(),
            directories: plan
                .directories
                .iter()
                .map(|d| (d.guest.clone(), d.host.clone(), d.writable))
                .collect(),
            protocols: plan
                .protocols
                .iter()
                .map(|p| (p.name.clone(), Grant { kind: p.kind, policy: p.policy.clone() }))
                .collect(),
            memory_bytes_max: usize::try_from(plan.memory_bytes_max).unwrap_or(usize::MAX),
            descriptors_max: plan.descriptors_max,
            epoch: self.settings.epoch,
            file_times: self.settings.file_times,
            trace: self.settings.trace,
        }
    }
}

fn node(plan: &GuestPlan, seed: Seed) -> NodeSlot {
    let stack = seed.fork(&format!("stack:{}", plan.name));
    let guest = seed.fork(&format!("guest:{}", plan.name));
    NodeSlot {
        node: Arc::new(Mutex::new(Node::new(&plan.interfaces, &plan.routes, stack, guest))),
        dirty: false,
        timer: None,
        ports: vec![usize::MAX; plan.interfaces.len()],
    }
}

fn feed(node: &mut Node, stdin: &StdinPlan, assets: &Assets) -> Result<(), String> {
    match stdin {
        StdinPlan::Empty => {}
        StdinPlan::Text(text) => node.stdio.feed(text.as_bytes()),
        StdinPlan::File(path) => node.stdio.feed(assets.get(path)?),
        // The driver feeds it.
        StdinPlan::Inherit => return Ok(()),
    }
    node.stdio.end_input();
    Ok(())
}

fn session(plan: &Plan, settings: &Settings) -> Session {
    let ports = plan.links.iter().flat_map(|link| {
        link.ends.iter().map(|end| PortInfo {
            name: end.name.clone(),
            description: match end.device {
                DeviceRef::Guest(guest) => format!("guest {}", plan.guests[guest].name),
                DeviceRef::Switch(switch) => format!("switch {}", plan.switches[switch].name),
                DeviceRef::Router(router) => format!("router {}", plan.routers[router].name),
                DeviceRef::Tap(tap) => format!("TAP {}", plan.taps[tap].device),
            },
        })
    });
    let names = plan.guests.iter().flat_map(|guest| {
        guest.interfaces.iter().flat_map(|interface| {
            interface.addresses.iter().map(|cidr| (cidr.address().into(), guest.name.clone()))
        })
    });
    Session {
        name: plan.name.clone(),
        seed: settings.seed,
        digest: plan.digest.clone(),
        epoch: settings.epoch,
        ports: ports.collect(),
        names: names.collect(),
    }
}
