//! The descriptor table: what a guest's numbers stand for. One for files and network objects alike.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use wasmtime_wasi::p1::types::{Errno, Fd};

use super::rights::Rights;
use crate::node::{LeftOpen, ObjectId};

/// What a network descriptor is; the ABI keeps the kinds apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetworkKind {
    Protocol,
    Control,
    Connection,
    Stream,
}

/// A network descriptor.
#[derive(Clone, Debug)]
pub struct Network {
    pub id: ObjectId,
    pub kind: NetworkKind,
    pub base: Rights,
    pub inheriting: Rights,
    pub nonblock: bool,
    /// `socket_dgram` rather than `socket_stream`; of no meaning for protocols.
    pub datagram: bool,
    /// A connection that has no descriptor of its own and goes with the stream (`sock_accept`).
    pub carrier: Option<ObjectId>,
    /// Preopened under this name.
    pub name: Option<Box<str>>,
}

impl Network {
    /// `notcapable` where the guest may not do this with it.
    pub fn needs(&self, right: Rights) -> Result<(), Errno> {
        if self.base.contains(right) { Ok(()) } else { Err(Errno::Notcapable) }
    }

    /// `notcapable` where what is made from it cannot have these rights.
    pub fn passes_on(&self, base: Rights, inheriting: Rights) -> Result<(), Errno> {
        let may = self.inheriting.contains(base) && self.inheriting.contains(inheriting);
        if may { Ok(()) } else { Err(Errno::Notcapable) }
    }
}

/// A file or directory.
#[derive(Clone, Debug)]
pub struct File {
    /// Its number in wasmtime-wasi's own table.
    pub inner: Fd,
    /// Where the guest found it: its directory's path as preopened, and the path from there, without `.` and `..`.
    pub path: Arc<str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stdio {
    In,
    Out,
    Err,
}

#[derive(Clone, Debug)]
pub enum Descriptor {
    /// The standard streams, and whether they answer `again` rather than sleep.
    Stdio {
        stream: Stdio,
        nonblock: bool,
    },
    File(File),
    Network(Network),
}

/// Descriptors by number; a new one takes the lowest that is free.
#[derive(Debug)]
pub struct Table {
    slots: Vec<Option<Descriptor>>,
    /// No slot below it is free.
    lowest: usize,
    in_use: usize,
    descriptors_max: usize,
    /// Files among those that the guest was started with.
    given_files: usize,
    /// Somebody asked for room when there was none.
    refused: AtomicBool,
}

impl Table {
    pub fn new(descriptors_max: usize) -> Self {
        Self {
            slots: Vec::new(),
            lowest: 0,
            in_use: 0,
            descriptors_max,
            given_files: 0,
            refused: AtomicBool::new(false),
        }
    }

    /// What is in the table now is what the guest is started with.
    pub fn begin(&mut self) {
        self.given_files = self.files().count();
        self.slots.shrink_to_fit();
    }

    fn files(&self) -> impl Iterator<Item = Fd> {
        self.slots.iter().flatten().filter_map(|descriptor| match descriptor {
            Descriptor::File(file) => Some(file.inner),
            Descriptor::Stdio { .. } | Descriptor::Network(_) => None,
        })
    }

    /// What the guest opened and has not closed. Of files the directories that it was started with have the lowest numbers
    /// in wasmtime-wasi's table, from 3 on.
    pub fn left_open(&self) -> LeftOpen {
        let own_files = self.files().filter(|inner| index(*inner) >= 3 + self.given_files).count();
        let own_network = self.slots.iter().flatten().filter(|descriptor| match descriptor {
            Descriptor::Network(network) => network.name.is_none(),
            Descriptor::Stdio { .. } | Descriptor::File(_) => false,
        });
        LeftOpen {
            descriptors: own_files + own_network.count(),
            refused: self.refused.load(Ordering::Relaxed),
        }
    }

    /// True if there is no room for one more, which is what whoever asks has wanted.
    pub fn is_full(&self) -> bool {
        let full = self.in_use >= self.descriptors_max;
        if full {
            self.refused.store(true, Ordering::Relaxed);
        }
        full
    }

