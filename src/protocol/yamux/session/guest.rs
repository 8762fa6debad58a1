//! What a guest does with its connection and its streams.

use std::sync::Arc;
use std::task::{Context as Poller, Poll, Waker};

use ::yamux::Stream;

use super::{GOODBYE, Life, Session, WakeStream};
use crate::error::{Error, Result};
use crate::node::object::{Context, SocketOption};
use crate::node::task::TaskId;
use crate::node::{Interest, Readiness, Waiter};
use crate::protocol::yamux::streams::StreamState;

impl Session {
    /// It has one thing less of the session; at the last, that comes to its end.
    pub fn release(&mut self, cx: &mut Context, me: TaskId) {
        self.holders = self.holders.saturating_sub(1);
        if self.holders == 0 && self.life == Life::Open {
            self.life = Life::Closing(cx.now + GOODBYE);
            for id in std::mem::take(&mut self.waiting) {
                self.streams.remove(&id);
            }
        }
        self.go_on(cx, me);
    }

    pub fn stream_create(&mut self, cx: &mut Context, me: TaskId) -> Result<u32> {
        if self.lost().is_some() || self.pipe.lock().peer_goes.is_some() {
            return Err(Error::ConnectionAborted);
        }
        if !self.has_room() {
            self.is_full = true;
            return Err(Error::WouldBlock);
        }
        let waker = Waker::from(Arc::clone(&self.woken));
        let stream = match self.connection.poll_new_outbound(&mut Poller::from_waker(&waker)) {
            Poll::Ready(Ok(stream)) => stream,
            // The peer has not acknowledged 256 of them yet.
            Poll::Pending => {
                self.is_full = true;
                return Err(Error::WouldBlock);
            }
            Poll::Ready(Err(error)) => {
                let error = self.broken(cx, &error);
                self.lose(cx, error);
                return Err(error);
            }
        };
        let id = self.add(stream);
        self.holders += 1;
        self.go_on(cx, me);
        Ok(id)
    }

    pub fn stream_accept(&mut self) -> Result<u32> {
        match (self.waiting.pop_front(), self.lost()) {
            (Some(id), _) => {
                self.holders += 1;
                Ok(id)
            }
            (None, Some(_)) => Err(Error::ConnectionAborted),
            (None, None) if self.pipe.lock().peer_goes.is_some() => Err(Error::ConnectionAborted),
            (None, None) => Err(Error::WouldBlock),
        }
    }

    pub(super) fn has_room(&self) -> bool {
        self.streams.len() < self.streams_max
    }

    pub(super) fn add(&mut self, stream: Stream) -> u32 {
        // The crate shows ids in words alone.
        let id = stream.id().to_string().parse().unwrap_or(0);
        let waker = Waker::from(Arc::new(WakeStream { woken: Arc::clone(&self.woken), stream: id }));
        let mut state = StreamState::new(stream, waker);
        state.go_on();
        self.streams.insert(id, state);
        id
    }

    pub fn stream_close(&mut self, cx: &mut Context, me: TaskId, id: u32) {
        if let Some(stream) = self.streams.get_mut(&id) {
            if stream.close() {
                self.streams.remove(&id);
                self.is_full = false;
                self.fire(cx);
            }
            self.release(cx, me);
        }
    }

    /// Works on a stream, and goes on with what comes of it.
    pub fn with_stream<R>(
        &mut self,
        cx: &mut Context,
        me: TaskId,
        id: u32,
        work: impl FnOnce(&mut StreamState, Option<Error>) -> Result<R>,
    ) -> Result<R> {
        let lost = self.lost();
        let stream = self.streams.get_mut(&id).ok_or(Error::BadDescriptor)?;
        let answer = work(stream, lost);
        self.go_on(cx, me);
        answer
    }

    pub fn stream(&self, id: u32) -> Option<&StreamState> {
        self.streams.get(&id)
    }

    pub fn stream_readiness(&self, id: u32) -> Readiness {
        let gone = Readiness { read: true, write: true, hangup: true, ..Default::default() };
        self.streams.get(&id).map_or(gone, |stream| stream.readiness(self.lost().is_some()))
    }

    /// Wakes at once if what is wanted is there.
    pub fn stream_watch(&mut self, cx: &mut Context, id: u32, interest: Interest, waiter: Waiter) {
        let is_lost = self.lost().is_some();
        if let Some(stream) = self.streams.get_mut(&id) {
            stream.watch.join(interest, waiter);
            stream.watch.fire(stream.readiness(is_lost), cx.stack.wakes());
        }
    }

    pub fn watch(&mut self, cx: &mut Context, interest: Interest, waiter: Waiter) {
        self.watch.join(interest, waiter);
        self.fire(cx);
    }

    /// Of the guest's connection: `stream_accept` reads, and `stream_create` writes.
    pub fn readiness(&self) -> Readiness {
        let is_lost = self.lost().is_some() || self.pipe.lock().peer_goes.is_some();
        Readiness {
            read: is_lost || !self.waiting.is_empty(),
            write: is_lost || !self.is_full,
            read_bytes: self.waiting.len(),
            write_bytes: 0,
            hangup: is_lost,
        }
    }

    pub fn option(&self, cx: &Context, option: SocketOption) -> Result<u64> {
        self.carrier.stream.option(cx, option)
    }
}
