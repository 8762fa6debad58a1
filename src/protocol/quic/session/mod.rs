//! One connection: what quinn-proto tells of it. What the guest does with it is in `guest.rs`, and in `datagrams.rs` for a
//! connection of datagrams.

mod datagrams;
mod guest;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use quinn_proto::crypto::rustls::HandshakeData;
use quinn_proto::{Connection, ConnectionHandle, Endpoint, Event, StreamEvent, StreamId, VarInt};

use super::streams::Streams;
use super::words::{error, words};
use crate::error::Error;
use crate::node::SocketKind;
use crate::node::object::Context;
use crate::node::wake::Watch;
use crate::time::Instant;
use datagrams::Datagrams;

/// How long a connection that the guest closed has to bring what was written to its peer.
const GOODBYE: Duration = Duration::from_secs(10);

pub(super) struct Session {
    /// It is kilobytes, which tables of sessions would move about.
    pub connection: Box<Connection>,
    pub handle: ConnectionHandle,
    pub kind: SocketKind,
    life: Life,
    /// Where the peer is, as far as paths are concerned.
    pub remote: SocketAddr,
    /// It has the connection or streams of it.
    pub holders: usize,
    /// Of the guest's connection.
    pub watch: Watch,
    pub streams: Streams,
    /// Streams that the peer opened and nobody accepted.
    waiting: VecDeque<StreamId>,
    /// Streams that the guest opens go one way.
    pub unidirectional: bool,
    /// The peer takes no more streams for now.
    is_full: bool,
    datagrams: Datagrams,
    /// In the hub's lists: something is to be done, and when something will be.
    pub dirty: bool,
    pub timer: Option<Instant>,
    /// Among the hub's handshakes.
    pub is_counted: bool,
    /// quinn-proto has forgotten it.
    is_drained: bool,
    is_early: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    /// Given up at this instant.
    Handshaking(Instant),
    /// The guest has it, or may have it; who the peer is has not been shown. Given up at this instant.
    Early(Instant),
    Open,
    /// Nobody has it; closed at this instant, or when everything is acknowledged.
    Closing(Instant),
    Lost(Error),
}
/// What came of a handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Ready,
    Failed(Error),
}

impl Session {
    pub fn new(
        mut connection: Connection,
        handle: ConnectionHandle,
        kind: SocketKind,
        deadline: Instant,
    ) -> Session {
        let remote = connection.remote_address();
        let (holders, watch, streams, waiting) = Default::default();
        let datagrams = Datagrams::of(&mut connection);
        Session {
            connection: Box::new(connection),
            handle,
            kind,
            life: Life::Handshaking(deadline),
            remote,
            holders,
            watch,
            streams,
            waiting,
            unidirectional: false,
            is_full: false,
            datagrams,
            dirty: false,
            timer: None,
            is_counted: true,
            is_drained: false,
            is_early: false,
        }
    }

    /// A client that may speak before the handshake's end does not wait for it.
    pub fn begin_early(&mut self) -> bool {
        self.is_early = self.connection.has_0rtt();
        if self.is_early {
            self.go_early();
        }
        self.is_early
    }

    /// What the handshake has agreed on so far: the application protocol, and of a server the name that it was asked for.
    pub fn agreed(&self) -> Option<HandshakeData> {
        let data = self.connection.crypto_session().handshake_data()?;
        data.downcast::<HandshakeData>().ok().map(|data| *data)
    }

    fn go_early(&mut self) {
        match self.life {
            Life::Handshaking(deadline) => self.life = Life::Early(deadline),
            Life::Early(_) | Life::Open | Life::Closing(_) | Life::Lost(_) => {}
        }
    }

    pub fn is_handshaking(&self) -> bool {
        matches!(self.life, Life::Handshaking(_))
    }

    /// Who the peer is has not been shown yet, whether the guest has the connection or not.
    pub fn is_unconfirmed(&self) -> bool {
        match self.life {
            Life::Handshaking(_) | Life::Early(_) => true,
            Life::Closing(_) => self.connection.is_handshaking(),
            Life::Open | Life::Lost(_) => false,
        }
    }

