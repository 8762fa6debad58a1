//! DNS from strangers: whatever a server is asked it answers with what parses, or not at all; whatever a resolver is
//! told has at most the addresses and the aliases that it may have.
#![no_main]

use guestnet::dns::answer::{DATAGRAM_BYTES_MAX, Outcome, Transport, answer};
use guestnet::dns::name::fully_qualified;
use guestnet::dns::resolver::{Family, Question, Reply};
use guestnet::dns::zone::{Zone, Zones};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let zones = Zones::new(vec![Zone::new(&fully_qualified("test").expect("a name"), 60)]);
    for (transport, bytes_max) in
        [(Transport::Stream, usize::from(u16::MAX)), (Transport::Datagram(DATAGRAM_BYTES_MAX), 1232)]
    {
        match answer(&zones, data, transport) {
            Outcome::Answered(bytes) | Outcome::Malformed(bytes) => {
                assert!((12..=bytes_max).contains(&bytes.len()), "{} bytes", bytes.len());
                assert_eq!(bytes[..2], data[..2], "another id");
                assert!(bytes[2] & 0x80 != 0, "a question");
            }
            Outcome::Ignored => {}
        }
    }
    // The question that the bytes answer, if they answer any.
    let id = u16::from_be_bytes([data.first().copied().unwrap_or(0), data.get(1).copied().unwrap_or(0)]);
    for family in [Family::V4, Family::V6] {
        let question = Question { id, name: fully_qualified("a.test").expect("a name"), family };
        match question.judge(data) {
            Reply::Addresses { addresses, .. } => {
                assert!((1..=16).contains(&addresses.len()));
                assert!(addresses.iter().all(|&address| Family::of(address) == family));
            }
            Reply::Alias { aliases, .. } => assert!((1..=8).contains(&aliases)),
            Reply::Foreign | Reply::Truncated | Reply::Failed(_) | Reply::Nothing { .. } | Reply::Endless => {}
        }
    }
});
