//! QUIC with somebody at the wire: datagrams cut, changed, sent twice, later, once more, from elsewhere, and made up. No
//! panic, nothing that grows without bound, never much more to an address than came from it, and who comes with an honest
//! connection afterwards is served.

#[path = "common/heap.rs"]
mod heap;
#[path = "common/quic_pair.rs"]
mod quic_pair;

use std::collections::BTreeMap;
use std::time::Duration;

use guestnet::rng::Seed;
use proptest::prelude::*;
use quic_pair::{Datagram, Deed, Pair, Wire};

#[global_allocator]
static HEAP: heap::Counting = heap::Counting;

fn deed() -> impl Strategy<Value = Deed> {
    let bytes = || prop::collection::vec(any::<u8>(), 0..1400);
    prop_oneof![
        4 => Just(Deed::Pass),
        1 => Just(Deed::Drop),
        1 => any::<u16>().prop_map(Deed::Cut),
        2 => any::<u16>().prop_map(Deed::Flip),
        1 => Just(Deed::Twice),
        1 => Just(Deed::Hold),
        2 => any::<u16>().prop_map(Deed::Replay),
        1 => bytes().prop_map(Deed::Invent),
        1 => long_header().prop_map(Deed::Invent),
        1 => bytes().prop_map(Deed::Stretch),
        1 => any::<u8>().prop_map(Deed::Elsewhere),
    ]
}

/// What looks like a packet with a long header (RFC 9000, 17.2), of the version that is spoken or of another.
fn long_header() -> impl Strategy<Value = Vec<u8>> {
    let version =
        prop_oneof![Just([0, 0, 0, 1]), Just([0; 4]), Just([0x6b, 0x33, 0x43, 0xcf]), any::<[u8; 4]>()];
    let id = || prop::collection::vec(any::<u8>(), 0..21);
    (0xc0..=0xff_u8, version, id(), id(), prop::collection::vec(any::<u8>(), 0..1200)).prop_map(
        |(first, version, to, from, rest)| {
            [&[first][..], &version, &[to.len() as u8], &to, &[from.len() as u8], &from, &rest].concat()
        },
    )
}

/// What quinn-proto sends beyond three times what came from an address that somebody claims to have moved to: whoever may
/// have one byte more may have a datagram, and questions whether he is still there are not counted (RFC 9000, 9.3.1 has all
/// of it counted).
const BEYOND_BYTES: usize = 8 * 1500;

/// Nothing of what somebody sent again counted twice.
fn assert_heard_once(pair: &Pair) {
    let twice: Vec<_> = pair.heard.iter().filter(|(_, times)| **times > 1).collect();
    assert!(twice.is_empty(), "messages by number, and how often they were read: {twice:?}");
}

