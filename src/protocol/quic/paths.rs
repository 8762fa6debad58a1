//! The datagram flows below, one for each address that peers have.
//!
//! ```text
//! hub --send--> path --> a flow below         Pump, a task for each path: woken by its flow alone, so that many
//!     <-serve-- Pump <-- woken by the flow    connections cost a datagram no more than one does
//! ```

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use bytes::BytesMut;

use super::hub::Hub;
use super::session::Session;
use crate::error::{Error, Result};
use crate::node::object::Context;
use crate::node::slab::{Id, Slab};
use crate::node::task::{Handle, Task, TaskId};
use crate::node::{Interest, Waiter};
use crate::protocol::layer::Carrier;
use crate::time::Instant;

/// Paths of one hub. Past it, one that no connection uses gives way; if there is none, strangers wait below.
const PATHS_MAX: usize = 4096;
/// How long a path is kept that no connection uses: for answers to strangers, and for an address that was moved away from.
const STRAY: Duration = Duration::from_secs(10);
/// Datagrams of one path that wait for the flow below; more are lost, as on any full queue.
const UNSENT_MAX: usize = 256;

pub(super) struct Path {
    pub remote: SocketAddr,
    carrier: Carrier,
    pump: Handle<Pump>,
    unsent: VecDeque<Vec<u8>>,
    /// Connections that have something to send once there is room below.
    waiting: Vec<Id<Session>>,
    /// Connections whose peer is here.
    users: usize,
    /// When it is closed if it has no users.
    expires: Option<Instant>,
}

#[derive(Default)]
pub(super) struct Paths {
    all: Slab<Path>,
    by_remote: BTreeMap<SocketAddr, Id<Path>>,
    expiring: BTreeSet<(Instant, Id<Path>)>,
}

impl Paths {
    /// Makes room for one more; false if there is none.
    pub fn make_room(&mut self, cx: &mut Context) -> bool {
        if self.all.len() < PATHS_MAX {
            return true;
        }
        let Some(&(_, stray)) = self.expiring.first() else { return false };
        self.close(cx, stray);
        true
    }

    /// Takes up a flow with `remote`. A path that was there already is replaced by the new flow.
    pub fn insert(
        &mut self,
        cx: &mut Context,
        hub: Handle<Hub>,
        mut carrier: Carrier,
        remote: SocketAddr,
    ) -> Id<Path> {
        // RFC 9000, 14: no fragments. quinn-proto looks for what the path takes.
        carrier.stream.keep_whole(cx);
        let path = match self.by_remote.get(&remote).copied() {
            Some(id) => {
                if let Some(path) = self.all.get_mut(id) {
                    std::mem::replace(&mut path.carrier, carrier).close(cx);
                    cx.wake_task(path.pump.id());
                }
                return id;
            }
            None => {
                let pump = cx.spawn(Pump { hub, path: None, over: false });
                let (unsent, waiting) = Default::default();
                self.all.insert(Path { remote, carrier, pump, unsent, waiting, users: 0, expires: None })
            }
        };
        if let Some(inserted) = self.all.get(path) {
            cx.with_task(inserted.pump, |pump, _| pump.path = Some(path));
        }
        self.by_remote.insert(remote, path);
        self.let_expire(cx.now, path);
        path
    }

    pub fn find(&self, remote: SocketAddr) -> Option<Id<Path>> {
        self.by_remote.get(&remote).copied()
    }

    pub fn get(&self, path: Id<Path>) -> Option<&Path> {
        self.all.get(path)
    }

    pub fn carrier(&self, remote: SocketAddr) -> Option<&Carrier> {
        Some(&self.all.get(self.find(remote)?)?.carrier)
    }

    /// A connection's peer is at `remote` from now on.
    pub fn enter(&mut self, remote: SocketAddr) {
        let Some(id) = self.find(remote) else { return };
        let Some(path) = self.all.get_mut(id) else { return };
        path.users += 1;
        if let Some(at) = path.expires.take() {
            self.expiring.remove(&(at, id));
        }
    }

    /// A connection's peer is there no longer.
    pub fn leave(&mut self, now: Instant, remote: SocketAddr) {
        let Some(id) = self.find(remote) else { return };
        let Some(path) = self.all.get_mut(id) else { return };
        path.users = path.users.saturating_sub(1);
        if path.users == 0 {
            self.let_expire(now, id);
        }
    }

    fn let_expire(&mut self, now: Instant, id: Id<Path>) {
        let Some(path) = self.all.get_mut(id) else { return };
        let at = now + STRAY;
        if let Some(before) = path.expires.replace(at) {
            self.expiring.remove(&(before, id));
        }
        self.expiring.insert((at, id));
    }