    /// Nothing is left of it but what the guest still has.
    pub fn is_gone(&self) -> bool {
        self.is_drained && self.holders == 0
    }

    pub fn lost(&self) -> Option<Error> {
        match self.life {
            Life::Handshaking(_) | Life::Early(_) | Life::Open | Life::Closing(_) => None,
            Life::Lost(error) => Some(error),
        }
    }

    /// Lost before anybody accepted it, with nothing left to be read.
    pub fn is_spent(&self) -> bool {
        self.lost().is_some() && self.waiting.is_empty() && self.datagrams.ahead.is_none()
    }

    /// What was written waits to be acknowledged, or the connection to be closed.
    pub fn is_finished(&self) -> bool {
        self.connection.is_closed()
    }

    /// When something is due.
    pub fn due(&mut self) -> Option<Instant> {
        if self.is_drained {
            return None;
        }
        let own = match self.life {
            Life::Handshaking(at) | Life::Early(at) | Life::Closing(at) if !self.connection.is_closed() => {
                Some(at)
            }
            Life::Handshaking(_) | Life::Early(_) | Life::Open | Life::Closing(_) | Life::Lost(_) => None,
        };
        let timeout = self.connection.poll_timeout().map(Instant::from_std);
        [own, timeout].into_iter().flatten().min()
    }

    /// Does what is due, and takes in what the connection has to tell.
    pub fn turn(&mut self, cx: &mut Context, endpoint: &mut Endpoint) -> Option<Outcome> {
        let now = cx.now.to_std();
        if !self.is_drained && self.connection.poll_timeout().is_some_and(|at| at <= now) {
            self.connection.handle_timeout(now);
        }
        let mut outcome = self.events(cx, endpoint);
        match self.life {
            Life::Handshaking(deadline) | Life::Early(deadline) if deadline <= cx.now => {
                self.remark(cx, || "no handshake in time".to_owned());
                outcome = self.give_up(cx, Error::TimedOut).or(outcome);
            }
            Life::Handshaking(_) | Life::Early(_) | Life::Open | Life::Closing(_) | Life::Lost(_) => {}
        }
        outcome
    }

    /// Closes a connection that nobody has once all that was written is through, or it is too late. True if that is
    /// to be sent.
    pub fn finish(&mut self, now: Instant) -> bool {
        match self.life {
            Life::Closing(deadline) if !self.connection.is_closed() => {
                let is_sent = self.connection.streams().send_streams() == 0
                    && self.connection.datagrams().send_buffer_space() >= self.datagrams.room;
                let is_over = is_sent || deadline <= now;
                if is_over {
                    self.connection.close(now.to_std(), VarInt::from_u32(0), Bytes::new());
                }
                is_over
            }
            Life::Handshaking(_) | Life::Early(_) | Life::Open | Life::Closing(_) | Life::Lost(_) => false,
        }
    }

    /// Everything that quinn-proto has to tell, until it has nothing more.
    pub fn events(&mut self, cx: &mut Context, endpoint: &mut Endpoint) -> Option<Outcome> {
        let mut outcome = None;
        loop {
            let mut is_quiet = true;
            while let Some(event) = self.connection.poll_endpoint_events() {
                is_quiet = false;
                // Once it was forgotten, its handle is another's.
                if self.is_drained {
                    continue;
                }
                self.is_drained = event.is_drained();
                if let Some(answer) = endpoint.handle_event(self.handle, event) {
                    self.connection.handle_event(answer);
                }
            }
            while let Some(event) = self.connection.poll() {
                is_quiet = false;
                outcome = self.take(cx, event).or(outcome);
            }
            if is_quiet {
                return outcome;
            }
        }
    }

