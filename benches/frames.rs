//! What one frame costs in the network between stacks: link, switch, router, capture.
//!
//! Frames carry 1,460 bytes of TCP payload unless said otherwise, and are shared (as a capture shares
//! them), so that the router's copy is counted.

use std::hint::black_box;
use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;

use bytes::Bytes;
use criterion::{Criterion, criterion_group, criterion_main};
use guestnet::capture::{Fan, Group, PortInfo, Record, Session, Sink, Way, Writer};
use guestnet::network::link::{
    Chance, CoDelParameters, Direction, Discipline, Distribution, GilbertElliott, Jitter, LinkParameters,
    Loss, Rate, Reorder, Verdict,
};
use guestnet::network::router::Router;
use guestnet::network::switch::Switch;
use guestnet::network::{Egress, Frame, InterfaceConfig, PacketId, Route};
use guestnet::rng::Seed;
use guestnet::time::Instant;
use smoltcp::wire::{EthernetAddress, checksum};

const NOW: Instant = Instant::from_nanos(1_000_000_000);
const FRAME_BYTES: usize = 1514;

fn mac(number: usize) -> [u8; 6] {
    let [high, low] = (number as u16).to_be_bytes();
    [2, 0, 0, 0, high, low]
}

fn ethernet(to: [u8; 6], from: [u8; 6]) -> Vec<u8> {
    let mut bytes = [&to[..], &from, &[0x08, 0x00]].concat();
    bytes.resize(FRAME_BYTES, 0);
    bytes
}

fn switch(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("switch");
    for hosts in [2, 1000] {
        let mut switch = Switch::new(hosts, Duration::from_secs(300));
        let mut out = Egress::new();
        for host in 0..hosts {
            let hello = Frame::new(Bytes::from(ethernet([0xFF; 6], mac(host))));
            switch.ingest(NOW, host, hello, &mut out);
            out.clear();
        }
        let frames: Vec<_> = (0..hosts)
            .map(|host| Frame::new(Bytes::from(ethernet(mac((host * 7 + 1) % hosts), mac(host)))))
            .collect();
        let mut host = 0;
        group.bench_function(format!("unicast, {hosts} addresses"), |bencher| {
            bencher.iter(|| {
                out.clear();
                switch.ingest(NOW, host, frames[host].clone(), &mut out);
                host = (host + 1) % hosts;
                black_box(&out);
            });
        });
    }
    let mut switch = Switch::new(16, Duration::from_secs(300));
    let frame = Frame::new(Bytes::from(ethernet([0xFF; 6], mac(1))));
    let mut out = Egress::new();
    group.bench_function("broadcast, 16 ports", |bencher| {
        bencher.iter(|| {
            out.clear();
            switch.ingest(NOW, 0, frame.clone(), &mut out);
            black_box(&out);
        });
    });
}

fn ipv4(source: Ipv4Addr, destination: Ipv4Addr, to: [u8; 6], from: [u8; 6]) -> Frame {
    let mut bytes = ethernet(to, from);
    let ip = &mut bytes[14..];
    let total = ip.len() as u16;
    ip[0] = 0x45;
    ip[2..4].copy_from_slice(&total.to_be_bytes());
    ip[8..10].copy_from_slice(&[64, 6]);
    ip[12..16].copy_from_slice(&source.octets());
    ip[16..20].copy_from_slice(&destination.octets());
    let sum = !checksum::data(&ip[..20]);
    ip[10..12].copy_from_slice(&sum.to_be_bytes());
    Frame::new(Bytes::from(bytes))
}

