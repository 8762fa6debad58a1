//! The task that connects: asks the directory for a path, connects to where it is bound, and says hello there.

use std::net::{Ipv6Addr, SocketAddr};

use super::ask::Ask;
use super::path::UnixPath;
use super::wire::{Found, Hello, Request};
use crate::error::{Error, Result};
use crate::node::object::Context;
use crate::node::slab::Id;
use crate::node::stack::{Tcp, TcpOptions};
use crate::node::task::{Task, TaskId};
use crate::node::wake::Watch;
use crate::node::{Interest, Readiness, Waiter};
use crate::time::Instant;

pub struct Dial {
    state: State,
    target: UnixPath,
    own: Option<UnixPath>,
    kind: crate::node::SocketKind,
    options: TcpOptions,
    pub watch: Watch,
}

enum State {
    Finding(Ask),
    Connecting(Id<Tcp>, Hello),
    Done(Result<Id<Tcp>>),
    Over,
}

impl Dial {
    pub fn start(
        cx: &mut Context,
        request: Request,
        own: Option<UnixPath>,
        target: UnixPath,
        options: TcpOptions,
    ) -> Result<Self> {
        let kind = request.kind;
        let state = State::Finding(Ask::start(cx, request)?);
        Ok(Self { state, target, own, kind, options, watch: Watch::default() })
    }

    pub fn is_done(&self) -> bool {
        matches!(self.state, State::Done(_))
    }

    /// The connection once, when it is there.
    pub fn take(&mut self) -> Result<Id<Tcp>> {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Done(outcome) => outcome,
            other => {
                self.state = other;
                Err(Error::InProgress)
            }
        }
    }

    pub fn give_up(&mut self, cx: &mut Context) {
        let now = cx.now;
        match std::mem::replace(&mut self.state, State::Over) {
            State::Finding(ask) => ask.close(cx),
            State::Connecting(tcp, _) | State::Done(Ok(tcp)) => {
                if let Ok(stack) = cx.unix() {
                    stack.tcp_release(now, tcp, true);
                }
            }
            State::Done(Err(_)) | State::Over => {}
        }
    }

    fn finish(&mut self, cx: &mut Context, outcome: Result<Id<Tcp>>) {
        if let Err(error) = outcome {
            let target = &self.target;
            cx.journal.remark(|| format!("no connection to {target}: {error}"));
        }
        self.state = State::Done(outcome);
        self.watch.fire(Readiness { write: true, ..Default::default() }, cx.stack.wakes());
    }

    fn connect(&mut self, cx: &mut Context, found: Found) -> Result<()> {
        let remote = SocketAddr::new(found.address.into(), found.port);
        let (now, options) = (cx.now, self.options);
        let stack = cx.unix()?;
        let local = stack.tcp_ephemeral(now, Ipv6Addr::UNSPECIFIED.into(), remote)?;
        let tcp = stack.tcp_connect(now, local, remote, &options)?;
        let (own, target) = (self.own.clone(), self.target.clone());
        self.state = State::Connecting(tcp, Hello { kind: self.kind, own, target, token: found.token });
        Ok(())
    }

    /// `Ok(false)` while it is under way.
    fn greet(cx: &mut Context, me: TaskId, tcp: Id<Tcp>, hello: &Hello) -> Result<bool> {
        let stack = cx.unix()?;
        if !stack.tcp_connected(tcp)? {
            stack.tcp_watch(tcp, Interest::WRITE, Waiter::Task(me));
            return Ok(false);
        }
        // An empty buffer has room for it.
        stack.tcp_write(tcp, &hello.encode())?;
        Ok(true)
    }
}

impl Task for Dial {
    fn poll(&mut self, cx: &mut Context, me: TaskId) {
        if let State::Finding(ask) = &mut self.state {
            let Some(answer) = ask.poll(cx, me) else { return };
            if let State::Finding(ask) = std::mem::replace(&mut self.state, State::Over) {
                ask.close(cx);
            }
            if let Err(error) = answer.and_then(|found| self.connect(cx, found)) {
                return self.finish(cx, Err(error));
            }
        }
        if let State::Connecting(tcp, hello) = &self.state {
            let tcp = *tcp;
            match Self::greet(cx, me, tcp, hello) {
                Ok(false) => {}
                Ok(true) => self.finish(cx, Ok(tcp)),
                Err(error) => {
                    let now = cx.now;
                    if let Ok(stack) = cx.unix() {
                        stack.tcp_release(now, tcp, true);
                    }
                    self.finish(cx, Err(error));
                }
            }
        }
    }

    fn poll_at(&self) -> Option<Instant> {
        match &self.state {
            State::Finding(ask) => Some(ask.deadline),
            // The stack's own time-out ends it.
            State::Connecting(..) | State::Done(_) | State::Over => None,
        }
    }

    fn is_over(&self) -> bool {
        matches!(self.state, State::Over)
    }

    fn abort(&mut self, cx: &mut Context) {
        self.give_up(cx);
    }
}
