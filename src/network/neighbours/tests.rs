use super::*;

const LIMITS: Limits = Limits {
    queue_packets: 3,
    queue_bytes: 10_000,
    entries: 16_384,
    unresolved: 1024,
    unresolved_bytes: 4 << 20,
};

/// A packet of so many bytes.
#[derive(Debug, PartialEq)]
struct Packet(usize);

impl Waiting for Packet {
    fn bytes(&self) -> usize {
        self.0
    }
}

const MAC: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 9]);

fn at(ms: u64) -> Instant {
    Instant::START + Duration::from_millis(ms)
}

fn address(number: u32) -> IpAddr {
    IpAddr::from(number.to_be_bytes())
}

fn packet(bytes: usize) -> Packet {
    Packet(bytes)
}

#[test]
fn asks_three_times_a_second_apart_then_gives_up() {
    let mut cache = Neighbours::new(&LIMITS);
    assert!(matches!(cache.lookup(at(0), address(1), packet(1)), Lookup::Ask));
    for length in 2..=5 {
        assert!(matches!(cache.lookup(at(1), address(1), packet(length)), Lookup::Wait));
    }
    assert_eq!(cache.dropped(), 2);
    for due in [1000, 2000] {
        assert!(cache.poll(at(due - 1)).is_none());
        assert_eq!(cache.poll_at(), Some(at(due)));
        assert!(matches!(cache.poll(at(due)), Some(Due::Ask(asked)) if asked == address(1)));
        assert!(cache.poll(at(due)).is_none());
    }
    let Some(Due::GaveUp(_, waited)) = cache.poll(at(3000)) else { panic!("must give up") };
    assert_eq!(waited.iter().map(Waiting::bytes).collect::<Vec<_>>(), [3, 4, 5]);
    assert_eq!((cache.poll_at(), cache.queued_bytes, cache.incomplete), (None, 0, 0));
    assert!(cache.entries.is_empty());
}

#[test]
fn what_waits_for_one_address_is_bounded_in_bytes_too() {
    let mut cache = Neighbours::new(&LIMITS);
    assert!(matches!(cache.lookup(at(0), address(1), packet(4000)), Lookup::Ask));
    assert!(matches!(cache.lookup(at(0), address(1), packet(4001)), Lookup::Wait));
    assert!(matches!(cache.lookup(at(0), address(1), packet(4002)), Lookup::Wait));
    let waited = cache.answered(at(1), address(1), MAC).unwrap();
    assert_eq!(waited, [packet(4001), packet(4002)]);
    assert_eq!((cache.dropped(), cache.queued_bytes), (1, 0));
}

#[test]
fn an_announcement_moves_whom_we_know_and_nobody_else() {
    let mut cache = Neighbours::new(&LIMITS);
    let moved = EthernetAddress([2, 0, 0, 0, 0, 10]);
    assert!(cache.moved(at(0), address(1), moved).is_empty());
    assert!(matches!(cache.lookup(at(0), address(1), packet(1)), Lookup::Ask));
    assert_eq!(cache.moved(at(1), address(1), moved).len(), 1);
    assert!(matches!(cache.lookup(at(2), address(1), packet(1)), Lookup::Send(mac, _) if mac == moved));
    assert!(cache.retain(|_| false).is_empty());
    assert!(matches!(cache.lookup(at(3), address(1), packet(1)), Lookup::Ask));
    assert_eq!(cache.retain(|_| false), [packet(1)]);
    assert_eq!((cache.poll_at(), cache.queued_bytes, cache.incomplete), (None, 0, 0));
}

#[test]
fn an_old_entry_is_used_while_it_is_asked_for_again() {
    let mut cache = Neighbours::new(&LIMITS);
    assert!(matches!(cache.lookup(at(0), address(1), packet(1)), Lookup::Ask));
    assert_eq!(cache.answered(at(10), address(1), MAC).unwrap().len(), 1);
    assert_eq!(cache.poll_at(), None, "no timer for an entry at rest");
    assert!(matches!(cache.lookup(at(60_009), address(1), packet(1)), Lookup::Send(MAC, _)));
    assert!(matches!(cache.lookup(at(60_010), address(1), packet(1)), Lookup::SendAndAsk(MAC, _)));
    assert!(matches!(cache.lookup(at(60_011), address(1), packet(1)), Lookup::Send(MAC, _)));
    let moved = EthernetAddress([2, 0, 0, 0, 0, 10]);
    assert!(cache.answered(at(60_012), address(1), moved).unwrap().is_empty());
    assert_eq!(cache.poll_at(), None);
    let Lookup::Send(mac, _) = cache.lookup(at(60_013), address(1), packet(1)) else { panic!() };
    assert_eq!(mac, moved);
    assert!(cache.answered(at(60_014), address(1), MAC).is_none(), "nobody asked");
    assert!(cache.answered(at(60_014), address(2), MAC).is_none(), "nobody asked");
}

#[test]
fn neither_askers_nor_the_missing_fill_the_cache() {
    let mut cache = Neighbours::new(&LIMITS);
    for number in 0..100_000 {
        cache.learn(at(0), address(number), MAC);
    }
    assert_eq!(cache.entries.len(), LIMITS.entries / 2);
    for number in 200_000..300_000 {
        cache.lookup(at(0), address(number), packet(5000));
    }
    assert!(cache.incomplete <= LIMITS.unresolved && cache.queued_bytes <= LIMITS.unresolved_bytes);
    assert_eq!(cache.dropped() as usize, 100_000 - cache.incomplete);
    // A minute later the old make room for the new.
    while cache.poll(at(60_000)).is_some() {}
    cache.learn(at(60_000), address(400_000), MAC);
    assert!(matches!(cache.lookup(at(60_000), address(400_000), packet(1)), Lookup::Send(MAC, _)));
}
