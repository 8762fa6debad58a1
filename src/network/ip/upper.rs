//! The way through an IPv6 packet's extension headers (RFC 8200 4).

use smoltcp::wire::IpProtocol;

use super::IPV6_HEADER_BYTES;

/// What an IPv6 packet carries behind its extension headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Upper {
    pub protocol: IpProtocol,
    /// Where it begins; at most the packet's length.
    pub offset: usize,
    /// Where the field is that names the protocol.
    pub pointer: usize,
    /// Part of a fragmented packet: what follows is incomplete.
    pub is_fragment: bool,
    /// Not its first part: what follows is not even the protocol's header.
    pub is_later_fragment: bool,
    /// A routing header names further stops.
    pub has_stops_left: bool,
}

impl Upper {
    /// Walks the extension headers of `ip` (RFC 8200 4); `None` if they run past its end.
    pub fn find(ip: &[u8]) -> Option<Self> {
        let mut upper = Self {
            protocol: IpProtocol::from(*ip.get(6)?),
            offset: IPV6_HEADER_BYTES,
            pointer: 6,
            is_fragment: false,
            is_later_fragment: false,
            has_stops_left: false,
        };
        loop {
            let header = ip.get(upper.offset..)?;
            let length = match upper.protocol {
                _ if upper.is_later_fragment => return Some(upper),
                IpProtocol::HopByHop | IpProtocol::Ipv6Opts => usize::from(*header.get(1)?) * 8 + 8,
                IpProtocol::Ipv6Route => {
                    upper.has_stops_left |= *header.get(3)? != 0;
                    usize::from(*header.get(1)?) * 8 + 8
                }
                IpProtocol::Ipv6Frag => {
                    let word = u16::from_be_bytes([*header.get(2)?, *header.get(3)?]);
                    upper.is_fragment |= word & 0xFFF9 != 0;
                    upper.is_later_fragment = word & 0xFFF8 != 0;
                    8
                }
                IpProtocol::IpSecAh => usize::from(*header.get(1)?) * 4 + 8,
                _ => return Some(upper),
            };
            upper.protocol = IpProtocol::from(*header.first()?);
            upper.pointer = upper.offset;
            upper.offset += length;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(next_header: u8, rest: &[u8]) -> Option<(u8, usize, usize, bool, bool)> {
        let mut ip = vec![0; 40];
        ip[6] = next_header;
        ip.extend_from_slice(rest);
        let upper = Upper::find(&ip)?;
        let protocol = upper.protocol.into();
        Some((protocol, upper.offset, upper.pointer, upper.is_fragment, upper.is_later_fragment))
    }

    #[test]
    fn walks_extension_headers() {
        assert_eq!(find(17, &[]), Some((17, 40, 6, false, false)));
        let hop_by_hop = [60, 0, 0, 0, 0, 0, 0, 0];
        let options = [6, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(find(0, &[&hop_by_hop[..], &options].concat()), Some((6, 64, 48, false, false)));
        assert_eq!(find(44, &[58, 0, 0, 1, 0, 0, 0, 1]), Some((58, 48, 40, true, false)));
        assert_eq!(find(44, &[58, 0, 0, 8, 0, 0, 0, 1]), Some((58, 48, 40, true, true)));
        assert_eq!(find(44, &[58, 0, 0, 0, 0, 0, 0, 1]), Some((58, 48, 40, false, false)), "atomic fragment");
        assert_eq!(find(0, &hop_by_hop), None, "the next header is missing its length");
        assert_eq!(find(0, &options[..9]), None);
    }
}
