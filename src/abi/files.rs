//! What of the host's file system a guest is shown.
//!
//! wasmtime-wasi does the work; what stands here decides what comes through. A world without a wall clock has to go the
//! same way on every machine, so what a machine's file system decides by itself is left out there: times, inode and
//! device numbers, links, sizes and orders of directories. And a file that can keep its reader waiting, such as a FIFO,
//! would keep the whole world waiting, so it is not opened anywhere.

#![expect(clippy::too_many_arguments, reason = "preview 1 decides how many there are")]

use std::collections::VecDeque;
use std::sync::Arc;

use sha2::{Digest, Sha256};
use wasmtime_wasi::p1::types::{self, Errno, Fd};
use wasmtime_wasi::p1::wasi_snapshot_preview1::WasiSnapshotPreview1;
use wiggle::{GuestMemory, GuestPtr};

use super::Context;
use super::table::{Descriptor, File};

type Result<T, E = types::Error> = std::result::Result<T, E>;

/// What guests are told of files beyond their names, types, sizes and contents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileView {
    /// What the file system says.
    Host,
    /// What is the same on every machine. Times are the world's first instant; inode numbers come from the paths that
    /// the guest uses, so a link is a file of its own; directories have no size and are sorted by name.
    Repeatable,
}

/// A `dirent` of preview 1: the next cookie, the inode, the name's length, the type; then the name.
const DIRENT_BYTES: usize = 24;
/// Bytes of a directory that are read at first, and at most.
const LISTING_BYTES: usize = 32 * 1024;
const LISTING_BYTES_MAX: usize = 256 * 1024 * 1024;

/// An entry of a directory, without `.` and `..`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    name: Box<[u8]>,
    kind: u8,
}

/// Directories that the guest is in the midst of reading, the latest last. What it deletes meanwhile does not move the
/// rest, as a cookie counts entries.
#[derive(Default)]
pub(super) struct Listings(VecDeque<(Fd, Arc<[Entry]>)>);

impl Listings {
    /// As many as a walk through nested directories has open, and entries of all together: beyond that a directory is
    /// read again for each buffer.
    const KEPT_MAX: usize = 8;
    const ENTRIES_MAX: usize = 16 * 1024;

    fn get(&self, directory: Fd) -> Option<Arc<[Entry]>> {
        let kept = self.0.iter().find(|(other, _)| u32::from(*other) == u32::from(directory));
        kept.map(|(_, entries)| Arc::clone(entries))
    }

    fn keep(&mut self, directory: Fd, entries: &Arc<[Entry]>) {
        self.forget(directory);
        self.0.push_back((directory, Arc::clone(entries)));
        while self.0.len() > Self::KEPT_MAX
            || self.0.iter().map(|(_, entries)| entries.len()).sum::<usize>() > Self::ENTRIES_MAX
        {
            self.0.pop_front();
        }
    }

    /// The directory's descriptor is closed; its number will be another's.
    pub fn forget(&mut self, directory: Fd) {
        self.0.retain(|(other, _)| u32::from(*other) != u32::from(directory));
    }
}

/// `nametoolong` for a path that no system of the host's takes, before anybody reads it.
pub(super) fn check_path(memory: &GuestMemory<'_>, path: GuestPtr<str>) -> Result<()> {
    /// PATH_MAX of Linux, with its NUL.
    const PATH_BYTES_MAX: u32 = 4096;
    memory.as_cow(path.as_bytes())?;
    if path.len() < PATH_BYTES_MAX { Ok(()) } else { Err(Errno::Nametoolong.into()) }
}

impl Context {
    /// A file's properties as this guest is to see them.
    pub(super) fn tell(&self, path: &str, stat: types::Filestat) -> types::Filestat {
        match self.file_view {
            FileView::Host => stat,
            FileView::Repeatable => {
                let at = u64::try_from(self.epoch.as_nanos()).unwrap_or(u64::MAX);
                let size = if stat.filetype == types::Filetype::Directory { 0 } else { stat.size };
                types::Filestat {
                    dev: 1,
                    ino: inode(path),
                    filetype: stat.filetype,
                    nlink: 1,
                    size,
                    atim: at,
                    mtim: at,
                    ctim: at,
                }
            }
        }
    }

    pub(super) async fn stat_path(
        &mut self,
        memory: &mut GuestMemory<'_>,
        directory: &File,
        flags: types::Lookupflags,
        path: GuestPtr<str>,
    ) -> Result<types::Filestat> {
        check_path(memory, path)?;
        let stat = self.wasi.path_filestat_get(memory, directory.inner, flags, path).await?;
        let path = join(&directory.path, &memory.as_cow_str(path)?);
        Ok(self.tell(&path, stat))
    }

    /// `notsup` for what is neither a file nor a directory: opening a FIFO waits for its other end, and a device does
    /// as it likes. What is not there, or cannot be looked at, is for the call itself to answer.
    pub(super) async fn refuse_devices(
        &mut self,
        memory: &mut GuestMemory<'_>,
        directory: Fd,
        flags: types::Lookupflags,
        path: GuestPtr<str>,
    ) -> Result<()> {
        match self.wasi.path_filestat_get(memory, directory, flags, path).await {
            Ok(stat) => refuse_device(stat.filetype),
            Err(_) => Ok(()),
        }
    }

