//! TCP as controls, connections (connection.rs) and streams.

mod connection;
mod options;

pub use connection::TcpConnection;

use std::net::SocketAddr;
use std::sync::Arc;

use super::dial::Dial;
use super::scope::Scope;
use super::{Family, bind_all};
use crate::error::{Error, Result};
use crate::node::object::{Connection, Context, Control, Endpoint, SocketOption};
use crate::node::slab::Id;
use crate::node::stack::{Listener, Tcp, TcpOptions};
use crate::node::task::{Handle, Task};
use crate::node::{Interest, Readiness, SocketKind, Waiter};
use crate::protocol::target::{Host, Target};
use options::{buffer_bytes, get, set};

enum Role {
    Idle,
    /// One for each local address.
    Listening(Vec<Id<Listener>>),
    /// A connection under way, and to where.
    Connecting(SocketAddr, Id<Tcp>),
    /// The same by name, as it was given.
    Dialling(String, Handle<Dial>),
    /// It connected before.
    Connected,
}

/// What a control is bound to: one address, or one port of both families.
#[derive(Clone, Debug)]
pub struct Locals {
    addresses: Vec<SocketAddr>,
    /// The port was left to us.
    ephemeral: bool,
}

impl Locals {
    /// Starts a connection to `peer`.
    pub fn connect(&self, cx: &mut Context, peer: SocketAddr, options: &TcpOptions) -> Result<Id<Tcp>> {
        let same = |local: &&SocketAddr| Family::of(local.ip()) == Family::of(peer.ip());
        let local = *self.addresses.iter().find(same).ok_or(Error::AddressFamily)?;
        match cx.stack.tcp_connect(cx.now, local, peer, options) {
            // One more connection to the same peer needs another port; if the choice was ours, it still is.
            Err(Error::AddressInUse) if self.ephemeral => {
                let local = cx.stack.tcp_ephemeral(cx.now, local.ip(), peer)?;
                cx.stack.tcp_connect(cx.now, local, peer, options)
            }
            other => other,
        }
    }
}

pub struct TcpControl {
    locals: Locals,
    scope: Scope,
    role: Role,
    options: TcpOptions,
}

impl TcpControl {
    pub fn open(cx: &mut Context, binds: &[SocketAddr], scope: Scope) -> Result<Self> {
        let bind = |cx: &mut Context, local| Ok(((), cx.stack.tcp_bind(local)?));
        let release = |cx: &mut Context, (), local| cx.stack.tcp_unbind(local);
        let bound = bind_all(cx, binds, bind, release)?;
        let locals = Locals {
            addresses: bound.into_iter().map(|((), local)| local).collect(),
            ephemeral: binds.iter().all(|local| local.port() == 0),
        };
        Ok(Self { locals, scope, role: Role::Idle, options: Default::default() })
    }

    fn connected(&mut self, cx: &mut Context, tcp: Result<Id<Tcp>>) -> Result<Box<dyn Connection>> {
        match tcp {
            Ok(tcp) => {
                self.role = Role::Connected;
                Ok(Box::new(TcpConnection::new(tcp)))
            }
            Err(error) => {
                if let Role::Connecting(_, tcp) = self.role {
                    cx.stack.tcp_release(cx.now, tcp, false);
                }
                self.role = Role::Idle;
                Err(error)
            }
        }
    }
}

impl Control for TcpControl {
    fn listen(&mut self, cx: &mut Context, backlog: usize) -> Result<()> {
        match &self.role {
            Role::Idle => {
                let admission = self.scope.admission(cx);
                let listen = |&local: &SocketAddr| {
                    let listener = cx.stack.listen(local, backlog, self.options);
                    admission.iter().for_each(|door| cx.stack.tcp_admit(listener, Arc::clone(door)));
                    listener
                };
                self.role = Role::Listening(self.locals.addresses.iter().map(listen).collect());
                Ok(())
            }
            Role::Listening(listeners) => {
                listeners.iter().for_each(|&listener| cx.stack.set_backlog(listener, backlog));
                Ok(())
            }
            Role::Connecting(..) | Role::Dialling(..) | Role::Connected => Err(Error::IsConnected),
        }
    }

    fn accept(&mut self, cx: &mut Context) -> Result<Box<dyn Connection>> {
        let Role::Listening(listeners) = &self.role else { return Err(Error::Invalid) };
        for &listener in listeners {
            match cx.stack.accept(listener) {
                Ok(tcp) => return Ok(Box::new(TcpConnection::new(tcp))),
                Err(Error::WouldBlock) => {}
                Err(error) => return Err(error),
            }
        }
        Err(Error::WouldBlock)
    }

