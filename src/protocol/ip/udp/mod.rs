//! UDP and echo requests as controls (here), and flows with their one stream of datagrams (`flow.rs`).

use std::net::{IpAddr, SocketAddr};

use super::scope::Scope;
use super::{Family, Speaks, bind_all};
use crate::dns::name::HostName;
use crate::dns::resolver::{Lookup, Outcome, Progress};
use crate::error::{Error, Result};
use crate::node::object::{Connection, Context, Control, Endpoint, SocketOption};
use crate::node::slab::Id;
use crate::node::stack::{Stack, Udp};
use crate::node::{Interest, Readiness, SocketKind, Waiter};
use crate::protocol::target::{Host, Target};

mod flow;

use flow::UdpConnection;

pub struct UdpControl {
    /// One, or one of each family.
    sockets: Vec<(Id<Udp>, SocketAddr)>,
    scope: Scope,
    role: Role,
}

/// What a control was first used for; one that connected does not listen after that.
enum Role {
    Idle,
    Listening,
    Connected,
    /// A name is being looked up: as it was given, and what it stands for.
    LookingUp {
        text: String,
        name: HostName,
        port: u16,
        lookup: Id<Lookup>,
    },
}

impl UdpControl {
    pub fn open(cx: &mut Context, binds: &[SocketAddr], scope: Scope) -> Result<Self> {
        let bind = |cx: &mut Context, local| {
            let udp = match scope.speaks {
                Speaks::Transport => cx.stack.udp_bind(local)?,
                Speaks::Echo => cx.stack.echo_bind(local)?,
            };
            Ok((udp, cx.stack.udp_local(udp).ok_or(Error::BadDescriptor)?))
        };
        let release = |cx: &mut Context, udp, _| cx.stack.udp_release(udp);
        let sockets = bind_all(cx, binds, bind, release)?;
        Ok(Self { sockets, scope, role: Role::Idle })
    }

    fn flow(&mut self, cx: &mut Context, peer: SocketAddr) -> Result<Box<dyn Connection>> {
        let same = |(_, local): &&(Id<Udp>, SocketAddr)| Family::of(local.ip()) == Family::of(peer.ip());
        let &(udp, _) = self.sockets.iter().find(same).ok_or(Error::AddressFamily)?;
        let flow = cx.stack.udp_connect(cx.now, udp, peer)?;
        // One that listens speaks as well: to a group that it hears, for one.
        if !matches!(self.role, Role::Listening) {
            self.role = Role::Connected;
        }
        Ok(Box::new(UdpConnection::new(flow, udp)))
    }

    /// A flow to the best of the addresses that a name has: there is no telling whether anybody is there.
    fn found(
        &mut self,
        cx: &mut Context,
        name: &HostName,
        port: u16,
        outcome: Outcome,
    ) -> Result<Box<dyn Connection>> {
        self.role = Role::Idle;
        let mut last = Error::NoEntry;
        for peer in self.scope.peers(cx, name, port, outcome)? {
            match self.flow(cx, peer) {
                Err(
                    error @ (Error::NetworkUnreachable | Error::AddressNotAvailable | Error::AddressFamily),
                ) => {
                    last = error;
                }
                other => return other,
            }
        }
        Err(last)
    }

    fn udp(&self) -> Result<Id<Udp>> {
        Ok(self.sockets.first().ok_or(Error::BadDescriptor)?.0)
    }
}

impl Control for UdpControl {
    fn listen(&mut self, cx: &mut Context, backlog: usize) -> Result<()> {
        if self.scope.speaks == Speaks::Echo {
            return Err(Error::NotSupported);
        }
        match self.role {
            Role::Connected | Role::LookingUp { .. } => return Err(Error::IsConnected),
            Role::Idle | Role::Listening => {}
        }
        for &(udp, _) in &self.sockets {
            cx.stack.udp_listen(udp, backlog)?;
        }
        self.role = Role::Listening;
        Ok(())
    }

