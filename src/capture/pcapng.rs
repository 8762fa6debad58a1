//! One pcapng section: header, interfaces, names, packets, statistics
//! (draft-ietf-opsawg-pcapng, little-endian whatever the machine).
//!
//! pcap-file encodes every block but the Enhanced Packet Block: that one is written for each frame, and
//! by hand it takes half the time (about 40 against 80 ns for 1,500 bytes) and no allocation.

use std::borrow::Cow;
use std::io;
use std::net::IpAddr;
use std::time::Duration;

use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption, InterfaceTsResolution,
};
use pcap_file::pcapng::blocks::interface_statistics::{InterfaceStatisticsBlock, InterfaceStatisticsOption};
use pcap_file::pcapng::blocks::name_resolution::{self, Ipv4Record, Ipv6Record, NameResolutionBlock};
use pcap_file::pcapng::blocks::opt_common::CommonOption;
use pcap_file::pcapng::blocks::section_header::{SectionHeaderBlock, SectionHeaderOption};
use pcap_file::pcapng::{PcapNgWriteError, PcapNgWriter};
use pcap_file::{DataLink, Endianness};

use super::{Blocks, Crossing, Destination, Record, Session, Sink, Way};
use crate::network::link::DropReason;
use crate::network::{Checksums, PacketId};
use crate::time::Instant;

/// Bytes that are gathered before they are handed over. One copy more than frames written from where they are (writev),
/// and yet less work: what a kernel copies in pieces of odd lengths takes it longer. Of large ones it takes less for each
/// page, up to where they find no place in a processor's cache.
const BATCH_BYTES: usize = 512 * 1024;
/// Beyond them: what the last record of a batch takes, as a rule.
const BATCH_BYTES_SLACK: usize = 4 * 1024;
/// What follows a frame that was not dropped, in bytes or more.
const OPTIONS_BYTES: usize = 64;
/// Longest text of an option or name; the format's own limit is 65,535 bytes.
const TEXT_BYTES_MAX: usize = 4096;

/// Since the Unix epoch, in nanoseconds of 64 bits.
const LAST_STAMP: Duration = Duration::from_nanos(u64::MAX);

const ENHANCED_PACKET_BLOCK: u32 = 6;
/// Section 4.7 of the draft; the type of its secrets is "TLSK".
const DECRYPTION_SECRETS_BLOCK: u32 = 10;
const TLS_KEY_LOG: u32 = 0x544c_534b;
const OPTION_END: u16 = 0;
const OPTION_COMMENT: u16 = 1;
const OPTION_FLAGS: u16 = 2;
const OPTION_PACKET_ID: u16 = 5;

/// Writes one capture. See [`Sink`] for how errors are told.
#[derive(Debug)]
pub struct Writer<W: Destination> {
    /// `None` once finished.
    out: Option<W>,
    /// Blocks not yet handed to `out`; pcap-file keeps the interfaces beside them.
    gathered: Gathered,
    /// As [`Blocks`] has it.
    incomplete: Vec<(usize, usize)>,
    epoch: Duration,
    counts: Vec<Counts>,
    failed: Option<io::ErrorKind>,
}

/// Frames of one port, for the Interface Statistics Block (section 4.6 of the draft).
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    /// Frames that crossed it, either way, each counted once (`isb_ifrecv`).
    seen: u64,
    /// Those of them that its queue had no room for (`isb_ifdrop`: dropped "due to lack of resources"). What was
    /// lost behind it bears a comment alone.
    dropped: u64,
}

impl<W: Destination> Writer<W> {
    /// Starts a capture: what comes before the first frame goes to `out` at once.
    pub fn new(out: W, session: &Session) -> io::Result<Self> {
        let mut pcap = PcapNgWriter::with_section_header(Vec::new(), header(session)).map_err(into_io)?;
        for port in &session.ports {
            let mut options = vec![InterfaceDescriptionOption::IfName(text(&port.name))];
            if !port.description.is_empty() {
                options.push(InterfaceDescriptionOption::IfDescription(text(&port.description)));
            }
            options.push(InterfaceDescriptionOption::IfTsResol(InterfaceTsResolution::NANO));
            let interface = InterfaceDescriptionBlock { linktype: DataLink::ETHERNET, snaplen: 0, options };
            pcap.write_pcapng_block(interface).map_err(into_io)?;
        }
        let records: Vec<_> =
            session.names.iter().filter_map(|(address, name)| named(*address, name)).collect();
        if !records.is_empty() {
            pcap.write_pcapng_block(NameResolutionBlock { records, options: vec![] }).map_err(into_io)?;
        }
        let mut writer = Self {
            out: Some(out),
            gathered: Gathered(pcap),
            incomplete: Vec::new(),
            epoch: session.epoch,
            counts: vec![Counts::default(); session.ports.len()],
            failed: None,
        };
        writer.write_out()?;
        Ok(writer)
    }

