//! Sockets of datagrams of the host, in the folders that a scenario grants.
//!
//! A guest that connects without a path has a socket of its own here, connected to its peer; the kernel names it, so that it can
//! be answered. One that has bound a path has one socket for all its peers, told apart by the names of their own sockets.
//! That socket has one queue, as the kernel has it: while a guest leaves datagrams of one peer unread, all of them wait, and
//! nothing is lost.
//!
//! Names are text, which says nothing without the folder that it is relative to. A peer is answered if its name is that of a
//! socket in the folder that was granted, or an abstract one; all others are one flow, and cannot be.

use std::collections::{BTreeMap, VecDeque};
use std::ffi::OsStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use nix::errno::Errno;
use nix::poll::PollFlags;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockType, UnixAddr, bind, connect, recv, recvfrom, send, sendto,
    socket,
};

use super::sockets::{Made, Pinned, Socket, Sockets, socket_file};
use crate::error::Error;
use crate::protocol::unix::host::{CREDIT_BYTES, HostNews, datagram_cost};
use crate::time::Instant;
use crate::world::World;

/// As long as the guest ABI has them, and one byte more, so that a longer one is told from it.
const BUFFER_BYTES: usize = 65_535 + 1;
/// Datagrams taken from one socket before the world has its turn.
const BURST: usize = 16;
/// Peers of one socket at once; the datagrams of others wait.
const FLOWS_MAX: usize = 256;
/// The kernel does not tell when a peer has room that this socket is not connected to.
const RETRY: Duration = Duration::from_millis(5);

/// A socket at a path, which a guest has bound.
pub(super) struct Bound {
    socket: OwnedFd,
    made: Made,
    /// Flows by their peers' names.
    flows: BTreeMap<Vec<u8>, u64>,
    /// A datagram that its flow had no room for, and its peer's name.
    waiting: Option<(Vec<u8>, Bytes)>,
}

/// Datagrams exchanged with one peer.
pub(super) struct Flow {
    way: Way,
    unsent: VecDeque<Bytes>,
    /// What may be told to have come; the last datagram may have gone below.
    credit: i64,
}

enum Way {
    /// By a socket of its own.
    Connected(OwnedFd),
    /// By the socket with this number.
    Shared { bound: u64, peer: Peer },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Peer {
    /// Has no name that would lead to it.
    Nameless,
    Abstract(UnixAddr),
    /// A socket in the folder.
    File(UnixAddr),
}

fn open() -> Result<OwnedFd, Errno> {
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    socket(AddressFamily::Unix, SockType::Datagram, flags, None)
}

/// What the kernel says whom a datagram is from; empty for one without a name.
fn name(address: Option<UnixAddr>) -> Vec<u8> {
    let Some(address) = address else { return Vec::new() };
    match (address.path(), address.as_abstract()) {
        (Some(path), _) => path.as_os_str().as_bytes().to_vec(),
        (None, Some(name)) => [&[0], name].concat(),
        (None, None) => Vec::new(),
    }
}

impl Peer {
    /// Who has this name, for a socket in `folder`.
    fn named(name: &[u8], folder: &Path) -> Peer {
        if let [0, name @ ..] = name {
            return UnixAddr::new_abstract(name).map_or(Peer::Nameless, Peer::Abstract);
        }
        let path = Path::new(OsStr::from_bytes(name));
        let here = path.file_name().map(|file_name| folder.join(file_name));
        let found = here.and_then(|here| {
            let socket = socket_file(&here)?;
            // The same file, and not another of its name.
            (socket_file(path) == Some(socket)).then_some(Peer::File(UnixAddr::new(&here).ok()?))
        });
        found.unwrap_or(Peer::Nameless)
    }
}

impl Bound {
    /// At `path`, which others shall know as `name`: they answer to what the kernel tells them, and nothing that begins with
    /// /proc/self would lead them here.
    pub fn new(path: PathBuf, name: &Path) -> Result<Self, Errno> {
        let socket = open()?;
        bind(socket.as_raw_fd(), &UnixAddr::new(name)?)?;
        let named = Made::new(name.to_owned())?;
        if socket_file(&path).is_none_or(|made| socket_file(name) != Some(made)) {
            // The folder is elsewhere by now, and another where it was.
            named.remove();
            return Err(Errno::ENOENT);
        }
        Ok(Self { socket, made: Made::new(path)?, flows: BTreeMap::new(), waiting: None })
    }

    pub fn made(&self) -> &Made {
        &self.made
    }

    pub fn source(&self) -> (BorrowedFd<'_>, PollFlags) {
        let flags = if self.waiting.is_some() { PollFlags::empty() } else { PollFlags::POLLIN };
        (self.socket.as_fd(), flags)
    }

