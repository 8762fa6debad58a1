//! Links inside a world: between two TAPs whose frames the test makes and takes, without a guest.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use guestnet::capture::{Record, Sink, Way};
use guestnet::guest::{Engine, EngineSettings};
use guestnet::network::link::{DropReason, LinkParameters, Rate};
use guestnet::scenario::assets::Assets;
use guestnet::time::Instant;
use guestnet::world::{Settings, World};

/// Keeps records where the test finds them.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<Record>>>);

impl Sink for Kept {
    fn record(&mut self, record: &Record) -> io::Result<()> {
        self.0.lock().unwrap().push(record.clone());
        Ok(())
    }

    fn secrets(&mut self, _: &str) -> io::Result<()> {
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn close(&mut self, _: Instant) -> io::Result<()> {
        Ok(())
    }
}

struct Lab {
    world: World,
    records: Kept,
    /// Arrivals at the second TAP: when, and the frame's first byte.
    arrived: Vec<(Instant, u8)>,
}

impl Lab {
    fn new(knobs: &str) -> Lab {
        let text =
            format!("[tap.one]\n[tap.two]\n[link.line]\nends = ['one', 'two']\nforward = {{ {knobs} }}");
        let plan = guestnet::scenario::parse(&text, Path::new("lab.toml")).unwrap();
        let engine = Engine::new(EngineSettings { cache_folder: None, guests: 0 }).unwrap();
        let settings = Settings::sim(&plan, 1);
        let mut world = World::new(&plan, &Assets::default(), settings, &engine, &mut |_| ());
        let records = Kept::default();
        world.set_sink(Box::new(records.clone()));
        Lab { world, records, arrived: Vec::new() }
    }

    /// Lets everything happen that is due by `end`.
    fn run_until(&mut self, end: Instant) {
        while let Some(at) = self.world.poll_at().filter(|&at| at <= end) {
            self.world.poll(at);
            let frames = self.world.take_outbound().into_iter().filter(|outbound| outbound.tap == 1);
            self.arrived.extend(frames.map(|outbound| (at, outbound.frame.bytes[0])));
        }
    }

    /// Frames of 1000 bytes, numbered in their first, one each `gap`.
    fn send(&mut self, numbers: std::ops::Range<u8>, gap: Duration) {
        for number in numbers {
            let now = Instant::START + gap * u32::from(number);
            self.run_until(now);
            self.world.inject(now, 0, Bytes::from([&[number][..], &[0; 999]].concat()));
        }
    }

    /// What the capture says left by the first TAP: when, which frame, why it was dropped.
    fn outbound(&self) -> Vec<(Instant, u8, Option<DropReason>)> {
        let records = self.records.0.lock().unwrap();
        let outbound = records.iter().filter(|record| record.port == 0 && record.way == Way::Outbound);
        outbound.map(|record| (record.at, record.frame.bytes[0], record.dropped)).collect()
    }
}

fn ms(ms: u64) -> Instant {
    Instant::from_micros(1000 * ms)
}

#[test]
fn a_late_drop_is_recorded_when_it_happens() {
    let knobs = "rate = '8Mbit', queue = { discipline = 'codel', target = '3ms', interval = '10ms' }";
    let mut lab = Lab::new(knobs);
    lab.send(0..40, Duration::ZERO);
    lab.run_until(ms(1000));

    let records = lab.outbound();
    let offered: Vec<_> = records.iter().filter(|(_, _, dropped)| dropped.is_none()).collect();
    assert_eq!(offered.len(), 40, "each as it left");
    // So that who counts frames counts each once.
    assert!(lab.records.0.lock().unwrap().iter().all(|record| record.late == record.dropped.is_some()));
    assert!(offered.iter().all(|(at, _, _)| *at == Instant::START));
    let dropped: Vec<_> = records.iter().filter(|(_, _, dropped)| dropped.is_some()).collect();
    // 3 ms of waiting are reached by the frame that leaves at 3 ms; an interval later the first goes, then
    // 10 ms, 10 / sqrt(2) ms, ... after one another, each at the next frame's turn.
    let expected = [(ms(13), 13), (ms(23), 24)];
    let seen: Vec<_> = dropped.iter().map(|&&(at, number, _)| (at, number)).take(2).collect();
    assert_eq!(seen, expected);
    assert!(dropped.iter().all(|(_, _, reason)| *reason == Some(DropReason::CoDel)));
    assert_eq!(lab.arrived.len() + dropped.len(), 40);
    assert_eq!(lab.world.totals().dropped, dropped.len() as u64);
    let times: Vec<_> = lab.arrived.iter().map(|&(at, _)| at).collect();
    assert_eq!(times, (1..=times.len() as u64).map(ms).collect::<Vec<_>>(), "the wire is never idle");
}

#[test]
fn copies_and_corrupted_frames_arrive() {
    let mut lab = Lab::new("duplicate = 1, delay = '5ms', corrupt = 1");
    lab.send(0..10, Duration::from_millis(1));
    lab.run_until(ms(1000));
    assert_eq!(lab.arrived.len(), 20);
    let records = lab.records.0.lock().unwrap();
    let (sent, got): (Vec<_>, Vec<_>) = records.iter().partition(|record| record.way == Way::Outbound);
    let got = got.into_iter().filter(|record| record.port == 1);
    let sent = sent.into_iter().filter(|record| record.port == 0).flat_map(|record| [record, record]);
    for (sent, got) in sent.zip(got) {
        assert_eq!(sent.frame.id, got.frame.id, "it is the same packet");
        let flipped: u32 =
            sent.frame.bytes.iter().zip(&got.frame.bytes).map(|(a, b)| (a ^ b).count_ones()).sum();
        assert_eq!(flipped, 1);
        assert_eq!(got.at, sent.at + Duration::from_millis(5));
    }
}

#[test]
fn knobs_change_while_the_lab_runs() {
    let mut lab = Lab::new("rate = '8Mbit', queue = { discipline = 'codel' }");
    lab.send(0..6, Duration::ZERO);
    lab.run_until(ms(1));
    let slow = LinkParameters { rate: Rate::BytesPerSecond(100_000), ..Default::default() };
    lab.world.set_link_parameters(0, slow.clone());
    lab.run_until(ms(20));
    lab.world.set_link_parameters(0, LinkParameters { up: false, ..slow });
    lab.run_until(ms(1000));
    // The second frame was on the wire; the third took ten milliseconds, and the fourth had begun.
    assert_eq!(lab.arrived, [(ms(1), 0), (ms(2), 1), (ms(12), 2), (ms(22), 3)]);
    let down: Vec<_> = lab.outbound()[6..].iter().map(|&(_, number, why)| (number, why)).collect();
    assert_eq!(down, [(4, Some(DropReason::Down)), (5, Some(DropReason::Down))]);
}