    /// Appends a frame. See [`Sink::record`]; a port that the session does not have is
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) and does not end the capture.
    pub fn record(&mut self, record: &Record) -> io::Result<()> {
        self.record_as(record.port, record.crossing())
    }

    /// Like [`Writer::record`], with a port in place of the record's own.
    pub(super) fn record_as(&mut self, port: u32, record: Crossing<'_>) -> io::Result<()> {
        let Some(counts) = self.counts.get_mut(port as usize) else {
            let message = format!("port {port} is not one of the capture's {}", self.counts.len());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        };
        if self.failed.is_some() || self.out.is_none() {
            return Ok(());
        }
        counts.seen += u64::from(!record.late);
        counts.dropped += u64::from(record.dropped.is_some_and(DropReason::is_for_want_of_room));
        let timestamp = self.epoch.saturating_add(record.at.elapsed());
        let timestamp_ns = u64::try_from(timestamp.as_nanos()).unwrap_or(u64::MAX);
        let frame = append_packet(self.gathered.0.get_mut(), port, timestamp_ns, record);
        match record.frame.checksums {
            Checksums::Valid => self.incomplete.push(frame),
            // As it came, or as it was broken.
            Checksums::Unverified => {}
        }
        if self.gathered.0.get_ref().len() >= BATCH_BYTES { self.write_out() } else { Ok(()) }
    }

    /// See [`Sink::secrets`]: one Decryption Secrets Block.
    pub fn secrets(&mut self, lines: &str) -> io::Result<()> {
        if self.failed.is_some() || self.out.is_none() || lines.is_empty() {
            return Ok(());
        }
        append_secrets(self.gathered.0.get_mut(), lines.as_bytes());
        if self.gathered.0.get_ref().len() >= BATCH_BYTES { self.write_out() } else { Ok(()) }
    }

    /// See [`Sink::flush`].
    pub fn flush(&mut self) -> io::Result<()> {
        self.write_out()?;
        if self.failed.is_some() {
            return Ok(());
        }
        let flushed = self.out.as_mut().map_or(Ok(()), Destination::pass_on);
        flushed.inspect_err(|error| self.failed = Some(error.kind()))
    }

    /// Ends the capture and gives the underlying writer back. See [`Sink::close`].
    pub fn finish(mut self, at: Instant) -> io::Result<W> {
        self.end(at)?;
        self.out.take().ok_or_else(|| io::Error::other("the capture was closed before"))
    }

    fn end(&mut self, at: Instant) -> io::Result<()> {
        if self.failed.is_none() && self.out.is_some() {
            self.append_statistics(at)?;
            self.write_out()?;
        }
        if let Some(out) = self.out.as_mut().filter(|_| self.failed.is_none()) {
            out.finish().inspect_err(|error| self.failed = Some(error.kind()))?;
        }
        match self.failed {
            None => Ok(()),
            Some(kind) => Err(io::Error::new(kind, "the capture is incomplete: writing it failed before")),
        }
    }

    fn append_statistics(&mut self, at: Instant) -> io::Result<()> {
        // A lab that sleeps for centuries ends later than the format can say.
        let (begin, end) =
            (self.epoch.min(LAST_STAMP), self.epoch.saturating_add(at.elapsed()).min(LAST_STAMP));
        for (interface_id, counts) in (0..).zip(&self.counts) {
            let options = vec![
                InterfaceStatisticsOption::IsbStartTime(begin),
                InterfaceStatisticsOption::IsbEndTime(end),
                InterfaceStatisticsOption::IsbIfRecv(counts.seen),
                InterfaceStatisticsOption::IsbIfDrop(counts.dropped),
            ];
            let block = InterfaceStatisticsBlock { interface_id, timestamp: end, options };
            self.gathered.0.write_pcapng_block(block).map_err(into_io)?;
        }
        Ok(())
    }

    /// Hands the gathered blocks over. After a failure they are thrown away instead.
    fn write_out(&mut self) -> io::Result<()> {
        let bytes = std::mem::take(self.gathered.0.get_mut());
        let full = Blocks { bytes, incomplete: std::mem::take(&mut self.incomplete) };
        let Some(out) = self.out.as_mut().filter(|_| self.failed.is_none() && !full.bytes.is_empty()) else {
            return Ok(());
        };
        let empty = out.take(full).inspect_err(|error| self.failed = Some(error.kind()))?;
        *self.gathered.0.get_mut() = empty.bytes;
        self.incomplete = empty.incomplete;
        Ok(())
    }
}

