//! Unix-domain sockets of the host, in the folders that a scenario grants: the world asks for them by number
//! (`protocol/unix/host.rs`), and has bytes of them, never the sockets.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::PollFlags;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};
use nix::sys::stat::Mode;

use super::datagrams::{Bound, Flow};
use crate::error::Error;
use crate::node::SocketKind;
use crate::protocol::unix::host::{ACCEPTED, CREDIT_BYTES, HostCall, HostNews};
use crate::time::Instant;
use crate::world::World;

/// Bytes read from one socket, and connections taken from one that listens, before the world has its turn.
const READ_BYTES: usize = 16 * 1024;
const ACCEPT_BURST: usize = 16;

/// The sockets of one lab.
#[derive(Default)]
pub struct Sockets {
    /// Opened once, so that a folder that is moved or put elsewhere in between is the same one still.
    folders: Vec<(File, PathBuf)>,
    pub(super) open: BTreeMap<u64, Socket>,
    accepted: u64,
}

pub(super) enum Socket {
    Listener {
        listener: UnixListener,
        made: Made,
    },
    Stream(Stream),
    /// Datagrams of whoever sends some; the flows with each are sockets of their own here.
    Bound(Bound),
    Flow(Flow),
}

pub(super) struct Stream {
    socket: UnixStream,
    /// What the world wrote, and the socket has not taken.
    unwritten: VecDeque<u8>,
    /// Bytes that may be told to have come.
    credit: usize,
    /// Its peer sends no more; the world writes no more, and may have to be told so to the peer.
    ended: bool,
    shut: bool,
}

