//! Tests of samples against distributions. Seeds are fixed, so that a test that holds holds for ever; one in a
//! million samples of the right distribution would fail.

/// Five standard deviations and some more: exceeded on either side once in a million.
const SIGMAS: f64 = 4.9;

/// `hits` of `trials` against a binomial distribution, its variance `inflation` times that of independent trials.
pub(super) fn assert_share(hits: usize, trials: usize, probability: f64, inflation: f64) {
    let n = trials as f64;
    let deviation = (n * probability * (1.0 - probability) * inflation).sqrt();
    let off = (hits as f64 - n * probability) / deviation;
    assert!(off.abs() < SIGMAS, "{hits} of {trials}, expected {}: {off:.1} sigma off", n * probability);
}

/// Pearson's chi-square: observed counts against the probabilities of their classes.
pub(super) fn assert_classes(observed: &[usize], probabilities: &[f64]) {
    assert_eq!(observed.len(), probabilities.len());
    let total: usize = observed.iter().sum();
    let chi_square: f64 = observed
        .iter()
        .zip(probabilities)
        .map(|(&seen, p)| {
            let expected = total as f64 * p;
            assert!(expected >= 5.0, "a class too small for the test: {expected}");
            (seen as f64 - expected).powi(2) / expected
        })
        .sum();
    let limit = chi_square_limit((observed.len() - 1) as f64);
    assert!(chi_square < limit, "chi-square {chi_square:.1} of at most {limit:.1}: {observed:?}");
}

/// Wilson and Hilferty's approximation of the quantile at 1 - 10^-6.
fn chi_square_limit(freedom: f64) -> f64 {
    let spread = 2.0 / (9.0 * freedom);
    freedom * (1.0 - spread + 4.753 * spread.sqrt()).powi(3)
}

pub(super) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

pub(super) fn deviation(values: &[f64]) -> f64 {
    let mean = mean(values);
    (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / values.len() as f64).sqrt()
}

/// Correlation of each value with the one `lag` later.
pub(super) fn autocorrelation(values: &[f64], lag: usize) -> f64 {
    let mean = mean(values);
    let products = values.iter().zip(&values[lag..]).map(|(a, b)| (a - mean) * (b - mean));
    let count = (values.len() - lag) as f64;
    products.sum::<f64>() / count / deviation(values).powi(2)
}

/// The tests themselves can fail.
#[test]
fn wrong_samples_are_told_from_right_ones() {
    let caught = |test: fn()| std::panic::catch_unwind(test).is_err();
    assert!(!caught(|| assert_share(1000, 10_000, 0.1, 1.0)));
    assert!(caught(|| assert_share(1200, 10_000, 0.1, 1.0)));
    assert!(!caught(|| assert_classes(&[250, 260, 240, 250], &[0.25; 4])));
    assert!(caught(|| assert_classes(&[200, 300, 300, 200], &[0.25; 4])));
    // The right ones are 30.7 for 3 degrees of freedom and 65.4 for 20; the approximation errs on the side of mercy.
    assert!((30.7..33.0).contains(&chi_square_limit(3.0)));
    assert!((65.4..67.0).contains(&chi_square_limit(20.0)));
}
