//! A packet of which fragments are under way.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::network::ip::{IPV6_HEADER_BYTES, fill_ipv4_checksum};
use crate::time::Instant;

/// What it costs to keep a fragment, besides its bytes.
pub const FRAGMENT_OVERHEAD: usize = 64;

#[derive(Debug)]
pub struct Packet {
    /// Of the first fragment, once it is here.
    pub header: Option<Vec<u8>>,
    /// By where they start.
    pub fragments: BTreeMap<usize, Bytes>,
    pub bytes: usize,
    /// Where the payload ends, once the last fragment is here.
    pub end: Option<usize>,
    /// Fragments overlapped: nothing comes of it any more.
    pub spoilt: bool,
    pub until: Instant,
}

impl Packet {
    pub fn new(until: Instant) -> Self {
        Self { header: None, fragments: BTreeMap::new(), bytes: 0, end: None, spoilt: false, until }
    }

    /// True if this very fragment is here already.
    pub fn has(&self, start: usize, payload: &[u8], is_last: bool) -> bool {
        let end = start + payload.len();
        self.fragments.get(&start).is_some_and(|fragment| fragment[..] == *payload)
            && (self.end == Some(end)) == is_last
    }

    pub fn overlaps(&self, start: usize, end: usize, is_last: bool) -> bool {
        let before = self.fragments.range(..=start).next_back().map(|(start, bytes)| start + bytes.len());
        let after = self.fragments.range(start..).next().map(|(&start, _)| start);
        let furthest = self.fragments.last_key_value().map_or(0, |(start, bytes)| start + bytes.len());
        let past_the_end = self.end.is_some_and(|known| end > known || is_last);
        before.is_some_and(|before| before > start)
            || after.is_some_and(|after| after < end)
            || past_the_end
            || (is_last && furthest > start)
    }

    /// Remembers no more than that nothing comes of it; the bytes that are free again.
    pub fn spoil(&mut self) -> usize {
        self.spoilt = true;
        self.fragments.clear();
        self.header = None;
        std::mem::take(&mut self.bytes)
    }

    /// Without overlaps, nothing is missing if the lengths add up.
    pub fn is_complete(&self) -> bool {
        let bytes: usize = self.bytes - self.fragments.len() * FRAGMENT_OVERHEAD;
        self.header.is_some() && self.end == Some(bytes)
    }
}

/// The whole packet, its lengths and IPv4's sum made right. `None` if it is longer than packets can be: the first fragment may
/// have more in front than the others let expect.
pub fn together<'a>(mut header: Vec<u8>, payload: impl IntoIterator<Item = &'a [u8]>) -> Option<Bytes> {
    let header_bytes = header.len();
    let is_ipv4 = header[0] >> 4 == 4;
    header.extend(payload.into_iter().flatten());
    let length = if is_ipv4 { header.len() } else { header.len() - IPV6_HEADER_BYTES };
    let length = u16::try_from(length).ok()?;
    let at = if is_ipv4 { 2 } else { 4 };
    header[at..at + 2].copy_from_slice(&length.to_be_bytes());
    if is_ipv4 {
        fill_ipv4_checksum(&mut header[..header_bytes]);
    }
    Some(header.into())
}
