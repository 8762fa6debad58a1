//! Timelines that a scenario file cannot have, since they depend on what a run showed; and where partitions part.

mod common;

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use common::scenario::cache;
use guestnet::capture::{Record, Way};
use guestnet::guest::Exit;
use guestnet::lab::{Lab, Report};
use guestnet::network::link::DropReason;
use guestnet::scenario::plan::{Action, EntryPlan, FramesPlan, PortPlan, Span, When};
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{EthernetFrame, Ipv4Packet, TcpControl, TcpPacket, TcpRepr, TcpSeqNumber};

const SEED: u64 = 1;

fn lab(text: &str) -> Lab {
    let lab = Lab::from_toml(text, Path::new("timeline.toml"));
    lab.unwrap_or_else(|error| panic!("{}", error.plain())).with_cache(cache())
}

const TALK: &str = r#"
    duration = "60s"
    [guest.server]
    module = "target/guests/echo_server.wasm"
    background = true
    [guest.client]
    module = "target/guests/ticker.wasm"
    args = ["10.0.0.2:7", "4", "500"]
"#;

/// The last data segment that the client sent before `at`.
fn last_data(report: &Report, at: Duration) -> &Record {
    let from_client = report.records.iter().filter(|record| {
        let frame = EthernetFrame::new_unchecked(&record.frame.bytes[..]);
        let Ok(ip) = Ipv4Packet::new_checked(frame.payload()) else { return false };
        record.at.elapsed() < at
            && record.way == Way::Outbound
            && report.session.ports[record.port as usize].name == "client"
            && TcpPacket::new_checked(ip.payload()).is_ok_and(|segment| !segment.payload().is_empty())
    });
    from_client.last().expect("the client sent something")
}

/// A reset as if the sender of `frame` had sent it, so far behind the end of its data.
fn reset_after(frame: &[u8], distance: usize) -> Bytes {
    let mut forged = frame.to_vec();
    let mut ethernet = EthernetFrame::new_unchecked(&mut forged[..]);
    let mut ip = Ipv4Packet::new_unchecked(ethernet.payload_mut());
    let (from, to) = (ip.src_addr().into(), ip.dst_addr().into());
    let header = usize::from(ip.header_len());
    let bytes = usize::from(ip.total_len()) - header;
    let data = TcpPacket::new_unchecked(&ip.payload_mut()[..bytes]);
    let repr = TcpRepr {
        src_port: data.src_port(),
        dst_port: data.dst_port(),
        control: TcpControl::Rst,
        seq_number: data.seq_number() + data.payload().len() + distance,
        ack_number: None::<TcpSeqNumber>,
        window_len: 0,
        window_scale: None,
        max_seg_size: None,
        sack_permitted: false,
        sack_ranges: [None; 3],
        timestamp: None,
        payload: &[],
    };
    let whole = header + repr.buffer_len();
    ip.set_total_len(whole as u16);
    ip.fill_checksum();
    let mut segment = TcpPacket::new_unchecked(ip.payload_mut());
    repr.emit(&mut segment, &from, &to, &ChecksumCapabilities::default());
    forged.truncate(14 + whole);
    forged.into()
}

/// What the client tells when such a frame reaches the server 1.2 seconds after the beginning.
fn with_reset(distance: usize) -> String {
    let mut lab = lab(TALK);
    let at = Duration::from_millis(1200);
    let frame = reset_after(&last_data(&lab.run(SEED), at).frame.bytes, distance);
    let server = lab.plan().links.iter().position(|link| link.name == "server:lan").unwrap();
    lab.plan_mut().timeline.push(EntryPlan {
        when: When::Time(Span { least: at, most: at }),
        delay: Span::default(),
        every: None,
        until: None,
        times: None,
        action: Action::Inject { port: PortPlan { link: server, end: 0 }, frames: FramesPlan::One(frame) },
    });
    let report = lab.run(SEED);
    assert_eq!(report.guest("client").exit, Exit::Code(0));
    report.guest("client").stdout().into_owned()
}

/// RFC 9293, 3.10.7.4: a reset counts if its sequence number is in the window.
#[test]
fn a_forged_reset_kills_if_its_sequence_number_fits() {
    assert_eq!(
        with_reset(0),
        "0.000 connected\n1.500 Connection reset by peer\n2.000 connected\n2.500 done\n"
    );
    assert_eq!(with_reset(10_000_000), "0.000 connected\n2.000 done\n");
}

/// Guests beyond a router and a second switch, neither of which stands on a side.
const FAR: &str = r#"
    duration = "60s"
    [switch.near]
    [switch.middle]
    [switch.far]
    [link.trunk]
    ends = ["near", "middle"]
    [router.r]
    [router.r.interface.near]
    network = "middle"
    [router.r.interface.far]
    network = "far"
    [guest.server]
    module = "target/guests/echo_server.wasm"
    network = "near"
    addresses = ["10.0.0.2/24"]
    background = true
    [guest.beside]
    module = "target/guests/ticker.wasm"
    args = ["10.0.0.2:7", "8", "500"]
    network = "near"
    [guest.beyond]
    module = "target/guests/ticker.wasm"
    args = ["10.0.0.2:7", "8", "500"]
    network = "far"
"#;

