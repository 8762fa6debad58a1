//! Machines and processes that entries of the timeline stop and start: guests, routers, servers of leases and of names.

use toml::Spanned;

use super::{Name, Resolver};
use crate::scenario::mistake::quote;
use crate::scenario::plan::{DeviceRef, Machines, ServiceKind};

impl Resolver<'_> {
    /// Guests, routers and servers that are switched off or on, and whether in an orderly way.
    pub(super) fn stopped(
        &self,
        key: &str,
        names: &[Name],
        graceful: &Option<Spanned<bool>>,
    ) -> Option<(Machines, bool)> {
        let is_graceful = graceful.as_ref().is_some_and(|graceful| *graceful.get_ref());
        let router = names.iter().find(|name| self.is_plain_router(name));
        if let (Some(router), Some(graceful), true) = (router, graceful, is_graceful) {
            let message = format!("graceful: {} is a router", quote(router.get_ref()));
            self.mistakes.add(graceful.span(), message, "a router has no process: leave it out");
        }
        Some((self.machines(key, names)?, is_graceful))
    }

    /// Guests and servers whose processes are stopped, or go on.
    pub(super) fn processes(&self, key: &str, names: &[Name]) -> Option<Machines> {
        if let Some(router) = names.iter().find(|name| self.is_plain_router(name)) {
            let message = format!("{key}: {} is a router", quote(router.get_ref()));
            let help = "a router has no process: `kill` and `restart` switch it off and on";
            self.mistakes.add(router.span(), message, help);
        }
        self.machines(key, names)
    }

    /// One that is no DHCP server.
    fn is_plain_router(&self, name: &Name) -> bool {
        match self.names.devices.get(name.get_ref().as_str()) {
            Some(&DeviceRef::Router(router)) => self.plan.routers[router].dhcp.is_none(),
            Some(DeviceRef::Guest(_) | DeviceRef::Switch(_) | DeviceRef::Tap(_) | DeviceRef::Service(_))
            | None => false,
        }
    }

    fn machines(&self, key: &str, names: &[Name]) -> Option<Machines> {
        let mut machines = Machines::default();
        let mut whole = true;
        for name in names {
            match self.names.devices.get(name.get_ref().as_str()) {
                Some(&DeviceRef::Router(router)) => machines.routers.push(router),
                Some(&DeviceRef::Service(service)) if self.is_dns(service) => machines.services.push(service),
                Some(
                    DeviceRef::Guest(_) | DeviceRef::Switch(_) | DeviceRef::Tap(_) | DeviceRef::Service(_),
                )
                | None => match self.guest_or_replicas(key, name) {
                    Some(guests) => machines.guests.extend(guests),
                    None => whole = false,
                },
            }
        }
        whole.then_some(machines)
    }

    fn is_dns(&self, service: usize) -> bool {
        match self.plan.services[service].kind {
            ServiceKind::Dns(_) => true,
            ServiceKind::Directory => false,
        }
    }
}
