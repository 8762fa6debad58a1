//! What the guest's control does: listening, accepting, connecting, letting go.

use std::collections::VecDeque;

use quinn_proto::{ConnectionHandle, VarInt};
use rustls::pki_types::ServerName;

use super::{Hub, Role, SESSIONS_MAX, Stage, WINDOW_BYTES_MIN, WINDOWS_BYTES};
use crate::error::{Error, Result};
use crate::node::object::{Connection, Context};
use crate::node::slab::Id;
use crate::node::task::Handle;
use crate::node::{Interest, Readiness, Waiter};
use crate::protocol::layer::Carrier;
use crate::protocol::quic::session::Session;

impl Hub {
    pub fn listen(&mut self, cx: &mut Context, me: Handle<Hub>, limit: usize) -> Result<()> {
        if !self.has_server {
            return Err(Error::NotSupported);
        }
        match &mut self.role {
            Role::Connecting { .. } | Role::Connected => return Err(Error::IsConnected),
            Role::Listening { backlog, .. } => *backlog = limit.max(1),
            Role::Idle => {
                self.role = Role::Listening { backlog: limit.max(1), ready: VecDeque::new() };
            }
        }
        // Strangers are let in by what they say, and so none of them has to wait below.
        self.below()?.listen(cx, usize::MAX)?;
        cx.wake_task(me.id());
        Ok(())
    }

    pub fn accept(&mut self, cx: &mut Context, me: Handle<Hub>) -> Result<Id<Session>> {
        let window = self.window();
        let Role::Listening { ready, .. } = &mut self.role else { return Err(Error::Invalid) };
        while let Some(id) = ready.pop_front() {
            let Some(session) = self.sessions.get_mut(id) else { continue };
            // As one that was reset while it waited.
            if !session.is_spent() {
                session.hold();
                session.connection.set_receive_window(VarInt::from_u32(window));
                session.connection.set_send_window(u64::from(window));
                self.touch(cx, me, id);
                return Ok(id);
            }
        }
        Err(Error::WouldBlock)
    }

    /// What one more connection is given.
    fn window(&self) -> u32 {
        let count = u32::try_from(self.sessions.len()).unwrap_or(u32::MAX).max(1);
        self.config.plan.window_bytes.min((WINDOWS_BYTES / count).max(WINDOW_BYTES_MIN))
    }

    pub fn connect(&mut self, cx: &mut Context, me: Handle<Hub>, to: &str) -> Result<Id<Session>> {
        match &mut self.role {
            Role::Listening { .. } => Err(Error::Invalid),
            Role::Idle | Role::Connected => {
                let name = self.config.tls.peer_name(cx, "quic", to)?;
                if self.sessions.len() >= SESSIONS_MAX {
                    return Err(Error::NoBuffers);
                }
                self.role = match self.below()?.connect(cx, to) {
                    Err(Error::InProgress) => {
                        self.below()?.watch(cx, Interest::WRITE, Waiter::Task(me.id()));
                        Role::Connecting { address: to.to_owned(), stage: Stage::Below(name) }
                    }
                    answer => {
                        let stage = self.begin(cx, me, to, answer, name)?;
                        Role::Connecting { address: to.to_owned(), stage }
                    }
                };
                match &self.role {
                    // Its early data may go with the first packet.
                    Role::Connecting { stage: Stage::Done(Ok(id)), .. } => {
                        let id = *id;
                        self.role = Role::Connected;
                        Ok(id)
                    }
                    Role::Connecting { .. } | Role::Idle | Role::Connected | Role::Listening { .. } => {
                        Err(Error::InProgress)
                    }
                }
            }
            Role::Connecting { address, .. } if address != to => Err(Error::Already),
            Role::Connecting { stage: Stage::Below(_) | Stage::Handshake(_), .. } => Err(Error::InProgress),
            Role::Connecting { stage: Stage::Done(outcome), .. } => {
                let outcome = *outcome;
                self.role = if outcome.is_ok() { Role::Connected } else { Role::Idle };
                outcome
            }
        }
    }

