//! IPv6 extension headers in front of what a packet carries (RFC 8200, section 4): looked at, and taken off, as neither the
//! demux nor smoltcp looks behind them.
//!
//! ```text
//! reassembly --> take_off --plain packet--> demux
//!                   '----- "parameter problem" to its sender, or nothing
//! ```
//!
//! Options ask for nothing that an end node has to do; those that are unknown say themselves whether the packet counts without
//! them. A routing header is passed over at its last stop, and nobody is a stop on the way (RFC 5095). Fragments were put
//! together before; headers that authenticate or encrypt are unknown here.

use bytes::{BufMut, Bytes, BytesMut};
use smoltcp::wire::{IpProtocol, Ipv6Packet};

use super::{Stack, answer};
use crate::network::ip::IPV6_HEADER_BYTES;
use crate::time::Instant;

/// More headers than this are nobody's: senders have each kind once, and destination options twice (4.1).
const HEADERS_MAX: usize = 8;

/// Types of options that say nothing (4.2), and of one for routers alone (RFC 2711).
const PAD1: u8 = 0;
const PADN: u8 = 1;
const ROUTER_ALERT: u8 = 5;

/// ICMPv6 errors have the types below this one (RFC 4443, 2.1).
const INFORMATIONAL: u8 = 128;
const PARAMETER_PROBLEM: u8 = 4;

