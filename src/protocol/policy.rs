//! What a protocol object may reach: rules by address, prefix, name and port, each direction its own.
//!
//! For a call, the rules that deny are asked first, then those that allow; where none of those is given, everything
//! goes on the guest's own virtual network, and nothing that leads out of it. A rule by name lets through what the
//! resolver gave for such a name, when the guest connects by it, and no address that the guest names itself. Of `bind` and
//! `accept`, it is about the addresses that the lab or its hosts table has for the name: nobody is asked who comes in.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;

use smoltcp::wire::IpCidr;

use super::target::{Host, Target};
use crate::dns::name::HostName;
use crate::dns::resolver::Names;
use crate::error::Error;
use crate::node::Journal;

/// Whom a rule is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    Anybody,
    Prefix(IpCidr),
    /// One name: by which the guest connects, or whose addresses are meant.
    Name(HostName),
    /// All names below this one (`*.example.org`).
    Below(HostName),
}

/// Peers, or addresses of one's own, and ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    pub who: Who,
    pub ports: RangeInclusive<u16>,
}

/// The policy of one protocol object. An empty list of `bind`, `connect` or `accept` allows nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Local addresses and ports that `open` may bind. `None`: any.
    pub bind: Option<Vec<Rule>>,
    /// Peers that `connect` may reach. `None`: what is on the guest's own virtual network.
    pub connect: Option<Vec<Rule>>,
    /// Peers that `accept` may meet. `None`: any.
    pub accept: Option<Vec<Rule>>,
    pub deny: Denied,
}

/// What is refused whatever else allows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Denied {
    pub bind: Vec<Rule>,
    pub connect: Vec<Rule>,
    pub accept: Vec<Rule>,
}

/// Why a policy refuses something, for the trace: one of rules for addresses, or of another kind of them.
#[derive(Debug, PartialEq, Eq)]
pub enum Refusal<'a, R = Rule> {
    /// This rule denies it.
    Denied(&'static str, &'a R),
    /// There are rules that allow, and it is not among what they do.
    NotAllowed(&'static str),
    /// No rule allows what is not of the lab.
    LeadsOut,
}

/// Whether a name, or with `true` any name below it, leads to the address in question.
type Leads<'l> = &'l dyn Fn(&HostName, bool) -> bool;

impl Rule {
    /// Whether it is about an address of one's own, or of a peer that comes in.
    fn is_of(&self, address: SocketAddr, leads: Leads<'_>) -> bool {
        let who = match &self.who {
            Who::Anybody => true,
            Who::Prefix(prefix) => prefix.contains_addr(&address.ip().into()),
            Who::Name(name) => leads(name, false),
            Who::Below(domain) => leads(domain, true),
        };
        who && self.ports.contains(&address.port())
    }

    fn matches(&self, name: Option<&HostName>, address: IpAddr, port: u16) -> bool {
        let who = match &self.who {
            Who::Prefix(prefix) => prefix.contains_addr(&address.into()),
            Who::Anybody | Who::Name(_) | Who::Below(_) => self.who.has(name),
        };
        who && self.ports.contains(&port)
    }
}

impl Who {
    /// Whether it is about a name, before anybody knows the address.
    fn has(&self, name: Option<&HostName>) -> bool {
        match self {
            Who::Anybody => true,
            Who::Prefix(_) => false,
            Who::Name(own) => name == Some(own),
            Who::Below(domain) => name.is_some_and(|name| domain.has(name) && name != domain),
        }
    }

    /// Whether it is about names alone.
    pub fn is_name(&self) -> bool {
        match self {
            Who::Name(_) | Who::Below(_) => true,
            Who::Anybody | Who::Prefix(_) => false,
        }
    }
}

impl Policy {
    /// Every rule that there is.
    pub fn rules(&self) -> impl Iterator<Item = &Rule> {
        let allowed = [&self.bind, &self.connect, &self.accept].into_iter().flatten().flatten();
        allowed.chain(self.deny.bind.iter().chain(&self.deny.connect).chain(&self.deny.accept))
    }

