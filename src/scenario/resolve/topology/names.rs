//! What names of devices and of their interfaces mean.

use toml::Spanned;

use super::{End, Topology};
use crate::scenario::mistake::quote;
use crate::scenario::plan::DeviceRef;
use crate::scenario::resolve::expand::Node;

impl Topology<'_> {
    pub(super) fn register_names(&mut self) {
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
                    (one, same) if one == same => {
                        format!("`{name}` names two {one}{}", if one.ends_with("ch") { "es" } else { "s" })
                    }
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

    pub(super) fn switch_named(&self, network: &Spanned<String>) -> Option<usize> {
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

    /// What an end of a link names.
    pub(super) fn end(&self, written: &Spanned<String>) -> Option<End> {
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

    fn kind(&self, device: DeviceRef) -> &'static str {
        match device {
            DeviceRef::Router(_) if self.is_plain(device) => "DHCP server",
            device => kind(device),
        }
    }

    pub(super) fn is_plain(&self, device: DeviceRef) -> bool {
        match device {
            DeviceRef::Guest(index) => self.guests[index].plain,
            DeviceRef::Router(index) => self.routers[index].plain,
            DeviceRef::Service(index) => self.services[index].plain,
            DeviceRef::Switch(_) | DeviceRef::Tap(_) => false,
        }
    }
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