/// A packet, after a look at its extension headers.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Outcome {
    /// As it came, if it had none, or without them.
    Plain(Bytes),
    /// To be dropped, and its sender to be told (RFC 4443, 3.4).
    Problem(Problem),
    /// To be dropped without a word, as it asks for.
    Unwanted,
    /// Against the format.
    Malformed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Problem {
    code: Code,
    /// Where in the packet.
    pointer: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Code {
    Erroneous = 0,
    UnknownHeader = 1,
    UnknownOption = 2,
}

impl Stack {
    /// A whole IP packet as it is without extension headers; `None` if there is nothing more to be done with it.
    pub(super) fn without_extensions(&mut self, now: Instant, packet: Bytes) -> Option<Bytes> {
        if !has_extensions(&packet) {
            return Some(packet);
        }
        match take_off(&packet) {
            Some(Outcome::Plain(plain)) => return Some(plain),
            Some(Outcome::Problem(problem)) => {
                self.statistics.malformed += 1;
                self.report_problem(now, &packet, problem);
            }
            Some(Outcome::Unwanted | Outcome::Malformed) | None => self.statistics.malformed += 1,
        }
        None
    }

    fn report_problem(&mut self, now: Instant, packet: &[u8], problem: Problem) {
        let word = problem.pointer as u32;
        let report = answer::error_ipv6(PARAMETER_PROBLEM, problem.code as u8, word, packet, |address| {
            self.is_own(address)
        });
        let Some((source, report)) = report else { return };
        if let Ok(index) = self.route(now, source) {
            self.send(now, index, report);
        }
    }
}

fn is_extension(protocol: IpProtocol) -> bool {
    matches!(
        protocol,
        IpProtocol::HopByHop | IpProtocol::Ipv6Route | IpProtocol::Ipv6Frag | IpProtocol::Ipv6Opts
    )
}

fn has_extensions(ip: &[u8]) -> bool {
    ip.first().is_some_and(|byte| byte >> 4 == 6)
        && ip.get(6).is_some_and(|&next| is_extension(IpProtocol::from(next)))
}

/// `None`: cut short.
fn take_off(packet: &Bytes) -> Option<Outcome> {
    let ip = packet.get(..Ipv6Packet::new_checked(&packet[..]).ok()?.total_len())?;
    let (mut offset, mut pointer) = (IPV6_HEADER_BYTES, 6);
    for count in 0.. {
        let protocol = IpProtocol::from(ip[pointer]);
        if !is_extension(protocol) {
            break;
        }
        if count == HEADERS_MAX {
            return Some(Outcome::Malformed);
        }
        let header = ip.get(offset..)?;
        let header = header.get(..usize::from(*header.get(1)?) * 8 + 8)?;
        match protocol {
            // Only in front of all others (4.1).
            IpProtocol::HopByHop if pointer != 6 => return problem(Code::UnknownHeader, pointer),
            IpProtocol::HopByHop | IpProtocol::Ipv6Opts => {
                let is_for_many = ip[24] == 0xFF;
                if let Some(refused) = options(&header[2..], offset + 2, is_for_many)? {
                    return Some(refused);
                }
            }
            IpProtocol::Ipv6Route if header[3] > 0 => return problem(Code::Erroneous, offset + 2),
            // One within another.
            IpProtocol::Ipv6Frag => return Some(Outcome::Malformed),
            _ => {}
        }
        pointer = offset;
        offset += header.len();
    }
    let protocol = IpProtocol::from(ip[pointer]);
    let payload = &ip[offset..];
    match protocol {
        IpProtocol::Tcp | IpProtocol::Udp | IpProtocol::Icmpv6 => {}
        IpProtocol::Ipv6NoNxt => return Some(Outcome::Unwanted),
        _ => return problem(Code::UnknownHeader, pointer),
    }
    let mut plain = BytesMut::with_capacity(IPV6_HEADER_BYTES + payload.len());
    plain.put_slice(&ip[..4]);
    plain.put_u16(payload.len() as u16);
    plain.put_u8(protocol.into());
    plain.put_slice(&ip[7..IPV6_HEADER_BYTES]);
    plain.put_slice(payload);
    Some(Outcome::Plain(plain.freeze()))
}

fn problem(code: Code, pointer: usize) -> Option<Outcome> {
    Some(Outcome::Problem(Problem { code, pointer }))
}

/// What becomes of a packet with these options, if it is not to be taken (4.2); `None` if they run past their header's end.
/// `at`: where they are in the packet.
fn options(mut options: &[u8], mut at: usize, is_for_many: bool) -> Option<Option<Outcome>> {
    while let Some(&kind) = options.first() {
        let length = if kind == PAD1 { 1 } else { usize::from(*options.get(1)?) + 2 };
        let is_known = [PAD1, PADN, ROUTER_ALERT].contains(&kind);
        options = options.get(length..)?;
        match kind >> 6 {
            _ if is_known => {}
            0 => {}
            1 => return Some(Some(Outcome::Unwanted)),
            3 if is_for_many => return Some(Some(Outcome::Unwanted)),
            _ => return Some(problem(Code::UnknownOption, at)),
        }
        at += length;
    }
    Some(None)
}

/// True for a packet that no error may be about: what carries one itself, as far as can be told (RFC 4443, 2.4 (e)).
pub(super) fn carries_error(ip: &[u8]) -> bool {
    crate::network::ip::Upper::find(ip).is_some_and(|upper| {
        upper.protocol == IpProtocol::Icmpv6 && ip.get(upper.offset).is_none_or(|&kind| kind < INFORMATIONAL)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const UDP: [u8; 9] = [0, 1, 0, 2, 0, 9, 0, 0, b'x'];

    /// An IPv6 packet to fd00::1, with what is behind its header.
    fn packet(next: u8, rest: &[u8]) -> Bytes {
        let mut ip = vec![0x60, 0, 0, 0, 0, rest.len() as u8, next, 64];
        ip.extend_from_slice(&[0xFD, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
        ip.extend_from_slice(&[0xFD, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        ip.extend_from_slice(rest);
        ip.into()
    }

    fn taken(next: u8, headers: &[[u8; 8]]) -> Option<Outcome> {
        take_off(&packet(next, &[headers.as_flattened(), &UDP].concat()))
    }

    #[test]
    fn what_stands_in_front_is_taken_off() {
        let plain = Some(Outcome::Plain(packet(17, &UDP)));
        let pad = [17, 0, 1, 4, 0, 0, 0, 0];
        assert_eq!(taken(0, &[pad]), plain);
        assert_eq!(taken(60, &[pad]), plain);
        assert_eq!(taken(43, &[[17, 0, 0, 0, 0, 0, 0, 0]]), plain, "at its last stop");
        let first = [60, 0, 5, 2, 0, 0, 0, 0];
        assert_eq!(taken(0, &[first, [43, 0, 0, 0, 0, 0, 0, 0], [17, 0, 4, 0, 0, 0, 0, 0]]), plain);
        assert_eq!(taken(0, &[[17, 0, 0x1E, 4, 0, 0, 0, 0]]), plain, "unknown, to be skipped");
        // What is behind the packet's end is not of it.
        let padded = [&packet(60, &[&pad[..], &UDP].concat())[..], &[7; 20]].concat();
        assert_eq!(take_off(&padded.into()), plain);
    }

    #[test]
    fn what_is_not_understood_is_told_or_dropped() {
        use Code::{Erroneous, UnknownHeader, UnknownOption};
        let told = |code, pointer| Some(Outcome::Problem(Problem { code, pointer }));
        let option = |kind| [17, 0, 1, 0, kind, 2, 0, 0];
        assert_eq!(taken(60, &[option(0x40)]), Some(Outcome::Unwanted));
        assert_eq!(taken(60, &[option(0x80)]), told(UnknownOption, 44));
        assert_eq!(taken(60, &[option(0xC2)]), told(UnknownOption, 44));
        assert_eq!(taken(43, &[[17, 0, 0, 1, 0, 0, 0, 0]]), told(Erroneous, 42));
        let pad = |next| [next, 0, 1, 4, 0, 0, 0, 0];
        assert_eq!(taken(60, &[pad(0), pad(17)]), told(UnknownHeader, 40), "hop by hop, and not first");
        assert_eq!(taken(60, &[pad(132)]), told(UnknownHeader, 40), "SCTP");
        assert_eq!(taken(60, &[pad(59)]), Some(Outcome::Unwanted), "nothing follows");
        assert_eq!(taken(60, &[pad(44), pad(17)]), Some(Outcome::Malformed), "a fragment of a fragment");
        assert_eq!(taken(60, &[pad(60); 9]), Some(Outcome::Malformed), "too many");
        assert_eq!(taken(60, &[[17, 0, 1, 5, 0, 0, 0, 0]]), None, "an option past the header");
        assert_eq!(taken(60, &[[17, 9, 1, 4, 0, 0, 0, 0]]), None, "a header past the packet");
        // Nobody hears of what came to a group, where the option does not insist.
        let mut to_group = packet(60, &[&option(0xC2)[..], &UDP].concat()).to_vec();
        to_group[24] = 0xFF;
        assert_eq!(take_off(&to_group.into()), Some(Outcome::Unwanted));
    }

    proptest! {
        #[test]
        fn any_headers_are_taken_off_or_refused(
            next in prop::sample::select(vec![0u8, 43, 44, 60, 6, 17]), rest in prop::collection::vec(any::<u8>(), 0..100),
        ) {
            if let Some(Outcome::Plain(plain)) = take_off(&packet(next, &rest)) {
                prop_assert!(!has_extensions(&plain));
                prop_assert!(packet(next, &rest).ends_with(&plain[IPV6_HEADER_BYTES..]));
            }
        }
    }
}
