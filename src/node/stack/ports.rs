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
}

impl Ports {
    /// Takes `address`, or an ephemeral port if its port is 0, and tells which it is.
    pub fn bind(&mut self, mut address: SocketAddr, rng: &mut Rng) -> Result<SocketAddr> {
        if address.port() == 0 {
            let port = self.ephemeral(rng, |port| self.is_free(address.ip(), port));
            address.set_port(port.ok_or(Error::AddressInUse)?);
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

    /// An ephemeral port that `free` agrees to: a random one, or the next after it (RFC 6056, 3.3.1).
    pub fn ephemeral(&self, rng: &mut Rng, free: impl Fn(u16) -> bool) -> Option<u16> {
        let count = u64::from(EPHEMERAL.end() - EPHEMERAL.start()) + 1;
        let first = rng.below(count);
        (0..count).map(|step| EPHEMERAL.start() + ((first + step) % count) as u16).find(|&port| free(port))
    }

    fn is_free(&self, ip: IpAddr, port: u16) -> bool {
        let Some(list) = self.bound.get(&port) else { return true };
        list.iter().all(|&other| {
            let same_family = other.is_ipv4() == ip.is_ipv4();
            !same_family || (other != ip && !other.is_unspecified() && !ip.is_unspecified())
        })
    }
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
