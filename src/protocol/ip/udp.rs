//! UDP as controls, flows and their one stream of datagrams.

use std::net::{IpAddr, SocketAddr};

use super::{Family, Scope};
use crate::error::{Error, Result};
use crate::node::SocketKind;
use crate::node::object::{Connection, Context, Control, Endpoint, Read, SocketOption, Stream};
use crate::node::slab::Id;
use crate::node::stack::{Flow, Stack, Udp};
use crate::node::{Interest, Readiness, Waiter};

pub struct UdpControl {
    udp: Id<Udp>,
    local: SocketAddr,
    scope: Scope,
    role: Role,
}

/// What a control was first used for; one that connected does not listen after that.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Idle,
    Listening,
    Connected,
}

impl UdpControl {
    pub fn open(cx: &mut Context, bind: SocketAddr, scope: Scope) -> Result<Self> {
        let udp = cx.stack.udp_bind(bind)?;
        let local = cx.stack.udp_local(udp).ok_or(Error::BadDescriptor)?;
        Ok(Self { udp, local, scope, role: Role::Idle })
    }
}

impl Control for UdpControl {
    fn listen(&mut self, cx: &mut Context, backlog: usize) -> Result<()> {
        if self.role == Role::Connected {
            return Err(Error::IsConnected);
        }
        cx.stack.udp_listen(self.udp, backlog)?;
        self.role = Role::Listening;
        Ok(())
    }

    fn accept(&mut self, cx: &mut Context) -> Result<Box<dyn Connection>> {
        let flow = cx.stack.udp_accept(self.udp)?;
        Ok(Box::new(UdpConnection { flow, udp: self.udp, stream_taken: false }))
    }

    fn connect(&mut self, cx: &mut Context, address: &str) -> Result<Box<dyn Connection>> {
        let peer = self.scope.peer(address)?;
        let flow = cx.stack.udp_connect(cx.now, self.udp, peer)?;
        // One that listens speaks as well: to a group that it hears, for one.
        if self.role == Role::Idle {
            self.role = Role::Connected;
        }
        Ok(Box::new(UdpConnection { flow, udp: self.udp, stream_taken: false }))
    }

    fn join_group(&mut self, cx: &mut Context, group: &str) -> Result<()> {
        let (group, interface) = self.group(group)?;
        cx.stack.udp_join(self.udp, group, interface)
    }

    fn leave_group(&mut self, cx: &mut Context, group: &str) -> Result<()> {
        let (group, interface) = self.group(group)?;
        cx.stack.udp_leave(self.udp, group, interface)
    }
}

impl UdpControl {
    /// The group and the interface that `text` names, if the group may be listened to.
    fn group<'t>(&self, text: &'t str) -> Result<(IpAddr, Option<&'t str>)> {
        let (group, interface) = match text.split_once('%') {
            Some((group, interface)) => (group, Some(interface)),
            None => (text, None),
        };
        let group: IpAddr = group.parse().map_err(|_| Error::Invalid)?;
        if Family::of(group) != self.scope.family {
            return Err(Error::AddressFamily);
        }
        if !group.is_multicast() {
            return Err(Error::Invalid);
        }
        let allowed = self.scope.policy.may_bind(group, self.local.port());
        if allowed { Ok((group, interface)) } else { Err(Error::Access) }
    }
}

impl Endpoint for UdpControl {
    fn readiness(&self, cx: &Context) -> Readiness {
        cx.stack.udp_readiness(self.udp)
    }

    fn never(&self, _: &Context, interest: Interest) -> Option<Error> {
        (interest.read && self.role != Role::Listening).then_some(Error::Invalid)
    }

    fn watch(&mut self, cx: &mut Context, interest: Interest, waiter: Waiter) {
        cx.stack.udp_watch(self.udp, interest, waiter);
    }

    fn close(&mut self, cx: &mut Context) {
        cx.stack.udp_release(self.udp);
    }

    fn local_address(&self, _: &Context) -> Result<String> {
        Ok(self.local.to_string())
    }

    fn peer_address(&self, _: &Context) -> Result<String> {
        Err(Error::NotConnected)
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

fn get(stack: &Stack, udp: Id<Udp>, option: SocketOption) -> Result<u64> {
    match option {
        SocketOption::HopLimit => Ok(u64::from(stack.udp_hop_limit(udp).unwrap_or(64))),
        SocketOption::GroupHopLimit => Ok(u64::from(stack.udp_group_hop_limit(udp))),
        SocketOption::GroupLoop => Ok(u64::from(stack.udp_group_loop(udp))),
        SocketOption::NoDelay
        | SocketOption::KeepAlive
        | SocketOption::ReceiveBuffer
        | SocketOption::SendBuffer
        | SocketOption::Linger => Err(Error::NoOption),
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
        | SocketOption::Linger => Err(Error::NoOption),
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