    /// Opens a file or a directory. Nothing of a guest's runs between the look at what it is and its opening; what
    /// another program of the host puts into its place just then is looked at once more.
    pub(super) async fn open_path(
        &mut self,
        memory: &mut GuestMemory<'_>,
        directory: &File,
        lookup: types::Lookupflags,
        path: GuestPtr<str>,
        how: types::Oflags,
        rights: (types::Rights, types::Rights),
        flags: types::Fdflags,
    ) -> Result<Fd> {
        if self.table.is_full() {
            return Err(Errno::Mfile.into());
        }
        check_path(memory, path)?;
        self.refuse_devices(memory, directory.inner, lookup, path).await?;
        let inner = self
            .wasi
            .path_open(memory, directory.inner, lookup, path, how, rights.0, rights.1, flags)
            .await?;
        let opened = self.wasi.fd_filestat_get(memory, inner).await;
        if let Err(error) = opened.and_then(|stat| refuse_device(stat.filetype)) {
            self.wasi.fd_close(memory, inner).await?;
            return Err(error);
        }
        let path = join(&directory.path, &memory.as_cow_str(path)?).into();
        Ok(self.table.insert(Descriptor::File(File { inner, path }))?)
    }

    pub(super) async fn read_directory(
        &mut self,
        memory: &mut GuestMemory<'_>,
        directory: &File,
        buffer: GuestPtr<u8>,
        len: types::Size,
        cookie: types::Dircookie,
    ) -> Result<types::Size> {
        if self.file_view == FileView::Host {
            // It reads the whole directory, however little of it is asked for.
            self.effort.add_turn();
            return self.wasi.fd_readdir(memory, directory.inner, buffer, len, cookie).await;
        }
        memory.as_cow(buffer.as_array(len))?;
        let kept = self.listings.get(directory.inner).filter(|_| cookie > 0);
        let entries = match kept {
            Some(entries) => entries,
            // From the beginning again: as it is now.
            None => {
                let entries = self.list(directory.inner).await?;
                self.listings.keep(directory.inner, &entries);
                entries
            }
        };
        let bytes = dirents(&directory.path, &entries, cookie, len as usize);
        memory.copy_from_slice(&bytes, buffer.as_array(bytes.len() as u32))?;
        // Each entry has its inode computed.
        self.effort.add(8 * bytes.len());
        Ok(bytes.len() as types::Size)
    }

    /// A directory's entries by name, read into memory of the host's own.
    async fn list(&mut self, directory: Fd) -> Result<Arc<[Entry]>> {
        let mut room = LISTING_BYTES;
        loop {
            let mut bytes = vec![0; room];
            let read = self
                .wasi
                .fd_readdir(
                    &mut GuestMemory::Unshared(&mut bytes),
                    directory,
                    GuestPtr::new(0),
                    room as types::Size,
                    0,
                )
                .await? as usize;
            // Each entry is looked up.
            self.effort.add(8 * read);
            if read < room {
                bytes.truncate(read);
                let mut entries = parse(&bytes);
                entries.sort_unstable();
                return Ok(entries.into());
            }
            if room >= LISTING_BYTES_MAX {
                return Err(Errno::Nobufs.into());
            }
            room *= 2;
        }
    }

    /// Times of `*_set_times`: "now" is the guest's clock, not the host's.
    pub(super) fn times(
        &self,
        accessed: types::Timestamp,
        modified: types::Timestamp,
        flags: types::Fstflags,
    ) -> (types::Timestamp, types::Timestamp, types::Fstflags) {
        use types::Fstflags;
        let wall_clock = self.charged().wall_clock(self.epoch);
        let now = u64::try_from(wall_clock.as_nanos()).unwrap_or(u64::MAX);
        let (mut times, mut flags) = ([accessed, modified], flags);
        let both = [(Fstflags::ATIM, Fstflags::ATIM_NOW), (Fstflags::MTIM, Fstflags::MTIM_NOW)];
        for (time, (said, asked)) in times.iter_mut().zip(both) {
            // Both at once is a mistake, for wasmtime-wasi to answer.
            if flags.contains(asked) && !flags.contains(said) {
                flags.remove(asked);
                flags.insert(said);
                *time = now;
            }
        }
        (times[0], times[1], flags)
    }
}

fn refuse_device(kind: types::Filetype) -> Result<()> {
    match kind {
        types::Filetype::RegularFile | types::Filetype::Directory | types::Filetype::SymbolicLink => Ok(()),
        // FIFOs and sockets have no type of their own there.
        types::Filetype::Unknown
        | types::Filetype::BlockDevice
        | types::Filetype::CharacterDevice
        | types::Filetype::SocketDgram
        | types::Filetype::SocketStream => Err(Errno::Notsup.into()),
    }
}

