//! A control: bound to a path or to none, listening or connecting.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::dial::Dial;
use super::lease::Lease;
use super::path::UnixPath;
use super::porter::Porter;
use super::stream::UnixConnection;
use super::wire::{Op, Place, Request};
use super::{DATAGRAM, STREAM, Settings};
use crate::error::{Error, Result};
use crate::node::object::{Connection, Context, Control, Endpoint, SocketOption};
use crate::node::stack::TcpOptions;
use crate::node::task::{Handle, Task};
use crate::node::{Interest, Readiness, SocketKind, Waiter};

pub struct UnixControl {
    kind: SocketKind,
    settings: Arc<Settings>,
    bound: Option<Bound>,
    role: Role,
    options: TcpOptions,
}

struct Bound {
    path: UnixPath,
    /// Where those are led to who ask for the path.
    local: SocketAddr,
    lease: Handle<Lease>,
}

enum Role {
    Idle,
    Listening(Handle<Porter>),
    /// A connection under way, and to where.
    Connecting(String, Handle<Dial>),
    /// It connected before.
    Connected,
}

impl UnixControl {
    pub fn open(
        cx: &mut Context,
        path: Option<UnixPath>,
        kind: SocketKind,
        settings: Arc<Settings>,
    ) -> Result<Self> {
        let options = match kind {
            SocketKind::Stream => STREAM,
            SocketKind::Datagram => DATAGRAM,
        };
        let bound = path.map(|path| Self::bind(cx, path, kind, &settings)).transpose()?;
        Ok(Self { kind, settings, bound, role: Role::Idle, options })
    }

    fn bind(cx: &mut Context, path: UnixPath, kind: SocketKind, settings: &Settings) -> Result<Bound> {
        let place = settings.place(&path)?;
        let namespace = cx.namespace()?;
        let (address, boot) = (namespace.address(), namespace.boot);
        let local = namespace.stack.tcp_bind(SocketAddr::new(IpAddr::V6(address), 0))?;
        let request = Request { op: Op::Bind { port: local.port() }, kind, place, boot };
        match Lease::start(cx, request) {
            Ok(lease) => Ok(Bound { path, local, lease: cx.spawn(lease) }),
            Err(error) => {
                cx.unix()?.tcp_unbind(local);
                Err(error)
            }
        }
    }

    fn path(&self) -> Option<&UnixPath> {
        self.bound.as_ref().map(|bound| &bound.path)
    }

    fn start(&mut self, cx: &mut Context, address: &str) -> Result<Handle<Dial>> {
        let target = UnixPath::parse(address)?;
        let may = self.settings.may_connect(&target);
        may.map_err(|refusal| refusal.tell(cx.journal, None, "connect", &target))?;
        let place = self.settings.place(&target)?;
        // The one who listens knows its path as the directory does.
        let named = place.path.clone();
        let op = Op::Find { from: self.source(&place) };
        let request = Request { op, kind: self.kind, place, boot: cx.namespace()?.boot };
        let own = self.path().cloned();
        let dial = Dial::start(cx, request, own, named, self.options)?;
        Ok(cx.spawn(dial))
    }

    /// The port by which the host's socket is known that datagrams to `place` come from, if this is bound to one.
    fn source(&self, place: &Place) -> Option<u16> {
        let bound = self.bound.as_ref().filter(|_| self.kind == SocketKind::Datagram && place.folder != 0)?;
        let own = self.settings.place(&bound.path).ok().filter(|own| own.folder != 0);
        own.map(|_| bound.local.port())
    }

    fn lease<'a>(&self, cx: &'a Context) -> Option<&'a Lease> {
        cx.tasks.get(self.bound.as_ref()?.lease)
    }
}

impl Control for UnixControl {
    fn opened(&mut self, cx: &mut Context) -> Result<()> {
        match self.bound {
            Some(_) => self.lease(cx).ok_or(Error::BadDescriptor)?.bound(),
            None => Ok(()),
        }
    }

    fn listen(&mut self, cx: &mut Context, backlog: usize) -> Result<()> {
        let bound = self.bound.as_ref().ok_or(Error::Invalid)?;
        match self.role {
            Role::Idle => {
                let heard = self.settings.place(&bound.path)?.path;
                let listener = cx.unix()?.listen(bound.local, backlog, self.options);
                let porter = Porter::new(listener, backlog, self.kind, heard);
                self.role = Role::Listening(cx.spawn(porter));
                Ok(())
            }
            Role::Listening(porter) => {
                cx.with_task(porter, |porter, cx| porter.set_backlog(cx, backlog))
                    .ok_or(Error::BadDescriptor)?;
                cx.wake_task(porter.id());
                Ok(())
            }
            Role::Connecting(..) | Role::Connected => Err(Error::IsConnected),
        }
    }

