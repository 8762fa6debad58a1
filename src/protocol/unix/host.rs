//! Sockets of the host, for paths that a scenario says are the host's: what the directory's node asks of the driver, and
//! what it hears.
//!
//! The core has no file descriptors. A socket of the host is a number here; the driver (`live/`) has the socket, carries out
//! calls and tells news. Its bytes come into the lab at the directory's node, and go on from there as those of any other
//! Unix-domain connection: as TCP, over the network (`bridge.rs`).

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bytes::Bytes;

use crate::error::{Error, Result};
use crate::node::SocketKind;
use crate::node::object::Context;
use crate::node::task::{Task, TaskId};
use crate::time::Instant;

/// Bytes on their way, in each direction of a connection; the last datagram of them may go beyond.
pub const CREDIT_BYTES: usize = 64 * 1024;

/// What a datagram counts in bytes on their way: more than its own, so that empty ones are not for nothing.
pub fn datagram_cost(bytes: usize) -> usize {
    bytes + 64
}

/// Sockets of the host, listening ones included.
const SOCKETS_MAX: usize = 1024;
/// As long as a connection that was made may wait for the guest's own side of it.
const UNCLAIMED: Duration = Duration::from_secs(30);

/// What the driver is to do. Numbers below [`ACCEPTED`] are given out here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostCall {
    /// Connect to the socket `name` of a folder, counted from 1 as the plan has them. Datagrams come from the socket that
    /// `from` listens at, if there is one.
    Connect {
        id: u64,
        kind: SocketKind,
        folder: u16,
        name: String,
        from: Option<u64>,
    },
    /// Listen there. Datagrams of each sender are a connection.
    Listen {
        id: u64,
        kind: SocketKind,
        folder: u16,
        name: String,
    },
    /// At most [`CREDIT_BYTES`] of a connection that were not told to be written; or one datagram.
    Write {
        id: u64,
        bytes: Bytes,
    },
    /// So many more bytes may be told to have come, datagrams by [`datagram_cost`]; at first they are [`CREDIT_BYTES`].
    Read {
        id: u64,
        bytes: usize,
    },
    /// Nothing more will be written.
    Shutdown {
        id: u64,
    },
    Close {
        id: u64,
    },
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostNews {
    /// Connected, or listening.
    Ready { id: u64 },
    /// It could not be, or is gone.
    Failed { id: u64, error: Error },
    /// Somebody connected to `listener`. The connection's number is [`ACCEPTED`] or above, and new.
    Accepted { listener: u64, id: u64 },
    /// Bytes, or one datagram.
    Received { id: u64, bytes: Bytes },
    /// So many bytes are written, or will never be.
    Written { id: u64, bytes: usize },
    /// Nothing more will come.
    Ended { id: u64 },
}

/// The first number of a connection that the driver accepted.
pub const ACCEPTED: u64 = 1 << 63;

impl HostNews {
    /// Whose news it is.
    fn about(&self) -> u64 {
        match self {
            HostNews::Ready { id }
            | HostNews::Failed { id, .. }
            | HostNews::Received { id, .. }
            | HostNews::Written { id, .. }
            | HostNews::Ended { id } => *id,
            HostNews::Accepted { listener, .. } => *listener,
        }
    }
}

/// The task between the directory's other tasks and the driver.
#[derive(Default)]
pub struct Door {
    calls: Vec<HostCall>,
    sockets: BTreeMap<u64, Socket>,
    last: u64,
    /// Connections at the gates that did not say what for, or for nothing that there is.
    pub malformed: u64,
}

struct Socket {
    kind: SocketKind,
    news: VecDeque<HostNews>,
    /// The task that it belongs to; `None` while nobody has come for it.
    owner: Option<TaskId>,
    /// When it is given up if nobody does.
    until: Option<Instant>,
}

impl Door {
    pub fn take_calls(&mut self) -> Vec<HostCall> {
        std::mem::take(&mut self.calls)
    }

    pub fn call(&mut self, call: HostCall) {
        self.calls.push(call);
    }

    /// A socket to be, by what `call` says of its number.
    pub fn open(
        &mut self,
        owner: TaskId,
        kind: SocketKind,
        call: impl FnOnce(u64) -> HostCall,
    ) -> Result<u64> {
        if self.sockets.len() >= SOCKETS_MAX {
            return Err(Error::NoBuffers);
        }
        self.last += 1;
        let id = self.last;
        self.sockets.insert(id, Socket { kind, news: VecDeque::new(), owner: Some(owner), until: None });
        self.calls.push(call(id));
        Ok(id)
    }

    pub fn close(&mut self, id: u64) {
        if self.sockets.remove(&id).is_some() {
            self.calls.push(HostCall::Close { id });
        }
    }

    /// Keeps a socket for whoever comes for it.
    pub fn leave(&mut self, now: Instant, id: u64) {
        if let Some(socket) = self.sockets.get_mut(&id) {
            (socket.owner, socket.until) = (None, Some(now + UNCLAIMED));
        }
    }

    /// Takes a socket of this kind that was left.
    pub fn claim(&mut self, id: u64, kind: SocketKind, owner: TaskId) -> Result<()> {
        match self.sockets.get_mut(&id) {
            Some(socket) if socket.owner.is_none() && socket.kind == kind => {
                (socket.owner, socket.until) = (Some(owner), None);
                Ok(())
            }
            Some(_) | None => Err(Error::NoEntry),
        }
    }

    pub fn next(&mut self, id: u64) -> Option<HostNews> {
        self.sockets.get_mut(&id)?.news.pop_front()
    }

    /// Hands news on to the task that they are for.
    pub fn hear(&mut self, cx: &mut Context, news: HostNews) {
        if let HostNews::Accepted { id, .. } = news {
            let kind = self.sockets.get(&news.about()).map(|listener| listener.kind);
            let Some(kind) = kind.filter(|_| self.sockets.len() < SOCKETS_MAX) else {
                return self.calls.push(HostCall::Close { id });
            };
            let until = Some(cx.now + UNCLAIMED);
            self.sockets.insert(id, Socket { kind, news: VecDeque::new(), owner: None, until });
        }
        // One that is closed already has none.
        let Some(socket) = self.sockets.get_mut(&news.about()) else { return };
        socket.news.push_back(news);
        if let Some(owner) = socket.owner {
            cx.wake_task(owner);
        }
    }
}

impl Task for Door {
    fn poll(&mut self, cx: &mut Context, _: TaskId) {
        let late = |socket: &Socket| socket.until.is_some_and(|until| until <= cx.now);
        let late: Vec<u64> = self.sockets.iter().filter(|(_, s)| late(s)).map(|(id, _)| *id).collect();
        late.into_iter().for_each(|id| self.close(id));
    }

    fn poll_at(&self) -> Option<Instant> {
        self.sockets.values().filter_map(|socket| socket.until).min()
    }

    fn is_over(&self) -> bool {
        false
    }

    fn abort(&mut self, _: &mut Context) {}
}
