//! Models of loss: how much, and in what runs.

use super::statistics::{assert_classes, assert_share};
use super::*;

const FRAMES: u64 = 200_000;

/// For each frame, whether it was lost.
fn losses(loss: Loss) -> Vec<bool> {
    let mut link = direction(LinkParameters { loss, ..Default::default() });
    let mut lost = vec![false; FRAMES as usize];
    for (_, number, reason) in run(&mut link, burst(FRAMES, 100)).dropped {
        assert_eq!(reason, DropReason::Loss);
        lost[number as usize - 1] = true;
    }
    lost
}

fn count(lost: &[bool]) -> usize {
    lost.iter().filter(|&&lost| lost).count()
}

/// Lengths of the runs of `what`, those at the edges left out.
fn runs(lost: &[bool], what: bool) -> Vec<usize> {
    let mut runs: Vec<_> = lost.chunk_by(|a, b| a == b).map(|run| (run[0], run.len())).collect();
    runs.remove(0);
    runs.pop();
    runs.into_iter().filter(|&(kind, _)| kind == what).map(|(_, length)| length).collect()
}

/// Lengths against a geometric distribution, those from `classes` on taken together.
fn assert_geometric(lengths: &[usize], end: f64, classes: usize) {
    let mut observed = vec![0; classes];
    for &length in lengths {
        observed[length.min(classes) - 1] += 1;
    }
    let probability = |k: usize| {
        let before = (1.0 - end).powi(k as i32);
        if k + 1 == classes { before } else { before * end }
    };
    assert_classes(&observed, &(0..classes).map(probability).collect::<Vec<_>>());
}

#[test]
fn random_loss_is_independent() {
    let lost = losses(Loss::Random(Chance::of(0.25)));
    assert_share(count(&lost), lost.len(), 0.25, 1.0);
    assert_geometric(&runs(&lost, true), 0.75, 6);
    assert_geometric(&runs(&lost, false), 0.25, 12);
}

#[test]
fn certain_and_impossible_losses() {
    assert_eq!(count(&losses(Loss::Random(Chance::of(1.0)))), FRAMES as usize);
    assert_eq!(count(&losses(Loss::Random(Chance::NEVER))), 0);
}

/// The share of a half is exact, as netem's correlated numbers are symmetrical; small ones fall, as the manual says.
#[test]
fn correlated_loss_comes_in_runs() {
    let correlated = |probability| losses(Loss::Random(Chance { probability, correlation: 0.5 }));
    let lost = correlated(0.5);
    assert_share(count(&lost), lost.len(), 0.5, 3.0);
    let agree = lost.windows(2).filter(|pair| pair[0] == pair[1]).count();
    assert!(agree as f64 / lost.len() as f64 > 0.6, "{agree}");
    // By simulation elsewhere: 0.00107, where a tenth was asked for.
    assert_share(count(&correlated(0.1)), lost.len(), 0.00107, 3.0);
}

#[test]
fn simple_gilbert_loses_in_geometric_runs() {
    let model = GilbertElliott { p: 0.02, r: 0.25, loss_bad: 1.0, loss_good: 0.0 };
    let lost = losses(Loss::GilbertElliott(model));
    // Of a two-state chain with eigenvalue 1 - p - r.
    let inflation = (2.0 - 0.27) / 0.27;
    assert_share(count(&lost), lost.len(), 0.02 / 0.27, inflation);
    assert_geometric(&runs(&lost, true), 0.25, 12);
    assert_geometric(&runs(&lost, false), 0.02, 40);
}

#[test]
fn gilbert_elliott_loses_in_both_states() {
    let model = GilbertElliott { p: 0.1, r: 0.3, loss_bad: 0.6, loss_good: 0.05 };
    let lost = losses(Loss::GilbertElliott(model));
    let share = 0.75 * 0.05 + 0.25 * 0.6;
    assert_share(count(&lost), lost.len(), share, 4.0);
    // Two losses in a row: by the joint distribution of the states of neighbours.
    let (good, bad) = ([0.75 * 0.9, 0.75 * 0.1], [0.25 * 0.3, 0.25 * 0.7]);
    let both = good[0] * 0.05 * 0.05 + (good[1] + bad[0]) * 0.05 * 0.6 + bad[1] * 0.6 * 0.6;
    let pairs = lost.windows(2).filter(|pair| pair[0] && pair[1]).count();
    assert_share(pairs, lost.len() - 1, both, 8.0);
}

#[test]
fn the_four_state_model_meets_its_stationary_distribution() {
    let model = Markov { p13: 0.05, p31: 0.3, p32: 0.2, p23: 0.4, p14: 0.02 };
    let lost = losses(Loss::Markov(model));
    let Markov { p13, p31, p32, p23, p14 } = model;
    // Salsano, Ludovici and Ordine: "Definition of a general and intuitive loss model" (2009).
    let whole = p13 * p23 + p23 * p31 + p14 * p23 * p31 + p13 * p32;
    let share = (p13 * p23 + p14 * p23 * p31) / whole;
    assert_share(count(&lost), lost.len(), share, 10.0);
    // Runs end by p31 or p32, except that a lone loss always does.
    let starts_in_burst = p13 * p23 * p31 + p32 * p13 * p23;
    let alone = p14 * p23 * p31 / (p14 * p23 * p31 + starts_in_burst);
    let lengths = runs(&lost, true);
    let ones = lengths.iter().filter(|&&length| length == 1).count();
    assert_share(ones, lengths.len(), alone + (1.0 - alone) * (p31 + p32), 1.0);
}

#[test]
fn without_bursts_the_four_state_model_loses_single_frames() {
    let model = Markov { p13: 0.0, p31: 1.0, p32: 0.0, p23: 1.0, p14: 0.1 };
    let lost = losses(Loss::Markov(model));
    assert!(runs(&lost, true).iter().all(|&length| length == 1));
    assert_share(count(&lost), lost.len(), 0.1 / 1.1, 1.0);
}

#[test]
fn every_nth_is_lost() {
    let lost = losses(Loss::Every(7));
    assert!(lost.iter().zip(1..).all(|(&lost, number)| lost == (number % 7 == 0)));
    assert_eq!(count(&losses(Loss::Every(1))), FRAMES as usize);
}

#[test]
fn bursts_are_capped() {
    let model = Burst { probability: 0.05, persistence: 0.7, cap: 4 };
    let lost = losses(Loss::Burst(model));
    let lengths = runs(&lost, true);
    let mut observed = [0; 4];
    lengths.iter().for_each(|&length| observed[length - 1] += 1);
    assert_classes(&observed, &[0.3, 0.7 * 0.3, 0.49 * 0.3, 0.343]);
    // One frame passes after each burst, whatever is drawn for it.
    assert_geometric(&runs(&lost, false), 0.05, 30);
}

#[test]
fn a_loss_that_marks_drops_what_cannot_be_marked() {
    let mut ect = vec![0; 54];
    ect[12..16].copy_from_slice(&[0x86, 0xdd, 0x60, 0x20]);
    let ect = Frame::new(Bytes::from(ect));
    let parameters = LinkParameters { loss: Loss::Every(2), loss_marks: true, ..Default::default() };
    let offers = [frame(54), frame(54), ect.clone(), ect.clone()].map(|frame| (at_ms(0), frame));
    let result = run(&mut direction(parameters), offers);
    assert_eq!(result.dropped(), [2]);
    assert_eq!(result.order(), [1, 3, 4]);
    let classes: Vec<u8> = result.frames.iter().map(|frame| frame.bytes[15] & 0x30).collect();
    assert_eq!(classes, [0, 0x20, 0x30]);
}
