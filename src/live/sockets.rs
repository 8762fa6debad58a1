//! Unix-domain sockets of the host, in the folders that a scenario grants: the world asks for them by number
//! (`protocol/unix/host.rs`), and has bytes of them, never the sockets.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use nix::errno::Errno;
use nix::poll::PollFlags;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};

use crate::error::Error;
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
    folders: Vec<File>,
    open: BTreeMap<u64, Socket>,
    accepted: u64,
}

enum Socket {
    Listener { listener: UnixListener, path: PathBuf },
    Stream(Stream),
}

struct Stream {
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
        self.open.values().map(|socket| match socket {
            Socket::Listener { listener, .. } => (listener.as_fd(), PollFlags::POLLIN),
            Socket::Stream(stream) => {
                let mut flags = PollFlags::empty();
                flags.set(PollFlags::POLLIN, !stream.ended && stream.credit > 0);
                flags.set(PollFlags::POLLOUT, !stream.unwritten.is_empty());
                (stream.socket.as_fd(), flags)
            }
        })
    }

    /// Does what the world asks for.
    pub fn carry_out(&mut self, world: &mut World, now: Instant) {
        for call in world.take_host_calls() {
            match call {
                HostCall::Connect { id, folder, name } => {
                    let news = match self.place(folder, &name).and_then(|path| dial(&path)) {
                        Ok(socket) => {
                            self.open.insert(id, Socket::Stream(Stream::new(socket)));
                            HostNews::Ready { id }
                        }
                        Err(errno) => HostNews::Failed { id, error: error_of(errno) },
                    };
                    world.hear_host(now, news);
                }
                HostCall::Listen { id, folder, name } => {
                    let news = match self.place(folder, &name).and_then(|path| Ok((bind(&path)?, path))) {
                        Ok((listener, path)) => {
                            self.open.insert(id, Socket::Listener { listener, path });
                            HostNews::Ready { id }
                        }
                        Err(errno) => HostNews::Failed { id, error: error_of(errno) },
                    };
                    world.hear_host(now, news);
                }
                HostCall::Write { id, bytes } => {
                    if let Some(Socket::Stream(stream)) = self.open.get_mut(&id) {
                        stream.unwritten.extend(&bytes);
                        self.write(world, now, id);
                    }
                }
                HostCall::Read { id, bytes } => {
                    if let Some(Socket::Stream(stream)) = self.open.get_mut(&id) {
                        stream.credit += bytes;
                    }
                }
                HostCall::Shutdown { id } => {
                    if let Some(Socket::Stream(stream)) = self.open.get_mut(&id) {
                        stream.shut = true;
                        stream.end_if_written();
                    }
                }
                HostCall::Close { id } => self.close(id),
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
            let id = ACCEPTED | self.accepted;
            self.accepted += 1;
            self.open.insert(id, Socket::Stream(Stream::new(socket)));
            world.hear_host(now, HostNews::Accepted { listener, id });
        }
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

    fn lose(&mut self, world: &mut World, now: Instant, id: u64, error: Error) {
        self.close(id);
        world.hear_host(now, HostNews::Failed { id, error });
    }

    /// The path of a folder's socket, short whatever the folder's own is.
    fn place(&self, folder: u16, name: &str) -> Result<PathBuf, Errno> {
        let folder = usize::from(folder).checked_sub(1).and_then(|index| self.folders.get(index));
        let folder = folder.ok_or(Errno::ENOENT)?;
        if name.contains('/') || matches!(name, "" | "." | "..") {
            return Err(Errno::ENOENT);
        }
        Ok(PathBuf::from(format!("/proc/self/fd/{}/{name}", folder.as_raw_fd())))
    }

    fn close(&mut self, id: u64) {
        match self.open.remove(&id) {
            // As paths in the lab, it is free once its control is closed.
            Some(Socket::Listener { path, .. }) => drop(std::fs::remove_file(path)),
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
    // Nothing but a socket, and no way out of the folder by a symbolic link.
    let kind = std::fs::symlink_metadata(path).map_err(errno_of)?.file_type();
    if !kind.is_socket() {
        return Err(Errno::ECONNREFUSED);
    }
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let dialled: OwnedFd = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    connect(dialled.as_raw_fd(), &UnixAddr::new(path)?)?;
    Ok(UnixStream::from(dialled))
}

fn bind(path: &Path) -> Result<UnixListener, Errno> {
    let listener = UnixListener::bind(path).map_err(errno_of)?;
    listener.set_nonblocking(true).map_err(errno_of)?;
    Ok(listener)
}

fn errno_of(error: io::Error) -> Errno {
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

fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}
