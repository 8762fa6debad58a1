//! Datagrams through a SOCKS 5 server: UDP ASSOCIATE (RFC 1928, 7). Here is what the guest has of it.
//!
//! ```text
//! AssociateControl --.                  .--> a stream to the server: the association lives as long as it does
//! flow, flow ... ----+--> Association --+
//!                    (association.rs)   '--> a datagram flow to the server's relay, each datagram with a header
//! ```

use std::net::SocketAddr;

use super::Settings;
use super::association::{Association, PREFIX, Stage};
use super::socks5::write_target;
use crate::error::{Error, Result};
use crate::node::object::{Connection, Context, Control, Endpoint, Protocol, Read, SocketOption, Stream};
use crate::node::task::Handle;
use crate::node::{Interest, Readiness, SocketKind, Waiter};
use crate::protocol::target::Target;

/// The guest's control.
pub(super) struct AssociateControl {
    association: Handle<Association>,
}

impl AssociateControl {
    pub fn open(cx: &mut Context, below: &mut dyn Protocol, bind: &str, settings: Settings) -> Result<Self> {
        // A relay has an address: there is none where sockets have paths.
        if bind.is_empty() || bind.starts_with('/') {
            return Err(Error::Prototype);
        }
        let own = bind.parse::<SocketAddr>().map_err(|_| Error::Invalid)?.ip();
        let mut datagrams = below.open(cx, bind, SocketKind::Datagram)?;
        let stream = match below.open(cx, &SocketAddr::new(own, 0).to_string(), SocketKind::Stream) {
            Ok(stream) => stream,
            Err(error) => {
                datagrams.close(cx);
                return Err(error);
            }
        };
        let association = cx.spawn(Association::new(settings, stream, datagrams));
        Ok(Self { association })
    }
}

fn with<R>(
    cx: &mut Context,
    association: Handle<Association>,
    work: impl FnOnce(&mut Association, &mut Context) -> Result<R>,
) -> Result<R> {
    cx.with_task(association, work).unwrap_or(Err(Error::BadDescriptor))
}

impl Control for AssociateControl {
    /// RFC 1928 has no way to be sent to by strangers.
    fn listen(&mut self, _: &mut Context, _: usize) -> Result<()> {
        Err(Error::NotSupported)
    }

    fn accept(&mut self, _: &mut Context) -> Result<Box<dyn Connection>> {
        Err(Error::Invalid)
    }

    fn connect(&mut self, cx: &mut Context, address: &str) -> Result<Box<dyn Connection>> {
        let target = Target::parse(address)?;
        let me = self.association;
        let flow = with(cx, me, |association, cx| {
            association.settings.check(cx, "socks5", &target)?;
            if matches!(association.stage, Stage::Idle) {
                association.stage = Stage::Connecting;
                cx.wake_task(me.id());
            }
            match association.is_ready()? {
                true => association.add_flow(target),
                false => Err(Error::InProgress),
            }
        })?;
        Ok(Box::new(AssociateConnection(End { association: me, flow }, false)))
    }
}

impl Endpoint for AssociateControl {
    fn readiness(&self, cx: &Context) -> Readiness {
        let ready = cx.tasks.get(self.association).is_none_or(|all| !matches!(all.is_ready(), Ok(false)));
        Readiness { write: ready, ..Default::default() }
    }

    fn never(&self, _: &Context, interest: Interest) -> Option<Error> {
        interest.read.then_some(Error::Invalid)
    }

    fn watch(&mut self, cx: &mut Context, interest: Interest, waiter: Waiter) {
        cx.with_task(self.association, |association, _| association.watch.join(interest, waiter));
    }

    fn close(&mut self, cx: &mut Context) {
        cx.with_task(self.association, |association, cx| {
            association.held = false;
            association.close_if_alone(cx);
        });
    }

    fn local_address(&self, cx: &Context) -> Result<String> {
        cx.tasks.get(self.association).ok_or(Error::BadDescriptor)?.datagrams.local_address(cx)
    }

    fn peer_address(&self, _: &Context) -> Result<String> {
        Err(Error::NotConnected)
    }

    fn option(&self, cx: &Context, option: SocketOption) -> Result<u64> {
        cx.tasks.get(self.association).ok_or(Error::BadDescriptor)?.datagrams.option(cx, option)
    }

    fn set_option(&mut self, cx: &mut Context, option: SocketOption, value: u64) -> Result<()> {
        with(cx, self.association, |association, cx| association.datagrams.set_option(cx, option, value))
    }

    fn kind(&self) -> SocketKind {
        SocketKind::Datagram
    }
}

/// One holder of a flow.
#[derive(Clone, Copy)]
struct End {
    association: Handle<Association>,
    flow: u32,
}

/// A flow, and whether its one stream was taken.
struct AssociateConnection(End, bool);

struct AssociateStream(End);

impl AssociateConnection {
    fn stream(&mut self, cx: &mut Context) -> Result<Box<dyn Stream>> {
        if std::mem::replace(&mut self.1, true) {
            return Err(Error::NotSupported);
        }
        let End { association, flow } = self.0;
        with(cx, association, |association, _| {
            association.flows.get_mut(&flow).ok_or(Error::BadDescriptor)?.holders += 1;
            Ok(())
        })?;
        Ok(Box::new(AssociateStream(self.0)))
    }
}

