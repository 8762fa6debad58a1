//! A connection after its handshake: the task that goes on while the guest is away.
//!
//! It takes in what comes as soon as it comes, so that what a guest may read is known without reading; it sends on
//! what the carrier did not take at once; and once the guest has let go, it says goodbye.

use std::time::Duration;

use super::engine::{Engine, Inbound};
use crate::error::{Error, Result};
use crate::node::object::{Context, Read, SocketOption};
use crate::node::task::{Task, TaskId};
use crate::node::wake::Watch;
use crate::node::{Interest, Readiness, Waiter};
use crate::time::Instant;

/// How long a closed connection waits for the peer's own end. What the peer still sends is taken and thrown away
/// meanwhile: were it left, the carrier would be reset, and with it perhaps what was written last.
const GOODBYE: Duration = Duration::from_secs(10);

pub(super) struct Session {
    engine: Engine,
    /// Of the connection and its stream, those that the guest has.
    holders: u8,
    watch: Watch,
    /// What every operation answers from now on.
    failed: Option<Error>,
    /// The guest wants to read no more.
    read_shut: bool,
    outbound: Outbound,
    /// Until when the peer's end is waited for; `None` while the guest has it.
    closing: Option<Instant>,
    over: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outbound {
    Open,
    /// The goodbye is among what is unsent.
    Ending,
    /// The carrier has ended too.
    Ended,
}

impl Session {
    pub fn new(engine: Engine) -> Session {
        Session {
            engine,
            holders: 1,
            watch: Watch::default(),
            failed: None,
            read_shut: false,
            outbound: Outbound::Open,
            closing: None,
            over: false,
        }
    }

    /// Goes on with whatever goes without waiting, and waits for the rest.
    fn go_on(&mut self, cx: &mut Context, me: TaskId) {
        if self.over || self.failed.is_some() {
            return;
        }
        if self.closing.is_none()
            && let Err(error) = self.engine.pull(cx)
        {
            self.fail(cx, error);
        } else if let Err(error) = self.push(cx) {
            self.fail(cx, error);
        } else if self.closing.is_some() {
            self.say_goodbye(cx, me);
        } else {
            self.engine.carrier.sleep(cx, self.engine.interest(), me);
        }
        self.watch.fire(self.readiness(), cx.stack.wakes());
    }

    fn push(&mut self, cx: &mut Context) -> Result<()> {
        self.engine.push(cx)?;
        if self.outbound == Outbound::Ending && self.engine.unsent == 0 {
            self.outbound = Outbound::Ended;
            self.engine.carrier.stream.shutdown(cx, false, true)?;
        }
        Ok(())
    }

    /// The carrier is lost, or the peer broke the protocol. What rustls has to say about that is said if it can be.
    fn fail(&mut self, cx: &mut Context, error: Error) {
        // The first error is the one that counts.
        let _ = self.engine.push(cx);
        self.engine.unsent = 0;
        self.failed = Some(error);
        self.engine.carrier.close(cx);
        self.over = true;
    }

    pub fn hold(&mut self) {
        self.holders += 1;
    }

    /// The guest closed the stream, or the connection.
    pub fn release(&mut self, cx: &mut Context, me: TaskId, stream: bool) {
        self.holders = self.holders.saturating_sub(1);
        if self.over || self.closing.is_some() || !(stream || self.holders == 0) {
            return;
        }
        let linger = self.engine.carrier.stream.option(cx, SocketOption::Linger);
        if self.engine.unread > 0 || linger == Ok(0) {
            // What nobody will read: the peer is told so, as TCP tells it (RFC 1122, 4.2.2.13).
            self.engine.carrier.reset(cx);
            self.over = true;
            return;
        }
        self.closing = Some(cx.now + GOODBYE);
        self.end_outbound();
        self.go_on(cx, me);
    }

    fn end_outbound(&mut self) {
        if self.outbound == Outbound::Open {
            self.outbound = Outbound::Ending;
            self.engine.send_close_notify();
        }
    }

    /// Waits for the peer's end, throwing away what comes before it.
    fn say_goodbye(&mut self, cx: &mut Context, me: TaskId) {
        let due = self.closing.is_some_and(|at| at <= cx.now);
        let mut done = due || (self.engine.inbound != Inbound::Open && self.outbound == Outbound::Ended);
        let mut scratch = [0; 4096];
        while !done {
            match self.engine.carrier.read(cx, &mut scratch) {
                Ok(0) => {
                    self.engine.inbound = Inbound::Cut;
                    done = self.outbound == Outbound::Ended;
                    break;
                }
                Ok(_) => {}
                Err(Error::WouldBlock) => break,
                Err(_) => done = true,
            }
        }
        if done {
            self.engine.carrier.close(cx);
            self.over = true;
            return;
        }
        let read = self.engine.inbound == Inbound::Open;
        let interest = Interest { read, write: self.engine.unsent > 0 };
        self.engine.carrier.sleep(cx, interest, me);
    }

