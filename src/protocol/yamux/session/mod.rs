//! A session: the task that moves bytes between the carrier and the crate. What the guest does with it is in `guest.rs`.

mod guest;

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context as Poller, Poll, Wake, Waker};
use std::time::Duration;

use ::yamux::{Config, Connection, ConnectionError, DEFAULT_CREDIT, Mode};
use bytes::Buf;

use super::Settings;
use super::pipe::Pipe;
use super::streams::StreamState;
use crate::error::{Error, Result};
use crate::node::Interest;
use crate::node::object::Context;
use crate::node::task::{Task, TaskId};
use crate::node::wake::Watch;
use crate::protocol::layer::Carrier;
use crate::time::Instant;

/// How long a session that the guest has let go of has to bring what was written to its peer, and to hear its end.
const GOODBYE: Duration = Duration::from_secs(10);

pub(super) struct Session {
    pub carrier: Carrier,
    connection: Connection<Pipe>,
    pipe: Pipe,
    woken: Arc<Woken>,
    /// By their ids on the wire, which are used once each.
    streams: BTreeMap<u32, StreamState>,
    /// Of these, those that the peer opened and nobody accepted.
    waiting: VecDeque<u32>,
    /// At once.
    streams_max: usize,
    /// The last `stream_create` had to wait, and nothing has happened since.
    is_full: bool,
    /// It has the connection, or streams of it.
    holders: usize,
    watch: Watch,
    life: Life,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    Open,
    /// Nobody has it; what was written goes out, until this instant.
    Closing(Instant),
    /// Our end is on its way, and the peer's is waited for.
    Ending(Instant),
    Lost(Error),
    Over,
}

/// Who has something to do since this was last taken.
#[derive(Debug, Default)]
struct Woken {
    connection: AtomicBool,
    streams: Mutex<Vec<u32>>,
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.connection.store(true, Ordering::Relaxed);
    }
}

struct WakeStream {
    woken: Arc<Woken>,
    stream: u32,
}

impl Wake for WakeStream {
    fn wake(self: Arc<Self>) {
        self.woken.streams.lock().unwrap_or_else(PoisonError::into_inner).push(self.stream);
    }
}

impl Session {
    pub fn new(carrier: Carrier, mode: Mode, settings: Settings) -> Session {
        let mut config = Config::default();
        // The crate ends the whole session at its own bound, and counts streams that are about to go: it is never met by who
        // keeps to ours.
        let streams_max = settings.streams as usize;
        let crate_max = 2 * streams_max + 16;
        config.set_max_num_streams(crate_max);
        // Windows never grow, so this is what they all are together.
        config.set_max_connection_receive_window(Some(crate_max * DEFAULT_CREDIT as usize));
        let pipe = Pipe::default();
        let (woken, streams, waiting, watch) = Default::default();
        Session {
            carrier,
            connection: Connection::new(pipe.clone(), config, mode),
            pipe,
            woken,
            streams,
            waiting,
            streams_max,
            is_full: false,
            holders: 1,
            watch,
            life: Life::Open,
        }
    }

    fn lost(&self) -> Option<Error> {
        match self.life {
            Life::Open | Life::Closing(_) => None,
            Life::Ending(_) | Life::Over => Some(Error::ConnectionAborted),
            Life::Lost(error) => Some(error),
        }
    }

    /// Moves whatever moves without waiting, and waits for the rest.
    fn go_on(&mut self, cx: &mut Context, me: TaskId) {
        while matches!(self.life, Life::Open | Life::Closing(_)) {
            let mut moved = false;
            let step = self.take_in(cx).and_then(|count| {
                moved |= count > 0;
                let turned = self.turn(cx);
                // What the last frames did to streams counts, whether more can come or not.
                moved |= self.turn_streams(cx);
                moved |= turned? | self.send(cx)?;
                Ok(())
            });
            if let Err(error) = step {
                self.lose(cx, error);
            } else if !moved {
                self.close_if_flushed(cx);
                break;
            }
        }
        if let Life::Ending(deadline) = self.life {
            self.say_goodbye(cx, deadline);
        }
        if matches!(self.life, Life::Open | Life::Closing(_) | Life::Ending(_)) {
            let buffers = self.pipe.lock();
            let read = buffers.room() > 0 && !buffers.ended;
            let interest = Interest { read, write: !buffers.outbound.is_empty() };
            drop(buffers);
            self.carrier.sleep(cx, interest, me);
        }
    }