    /// # Errors
    /// A refusal; so for the others.
    pub fn may_bind(&self, local: SocketAddr, leads: Leads<'_>) -> Result<(), Refusal<'_>> {
        weigh("bind", &self.deny.bind, self.bind.as_deref(), |rule| rule.is_of(local, leads))
    }

    /// The same before the lab is there, when nobody knows where names lead: false if it is refused whatever they do.
    pub fn could_bind(&self, local: SocketAddr) -> bool {
        let nowhere = |rule: &Rule| rule.is_of(local, &|_, _| false);
        let anywhere = |rule: &Rule| rule.is_of(local, &|_, _| true);
        !self.deny.bind.iter().any(nowhere)
            && self.bind.as_ref().is_none_or(|rules| rules.iter().any(anywhere))
    }

    pub fn may_accept(&self, peer: SocketAddr, leads: Leads<'_>) -> Result<(), Refusal<'_>> {
        weigh("accept", &self.deny.accept, self.accept.as_deref(), |rule| rule.is_of(peer, leads))
    }

    /// Whether a peer may be connected to: by `name`, if the resolver gave its address for that. `is_inside` tells an
    /// address of the guest's own virtual network.
    pub fn may_connect(
        &self,
        name: Option<&HostName>,
        peer: SocketAddr,
        is_inside: impl FnOnce(IpAddr) -> bool,
    ) -> Result<(), Refusal<'_>> {
        judge("connect", &self.deny.connect, self.connect.as_deref(), name, peer)?;
        let outside = self.connect.is_none() && !is_inside(peer.ip());
        if outside { Err(Refusal::LeadsOut) } else { Ok(()) }
    }

    /// Whether a name is worth looking up: somebody who may not connect by it at all does not ask the world for it.
    pub fn may_look_up(&self, name: &HostName, port: u16) -> Result<(), Refusal<'_>> {
        by_name("connect", &self.deny.connect, self.connect.as_deref(), Some(name), port)
    }

    /// Whether servers outside the lab may be asked for a name: a question leads out as well as a connection does, so a rule
    /// has to let through what such an answer could lead to.
    pub fn may_ask_outside(&self, name: &HostName, port: u16, lab: &Names) -> Result<(), Refusal<'_>> {
        let lets_out = |rule: &Rule| {
            let who = match &rule.who {
                Who::Prefix(prefix) => !lab.subnets.iter().any(|subnet| subnet.contains_subnet(prefix)),
                Who::Anybody | Who::Name(_) | Who::Below(_) => rule.who.has(Some(name)),
            };
            who && rule.ports.contains(&port)
        };
        let allowed = self.connect.as_ref().is_some_and(|rules| rules.iter().any(lets_out));
        if !lab.leads_out || allowed { Ok(()) } else { Err(Refusal::LeadsOut) }
    }

    /// Whether `target`, which somebody else connects to for the guest, may be reached: by address or by name, as the
    /// guest has it. Where a name leads is the other's to know. `is_inside` tells what is of the lab.
    pub fn may_ask_for(
        &self,
        target: &Target,
        is_inside: impl FnOnce(&Target) -> bool,
    ) -> Result<(), Refusal<'_>> {
        let about = |rule: &&Rule| match &target.host {
            Host::Address(address) => rule.matches(None, *address, target.port),
            Host::Name(name) => rule.who.has(Some(name)) && rule.ports.contains(&target.port),
        };
        weigh("connect", &self.deny.connect, self.connect.as_deref(), about)?;
        let outside = self.connect.is_none() && !is_inside(target);
        if outside { Err(Refusal::LeadsOut) } else { Ok(()) }
    }

    /// Whether a peer at `port` may be asked for by `name`, whatever its address: as TLS does (SNI). What could be no host's
    /// name is met by no rule by name.
    pub fn may_name(&self, name: &str, port: u16) -> Result<(), Refusal<'_>> {
        by_name("connect", &self.deny.connect, self.connect.as_deref(), HostName::parse(name).as_ref(), port)
    }

    /// The same of a server: whether clients may ask for `name` at its `port`.
    pub fn may_be(&self, name: &str, port: u16) -> Result<(), Refusal<'_>> {
        by_name("bind", &self.deny.bind, self.bind.as_deref(), HostName::parse(name).as_ref(), port)
    }
}

impl<R: fmt::Display> Refusal<'_, R> {
    /// Tells the trace which call it was, and on what; the error is the guest's. `object`: the kind of protocol object whose
    /// policy it is, if that is not of the stack itself.
    pub fn tell(
        self,
        journal: &mut Journal,
        object: Option<&str>,
        call: &str,
        on: impl fmt::Display,
    ) -> Error {
        let object = object.map(|object| format!("{object}: ")).unwrap_or_default();
        journal.remark(|| format!("{object}{call} {on}: refused: {self}"));
        Error::Access
    }
}

fn judge<'a>(
    what: &'static str,
    deny: &'a [Rule],
    allow: Option<&[Rule]>,
    name: Option<&HostName>,
    address: SocketAddr,
) -> Result<(), Refusal<'a>> {
    weigh(what, deny, allow, |rule| rule.matches(name, address.ip(), address.port()))
}