impl Sockets {
    /// # Errors
    /// A folder that cannot be opened.
    pub fn new<'a>(folders: impl Iterator<Item = &'a Path>) -> io::Result<Sockets> {
        let open = |path: &Path| {
            File::open(path)
                .and_then(|folder| Ok((folder, path.canonicalize()?)))
                .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
        };
        Ok(Sockets {
            folders: folders.map(open).collect::<io::Result<_>>()?,
            open: BTreeMap::new(),
            accepted: 0,
        })
    }

    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// What is to be waited for, and how.
    pub fn sources(&self) -> impl Iterator<Item = (BorrowedFd<'_>, PollFlags)> {
        self.open.values().filter_map(|socket| match socket {
            Socket::Listener { listener, .. } => Some((listener.as_fd(), PollFlags::POLLIN)),
            Socket::Bound(bound) => Some(bound.source()),
            Socket::Flow(flow) => flow.source(),
            Socket::Stream(stream) => {
                let mut flags = PollFlags::empty();
                flags.set(PollFlags::POLLIN, !stream.ended && stream.credit > 0);
                flags.set(PollFlags::POLLOUT, !stream.unwritten.is_empty());
                Some((stream.socket.as_fd(), flags))
            }
        })
    }

    /// Does what the world asks for.
    pub fn carry_out(&mut self, world: &mut World, now: Instant) {
        for call in world.take_host_calls() {
            match call {
                HostCall::Connect { id, kind, folder, name, from } => {
                    let connected = self.place(folder, &name).and_then(|path| match kind {
                        SocketKind::Stream => Ok(Socket::Stream(Stream::new(dial(&path)?))),
                        SocketKind::Datagram => Ok(Socket::Flow(self.connect_flow(&path, from)?)),
                    });
                    let news = match connected {
                        Ok(socket) => {
                            self.open.insert(id, socket);
                            HostNews::Ready { id }
                        }
                        Err(errno) => HostNews::Failed { id, error: error_of(errno) },
                    };
                    world.hear_host(now, news);
                }
                HostCall::Listen { id, kind, folder, name } => {
                    let bound = self.place(folder, &name).and_then(|path| match kind {
                        SocketKind::Stream => bind(path),
                        SocketKind::Datagram => {
                            let known = self.folder(folder)?.1.join(&name);
                            Ok(Socket::Bound(Bound::new(path, &known)?))
                        }
                    });
                    let news = match bound {
                        Ok(socket) => {
                            self.open.insert(id, socket);
                            HostNews::Ready { id }
                        }
                        Err(errno) => HostNews::Failed { id, error: error_of(errno) },
                    };
                    world.hear_host(now, news);
                }
                HostCall::Write { id, bytes } => match self.open.get_mut(&id) {
                    Some(Socket::Stream(stream)) => {
                        stream.unwritten.extend(&bytes);
                        self.write(world, now, id);
                    }
                    Some(Socket::Flow(flow)) => {
                        flow.push(bytes);
                        self.send(world, now, id);
                    }
                    Some(Socket::Listener { .. } | Socket::Bound(_)) | None => {}
                },
                HostCall::Read { id, bytes } => match self.open.get_mut(&id) {
                    Some(Socket::Stream(stream)) => stream.credit += bytes,
                    Some(Socket::Flow(flow)) => {
                        flow.grant(bytes);
                        if let Some(bound) = flow.bound() {
                            self.take_in(world, now, bound);
                        }
                    }
                    Some(Socket::Listener { .. } | Socket::Bound(_)) | None => {}
                },
                HostCall::Shutdown { id } => match self.open.get_mut(&id) {
                    Some(Socket::Stream(stream)) => {
                        stream.shut = true;
                        stream.end_if_written();
                    }
                    // Datagrams have no end.
                    Some(Socket::Flow(_) | Socket::Listener { .. } | Socket::Bound(_)) | None => {}
                },
                HostCall::Close { id } => {
                    let bound = match self.open.get(&id) {
                        Some(Socket::Flow(flow)) => flow.bound(),
                        Some(Socket::Listener { .. } | Socket::Stream(_) | Socket::Bound(_)) | None => None,
                    };
                    self.close(id);
                    if let Some(bound) = bound {
                        self.take_in(world, now, bound);
                    }
                }
            }
        }
    }

    /// Takes what has come, and writes what there is room for.
    pub fn receive(&mut self, world: &mut World, now: Instant) {
        let ids: Vec<u64> = self.open.keys().copied().collect();
        for id in ids {
            match self.open.get(&id) {
                Some(Socket::Listener { .. }) => self.accept(world, now, id),
                Some(Socket::Stream(_)) => {
                    self.write(world, now, id);
                    self.read(world, now, id);
                }
                Some(Socket::Bound(_)) => self.take_in(world, now, id),
                Some(Socket::Flow(_)) => {
                    self.send(world, now, id);
                    self.hear(world, now, id);
                }
                None => {}
            }
        }
    }

    fn accept(&mut self, world: &mut World, now: Instant, listener: u64) {
        for _ in 0..ACCEPT_BURST {
            let Some(Socket::Listener { listener: socket, .. }) = self.open.get(&listener) else { return };
            // Nobody, or somebody who is gone already.
            let Ok((socket, _)) = socket.accept() else { return };
            if socket.set_nonblocking(true).is_err() {
                continue;
            }
            let id = self.next_accepted();
            self.open.insert(id, Socket::Stream(Stream::new(socket)));
            world.hear_host(now, HostNews::Accepted { listener, id });
        }
    }

    /// The number of a connection that somebody of the host made.
    pub(super) fn next_accepted(&mut self) -> u64 {
        self.accepted += 1;
        ACCEPTED | self.accepted
    }

    fn read(&mut self, world: &mut World, now: Instant, id: u64) {
        let Some(Socket::Stream(stream)) = self.open.get_mut(&id) else { return };
        if stream.ended || stream.credit == 0 {
            return;
        }
        let mut buffer = [0; READ_BYTES];
        let room = buffer.len().min(stream.credit);
        match stream.socket.read(&mut buffer[..room]) {
            Ok(0) => {
                stream.ended = true;
                world.hear_host(now, HostNews::Ended { id });
            }
            Ok(count) => {
                stream.credit -= count;
                let bytes = Bytes::copy_from_slice(&buffer[..count]);
                world.hear_host(now, HostNews::Received { id, bytes });
            }
            Err(error) if is_passing(&error) => {}
            Err(_) => self.lose(world, now, id, Error::ConnectionReset),
        }
    }

    fn write(&mut self, world: &mut World, now: Instant, id: u64) {
        let Some(Socket::Stream(stream)) = self.open.get_mut(&id) else { return };
        let mut written = 0;
        let outcome = loop {
            let (next, _) = stream.unwritten.as_slices();
            if next.is_empty() {
                break Ok(());
            }
            match stream.socket.write(next) {
                Ok(count) => {
                    stream.unwritten.drain(..count);
                    written += count;
                }
                Err(error) if is_passing(&error) => break Ok(()),
                Err(_) => break Err(Error::Pipe),
            }
        };
        stream.end_if_written();
        if written > 0 {
            world.hear_host(now, HostNews::Written { id, bytes: written });
        }
        if let Err(error) = outcome {
            self.lose(world, now, id, error);
        }
    }

    pub(super) fn lose(&mut self, world: &mut World, now: Instant, id: u64, error: Error) {
        self.close(id);
        world.hear_host(now, HostNews::Failed { id, error });
    }

    /// A folder that was granted, and where it was then.
    fn folder(&self, number: u16) -> Result<&(File, PathBuf), Errno> {
        let folder = usize::from(number).checked_sub(1).and_then(|index| self.folders.get(index));
        folder.ok_or(Errno::ENOENT)
    }

    /// The path of a folder's socket, short whatever the folder's own is.
    fn place(&self, folder: u16, name: &str) -> Result<PathBuf, Errno> {
        let (folder, _) = self.folder(folder)?;
        if name.contains('/') || matches!(name, "" | "." | "..") {
            return Err(Errno::ENOENT);
        }
        Ok(PathBuf::from(format!("/proc/self/fd/{}/{name}", folder.as_raw_fd())))
    }

    fn close(&mut self, id: u64) {
        match self.open.remove(&id) {
            // As paths in the lab, it is free once its control is closed.
            Some(Socket::Listener { made, .. }) => made.remove(),
            Some(Socket::Bound(bound)) => bound.made().remove(),
            Some(Socket::Flow(flow)) => self.unbind(flow.bound(), id),
            Some(Socket::Stream(_)) | None => {}
        }
    }
}

