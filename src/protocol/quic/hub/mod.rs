//! The task behind a control: quinn-proto's endpoint, and all connections of the control.
//!
//! ```text
//! guest --handles--> Hub --poll_transmit--> Paths --> flows below
//!                     |  <----handle------- Pump  <--
//!                     '-- Session, Session ...   each looked at only when something happened to it
//! ```

mod below;
mod guest;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;

use quinn_proto::{ClientConfig, Endpoint};
use rustls::pki_types::ServerName;

use super::config::{Config, Settings};
use super::paths::Paths;
use super::session::{Outcome, Session};
use crate::error::{Error, Result};
use crate::node::object::{Context, Control};
use crate::node::slab::{Id, Slab};
use crate::node::task::{Handle, Task, TaskId};
use crate::node::wake::Watch;
use crate::node::{Readiness, SocketKind};
use crate::time::Instant;

/// Connections of one control, those in the middle of a handshake, and those that were closed a moment ago.
const SESSIONS_MAX: usize = 4096;
const HANDSHAKES_MAX: usize = 1024;
/// Datagrams of one turn of quinn-proto's.
const BURST_DATAGRAMS: usize = 16;
/// Bytes that the windows of one control's connections come to together, more or less: the more there are, the less each
/// is given.
const WINDOWS_BYTES: u32 = 256 * 1024 * 1024;
const WINDOW_BYTES_MIN: u32 = 64 * 1024;
/// Errors of a flow that are looked at in one turn.
const FAILURES_MAX: usize = 4;

pub(super) struct Hub {
    /// `None` once it is over.
    pub below: Option<Box<dyn Control>>,
    config: Arc<Config>,
    client: ClientConfig,
    has_server: bool,
    kind: SocketKind,
    endpoint: Endpoint,
    paths: Paths,
    sessions: Slab<Session>,
    /// By quinn-proto's handles, which are small numbers.
    by_handle: Vec<Option<Id<Session>>>,
    dirty: VecDeque<Id<Session>>,
    timers: BTreeSet<(Instant, Id<Session>)>,
    role: Role,
    /// Connections that are not confirmed yet, those that the guest has already among them.
    handshakes: usize,
    /// Of these, those that we began, by where the peer is.
    begun: BTreeMap<SocketAddr, BTreeSet<Id<Session>>>,
    watch: Watch,
    /// False once the guest closed the control.
    held: bool,
    /// A datagram on its way from below, where it cannot be had without a copy, and those that are to be sent.
    scratch: Vec<u8>,
    buffer: Vec<u8>,
}

enum Role {
    Idle,
    Listening { backlog: usize, ready: VecDeque<Id<Session>> },
    Connecting { address: String, stage: Stage },
    Connected,
}

enum Stage {
    /// The flow below is not there yet.
    Below(ServerName<'static>),
    Handshake(Id<Session>),
    Done(Result<Id<Session>>),
}

impl Hub {
    pub fn new(below: Box<dyn Control>, config: &Arc<Config>, settings: Settings, kind: SocketKind) -> Hub {
        let Settings { endpoint, server, client } = settings;
        let has_server = server.is_some();
        let (paths, sessions, by_handle, dirty, timers) = Default::default();
        Hub {
            below: Some(below),
            config: Arc::clone(config),
            client,
            has_server,
            kind,
            endpoint: Endpoint::new(endpoint, server, true, None),
            paths,
            sessions,
            by_handle,
            dirty,
            timers,
            role: Role::Idle,
            handshakes: 0,
            begun: BTreeMap::new(),
            watch: Watch::default(),
            held: true,
            scratch: Vec::new(),
            buffer: Vec::new(),
        }
    }

    fn below(&mut self) -> Result<&mut Box<dyn Control>> {
        self.below.as_mut().ok_or(Error::BadDescriptor)
    }

    // What the guest's connections and streams do.

    pub fn session(&self, id: Id<Session>) -> Option<&Session> {
        self.sessions.get(id)
    }

    /// Works on a session; whatever that leaves to be sent is sent at the end of this turn.
    pub fn work<R>(
        &mut self,
        cx: &mut Context,
        me: Handle<Hub>,
        id: Id<Session>,
        work: impl FnOnce(&mut Session, &mut Context) -> Result<R>,
    ) -> Result<R> {
        let session = self.sessions.get_mut(id).ok_or(Error::BadDescriptor)?;
        let answer = work(session, cx);
        self.touch(cx, me, id);
        answer
    }

