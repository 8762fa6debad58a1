//! A question to the directory: one connection, one request, one reply.

use std::net::{Ipv6Addr, SocketAddr};
use std::time::Duration;

use super::wire::{Found, REPLY_BYTES, Request, decode_reply};
use super::{DIRECTORY, DIRECTORY_PORT, SMALL};
use crate::error::{Error, Result};
use crate::node::object::Context;
use crate::node::slab::Id;
use crate::node::stack::Tcp;
use crate::node::task::TaskId;
use crate::node::{Interest, Waiter};
use crate::time::Instant;

/// As long as the answer may take.
const ANSWER: Duration = Duration::from_secs(30);

pub struct Ask {
    tcp: Id<Tcp>,
    /// `None` once it was sent.
    request: Option<Request>,
    pub deadline: Instant,
}

impl Ask {
    pub fn start(cx: &mut Context, request: Request) -> Result<Self> {
        let (now, remote) = (cx.now, SocketAddr::new(DIRECTORY.into(), DIRECTORY_PORT));
        let stack = cx.unix()?;
        let local = stack.tcp_ephemeral(now, Ipv6Addr::UNSPECIFIED.into(), remote)?;
        let tcp = stack.tcp_connect(now, local, remote, &SMALL)?;
        Ok(Self { tcp, request: Some(request), deadline: now + ANSWER })
    }

    /// Goes on; `None` while there is no answer. `me` is polled again when there is more to do.
    pub fn poll(&mut self, cx: &mut Context, me: TaskId) -> Option<Result<Found>> {
        let answer = self.go_on(cx, me);
        match answer {
            Ok(None) if cx.now >= self.deadline => Some(Err(Error::TimedOut)),
            Ok(answer) => answer,
            Err(error) => Some(Err(error)),
        }
    }

    fn go_on(&mut self, cx: &mut Context, me: TaskId) -> Result<Option<Result<Found>>> {
        let tcp = self.tcp;
        let stack = cx.unix()?;
        if let Some(request) = &self.request {
            if !stack.tcp_connected(tcp)? {
                stack.tcp_watch(tcp, Interest::WRITE, Waiter::Task(me));
                return Ok(None);
            }
            // An empty buffer has room for it.
            stack.tcp_write(tcp, &request.encode())?;
            self.request = None;
        }
        let readiness = stack.tcp_readiness(tcp);
        if readiness.read_bytes < REPLY_BYTES {
            if readiness.hangup {
                return Err(Error::ConnectionAborted);
            }
            stack.tcp_watch(tcp, Interest::READ, Waiter::Task(me));
            return Ok(None);
        }
        let mut reply = [0; REPLY_BYTES];
        stack.tcp_read(tcp, &mut reply, false)?;
        Ok(Some(decode_reply(&reply).unwrap_or(Err(Error::ConnectionAborted))))
    }

    /// The connection, which a path that was bound lives as long as.
    pub fn into_lease(self) -> Id<Tcp> {
        self.tcp
    }

    pub fn close(self, cx: &mut Context) {
        let now = cx.now;
        if let Ok(stack) = cx.unix() {
            stack.tcp_release(now, self.tcp, true);
        }
    }
}