impl<W: Destination> Sink for Writer<W> {
    fn record(&mut self, record: &Record) -> io::Result<()> {
        Writer::record(self, record)
    }

    fn crossing(&mut self, crossing: Crossing<'_>) -> io::Result<()> {
        self.record_as(crossing.port, crossing)
    }

    fn fills_in_checksums(&self) -> bool {
        true
    }

    fn secrets(&mut self, lines: &str) -> io::Result<()> {
        Writer::secrets(self, lines)
    }

    fn flush(&mut self) -> io::Result<()> {
        Writer::flush(self)
    }

    fn close(&mut self, at: Instant) -> io::Result<()> {
        self.end(at)?;
        self.out = None;
        Ok(())
    }
}

/// A capture that is dropped unfinished still keeps the frames taken so far, as far as writing works.
impl<W: Destination> Drop for Writer<W> {
    fn drop(&mut self) {
        let _ = self.flush();
    }
}

/// pcap-file's writer over a buffer. Its `Debug` is missing.
struct Gathered(PcapNgWriter<Vec<u8>>);

impl std::fmt::Debug for Gathered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes", self.0.get_ref().len())
    }
}

fn header(session: &Session) -> SectionHeaderBlock<'static> {
    let name = text(&session.name);
    let comment = format!("lab {name}, seed {}, scenario SHA-256 {}", session.seed, text(&session.digest));
    SectionHeaderBlock {
        endianness: Endianness::Little,
        options: vec![
            SectionHeaderOption::Common(CommonOption::Comment(comment.into())),
            SectionHeaderOption::UserApplication(concat!("guestnet ", env!("CARGO_PKG_VERSION")).into()),
        ],
        ..SectionHeaderBlock::default()
    }
}

/// A record for the Name Resolution Block; none for a name that the format cannot hold.
fn named(address: IpAddr, name: &str) -> Option<name_resolution::Record<'_>> {
    if name.is_empty() || name.contains('\0') {
        return None;
    }
    let names = vec![text(name)];
    Some(match address {
        IpAddr::V4(ip_addr) => name_resolution::Record::Ipv4(Ipv4Record { ip_addr, names }),
        IpAddr::V6(ip_addr) => name_resolution::Record::Ipv6(Ipv6Record { ip_addr, names }),
    })
}

/// `text`, cut at a character so that it fits into an option.
fn text(text: &str) -> Cow<'_, str> {
    Cow::Borrowed(&text[..text.floor_char_boundary(TEXT_BYTES_MAX)])
}

