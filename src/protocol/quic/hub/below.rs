//! What comes from below: datagrams, room for more of them, flows with strangers, and what befell those that were sent.

use std::net::SocketAddr;

use bytes::BytesMut;
use quinn_proto::{DatagramEvent, Incoming};

use super::{FAILURES_MAX, HANDSHAKES_MAX, Hub, Role, SESSIONS_MAX, Stage};
use crate::error::Error;
use crate::node::object::Context;
use crate::node::slab::Id;
use crate::node::task::Handle;
use crate::node::{Interest, Waiter};
use crate::protocol::layer::Carrier;
use crate::protocol::quic::paths::Path;
use crate::protocol::quic::session::Session;
use crate::protocol::quic::words::words;

impl Hub {
    /// A path has something to read, or room. False once it is closed.
    pub fn serve(&mut self, cx: &mut Context, me: Handle<Hub>, path: Id<Path>) -> bool {
        self.config.tls.crypto.clock.set(cx.now);
        match self.paths.push(cx, path) {
            Ok(waiting) => waiting.into_iter().for_each(|id| self.touch(cx, me, id)),
            Err(error) => self.path_failed(cx, me, path, error),
        }
        let mut scratch = std::mem::take(&mut self.scratch);
        let mut failures = 0;
        // A flow that is over for good says so each time.
        while failures < FAILURES_MAX {
            match self.paths.receive(cx, path, &mut scratch) {
                Ok(datagram) => self.take(cx, me, path, datagram),
                Err(Error::WouldBlock) => break,
                Err(error) => {
                    failures += 1;
                    self.path_failed(cx, me, path, error);
                }
            }
        }
        self.scratch = scratch;
        self.turn(cx, me);
        self.paths.get(path).is_some()
    }

    fn take(&mut self, cx: &mut Context, me: Handle<Hub>, path: Id<Path>, datagram: BytesMut) {
        let Some(remote) = self.paths.get(path).map(|path| path.remote) else { return };
        let mut answer = Vec::new();
        let event = self.endpoint.handle(cx.now.to_std(), remote, None, None, datagram, &mut answer);
        match event {
            None => cx.stack.count_foreign_datagram(),
            Some(DatagramEvent::ConnectionEvent(handle, event)) => {
                let id = self.by_handle.get(handle.0).copied().flatten();
                if let Some((id, session)) = id.and_then(|id| Some((id, self.sessions.get_mut(id)?))) {
                    session.connection.handle_event(event);
                    self.touch(cx, me, id);
                }
            }
            Some(DatagramEvent::NewConnection(incoming)) => self.welcome(cx, me, path, incoming),
            Some(DatagramEvent::Response(transmit)) => {
                self.answer(cx, me, remote, &answer[..transmit.size]);
            }
        }
    }

    fn answer(&mut self, cx: &mut Context, me: Handle<Hub>, remote: SocketAddr, bytes: &[u8]) {
        if let Err(error) = self.paths.send(cx, remote, bytes, bytes.len())
            && let Some(path) = self.paths.find(remote)
        {
            self.path_failed(cx, me, path, error);
        }
    }

    /// A stranger knocks.
    fn welcome(&mut self, cx: &mut Context, me: Handle<Hub>, path: Id<Path>, incoming: Incoming) {
        let Some(remote) = self.paths.get(path).map(|path| path.remote) else {
            return self.endpoint.ignore(incoming);
        };
        let mut answer = Vec::new();
        let has_room = match &self.role {
            Role::Listening { backlog, ready } => {
                ready.len() < *backlog
                    && self.handshakes < HANDSHAKES_MAX
                    && self.sessions.len() < SESSIONS_MAX
            }
            Role::Idle | Role::Connecting { .. } | Role::Connected => false,
        };
        if !has_room {
            // It will knock again, as with a SYN that met a full backlog.
            cx.stack.count_dropped_datagram();
            return self.endpoint.ignore(incoming);
        }
        if self.config.plan.retry && !incoming.remote_address_validated() && incoming.may_retry() {
            if let Ok(transmit) = self.endpoint.retry(incoming, &mut answer) {
                self.answer(cx, me, remote, &answer[..transmit.size]);
            }
            return;
        }
        match self.endpoint.accept(incoming, cx.now.to_std(), &mut answer, None) {
            Ok((handle, connection)) => {
                let id = self.add(cx, connection, handle);
                self.touch(cx, me, id);
            }
            Err(error) => {
                cx.journal.remark(|| format!("quic with {remote}: {}", words(&error.cause)));
                if let Some(transmit) = error.response {
                    self.answer(cx, me, remote, &answer[..transmit.size]);
                }
            }
        }
    }

