//! Reckoning with prefixes, and the numbers of hosts and interfaces.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use smoltcp::wire::{EthernetAddress, IpCidr};

use crate::scenario::mistake::{Problem, quote};

/// An address and a prefix length, whatever they mean; `help`: what would be right.
pub fn cidr(text: &str, help: &str) -> Result<IpCidr, Problem> {
    let Some((address, length)) = text.split_once('/') else {
        return Err(Problem::new(format!("{} has no prefix length", quote(text)), help));
    };
    let Ok(address) = address.parse::<IpAddr>() else {
        return Err(Problem::new(format!("{} is not an IP address", quote(address)), help));
    };
    let length_max = if address.is_ipv4() { 32 } else { 128 };
    let digits = length.bytes().all(|b| b.is_ascii_digit());
    match length.parse::<u8>() {
        Ok(length) if digits && length <= length_max => Ok(cidr_of(address, length)),
        _ => {
            let family = if address.is_ipv4() { "IPv4" } else { "IPv6" };
            let message = format!("{} is not a prefix length of {family}", quote(length));
            Err(Problem::new(message, format!("0 to {length_max}")))
        }
    }
}

/// The subnet of an address: bits beyond the prefix cleared.
pub fn network(cidr: IpCidr) -> IpCidr {
    let (value, width) = bits(address_of(cidr));
    let host_bits = width - u32::from(cidr.prefix_len());
    let cleared = value.checked_shr(host_bits).and_then(|value| value.checked_shl(host_bits)).unwrap_or(0);
    cidr_of(from_bits(cleared, address_of(cidr).is_ipv4()), cidr.prefix_len())
}

/// The address with number `n` in a subnet, with its prefix length. `None` past the last that a host
/// may have; in IPv4 that leaves out the broadcast address.
pub fn nth_host(subnet: IpCidr, n: u64) -> Option<IpCidr> {
    let (base, width) = bits(address_of(subnet));
    let host_bits = width - u32::from(subnet.prefix_len());
    let size = 1u128.checked_shl(host_bits).unwrap_or(u128::MAX);
    let reserved = u128::from(address_of(subnet).is_ipv4() && host_bits >= 2);
    let in_range = u128::from(n) < size - reserved;
    in_range
        .then(|| cidr_of(from_bits(base | u128::from(n), address_of(subnet).is_ipv4()), subnet.prefix_len()))
}

pub fn address_of(cidr: IpCidr) -> IpAddr {
    cidr.address().into()
}

/// `length` must not be longer than the address.
pub fn cidr_of(address: IpAddr, length: u8) -> IpCidr {
    IpCidr::new(address.into(), length)
}

/// An address as a number, and how many bits that has.
pub fn bits(address: IpAddr) -> (u128, u32) {
    match address {
        IpAddr::V4(v4) => (u128::from(v4.to_bits()), 32),
        IpAddr::V6(v6) => (v6.to_bits(), 128),
    }
}

fn from_bits(bits: u128, v4: bool) -> IpAddr {
    match u32::try_from(bits) {
        Ok(bits) if v4 => Ipv4Addr::from_bits(bits).into(),
        _ => Ipv6Addr::from_bits(bits).into(),
    }
}

/// The address of interface number `n`: `02:00:00:00:00:00` plus `n`.
pub fn automatic_mac(n: u32) -> EthernetAddress {
    let [a, b, c, d] = n.to_be_bytes();
    EthernetAddress([2, 0, a, b, c, d])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn automatic_macs_count_up() {
        assert_eq!(automatic_mac(1).to_string(), "02-00-00-00-00-01");
    }
}