    fn accept(&mut self, cx: &mut Context) -> Result<Box<dyn Connection>> {
        let (Role::Listening(porter), Some(bound)) = (&self.role, &self.bound) else {
            return Err(Error::Invalid);
        };
        // A path that another has got will never be connected to.
        match cx.tasks.get(bound.lease).map(Lease::bound) {
            Some(Ok(()) | Err(Error::WouldBlock)) => {}
            Some(Err(error)) => return Err(error),
            None => return Err(Error::BadDescriptor),
        }
        let caller =
            cx.with_task(*porter, |porter, _| porter.accept()).unwrap_or(Err(Error::BadDescriptor))?;
        // There is room for one more.
        cx.wake_task(porter.id());
        let peer = caller.peer.map(|path| path.to_string()).unwrap_or_default();
        Ok(Box::new(UnixConnection::new(caller.tcp, self.kind, bound.path.to_string(), peer)))
    }

    fn connect(&mut self, cx: &mut Context, address: &str) -> Result<Box<dyn Connection>> {
        match &self.role {
            Role::Listening(_) => Err(Error::Invalid),
            Role::Idle | Role::Connected => {
                let dial = self.start(cx, address)?;
                self.role = Role::Connecting(address.to_owned(), dial);
                Err(Error::InProgress)
            }
            Role::Connecting(to, _) if to != address => Err(Error::Already),
            Role::Connecting(_, dial) => {
                let outcome = cx.with_task(*dial, |dial, _| dial.take()).unwrap_or(Err(Error::BadDescriptor));
                match outcome {
                    Err(Error::InProgress) => Err(Error::InProgress),
                    Err(error) => {
                        self.role = Role::Idle;
                        Err(error)
                    }
                    Ok(tcp) => {
                        self.role = Role::Connected;
                        let own = self.path().map(ToString::to_string).unwrap_or_default();
                        Ok(Box::new(UnixConnection::new(tcp, self.kind, own, address.to_owned())))
                    }
                }
            }
        }
    }
}

impl Endpoint for UnixControl {
    fn readiness(&self, cx: &Context) -> Readiness {
        let open = self.lease(cx).is_none_or(|lease| lease.bound() != Err(Error::WouldBlock));
        match &self.role {
            Role::Listening(porter) => {
                let failed = self
                    .lease(cx)
                    .is_some_and(|lease| matches!(lease.bound(), Err(error) if error != Error::WouldBlock));
                let readiness = cx.tasks.get(*porter).map(Porter::readiness).unwrap_or_default();
                Readiness { read: readiness.read || failed, ..readiness }
            }
            Role::Connecting(_, dial) => {
                let write = cx.tasks.get(*dial).is_none_or(Dial::is_done);
                Readiness { write, ..Default::default() }
            }
            Role::Idle => Readiness { write: open && self.bound.is_some(), ..Default::default() },
            Role::Connected => Readiness::default(),
        }
    }

    fn watch(&mut self, cx: &mut Context, interest: Interest, waiter: Waiter) {
        if let Some(bound) = &self.bound {
            cx.with_task(bound.lease, |lease, _| lease.watch.join(interest, waiter));
        }
        match &self.role {
            Role::Listening(porter) => {
                cx.with_task(*porter, |porter, _| porter.watch.join(interest, waiter));
            }
            Role::Connecting(_, dial) => {
                cx.with_task(*dial, |dial, _| dial.watch.join(interest, waiter));
            }
            Role::Idle | Role::Connected => {}
        }
    }

    fn close(&mut self, cx: &mut Context) {
        match std::mem::replace(&mut self.role, Role::Connected) {
            Role::Listening(porter) => {
                cx.with_task(porter, |porter, cx| porter.abort(cx));
            }
            Role::Connecting(_, dial) => {
                cx.with_task(dial, |dial, cx| dial.give_up(cx));
            }
            Role::Idle | Role::Connected => {}
        }
        if let Some(bound) = self.bound.take() {
            cx.with_task(bound.lease, |lease, cx| lease.release(cx));
            if let Ok(stack) = cx.unix() {
                stack.tcp_unbind(bound.local);
            }
        }
    }

    fn local_address(&self, _: &Context) -> Result<String> {
        Ok(self.path().map(ToString::to_string).unwrap_or_default())
    }

    fn peer_address(&self, _: &Context) -> Result<String> {
        Err(Error::NotConnected)
    }

    fn option(&self, _: &Context, option: SocketOption) -> Result<u64> {
        super::stream::get(&self.options, option)
    }

    fn set_option(&mut self, _: &mut Context, option: SocketOption, value: u64) -> Result<()> {
        self.options = super::stream::set(self.options, option, value)?;
        Ok(())
    }

    fn kind(&self) -> SocketKind {
        self.kind
    }
}
