//! What the text of an address names, and whether a control may reach it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use super::{Family, Settings};
use crate::dns::name::HostName;
use crate::dns::resolver::{Outcome, Progress, Resolver, sort};
use crate::error::{Error, Result};
use crate::node::Waiter;
use crate::node::object::Context;
use crate::node::task::Handle;
use crate::protocol::policy::is_inside;

/// A protocol object's settings and resolver, as its controls use them.
#[derive(Clone)]
pub struct Scope {
    pub settings: Arc<Settings>,
    pub resolver: Handle<Resolver>,
}

/// What `open` and `connect` are given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    Address(SocketAddr),
    Name(HostName, u16),
}

impl Target {
    /// Reads `10.0.0.1:80`, `[fd00::1]:80` or `example.org:80`.
    fn parse(text: &str) -> Result<Target> {
        if let Ok(address) = text.parse() {
            return Ok(Target::Address(address));
        }
        let (name, port) = text.rsplit_once(':').ok_or(Error::Invalid)?;
        let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
        let port = port.parse().ok().filter(|_| digits).ok_or(Error::Invalid)?;
        Ok(Target::Name(HostName::parse(name).ok_or(Error::Invalid)?, port))
    }
}

impl Scope {
    /// The addresses that `open` binds: one, or the unspecified ones of both families for a protocol of both that is
    /// given `[::]`. A name is one of the lab's or of the hosts table, and stands for the guest's own address there.
    pub fn locals(&self, cx: &mut Context, text: &str) -> Result<Vec<SocketAddr>> {
        let locals = match Target::parse(text)? {
            Target::Address(address) => {
                self.check_family(address.ip())?;
                let any = Ipv6Addr::UNSPECIFIED;
                match address.ip() {
                    IpAddr::V6(ip) if ip == any && self.settings.families.v4 => {
                        vec![address, SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), address.port())]
                    }
                    IpAddr::V4(_) | IpAddr::V6(_) => vec![address],
                }
            }
            Target::Name(name, port) => {
                let known = self.settings.resolver.names.find(&name).ok_or(Error::NoEntry)?;
                let own =
                    |ip: &&IpAddr| self.settings.families.has(Family::of(**ip)) && cx.stack.is_own(**ip);
                let ip = known.iter().find(own).ok_or(Error::AddressNotAvailable)?;
                vec![SocketAddr::new(*ip, port)]
            }
        };
        for local in &locals {
            if let Err(refusal) = self.settings.policy.may_bind(*local) {
                return Err(refuse(cx, "bind", local, refusal));
            }
        }
        Ok(locals)
    }

    /// What `connect` is to reach, if an address that may be reached, or a name that may be looked up.
    pub fn target(&self, cx: &mut Context, text: &str) -> Result<Target> {
        let target = Target::parse(text)?;
        match &target {
            Target::Address(address) => {
                self.check_family(address.ip())?;
                self.check_peer(cx, None, *address)?;
            }
            Target::Name(name, port) => {
                if let Err(refusal) = self.settings.policy.may_look_up(name, *port) {
                    return Err(refuse(cx, "connect", text, refusal));
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
            Err(refusal) => match name {
                Some(name) => Err(refuse(cx, "connect", format_args!("{name} ({peer})"), refusal)),
                None => Err(refuse(cx, "connect", peer, refusal)),
            },
        }
    }

    /// Whether somebody who connected may be accepted.
    pub fn check_accepted(&self, cx: &mut Context, peer: SocketAddr) -> Result<()> {
        match self.settings.policy.may_accept(peer) {
            Ok(()) => Ok(()),
            Err(refusal) => Err(refuse(cx, "accept", peer, refusal)),
        }
    }

    /// Begins to look a name up.
    pub fn look_up(&self, cx: &mut Context, name: &HostName, waiter: Waiter) -> Progress {
        let (me, families) = (self.resolver, self.settings.families);
        let gone = || Progress::Done(Ok(Vec::new()));
        cx.with_task(me, |resolver, cx| resolver.look_up(cx, me, name, families, waiter)).unwrap_or_else(gone)
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

fn refuse(cx: &mut Context, what: &str, whom: impl fmt::Display, refusal: impl fmt::Display) -> Error {
    cx.journal.remark(|| format!("{what} {whom}: refused: {refusal}"));
    Error::Access
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets() {
        let name = |name: &str, port| Ok(Target::Name(HostName::parse(name).unwrap(), port));
        assert_eq!(Target::parse("10.0.0.1:80"), Ok(Target::Address("10.0.0.1:80".parse().unwrap())));
        assert_eq!(Target::parse("[fd00::1]:80"), Ok(Target::Address("[fd00::1]:80".parse().unwrap())));
        assert_eq!(Target::parse("Example.ORG.:80"), name("example.org", 80));
        assert_eq!(Target::parse("a:0"), name("a", 0));
        for wrong in
            ["", ":80", "a", "a:", "a:+1", "a:65536", "10.0.0.256:1", "1:1", "fd00::1:80", "a:1:2", "a b:1"]
        {
            assert_eq!(Target::parse(wrong), Err(Error::Invalid), "{wrong}");
        }
    }
}