    /// The next datagram, and whom it is from; those that are too long for a guest are skipped.
    fn receive(&mut self, buffer: &mut [u8]) -> Option<(Vec<u8>, Bytes)> {
        if let Some(waiting) = self.waiting.take() {
            return Some(waiting);
        }
        for _ in 0..BURST {
            let (count, from) = recvfrom::<UnixAddr>(self.socket.as_raw_fd(), buffer).ok()?;
            if count < BUFFER_BYTES {
                return Some((name(from), Bytes::copy_from_slice(&buffer[..count])));
            }
        }
        None
    }
}

impl Flow {
    fn new(way: Way) -> Self {
        Self { way, unsent: VecDeque::new(), credit: CREDIT_BYTES as i64 }
    }

    /// A socket of its own, connected to `path`.
    fn connected(path: &Path) -> Result<Self, Errno> {
        let socket = open()?;
        // A name of the kernel's choice: whoever has none cannot be answered. Connected, it hears of its peer alone.
        bind(socket.as_raw_fd(), &UnixAddr::new_unnamed())?;
        connect(socket.as_raw_fd(), &Pinned::new(path)?.address()?)?;
        Ok(Self::new(Way::Connected(socket)))
    }

    pub fn source(&self) -> Option<(BorrowedFd<'_>, PollFlags)> {
        let Way::Connected(socket) = &self.way else { return None };
        let mut flags = PollFlags::empty();
        flags.set(PollFlags::POLLIN, self.credit > 0);
        flags.set(PollFlags::POLLOUT, !self.unsent.is_empty());
        Some((socket.as_fd(), flags))
    }

    /// The socket that it shares.
    pub fn bound(&self) -> Option<u64> {
        match &self.way {
            Way::Connected(_) => None,
            Way::Shared { bound, .. } => Some(*bound),
        }
    }

    /// To be sent.
    pub fn push(&mut self, datagram: Bytes) {
        self.unsent.push_back(datagram);
    }

    /// More may come.
    pub fn grant(&mut self, bytes: usize) {
        // Far below: no more than was told.
        self.credit += bytes as i64;
    }

    fn charge(&mut self, datagram: &Bytes) {
        self.credit -= datagram_cost(datagram.len()) as i64;
    }
}

impl Sockets {
    /// A flow to the socket at `path`, which comes from the one that `from` is bound to.
    pub(super) fn connect_flow(&self, path: &Path, from: Option<u64>) -> Result<Flow, Errno> {
        let Some(bound) = from.filter(|from| matches!(self.open.get(from), Some(Socket::Bound(_)))) else {
            return Flow::connected(path);
        };
        // Whether somebody is there who takes datagrams: one who is connected to another hears nobody else (EPERM).
        let pinned = Pinned::new(path)?;
        match connect(open()?.as_raw_fd(), &pinned.address()?) {
            Ok(()) | Err(Errno::EPERM) => {}
            Err(errno) => return Err(errno),
        }
        let peer = Peer::File(UnixAddr::new(path)?);
        if self.flow_with(bound, peer).is_some() {
            return Err(Errno::EADDRINUSE);
        }
        Ok(Flow::new(Way::Shared { bound, peer }))
    }

    /// The flow with a peer.
    fn flow_with(&self, bound: u64, peer: Peer) -> Option<u64> {
        self.open.iter().find_map(|(id, socket)| match socket {
            Socket::Flow(Flow { way: Way::Shared { bound: own, peer: other }, .. }) => {
                (*own == bound && *other == peer).then_some(*id)
            }
            Socket::Flow(_) | Socket::Bound(_) | Socket::Listener { .. } | Socket::Stream(_) => None,
        })
    }

    /// Takes in what has come to a socket that guests have bound.
    pub(super) fn take_in(&mut self, world: &mut World, now: Instant, id: u64) {
        let mut buffer = vec![0; BUFFER_BYTES];
        for _ in 0..BURST {
            let Some(Socket::Bound(bound)) = self.open.get_mut(&id) else { return };
            let Some((name, datagram)) = bound.receive(&mut buffer) else { return };
            let known = bound.flows.get(&name).copied();
            let Some(flow) = known.or_else(|| self.meet(world, now, id, &name)) else { continue };
            match self.open.get_mut(&flow) {
                Some(Socket::Flow(there)) if there.credit > 0 => {
                    there.charge(&datagram);
                    world.hear_host(now, HostNews::Received { id: flow, bytes: datagram });
                }
                _ => {
                    if let Some(Socket::Bound(bound)) = self.open.get_mut(&id) {
                        bound.waiting = Some((name, datagram));
                    }
                    return;
                }
            }
        }
    }