    fn accept(&mut self, cx: &mut Context) -> Result<Box<dyn Connection>> {
        for &(udp, _) in &self.sockets {
            loop {
                let flow = match cx.stack.udp_accept(udp) {
                    Ok(flow) => flow,
                    Err(Error::WouldBlock) => break,
                    Err(error) => return Err(error),
                };
                let peer = cx.stack.flow_addresses(flow).map(|(_, peer)| peer);
                if peer.is_some_and(|peer| self.scope.check_accepted(cx, peer).is_err()) {
                    cx.stack.flow_release(flow);
                    continue;
                }
                return Ok(Box::new(UdpConnection::new(flow, udp)));
            }
        }
        Err(Error::WouldBlock)
    }

    fn connect(&mut self, cx: &mut Context, address: &str) -> Result<Box<dyn Connection>> {
        if let Role::LookingUp { text, name, port, lookup } = &self.role {
            if text != address {
                return Err(Error::Already);
            }
            let (name, port, lookup) = (name.clone(), *port, *lookup);
            let outcome = cx.with_task(self.scope.resolver, |resolver, _| resolver.take(lookup));
            return match outcome.flatten() {
                None => Err(Error::InProgress),
                Some(outcome) => self.found(cx, &name, port, outcome),
            };
        }
        let Target { host, port } = self.scope.target(cx, address)?;
        match host {
            Host::Address(ip) => self.flow(cx, SocketAddr::new(ip, port)),
            // One that listens goes on to.
            Host::Name(_) if matches!(self.role, Role::Listening) => Err(Error::Invalid),
            Host::Name(name) => match self.scope.look_up(cx, &name, port, Waiter::Guest) {
                Progress::Done(outcome) => self.found(cx, &name, port, outcome),
                Progress::Pending(lookup) => {
                    self.role = Role::LookingUp { text: address.to_owned(), name, port, lookup };
                    Err(Error::InProgress)
                }
            },
        }
    }

    fn join_group(&mut self, cx: &mut Context, group: &str) -> Result<()> {
        let (udp, group, interface) = self.group(cx, group)?;
        cx.stack.udp_join(udp, group, interface)
    }

    fn leave_group(&mut self, cx: &mut Context, group: &str) -> Result<()> {
        let (udp, group, interface) = self.group(cx, group)?;
        cx.stack.udp_leave(udp, group, interface)
    }
}

impl UdpControl {
    /// The socket of its family, the group and the interface that `text` names, if the group may be listened to.
    fn group<'t>(&self, cx: &mut Context, text: &'t str) -> Result<(Id<Udp>, IpAddr, Option<&'t str>)> {
        if self.scope.speaks == Speaks::Echo {
            return Err(Error::NoOption);
        }
        let (group, interface) = match text.split_once('%') {
            Some((group, interface)) => (group, Some(interface)),
            None => (text, None),
        };
        let group: IpAddr = group.parse().map_err(|_| Error::Invalid)?;
        let same = |(_, local): &&(Id<Udp>, SocketAddr)| Family::of(local.ip()) == Family::of(group);
        let &(udp, local) = self.sockets.iter().find(same).ok_or(Error::AddressFamily)?;
        if !group.is_multicast() {
            return Err(Error::Invalid);
        }
        self.scope.check_own(cx, "group_join", SocketAddr::new(group, local.port()))?;
        Ok((udp, group, interface))
    }
}

impl Endpoint for UdpControl {
    fn readiness(&self, cx: &Context) -> Readiness {
        let waiting = self.sockets.iter().map(|&(udp, _)| cx.stack.udp_readiness(udp).read_bytes);
        let waiting = waiting.sum();
        let write = match &self.role {
            Role::LookingUp { lookup, .. } => {
                cx.tasks.get(self.scope.resolver).is_none_or(|resolver| resolver.is_done(*lookup))
            }
            Role::Idle | Role::Listening | Role::Connected => true,
        };
        Readiness { read: waiting > 0, write, read_bytes: waiting, ..Default::default() }
    }