/// Appends an Enhanced Packet Block: body, then the options `epb_flags`, `epb_packetid` and, for a
/// frame that the link dropped, a comment. The port is `port`, whatever the record says; `timestamp_ns` is since the
/// Unix epoch. The answer is where the frame stands, and its length.
fn append_packet(buffer: &mut Vec<u8>, port: u32, timestamp_ns: u64, record: Crossing<'_>) -> (usize, usize) {
    let start = buffer.len();
    let data = &record.frame.bytes;
    let length = u32::try_from(data.len()).unwrap_or(u32::MAX);
    let data = &data[..length as usize];

    let mut fixed = [0; 28];
    fixed[0..4].copy_from_slice(&ENHANCED_PACKET_BLOCK.to_le_bytes());
    // 4..8: the total length, below.
    fixed[8..12].copy_from_slice(&port.to_le_bytes());
    fixed[12..16].copy_from_slice(&((timestamp_ns >> 32) as u32).to_le_bytes());
    fixed[16..20].copy_from_slice(&(timestamp_ns as u32).to_le_bytes());
    fixed[20..24].copy_from_slice(&length.to_le_bytes());
    fixed[24..28].copy_from_slice(&length.to_le_bytes());
    let room = fixed.len() + data.len() + OPTIONS_BYTES;
    if buffer.capacity() - start < room && start + room > BATCH_BYTES / 16 {
        // A capture that goes on: the whole batch at once.
        buffer.reserve((BATCH_BYTES + BATCH_BYTES_SLACK).saturating_sub(start).max(room));
    } else {
        buffer.reserve(room);
    }
    buffer.extend_from_slice(&fixed);
    let place = buffer.len();
    buffer.extend_from_slice(data);
    buffer.extend_from_slice(&[0; 3][..data.len().wrapping_neg() % 4]);

    let direction: u32 = match record.way {
        Way::Inbound => 1,
        Way::Outbound => 2,
    };
    // `epb_flags`, `epb_packetid` and the options' end, as nearly every block has them: at one stroke.
    let mut options = [0; 24];
    options[0..2].copy_from_slice(&OPTION_FLAGS.to_le_bytes());
    options[2..4].copy_from_slice(&4_u16.to_le_bytes());
    options[4..8].copy_from_slice(&direction.to_le_bytes());
    options[8..10].copy_from_slice(&OPTION_PACKET_ID.to_le_bytes());
    options[10..12].copy_from_slice(&8_u16.to_le_bytes());
    options[12..20].copy_from_slice(&record.frame.id.0.to_le_bytes());
    let before_id = if record.frame.id == PacketId::NONE { 8 } else { 20 };
    match record.dropped {
        None if before_id == 20 => buffer.extend_from_slice(&options),
        None => buffer.extend_from_slice(&[&options[..8], &[0; 4]].concat()),
        Some(reason) => {
            buffer.extend_from_slice(&options[..before_id]);
            append_option(buffer, OPTION_COMMENT, format!("dropped: {}", reason.as_str()).as_bytes());
            append_option(buffer, OPTION_END, &[]);
        }
    }

    let total = u32::try_from(buffer.len() - start + 4).unwrap_or(u32::MAX).to_le_bytes();
    buffer.extend_from_slice(&total);
    buffer[start + 4..start + 8].copy_from_slice(&total);
    (place, data.len())
}

/// Appends a Decryption Secrets Block with lines of a TLS key log.
fn append_secrets(buffer: &mut Vec<u8>, lines: &[u8]) {
    let start = buffer.len();
    let length = u32::try_from(lines.len()).unwrap_or(u32::MAX);
    // The total length, between the type and the rest, is filled in below.
    for word in [DECRYPTION_SECRETS_BLOCK, 0, TLS_KEY_LOG, length] {
        buffer.extend_from_slice(&word.to_le_bytes());
    }
    buffer.extend_from_slice(lines);
    pad(buffer, start);
    let total = u32::try_from(buffer.len() - start + 4).unwrap_or(u32::MAX).to_le_bytes();
    buffer.extend_from_slice(&total);
    buffer[start + 4..start + 8].copy_from_slice(&total);
}

fn append_option(buffer: &mut Vec<u8>, code: u16, value: &[u8]) {
    let start = buffer.len();
    buffer.extend_from_slice(&code.to_le_bytes());
    buffer.extend_from_slice(&(value.len() as u16).to_le_bytes());
    buffer.extend_from_slice(value);
    pad(buffer, start);
}

/// Fills up with zeros until the length since `start` is a multiple of four.
fn pad(buffer: &mut Vec<u8>, start: usize) {
    let missing = (buffer.len() - start).wrapping_neg() % 4;
    buffer.extend_from_slice(&[0; 3][..missing]);
}

fn into_io(error: PcapNgWriteError) -> io::Error {
    match error {
        PcapNgWriteError::Io(error) => error,
        other => io::Error::new(io::ErrorKind::InvalidInput, other.to_string()),
    }
}