/// `path` from `base` on, without `.`, `..` and doubled slashes: by the words, links not followed.
fn join(base: &str, path: &str) -> String {
    let mut whole = Vec::new();
    for part in base.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => drop(whole.pop()),
            part => whole.push(part),
        }
    }
    format!("/{}", whole.join("/"))
}

/// An inode number: of two paths never the same, as good as.
fn inode(path: &str) -> u64 {
    let digest = Sha256::digest(join("", path).as_bytes());
    let (head, _) = digest.split_at(8);
    // 0 means to some programs that the entry is not there.
    head.iter().fold(0, |number, &byte| number << 8 | u64::from(byte)).max(1)
}

/// The entries of a listing, `.` and `..` left out.
fn parse(mut bytes: &[u8]) -> Vec<Entry> {
    let mut entries = Vec::new();
    while let Some((head, rest)) = bytes.split_at_checked(DIRENT_BYTES) {
        let length = u32::from_le_bytes([head[16], head[17], head[18], head[19]]) as usize;
        let Some((name, rest)) = rest.split_at_checked(length) else { break };
        if name != b"." && name != b".." {
            entries.push(Entry { name: name.into(), kind: head[20] });
        }
        bytes = rest;
    }
    entries
}

/// What `fd_readdir` stores from `cookie` on; the last entry may be cut, which tells that there are more.
fn dirents(path: &str, entries: &[Entry], cookie: types::Dircookie, room: usize) -> Vec<u8> {
    let directory = types::Filetype::Directory as u8;
    let dots = [&b"."[..], b".."].map(|name| (name, directory));
    let all = dots.into_iter().chain(entries.iter().map(|entry| (&entry.name[..], entry.kind)));
    let mut bytes = Vec::new();
    for ((name, kind), next) in all.zip(1_u64..).skip(usize::try_from(cookie).unwrap_or(usize::MAX)) {
        if bytes.len() >= room {
            break;
        }
        let inode = inode(&join(path, &String::from_utf8_lossy(name)));
        bytes.extend_from_slice(&next.to_le_bytes());
        bytes.extend_from_slice(&inode.to_le_bytes());
        bytes.extend_from_slice(&(name.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&[kind, 0, 0, 0]);
        bytes.extend_from_slice(name);
    }
    bytes.truncate(room);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(names: &[&str]) -> Vec<Entry> {
        names.iter().map(|name| Entry { name: name.as_bytes().into(), kind: 4 }).collect()
    }

    /// Reads with buffers of `room` bytes, as libraries do: what is cut at the end is asked for again.
    fn read_by_pieces(all: &[Entry], room: usize) -> Vec<Entry> {
        let (mut seen, mut cookie) = (Vec::new(), 0);
        loop {
            let piece = dirents("/box", all, cookie, room);
            let (mut rest, begun) = (&piece[..], cookie);
            while let Some((head, behind)) = rest.split_at_checked(DIRENT_BYTES) {
                let Some((_, behind)) = behind.split_at_checked(usize::from(head[16])) else { break };
                cookie = u64::from_le_bytes(head[..8].try_into().unwrap());
                rest = behind;
            }
            seen.extend(parse(&piece[..piece.len() - rest.len()]));
            if piece.len() < room {
                assert!(rest.is_empty(), "only a full buffer is cut");
                return seen;
            }
            assert!(cookie > begun, "a buffer that holds no entry");
        }
    }

    #[test]
    fn a_directory_read_by_pieces_is_the_directory() {
        let names: Vec<_> = (0..50).map(|number| format!("file{number:03}")).collect();
        let all = entries(&names.iter().map(String::as_str).collect::<Vec<_>>());
        for room in [31, 32, 33, 100, 500, 1 << 20] {
            assert_eq!(read_by_pieces(&all, room), all, "{room}");
        }
        assert!(dirents("/box", &all, 52, 100).is_empty());
        assert!(dirents("/box", &all, u64::MAX, 100).is_empty());
    }

    #[test]
    fn paths_are_joined_by_their_words() {
        for (base, path, whole) in [
            ("/box", "a", "/box/a"),
            ("/", "a//b/./c", "/a/b/c"),
            ("/box", "a/../b", "/box/b"),
            ("/box", "..", "/"),
            (".", ".", "/"),
            ("", "../../x", "/x"),
        ] {
            assert_eq!(join(base, path), whole);
        }
        assert_eq!(inode("/box/./a"), inode("/box/a"));
        assert_ne!(inode("/box/a"), inode("/box/b"));
    }

    #[test]
    fn listings_are_few_and_small() {
        let mut listings = Listings::default();
        let small: Arc<[Entry]> = entries(&["a"]).into();
        for fd in 0..20 {
            listings.keep(Fd::from(fd), &small);
        }
        assert_eq!(listings.0.len(), Listings::KEPT_MAX);
        assert!(listings.get(Fd::from(19)).is_some() && listings.get(Fd::from(0)).is_none());
        listings.forget(Fd::from(19));
        assert!(listings.get(Fd::from(19)).is_none());
        let large: Arc<[Entry]> = vec![small[0].clone(); Listings::ENTRIES_MAX + 1].into();
        listings.keep(Fd::from(30), &large);
        assert!(listings.0.is_empty());
    }
}