    /// From the carrier to the crate.
    fn take_in(&mut self, cx: &mut Context) -> Result<usize> {
        let mut taken = 0;
        let mut chunk = [0; 4096];
        loop {
            let room = self.pipe.lock().room().min(chunk.len());
            if room == 0 || self.pipe.lock().ended {
                return Ok(taken);
            }
            match self.carrier.read(cx, &mut chunk[..room]) {
                Ok(0) => self.pipe.lock().ended = true,
                Ok(count) => {
                    self.pipe.lock().inbound.extend_from_slice(&chunk[..count]);
                    taken += count;
                }
                Err(Error::WouldBlock) => return Ok(taken),
                Err(error) => return Err(error),
            }
        }
    }

    /// From the crate to the carrier.
    fn send(&mut self, cx: &mut Context) -> Result<bool> {
        let mut buffers = self.pipe.lock();
        let mut moved = false;
        while !buffers.outbound.is_empty() {
            match self.carrier.write(cx, &buffers.outbound) {
                Ok(count) => buffers.outbound.advance(count),
                Err(Error::WouldBlock) => break,
                Err(error) => return Err(error),
            }
            moved = true;
        }
        Ok(moved)
    }

    /// Has the crate do what it can. True if there may be more.
    fn turn(&mut self, cx: &mut Context) -> Result<bool> {
        let waker = Waker::from(Arc::clone(&self.woken));
        self.woken.connection.store(false, Ordering::Relaxed);
        match self.connection.poll_next_inbound(&mut Poller::from_waker(&waker)) {
            Poll::Ready(Some(Ok(stream))) => {
                // One too many, or one that comes when nobody is there any more, is dropped, and so reset.
                if self.life == Life::Open && self.has_room() {
                    let id = self.add(stream);
                    self.waiting.push_back(id);
                    self.fire(cx);
                }
                Ok(true)
            }
            Poll::Ready(Some(Err(error))) => Err(self.broken(cx, &error)),
            Poll::Ready(None) => Err(self.ended(cx)),
            Poll::Pending => {
                if let Some(code @ 1..) = self.pipe.lock().we_go {
                    self.remark(cx, || format!("the peer breaks the protocol (code {code})"));
                    return Err(Error::Protocol);
                }
                Ok(self.woken.connection.load(Ordering::Relaxed))
            }
        }
    }

    fn broken(&self, cx: &mut Context, error: &ConnectionError) -> Error {
        self.remark(cx, || error.to_string());
        Error::Protocol
    }

    fn ended(&self, cx: &mut Context) -> Error {
        match self.pipe.lock().peer_goes {
            Some(0) => Error::ConnectionAborted,
            Some(code) => {
                self.remark(cx, || format!("the peer ends the session (code {code})"));
                Error::ConnectionReset
            }
            None if self.streams.is_empty() => Error::ConnectionAborted,
            None => {
                self.remark(cx, || "the peer left without a goodbye".to_owned());
                Error::ConnectionReset
            }
        }
    }

    /// Streams that something happened to. True if there were any.
    fn turn_streams(&mut self, cx: &mut Context) -> bool {
        let resets = std::mem::take(&mut self.pipe.lock().resets);
        let woken = std::mem::take(&mut *self.woken.streams.lock().unwrap_or_else(PoisonError::into_inner));
        let some = !woken.is_empty() || !resets.is_empty();
        for id in resets {
            if let Some(stream) = self.streams.get_mut(&id) {
                stream.reset();
            }
            self.settle(cx, id);
        }
        for id in woken {
            if let Some(stream) = self.streams.get_mut(&id) {
                stream.go_on();
            }
            self.settle(cx, id);
        }
        if some || self.woken.connection.load(Ordering::Relaxed) {
            self.is_full = false;
            self.fire(cx);
        }
        some
    }

