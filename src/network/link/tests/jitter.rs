//! Jitter: mean, deviation, shape, correlation, order.

use super::statistics::{assert_classes, autocorrelation, deviation, mean};
use super::*;

const FRAMES: u64 = 100_000;
const DELAY_MS: f64 = 100.0;

/// Deviations from the delay, in multiples of a jitter of 10 ms, frame by frame.
fn deviations(distribution: Distribution, correlation: f64) -> Vec<f64> {
    let jitter = Jitter { deviation: Duration::from_millis(10), distribution, correlation, in_order: false };
    let delay = Duration::from_secs_f64(DELAY_MS / 1000.0);
    let mut link = direction(LinkParameters { delay, jitter, ..Default::default() });
    let run = run(&mut link, burst(FRAMES, 100));
    run.arrivals_by_number().map(|at| (at.nanos() as f64 / 1e6 - DELAY_MS) / 10.0).collect()
}

impl Run {
    fn arrivals_by_number(&self) -> impl Iterator<Item = Instant> + '_ {
        assert!(self.delivered.is_sorted_by_key(|&(_, number)| number), "answered as they came");
        self.delivered.iter().map(|&(at, _)| at)
    }
}

/// Quantiles of the standard normal distribution at the tenths.
const NORMAL_DECILES: [f64; 9] =
    [-1.281_552, -0.841_621, -0.524_401, -0.253_347, 0.0, 0.253_347, 0.524_401, 0.841_621, 1.281_552];

/// Of `4/3 * (u^(-1/3) - 3/2)`.
fn pareto_deciles() -> [f64; 9] {
    std::array::from_fn(|k| {
        let above: f64 = 1.0 - (k + 1) as f64 / 10.0;
        (above.powf(-1.0 / 3.0) - 1.5) * 4.0 / 3.0
    })
}

fn assert_deciles(values: &[f64], deciles: [f64; 9]) {
    let mut observed = [0; 10];
    for value in values {
        observed[deciles.partition_point(|decile| decile < value)] += 1;
    }
    assert_classes(&observed, &[0.1; 10]);
}

fn near(value: f64, expected: f64, tolerance: f64) {
    assert!((value - expected).abs() < tolerance, "{value}, expected {expected}");
}

#[test]
fn uniform() {
    let values = deviations(Distribution::Uniform, 0.0);
    near(mean(&values), 0.0, 0.01);
    near(deviation(&values), 1.0 / 3f64.sqrt(), 0.005);
    assert!(values.iter().all(|value| value.abs() <= 1.0));
    assert_deciles(&values, std::array::from_fn(|k| (k + 1) as f64 / 5.0 - 1.0));
    near(autocorrelation(&values, 1), 0.0, 0.016);
}

#[test]
fn normal() {
    let values = deviations(Distribution::Normal, 0.0);
    near(mean(&values), 0.0, 0.016);
    near(deviation(&values), 1.0, 0.012);
    assert_deciles(&values, NORMAL_DECILES);
}

#[test]
fn pareto() {
    let values = deviations(Distribution::Pareto, 0.0);
    // Cut off at 4, which is u^(-1/3) = 4.5: E = 1 + (1 - 4.5^-2) / 2, E of the square = 1 + 2 (1 - 1/4.5).
    let first = 1.0 + (1.0 - 4.5f64.powi(-2)) / 2.0;
    let second = 1.0 + 2.0 * (1.0 - 1.0 / 4.5);
    near(mean(&values), (first - 1.5) * 4.0 / 3.0, 0.013);
    near(deviation(&values), (second - first * first).sqrt() * 4.0 / 3.0, 0.02);
    assert!(values.iter().all(|&value| (-0.667..=4.0).contains(&value)));
    assert_deciles(&values, pareto_deciles());
}

#[test]
fn pareto_and_normal_mixed() {
    let values = deviations(Distribution::ParetoNormal, 0.0);
    let pareto = pareto_deciles();
    assert_deciles(&values, std::array::from_fn(|k| 0.25 * NORMAL_DECILES[k] + 0.75 * pareto[k]));
}

#[test]
fn correlated_jitter_keeps_its_deviation() {
    for (distribution, expected) in [(Distribution::Normal, 1.0), (Distribution::Uniform, 1.0 / 3f64.sqrt())]
    {
        let values = deviations(distribution, 0.5);
        near(mean(&values), 0.0, 0.03);
        near(deviation(&values), expected, 0.02);
        near(autocorrelation(&values, 1), 0.5, 0.02);
        near(autocorrelation(&values, 3), 0.125, 0.02);
    }
    // Normal stays normal; every 20th is as good as independent.
    let values: Vec<f64> = deviations(Distribution::Normal, 0.5).into_iter().step_by(20).collect();
    assert_deciles(&values, NORMAL_DECILES);
}

#[test]
fn jitter_reorders_unless_order_is_asked_for() {
    for in_order in [false, true] {
        let jitter = Jitter { deviation: Duration::from_millis(5), in_order, ..Default::default() };
        let delay = Duration::from_millis(10);
        let mut link = direction(LinkParameters { delay, jitter, ..Default::default() });
        let run = run(&mut link, stream(1000, 100, Duration::from_millis(1)));
        let sorted = run.order().is_sorted();
        assert_eq!(sorted, in_order);
        for (sent, at) in (0..1000).map(at_ms).zip(run.arrivals()) {
            let took = at.since(sent);
            assert!(took <= Duration::from_millis(15), "no frame waits for one that was sent later");
            assert!(took >= Duration::from_millis(5));
        }
    }
}

/// Frames never arrive before they have left, whatever the tails of the distribution are.
#[test]
fn jitter_never_turns_time_back() {
    let jitter = Jitter {
        deviation: Duration::from_millis(10),
        distribution: Distribution::Normal,
        ..Default::default()
    };
    let delay = Duration::from_millis(10);
    let mut link = direction(LinkParameters { delay, jitter, ..rate(1_000_000) });
    let run = run(&mut link, burst(900, 1000));
    let left = (1..).map(at_ms);
    let early = run.arrivals().into_iter().zip(left).filter(|&(at, left)| at == left).count();
    // A sixth of a normal distribution lies below minus one deviation.
    super::statistics::assert_share(early, 900, 0.158_655, 1.0);
}