    fn connect(&mut self, cx: &mut Context, address: &str) -> Result<Box<dyn Connection>> {
        if let Role::Dialling(to, dial) = &self.role {
            if to != address {
                return Err(Error::Already);
            }
            let outcome = cx.with_task(*dial, |dial, _| dial.take());
            return match outcome.unwrap_or(Some(Err(Error::BadDescriptor))) {
                None => Err(Error::InProgress),
                Some(tcp) => self.connected(cx, tcp),
            };
        }
        let Target { host, port } = self.scope.target(cx, address)?;
        match (&self.role, host) {
            (Role::Listening(_), _) => Err(Error::Invalid),
            (Role::Idle | Role::Connected, Host::Address(ip)) => {
                let peer = SocketAddr::new(ip, port);
                let tcp = self.locals.connect(cx, peer, &self.options)?;
                self.role = Role::Connecting(peer, tcp);
                Err(Error::InProgress)
            }
            (Role::Idle | Role::Connected, Host::Name(name)) => {
                let dial = Dial::new(self.scope.clone(), name, port, self.locals.clone(), self.options);
                self.role = Role::Dialling(address.to_owned(), cx.spawn(dial));
                Err(Error::InProgress)
            }
            (Role::Connecting(to, tcp), Host::Address(ip)) if *to == SocketAddr::new(ip, port) => {
                match cx.stack.tcp_connected(*tcp) {
                    Ok(false) => Err(Error::InProgress),
                    Ok(true) => {
                        let tcp = *tcp;
                        self.connected(cx, Ok(tcp))
                    }
                    Err(error) => self.connected(cx, Err(error)),
                }
            }
            (Role::Connecting(..) | Role::Dialling(..), _) => Err(Error::Already),
        }
    }
}

impl Endpoint for TcpControl {
    fn readiness(&self, cx: &Context) -> Readiness {
        match &self.role {
            Role::Listening(listeners) => {
                let waiting =
                    listeners.iter().map(|&listener| cx.stack.listener_readiness(listener).read_bytes);
                let waiting = waiting.sum();
                Readiness { read: waiting > 0, read_bytes: waiting, ..Default::default() }
            }
            Role::Connecting(_, tcp) => {
                let done = !matches!(cx.stack.tcp_connected(*tcp), Ok(false));
                Readiness { write: done, ..Default::default() }
            }
            Role::Dialling(_, dial) => {
                let done = cx.tasks.get(*dial).is_none_or(Dial::is_done);
                Readiness { write: done, ..Default::default() }
            }
            Role::Idle | Role::Connected => Readiness::default(),
        }
    }

    fn never(&self, _: &Context, interest: Interest) -> Option<Error> {
        let comes = match &self.role {
            Role::Listening(_) => interest.read,
            Role::Connecting(..) | Role::Dialling(..) => interest.write,
            Role::Idle | Role::Connected => false,
        };
        (!comes).then_some(Error::Invalid)
    }

    fn watch(&mut self, cx: &mut Context, interest: Interest, waiter: Waiter) {
        match &self.role {
            Role::Listening(listeners) => {
                listeners.iter().for_each(|&listener| cx.stack.listener_watch(listener, interest, waiter));
            }
            Role::Connecting(_, tcp) => cx.stack.tcp_watch(*tcp, interest, waiter),
            Role::Dialling(_, dial) => {
                cx.with_task(*dial, |dial, _| dial.watch(interest, waiter));
            }
            Role::Idle | Role::Connected => {}
        }
    }

    fn close(&mut self, cx: &mut Context) {
        match &self.role {
            Role::Listening(listeners) => {
                listeners.iter().for_each(|&listener| cx.stack.unlisten(cx.now, listener));
            }
            Role::Connecting(_, tcp) => cx.stack.tcp_release(cx.now, *tcp, false),
            Role::Dialling(_, dial) => {
                cx.with_task(*dial, |dial, cx| dial.abort(cx));
            }
            Role::Idle | Role::Connected => {}
        }
        self.locals.addresses.iter().for_each(|&local| cx.stack.tcp_unbind(local));
        self.scope.release(cx);
    }

    fn local_address(&self, _: &Context) -> Result<String> {
        Ok(self.locals.addresses.first().ok_or(Error::BadDescriptor)?.to_string())
    }

    fn peer_address(&self, _: &Context) -> Result<String> {
        Err(Error::NotConnected)
    }

    fn option(&self, _: &Context, option: SocketOption) -> Result<u64> {
        get(&self.options, option)
    }

    fn set_option(&mut self, _: &mut Context, option: SocketOption, value: u64) -> Result<()> {
        match option {
            SocketOption::ReceiveBuffer => self.options.receive_buffer = buffer_bytes(value)?,
            SocketOption::SendBuffer => self.options.send_buffer = buffer_bytes(value)?,
            SocketOption::NoDelay
            | SocketOption::KeepAlive
            | SocketOption::HopLimit
            | SocketOption::Linger
            | SocketOption::Unidirectional
            | SocketOption::GroupHopLimit
            | SocketOption::GroupLoop => self.options = set(self.options, option, value)?,
        }
        Ok(())
    }

    fn kind(&self) -> SocketKind {
        SocketKind::Stream
    }
}
