//! Local ports in use, and the choice of ephemeral ones.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::error::{Error, Result};
use crate::rng::Rng;

/// RFC 6335, section 6: the dynamic ports.
const EPHEMERAL: std::ops::RangeInclusive<u16> = 49_152..=65_535;

/// What is bound of one transport protocol. A wildcard address covers its own family alone.
#[derive(Debug, Default)]
pub struct Ports {
    bound: BTreeMap<u16, Vec<IpAddr>>,
    order: Order,
}

/// Where the search for an ephemeral port begins.
#[derive(Debug, Default)]
enum Order {
    /// Anywhere.
    #[default]
    Random,
    /// After the last one, the first time anywhere.
    Ascending(Option<u16>),
}

impl Ports {
    /// For TCP: a port comes again as late as can be. A random one would soon meet the peer's TIME-WAIT of a
    /// connection before, and be kept waiting.
    pub fn ascending() -> Self {
        Self { order: Order::Ascending(None), ..Self::default() }
    }

    /// Takes `address`, or an ephemeral port if its port is 0, and tells which it is.
    pub fn bind(&mut self, mut address: SocketAddr, rng: &mut Rng) -> Result<SocketAddr> {
        if address.port() == 0 {
            let first = self.first(rng);
            let port = search(first, |port| self.is_free(address.ip(), port)).ok_or(Error::AddressInUse)?;
            self.chose(port);
            address.set_port(port);
        } else if !self.is_free(address.ip(), address.port()) {
            return Err(Error::AddressInUse);
        }
        self.bound.entry(address.port()).or_default().push(address.ip());
        Ok(address)
    }

    pub fn release(&mut self, address: SocketAddr) {
        if let Some(list) = self.bound.get_mut(&address.port()) {
            if let Some(at) = list.iter().position(|&ip| ip == address.ip()) {
                list.swap_remove(at);
            }
            if list.is_empty() {
                self.bound.remove(&address.port());
            }
        }
    }

    /// An ephemeral port that `free` agrees to: a random one or the next after it (RFC 6056, 3.3.1), or the next
    /// after the last.
    pub fn ephemeral(&mut self, rng: &mut Rng, free: impl Fn(u16) -> bool) -> Option<u16> {
        let port = search(self.first(rng), free)?;
        self.chose(port);
        Some(port)
    }

    /// Where to begin, counted from the first of the range.
    fn first(&self, rng: &mut Rng) -> u64 {
        match self.order {
            Order::Ascending(Some(last)) => u64::from(last - EPHEMERAL.start()) + 1,
            Order::Random | Order::Ascending(None) => rng.below(EPHEMERAL.len() as u64),
        }
    }

    fn chose(&mut self, port: u16) {
        match &mut self.order {
            Order::Ascending(last) => *last = Some(port),
            Order::Random => {}
        }
    }

    fn is_free(&self, ip: IpAddr, port: u16) -> bool {
        let Some(list) = self.bound.get(&port) else { return true };
        list.iter().all(|&other| {
            let same_family = other.is_ipv4() == ip.is_ipv4();
            // A group may be bound by many, each of whom hears it.
            let shared = ip.is_multicast() || other.is_multicast();
            shared || !same_family || (other != ip && !other.is_unspecified() && !ip.is_unspecified())
        })
    }
}

fn search(first: u64, free: impl Fn(u16) -> bool) -> Option<u16> {
    let count = EPHEMERAL.len() as u64;
    (0..count).map(|step| EPHEMERAL.start() + ((first + step) % count) as u16).find(|&port| free(port))
}

/// The wildcard address of an address's family.
pub fn wildcard(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Seed;

    #[test]
    fn a_wildcard_excludes_its_family_and_no_other() {
        let mut rng = Seed(1).fork("ports");
        let mut ports = Ports::default();
        let mut bind = |text: &str| ports.bind(text.parse().unwrap(), &mut rng).map(|a| a.port());
        assert_eq!(bind("10.0.0.1:80"), Ok(80));
        assert_eq!(bind("10.0.0.2:80"), Ok(80));
        assert_eq!(bind("0.0.0.0:80"), Err(Error::AddressInUse));
        assert_eq!(bind("[::]:80"), Ok(80));
        assert_eq!(bind("[::1]:80"), Err(Error::AddressInUse));
        assert!(bind("10.0.0.1:0").unwrap() >= 49_152);
    }

    #[test]
    fn ascending_ports_come_again_as_late_as_can_be() {
        let mut rng = Seed(1).fork("ports");
        let mut ports = Ports::ascending();
        let any: SocketAddr = "0.0.0.0:0".parse().unwrap();
        let mut next = |ports: &mut Ports| {
            let bound = ports.bind(any, &mut rng).unwrap();
            ports.release(bound);
            bound.port()
        };
        let first = next(&mut ports);
        let mut before = first;
        for _ in 1..EPHEMERAL.len() {
            let port = next(&mut ports);
            assert_eq!(port, if before == *EPHEMERAL.end() { *EPHEMERAL.start() } else { before + 1 });
            before = port;
        }
        assert_eq!(next(&mut ports), first, "all the others came between");
        // One that is taken is passed over, and a choice that a caller did not agree to.
        ports.bind(SocketAddr::new(any.ip(), first + 1), &mut Seed(1).fork("other")).unwrap();
        assert_eq!(next(&mut ports), first + 2);
        assert_eq!(ports.ephemeral(&mut Seed(1).fork("other"), |port| port != first + 3), Some(first + 4));
    }

    #[test]
    fn ephemeral_ports_run_out_with_an_error() {
        let mut rng = Seed(1).fork("ports");
        let mut ports = Ports::default();
        let any: SocketAddr = "0.0.0.0:0".parse().unwrap();
        for _ in 0..16_384 {
            ports.bind(any, &mut rng).unwrap();
        }
        assert_eq!(ports.bind(any, &mut rng), Err(Error::AddressInUse));
    }
}