    /// The flow with somebody whose name is new; `None` if there are too many.
    fn meet(&mut self, world: &mut World, now: Instant, id: u64, name: &[u8]) -> Option<u64> {
        let Some(Socket::Bound(bound)) = self.open.get(&id) else { return None };
        let peer = Peer::named(name, bound.made.path.parent()?);
        // All who cannot be answered are one.
        let name = if peer == Peer::Nameless { &[] } else { name };
        if bound.flows.len() >= FLOWS_MAX && !bound.flows.contains_key(name) {
            return None;
        }
        let flow = self.flow_with(id, peer).unwrap_or_else(|| {
            let flow = self.next_accepted();
            self.open.insert(flow, Socket::Flow(Flow::new(Way::Shared { bound: id, peer })));
            world.hear_host(now, HostNews::Accepted { listener: id, id: flow });
            flow
        });
        if let Some(Socket::Bound(bound)) = self.open.get_mut(&id) {
            bound.flows.insert(name.to_vec(), flow);
        }
        Some(flow)
    }

    /// A flow is over: its peer's next datagram begins another.
    pub(super) fn unbind(&mut self, bound: Option<u64>, flow: u64) {
        if let Some(Socket::Bound(bound)) = bound.and_then(|bound| self.open.get_mut(&bound)) {
            bound.flows.retain(|_, other| *other != flow);
        }
    }

    /// Takes in what has come to a flow's own socket.
    pub(super) fn hear(&mut self, world: &mut World, now: Instant, id: u64) {
        let mut buffer = vec![0; BUFFER_BYTES];
        for _ in 0..BURST {
            let Some(Socket::Flow(flow)) = self.open.get_mut(&id) else { return };
            let Way::Connected(socket) = &flow.way else { return };
            if flow.credit <= 0 {
                return;
            }
            match recv(socket.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
                Ok(count) if count < BUFFER_BYTES => {
                    let bytes = Bytes::copy_from_slice(&buffer[..count]);
                    flow.charge(&bytes);
                    world.hear_host(now, HostNews::Received { id, bytes });
                }
                // Too long for a guest.
                Ok(_) => {}
                Err(Errno::EAGAIN | Errno::EINTR) => return,
                Err(_) => return self.lose(world, now, id, Error::ConnectionReset),
            }
        }
    }

    fn send_to(&self, bound: u64, datagram: &[u8], to: &UnixAddr) -> Result<usize, Errno> {
        match self.open.get(&bound) {
            Some(Socket::Bound(bound)) => {
                sendto(bound.socket.as_raw_fd(), datagram, to, MsgFlags::MSG_NOSIGNAL)
            }
            _ => Err(Errno::ECONNREFUSED),
        }
    }

    /// Sends what there is room for.
    pub(super) fn send(&mut self, world: &mut World, now: Instant, id: u64) {
        let mut sent = 0;
        let outcome = loop {
            let Some(Socket::Flow(flow)) = self.open.get(&id) else { return };
            let Some(datagram) = flow.unsent.front() else { break Ok(()) };
            let done = match &flow.way {
                Way::Connected(socket) => send(socket.as_raw_fd(), datagram, MsgFlags::MSG_NOSIGNAL),
                Way::Shared { bound, peer: Peer::Abstract(to) } => self.send_to(*bound, datagram, to),
                Way::Shared { bound, peer: Peer::File(path) } => {
                    // Looked up each time: a program that is started again has another socket of that name.
                    path.path()
                        .ok_or(Errno::ENOENT)
                        .and_then(Pinned::new)
                        .and_then(|pinned| self.send_to(*bound, datagram, &pinned.address()?))
                }
                // It goes nowhere: the flow is others' too, who are still to be heard.
                Way::Shared { peer: Peer::Nameless, .. } => Ok(datagram.len()),
            };
            match done {
                Ok(_) | Err(Errno::EMSGSIZE) => {}
                Err(Errno::EAGAIN | Errno::EINTR | Errno::ENOBUFS) => break Ok(()),
                Err(_) => break Err(Error::ConnectionRefused),
            }
            sent += datagram_cost(datagram.len());
            if let Some(Socket::Flow(flow)) = self.open.get_mut(&id) {
                flow.unsent.pop_front();
            }
        };
        if sent > 0 {
            world.hear_host(now, HostNews::Written { id, bytes: sent });
        }
        if let Err(error) = outcome {
            self.lose(world, now, id, error);
        }
    }

    /// When to look again at peers without room, of whom poll(2) says nothing.
    pub(super) fn retry(&self) -> Option<Duration> {
        let waits = |socket: &Socket| match socket {
            Socket::Flow(flow) => matches!(flow.way, Way::Shared { .. }) && !flow.unsent.is_empty(),
            Socket::Bound(_) | Socket::Listener { .. } | Socket::Stream(_) => false,
        };
        self.open.values().any(waits).then_some(RETRY)
    }
}