/// Whether somebody may go by a name, whose addresses are not known, or do not count: not where a rule denies the name,
/// nor where there are rules that allow and none of them could.
fn by_name<'a>(
    what: &'static str,
    deny: &'a [Rule],
    allow: Option<&[Rule]>,
    name: Option<&HostName>,
    port: u16,
) -> Result<(), Refusal<'a>> {
    let about = |rule: &&Rule| rule.who.has(name) && rule.ports.contains(&port);
    if let Some(rule) = deny.iter().find(about) {
        return Err(Refusal::Denied(what, rule));
    }
    let could =
        |rule: &Rule| matches!(rule.who, Who::Prefix(_)) && rule.ports.contains(&port) || about(&rule);
    match allow {
        Some(rules) if !rules.iter().any(could) => Err(Refusal::NotAllowed(what)),
        Some(_) | None => Ok(()),
    }
}

/// What holds for each list of rules: those that deny are asked first; where there are others, one has to allow it.
pub fn weigh<'a, R>(
    what: &'static str,
    deny: &'a [R],
    allow: Option<&[R]>,
    about: impl Fn(&&R) -> bool,
) -> Result<(), Refusal<'a, R>> {
    if let Some(rule) = deny.iter().find(&about) {
        return Err(Refusal::Denied(what, rule));
    }
    match allow {
        Some(rules) if !rules.iter().any(|rule| about(&rule)) => Err(Refusal::NotAllowed(what)),
        Some(_) | None => Ok(()),
    }
}

/// Whether an address is of the guest's own virtual network, `on_link` telling its own subnets: those of the lab, itself,
/// and what does not cross routers. A lab that is plugged in nowhere leads nowhere.
pub fn is_inside(lab: &Names, address: IpAddr, on_link: impl FnOnce(IpAddr) -> bool) -> bool {
    // Routers forward no other groups than those of a link (RFC 5771, 4; RFC 4291, 2.7), so far as anybody can tell.
    let local = match address {
        IpAddr::V4(v4) => v4.is_broadcast() || v4.is_link_local() || v4.octets()[..3] == [224, 0, 0],
        IpAddr::V6(v6) => v6.is_unicast_link_local() || matches!(v6.segments()[0] & 0xff0f, 0xff01 | 0xff02),
    };
    !lab.leads_out
        || local
        || address.is_loopback()
        || address.is_unspecified()
        || lab.is_inside(address)
        || on_link(address)
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.who {
            Who::Anybody => f.write_str("*")?,
            Who::Prefix(prefix @ IpCidr::Ipv4(_)) => prefix.fmt(f)?,
            Who::Prefix(prefix @ IpCidr::Ipv6(_)) => write!(f, "[{prefix}]")?,
            Who::Name(name) => name.fmt(f)?,
            Who::Below(name) => write!(f, "*.{name}")?,
        }
        match (*self.ports.start(), *self.ports.end()) {
            (0, u16::MAX) => f.write_str(":*"),
            (first, last) if first == last => write!(f, ":{first}"),
            (first, last) => write!(f, ":{first}-{last}"),
        }
    }
}

