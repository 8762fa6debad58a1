//! What a server gives, and whether that makes sense.

use std::net::Ipv4Addr;
use std::time::Duration;

use smoltcp::wire::{IpAddress, Ipv4Cidr};

use crate::network::dhcp::Message;
use crate::time::Instant;

/// Shorter leases are none.
const LEASE_S_MIN: u32 = 4;
/// "For ever", as a lease time.
const INFINITE_S: u32 = u32::MAX;

/// What a server gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    pub address: Ipv4Cidr,
    pub routers: Vec<Ipv4Addr>,
    pub dns: Vec<Ipv4Addr>,
    pub server: Ipv4Addr,
    pub renew: Instant,
    pub rebind: Instant,
    pub expires: Instant,
}

impl Lease {
    /// What a message grants, unless that makes no sense.
    pub fn granted(now: Instant, message: &Message) -> Option<Self> {
        let length = IpAddress::Ipv4(message.mask?).prefix_len().filter(|&length| length > 0)?;
        let address = Ipv4Cidr::new(message.your_address, length);
        if !is_host(address) {
            return None;
        }
        let lease_s = message.lease_s.filter(|&seconds| seconds >= LEASE_S_MIN)?;
        let lease = u64::from(lease_s);
        // 4.4.5; T1 before T2 before the end, or neither counts.
        let default = (lease / 2, lease * 7 / 8);
        let told =
            (message.renew_s.map_or(default.0, u64::from), message.rebind_s.map_or(default.1, u64::from));
        let (renew, rebind) = if 0 < told.0 && told.0 < told.1 && told.1 < lease { told } else { default };
        let after = |seconds: u64| {
            if lease_s == INFINITE_S { Instant::FAR_FUTURE } else { now + Duration::from_secs(seconds) }
        };
        let host = |address: &Ipv4Addr| {
            !address.is_unspecified() && !address.is_multicast() && !address.is_broadcast()
        };
        Some(Self {
            address,
            routers: message.routers.iter().copied().filter(host).collect(),
            dns: message.dns.iter().copied().filter(host).collect(),
            server: message.server?,
            renew: after(renew),
            rebind: after(rebind),
            expires: after(lease),
        })
    }
}

/// An address that one host of its subnet may have.
fn is_host(cidr: Ipv4Cidr) -> bool {
    let address = cidr.address();
    let (first, host_bits) = (address.octets()[0], 32 - cidr.prefix_len());
    let hosts = u32::MAX.checked_shr(u32::from(cidr.prefix_len())).unwrap_or(0);
    let number = address.to_bits() & hosts;
    let special = first == 0 || first == 127 || first >= 224;
    !special && (host_bits < 2 || (number != 0 && number != hosts))
}