    /// `mfile` when the table is full.
    pub fn insert(&mut self, descriptor: Descriptor) -> Result<Fd, Errno> {
        if self.is_full() {
            return Err(Errno::Mfile);
        }
        while self.slots.get(self.lowest).is_some_and(Option::is_some) {
            self.lowest += 1;
        }
        let fd = self.lowest;
        if fd == self.slots.len() {
            self.slots.push(None);
        }
        self.slots[fd] = Some(descriptor);
        self.in_use += 1;
        self.lowest = fd + 1;
        // Bounded by `descriptors_max`.
        Ok(Fd::from(fd as u32))
    }

    pub fn get(&self, fd: Fd) -> Result<&Descriptor, Errno> {
        self.slots.get(index(fd)).and_then(Option::as_ref).ok_or(Errno::Badf)
    }

    pub fn get_mut(&mut self, fd: Fd) -> Result<&mut Descriptor, Errno> {
        self.slots.get_mut(index(fd)).and_then(Option::as_mut).ok_or(Errno::Badf)
    }

    pub fn remove(&mut self, fd: Fd) -> Result<Descriptor, Errno> {
        let descriptor = self.slots.get_mut(index(fd)).and_then(Option::take).ok_or(Errno::Badf)?;
        self.in_use -= 1;
        self.lowest = self.lowest.min(index(fd));
        Ok(descriptor)
    }

    /// Moves `from` to `to`, which must be open, and gives back what was there.
    pub fn renumber(&mut self, from: Fd, to: Fd) -> Result<Option<Descriptor>, Errno> {
        self.get(from)?;
        self.get(to)?;
        if index(from) == index(to) {
            return Ok(None);
        }
        let moved = self.remove(from)?;
        Ok(self.slots[index(to)].replace(moved))
    }

    /// A network descriptor of `kind`: `notsock` for a file, `inval` for another kind.
    pub fn network(&self, fd: Fd, kind: NetworkKind) -> Result<&Network, Errno> {
        let network = self.any_network(fd)?;
        if network.kind == kind { Ok(network) } else { Err(Errno::Inval) }
    }

    pub fn any_network(&self, fd: Fd) -> Result<&Network, Errno> {
        match self.get(fd)? {
            Descriptor::Network(network) => Ok(network),
            Descriptor::Stdio { .. } | Descriptor::File(_) => Err(Errno::Notsock),
        }
    }

    /// `otherwise` for anything else that is open.
    pub fn file(&self, fd: Fd, otherwise: Errno) -> Result<&File, Errno> {
        match self.get(fd)? {
            Descriptor::File(file) => Ok(file),
            Descriptor::Stdio { .. } | Descriptor::Network(_) => Err(otherwise),
        }
    }
}

fn index(fd: Fd) -> usize {
    u32::from(fd) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stdin() -> Descriptor {
        Descriptor::Stdio { stream: Stdio::In, nonblock: false }
    }

    #[test]
    fn the_lowest_free_number_is_taken_and_the_table_is_bounded() {
        let mut table = Table::new(3);
        let numbers: Vec<_> = (0..3).map(|_| u32::from(table.insert(stdin()).unwrap())).collect();
        assert_eq!(numbers, [0, 1, 2]);
        assert!(matches!(table.insert(stdin()), Err(Errno::Mfile)));
        table.remove(Fd::from(1)).unwrap();
        assert_eq!(u32::from(table.insert(stdin()).unwrap()), 1);
        assert!(matches!(table.remove(Fd::from(u32::MAX)), Err(Errno::Badf)));
    }

    #[test]
    fn renumbering_needs_both_and_frees_the_first() {
        let mut table = Table::new(3);
        table.insert(stdin()).unwrap();
        table.insert(Descriptor::Stdio { stream: Stdio::Out, nonblock: false }).unwrap();
        assert!(matches!(table.renumber(Fd::from(0), Fd::from(7)), Err(Errno::Badf)));
        let was = table.renumber(Fd::from(0), Fd::from(1)).unwrap();
        assert!(matches!(was, Some(Descriptor::Stdio { stream: Stdio::Out, .. })));
        assert!(matches!(table.get(Fd::from(0)), Err(Errno::Badf)));
    }
}
