//! What guests do with sockets of the host: the directory of paths says what, and hears what became of it.

use super::World;
use super::slots::Service;
use crate::abi::lock;
use crate::node::task::Handle;
use crate::protocol::unix::Directory;
use crate::protocol::unix::host::{HostCall, HostNews};
use crate::time::Instant;

impl World {
    /// What is to be done with sockets of the host since the last call.
    pub fn take_host_calls(&mut self) -> Vec<HostCall> {
        let Some((node, directory)) = self.directory() else { return Vec::new() };
        let calls =
            lock(&self.nodes[node].node).with_task(directory, |directory, cx| directory.take_host_calls(cx));
        calls.unwrap_or_default()
    }

    /// What became of it.
    pub fn hear_host(&mut self, now: Instant, news: HostNews) {
        self.now = self.now.max(now);
        let Some((node, directory)) = self.directory() else { return };
        {
            let mut slot = lock(&self.nodes[node].node);
            slot.now = self.now;
            slot.with_task(directory, |directory, cx| directory.hear(cx, news));
        }
        self.mark_dirty(node);
    }

    /// True if nothing is left that guests wrote to sockets of the host, and the host has not taken.
    pub fn is_drained_to_host(&self) -> bool {
        let directory = self.directory().map(|(node, _)| &self.nodes[node].node);
        directory.is_none_or(|node| lock(node).has_drained_tasks())
    }

    /// The node of the directory of paths.
    fn directory(&self) -> Option<(usize, Handle<Directory>)> {
        let first = self.nodes.len() - self.services.len();
        self.services.iter().enumerate().find_map(|(index, service)| match service {
            Service::Directory(directory) => Some((first + index, *directory)),
            Service::Dns(_) => None,
        })
    }
}