impl Drop for Sockets {
    fn drop(&mut self) {
        let ids: Vec<u64> = self.open.keys().copied().collect();
        ids.into_iter().for_each(|id| self.close(id));
    }
}

impl Stream {
    fn new(socket: UnixStream) -> Self {
        let unwritten = VecDeque::new();
        Self { socket, unwritten, credit: CREDIT_BYTES, ended: false, shut: false }
    }

    fn end_if_written(&self) {
        if self.shut && self.unwritten.is_empty() {
            // One that is gone needs no end.
            let _ = self.socket.shutdown(std::net::Shutdown::Write);
        }
    }
}

/// Connects without waiting: a backlog that is full is one that refuses.
fn dial(path: &Path) -> Result<UnixStream, Errno> {
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let dialled: OwnedFd = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    let pinned = Pinned::new(path)?;
    connect(dialled.as_raw_fd(), &pinned.address()?)?;
    Ok(UnixStream::from(dialled))
}

/// A socket's file, looked at and held: whatever is put in its place afterwards, it is what is connected to.
pub(super) struct Pinned(File);

impl Pinned {
    /// Nothing but a socket, and no way out of the folder by a symbolic link.
    pub fn new(path: &Path) -> Result<Self, Errno> {
        let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let file = File::from(nix::fcntl::open(path, flags, Mode::empty())?);
        let kind = file.metadata().map_err(errno_of)?.file_type();
        if kind.is_socket() { Ok(Self(file)) } else { Err(Errno::ECONNREFUSED) }
    }

    /// For as long as it is held.
    pub fn address(&self) -> Result<UnixAddr, Errno> {
        UnixAddr::new(format!("/proc/self/fd/{}", self.0.as_raw_fd()).as_str())
    }
}

/// A socket's file that was made here, by its path and which file it is.
pub(super) struct Made {
    pub path: PathBuf,
    file: (u64, u64),
}

impl Made {
    /// What has just been bound at `path`.
    pub fn new(path: PathBuf) -> Result<Self, Errno> {
        let file = socket_file(&path).ok_or(Errno::ENOENT)?;
        Ok(Self { path, file })
    }

    /// Unless it is another's by now.
    pub fn remove(&self) {
        if socket_file(&self.path) == Some(self.file) {
            // It is gone, then, which is as well.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Which file a socket is: its device and inode.
pub(super) fn socket_file(path: &Path) -> Option<(u64, u64)> {
    let metadata = std::fs::symlink_metadata(path).ok()?;
    metadata.file_type().is_socket().then(|| (metadata.dev(), metadata.ino()))
}

fn bind(path: PathBuf) -> Result<Socket, Errno> {
    let listener = UnixListener::bind(&path).map_err(errno_of)?;
    listener.set_nonblocking(true).map_err(errno_of)?;
    Ok(Socket::Listener { listener, made: Made::new(path)? })
}

pub(super) fn errno_of(error: io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EINVAL, Errno::from_raw)
}

fn error_of(errno: Errno) -> Error {
    match errno {
        Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP => Error::NoEntry,
        Errno::EACCES | Errno::EPERM | Errno::EROFS => Error::Access,
        Errno::EADDRINUSE => Error::AddressInUse,
        Errno::EPROTOTYPE => Error::Prototype,
        Errno::EINVAL | Errno::ENAMETOOLONG => Error::Invalid,
        Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM | Errno::ENOBUFS => Error::NoBuffers,
        _ => Error::ConnectionRefused,
    }
}

pub(super) fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}