    /// Wakes who waits for a stream, or lets go of it if nobody has it.
    fn settle(&mut self, cx: &mut Context, id: u32) {
        let is_lost = self.lost().is_some();
        let Some(stream) = self.streams.get_mut(&id) else { return };
        if stream.is_done() {
            self.streams.remove(&id);
        } else {
            stream.watch.fire(stream.readiness(is_lost), cx.stack.wakes());
        }
    }

    fn lose(&mut self, cx: &mut Context, error: Error) {
        // The reason goes out if it can.
        let _ = self.send(cx);
        self.carrier.close(cx);
        self.life = if matches!(self.life, Life::Closing(_)) { Life::Over } else { Life::Lost(error) };
        // The crate lets its streams end, those that nobody accepted too.
        let waker = Waker::from(Arc::clone(&self.woken));
        let _ = self.connection.poll_close(&mut Poller::from_waker(&waker));
        for stream in self.streams.values_mut() {
            stream.go_on();
            stream.watch.fire(stream.readiness(true), cx.stack.wakes());
        }
        self.fire(cx);
    }

    /// Nobody has it, and all that was written is on its way: so is our end now.
    fn close_if_flushed(&mut self, cx: &mut Context) {
        let Life::Closing(deadline) = self.life else { return };
        let flushed =
            self.streams.values().all(StreamState::is_flushed) && self.pipe.lock().outbound.is_empty();
        if deadline <= cx.now {
            self.carrier.reset(cx);
            self.life = Life::Over;
        } else if flushed {
            let waker = Waker::from(Arc::clone(&self.woken));
            // It waits for room in the pipe alone, and that is empty.
            let _ = self.connection.poll_close(&mut Poller::from_waker(&waker));
            self.streams.clear();
            self.life = Life::Ending(deadline);
        }
    }

    /// Brings our end out, and waits for the peer's, throwing away what comes before it: were that left, the carrier would be
    /// reset, and with it perhaps what was written last.
    fn say_goodbye(&mut self, cx: &mut Context, deadline: Instant) {
        let mut scratch = [0; 4096];
        let sent = self.send(cx);
        let mut done = sent.is_err() || deadline <= cx.now;
        if !done && self.pipe.lock().outbound.is_empty() {
            done = self.carrier.stream.shutdown(cx, false, true).is_err();
        }
        while !done && !self.pipe.lock().ended {
            match self.carrier.read(cx, &mut scratch) {
                Ok(0) => self.pipe.lock().ended = true,
                Ok(_) => {}
                Err(Error::WouldBlock) => break,
                Err(_) => done = true,
            }
        }
        let buffers = self.pipe.lock();
        if done || buffers.ended && buffers.outbound.is_empty() {
            drop(buffers);
            self.carrier.close(cx);
            self.life = Life::Over;
        }
    }

    fn fire(&mut self, cx: &mut Context) {
        self.watch.fire(self.readiness(), cx.stack.wakes());
    }

    fn remark(&self, cx: &mut Context, what: impl FnOnce() -> String) {
        let peer = self.carrier.peer_address(cx).unwrap_or_default();
        cx.journal.remark(|| format!("yamux with {peer}: {}", what()));
    }
}

impl Task for Session {
    fn poll(&mut self, cx: &mut Context, me: TaskId) {
        self.carrier.wake();
        self.go_on(cx, me);
    }

    fn poll_at(&self) -> Option<Instant> {
        match self.life {
            Life::Closing(at) | Life::Ending(at) => Some(at),
            Life::Open | Life::Lost(_) | Life::Over => None,
        }
    }

    fn is_over(&self) -> bool {
        matches!(self.life, Life::Lost(_) | Life::Over) && self.holders == 0
    }

    fn is_drained(&self) -> bool {
        match self.life {
            Life::Open | Life::Closing(_) | Life::Ending(_) => {
                self.pipe.lock().outbound.is_empty() && self.streams.values().all(StreamState::is_flushed)
            }
            Life::Lost(_) | Life::Over => true,
        }
    }

    fn abort(&mut self, cx: &mut Context) {
        if !matches!(self.life, Life::Lost(_) | Life::Over) {
            self.carrier.reset(cx);
            self.life = Life::Over;
        }
        self.holders = 0;
    }
}
