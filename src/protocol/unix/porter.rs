//! The task behind a listening control: takes connections in, reads each one's hello, and keeps those that are meant.

use std::collections::VecDeque;
use std::time::Duration;

use super::path::UnixPath;
use super::wire::{HELLO_BYTES, Hello};
use crate::error::{Error, Result};
use crate::node::object::Context;
use crate::node::slab::Id;
use crate::node::stack::{Listener, Stack, Tcp};
use crate::node::task::{Task, TaskId};
use crate::node::wake::Watch;
use crate::node::{Interest, Readiness, SocketKind, Waiter};
use crate::time::Instant;

/// As long as a peer may take to say hello.
const HELLO: Duration = Duration::from_secs(30);
/// Connections without their hello; more wait in the stack's own queue.
const STRANGERS_MAX: usize = 64;

pub struct Porter {
    /// `None` once closed.
    listener: Option<Id<Listener>>,
    backlog: usize,
    kind: SocketKind,
    path: UnixPath,
    strangers: Vec<(Id<Tcp>, Instant)>,
    known: VecDeque<Caller>,
    pub watch: Watch,
}

/// A connection to be accepted.
pub struct Caller {
    pub tcp: Id<Tcp>,
    /// The path that the peer is bound to.
    pub peer: Option<UnixPath>,
}

/// What became of a stranger.
enum Word {
    Waits,
    Known(Option<UnixPath>),
    Unwanted,
}

impl Porter {
    pub fn new(listener: Id<Listener>, backlog: usize, kind: SocketKind, path: UnixPath) -> Self {
        let (strangers, known) = (Vec::new(), VecDeque::new());
        Self {
            listener: Some(listener),
            backlog: backlog.max(1),
            kind,
            path,
            strangers,
            known,
            watch: Watch::default(),
        }
    }

    pub fn set_backlog(&mut self, cx: &mut Context, backlog: usize) {
        self.backlog = backlog.max(1);
        if let (Some(listener), Ok(stack)) = (self.listener, cx.unix()) {
            stack.set_backlog(listener, backlog);
        }
    }

    pub fn accept(&mut self) -> Result<Caller> {
        self.known.pop_front().ok_or(Error::WouldBlock)
    }

    pub fn readiness(&self) -> Readiness {
        let waiting = self.known.len();
        Readiness { read: waiting > 0, read_bytes: waiting, ..Default::default() }
    }

    fn has_room(&self) -> bool {
        self.strangers.len() < STRANGERS_MAX && self.strangers.len() + self.known.len() < self.backlog
    }

    /// Reads what a stranger has said, if it is all there.
    fn hear(&self, stack: &mut Stack, now: Instant, me: TaskId, tcp: Id<Tcp>, deadline: Instant) -> Word {
        let readiness = stack.tcp_readiness(tcp);
        if readiness.read_bytes < HELLO_BYTES {
            if readiness.hangup || now >= deadline {
                return Word::Unwanted;
            }
            stack.tcp_watch(tcp, Interest::READ, Waiter::Task(me));
            return Word::Waits;
        }
        let mut bytes = [0; HELLO_BYTES];
        if stack.tcp_read(tcp, &mut bytes, false) != Ok(HELLO_BYTES) {
            return Word::Unwanted;
        }
        match Hello::decode(&bytes) {
            // A port may be another path's by the time that an answer of the directory is used.
            Some(hello) if hello.target == self.path && hello.kind == self.kind => Word::Known(hello.own),
            Some(_) | None => Word::Unwanted,
        }
    }
}

impl Task for Porter {
    fn poll(&mut self, cx: &mut Context, me: TaskId) {
        let now = cx.now;
        let (Some(listener), Ok(stack)) = (self.listener, cx.unix()) else { return };
        let mut more_wait = true;
        while more_wait && self.has_room() {
            match stack.accept(listener) {
                Ok(tcp) => self.strangers.push((tcp, now + HELLO)),
                Err(_) => {
                    stack.listener_watch(listener, Interest::READ, Waiter::Task(me));
                    more_wait = false;
                }
            }
        }
        let mut unwanted = 0;
        for (tcp, deadline) in std::mem::take(&mut self.strangers) {
            match self.hear(stack, now, me, tcp, deadline) {
                Word::Waits => self.strangers.push((tcp, deadline)),
                Word::Known(peer) => self.known.push_back(Caller { tcp, peer }),
                Word::Unwanted => {
                    reset(stack, now, tcp);
                    unwanted += 1;
                }
            }
        }
        if unwanted > 0 {
            let path = &self.path;
            cx.journal.remark(|| {
                format!("{path}: {unwanted} of those who came did not say that they wanted it: reset")
            });
        }
        if more_wait && self.has_room() {
            cx.wake_task(me);
        }
        let readiness = self.readiness();
        self.watch.fire(readiness, cx.stack.wakes());
    }

    fn poll_at(&self) -> Option<Instant> {
        self.strangers.iter().map(|(_, deadline)| *deadline).min()
    }

    fn is_over(&self) -> bool {
        self.listener.is_none()
    }

    fn abort(&mut self, cx: &mut Context) {
        let now = cx.now;
        let Ok(stack) = cx.unix() else { return };
        if let Some(listener) = self.listener.take() {
            stack.unlisten(now, listener);
        }
        let strangers = self.strangers.drain(..).map(|(tcp, _)| tcp);
        let left: Vec<_> = strangers.chain(self.known.drain(..).map(|caller| caller.tcp)).collect();
        left.into_iter().for_each(|tcp| reset(stack, now, tcp));
    }
}

/// Closes so that the peer knows that nobody read what it sent.
pub fn reset(stack: &mut Stack, now: Instant, tcp: Id<Tcp>) {
    if let Some(options) = stack.tcp_options(tcp) {
        let options = crate::node::stack::TcpOptions { linger: Some(Duration::ZERO), ..options };
        stack.tcp_set_options(now, tcp, options);
    }
    stack.tcp_release(now, tcp, true);
}
