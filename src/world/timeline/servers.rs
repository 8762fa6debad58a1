//! Routers and servers killed, started anew, paused and resumed. A DHCP server stands among routers, and has a process all the
//! same; a DNS server has a node of its own.

use crate::abi::lock;
use crate::network::dhcp::Server;
use crate::rng::Seed;
use crate::world::{Service, World, build};

impl World {
    /// `graceful`: of a DHCP server, its process alone.
    pub(super) fn kill_router(&mut self, router: usize, graceful: bool) {
        if graceful {
            self.routers[router].dhcp_mut(0).into_iter().for_each(Server::kill);
        } else {
            self.routers_off[router] = true;
            self.router_timers[router] = None;
        }
    }

    /// A router that knows no neighbours, and has none of the packets that waited for one; a DHCP server without leases.
    pub(super) fn restart_router(&mut self, router: usize, graceful: bool) {
        let plan = &self.timeline.routers[router];
        if let (Some(config), true, false) = (&plan.dhcp, graceful, self.routers_off[router]) {
            self.routers[router].serve_dhcp(0, Server::new(config.clone()));
            return;
        }
        self.routers[router] = build::router(self.now, plan);
        self.routers_off[router] = false;
        self.router_timers[router] = None;
        self.follow_router(router);
    }

    pub(super) fn pause_router(&mut self, router: usize) {
        self.routers[router].dhcp_mut(0).into_iter().for_each(Server::pause);
    }

    pub(super) fn resume_router(&mut self, router: usize) {
        let mut egress = std::mem::take(&mut self.egress);
        self.routers[router].resume_dhcp(self.now, 0, &mut egress);
        if self.routers_off[router] {
            egress.clear();
        }
        self.send_from_router(router, egress);
    }

    fn node_of_service(&self, service: usize) -> usize {
        self.guests_planned() + service
    }

    pub(super) fn kill_service(&mut self, service: usize, graceful: bool) {
        let at = self.node_of_service(service);
        if !graceful {
            self.nodes[at].powered = false;
            return;
        }
        {
            let mut node = lock(&self.nodes[at].node);
            node.now = self.now;
            match &self.services[service] {
                Service::Dns(server) => node.with_task(*server, |server, cx| server.kill(cx)),
                Service::Directory(_) => None,
            };
        }
        self.mark_dirty(at);
    }

    pub(super) fn restart_service(&mut self, service: usize, graceful: bool) {
        self.kill_service(service, graceful);
        let at = self.node_of_service(service);
        let plan = self.timeline.services[service].clone();
        if !self.nodes[at].powered {
            let slot = &mut self.nodes[at];
            slot.powered = true;
            slot.boots += 1;
            slot.timer = None;
            let mut fresh = build::service_node(&plan, Seed(self.settings.seed), slot.boots);
            fresh.set_checksums(self.checksums);
            fresh.set_whereabouts(&self.whereabouts);
            *lock(&slot.node) = fresh;
            if self.eager {
                self.make_node_eager(at);
            }
        }
        self.services[service] = build::service(&plan, &mut lock(&self.nodes[at].node));
        // Guests have moved, perhaps, since the scenario was read.
        self.place_all(service);
        self.mark_dirty(at);
    }

    pub(super) fn pause_service(&mut self, service: usize) {
        let mut node = lock(&self.nodes[self.node_of_service(service)].node);
        match &self.services[service] {
            Service::Dns(server) => node.with_task(*server, |server, _| server.pause()),
            Service::Directory(_) => None,
        };
    }

    pub(super) fn resume_service(&mut self, service: usize) {
        let at = self.node_of_service(service);
        {
            let mut node = lock(&self.nodes[at].node);
            match self.services[service] {
                Service::Dns(handle) => node.with_task(handle, |server, cx| server.resume(cx, handle)),
                Service::Directory(_) => None,
            };
        }
        self.mark_dirty(at);
    }
}
