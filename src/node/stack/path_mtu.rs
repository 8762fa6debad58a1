//! What paths take that are narrower than the link they begin with (RFC 1191, RFC 8201).
//!
//! A destination is remembered for a while after a router said that a packet was too big for its next link. Longer packets
//! are cut from then on: TCP's into segments, others into fragments. What a connection has lost by then is sent again at
//! once.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use crate::time::Instant;

/// RFC 1191, 6.3; RFC 8201, 4: after ten minutes the path may have become wider.
const AGE: Duration = Duration::from_secs(600);
/// Destinations; the one that was heard of first gives way.
const DESTINATIONS_MAX: usize = 256;
/// Linux's `min_pmtu`: forged errors get no further. A path that is narrower still has its routers cut.
const IPV4_MIN: usize = 552;
/// RFC 8200, 5: every link takes so much.
pub(super) const IPV6_MIN: usize = 1280;
/// RFC 1191, 7.1: what to try where a router does not say what its link takes.
const PLATEAUS: [usize; 9] = [32_000, 17_914, 8166, 4352, 2002, 1492, 1006, 576, IPV4_MIN];

/// A path's largest IP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Path {
    /// Bytes.
    pub mtu: usize,
    /// Routers may cut what is sent there.
    pub may_be_cut: bool,
}

#[derive(Debug, Default)]
pub struct PathMtu {
    destinations: BTreeMap<IpAddr, (Path, Instant)>,
}

impl PathMtu {
    /// What is known of the path to `destination`.
    pub fn get(&self, now: Instant, destination: IpAddr) -> Option<Path> {
        if self.destinations.is_empty() {
            return None;
        }
        self.destinations.get(&destination).filter(|(_, until)| now < *until).map(|(path, _)| *path)
    }

    /// A router says that a packet of `bytes` was too big for a link that takes `mtu`, or 0 if it does not tell. False if
    /// that cannot be: more than the packet had, or less than a link has to take.
    pub fn learn(&mut self, now: Instant, destination: IpAddr, bytes: usize, mtu: usize) -> bool {
        let path = match destination {
            IpAddr::V6(_) if mtu < IPV6_MIN => return false,
            IpAddr::V6(_) => Path { mtu, may_be_cut: false },
            IpAddr::V4(_) if mtu == 0 => {
                let next = PLATEAUS.into_iter().find(|&plateau| plateau < bytes).unwrap_or(IPV4_MIN);
                Path { mtu: next, may_be_cut: next == IPV4_MIN }
            }
            IpAddr::V4(_) => Path { mtu: mtu.max(IPV4_MIN), may_be_cut: mtu < IPV4_MIN },
        };
        if mtu >= bytes {
            return false;
        }
        if self.get(now, destination).is_some_and(|known| known.mtu < path.mtu) {
            // Nobody who forwards can know that a path is wider.
            return true;
        }
        self.make_room(now, destination);
        self.destinations.insert(destination, (path, now + AGE));
        true
    }

    fn make_room(&mut self, now: Instant, destination: IpAddr) {
        if self.destinations.len() < DESTINATIONS_MAX || self.destinations.contains_key(&destination) {
            return;
        }
        self.destinations.retain(|_, (_, until)| now < *until);
        if self.destinations.len() == DESTINATIONS_MAX {
            let first = self.destinations.iter().min_by_key(|(_, (_, until))| *until);
            if let Some(first) = first.map(|(&destination, _)| destination) {
                self.destinations.remove(&first);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: u64) -> Instant {
        Instant::START + Duration::from_secs(s)
    }

    #[test]
    fn it_shrinks_at_once_and_grows_with_time() {
        let mut paths = PathMtu::default();
        let four: IpAddr = "10.0.0.9".parse().unwrap();
        let mtu = |paths: &PathMtu, s| paths.get(at(s), four).map(|path| path.mtu);
        assert_eq!(mtu(&paths, 0), None);
        assert!(paths.learn(at(0), four, 1500, 1400) && paths.learn(at(1), four, 1400, 1280));
        assert_eq!(mtu(&paths, 1), Some(1280));
        assert!(paths.learn(at(2), four, 1500, 1400));
        assert_eq!(mtu(&paths, 600), Some(1280));
        assert_eq!(mtu(&paths, 601), None);
    }

    #[test]
    fn what_cannot_be_is_not_believed() {
        let mut paths = PathMtu::default();
        let (four, six): (IpAddr, IpAddr) = ("10.0.0.9".parse().unwrap(), "fd00::9".parse().unwrap());
        assert!(!paths.learn(at(0), four, 1400, 1400) && !paths.learn(at(0), six, 1500, 1279));
        assert!(!paths.learn(at(0), six, 1280, 1280) && !paths.learn(at(0), six, 1500, 0));
        assert_eq!((paths.get(at(0), four), paths.get(at(0), six)), (None, None));
        // Less than Linux believes: the routers may cut.
        assert!(paths.learn(at(0), four, 1500, 68));
        assert_eq!(paths.get(at(0), four), Some(Path { mtu: 552, may_be_cut: true }));
    }

    #[test]
    fn a_router_that_does_not_tell_is_asked_by_trying() {
        let mut paths = PathMtu::default();
        let four: IpAddr = "10.0.0.9".parse().unwrap();
        let mut tried = Vec::new();
        let mut bytes = 1500;
        while bytes > 552 {
            assert!(paths.learn(at(0), four, bytes, 0));
            bytes = paths.get(at(0), four).unwrap().mtu;
            tried.push(bytes);
        }
        assert_eq!(tried, [1492, 1006, 576, 552]);
    }

    #[test]
    fn destinations_are_bounded_and_the_oldest_goes() {
        let mut paths = PathMtu::default();
        let to = |number: u32| IpAddr::from(number.to_be_bytes());
        for number in 0..1000 {
            assert!(paths.learn(at(number.into()), to(number), 1500, 1400));
            assert!(paths.destinations.len() <= DESTINATIONS_MAX);
        }
        assert_eq!(paths.get(at(999), to(999 - 256)), None);
        assert!(paths.get(at(999), to(999 - 255)).is_some());
    }
}
