//! Filters and frames: any text is a filter or a mistake with its place, and any frames can be asked.
#![no_main]

use std::time::Duration;

use bytes::Bytes;
use guestnet::capture::{PortInfo, Record, Session, Way};
use guestnet::filter::{Dissector, Filter};
use guestnet::network::Frame;
use guestnet::time::Instant;
use libfuzzer_sys::fuzz_target;

const PORTS: u8 = 2;

// A filter in UTF-8 and a zero; then frames, each: two bytes of length, one of port and time, the bytes.
fuzz_target!(|data: &[u8]| {
    let end = data.iter().position(|byte| *byte == 0).unwrap_or(data.len());
    let (text, mut rest) = (String::from_utf8_lossy(&data[..end]), data.get(end + 1..).unwrap_or_default());
    let filter = Filter::parse(&text);
    if let Err(error) = &filter {
        assert!(text.get(error.span()).is_some(), "{error:?} is not in the text");
    }
    let port = |name: u8| PortInfo { name: format!("lan.{name}"), description: String::new() };
    let session = Session {
        name: "fuzz".into(),
        seed: 0,
        digest: String::new(),
        epoch: Duration::ZERO,
        ports: (0..PORTS).map(port).collect(),
        names: vec![],
    };
    let (mut dissector, mut at) = (Dissector::new(&session), Instant::START);
    while let [low, high, how, tail @ ..] = rest {
        let len = usize::from(u16::from_le_bytes([*low, *high])).min(tail.len());
        let (frame, tail) = tail.split_at(len);
        rest = tail;
        at += Duration::from_millis(u64::from(how / PORTS));
        let way = if how / PORTS % 2 == 0 { Way::Inbound } else { Way::Outbound };
        let frame = Frame::from_outside(Bytes::copy_from_slice(frame));
        let packet =
            dissector.dissect(&Record { at, port: u32::from(how % PORTS), way, frame, dropped: None, late: false });
        if let Ok(filter) = &filter {
            filter.matches(&packet);
        }
        assert!(!packet.to_string().is_empty());
    }
});
