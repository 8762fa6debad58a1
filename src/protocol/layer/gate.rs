//! The task behind a layered control: makes or accepts connections below, and has each upgraded.

use std::collections::VecDeque;
use std::sync::Arc;

use super::arrival::Arrival;
use super::carrier::who;
use super::handshake::Handshake;
use super::{Carrier, Layer};
use crate::error::{Error, Result};
use crate::node::object::{Connection, Context, Control};
use crate::node::task::{Handle, Task, TaskId};
use crate::node::wake::Watch;
use crate::node::{Interest, Readiness, Waiter};

/// Handshakes that one listening control has under way; more peers wait below.
const HANDSHAKES_MAX: usize = 1024;

pub(super) struct Gate {
    /// `None` once closed.
    pub below: Option<Box<dyn Control>>,
    layer: Arc<dyn Layer>,
    role: Role,
    watch: Watch,
    /// Somebody waits for it to be where it was opened.
    opening: bool,
}

enum Role {
    Idle,
    Listening { backlog: usize, handshakes: Vec<Handle<Handshake>>, done: VecDeque<Box<dyn Connection>> },
    Connecting { address: String, stage: Stage },
    Connected,
}

enum Stage {
    /// To be connected to this address below.
    Below(String),
    Upgrade(Handle<Handshake>),
    Done(Result<Box<dyn Connection>>),
}

impl Gate {
    pub fn new(below: Box<dyn Control>, layer: Arc<dyn Layer>) -> Self {
        Self { below: Some(below), layer, role: Role::Idle, watch: Watch::default(), opening: false }
    }

    pub fn below(&mut self) -> Result<&mut Box<dyn Control>> {
        self.below.as_mut().ok_or(Error::BadDescriptor)
    }

    pub fn listen(&mut self, cx: &mut Context, me: Handle<Gate>, limit: usize) -> Result<()> {
        if !self.layer.has_server() {
            return Err(Error::NotSupported);
        }
        match &mut self.role {
            Role::Connecting { .. } | Role::Connected => return Err(Error::IsConnected),
            Role::Listening { backlog, .. } => *backlog = limit.max(1),
            Role::Idle => {}
        }
        self.below()?.listen(cx, limit)?;
        if matches!(self.role, Role::Idle) {
            self.role =
                Role::Listening { backlog: limit.max(1), handshakes: Vec::new(), done: VecDeque::new() };
        }
        cx.wake_task(me.id());
        Ok(())
    }

    pub fn accept(&mut self, cx: &mut Context, me: Handle<Gate>) -> Result<Box<dyn Connection>> {
        let Role::Listening { done, .. } = &mut self.role else { return Err(Error::Invalid) };
        let connection = done.pop_front().ok_or(Error::WouldBlock)?;
        // There is room for one more.
        cx.wake_task(me.id());
        Ok(connection)
    }

    pub fn connect(&mut self, cx: &mut Context, me: Handle<Gate>, to: &str) -> Result<Box<dyn Connection>> {
        match &mut self.role {
            Role::Listening { .. } => Err(Error::Invalid),
            Role::Idle | Role::Connected => {
                let via = self.layer.via(cx, to)?;
                // What is refused at once is refused here; what was made at once is taken up by the task.
                match self.below()?.connect(cx, &via) {
                    Err(Error::InProgress) => {
                        self.role = Role::Connecting { address: to.to_owned(), stage: Stage::Below(via) };
                        self.watch_below(cx, Interest::WRITE, me);
                    }
                    Err(error) => return Err(error),
                    Ok(connection) => self.upgrade(cx, me, connection, to.to_owned()),
                }
                Err(Error::InProgress)
            }
            Role::Connecting { address, .. } if address != to => Err(Error::Already),
            Role::Connecting { stage: Stage::Below(_) | Stage::Upgrade(_), .. } => Err(Error::InProgress),
            Role::Connecting { stage: Stage::Done(outcome), .. } => {
                let outcome = std::mem::replace(outcome, Err(Error::NotConnected));
                self.role = if outcome.is_ok() { Role::Connected } else { Role::Idle };
                outcome
            }
        }
    }

    fn watch_below(&mut self, cx: &mut Context, interest: Interest, me: Handle<Gate>) {
        if let Some(below) = &mut self.below {
            below.watch(cx, interest, Waiter::Task(me.id()));
        }
    }

    /// The connection below is there; what the guest asked for is begun over it.
    fn upgrade(
        &mut self,
        cx: &mut Context,
        me: Handle<Gate>,
        connection: Box<dyn Connection>,
        address: String,
    ) {
        let upgrade = Carrier::connected(cx, connection).and_then(|carrier| {
            let peer = carrier.peer(cx);
            Ok((self.layer.connect(cx, carrier, &address)?, peer))
        });
        let stage = match upgrade {
            Ok((upgrade, peer)) => Stage::Upgrade(cx.spawn(Handshake::new(cx.now, upgrade, me, peer))),
            Err(error) => self.done(cx, Err(error)),
        };
        self.role = Role::Connecting { address, stage };
    }

    fn done(&mut self, cx: &mut Context, outcome: Result<Box<dyn Connection>>) -> Stage {
        self.watch.fire(Readiness { write: true, ..Default::default() }, cx.stack.wakes());
        Stage::Done(outcome)
    }

