//! Duplication, reordering, corruption: as netem does them.

use super::statistics::{assert_classes, assert_share, autocorrelation, deviation, mean};
use super::*;
use crate::network::Checksums;
use crate::network::link::chance::Correlated;

const DELAY: Duration = Duration::from_millis(10);

fn reorder(gap: u64, probability: f64) -> LinkParameters {
    let reorder = Reorder { gap, chance: Chance::of(probability) };
    LinkParameters { delay: DELAY, reorder, ..Default::default() }
}

#[test]
fn correlated_numbers_have_netems_moments() {
    for correlation in [0.0, 0.25, 0.9] {
        let (mut numbers, mut rng) = (Correlated::default(), Seed(5).fork("chance"));
        let values: Vec<f64> = (0..200_000).map(|_| numbers.draw(correlation, &mut rng)).collect();
        let uniform = (1.0f64 / 12.0).sqrt();
        let expected = uniform * ((1.0 - correlation) / (1.0 + correlation)).sqrt();
        assert!((deviation(&values) / expected - 1.0).abs() < 0.02);
        assert!((mean(&values) - 0.5).abs() < 0.01);
        for lag in [1, 2] {
            let r = autocorrelation(&values, lag);
            assert!((r - f64::powi(correlation, lag as i32)).abs() < 0.02, "{r} at {lag}");
        }
    }
}

#[test]
fn every_gapth_frame_overtakes() {
    let result = run(&mut direction(reorder(5, 1.0)), stream(20, 100, Duration::from_millis(1)));
    let at_once: Vec<u64> = (result.delivered.iter())
        .filter(|&&(at, number)| at == at_ms(number - 1))
        .map(|&(_, number)| number)
        .collect();
    assert_eq!(at_once, [5, 10, 15, 20]);
    assert_eq!(result.order()[..6], [5, 10, 1, 2, 3, 4], "the others take ten milliseconds");
}

#[test]
fn a_share_of_frames_overtakes() {
    let count = 40_000;
    let result = run(&mut direction(reorder(1, 0.25)), burst(count, 100));
    let at_once = result.delivered.iter().filter(|(at, _)| *at == Instant::START).count();
    assert_share(at_once, count as usize, 0.25, 1.0);

    // After each that overtook, two that cannot.
    let result = run(&mut direction(reorder(3, 0.25)), burst(count, 100));
    let overtook: Vec<u64> =
        result.delivered.iter().filter(|(at, _)| *at == Instant::START).map(|&(_, n)| n).collect();
    let mut observed = [0; 12];
    for pair in overtook.windows(2) {
        let between = pair[1] - pair[0] - 1;
        assert!(between >= 2);
        observed[(between as usize - 2).min(11)] += 1;
    }
    let geometric = |k: i32| 0.75f64.powi(k) * if k == 11 { 1.0 } else { 0.25 };
    assert_classes(&observed, &(0..12).map(geometric).collect::<Vec<_>>());
}

/// netem puts such a frame before all that waits.
#[test]
fn a_frame_that_overtakes_does_not_wait_for_the_rate() {
    let parameters = LinkParameters { rate: Rate::BytesPerSecond(1_000_000), ..reorder(3, 1.0) };
    let result = run(&mut direction(parameters), burst(4, 1000));
    assert_eq!(result.order(), [3, 1, 2, 4]);
    assert_eq!(result.arrivals()[3], at_ms(13), "the wire was not busy with it");
}

#[test]
fn a_share_of_frames_comes_twice() {
    let parameters = LinkParameters { duplicate: Chance::of(0.1), ..Default::default() };
    let count = 40_000;
    let result = run(&mut direction(parameters), burst(count, 100));
    assert_share(result.delivered.len() - count as usize, count as usize, 0.1, 1.0);
    assert!(result.order().is_sorted(), "copies follow one another");
}

/// One copy made, one lost.
#[test]
fn a_frame_both_lost_and_duplicated_comes_once() {
    let parameters =
        LinkParameters { duplicate: Chance::of(1.0), loss: Loss::Every(2), ..Default::default() };
    assert_eq!(run(&mut direction(parameters), burst(4, 100)).order(), [1, 1, 2, 3, 3, 4]);
}

#[test]
fn copies_take_their_turns_on_the_wire() {
    let parameters = LinkParameters { duplicate: Chance::of(1.0), ..rate(1_000_000) };
    let result = run(&mut direction(parameters), burst(2, 1000));
    assert_eq!(result.delivered, [(at_ms(1), 1), (at_ms(2), 1), (at_ms(3), 2), (at_ms(4), 2)]);
}

#[test]
fn corruption_flips_one_bit_anywhere() {
    let parameters = LinkParameters { corrupt: Chance::of(0.5), ..Default::default() };
    let count = 40_000;
    let result = run(&mut direction(parameters), burst(count, 4));
    let mut bits = [0; 32];
    for frame in &result.frames {
        let ones: u32 = frame.bytes.iter().map(|byte| byte.count_ones()).sum();
        let altered = frame.checksums == Checksums::Unverified;
        assert_eq!(ones, u32::from(altered));
        if altered {
            bits[u32::from_le_bytes(frame.bytes[..].try_into().unwrap()).trailing_zeros() as usize] += 1;
        }
    }
    assert_share(bits.iter().sum(), count as usize, 0.5, 1.0);
    assert_classes(&bits, &[1.0 / 32.0; 32]);
    assert!(result.order().is_sorted());
}

#[test]
fn copies_are_corrupted_each_for_itself() {
    let parameters =
        LinkParameters { corrupt: Chance::of(0.5), duplicate: Chance::of(1.0), ..Default::default() };
    let result = run(&mut direction(parameters), burst(10_000, 100));
    let altered = |frame: &Frame| usize::from(frame.checksums == Checksums::Unverified);
    let mut observed = [0; 3];
    result.frames.chunks(2).for_each(|copies| observed[altered(&copies[0]) + altered(&copies[1])] += 1);
    assert_classes(&observed, &[0.25, 0.5, 0.25]);
}
