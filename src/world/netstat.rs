//! Every node's sockets, for a look at a lab that does not go on.

use std::fmt::Write;

use super::{GuestState, Service, World};
use crate::abi::lock;
use crate::node::Node;

/// Guests with sockets that are listed; labs may have thousands. Of services and routers as many.
const LISTED_MAX: usize = 50;

impl World {
    /// A table for each guest that has sockets or is still there, as netstat(8) prints it; then for each service, and what each router
    /// did. Switches and TAPs keep nothing that could wait.
    pub fn netstat(&self) -> String {
        let mut text = String::new();
        let mut listed = 0;
        for (slot, node) in self.guests.iter().zip(&self.nodes) {
            let node = lock(&node.node);
            if slot.state == GuestState::Gone && node.stacks().all(|stack| stack.netstat().is_empty()) {
                continue;
            }
            listed += 1;
            if listed > LISTED_MAX {
                text.push_str("...\n");
                break;
            }
            let state = match slot.state {
                GuestState::Waiting => "has not begun",
                GuestState::Running if slot.paused => "is paused",
                GuestState::Running => "waits",
                GuestState::Lingering => "is gone, its stack lives on",
                GuestState::Gone => "is gone",
            };
            let _ = writeln!(text, "{} {state}", slot.name);
            sockets(&mut text, &node);
        }
        self.services_netstat(&mut text);
        self.routers_netstat(&mut text);
        text
    }

    fn services_netstat(&self, text: &mut String) {
        let nodes = &self.nodes[self.guests_planned()..];
        for (slot, service) in nodes.iter().zip(&self.services).take(LISTED_MAX) {
            match service {
                Service::Dns(_) => {
                    let _ = writeln!(text, "{} serves", self.description(slot.ports.first()));
                    sockets(text, &lock(&slot.node));
                }
                // A part of guestnet itself, whose sockets are those of guests.
                Service::Directory(_) => {}
            }
        }
    }

    fn routers_netstat(&self, text: &mut String) {
        let ports = self.router_ports.iter().map(|ports| ports.first());
        for ((router, off), port) in self.routers.iter().zip(&self.routers_off).zip(ports).take(LISTED_MAX) {
            let did = router.statistics();
            let state = if *off { "is off, has" } else { "has" };
            let lost =
                did.martian + did.no_route + did.expired + did.too_big + did.unresolved + did.queue_full;
            let _ = writeln!(
                text,
                "{} {state} forwarded {} packets, dropped {lost}, {} wait for a neighbour's answer",
                self.description(port),
                did.forwarded,
                router.waiting(),
            );
        }
    }

    /// What is behind a port: `router r1`, `DNS server ns`.
    fn description(&self, port: Option<&usize>) -> &str {
        let port = port.and_then(|&port| self.session.ports.get(port));
        port.map_or("a node without ports", |port| &port.description)
    }
}

fn sockets(text: &mut String, node: &Node) {
    let sockets: Vec<_> = node.stacks().flat_map(|stack| stack.netstat()).collect();
    if !sockets.is_empty() {
        text.push_str("  proto recv-q send-q local                  remote                 state\n");
    }
    for socket in sockets {
        let _ = writeln!(text, "  {}", socket.to_string().trim_end());
    }
}
