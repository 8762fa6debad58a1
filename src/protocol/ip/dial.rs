//! A connection by name, while the guest may be away: the name is looked up, and its addresses are tried, the next one
//! a quarter of a second after the one before or as soon as that has failed (RFC 8305). The first to answer is it.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use super::scope::Scope;
use super::tcp::Locals;
use crate::dns::name::HostName;
use crate::dns::resolver::{Lookup, Progress};
use crate::error::{Error, Result};
use crate::node::object::Context;
use crate::node::slab::Id;
use crate::node::stack::{Tcp, TcpOptions};
use crate::node::task::{Task, TaskId};
use crate::node::wake::Watch;
use crate::node::{Interest, Readiness, Waiter};
use crate::time::Instant;

/// RFC 8305, section 5.
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

pub struct Dial {
    scope: Scope,
    name: HostName,
    port: u16,
    locals: Locals,
    options: TcpOptions,
    stage: Stage,
    watch: Watch,
}

enum Stage {
    Begun,
    LookingUp(Id<Lookup>),
    Trying(Attempts),
    Done(Result<Id<Tcp>>),
    /// The outcome was taken, or nobody wants it any more.
    Over,
}

struct Attempts {
    waiting: VecDeque<SocketAddr>,
    under_way: Vec<Id<Tcp>>,
    next_at: Instant,
    /// Of the address that was preferred.
    error: Option<Error>,
}

impl Dial {
    pub fn new(scope: Scope, name: HostName, port: u16, locals: Locals, options: TcpOptions) -> Dial {
        Dial { scope, name, port, locals, options, stage: Stage::Begun, watch: Watch::default() }
    }

    /// The connection, once it is there or cannot be.
    pub fn take(&mut self) -> Option<Result<Id<Tcp>>> {
        match &self.stage {
            Stage::Done(outcome) => {
                let outcome = *outcome;
                self.stage = Stage::Over;
                Some(outcome)
            }
            Stage::Begun | Stage::LookingUp(_) | Stage::Trying(_) => None,
            Stage::Over => Some(Err(Error::BadDescriptor)),
        }
    }

    pub fn is_done(&self) -> bool {
        matches!(self.stage, Stage::Done(_))
    }

    pub fn watch(&mut self, interest: Interest, waiter: Waiter) {
        self.watch.join(interest, waiter);
    }

    fn done(&mut self, cx: &mut Context, outcome: Result<Id<Tcp>>) {
        self.stage = Stage::Done(outcome);
        self.watch.fire(Readiness { write: true, ..Default::default() }, cx.stack.wakes());
    }

    fn look_up(&mut self, cx: &mut Context, me: TaskId) {
        match self.scope.look_up(cx, &self.name, self.port, Waiter::Task(me)) {
            Progress::Pending(id) => self.stage = Stage::LookingUp(id),
            Progress::Done(outcome) => self.found(cx, outcome),
        }
    }

    fn found(&mut self, cx: &mut Context, outcome: crate::dns::resolver::Outcome) {
        match self.scope.peers(cx, &self.name, self.port, outcome) {
            Err(error) => self.done(cx, Err(error)),
            Ok(peers) => {
                self.stage = Stage::Trying(Attempts {
                    waiting: peers.into(),
                    under_way: Vec::new(),
                    next_at: cx.now,
                    error: None,
                });
            }
        }
    }

    /// Looks at the attempts under way, and begins more.
    fn go_on(&mut self, cx: &mut Context, me: TaskId) {
        let Stage::Trying(attempts) = &mut self.stage else { return };
        let mut won = None;
        let Attempts { waiting, under_way, next_at, error } = attempts;
        under_way.retain(|&tcp| match cx.stack.tcp_connected(tcp) {
            Ok(true) if won.is_none() => {
                won = Some(tcp);
                false
            }
            Ok(_) => true,
            Err(failed) => {
                error.get_or_insert(failed);
                cx.stack.tcp_release(cx.now, tcp, false);
                *next_at = cx.now;
                false
            }
        });
        if let Some(tcp) = won {
            under_way.drain(..).for_each(|late| cx.stack.tcp_release(cx.now, late, false));
            return self.done(cx, Ok(tcp));
        }
        while *next_at <= cx.now
            && let Some(peer) = waiting.pop_front()
        {
            match self.locals.connect(cx, peer, &self.options) {
                Ok(tcp) => {
                    under_way.push(tcp);
                    *next_at = cx.now + ATTEMPT_DELAY;
                }
                Err(failed) => {
                    error.get_or_insert(failed);
                }
            }
        }
        for &tcp in under_way.iter() {
            cx.stack.tcp_watch(tcp, Interest::WRITE, Waiter::Task(me));
        }
        if under_way.is_empty() && waiting.is_empty() {
            let error = error.unwrap_or(Error::HostUnreachable);
            self.done(cx, Err(error));
        }
    }
}

impl Task for Dial {
    fn poll(&mut self, cx: &mut Context, me: TaskId) {
        match self.stage {
            Stage::Begun => self.look_up(cx, me),
            Stage::LookingUp(id) => {
                let outcome = cx.with_task(self.scope.resolver, |resolver, _| resolver.take(id));
                if let Some(outcome) = outcome.flatten() {
                    self.found(cx, outcome);
                }
            }
            Stage::Trying(_) | Stage::Done(_) | Stage::Over => {}
        }
        self.go_on(cx, me);
    }

    fn poll_at(&self) -> Option<Instant> {
        match &self.stage {
            Stage::Trying(attempts) if !attempts.waiting.is_empty() => Some(attempts.next_at),
            Stage::Begun | Stage::LookingUp(_) | Stage::Trying(_) | Stage::Done(_) | Stage::Over => None,
        }
    }

    fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Over)
    }

    fn abort(&mut self, cx: &mut Context) {
        let mut release = |tcp| cx.stack.tcp_release(cx.now, tcp, false);
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Begun | Stage::Done(Err(_)) | Stage::Over => {}
            Stage::LookingUp(id) => {
                cx.with_task(self.scope.resolver, |resolver, cx| resolver.forget(cx, id));
            }
            Stage::Trying(attempts) => attempts.under_way.into_iter().for_each(release),
            Stage::Done(Ok(tcp)) => release(tcp),
        }
    }
}