    pub fn expire(&mut self, cx: &mut Context, is_used: impl Fn(SocketAddr) -> bool) {
        while let Some(&(at, id)) = self.expiring.first().filter(|(at, _)| *at <= cx.now) {
            self.expiring.remove(&(at, id));
            // It may have been closed for want of room, and opened again by its peer.
            if self.all.get(id).is_some_and(|path| is_used(path.remote)) {
                self.let_expire(cx.now, id);
            } else {
                self.close(cx, id);
            }
        }
    }

    pub fn expires_at(&self) -> Option<Instant> {
        self.expiring.first().map(|(at, _)| *at)
    }

    pub fn close(&mut self, cx: &mut Context, id: Id<Path>) {
        let Some(mut path) = self.all.remove(id) else { return };
        self.by_remote.remove(&path.remote);
        if let Some(at) = path.expires {
            self.expiring.remove(&(at, id));
        }
        path.carrier.close(cx);
        cx.with_task(path.pump, |pump, _| pump.over = true);
    }

    pub fn close_all(&mut self, cx: &mut Context) {
        for id in self.all.ids().collect::<Vec<_>>() {
            self.close(cx, id);
        }
    }

    /// True if nothing more should be sent to `remote` for now, as it would have to wait here; `session` is told when there is
    /// room again.
    pub fn is_blocked(&mut self, cx: &mut Context, remote: SocketAddr, session: Id<Session>) -> bool {
        let Some(path) = self.find(remote).and_then(|id| self.all.get_mut(id)) else { return false };
        if path.unsent.is_empty() {
            if path.carrier.readiness(cx).write {
                return false;
            }
            path.carrier.watch(cx, Interest::BOTH, Waiter::Task(path.pump.id()));
        }
        if !path.waiting.contains(&session) {
            path.waiting.push(session);
        }
        true
    }

    /// Sends `bytes`, in datagrams of `segment` bytes each. Where there is no path any longer they are lost.
    ///
    /// # Errors
    /// What the flow has to tell of earlier datagrams; these are lost.
    pub fn send(&mut self, cx: &mut Context, remote: SocketAddr, bytes: &[u8], segment: usize) -> Result<()> {
        let Some(path) = self.find(remote).and_then(|id| self.all.get_mut(id)) else { return Ok(()) };
        let mut left = bytes;
        if path.unsent.is_empty() {
            match path.carrier.stream.write_burst(cx, bytes, segment) {
                Ok(taken) => left = &bytes[taken..],
                Err(Error::WouldBlock) => {}
                // No memory for it: lost.
                Err(Error::NoBuffers) => return Ok(()),
                Err(error) => return Err(error),
            }
            if !left.is_empty() {
                path.carrier.watch(cx, Interest::BOTH, Waiter::Task(path.pump.id()));
            }
        }
        for datagram in left.chunks(segment.max(1)) {
            if path.unsent.len() < UNSENT_MAX {
                path.unsent.push_back(datagram.to_vec());
            }
        }
        Ok(())
    }

    /// Hands the flow what waited for it; who waited meanwhile, once there is room.
    ///
    /// # Errors
    /// As `send`.
    pub fn push(&mut self, cx: &mut Context, id: Id<Path>) -> Result<Vec<Id<Session>>> {
        let Some(path) = self.all.get_mut(id) else { return Ok(Vec::new()) };
        while let Some(datagram) = path.unsent.front() {
            match path.carrier.write(cx, datagram) {
                Err(Error::WouldBlock) => return Ok(Vec::new()),
                Ok(_) | Err(Error::NoBuffers) => path.unsent.pop_front(),
                Err(error) => {
                    path.unsent.pop_front();
                    return Err(error);
                }
            };
        }
        Ok(std::mem::take(&mut path.waiting))
    }

    /// The next datagram that came.
    ///
    /// # Errors
    /// `WouldBlock` once the pump is registered; what the flow has to tell of earlier datagrams.
    pub fn receive(&mut self, cx: &mut Context, id: Id<Path>, scratch: &mut Vec<u8>) -> Result<BytesMut> {
        let path = self.all.get_mut(id).ok_or(Error::BadDescriptor)?;
        let read = path.carrier.stream.take(cx, scratch);
        if read == Err(Error::WouldBlock) {
            let is_idle = path.unsent.is_empty() && path.waiting.is_empty();
            let interest = if is_idle { Interest::READ } else { Interest::BOTH };
            path.carrier.watch(cx, interest, Waiter::Task(path.pump.id()));
        }
        read
    }
}

/// Wakes its hub for one path.
pub(super) struct Pump {
    hub: Handle<Hub>,
    path: Option<Id<Path>>,
    over: bool,
}

impl Task for Pump {
    fn poll(&mut self, cx: &mut Context, _: TaskId) {
        let (hub, Some(path)) = (self.hub, self.path) else { return };
        self.over = !cx.with_task(hub, |all, cx| all.serve(cx, hub, path)).unwrap_or_default();
    }

    fn is_over(&self) -> bool {
        self.over
    }

    fn abort(&mut self, _: &mut Context) {
        self.over = true;
    }
}
