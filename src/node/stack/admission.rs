//! Who may come in: asked on a SYN, and on the first datagram of a flow, before anything is spent on a peer.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::{Listener, Stack, Udp};
use crate::node::slab::Id;
use crate::time::Instant;

/// Peers that are told about in a while, each once: under a flood of them, the rest are counted.
const TOLD_MAX: usize = 16;
const WHILE: Duration = Duration::from_secs(10);

/// What a listener asks about each peer.
pub trait Admission: Send + Sync {
    fn admits(&self, peer: SocketAddr) -> bool;

    /// Why it does not, for the trace.
    fn refusal(&self, peer: SocketAddr) -> String;
}

/// What there is to tell of peers that were refused.
#[derive(Default)]
pub(super) struct Refused {
    sentences: Vec<String>,
    /// When the while began, and who was told about in it.
    since: Instant,
    told: BTreeSet<SocketAddr>,
    untold: u64,
}

impl Refused {
    fn add(&mut self, now: Instant, peer: SocketAddr, admission: &dyn Admission) {
        if now >= self.since + WHILE {
            self.since = now;
            self.told.clear();
            if self.untold > 0 {
                self.sentences
                    .push(format!("accept: {} more were refused", std::mem::take(&mut self.untold)));
            }
        }
        if self.told.contains(&peer) {
            return;
        }
        if self.told.len() < TOLD_MAX {
            self.told.insert(peer);
            self.sentences.push(admission.refusal(peer));
        } else {
            self.untold += 1;
        }
    }
}

impl Stack {
    /// Has a listener refuse those whom `admission` does not let in: a SYN is reset.
    pub fn tcp_admit(&mut self, id: Id<Listener>, admission: Arc<dyn Admission>) {
        if let Some(listener) = self.listeners.get_mut(id) {
            listener.admission = Some(admission);
        }
    }

    /// The same of datagrams, which are dropped.
    pub fn udp_admit(&mut self, id: Id<Udp>, admission: Arc<dyn Admission>) {
        self.udp.admit(id, admission);
    }

    /// Whether somebody new is let in.
    pub(super) fn admits(
        &mut self,
        now: Instant,
        admission: Option<&Arc<dyn Admission>>,
        peer: SocketAddr,
    ) -> bool {
        let Some(admission) = admission.filter(|admission| !admission.admits(peer)) else { return true };
        self.refused.get_or_insert_default().add(now, peer, &**admission);
        false
    }

    /// Sentences about those who were refused since the last call.
    pub fn take_refusals(&mut self) -> Vec<String> {
        self.refused.as_mut().map(|refused| std::mem::take(&mut refused.sentences)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Nobody;

    impl Admission for Nobody {
        fn admits(&self, _: SocketAddr) -> bool {
            false
        }

        fn refusal(&self, peer: SocketAddr) -> String {
            peer.to_string()
        }
    }

    #[test]
    fn a_flood_is_told_by_its_first_and_its_number() {
        let mut refused = Refused::default();
        let peer = |n: u32| SocketAddr::from((n.to_be_bytes(), 9));
        for n in 0..100_000 {
            refused.add(Instant::START + WHILE / 2, peer(n), &Nobody);
            refused.add(Instant::START + WHILE / 2, peer(0), &Nobody);
        }
        let first: Vec<String> = (0..TOLD_MAX as u32).map(|n| peer(n).to_string()).collect();
        assert_eq!(refused.sentences, first);
        assert!(refused.told.len() <= TOLD_MAX);
        refused.sentences.clear();
        refused.add(Instant::START + WHILE, peer(0), &Nobody);
        assert_eq!(refused.sentences, ["accept: 99984 more were refused".to_owned(), peer(0).to_string()]);
    }
}