    fn never(&self, _: &Context, interest: Interest) -> Option<Error> {
        (interest.read && !matches!(self.role, Role::Listening)).then_some(Error::Invalid)
    }

    fn watch(&mut self, cx: &mut Context, interest: Interest, waiter: Waiter) {
        match self.role {
            Role::LookingUp { lookup, .. } => {
                cx.with_task(self.scope.resolver, |resolver, _| resolver.watch(lookup, waiter));
            }
            Role::Idle | Role::Listening | Role::Connected => {
                self.sockets.iter().for_each(|&(udp, _)| cx.stack.udp_watch(udp, interest, waiter));
            }
        }
    }

    fn close(&mut self, cx: &mut Context) {
        if let Role::LookingUp { lookup, .. } = self.role {
            cx.with_task(self.scope.resolver, |resolver, cx| resolver.forget(cx, lookup));
        }
        self.sockets.iter().for_each(|&(udp, _)| cx.stack.udp_release(udp));
        self.scope.release(cx);
    }

    fn local_address(&self, _: &Context) -> Result<String> {
        Ok(self.sockets.first().ok_or(Error::BadDescriptor)?.1.to_string())
    }

    fn peer_address(&self, _: &Context) -> Result<String> {
        Err(Error::NotConnected)
    }

    fn option(&self, cx: &Context, option: SocketOption) -> Result<u64> {
        get(cx.stack, self.udp()?, option)
    }

    fn set_option(&mut self, cx: &mut Context, option: SocketOption, value: u64) -> Result<()> {
        for &(udp, _) in &self.sockets {
            set(cx, udp, option, value)?;
        }
        Ok(())
    }

    fn kind(&self) -> SocketKind {
        SocketKind::Datagram
    }
}

fn get(stack: &Stack, udp: Id<Udp>, option: SocketOption) -> Result<u64> {
    match option {
        SocketOption::HopLimit => Ok(u64::from(stack.udp_hop_limit(udp).unwrap_or(64))),
        SocketOption::GroupHopLimit | SocketOption::GroupLoop if stack.udp_is_echo(udp) => {
            Err(Error::NoOption)
        }
        SocketOption::GroupHopLimit => Ok(u64::from(stack.udp_group_hop_limit(udp))),
        SocketOption::GroupLoop => Ok(u64::from(stack.udp_group_loop(udp))),
        SocketOption::NoDelay
        | SocketOption::KeepAlive
        | SocketOption::ReceiveBuffer
        | SocketOption::SendBuffer
        | SocketOption::Linger
        | SocketOption::Unidirectional => Err(Error::NoOption),
    }
}

fn set(cx: &mut Context, udp: Id<Udp>, option: SocketOption, value: u64) -> Result<()> {
    match option {
        SocketOption::HopLimit if (1..=255).contains(&value) => {
            cx.stack.udp_set_hop_limit(udp, Some(value as u8));
            Ok(())
        }
        SocketOption::GroupHopLimit | SocketOption::GroupLoop if cx.stack.udp_is_echo(udp) => {
            Err(Error::NoOption)
        }
        SocketOption::GroupHopLimit if value <= 255 => {
            cx.stack.udp_set_group_hop_limit(udp, value as u8);
            Ok(())
        }
        SocketOption::GroupLoop if value <= 1 => {
            cx.stack.udp_set_group_loop(udp, value == 1);
            Ok(())
        }
        SocketOption::HopLimit | SocketOption::GroupHopLimit | SocketOption::GroupLoop => Err(Error::Invalid),
        SocketOption::NoDelay
        | SocketOption::KeepAlive
        | SocketOption::ReceiveBuffer
        | SocketOption::SendBuffer
        | SocketOption::Linger
        | SocketOption::Unidirectional => Err(Error::NoOption),
    }
}