    fn touch(&mut self, cx: &mut Context, me: Handle<Hub>, id: Id<Session>) {
        if let Some(session) = self.sessions.get_mut(id)
            && !session.dirty
        {
            session.dirty = true;
            self.dirty.push_back(id);
            cx.wake_task(me.id());
        }
    }

    pub fn local_address(&self, cx: &Context, id: Id<Session>) -> Result<String> {
        let session = self.sessions.get(id).ok_or(Error::BadDescriptor)?;
        match self.paths.carrier(session.remote) {
            Some(carrier) => carrier.local_address(cx),
            None => self.below.as_ref().ok_or(Error::BadDescriptor)?.local_address(cx),
        }
    }

    fn finish_connect(&mut self, cx: &mut Context, outcome: Result<Id<Session>>) {
        if let Role::Connecting { stage, .. } = &mut self.role {
            *stage = Stage::Done(outcome);
            self.watch.fire(Readiness { write: true, ..Default::default() }, cx.stack.wakes());
        }
    }

    /// Sessions to which something happened, until each has nothing more to do.
    fn turn(&mut self, cx: &mut Context, me: Handle<Hub>) {
        while let Some(id) = self.dirty.pop_front() {
            self.turn_of(cx, me, id);
        }
        self.config.tls.tell_secrets(cx.journal);
        if let Some(qlog) = &self.config.qlog {
            qlog.tell(cx.journal);
        }
    }

    fn turn_of(&mut self, cx: &mut Context, me: Handle<Hub>, id: Id<Session>) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        session.dirty = false;
        let mut outcome = session.turn(cx, &mut self.endpoint);
        // A client's path stays where it is.
        let remote = session.connection.remote_address();
        if remote != session.remote {
            self.paths.enter(remote);
            self.paths.leave(cx.now, std::mem::replace(&mut session.remote, remote));
        }
        let mut failed = None;
        loop {
            while !self.paths.is_blocked(cx, remote, id) {
                self.buffer.clear();
                let now = cx.now.to_std();
                let transmit = session.connection.poll_transmit(now, BURST_DATAGRAMS, &mut self.buffer);
                let Some(transmit) = transmit else { break };
                let bytes = &self.buffer[..transmit.size];
                let segment = transmit.segment_size.unwrap_or(transmit.size);
                if let Err(error) = self.paths.send(cx, transmit.destination, bytes, segment) {
                    failed = Some((transmit.destination, error));
                }
            }
            if !session.finish(cx.now) {
                break;
            }
        }
        outcome = session.events(cx, &mut self.endpoint).or(outcome);
        let due = session.due();
        if due != session.timer {
            if let Some(at) = std::mem::replace(&mut session.timer, due) {
                self.timers.remove(&(at, id));
            }
            if let Some(at) = due {
                self.timers.insert((at, id));
            }
        }
        if session.is_counted && !session.is_unconfirmed() {
            session.is_counted = false;
            self.handshakes = self.handshakes.saturating_sub(1);
            if let Some(others) = self.begun.get_mut(&remote) {
                others.remove(&id);
                if others.is_empty() {
                    self.begun.remove(&remote);
                }
            }
        }
        if let Some(outcome) = outcome {
            self.shaken(cx, me, id, outcome);
        }
        self.forget_if_gone(cx, id);
        if let Some((remote, error)) = failed
            && let Some(path) = self.paths.find(remote)
        {
            self.path_failed(cx, me, path, error);
        }
    }