impl<R: fmt::Display> fmt::Display for Refusal<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Denied(what, rule) => write!(f, "the rule {rule} of `deny.{what}` refuses it"),
            Refusal::NotAllowed(what) => write!(f, "no rule of `{what}` allows it"),
            Refusal::LeadsOut => f.write_str("it leads out of the lab, and no rule of `connect` allows it"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(who: Who, ports: RangeInclusive<u16>) -> Rule {
        Rule { who, ports }
    }

    fn name(text: &str) -> HostName {
        HostName::parse(text).unwrap()
    }

    fn prefix(text: &str, length: u8) -> Who {
        Who::Prefix(IpCidr::new(text.parse().unwrap(), length))
    }

    fn connect(policy: &Policy, by: Option<&str>, peer: &str) -> Result<(), String> {
        let by = by.map(name);
        let inside = |address: IpAddr| address.to_string().starts_with("10.");
        policy.may_connect(by.as_ref(), peer.parse().unwrap(), inside).map_err(|refusal| refusal.to_string())
    }

    #[test]
    fn denying_comes_before_allowing() {
        let policy = Policy {
            connect: Some(vec![rule(Who::Anybody, 80..=80), rule(prefix("10.0.0.0", 8), 0..=u16::MAX)]),
            deny: Denied { connect: vec![rule(prefix("10.6.6.6", 32), 1..=99)], ..Default::default() },
            ..Default::default()
        };
        assert_eq!(connect(&policy, None, "192.0.2.1:80"), Ok(()));
        assert_eq!(connect(&policy, None, "10.6.6.6:100"), Ok(()));
        let denied = Err("the rule 10.6.6.6/32:1-99 of `deny.connect` refuses it".to_owned());
        assert_eq!(connect(&policy, None, "10.6.6.6:80"), denied);
        assert_eq!(connect(&policy, Some("a.test"), "10.6.6.6:80"), denied);
        let not_allowed = Err("no rule of `connect` allows it".to_owned());
        assert_eq!(connect(&policy, None, "192.0.2.1:81"), not_allowed);
        let out = Err("it leads out of the lab, and no rule of `connect` allows it".to_owned());
        assert_eq!(connect(&Policy::default(), None, "192.0.2.1:80"), out);
        assert_eq!(connect(&Policy::default(), Some("a.test"), "192.0.2.1:80"), out);
        assert_eq!(connect(&Policy::default(), None, "10.9.9.9:80"), Ok(()));
    }

    #[test]
    fn a_rule_by_name_is_for_those_who_come_by_it() {
        let policy = Policy {
            connect: Some(vec![
                rule(Who::Below(name("example.org")), 443..=443),
                rule(Who::Name(name("db.test")), 5432..=5432),
            ]),
            deny: Denied {
                connect: vec![rule(Who::Name(name("bad.example.org")), 0..=u16::MAX)],
                ..Default::default()
            },
            ..Default::default()
        };
        assert_eq!(connect(&policy, Some("www.example.org"), "192.0.2.1:443"), Ok(()));
        assert!(connect(&policy, Some("www.example.org"), "192.0.2.1:80").is_err());
        assert!(connect(&policy, Some("example.org"), "192.0.2.1:443").is_err());
        assert!(connect(&policy, Some("notexample.org"), "192.0.2.1:443").is_err());
        assert!(connect(&policy, None, "192.0.2.1:443").is_err(), "no way around the name");
        assert!(connect(&policy, Some("bad.example.org"), "192.0.2.1:443").is_err());
        assert_eq!(policy.may_look_up(&name("db.test"), 5432), Ok(()));
        assert_eq!(policy.may_look_up(&name("db.test"), 80), Err(Refusal::NotAllowed("connect")));
        assert!(policy.may_look_up(&name("bad.example.org"), 443).is_err());
        assert!(Policy { connect: Some(vec![]), ..Default::default() }.may_look_up(&name("a"), 1).is_err());
    }

    #[test]
    fn of_those_who_come_in_a_name_means_the_addresses_that_it_has() {
        let policy = Policy {
            bind: Some(vec![rule(Who::Name(name("web")), 443..=443)]),
            accept: Some(vec![
                rule(Who::Name(name("friend")), 0..=u16::MAX),
                rule(Who::Below(name("example.org")), 1..=1023),
            ]),
            deny: Denied { accept: vec![rule(Who::Name(name("enemy")), 0..=u16::MAX)], ..Default::default() },
            ..Default::default()
        };
        // The last octet says who it is: 1 a friend, 2 an enemy who is a friend too, 3 below the domain.
        let leads = |address: SocketAddr| {
            move |name: &HostName, below: bool| match (
                name.as_str(),
                below,
                address.ip().to_string().as_str(),
            ) {
                ("friend", false, ip) => ip.ends_with(".1") || ip.ends_with(".2"),
                ("enemy", false, ip) => ip.ends_with(".2"),
                ("example.org", true, ip) => ip.ends_with(".3"),
                ("web", false, ip) => ip == "10.0.0.9",
                _ => false,
            }
        };
        let accept = |text: &str| {
            let peer: SocketAddr = text.parse().unwrap();
            policy.may_accept(peer, &leads(peer)).map_err(|refusal| refusal.to_string())
        };
        assert_eq!(accept("10.0.0.1:5000"), Ok(()));
        assert_eq!(accept("10.0.0.2:5000"), Err("the rule enemy:* of `deny.accept` refuses it".to_owned()));
        assert_eq!(accept("10.0.0.3:1000"), Ok(()));
        assert_eq!(accept("10.0.0.3:5000"), Err("no rule of `accept` allows it".to_owned()));
        let bind = |text: &str| {
            let local: SocketAddr = text.parse().unwrap();
            (policy.may_bind(local, &leads(local)).is_ok(), policy.could_bind(local))
        };
        assert_eq!(bind("10.0.0.9:443"), (true, true));
        assert_eq!(bind("0.0.0.0:443"), (false, true));
        assert_eq!(bind("10.0.0.9:80"), (false, false));
        assert_eq!(policy.may_be("WEB", 443), Ok(()));
        assert_eq!(policy.may_be("other.example.org", 443), Err(Refusal::NotAllowed("bind")));
        assert_eq!(Policy::default().may_be("anything", 443), Ok(()));
    }
}