    /// The flow to `to` is there, or was there before: shakes hands over it.
    pub(super) fn begin(
        &mut self,
        cx: &mut Context,
        me: Handle<Hub>,
        to: &str,
        flow: Result<Box<dyn Connection>>,
        name: ServerName<'static>,
    ) -> Result<Stage> {
        let remote = match flow {
            Ok(flow) => {
                let carrier = Carrier::connected(cx, flow)?;
                // A proxy that is given a name has no address to tell.
                let remote =
                    carrier.peer_address(cx).and_then(|peer| peer.parse().map_err(|_| Error::AddressFamily));
                match remote {
                    Ok(remote) => {
                        self.paths.insert(cx, me, carrier, remote);
                        remote
                    }
                    Err(error) => {
                        let mut carrier = carrier;
                        carrier.close(cx);
                        return Err(error);
                    }
                }
            }
            // By an earlier connection of this control.
            Err(Error::IsConnected | Error::AddressInUse) => to.parse().map_err(|_| Error::IsConnected)?,
            Err(error) => return Err(error),
        };
        self.config.tls.crypto.clock.set(cx.now);
        let begun = self.endpoint.connect(cx.now.to_std(), self.client.clone(), remote, &name.to_str());
        let (handle, mut connection) = begun.map_err(|_| Error::Invalid)?;
        let window = self.window();
        connection.set_receive_window(VarInt::from_u32(window));
        connection.set_send_window(u64::from(window));
        let id = self.add(cx, connection, handle);
        let is_early = self.sessions.get_mut(id).is_some_and(Session::begin_early);
        if let Some(session) = self.sessions.get_mut(id) {
            session.hold();
        }
        self.begun.entry(remote).or_default().insert(id);
        self.touch(cx, me, id);
        Ok(if is_early { Stage::Done(Ok(id)) } else { Stage::Handshake(id) })
    }

    pub(super) fn add(
        &mut self,
        cx: &mut Context,
        connection: quinn_proto::Connection,
        handle: ConnectionHandle,
    ) -> Id<Session> {
        let deadline = cx.now + self.config.tls.timeout;
        let session = Session::new(connection, handle, self.kind, deadline);
        let remote = session.remote;
        let id = self.sessions.insert(session);
        self.handshakes += 1;
        if self.by_handle.len() <= handle.0 {
            self.by_handle.resize(handle.0 + 1, None);
        }
        self.by_handle[handle.0] = Some(id);
        self.paths.enter(remote);
        id
    }

    pub fn readiness(&self) -> Readiness {
        match &self.role {
            Role::Listening { ready, .. } => {
                Readiness { read: !ready.is_empty(), read_bytes: ready.len(), ..Default::default() }
            }
            Role::Connecting { stage, .. } => {
                Readiness { write: matches!(stage, Stage::Done(_)), ..Default::default() }
            }
            Role::Idle | Role::Connected => Readiness::default(),
        }
    }

    pub fn watch(&mut self, cx: &mut Context, interest: Interest, waiter: Waiter) {
        self.watch.join(interest, waiter);
        self.watch.fire(self.readiness(), cx.stack.wakes());
    }

    /// The guest closed the control. Its connections go on; those that it has not heard of end.
    pub fn let_go(&mut self, cx: &mut Context, me: Handle<Hub>) {
        self.held = false;
        self.endpoint.set_server_config(None);
        match std::mem::replace(&mut self.role, Role::Connected) {
            Role::Idle | Role::Connected => {}
            Role::Listening { .. } => {
                for id in self.sessions.ids().collect::<Vec<_>>() {
                    if let Some(session) = self.sessions.get_mut(id)
                        && session.holders == 0
                    {
                        session.end(cx.now);
                        self.touch(cx, me, id);
                    }
                }
            }
            Role::Connecting { stage, .. } => match stage {
                Stage::Below(_) | Stage::Done(Err(_)) => {}
                Stage::Handshake(id) | Stage::Done(Ok(id)) => {
                    if let Some(session) = self.sessions.get_mut(id) {
                        session.release(cx);
                        self.touch(cx, me, id);
                    }
                }
            },
        }
        cx.wake_task(me.id());
    }
}
