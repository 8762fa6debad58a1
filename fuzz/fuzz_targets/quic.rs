//! A QUIC server and its client, with somebody at the wire between them: no panic, no end without rest, and an honest
//! client is served afterwards.
#![no_main]

#[allow(dead_code, reason = "the test uses more of it")]
#[path = "../../tests/common/quic_pair.rs"]
mod quic_pair;

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use quic_pair::{Deed, Pair, Wire};

/// Deeds of one run.
const DEEDS_MAX: usize = 200;

// The first byte says whether there is early data, which somebody is at the wire of then. Each deed: a byte that says which, two that say how, and of those with bytes of their own so many as the two say.
fuzz_target!(|data: &[u8]| {
    let (early, data) = data.split_first().map_or((false, data), |(first, rest)| (first % 2 == 1, rest));
    let (mut deeds, mut rest) = (Vec::new(), data);
    while let [kind, low, high, tail @ ..] = rest {
        let how = u16::from_le_bytes([*low, *high]);
        let (own, behind) = tail.split_at(usize::from(how % 1400).min(tail.len()));
        rest = tail;
        deeds.push(match kind % 10 {
            0 => Deed::Pass,
            1 => Deed::Drop,
            2 => Deed::Cut(how),
            3 => Deed::Flip(how),
            4 => Deed::Twice,
            5 => Deed::Hold,
            6 => Deed::Replay(how),
            7 => Deed::Elsewhere(*low),
            8 | 9 => {
                rest = behind;
                if kind % 10 == 8 { Deed::Invent(own.to_vec()) } else { Deed::Stretch(own.to_vec()) }
            }
            10.. => unreachable!("a remainder"),
        });
        if deeds.len() == DEEDS_MAX {
            break;
        }
    }
    let mut pair = Pair::new(if early { ", early_data = true" } else { "" });
    if early {
        pair.knock();
        pair.run(pair.now + Duration::from_secs(10));
    }
    pair.wire = Wire::new(deeds);
    pair.knock();
    pair.run(pair.now + Duration::from_secs(10));
    assert!(pair.is_well());
    assert!(pair.heard.values().all(|times| *times == 1), "{:?}", pair.heard);
});