    /// What became of datagrams that were sent from here. What others say of them counts only as long as nobody has
    /// proved who he is (RFC 9000, 14.2.1 and 21.9).
    pub(super) fn path_failed(&mut self, cx: &mut Context, me: Handle<Hub>, path: Id<Path>, error: Error) {
        let Some(remote) = self.paths.get(path).map(|path| path.remote) else { return };
        if error == Error::AddressNotAvailable {
            return self.leave_address(cx, me, path, remote);
        }
        if !matches!(error, Error::ConnectionRefused | Error::HostUnreachable | Error::NetworkUnreachable) {
            return;
        }
        for id in self.begun.remove(&remote).into_iter().flatten() {
            let Some(session) = self.sessions.get_mut(id) else { continue };
            session.remark(cx, || error.to_string());
            let outcome = session.give_up(cx, error);
            self.touch(cx, me, id);
            if let Some(outcome) = outcome {
                self.shaken(cx, me, id, outcome);
            }
        }
    }

    /// Our own address is gone: a client goes on from another one (RFC 9000, 9). A server cannot, since its clients would
    /// not hear it there: its connections end as those of TCP do.
    fn leave_address(&mut self, cx: &mut Context, me: Handle<Hub>, path: Id<Path>, remote: SocketAddr) {
        let here = |session: &&mut Session| session.remote == remote;
        let mut is_client = false;
        for id in self.sessions.ids().collect::<Vec<_>>() {
            let Some(session) = self.sessions.get_mut(id).filter(here) else { continue };
            is_client |= session.connection.side().is_client();
            if session.connection.side().is_server() {
                session.remark(cx, || "our address is gone".to_owned());
                if let Some(outcome) = session.give_up(cx, Error::TimedOut) {
                    self.shaken(cx, me, id, outcome);
                }
                self.touch(cx, me, id);
            }
        }
        if is_client {
            self.move_path(cx, me, remote);
        } else {
            self.paths.close(cx, path);
        }
    }

    fn move_path(&mut self, cx: &mut Context, me: Handle<Hub>, remote: SocketAddr) {
        let Some(below) = &mut self.below else { return };
        let Ok(flow) = below.connect(cx, &remote.to_string()) else { return };
        let Ok(carrier) = Carrier::connected(cx, flow) else { return };
        self.paths.insert(cx, me, carrier, remote);
        for id in self.sessions.ids().collect::<Vec<_>>() {
            if let Some(session) = self.sessions.get_mut(id).filter(|session| session.remote == remote) {
                session.connection.local_address_changed();
                session.connection.path_changed(cx.now.to_std());
                self.touch(cx, me, id);
            }
        }
    }

    /// Takes up flows with strangers, and goes on with a connect.
    pub(super) fn look_below(&mut self, cx: &mut Context, me: Handle<Hub>) {
        match &mut self.role {
            Role::Idle | Role::Connected => {}
            Role::Listening { .. } => loop {
                if !self.paths.make_room(cx) {
                    return;
                }
                let Some(below) = &mut self.below else { return };
                match below.accept(cx) {
                    Ok(flow) => {
                        let Ok(mut carrier) = Carrier::accepted(cx, flow) else { continue };
                        match carrier.peer_address(cx).map(|peer| peer.parse()) {
                            Ok(Ok(remote)) => {
                                self.paths.insert(cx, me, carrier, remote);
                            }
                            Ok(Err(_)) | Err(_) => carrier.close(cx),
                        }
                    }
                    Err(Error::WouldBlock) => {
                        return below.watch(cx, Interest::READ, Waiter::Task(me.id()));
                    }
                    Err(_) => return,
                }
            },
            Role::Connecting { address, stage: Stage::Below(name) } => {
                let (address, name) = (address.clone(), name.clone());
                let Some(below) = &mut self.below else { return };
                match below.connect(cx, &address) {
                    Err(Error::InProgress) => below.watch(cx, Interest::WRITE, Waiter::Task(me.id())),
                    flow => match self.begin(cx, me, &address, flow, name) {
                        Ok(Stage::Done(outcome)) => self.finish_connect(cx, outcome),
                        Ok(stage) => self.role = Role::Connecting { address, stage },
                        Err(error) => self.finish_connect(cx, Err(error)),
                    },
                }
            }
            Role::Connecting { stage: Stage::Handshake(_) | Stage::Done(_), .. } => {}
        }
    }
}
