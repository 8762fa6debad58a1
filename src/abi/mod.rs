//! The guest ABI: modules `networking` and `wasi_snapshot_preview1` over one descriptor table.
//!
//! ```text
//! link.rs         every import, wired by hand: result pointers are checked before anything happens
//! networking.rs   the trait that witx/networking.witx generates
//! wasip1.rs       the trait that wasmtime-wasi generates; files go on to its own implementation
//! files.rs        what of the host's file system a guest is shown: facts, directories, no devices
//! stat.rs         what a descriptor says of itself, and the flags and rights that can be changed
//! stdio.rs        the standard streams; strings.rs: arguments and environment
//! random.rs       randomness, and turns given away
//! sockets.rs      reading and writing streams, and preview 1's `sock_*`
//! poll.rs         `poll_oneoff` over clocks, files and network objects
//! effort.rs       how much of the host's work one turn of a guest may ask for
//! trace.rs        calls as strace prints them (names.rs: words for flags)
//! preopens.rs     what a guest finds open; connections.rs makes what takes time before it runs
//! table.rs rights.rs errno.rs
//! ```
//!
//! An import locks the node for one operation; where that would block it registers an interest, lets
//! the fiber be suspended and runs the operation again ([`block`]). Nothing here knows how the world moves.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use wasmtime::StoreLimits;
use wasmtime_wasi::p1::WasiP1Ctx;
use wasmtime_wasi::p1::types::{Errno, Fd};

mod connections;
mod effort;
pub mod errno;
mod files;
mod link;
mod names;
mod networking;
mod poll;
mod preopens;
mod random;
pub mod rights;
mod sockets;
mod stat;
mod stdio;
mod strings;
pub mod table;
mod trace;
mod wasip1;

pub use files::FileView;
pub use link::add_to_linker;
pub use preopens::Setup;

use crate::error::{Error, Result};
use crate::node::{Interest, Node, ObjectId};
use connections::Awaited;
use effort::Effort;
use strings::Strings;
use table::{Descriptor, Network, NetworkKind, Table};

/// A node, shared by the world and its guest's calls.
pub type SharedNode = Arc<Mutex<Node>>;

/// What an import finds in the store: the guest's node, its descriptors and what stands behind files.
pub struct Context {
    node: SharedNode,
    table: Table,
    /// Listeners that have to be where they were opened before the guest runs, and how each is called.
    listening: Vec<(ObjectId, String)>,
    /// Connections that are to be made before the guest runs.
    awaited: Vec<Awaited>,
    wasi: WasiP1Ctx,
    arguments: Strings,
    environment: Strings,
    /// Wall-clock time of the world's first instant, since the Unix epoch.
    epoch: Duration,
    /// The guest's memory, once a call has looked for it.
    memory: Option<wasmtime::Memory>,
    effort: Effort,
    file_view: FileView,
    /// Directories that the guest is reading.
    listings: files::Listings,
    trace: bool,
    pub limits: StoreLimits,
}

/// A guest ended itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("exit with {0}")]
pub struct ProcExit(pub u32);

impl Context {
    /// Locks the node. Never held across an await.
    fn node(&self) -> MutexGuard<'_, Node> {
        lock(&self.node)
    }

    /// The node, once what was computed until this call has been charged to the guest's clocks: whenever a call
    /// reads a clock, or waits, since time that passes then is not what computing takes.
    fn charged(&self) -> MutexGuard<'_, Node> {
        let mut node = lock(&self.node);
        node.charge(self.effort.fuel_used());
        node
    }

    fn insert(&mut self, network: Network) -> Result<Fd, Errno> {
        let (id, carrier) = (network.id, network.carrier);
        self.table.insert(Descriptor::Network(network)).inspect_err(|_| {
            let mut node = lock(&self.node);
            node.close(id);
            if let Some(carrier) = carrier {
                node.close(carrier);
            }
        })
    }

    fn network(&self, fd: Fd, kind: NetworkKind) -> Result<Network, Errno> {
        self.table.network(fd, kind).cloned()
    }
}

/// The guest is gone, however it ended: what it left open is told to whoever looks after its node.
impl Drop for Context {
    fn drop(&mut self) {
        lock(&self.node).left_open = self.table.left_open();
    }
}

/// A panic elsewhere must not take this guest along: what is behind the lock is still whole.
pub fn lock(node: &SharedNode) -> MutexGuard<'_, Node> {
    node.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Runs `operation` until it does not block: how a guest waits for one object. For many, there is `poll`.
async fn block<T>(
    node: &SharedNode,
    effort: &mut Effort,
    id: ObjectId,
    interest: Interest,
    nonblock: bool,
    mut operation: impl FnMut(&mut Node) -> Result<T>,
) -> Result<T> {
    loop {
        {
            let mut node = lock(node);
            match operation(&mut node) {
                Err(Error::WouldBlock) if !nonblock => {
                    node.charge(effort.fuel_used());
                    node.watch(id, interest);
                }
                other => return other,
            }
        }
        suspend(effort).await;
    }
}

/// Gives the fiber up until its guest's next turn.
async fn suspend(effort: &mut Effort) {
    give_way().await;
    effort.begin_turn();
}

/// Gives the fiber up once. Whoever runs guests resumes it when its node was woken.
async fn give_way() {
    let mut suspended = false;
    std::future::poll_fn(|_| {
        if std::mem::replace(&mut suspended, true) {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
}
