//! Where the lab's nodes are by now: what names of the lab lead to, once addresses are others than the scenario gave.
//!
//! A lab knows its machines by name as a network with dynamic updates does: whoever gets an address by DHCP or of a prefix, or
//! is given another by the timeline, is found there from that instant on.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock};

/// Shared by the nodes of one world; the world alone changes it.
#[derive(Clone, Debug, Default)]
pub struct Whereabouts(Arc<RwLock<BTreeMap<usize, Arc<[IpAddr]>>>>);

impl Whereabouts {
    /// The addresses of a node, by its number in the world; `None` if they are those that the scenario gave it.
    pub fn of(&self, node: usize) -> Option<Arc<[IpAddr]>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(&node).cloned()
    }

    /// Every node that is elsewhere.
    pub fn all(&self) -> Vec<(usize, Arc<[IpAddr]>)> {
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        all.iter().map(|(&node, addresses)| (node, Arc::clone(addresses))).collect()
    }

    pub fn moved(&self, node: usize, addresses: &[IpAddr]) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(node, addresses.into());
    }
}
