//! What the text of an address names, and whether a control may reach it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use super::{Family, Settings, Speaks};
use crate::dns::name::HostName;
use crate::dns::resolver::{Outcome, Progress, Resolver, Whom, sort};
use crate::error::{Error, Result};
use crate::node::Waiter;
use crate::node::object::Context;
use crate::node::task::Handle;
use crate::protocol::policy::is_inside;
use crate::protocol::target::{Host, Target};

/// A protocol object's settings and resolver, as its controls use them.
#[derive(Clone)]
pub struct Scope {
    pub settings: Arc<Settings>,
    pub speaks: Speaks,
    pub resolver: Handle<Resolver>,
}

impl Scope {
    /// The addresses that `open` binds: one, or the unspecified ones of both families for a protocol of both that is
    /// given `[::]`. A name is one of the lab's or of the hosts table, and stands for the guest's own address there.
    pub fn locals(&self, cx: &mut Context, text: &str) -> Result<Vec<SocketAddr>> {
        let Target { host, port } = match self.speaks {
            Speaks::Transport => Target::parse(text)?,
            // A host alone leaves the identifier open.
            Speaks::Echo => Target::parse(text).or_else(|_| portless(text))?,
        };
        let locals = match host {
            Host::Address(ip) => {
                self.check_family(ip)?;
                let both = ip == Ipv6Addr::UNSPECIFIED && self.settings.families.v4;
                let other = both.then(|| SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port));
                [SocketAddr::new(ip, port)].into_iter().chain(other).collect()
            }
            Host::Name(name) => {
                let names = &self.settings.resolver.names;
                let known = names.find(&name, cx.whereabouts).ok_or(Error::NoEntry)?;
                let own =
                    |ip: &&IpAddr| self.settings.families.has(Family::of(**ip)) && cx.stack.is_own(**ip);
                let ip = known.iter().find(own).ok_or(Error::AddressNotAvailable)?;
                vec![SocketAddr::new(*ip, port)]
            }
        };
        for &local in &locals {
            self.check_own(cx, "bind", local)?;
        }
        Ok(locals)
    }

    /// What `connect` is to reach, if an address that may be reached, or a name that may be looked up.
    pub fn target(&self, cx: &mut Context, text: &str) -> Result<Target> {
        let target = match self.speaks {
            Speaks::Transport => Target::parse(text)?,
            Speaks::Echo => portless(text)?,
        };
        match &target.host {
            Host::Address(ip) => {
                self.check_family(*ip)?;
                self.check_peer(cx, None, SocketAddr::new(*ip, target.port))?;
            }
            Host::Name(name) => {
                if let Err(refusal) = self.settings.policy.may_look_up(name, target.port) {
                    return Err(refusal.tell(cx.journal, None, "connect", text));
                }
            }
        }
        Ok(target)
    }

    fn check_family(&self, ip: IpAddr) -> Result<()> {
        if self.settings.families.has(Family::of(ip)) { Ok(()) } else { Err(Error::AddressFamily) }
    }

    /// Whether a peer may be connected to, by `name` if that led to it.
    pub fn check_peer(&self, cx: &mut Context, name: Option<&HostName>, peer: SocketAddr) -> Result<()> {
        let on_link = |ip: IpAddr| cx.stack.addresses().any(|cidr| cidr.contains_addr(&ip.into()));
        let inside = |ip| is_inside(&self.settings.resolver.names, ip, on_link);
        match self.settings.policy.may_connect(name, peer, inside) {
            Ok(()) => Ok(()),
            Err(refusal) => {
                let shown = self.speaks.peer(peer);
                Err(match name {
                    Some(name) => refusal.tell(cx.journal, None, "connect", format_args!("{name} ({shown})")),
                    None => refusal.tell(cx.journal, None, "connect", shown),
                })
            }
        }
    }

    /// Whether an address may be bound, or a group listened to. `call`: by which that is asked for.
    pub fn check_own(&self, cx: &mut Context, call: &str, local: SocketAddr) -> Result<()> {
        let names = &self.settings.resolver.names;
        let leads = |name: &HostName, below| names.leads(name, below, local.ip(), cx.whereabouts);
        match self.settings.policy.may_bind(local, &leads) {
            Ok(()) => Ok(()),
            Err(refusal) => Err(refusal.tell(cx.journal, None, call, local)),
        }
    }

    /// Whether somebody who connected may be accepted.
    pub fn check_accepted(&self, cx: &mut Context, peer: SocketAddr) -> Result<()> {
        let names = &self.settings.resolver.names;
        let leads = |name: &HostName, below| names.leads(name, below, peer.ip(), cx.whereabouts);
        match self.settings.policy.may_accept(peer, &leads) {
            Ok(()) => Ok(()),
            Err(refusal) => Err(refusal.tell(cx.journal, None, "accept", peer)),
        }
    }

    /// Begins to look a name up.
    pub fn look_up(&self, cx: &mut Context, name: &HostName, port: u16, waiter: Waiter) -> Progress {
        let (me, families) = (self.resolver, self.settings.families);
        let Settings { policy, resolver, .. } = &*self.settings;
        let whom = match policy.may_ask_outside(name, port, &resolver.names) {
            Ok(()) => Whom::Anybody,
            Err(_) => Whom::LabOnly,
        };
        let gone = || Progress::Done(Ok(Vec::new()));
        let look_up = |resolver: &mut Resolver, cx: &mut Context| {
            resolver.look_up(cx, me, name, families, whom, waiter)
        };
        cx.with_task(me, look_up).unwrap_or_else(gone)
    }

    /// The peers that a lookup led to and that may be reached, best first.
    pub fn peers(
        &self,
        cx: &mut Context,
        name: &HostName,
        port: u16,
        outcome: Outcome,
    ) -> Result<Vec<SocketAddr>> {
        let mut addresses = match outcome {
            Ok(addresses) => addresses,
            Err(failure) => {
                cx.journal.remark(|| failure.why);
                return Err(failure.error);
            }
        };
        sort(cx, &mut addresses);
        let mut refused = Error::NoEntry;
        let mut peers = Vec::with_capacity(addresses.len());
        for address in addresses {
            let peer = SocketAddr::new(address, port);
            match self.check_peer(cx, Some(name), peer) {
                Ok(()) => peers.push(peer),
                Err(error) => refused = error,
            }
        }
        if peers.is_empty() { Err(refused) } else { Ok(peers) }
    }

    /// A control lets go of the resolver.
    pub fn release(&self, cx: &mut Context) {
        cx.with_task(self.resolver, |resolver, _| resolver.release());
    }
}

/// A host where there are no ports.
fn portless(text: &str) -> Result<Target> {
    Ok(Target { host: Host::parse(text)?, port: 0 })
}

impl Speaks {
    /// As `connect` takes a peer.
    pub fn peer(self, peer: SocketAddr) -> String {
        match self {
            Speaks::Transport => peer.to_string(),
            Speaks::Echo => peer.ip().to_string(),
        }
    }
}
