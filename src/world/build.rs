//! A world from a plan.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use smallvec::smallvec;

use super::parts::{limits, node, router, service, service_node, session, stdin, supplies, switch};
use super::{Boot, Event, GuestSlot, GuestState, NodeSlot, Port, Report, Secrets, Timeline, World};
use crate::abi::{FileView, Setup, lock};
use crate::capture::PortInfo;
use crate::event::Queue;
use crate::folders::Folders;
use crate::guest::{Engine, Exit};
use crate::network::link::Direction;
use crate::node::{LeftOpen, Whereabouts};
use crate::protocol::tls::provider::Entropy;
use crate::rng::Seed;
use crate::scenario::assets::Assets;
use crate::scenario::plan::{DeviceRef, GuestPlan, Plan, ServicePlan};
use crate::time::Instant;

/// What a driver chooses.
#[derive(Clone, Debug)]
pub struct Settings {
    pub seed: u64,
    /// Wall-clock time of the first instant, since the Unix epoch.
    pub epoch: Duration,
    /// What guests compute takes virtual time; otherwise time passes by itself.
    pub charge_fuel: bool,
    pub file_view: FileView,
    /// Where the folders are that guests are handed.
    pub folders: Folders,
    /// Record guest calls.
    pub trace: bool,
    /// Where secrets come from. A live world's come from the operating system, whatever its seed: a seed is printed.
    pub entropy: Entropy,
    /// Have protocol objects tell the secrets of their connections, for the capture.
    pub log_secrets: bool,
}

impl Settings {
    /// Virtual time, from the plan's own epoch.
    pub fn sim(plan: &Plan, seed: u64) -> Self {
        Self {
            seed,
            epoch: plan.epoch,
            charge_fuel: true,
            file_view: FileView::Repeatable,
            folders: Folders::default(),
            trace: false,
            entropy: Entropy::Seed(Seed(seed)),
            log_secrets: plan.log_secrets.unwrap_or(true),
        }
    }