    // What the guest's stream does.

    pub fn read(&mut self, cx: &mut Context, me: TaskId, buffer: &mut [u8], peek: bool) -> Result<Read> {
        if self.read_shut || buffer.is_empty() {
            return Ok(Read::default());
        }
        let mut count = 0;
        loop {
            let more = self.engine.read(&mut buffer[count..], peek);
            count += more;
            if peek && more > 0 || count == buffer.len() || self.failed.is_some() {
                break;
            }
            if let Err(error) = self.engine.pull(cx) {
                self.fail(cx, error);
            }
            if self.engine.unread == 0 {
                break;
            }
        }
        // Reading may have made room, and may have called for an answer.
        self.go_on(cx, me);
        match (count, self.failed, self.engine.inbound) {
            (1.., ..) => Ok(Read { count, truncated: false }),
            (0, Some(error), _) => Err(error),
            (0, None, Inbound::Open) => Err(Error::WouldBlock),
            (0, None, Inbound::Ended) => Ok(Read::default()),
            (0, None, Inbound::Cut) => Err(Error::ConnectionReset),
        }
    }

    pub fn write(&mut self, cx: &mut Context, me: TaskId, bytes: &[u8]) -> Result<usize> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        if self.outbound != Outbound::Open {
            return Err(Error::Pipe);
        }
        let count = self.engine.write(bytes);
        if count == 0 && !bytes.is_empty() {
            return Err(Error::WouldBlock);
        }
        self.go_on(cx, me);
        self.failed.map_or(Ok(count), Err)
    }

    pub fn shutdown(&mut self, cx: &mut Context, me: TaskId, read: bool, write: bool) -> Result<()> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        if read {
            self.read_shut = true;
            self.engine.carrier.wake();
            self.engine.carrier.stream.shutdown(cx, true, false)?;
        }
        if write {
            self.end_outbound();
        }
        self.go_on(cx, me);
        Ok(())
    }

    pub fn readiness(&self) -> Readiness {
        let failed = self.failed.is_some();
        let hangup = failed || self.read_shut || self.engine.inbound != Inbound::Open;
        let open = !failed && self.outbound == Outbound::Open;
        let write_bytes = if open { self.engine.room() } else { 0 };
        let read_bytes = if self.read_shut { 0 } else { self.engine.unread };
        Readiness {
            read: read_bytes > 0 || hangup,
            write: !open || write_bytes > 0,
            read_bytes,
            write_bytes,
            hangup,
        }
    }

    /// Wakes at once if what is wanted is there.
    pub fn watch(&mut self, cx: &mut Context, interest: Interest, waiter: Waiter) {
        self.watch.join(interest, waiter);
        self.watch.fire(self.readiness(), cx.stack.wakes());
    }

    pub fn local_address(&self, cx: &Context) -> Result<String> {
        self.engine.carrier.local_address(cx)
    }

    pub fn peer_address(&self, cx: &Context) -> Result<String> {
        self.engine.carrier.peer_address(cx)
    }

    pub fn application_protocol(&self) -> Vec<u8> {
        self.engine.application_protocol().to_vec()
    }

    pub fn option(&self, cx: &Context, option: SocketOption) -> Result<u64> {
        self.engine.carrier.stream.option(cx, option)
    }

    pub fn set_option(&mut self, cx: &mut Context, option: SocketOption, value: u64) -> Result<()> {
        self.engine.carrier.stream.set_option(cx, option, value)
    }
}

impl Task for Session {
    fn poll(&mut self, cx: &mut Context, me: TaskId) {
        self.engine.carrier.wake();
        self.go_on(cx, me);
    }

    fn poll_at(&self) -> Option<Instant> {
        self.closing.filter(|_| !self.over)
    }

    fn is_over(&self) -> bool {
        self.over && self.holders == 0
    }

    fn is_drained(&self) -> bool {
        self.over || self.engine.unsent == 0
    }

    fn abort(&mut self, cx: &mut Context) {
        if !self.over {
            self.engine.carrier.reset(cx);
            self.failed = Some(Error::ConnectionAborted);
            self.over = true;
        }
        self.holders = 0;
    }
}
