//! Connections that the host makes before the guest runs, and hands over as descriptors.
//!
//! A guest gets one descriptor for each. It reads and writes like the connected socket that an inetd hands over, so that
//! programs need know nothing of connections and streams (`read`, Go's `net.FileConn`, Rust's `FromRawFd`). A program
//! that does know calls `stream_create` or `stream_accept` on it: from then on the descriptor is the connection, and
//! the stream is the new one.

use std::sync::Arc;

use wasmtime_wasi::p1::types::{Errno, Fd};

use super::effort::Effort;
use super::table::{Descriptor, Network, NetworkKind};
use super::{Context, SharedNode, block, lock, suspend};
use crate::error::{Error, Result};
use crate::node::{Interest, Node, ObjectId};
use crate::scenario::plan::ConnectionPlan;
use crate::time::Instant;

/// Between one try and the next.
const PAUSE: std::time::Duration = std::time::Duration::from_millis(100);

/// A connection to be made, and the descriptor that waits for it.
pub(super) struct Awaited {
    pub fd: Fd,
    pub protocol: ObjectId,
    pub plan: ConnectionPlan,
}

impl Context {
    /// Makes the connections that the guest is to find, one after another. It has not run yet.
    ///
    /// # Errors
    /// Why one cannot be had, in words.
    pub async fn establish(&mut self) -> wasmtime::Result<()> {
        let node = Arc::clone(&self.node);
        for (control, what) in std::mem::take(&mut self.listening) {
            block(&node, &mut self.effort, control, Interest::WRITE, false, |node| node.opened(control))
                .await
                .map_err(|error| wasmtime::format_err!("listener {what}: {error}"))?;
        }
        for Awaited { fd, protocol, plan } in std::mem::take(&mut self.awaited) {
            let (connection, stream) =
                persist(&node, &mut self.effort, protocol, &plan).await.map_err(|error| {
                    wasmtime::format_err!("connection {} to {}: {error}", plan.name, plan.address)
                })?;
            if let Ok(Descriptor::Network(place)) = self.table.get_mut(fd) {
                (place.id, place.carrier) = (stream, Some(connection));
            }
        }
        Ok(())
    }

    /// True for a preopened connection that is one with its stream.
    pub(super) fn is_whole(&self, fd: Fd) -> bool {
        match self.table.get(fd) {
            Ok(Descriptor::Network(place)) => {
                place.kind == NetworkKind::Stream && place.carrier.is_some() && place.name.is_some()
            }
            Ok(Descriptor::File(_) | Descriptor::Stdio { .. }) | Err(_) => false,
        }
    }

    /// The connection that `fd` stands for. A preopened one that was a stream until now lets go of that: it has the
    /// next free number, with the rights and flags that `stream` has.
    pub(super) fn part(
        &mut self,
        fd: Fd,
        make: impl FnOnce(Network) -> Network,
    ) -> Option<Result<Fd, Errno>> {
        let Ok(Descriptor::Network(place)) = self.table.get(fd) else { return None };
        let (NetworkKind::Stream, Some(connection), Some(_)) = (place.kind, place.carrier, &place.name)
        else {
            return None;
        };
        let stream = Network { carrier: None, name: None, ..make(place.clone()) };
        let inserted = self.table.insert(Descriptor::Network(stream));
        if inserted.is_ok()
            && let Ok(Descriptor::Network(place)) = self.table.get_mut(fd)
        {
            (place.kind, place.id, place.carrier) = (NetworkKind::Connection, connection, None);
        }
        Some(inserted)
    }
}

/// Tries for as long as the plan has it.
async fn persist(
    node: &SharedNode,
    effort: &mut Effort,
    protocol: ObjectId,
    plan: &ConnectionPlan,
) -> Result<(ObjectId, ObjectId)> {
    let give_up = lock(node).now + plan.retry;
    loop {
        let again = match connect(node, effort, protocol, plan).await {
            Err(error) if may_pass(error) => {
                let again = lock(node).now + PAUSE;
                if again > give_up {
                    return Err(error);
                }
                again
            }
            other => return other,
        };
        sleep_until(node, effort, again).await;
    }
}

/// The connection and its stream.
async fn connect(
    node: &SharedNode,
    effort: &mut Effort,
    protocol: ObjectId,
    plan: &ConnectionPlan,
) -> Result<(ObjectId, ObjectId)> {
    let control = lock(node).open(protocol, &plan.bind, plan.kind)?;
    let connect = |node: &mut Node| match node.connect(control, &plan.address) {
        Err(Error::InProgress) => Err(Error::WouldBlock),
        Err(error) => Err(error),
        Ok(connection) => match node.stream_create(connection) {
            Ok(stream) => Ok((connection, stream)),
            Err(error) => {
                node.close(connection);
                Err(error)
            }
        },
    };
    let connected = block(node, effort, control, Interest::WRITE, false, connect).await;
    lock(node).close(control);
    connected
}

async fn sleep_until(node: &SharedNode, effort: &mut Effort, at: Instant) {
    loop {
        {
            let mut node = lock(node);
            if node.now >= at {
                return;
            }
            node.wake_at(at);
        }
        suspend(effort).await;
    }
}

/// What another try may find otherwise: the peer is not there yet, or the way to it.
fn may_pass(error: Error) -> bool {
    match error {
        Error::ConnectionRefused
        | Error::ConnectionReset
        | Error::ConnectionAborted
        | Error::TimedOut
        | Error::HostUnreachable
        | Error::NetworkUnreachable
        | Error::AddressInUse
        | Error::AddressNotAvailable
        | Error::NoBuffers
        | Error::NoEntry
        | Error::NameServer => true,
        Error::Protocol
        | Error::WouldBlock
        | Error::InProgress
        | Error::Already
        | Error::Access
        | Error::AddressFamily
        | Error::Prototype
        | Error::Invalid
        | Error::BadDescriptor
        | Error::NotSocket
        | Error::NotConnected
        | Error::NoOption
        | Error::NotCapable
        | Error::NotSupported
        | Error::IsConnected
        | Error::MessageSize
        | Error::TooManyDescriptors
        | Error::Pipe
        | Error::Overflow => false,
    }
}
