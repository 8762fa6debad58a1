//! What the directory knows: which path is bound where. A task, that all who ask share.

use std::collections::BTreeMap;
use std::net::{Ipv6Addr, SocketAddr};

use super::path::UnixPath;
use super::wire::Found;
use crate::error::{Error, Result};
use crate::node::SocketKind;
use crate::node::object::Context;
use crate::node::task::{Task, TaskId};

/// Paths of one node, and of all.
const NODE_PATHS_MAX: usize = 1024;
const PATHS_MAX: usize = 32_768;

/// Who has bound what.
#[derive(Default)]
pub struct Table {
    paths: BTreeMap<UnixPath, Entry>,
    /// Those that have bound a path.
    nodes: BTreeMap<Ipv6Addr, NodePaths>,
    /// Sockets of the host that listen for guests, by where those are.
    hosts: BTreeMap<SocketAddr, u64>,
    /// Questions that were none.
    pub malformed: u64,
}

pub struct Entry {
    pub kind: SocketKind,
    pub address: Ipv6Addr,
    pub port: u16,
    /// The question that bound it, which may let go of it.
    pub asker: TaskId,
}

struct NodePaths {
    boot: u32,
    count: usize,
}

impl Table {
    /// What a node bound before it was switched on anew is gone.
    pub fn meet(&mut self, address: Ipv6Addr, boot: u32) {
        if self.nodes.get(&address).is_some_and(|node| node.boot != boot) {
            self.nodes.remove(&address);
            self.paths.retain(|_, entry| entry.address != address);
        }
    }

    pub fn bind(&mut self, path: UnixPath, boot: u32, entry: Entry) -> Result<Found> {
        let found = Found { address: entry.address, port: entry.port, token: 0 };
        let count = self.nodes.get(&entry.address).map_or(0, |node| node.count);
        if self.paths.contains_key(&path) {
            return Err(Error::AddressInUse);
        }
        if count >= NODE_PATHS_MAX || self.paths.len() >= PATHS_MAX {
            return Err(Error::NoBuffers);
        }
        self.nodes.entry(entry.address).or_insert(NodePaths { boot, count: 0 }).count += 1;
        self.paths.insert(path, entry);
        Ok(found)
    }

    pub fn find(&self, path: &UnixPath, kind: SocketKind) -> Result<Found> {
        let entry = self.paths.get(path).ok_or(Error::NoEntry)?;
        if entry.kind != kind {
            return Err(Error::Prototype);
        }
        Ok(Found { address: entry.address, port: entry.port, token: 0 })
    }

    pub fn unbind(&mut self, path: &UnixPath, asker: TaskId) {
        let Some(entry) = self.paths.get(path).filter(|entry| entry.asker == asker) else { return };
        if let Some(node) = self.nodes.get_mut(&entry.address) {
            node.count -= 1;
            if node.count == 0 {
                self.nodes.remove(&entry.address);
            }
        }
        self.paths.remove(path);
    }

    /// A socket of the host listens for the guest at `at`.
    pub fn put_host(&mut self, at: SocketAddr, id: u64) {
        self.hosts.insert(at, id);
    }

    pub fn host(&self, at: &SocketAddr) -> Option<u64> {
        self.hosts.get(at).copied()
    }

    /// It is closed; another may have come there since.
    pub fn forget_host(&mut self, at: &SocketAddr, id: u64) {
        if self.host(at) == Some(id) {
            self.hosts.remove(at);
        }
    }
}

impl Task for Table {
    fn poll(&mut self, _: &mut Context, _: TaskId) {}

    fn is_over(&self) -> bool {
        false
    }

    fn abort(&mut self, _: &mut Context) {}
}