    fn take(&mut self, cx: &mut Context, event: Event) -> Option<Outcome> {
        match event {
            Event::HandshakeDataReady => {}
            Event::Connected => {
                self.remark(cx, || "connected".to_owned());
                if self.is_early && !self.connection.accepted_0rtt() {
                    self.refuse_early(cx);
                }
                match self.life {
                    Life::Handshaking(_) => {
                        self.life = Life::Open;
                        return Some(Outcome::Ready);
                    }
                    Life::Early(_) => self.life = Life::Open,
                    Life::Open | Life::Closing(_) | Life::Lost(_) => {}
                }
            }
            Event::ConnectionLost { reason } => {
                self.remark(cx, || words(&reason));
                return self.lose(cx, error(&reason));
            }
            Event::Stream(event) => {
                self.take_stream(cx, event);
                return self.open_early(cx);
            }
            Event::DatagramReceived => {
                self.pull_datagram();
                self.datagrams.watch.fire(self.datagram_readiness(), cx.stack.wakes());
                self.fire(cx);
                return self.open_early(cx);
            }
            Event::DatagramsUnblocked => {
                self.datagrams.is_full = false;
                self.datagrams.watch.fire(self.datagram_readiness(), cx.stack.wakes());
            }
        }
        None
    }

    /// Before the handshake's end only early data comes, and that only where the scenario has it: its reader need not wait.
    fn open_early(&mut self, cx: &mut Context) -> Option<Outcome> {
        if !self.is_handshaking() || self.connection.side().is_client() {
            return None;
        }
        self.remark(cx, || "early data".to_owned());
        self.go_early();
        Some(Outcome::Ready)
    }

    fn take_stream(&mut self, cx: &mut Context, event: StreamEvent) {
        let is_lost = self.lost().is_some();
        match event {
            StreamEvent::Opened { dir } => {
                while let Some(id) = self.connection.streams().accept(dir) {
                    self.waiting.push_back(id);
                }
                self.refuse_if_closing();
                self.fire(cx);
            }
            StreamEvent::Readable { id } => {
                if let Some(stream) = self.streams.by_id(id) {
                    stream.pull(&mut self.connection);
                    stream.watch.fire(stream.readiness(is_lost), cx.stack.wakes());
                }
            }
            StreamEvent::Writable { id } => {
                if let Some(stream) = self.streams.by_id(id) {
                    stream.has_room();
                    stream.watch.fire(stream.readiness(is_lost), cx.stack.wakes());
                }
            }
            StreamEvent::Stopped { id, .. } => match self.streams.by_id(id) {
                Some(stream) => {
                    stream.stopped(&mut self.connection);
                    stream.watch.fire(stream.readiness(is_lost), cx.stack.wakes());
                }
                // The guest has closed it already: what it wrote is wanted by nobody.
                None => {
                    let _ = self.connection.send_stream(id).reset(VarInt::from_u32(0));
                }
            },
            StreamEvent::Finished { .. } => {}
            StreamEvent::Available { .. } => {
                self.is_full = false;
                self.fire(cx);
            }
        }
    }

    /// Closes it and takes it for lost. Says what became of the handshake, if somebody waits for that.
    pub fn give_up(&mut self, cx: &mut Context, error: Error) -> Option<Outcome> {
        self.connection.close(cx.now.to_std(), VarInt::from_u32(0), Bytes::new());
        self.lose(cx, error)
    }

    fn lose(&mut self, cx: &mut Context, error: Error) -> Option<Outcome> {
        let was_handshaking = self.is_handshaking();
        self.life = Life::Lost(error);
        self.pull_datagram();
        for stream in self.streams.iter_mut() {
            stream.pull(&mut self.connection);
            stream.watch.fire(stream.readiness(true), cx.stack.wakes());
        }
        self.datagrams.watch.fire(self.datagram_readiness(), cx.stack.wakes());
        self.fire(cx);
        was_handshaking.then_some(Outcome::Failed(error))
    }

    /// The server would have none of what was sent early: what was opened then is not known to it.
    fn refuse_early(&mut self, cx: &mut Context) {
        self.remark(cx, || "early data was refused".to_owned());
        for stream in self.streams.iter_mut() {
            stream.fail();
            stream.watch.fire(stream.readiness(false), cx.stack.wakes());
        }
        self.streams.forget_ids();
    }

    /// Wakes who waits for the connection, if it has what is waited for.
    pub fn fire(&mut self, cx: &mut Context) {
        let readiness = self.readiness();
        self.watch.fire(readiness, cx.stack.wakes());
    }

    pub fn remark(&self, cx: &mut Context, what: impl FnOnce() -> String) {
        cx.journal.remark(|| format!("quic with {}: {}", self.remote, what()));
    }
}
