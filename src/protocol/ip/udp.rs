//! UDP as controls, flows and their one stream of datagrams.

use std::net::{IpAddr, SocketAddr};

use bytes::BytesMut;

use super::scope::Scope;
use super::{Family, bind_all};
use crate::dns::name::HostName;
use crate::dns::resolver::{Lookup, Outcome, Progress};
use crate::error::{Error, Result};
use crate::node::object::{Connection, Context, Control, Endpoint, Read, SocketOption, Stream};
use crate::node::slab::Id;
use crate::node::stack::{Flow, Stack, Udp};
use crate::node::{Interest, Readiness, SocketKind, Waiter};
use crate::protocol::target::{Host, Target};

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
            let udp = cx.stack.udp_bind(local)?;
            Ok((udp, cx.stack.udp_local(udp).ok_or(Error::BadDescriptor)?))
        };
        let release = |cx: &mut Context, udp, _| cx.stack.udp_release(udp);
        Ok(Self { sockets: bind_all(cx, binds, bind, release)?, scope, role: Role::Idle })
    }

    fn flow(&mut self, cx: &mut Context, peer: SocketAddr) -> Result<Box<dyn Connection>> {
        let same = |(_, local): &&(Id<Udp>, SocketAddr)| Family::of(local.ip()) == Family::of(peer.ip());
        let &(udp, _) = self.sockets.iter().find(same).ok_or(Error::AddressFamily)?;
        let flow = cx.stack.udp_connect(cx.now, udp, peer)?;
        // One that listens speaks as well: to a group that it hears, for one.
        if !matches!(self.role, Role::Listening) {
            self.role = Role::Connected;
        }
        Ok(Box::new(UdpConnection { flow, udp, stream_taken: false }))
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
                return Ok(Box::new(UdpConnection { flow, udp, stream_taken: false }));
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
            Host::Name(name) => match self.scope.look_up(cx, &name, Waiter::Guest) {
                Progress::Done(outcome) => self.found(cx, &name, port, outcome),
                Progress::Pending(lookup) => {
                    self.role = Role::LookingUp { text: address.to_owned(), name, port, lookup };
                    Err(Error::InProgress)
                }
            },
        }
    }

    fn join_group(&mut self, cx: &mut Context, group: &str) -> Result<()> {
        let (udp, group, interface) = self.group(group)?;
        cx.stack.udp_join(udp, group, interface)
    }

    fn leave_group(&mut self, cx: &mut Context, group: &str) -> Result<()> {
        let (udp, group, interface) = self.group(group)?;
        cx.stack.udp_leave(udp, group, interface)
    }
}

impl UdpControl {
    /// The socket of its family, the group and the interface that `text` names, if the group may be listened to.
    fn group<'t>(&self, text: &'t str) -> Result<(Id<Udp>, IpAddr, Option<&'t str>)> {
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
        let allowed = self.scope.settings.policy.may_bind(SocketAddr::new(group, local.port())).is_ok();
        if allowed { Ok((udp, group, interface)) } else { Err(Error::Access) }
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

pub struct UdpConnection {
    flow: Id<Flow>,
    udp: Id<Udp>,
    /// A flow has exactly one stream.
    stream_taken: bool,
}

impl UdpConnection {
    fn stream(&mut self, cx: &mut Context) -> Result<Box<dyn Stream>> {
        if self.stream_taken {
            return Err(Error::NotSupported);
        }
        self.stream_taken = true;
        cx.stack.flow_hold(self.flow);
        Ok(Box::new(UdpStream { flow: self.flow, udp: self.udp, write_shut: false }))
    }
}

impl Connection for UdpConnection {
    fn stream_create(&mut self, cx: &mut Context) -> Result<Box<dyn Stream>> {
        self.stream(cx)
    }

    fn stream_accept(&mut self, cx: &mut Context) -> Result<Box<dyn Stream>> {
        self.stream(cx)
    }
}

pub struct UdpStream {
    flow: Id<Flow>,
    udp: Id<Udp>,
    /// The guest said that it writes no more.
    write_shut: bool,
}

impl Stream for UdpStream {
    fn read(&mut self, cx: &mut Context, buffer: &mut [u8], peek: bool) -> Result<Read> {
        let (count, length) = cx.stack.flow_read(self.flow, buffer, peek)?;
        Ok(Read { count, truncated: count < length })
    }

    fn write(&mut self, cx: &mut Context, bytes: &[u8]) -> Result<usize> {
        if self.write_shut {
            return Err(Error::Pipe);
        }
        cx.stack.flow_write(self.flow, bytes)?;
        Ok(bytes.len())
    }

    fn take(&mut self, cx: &mut Context, _: &mut [u8]) -> Result<BytesMut> {
        cx.stack.flow_take(self.flow)
    }

    fn write_burst(&mut self, cx: &mut Context, bytes: &[u8], segment: usize) -> Result<usize> {
        if self.write_shut {
            return Err(Error::Pipe);
        }
        cx.stack.flow_write_burst(self.flow, bytes, segment)
    }

    /// The peer hears nothing of it: a datagram has no end to send.
    fn shutdown(&mut self, cx: &mut Context, read: bool, write: bool) -> Result<()> {
        self.write_shut |= write;
        if read {
            cx.stack.flow_shutdown(self.flow);
        }
        Ok(())
    }
}

/// A flow and its stream differ only in what waiting means.
macro_rules! endpoint {
    ($type:ty, stream: $stream:literal, |$endpoint:ident, $stack:ident| $readiness:expr) => {
        impl Endpoint for $type {
            fn readiness(&self, cx: &Context) -> Readiness {
                let ($endpoint, $stack) = (self, &*cx.stack);
                $readiness
            }

            fn never(&self, _: &Context, interest: Interest) -> Option<Error> {
                // Nothing is written to a connection.
                (!$stream && interest.write).then_some(Error::Invalid)
            }

            fn watch(&mut self, cx: &mut Context, interest: Interest, waiter: Waiter) {
                cx.stack.flow_watch(self.flow, interest, waiter);
            }

            fn close(&mut self, cx: &mut Context) {
                cx.stack.flow_release(self.flow);
            }

            fn local_address(&self, cx: &Context) -> Result<String> {
                let addresses = cx.stack.flow_addresses(self.flow).ok_or(Error::BadDescriptor)?;
                Ok(addresses.0.to_string())
            }

            fn peer_address(&self, cx: &Context) -> Result<String> {
                let addresses = cx.stack.flow_addresses(self.flow).ok_or(Error::BadDescriptor)?;
                Ok(addresses.1.to_string())
            }

            fn option(&self, cx: &Context, option: SocketOption) -> Result<u64> {
                get(cx.stack, self.udp, option)
            }

            fn set_option(&mut self, cx: &mut Context, option: SocketOption, value: u64) -> Result<()> {
                set(cx, self.udp, option, value)
            }

            fn kind(&self) -> SocketKind {
                SocketKind::Datagram
            }
        }
    };
}

// `stream_accept` answers at once, whether with the stream or with an error.
endpoint!(UdpConnection, stream: false, |connection, stack| Readiness {
    read: true,
    hangup: stack.flow_readiness(connection.flow).hangup,
    ..Default::default()
});
endpoint!(UdpStream, stream: true, |stream, stack| stack.flow_readiness(stream.flow));
