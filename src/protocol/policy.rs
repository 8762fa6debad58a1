//! What a protocol object may reach: allow lists by address, prefix and port, each direction its own.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use smoltcp::wire::IpCidr;

use super::target::{Host, Target};
use crate::error::{Error, Result};

/// Addresses and ports that one rule lets through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// `None` is any address.
    pub prefix: Option<IpCidr>,
    pub ports: RangeInclusive<u16>,
}

impl Rule {
    fn matches(&self, address: IpAddr, port: u16) -> bool {
        self.prefix.is_none_or(|prefix| prefix.contains_addr(&address.into())) && self.ports.contains(&port)
    }
}

/// The policy of one protocol object. `None` allows everything on the guest's own virtual network;
/// an empty list allows nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Local addresses and ports that `open` may bind.
    pub bind: Option<Vec<Rule>>,
    /// Peers that `connect` may reach.
    pub connect: Option<Vec<Rule>>,
}

impl Policy {
    pub fn may_bind(&self, address: IpAddr, port: u16) -> bool {
        allows(&self.bind, address, port)
    }

    /// Whether `target`, which somebody else connects to for the guest, may be reached. A name may where any
    /// address may.
    ///
    /// # Errors
    /// `Access` if not.
    pub fn check_target(&self, target: &Target) -> Result<()> {
        let may = match (&target.host, &self.connect) {
            (_, None) => true,
            (Host::Address(address), Some(_)) => self.may_connect(*address, target.port),
            (Host::Name(_), Some(rules)) => {
                rules.iter().any(|rule| rule.prefix.is_none() && rule.ports.contains(&target.port))
            }
        };
        if may { Ok(()) } else { Err(Error::Access) }
    }

    pub fn may_connect(&self, address: IpAddr, port: u16) -> bool {
        allows(&self.connect, address, port)
    }
}

fn allows(rules: &Option<Vec<Rule>>, address: IpAddr, port: u16) -> bool {
    match rules {
        None => true,
        Some(rules) => rules.iter().any(|rule| rule.matches(address, port)),
    }
}
