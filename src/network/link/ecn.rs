//! Explicit congestion notification: the mark in the IP header (RFC 3168).

use bytes::Bytes;

use super::parameters::HEADER_BYTES;
use crate::network::Frame;

/// The two bits of the ECN field.
const ECN: u8 = 0b11;
const NOT_ECT: u8 = 0b00;
const CE: u8 = 0b11;

/// The frame with "congestion experienced" in its IP header; `None` if its sender does not do ECN. The checksum of an
/// IPv4 header follows (RFC 1624): what was valid stays valid.
pub(super) fn mark(frame: &Frame) -> Option<Frame> {
    let ip = frame.bytes.get(HEADER_BYTES..)?;
    match (&frame.bytes[12..HEADER_BYTES], ip.first()? >> 4) {
        ([0x08, 0x00], 4) if ip.len() >= 20 => match ip[1] & ECN {
            NOT_ECT => None,
            CE => Some(frame.clone()),
            _ => Some(rewritten(frame, mark_ipv4)),
        },
        // The traffic class straddles the first two bytes.
        ([0x86, 0xdd], 6) if ip.len() >= 40 => match ip[1] >> 4 & ECN {
            NOT_ECT => None,
            CE => Some(frame.clone()),
            _ => Some(rewritten(frame, |ip| ip[1] |= CE << 4)),
        },
        _ => None,
    }
}

fn rewritten(frame: &Frame, mark: impl FnOnce(&mut [u8])) -> Frame {
    let mut bytes = frame.bytes.to_vec();
    mark(&mut bytes[HEADER_BYTES..]);
    Frame { bytes: Bytes::from(bytes), ..*frame }
}

fn mark_ipv4(ip: &mut [u8]) {
    let old = u16::from_be_bytes([ip[0], ip[1]]);
    ip[1] |= CE;
    let new = u16::from_be_bytes([ip[0], ip[1]]);
    // HC' = ~(~HC + ~m + m')
    let checksum = u16::from_be_bytes([ip[10], ip[11]]);
    let sum = u32::from(!checksum) + u32::from(!old) + u32::from(new);
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    ip[10..12].copy_from_slice(&(!(sum as u16)).to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::verify;
    use smoltcp::wire::checksum;

    fn ipv4(tos: u8, identification: u16) -> Frame {
        let mut bytes = vec![2; 34];
        bytes[12..16].copy_from_slice(&[0x08, 0x00, 0x45, tos]);
        bytes[16..18].copy_from_slice(&20u16.to_be_bytes());
        bytes[18..20].copy_from_slice(&identification.to_be_bytes());
        bytes[24..26].fill(0);
        let sum = !checksum::data(&bytes[14..34]);
        bytes[24..26].copy_from_slice(&sum.to_be_bytes());
        Frame::new(Bytes::from(bytes))
    }

    #[test]
    fn ipv4_is_marked_and_its_checksum_follows() {
        for identification in 0..=u16::MAX {
            let frame = ipv4(0xb9 + u8::from(identification % 2 == 0), identification);
            let marked = mark(&frame).expect("ECT may be marked");
            assert_eq!(marked.bytes[15], 0xbb, "the other six bits stay");
            assert!(verify::holds(&marked.bytes), "{identification}");
            assert_eq!(marked.checksums, frame.checksums);
        }
        assert_eq!(mark(&ipv4(0xbb, 7)).unwrap().bytes, ipv4(0xbb, 7).bytes, "marked before");
        assert!(mark(&ipv4(0xb8, 7)).is_none(), "not ECN-capable");
    }

    #[test]
    fn ipv6_is_marked() {
        let frame = |class: u8| {
            let mut bytes = vec![0; 54];
            bytes[12..16].copy_from_slice(&[0x86, 0xdd, 0x60 | class >> 4, class << 4 | 0x5]);
            Frame::new(Bytes::from(bytes))
        };
        assert_eq!(mark(&frame(0xb9)).unwrap().bytes, frame(0xbb).bytes);
        assert_eq!(mark(&frame(0xba)).unwrap().bytes, frame(0xbb).bytes);
        assert!(mark(&frame(0xb8)).is_none());
    }

    #[test]
    fn what_is_not_ip_cannot_be_marked() {
        let arp = [&[0; 12][..], &[0x08, 0x06], &[0x45; 28]].concat();
        let short = [&[0; 12][..], &[0x08, 0x00, 0x45, 0x02]].concat();
        for bytes in [arp, short, vec![], vec![0; 13], vec![0x45; 14]] {
            assert!(mark(&Frame::new(Bytes::from(bytes))).is_none());
        }
    }
}