/// The client's own ports are left out: there somebody is, and answers.
fn assert_no_amplification(pair: &Pair) {
    for ((address, port), account) in pair.accounts.iter().filter(|((_, port), _)| *port <= 256) {
        let most = 3 * account.received + BEYOND_BYTES;
        assert!(account.sent <= most, "{address:?}:{port}: {account:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_endpoint_outlives_whoever_is_at_the_wire(
        deeds in prop::collection::vec(deed(), 1..80),
        retry in any::<bool>(),
        early in any::<bool>(),
    ) {
        let keys = [if retry { ", retry = true" } else { "" }, if early { ", early_data = true" } else { "" }];
        let mut pair = Pair::new(&keys.concat());
        // So that there is more to be said to each claimed address than `BEYOND_BYTES`.
        pair.message_bytes = 20_000;
        if early {
            // Somebody is at the wire from the second visit on, which begins with early data.
            pair.knock();
            pair.run(pair.now + Duration::from_secs(4));
        }
        pair.wire = Wire::new(deeds);
        for _ in 0..3 {
            pair.knock();
            pair.run(pair.now + Duration::from_secs(4));
        }
        prop_assert!(pair.is_well());
        assert_no_amplification(&pair);
        assert_heard_once(&pair);
        prop_assert!(pair.server.node.object_count() < 20, "{} objects", pair.server.node.object_count());
    }
}

#[test]
fn what_is_no_quic_is_dropped_and_counted() {
    let mut pair = Pair::new("");
    let like = pair.first_datagram();
    let (mut rng, before) = (Seed(3).fork("noise"), pair.server.node.stack().statistics());
    for number in 0..500 {
        let mut bytes = vec![0; rng.below(1400) as usize];
        rng.fill(&mut bytes);
        // Neither a version that is asked for nor a connection that is reset: a long header of the version that is spoken.
        if let [first, a, b, c, d, ..] = &mut bytes[..] {
            (*first, *a, *b, *c, *d) = (*first | 0xc0, 0, 0, 0, 1);
        }
        pair.strike(like.with(&bytes).coming_from(([10, 0, 0, 9], 5000 + number)));
        pair.settle();
    }
    let after = pair.server.node.stack().statistics();
    let foreign = after.datagrams_foreign - before.datagrams_foreign;
    assert!(foreign > 450, "{foreign} dropped");
    assert_eq!(after.datagrams_dropped, before.datagrams_dropped);
    assert!(pair.is_well());
}

/// The first packet of a visit with early data, recorded and sent again: at once, once the server has forgotten the connection,
/// from where it came and from elsewhere.
#[test]
fn early_data_that_is_sent_again_is_read_once() {
    let mut pair = Pair::new(", early_data = true");
    pair.knock();
    pair.run(pair.now + Duration::from_secs(4));
    assert_eq!(pair.heard, BTreeMap::from([(0, 1), (1, 1), (2, 1)]));
    let first = pair.first_datagram();
    pair.strike(first.clone());
    pair.hear();
    // No answer has been to the client by now.
    assert!(pair.heard.contains_key(&3), "{:?}", pair.heard);
    for wait in [0, 1, 10, 20, 60, 3600] {
        pair.run(pair.now + Duration::from_secs(wait));
        for from in [first.from(), ([10, 0, 0, 3], 7), ([10, 0, 0, 9], 7)] {
            pair.strike(first.coming_from(from));
            pair.hear();
            pair.settle();
        }
    }
    assert_heard_once(&pair);
    assert!(pair.is_well());
}

/// From as many addresses as there are: the same client hello, which nobody there follows up.
#[test]
fn who_has_not_shown_where_he_is_gets_three_times_what_he_sent_at_the_most() {
    for (keys, least, most) in [("", 2.0, 3.0), (", retry = true", 0.01, 0.2)] {
        let mut pair = Pair::new(keys);
        let strangers: Vec<_> =
            (1..=20).map(|number| ([10, 0, 0, 100 + number as u8], 9000 + number)).collect();
        for from in &strangers {
            // One connection each.
            let hello = pair.first_datagram();
            pair.strike(hello.coming_from(*from));
            pair.settle();
        }
        pair.run(pair.now + Duration::from_secs(60));
        for from in &strangers {
            let account = pair.accounts[from];
            let times = account.sent as f64 / account.received as f64;
            assert!((least..=most).contains(&times), "{from:?}: {account:?} with `{keys}`");
        }
    }
}

/// A client that says it is elsewhere now, where nobody answers, while the server has much to say.
#[test]
fn who_claims_to_have_moved_gets_little_more_than_three_times_what_he_sent() {
    for before in [20, 30, 40] {
        let mut pair = Pair::new("");
        pair.message_bytes = 20_000;
        // The handshake and the beginning of the messages; then some comes from elsewhere, and then nothing more.
        let deeds = [(Deed::Pass, before), (Deed::Elsewhere(7), 2), (Deed::Drop, 10_000)];
        let deeds = deeds.into_iter().flat_map(|(deed, times)| std::iter::repeat_n(deed, times));
        pair.wire = Wire::new(deeds.collect());
        pair.knock();
        pair.run(pair.now + Duration::from_secs(60));
        let account = pair.accounts[&([10, 0, 0, 3], 8)];
        // As much as it may, and a question or two whether he is there.
        let most = 3 * account.received + 2 * 1500;
        assert!((2 * account.received..=most).contains(&account.sent), "{account:?}");
        // It had more to say, and a minute for it.
        let said: usize = pair.accounts.values().map(|account| account.sent).sum();
        assert!(account.received > 0 && said < 60_000, "{:?}", pair.accounts);
        assert!(pair.is_well());
    }
}

#[test]
fn strangers_who_only_knock_take_a_bounded_amount_of_memory_and_give_it_back() {
    let mut pair = Pair::new("");
    let hellos: Vec<Datagram> = (0..1500).map(|_| pair.first_datagram()).collect();
    let flood = |pair: &mut Pair| {
        let before = heap::live_bytes();
        for (number, hello) in (0_u16..).zip(&hellos) {
            pair.strike(hello.coming_from(([10, 0, number as u8, 9], 2000 + number)));
            pair.settle();
        }
        let most = heap::live_bytes() - before;
        // Past the handshake's time, and that in which a path is kept for nobody.
        pair.run(pair.now + Duration::from_secs(60));
        most
    };
    flood(&mut pair);
    let before = heap::live_bytes();
    let most = flood(&mut pair);
    let grown = heap::live_bytes() - before;
    println!("{most} bytes at the most, {grown} for good");
    // As many handshakes as there may be at a time, with their buffers.
    assert!(most < 96 << 20, "{most} bytes for 1,500 knocks");
    assert!(grown < 1 << 20, "{grown} bytes for good");
    assert!(
        pair.server.node.stack().statistics().datagrams_dropped > 900,
        "{:?}",
        pair.server.node.stack().statistics()
    );
    assert!(pair.is_well());
}