impl Connection for AssociateConnection {
    fn stream_create(&mut self, cx: &mut Context) -> Result<Box<dyn Stream>> {
        self.stream(cx)
    }

    fn stream_accept(&mut self, cx: &mut Context) -> Result<Box<dyn Stream>> {
        self.stream(cx)
    }
}

impl Stream for AssociateStream {
    fn read(&mut self, cx: &mut Context, buffer: &mut [u8], peek: bool) -> Result<Read> {
        let End { association, flow } = self.0;
        with(cx, association, |association, _| {
            let over = association.is_ready();
            let flow = association.flows.get_mut(&flow).ok_or(Error::BadDescriptor)?;
            let Some(datagram) = flow.received.front() else {
                return over.and(Err(Error::WouldBlock));
            };
            let count = datagram.len().min(buffer.len());
            let truncated = count < datagram.len();
            buffer[..count].copy_from_slice(&datagram[..count]);
            if !peek {
                flow.received_bytes -= datagram.len();
                flow.received.pop_front();
            }
            Ok(Read { count, truncated })
        })
    }

    fn write(&mut self, cx: &mut Context, bytes: &[u8]) -> Result<usize> {
        let End { association, flow } = self.0;
        with(cx, association, |association, cx| {
            association.is_ready()?;
            let Association { stage, flows, .. } = association;
            let (Stage::Ready { relay, .. }, Some(flow)) = (stage, flows.get(&flow)) else {
                return Err(Error::BadDescriptor);
            };
            let mut datagram = PREFIX.to_vec();
            write_target(&mut datagram, &flow.target);
            datagram.extend_from_slice(bytes);
            relay.write(cx, &datagram)?;
            Ok(bytes.len())
        })
    }

    /// The association's other flows are the same control's.
    fn keep_whole(&mut self, cx: &mut Context) {
        cx.with_task(self.0.association, |association, cx| match &mut association.stage {
            Stage::Ready { relay, .. } => relay.stream.keep_whole(cx),
            Stage::Idle
            | Stage::Connecting
            | Stage::Talking { .. }
            | Stage::Reaching { .. }
            | Stage::Over(_) => {}
        });
    }

    fn shutdown(&mut self, _: &mut Context, _: bool, _: bool) -> Result<()> {
        Ok(())
    }
}

impl End {
    fn readiness(self, cx: &Context, stream: bool) -> Readiness {
        let Some(association) = cx.tasks.get(self.association) else { return Readiness::default() };
        let Some(flow) = association.flows.get(&self.flow) else { return Readiness::default() };
        let over = association.is_ready().is_err();
        let below = match &association.stage {
            Stage::Ready { relay, .. } => relay.readiness(cx),
            Stage::Idle
            | Stage::Connecting
            | Stage::Talking { .. }
            | Stage::Reaching { .. }
            | Stage::Over(_) => Readiness::default(),
        };
        Readiness {
            read: over || !stream || !flow.received.is_empty(),
            write: stream && (over || below.write),
            read_bytes: flow.received.front().map_or(0, Vec::len),
            write_bytes: below.write_bytes,
            hangup: over,
        }
    }

    fn watch(self, cx: &mut Context, interest: Interest, waiter: Waiter) {
        cx.with_task(self.association, |association, _| {
            if let Some(flow) = association.flows.get_mut(&self.flow) {
                flow.watch.join(interest, waiter);
            }
        });
        // It waits below for what its flows wait for.
        cx.wake_task(self.association.id());
    }
}

/// A flow and its stream differ only in what waiting means.
macro_rules! endpoint {
    ($type:ty, $stream:literal) => {
        impl Endpoint for $type {
            fn readiness(&self, cx: &Context) -> Readiness {
                self.0.readiness(cx, $stream)
            }

            fn never(&self, _: &Context, interest: Interest) -> Option<Error> {
                // Nothing is written to a connection.
                (!$stream && interest.write).then_some(Error::Invalid)
            }

            fn watch(&mut self, cx: &mut Context, interest: Interest, waiter: Waiter) {
                self.0.watch(cx, interest, waiter);
            }

            fn close(&mut self, cx: &mut Context) {
                let End { association, flow } = self.0;
                cx.with_task(association, |association, cx| association.release(cx, flow));
            }

            fn local_address(&self, cx: &Context) -> Result<String> {
                cx.tasks.get(self.0.association).ok_or(Error::BadDescriptor)?.datagrams.local_address(cx)
            }

            fn peer_address(&self, cx: &Context) -> Result<String> {
                let association = cx.tasks.get(self.0.association).ok_or(Error::BadDescriptor)?;
                let flow = association.flows.get(&self.0.flow).ok_or(Error::BadDescriptor)?;
                Ok(flow.target.to_string())
            }

            fn option(&self, cx: &Context, option: SocketOption) -> Result<u64> {
                cx.tasks.get(self.0.association).ok_or(Error::BadDescriptor)?.datagrams.option(cx, option)
            }

            fn set_option(&mut self, cx: &mut Context, option: SocketOption, value: u64) -> Result<()> {
                with(cx, self.0.association, |all, cx| all.datagrams.set_option(cx, option, value))
            }

            fn kind(&self) -> SocketKind {
                SocketKind::Datagram
            }
        }
    };
}

endpoint!(AssociateConnection, false);
endpoint!(AssociateStream, true);
