//! Duplicate address detection (RFC 4862, section 5.4): one question, and a second for somebody to object.

use std::net::Ipv6Addr;
use std::time::Duration;

use crate::network::ip::ndp::{NEIGHBOUR_SOLICITATION, finish, solicited_node};
use crate::time::Instant;

/// RetransTimer, with DupAddrDetectTransmits 1.
const WAIT: Duration = Duration::from_secs(1);

/// Where an address is in its test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Never asked about.
    Untested,
    Tentative,
    Unique,
    Duplicate,
}

#[derive(Debug)]
struct Test {
    address: Ipv6Addr,
    standing: Standing,
    until: Instant,
}

/// The tests of one interface's addresses: of as many as it was asked to test and has not forgotten since.
#[derive(Debug, Default)]
pub struct Tests(Vec<Test>);

impl Tests {
    pub fn standing(&self, address: Ipv6Addr) -> Standing {
        self.0.iter().find(|test| test.address == address).map_or(Standing::Untested, |test| test.standing)
    }

    /// Begins the test of an address that was not tested, with a packet and the group that it goes to.
    pub fn begin(&mut self, now: Instant, address: Ipv6Addr) -> Option<(Ipv6Addr, Vec<u8>)> {
        if self.standing(address) != Standing::Untested {
            return None;
        }
        self.0.push(Test { address, standing: Standing::Tentative, until: now + WAIT });
        // Without the option that says who asks: nobody does yet.
        let mut question = vec![NEIGHBOUR_SOLICITATION, 0, 0, 0, 0, 0, 0, 0];
        question.extend_from_slice(&address.octets());
        let group = solicited_node(address);
        Some((group, finish(Ipv6Addr::UNSPECIFIED, group, question)))
    }

    /// Only these addresses matter still.
    pub fn retain(&mut self, wanted: impl Fn(Ipv6Addr) -> bool) {
        self.0.retain(|test| wanted(test.address));
    }

    /// Somebody else asks for the address as we do, or says that it is his. True if that decides a test.
    pub fn contested(&mut self, address: Ipv6Addr) -> bool {
        let tentative = |test: &&mut Test| test.address == address && test.standing == Standing::Tentative;
        let Some(test) = self.0.iter_mut().find(tentative) else { return false };
        test.standing = Standing::Duplicate;
        true
    }

    /// Addresses that nobody objected to.
    pub fn poll(&mut self, now: Instant) -> Vec<Ipv6Addr> {
        let mut unique = Vec::new();
        for test in self.0.iter_mut().filter(|test| test.standing == Standing::Tentative && test.until <= now)
        {
            test.standing = Standing::Unique;
            unique.push(test.address);
        }
        unique
    }

    pub fn poll_at(&self) -> Option<Instant> {
        let waiting = self.0.iter().filter(|test| test.standing == Standing::Tentative);
        waiting.map(|test| test.until).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_makes_an_address_ones_own_and_an_objection_does_not() {
        let (one, other): (Ipv6Addr, Ipv6Addr) = ("fd00::1".parse().unwrap(), "fd00::2".parse().unwrap());
        let mut tests = Tests::default();
        assert!(tests.begin(Instant::START, one).is_some());
        assert!(tests.begin(Instant::START, one).is_none(), "asked once");
        tests.begin(Instant::START, other);
        assert!(tests.contested(other) && !tests.contested(other));
        let end = tests.poll_at().unwrap();
        assert_eq!(end, Instant::START + WAIT);
        assert!(tests.poll(Instant::from_nanos(end.nanos() - 1)).is_empty());
        assert_eq!(tests.standing(one), Standing::Tentative);
        assert_eq!(tests.poll(end), [one]);
        assert_eq!((tests.standing(one), tests.standing(other)), (Standing::Unique, Standing::Duplicate));
        assert!(!tests.contested(one), "too late: it is in use, and defended");
        tests.retain(|address| address == other);
        assert_eq!(tests.standing(one), Standing::Untested);
    }
}