    /// A handshake came to its end.
    pub fn finished(&mut self, cx: &mut Context, which: TaskId, outcome: Result<Box<dyn Connection>>) {
        match &mut self.role {
            Role::Listening { handshakes, done, .. } => {
                handshakes.retain(|handshake| handshake.id() != which);
                if let Ok(connection) = outcome {
                    done.push_back(connection);
                    self.watch.fire(Readiness { read: true, ..Default::default() }, cx.stack.wakes());
                }
            }
            Role::Connecting { address, .. } => {
                let address = std::mem::take(address);
                let stage = self.done(cx, outcome);
                self.role = Role::Connecting { address, stage };
            }
            Role::Idle | Role::Connected => {
                if let Ok(mut connection) = outcome {
                    connection.close(cx);
                }
            }
        }
    }

    fn go_on(&mut self, cx: &mut Context, me: Handle<Gate>) {
        let Some(below) = &mut self.below else { return };
        // An object has one waiter: below that is this, and above whoever waits here.
        if self.opening {
            match below.opened(cx) {
                Err(Error::WouldBlock) => below.watch(cx, Interest::WRITE, Waiter::Task(me.id())),
                Ok(()) | Err(_) => {
                    self.opening = false;
                    self.watch.fire(Readiness { write: true, ..Default::default() }, cx.stack.wakes());
                }
            }
        }
        match &mut self.role {
            Role::Idle | Role::Connected => {}
            Role::Listening { backlog, handshakes, done } => {
                while handshakes.len() < HANDSHAKES_MAX && done.len() < *backlog {
                    match below.accept(cx) {
                        Ok(connection) => {
                            let peer = who(connection.peer_address(cx));
                            // One that cannot even begin is skipped, as one that was reset while it waited.
                            if let Ok(upgrade) = Arrival::begin(cx, connection, &self.layer) {
                                handshakes.push(cx.spawn(Handshake::new(cx.now, upgrade, me, peer)));
                            }
                        }
                        Err(Error::WouldBlock) => {
                            return below.watch(cx, Interest::READ, Waiter::Task(me.id()));
                        }
                        Err(_) => return,
                    }
                }
            }
            Role::Connecting { address, stage: Stage::Below(via) } => match below.connect(cx, via) {
                Err(Error::InProgress) => below.watch(cx, Interest::WRITE, Waiter::Task(me.id())),
                Ok(connection) => {
                    let address = std::mem::take(address);
                    self.upgrade(cx, me, connection, address);
                }
                Err(error) => {
                    let address = std::mem::take(address);
                    let stage = self.done(cx, Err(error));
                    self.role = Role::Connecting { address, stage };
                }
            },
            Role::Connecting { stage: Stage::Upgrade(_) | Stage::Done(_), .. } => {}
        }
    }

    pub fn readiness(&self) -> Readiness {
        match &self.role {
            Role::Listening { done, .. } => {
                Readiness { read: !done.is_empty(), read_bytes: done.len(), ..Default::default() }
            }
            Role::Connecting { stage, .. } => {
                Readiness { write: matches!(stage, Stage::Done(_)), ..Default::default() }
            }
            Role::Idle | Role::Connected => Readiness::default(),
        }
    }

    /// Whether there is anything to wait for.
    pub fn may_come(&self, interest: Interest) -> bool {
        match &self.role {
            Role::Listening { .. } => interest.read,
            Role::Connecting { .. } => interest.write,
            Role::Idle | Role::Connected => false,
        }
    }

    pub fn watch(&mut self, interest: Interest, waiter: Waiter) {
        self.watch.join(interest, waiter);
    }

    /// Whether the control below is where it was opened. Whoever waits for that is told.
    pub fn opened(&mut self, cx: &mut Context, me: Handle<Gate>) -> Result<()> {
        let opened = self.below()?.opened(cx);
        if opened == Err(Error::WouldBlock) {
            self.opening = true;
            cx.wake_task(me.id());
        }
        opened
    }
}

impl Task for Gate {
    fn poll(&mut self, cx: &mut Context, me: TaskId) {
        self.go_on(cx, Handle::new(me));
    }

    fn is_over(&self) -> bool {
        self.below.is_none()
    }

    /// Peers in the middle of a handshake, and those that nobody accepted, are let go.
    fn abort(&mut self, cx: &mut Context) {
        match std::mem::replace(&mut self.role, Role::Idle) {
            Role::Idle | Role::Connected => {}
            Role::Listening { handshakes, done, .. } => {
                for handshake in handshakes {
                    cx.with_task(handshake, |handshake, cx| handshake.abort(cx));
                }
                done.into_iter().for_each(|mut connection| connection.close(cx));
            }
            Role::Connecting { stage, .. } => match stage {
                Stage::Below(_) | Stage::Done(Err(_)) => {}
                Stage::Upgrade(handshake) => {
                    cx.with_task(handshake, |handshake, cx| handshake.abort(cx));
                }
                Stage::Done(Ok(mut connection)) => connection.close(cx),
            },
        }
        if let Some(mut below) = self.below.take() {
            below.close(cx);
        }
    }
}