fn parted(sides: &str) -> (Report, Vec<String>) {
    let text = format!(
        "{FAR}\n[[at]]\ntime = \"1200ms\"\npartition = {sides}\n[[at]]\ntime = \"3200ms\"\nheal = true\n"
    );
    let report = lab(&text).run(SEED);
    let dropped = report.records.iter().filter(|record| record.dropped == Some(DropReason::Partition));
    let mut ports: Vec<_> =
        dropped.map(|record| report.session.ports[record.port as usize].name.clone()).collect();
    ports.sort();
    ports.dedup();
    (report, ports)
}

#[test]
fn a_partition_parts_guests_over_switches_and_routers() {
    const UNDISTURBED: &str = "0.000 connected\n4.000 done\n";
    let (report, ports) = parted("[['server'], ['beyond']]");
    assert_eq!(report.guest("beside").stdout(), UNDISTURBED);
    assert!(report.guest("beyond").stdout().contains("no answer yet"), "{report}");
    assert!(report.guest("beyond").stdout().ends_with("done\n"), "{report}");
    // What comes from beyond is dropped where it would have reached the server.
    assert_eq!(ports, ["near.0"]);

    let (report, ports) = parted("[['server', 'beyond'], ['beside']]");
    assert_eq!(report.guest("beyond").stdout(), UNDISTURBED);
    assert!(report.guest("beside").stdout().contains("no answer yet"), "{report}");
    assert_eq!(ports, ["near.0"]);

    // A switch stands for all that is behind it.
    let (report, ports) = parted("[['near'], ['middle']]");
    assert_eq!(report.guest("beside").stdout(), UNDISTURBED);
    assert!(report.guest("beyond").stdout().contains("no answer yet"), "{report}");
    assert!(ports.iter().all(|port| port.starts_with("near.") || port.starts_with("middle.")), "{ports:?}");
}

/// Without an entry that names it, a guest is as it is without a timeline, to the byte.
#[test]
fn a_timeline_of_others_shifts_nothing() {
    let quiet = format!("{TALK}\n[[at]]\nevery = \"10ms..20ms\"\nuntil = \"3s\"\nheal = true\n");
    let sent = |text: &str| {
        let mut lab = lab(text);
        // The head of a capture has the scenario's digest.
        lab.plan_mut().digest = "the same".to_owned();
        lab.run(SEED).capture()
    };
    let (with, without) = (sent(&quiet), sent(TALK));
    assert!(with.len() > 2000 && with == without, "{} and {} bytes", with.len(), without.len());
}

/// Entries that wait for packets by filters: one for what the link drops, one for what that leads to, and what they do takes
/// place after the packet has gone on its way.
#[test]
fn filters_see_drops_and_what_segments_are_to_their_connection() {
    let text = TALK.replace(
        "module = \"target/guests/ticker.wasm\"",
        "link = { delay = '5ms' }\n    module = \"target/guests/ticker.wasm\"",
    ) + r#"
        [[at]]
        after = { at = "client", packet = "tcp.len > 0 && tcp.seq > 3" }
        link = "client:lan"
        direction = "forward"
        set = { loss = 1 }
        [[at]]
        after = { at = "client", packet = "guestnet.dropped == \"lost on the link\" && tcp.len > 0" }
        delay = "200ms"
        link = "client:lan"
        set = { loss = 0 }
        [[at]]
        after = { at = "client", packet = "tcp.analysis.retransmission" }
        pause = "client"
        [[at]]
        after = { at = "client", packet = "tcp.analysis.retransmission" }
        delay = "7s"
        resume = "client"
    "#;
    let report = lab(&text).run(SEED);
    let lines = |filter: &str| report.packets_at(filter, &["client"]).unwrap();
    let dropped = lines("guestnet.dropped && tcp.len > 0");
    let told: Vec<_> = dropped.iter().map(ToString::to_string).collect();
    assert_eq!(dropped.len(), 1, "{told:#?}");
    // The segment that is the event is on its way; the one after it is lost, and sent again once the line is mended.
    let again = lines("tcp.analysis.retransmission && guestnet.direction == \"out\"");
    let told: Vec<_> = again.iter().map(ToString::to_string).collect();
    assert_eq!(again.len(), 1, "{told:#?}");
    // Stacks count in microseconds.
    let micros = |packet: &guestnet::filter::Packet| packet.record().at.elapsed().as_micros();
    assert_eq!(micros(&again[0]), micros(&dropped[0]) + 1_000_000);
    assert_eq!(report.guest("client").exit, Exit::Code(0));
    assert!(report.guest("client").at > again[0].record().at + Duration::from_secs(7), "{report}");
}

/// An entry for replicas waits for the first of them, and acts on all.
#[test]
fn replicas_are_named_together() {
    let text = r#"
        duration = "60s"
        [guest.sleeper]
        module = "target/guests/clock.wasm"
        args = ["9000"]
        count = 4
        [guest.short]
        module = "target/guests/clock.wasm"
        args = ["100"]
        count = 2
        [[at]]
        after = { guest = "short", exited = true }
        delay = "1s"
        kill = "sleeper"
    "#;
    let report = lab(text).run(SEED);
    for replica in 0..4 {
        let sleeper = report.guest(&format!("sleeper-{replica}"));
        assert_eq!(sleeper.exit, Exit::Killed);
        assert_eq!((sleeper.at.elapsed().as_secs_f64() * 10.0).round(), 11.0, "once, at the first one's end");
    }
}