fn router(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("router");
    let interface = |port: u8| InterfaceConfig {
        name: format!("eth{port}"),
        mac: EthernetAddress(mac(usize::from(port) + 1)),
        addresses: vec![format!("10.0.{port}.1/24").parse().unwrap()],
        mtu: 1500,
    };
    let via = |number: u8| Route {
        prefix: format!("172.16.{number}.0/24").parse().unwrap(),
        via: Ipv4Addr::new(10, 0, 1, 2).into(),
    };
    for routes in [0, 200] {
        let mut router =
            Router::new(&[interface(0), interface(1)], &(0..routes).map(via).collect::<Vec<_>>());
        let (here, there) = (Ipv4Addr::new(10, 0, 0, 2), Ipv4Addr::new(10, 0, 1, 2));
        let mut out = Egress::new();
        // The neighbour makes itself known by asking.
        let mut request = [&[0xFF; 6][..], &mac(9), &[0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, 1], &mac(9)].concat();
        request.extend([10, 0, 1, 2, 0, 0, 0, 0, 0, 0, 10, 0, 1, 1]);
        router.ingest(NOW, 1, Frame::new(Bytes::from(request)), &mut out);
        assert_eq!(out.len(), 1);
        let destination = if routes == 0 { there } else { Ipv4Addr::new(172, 16, 100, 1) };
        let frame = ipv4(here, destination, mac(1), mac(8));
        group.bench_function(format!("IPv4, {routes} static routes"), |bencher| {
            bencher.iter(|| {
                out.clear();
                router.ingest(NOW, 0, frame.clone(), &mut out);
                assert_eq!(black_box(&out).len(), 1);
            });
        });
    }
}

fn capture(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("capture");
    let ports = (0..16).map(|port| PortInfo { name: format!("guest{port}"), description: String::new() });
    let session = Session {
        name: "bench".into(),
        seed: 1,
        digest: String::new(),
        epoch: Duration::from_secs(1_577_836_800),
        ports: ports.collect(),
        names: vec![],
    };
    for (name, bytes) in [("66 bytes", 66), ("1514 bytes", 1514), ("65549 bytes", 65_549)] {
        let frame = Frame { id: PacketId(1), ..Frame::new(Bytes::from(vec![7; bytes])) };
        let record = Record { at: NOW, port: 3, way: Way::Outbound, frame, dropped: None, late: false };
        let mut writer = Writer::new(io::sink(), &session).unwrap();
        group.bench_function(format!("record, {name}"), |bencher| {
            bencher.iter(|| writer.record(black_box(&record)).unwrap());
        });
    }
    let groups = (0..16).map(|port| Group { ports: vec![port], out: io::sink() }).collect();
    let mut fan = Fan::new(&session, groups).unwrap();
    let frame = Frame { id: PacketId(1), ..Frame::new(Bytes::from(vec![7; 1514])) };
    let record = Record { at: NOW, port: 3, way: Way::Outbound, frame, dropped: None, late: false };
    group.bench_function("fan of 16, 1514 bytes", |bencher| {
        bencher.iter(|| fan.record(black_box(&record)).unwrap());
    });
}

/// A frame each 20 microseconds, which is 600 Mbit/s, over a link of a gigabit.
fn link(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("link");
    let delay = Duration::from_millis(10);
    let simple = LinkParameters {
        delay,
        rate: Rate::BytesPerSecond(125_000_000),
        loss: Loss::Random(Chance::of(0.01)),
        ..Default::default()
    };
    let full = LinkParameters {
        jitter: Jitter {
            deviation: Duration::from_millis(1),
            distribution: Distribution::ParetoNormal,
            correlation: 0.25,
            in_order: true,
        },
        discipline: Discipline::CoDel(CoDelParameters::default()),
        loss: Loss::GilbertElliott(GilbertElliott { p: 0.01, r: 0.3, loss_bad: 0.7, loss_good: 0.0 }),
        duplicate: Chance::of(0.001),
        corrupt: Chance::of(0.001),
        reorder: Reorder { chance: Chance::of(0.001), gap: 5 },
        ..simple.clone()
    };
    let frame = Frame::new(Bytes::from(vec![0; FRAME_BYTES]));
    for (name, parameters) in [("ideal", LinkParameters::default()), ("simple", simple), ("full", full)] {
        let mut link = Direction::new(parameters, Seed(1).fork("link"));
        let (mut now, mut out) = (NOW, Vec::new());
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                now += Duration::from_micros(20);
                while let Some(at) = link.poll_at().filter(|&at| at <= now) {
                    link.poll(at, &mut out);
                }
                let verdict: Verdict = link.offer(now, black_box(&frame), &mut out);
                black_box((&out, verdict));
                out.clear();
            });
        });
    }
}

criterion_group!(benches, link, switch, router, capture);
criterion_main!(benches);