    /// Time that passes by itself, from `epoch`.
    pub fn live(plan: &Plan, epoch: Duration, seed: u64) -> Self {
        Self {
            seed,
            epoch,
            charge_fuel: false,
            file_view: FileView::Host,
            folders: Folders::default(),
            trace: false,
            entropy: Entropy::System,
            log_secrets: plan.log_secrets.unwrap_or(false),
        }
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
            nodes: plan.guests.iter().map(|guest| node(guest, seed, &settings)).collect(),
            services: Vec::with_capacity(plan.services.len()),
            guests: Vec::with_capacity(plan.guests.len()),
            foreground: 0,
            at_work: 0,
            switches: plan.switches.iter().map(switch).collect(),
            switch_ports: plan.switches.iter().map(|switch| vec![usize::MAX; switch.ports]).collect(),
            routers: plan.routers.iter().map(|plan| router(Instant::START, plan)).collect(),
            router_ports: plan.routers.iter().map(|r| vec![usize::MAX; r.interfaces.len()]).collect(),
            router_timers: vec![None; plan.routers.len()],
            routers_off: vec![false; plan.routers.len()],
            tap_ports: vec![usize::MAX; plan.taps.len()],
            eager: false,
            ports: Vec::with_capacity(plan.links.len() * 2),
            immediate: Default::default(),
            crossing: 0,
            // Of each guest there is its start, and then what it waits for.
            events: Queue::with_capacity(plan.guests.len()),
            ready: Default::default(),
            turn_at: Instant::START,
            dirty: Vec::new(),
            packets: 0,
            sink: None,
            recording: Default::default(),
            checksums: false,
            sink_error: None,
            unflushed: false,
            turns: 0,
            outbound: Vec::new(),
            outside_drops: Vec::new(),
            reports: Vec::new(),
            totals: Default::default(),
            timeline: Timeline::default(),
            scratch: Vec::new(),
            egress: Vec::new(),
            outcomes: Vec::new(),
            supplies: Arc::new(supplies(plan, assets, &settings)),
            secrets: Secrets::default(),
            qlogs: None,
            whereabouts: Whereabouts::default(),
            settings,
        };
        plan.services.iter().for_each(|service| world.place_service(service, seed));
        for slot in &world.nodes {
            lock(&slot.node).set_whereabouts(&world.whereabouts);
        }
        world.plug(plan, seed);
        let impaired =
            plan.links.iter().flat_map(|link| &link.directions).any(|direction| !direction.is_ideal());
        world.set_checksums(impaired || !plan.taps.is_empty());
        if impaired {
            world.make_eager();
        }
        let timeline =
            Timeline::new(plan, assets, seed, &world.session).map(|timeline| world.timeline = timeline);
        world.begin_timeline();
        for guest in &plan.guests {
            progress(&guest.name);
            world.place(guest, assets, engine);
        }
        world.begin_configuration();
        if let Err(why) = timeline {
            world.give_up(&format!("timeline: {why}"));
        }
        if let Some(why) = world.settings.folders.failure().map(str::to_owned) {
            world.give_up(&why);
        }
        world
    }

    /// Interfaces that configure themselves begin, and routers advertise, before any guest runs.
    fn begin_configuration(&mut self) {
        for node in 0..self.nodes.len() {
            let begins = lock(&self.nodes[node].node).has_work();
            if begins {
                self.mark_dirty(node);
            }
        }
        for router in 0..self.routers.len() {
            self.follow_router(router);
        }
    }

    /// A lab that cannot be as its plan has it does not run.
    fn give_up(&mut self, why: &str) {
        for guest in 0..self.guests.len() {
            if self.guests[guest].state.is_running() {
                self.end(guest, Exit::Failed(why.to_owned()));
            }
        }
    }

    /// Ports in the order of the plan's links, each link's two ends after one another.
    fn plug(&mut self, plan: &Plan, seed: Seed) {
        let changing: BTreeSet<usize> =
            plan.timeline.iter().flat_map(|entry| entry.action.links()).copied().collect();
        for (number, link) in plan.links.iter().enumerate() {
            let first = self.ports.len();
            for (end, port) in link.ends.iter().enumerate() {
                let rng = seed.fork(&format!("link:{}:{end}", link.name));
                let mut direction = Direction::new(link.directions[end].clone(), rng);
                if changing.contains(&number) {
                    direction.hold_queue();
                }
                let at = first + end;
                match port.device {
                    DeviceRef::Guest(guest) => self.nodes[guest].ports[port.index] = at,
                    DeviceRef::Switch(switch) => self.switch_ports[switch][port.index] = at,
                    DeviceRef::Router(router) => self.router_ports[router][port.index] = at,
                    DeviceRef::Tap(tap) => self.tap_ports[tap] = at,
                    DeviceRef::Service(service) => {
                        let node = self.guests_planned() + service;
                        self.nodes[node].ports[port.index] = at;
                    }
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
        for node in 0..self.nodes.len() {
            for index in missing(&self.nodes[node].ports) {
                open.push(match node.checked_sub(self.guests_planned()) {
                    None => (DeviceRef::Guest(node), index, format!("guest{node}.{index}")),
                    Some(service) => {
                        (DeviceRef::Service(service), index, format!("service{service}.{index}"))
                    }
                });
            }
        }
        for router in 0..self.routers.len() {
            for index in missing(&self.router_ports[router]) {
                open.push((DeviceRef::Router(router), index, format!("router{router}.{index}")));
            }
        }
        let first_service = self.guests_planned();
        for (device, index, name) in open {
            let at = self.ports.len();
            match device {
                DeviceRef::Guest(node) => self.nodes[node].ports[index] = at,
                DeviceRef::Service(service) => self.nodes[first_service + service].ports[index] = at,
                DeviceRef::Router(router) => self.router_ports[router][index] = at,
                DeviceRef::Switch(_) | DeviceRef::Tap(_) => continue,
            }
            self.ports.push(Port { device, index, link: None, link_timer: None });
            self.session.ports.push(PortInfo { name, description: "not plugged in".to_owned() });
        }
    }

    fn place(&mut self, plan: &GuestPlan, assets: &Assets, engine: &Engine) {
        let number = self.guests.len();
        let started = assets.get(&plan.module).map_err(Exit::Failed).and_then(|bytes| {
            let program = engine.load(&plan.module, bytes)?;
            let stdin = stdin(&plan.stdin, assets, &self.supplies).map_err(Exit::Failed)?;
            let boot = Boot { plan: plan.clone(), program, stdin };
            Ok((self.boot(number, &boot)?, boot))
        });
        let mut slot = GuestSlot {
            name: plan.name.clone(),
            linger: plan.linger,
            address_wait: plan.address_wait,
            awaits_address: None,
            background: plan.background,
            state: GuestState::Waiting,
            guest: None,
            deadline: None,
            alarms: Default::default(),
            ready: false,
            paused: false,
            missed: false,
            killed: false,
            boot: None,
        };
        self.foreground += usize::from(!plan.background);
        match started {
            Ok((guest, boot)) => {
                self.at_work += usize::from(!plan.background);
                slot.guest = Some(guest);
                slot.boot = self.timeline.restarts(number).then(|| Arc::new(boot));
                self.events.push(Instant::START + plan.start, Event::Start { guest: number });
            }
            Err(exit) => {
                slot.state = GuestState::Gone;
                self.reports.push(Report::Exited { guest: number, exit, left_open: LeftOpen::default() });
            }
        }
        self.guests.push(slot);
        // Its listeners may have something to say before it runs.
        self.mark_dirty(number);
    }

    /// A node without a guest, behind the guests' own: its task goes to work in the first round.
    fn place_service(&mut self, plan: &ServicePlan, seed: Seed) {
        let mut node = service_node(plan, seed, 0);
        self.services.push(service(plan, &mut node));
        self.nodes.push(NodeSlot {
            node: Arc::new(Mutex::new(node)),
            dirty: false,
            timer: None,
            powered: true,
            boots: 0,
            programs: 0,
            ports: smallvec![usize::MAX; plan.interfaces.len()],
        });
        self.mark_dirty(self.nodes.len() - 1);
    }

    pub(super) fn setup(&self, plan: &GuestPlan, programs: u32) -> Setup {
        let program = plan.module.file_name().map(|name| name.to_string_lossy().into_owned());
        let filled = |text: &String| self.supplies.with_roots(text);
        Setup {
            args: program.into_iter().chain(plan.args.iter().map(filled)).collect(),
            env: plan.env.iter().map(|(name, value)| (name.clone(), filled(value))).collect(),
            listeners: plan
                .listeners
                .iter()
                .map(|l| (l.name.clone(), l.protocol.clone(), l.bind.clone(), l.kind, l.backlog))
                .collect(),
            connections: plan.connections.clone(),
            directories: plan
                .directories
                .iter()
                .map(|d| (d.guest.clone(), self.settings.folders.place(&d.host).to_owned(), d.writable))
                .collect(),
            protocols: plan.protocols.iter().map(|p| (p.name.clone(), p.grant.clone(), p.private)).collect(),
            memory_bytes_max: usize::try_from(plan.memory_bytes_max).unwrap_or(usize::MAX),
            descriptors_max: plan.descriptors_max,
            epoch: self.settings.epoch,
            file_view: self.settings.file_view,
            fuel: limits(plan).fuel(),
            quantum_fuel: limits(plan).quantum_fuel(),
            trace: self.settings.trace,
            supplies: Arc::clone(&self.supplies),
            label: plan.name.clone(),
            programs,
        }
    }
}
