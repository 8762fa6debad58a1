//! The task that keeps a path bound: the directory lets go of it when the connection ends that asked for it.

use super::ask::Ask;
use super::wire::Request;
use crate::error::{Error, Result};
use crate::node::object::Context;
use crate::node::slab::Id;
use crate::node::stack::Tcp;
use crate::node::task::{Task, TaskId};
use crate::node::wake::Watch;
use crate::node::{Interest, Readiness, Waiter};
use crate::time::Instant;

pub struct Lease {
    state: State,
    path: String,
    pub watch: Watch,
}

enum State {
    Asking(Ask),
    Held(Id<Tcp>),
    Failed(Error),
    Over,
}

impl Lease {
    pub fn start(cx: &mut Context, request: Request) -> Result<Self> {
        let path = request.place.path.to_string();
        Ok(Self { state: State::Asking(Ask::start(cx, request)?), path, watch: Watch::default() })
    }

    /// Whether the path is bound; `WouldBlock` while the directory has not answered.
    pub fn bound(&self) -> Result<()> {
        match &self.state {
            State::Asking(_) => Err(Error::WouldBlock),
            State::Held(_) => Ok(()),
            State::Failed(error) => Err(*error),
            State::Over => Err(Error::BadDescriptor),
        }
    }

    pub fn release(&mut self, cx: &mut Context) {
        let now = cx.now;
        match std::mem::replace(&mut self.state, State::Over) {
            State::Asking(ask) => ask.close(cx),
            State::Held(tcp) => {
                if let Ok(stack) = cx.unix() {
                    stack.tcp_release(now, tcp, true);
                }
            }
            State::Failed(_) | State::Over => {}
        }
    }

    fn settle(&mut self, cx: &mut Context, state: State) {
        self.state = state;
        let readiness = Readiness { read: true, write: true, ..Default::default() };
        self.watch.fire(readiness, cx.stack.wakes());
    }
}

impl Task for Lease {
    fn poll(&mut self, cx: &mut Context, me: TaskId) {
        if let State::Asking(ask) = &mut self.state {
            let Some(answer) = ask.poll(cx, me) else { return };
            let State::Asking(ask) = std::mem::replace(&mut self.state, State::Over) else { return };
            match answer {
                Ok(_) => {
                    let tcp = ask.into_lease();
                    self.settle(cx, State::Held(tcp));
                }
                Err(error) => {
                    ask.close(cx);
                    let path = &self.path;
                    cx.journal.remark(|| format!("{path} cannot be bound: {error}"));
                    self.settle(cx, State::Failed(error));
                }
            }
        }
        if let State::Held(tcp) = self.state
            && let Ok(stack) = cx.unix()
        {
            if !stack.tcp_readiness(tcp).hangup {
                return stack.tcp_watch(tcp, Interest::READ, Waiter::Task(me));
            }
            let path = &self.path;
            cx.journal.remark(|| format!("{path} is not bound any more: the directory let go of it"));
            self.release(cx);
            self.settle(cx, State::Failed(Error::ConnectionAborted));
        }
    }

    fn poll_at(&self) -> Option<Instant> {
        match &self.state {
            State::Asking(ask) => Some(ask.deadline),
            State::Held(_) | State::Failed(_) | State::Over => None,
        }
    }

    fn is_over(&self) -> bool {
        matches!(self.state, State::Over)
    }

    fn abort(&mut self, cx: &mut Context) {
        self.release(cx);
    }
}
