//! Which of several addresses to try first: RFC 6724, section 6, then families by turns (RFC 8305, section 4).

use std::cmp::Reverse;
use std::net::IpAddr;

use super::Family;
use crate::node::object::Context;

/// Puts `addresses` into the order in which they are to be tried.
pub fn sort(cx: &mut Context, addresses: &mut Vec<IpAddr>) {
    let now = cx.now;
    let mut rated: Vec<_> = addresses
        .drain(..)
        .map(|address| (rate(address, cx.stack.source_towards(now, address).ok()), address))
        .collect();
    // Stable: what is equally good stays as the server has it.
    rated.sort_by_key(|&(rating, _)| Reverse(rating));
    addresses.extend(by_turns(rated.into_iter().map(|(_, address)| address).collect()));
}

/// The better is the greater: rules 1, 2, 5, 6, 8 and, for IPv6, 9. The others are about states that there are not here.
fn rate(to: IpAddr, from: Option<IpAddr>) -> (bool, bool, bool, u8, Reverse<u8>, u32) {
    let same_scope = from.is_some_and(|from| scope(from) == scope(to));
    let same_label = from.is_some_and(|from| policy(from).1 == policy(to).1);
    let common = match (from, to) {
        (Some(IpAddr::V6(from)), IpAddr::V6(to)) => (from.to_bits() ^ to.to_bits()).leading_zeros(),
        _ => 0,
    };
    (from.is_some(), same_scope, same_label, policy(to).0, Reverse(scope(to)), common)
}

/// RFC 6724, 3.1: multicast does not come from a resolver.
fn scope(address: IpAddr) -> u8 {
    const LINK_LOCAL: u8 = 2;
    const GLOBAL: u8 = 14;
    let link_local = match address {
        IpAddr::V4(v4) => v4.is_link_local() || v4.is_loopback(),
        IpAddr::V6(v6) => v6.is_unicast_link_local() || v6.is_loopback(),
    };
    if link_local { LINK_LOCAL } else { GLOBAL }
}

/// Precedence and label (RFC 6724, 2.1).
fn policy(address: IpAddr) -> (u8, u8) {
    let IpAddr::V6(v6) = address else { return (35, 4) };
    match v6.segments() {
        _ if v6.is_loopback() => (50, 0),
        [0x2002, ..] => (30, 2),
        [0x2001, 0, ..] => (5, 5),
        [first, ..] if first & 0xfe00 == 0xfc00 => (3, 13),
        [first, ..] if first & 0xffc0 == 0xfec0 => (1, 11),
        [0x3ffe, ..] => (1, 12),
        _ => (40, 1),
    }
}

/// The first stays the first; after it one of the other family, and so on, as long as there are both.
fn by_turns(addresses: Vec<IpAddr>) -> Vec<IpAddr> {
    let Some(first) = addresses.first().map(|&address| Family::of(address)) else { return addresses };
    let (mut leading, mut other): (Vec<_>, Vec<_>) =
        addresses.into_iter().rev().partition(|&address| Family::of(address) == first);
    let mut sorted = Vec::with_capacity(leading.len() + other.len());
    while let Some(address) = leading.pop() {
        sorted.push(address);
        sorted.extend(other.pop());
    }
    sorted.extend(other.into_iter().rev());
    sorted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(pairs: &[(&str, Option<&str>)]) -> Vec<String> {
        let parse = |text: &str| text.parse::<IpAddr>().unwrap();
        let mut rated: Vec<_> =
            pairs.iter().map(|(to, from)| (rate(parse(to), from.map(parse)), *to)).collect();
        rated.sort_by_key(|&(rating, _)| Reverse(rating));
        rated.into_iter().map(|(_, to)| to.to_owned()).collect()
    }

    #[test]
    fn the_table_of_rfc_6724() {
        // Its section 10.2, as far as the rules are here.
        let global = Some("2001:db8:1::2");
        assert_eq!(
            sorted(&[("198.51.100.121", Some("169.254.13.78")), ("2001:db8:1::1", global)]),
            ["2001:db8:1::1", "198.51.100.121"]
        );
        assert_eq!(
            sorted(&[("2001:db8:1::1", Some("fe80::1")), ("198.51.100.121", Some("198.51.100.117"))]),
            ["198.51.100.121", "2001:db8:1::1"]
        );
        assert_eq!(sorted(&[("10.1.2.3", Some("10.1.2.4")), ("2001:db8:1::1", global)])[0], "2001:db8:1::1");
        assert_eq!(sorted(&[("2001:db8:1::1", None), ("10.1.2.3", Some("10.1.2.4"))])[0], "10.1.2.3");
        // Unique local addresses are for those who have one; even so IPv4 comes first.
        assert_eq!(sorted(&[("fd00::2", Some("fd00::3")), ("10.0.0.2", Some("10.0.0.3"))])[0], "10.0.0.2");
    }

    #[test]
    fn families_take_turns() {
        let addresses =
            |list: &[&str]| list.iter().map(|text| text.parse().unwrap()).collect::<Vec<IpAddr>>();
        assert_eq!(
            by_turns(addresses(&["::1", "::2", "::3", "10.0.0.1", "10.0.0.2"])),
            addresses(&["::1", "10.0.0.1", "::2", "10.0.0.2", "::3"])
        );
        assert_eq!(
            by_turns(addresses(&["10.0.0.1", "::1", "::2", "::3"])),
            addresses(&["10.0.0.1", "::1", "::2", "::3"])
        );
    }
}