    /// A handshake came to its end, or is far enough for the guest to have the connection.
    fn shaken(&mut self, cx: &mut Context, me: Handle<Hub>, id: Id<Session>, outcome: Outcome) {
        let is_refused = outcome == Outcome::Ready && self.refuses(cx, id);
        match &mut self.role {
            Role::Listening { .. } if is_refused => {
                if let Some(session) = self.sessions.get_mut(id) {
                    session.abort(cx.now);
                }
                self.touch(cx, me, id);
            }
            Role::Listening { ready, .. } => match outcome {
                // Past the backlog, perhaps: as many as were let in before it was full.
                Outcome::Ready => {
                    ready.push_back(id);
                    self.watch.fire(Readiness { read: true, ..Default::default() }, cx.stack.wakes());
                }
                Outcome::Failed(_) => {}
            },
            Role::Connecting { stage: Stage::Handshake(which), .. } if *which == id => match outcome {
                Outcome::Ready => self.finish_connect(cx, Ok(id)),
                Outcome::Failed(error) => {
                    // The guest never had it.
                    if let Some(session) = self.sessions.get_mut(id) {
                        session.release(cx);
                    }
                    self.finish_connect(cx, Err(error));
                }
            },
            Role::Connecting { .. } | Role::Idle | Role::Connected => {}
        }
    }

    /// Whether a client asks for a name that it may not ask for.
    fn refuses(&self, cx: &mut Context, id: Id<Session>) -> bool {
        let session = self.sessions.get(id).filter(|session| session.connection.side().is_server());
        let Some((session, name)) =
            session.and_then(|session| Some((session, session.agreed()?.server_name?)))
        else {
            return false;
        };
        let peer = session.remote.to_string();
        let local = self.local_address(cx, id).unwrap_or_default();
        self.config.tls.check_asked(cx, "quic", [&local, &peer], &name).is_err()
    }

    fn forget_if_gone(&mut self, cx: &mut Context, id: Id<Session>) {
        let Some(session) = self.sessions.get_mut(id).filter(|session| session.is_gone()) else { return };
        if let Role::Listening { ready, .. } = &self.role
            && ready.contains(&id)
            && !session.is_spent()
        {
            return;
        }
        let Some(session) = self.sessions.remove(id) else { return };
        if let Some(at) = session.timer {
            self.timers.remove(&(at, id));
        }
        if let Some(entry) = self.by_handle.get_mut(session.handle.0).filter(|entry| **entry == Some(id)) {
            *entry = None;
        }
        if let Role::Listening { ready, .. } = &mut self.role {
            ready.retain(|other| *other != id);
        }
        self.paths.leave(cx.now, session.remote);
    }

    fn close_below(&mut self, cx: &mut Context) {
        self.paths.close_all(cx);
        if let Some(mut below) = self.below.take() {
            below.close(cx);
        }
    }
}

impl Task for Hub {
    fn poll(&mut self, cx: &mut Context, me: TaskId) {
        let me = Handle::new(me);
        self.config.tls.crypto.clock.set(cx.now);
        self.look_below(cx, me);
        while let Some(&(at, id)) = self.timers.first().filter(|(at, _)| *at <= cx.now) {
            self.timers.remove(&(at, id));
            if let Some(session) = self.sessions.get_mut(id) {
                session.timer = None;
            }
            self.touch(cx, me, id);
        }
        self.turn(cx, me);
        let sessions = &self.sessions;
        self.paths.expire(cx, |remote| {
            sessions.ids().any(|id| sessions.get(id).is_some_and(|session| session.remote == remote))
        });
        if !self.held && self.sessions.is_empty() {
            self.close_below(cx);
        }
    }

    fn poll_at(&self) -> Option<Instant> {
        let timer = self.timers.first().map(|(at, _)| *at);
        [timer, self.paths.expires_at()].into_iter().flatten().min()
    }

    fn is_over(&self) -> bool {
        self.below.is_none()
    }

    fn is_drained(&self) -> bool {
        self.sessions.ids().all(|id| self.sessions.get(id).is_none_or(Session::is_finished))
    }

    fn abort(&mut self, cx: &mut Context) {
        for id in self.sessions.ids().collect::<Vec<_>>() {
            let Some(mut session) = self.sessions.remove(id) else { continue };
            session.abort(cx.now);
            self.buffer.clear();
            // One last word, if it can be said.
            if let Some(transmit) = session.connection.poll_transmit(cx.now.to_std(), 1, &mut self.buffer) {
                let bytes = &self.buffer[..transmit.size];
                let _ = self.paths.send(cx, transmit.destination, bytes, transmit.size);
            }
        }
        self.timers.clear();
        self.dirty.clear();
        self.held = false;
        self.close_below(cx);
    }
}
