//! Delay that varies from frame to frame.

use std::time::Duration;

use crate::rng::Rng;

/// How a frame's delay varies about the link's.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Jitter {
    /// Half the width of the uniform distribution; of the others, what netem's tables multiply.
    pub deviation: Duration,
    pub distribution: Distribution,
    /// Correlation of one frame's deviation with the next one's, `0.0..=1.0`.
    pub correlation: f64,
    /// A frame never arrives before one that was sent earlier: it waits for it.
    pub in_order: bool,
}

impl Jitter {
    pub fn is_none(&self) -> bool {
        self.deviation.is_zero()
    }
}

/// Shapes of jitter, as multiples of the deviation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Distribution {
    /// From -1 to 1.
    #[default]
    Uniform,
    /// Mean 0, deviation 1, cut off at 4.
    Normal,
    /// `4/3 * (u^(-1/3) - 3/2)` for a uniform `u`: -2/3 and more, cut off at 4.
    Pareto,
    /// A quarter normal and three quarters Pareto, quantile by quantile.
    ParetoNormal,
}

/// Entries of a table, and the number that stands for 1 in it (netem's `NETEM_DIST_SCALE`).
const ENTRIES: usize = 4096;
const SCALE: f64 = 8192.0;

/// A distribution's quantiles in the middle of 4096 equal slices, as iproute2's `maketable` programs define them.
type Table = [i16; ENTRIES];

static NORMAL: Table = normal();
static PARETO: Table = pareto();
static PARETO_NORMAL: Table = pareto_normal(&NORMAL, &PARETO);

impl Distribution {
    /// One draw, in multiples of the deviation.
    fn draw(self, rng: &mut Rng) -> f64 {
        let table = match self {
            Distribution::Uniform => return 2.0 * rng.unit() - 1.0,
            Distribution::Normal => &NORMAL,
            Distribution::Pareto => &PARETO,
            Distribution::ParetoNormal => &PARETO_NORMAL,
        };
        f64::from(table[rng.below(ENTRIES as u64) as usize]) / SCALE
    }
}

/// Where a direction's jitter stands.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct JitterState {
    previous: Option<f64>,
}

impl JitterState {
    /// The next frame's deviation from the delay, in nanoseconds. With correlation it is an autoregression of first
    /// order that leaves mean and deviation as they are.
    pub fn next_ns(&mut self, jitter: &Jitter, rng: &mut Rng) -> i64 {
        if jitter.is_none() {
            return 0;
        }
        let fresh = jitter.distribution.draw(rng);
        let r = jitter.correlation;
        let drawn = match self.previous {
            Some(previous) => r * previous + (1.0 - r * r).sqrt() * fresh,
            None => fresh,
        };
        self.previous = Some(drawn);
        (drawn * jitter.deviation.as_nanos() as f64).round() as i64
    }
}

// The tables are made by the compiler, from additions, multiplications and divisions alone: those are the same on
// every machine, which the logarithms of its mathematical library need not be.

const fn entry(value: f64) -> i16 {
    let scaled = value * SCALE;
    // `as` rounds towards 0 and saturates.
    (if scaled < 0.0 { scaled - 0.5 } else { scaled + 0.5 }) as i16
}

/// e^x for -16 <= x <= 0, by its series at x / 64.
const fn exp(x: f64) -> f64 {
    let x = x / 64.0;
    let (mut sum, mut term, mut n) = (1.0, 1.0, 1);
    while n < 12 {
        term = term * x / n as f64;
        sum += term;
        n += 1;
    }
    let mut squarings = 0;
    while squarings < 6 {
        sum *= sum;
        squarings += 1;
    }
    sum
}

/// Density of the standard normal distribution.
const fn density(x: f64) -> f64 {
    0.398_942_280_401_432_7 * exp(-0.5 * x * x)
}

/// The slices' middles are followed outwards from the median: the quantile's slope is one over the density there.
const fn normal() -> Table {
    let mut table = [0; ENTRIES];
    let mut x = 0.0;
    let mut half_slices = 0;
    while half_slices < ENTRIES {
        let mut steps = 0;
        while steps < 2 {
            // Runge-Kutta's fourth order.
            let step = 0.25 / ENTRIES as f64;
            let a = step / density(x);
            let b = step / density(x + 0.5 * a);
            let c = step / density(x + 0.5 * b);
            let d = step / density(x + c);
            x += (a + 2.0 * b + 2.0 * c + d) / 6.0;
            steps += 1;
        }
        // Every other half slice ends in the middle of a slice.
        if half_slices % 2 == 0 {
            let k = half_slices / 2;
            table[ENTRIES / 2 + k] = entry(x);
            table[ENTRIES / 2 - 1 - k] = -entry(x);
        }
        half_slices += 1;
    }
    table
}

/// The cube root of 0 < x <= 1, by Newton's method.
const fn cube_root(x: f64) -> f64 {
    let mut root = 1.0;
    let mut n = 0;
    while n < 24 {
        root = (2.0 * root + x / (root * root)) / 3.0;
        n += 1;
    }
    root
}

const fn pareto() -> Table {
    let mut table = [0; ENTRIES];
    let mut k = 0;
    while k < ENTRIES {
        let u = 1.0 - (k as f64 + 0.5) / ENTRIES as f64;
        table[k] = entry((1.0 / cube_root(u) - 1.5) * 4.0 / 3.0);
        k += 1;
    }
    table
}

const fn pareto_normal(normal: &Table, pareto: &Table) -> Table {
    let mut table = [0; ENTRIES];
    let mut k = 0;
    while k < ENTRIES {
        table[k] = ((normal[k] as i32 + 3 * pareto[k] as i32) / 4) as i16;
        k += 1;
    }
    table
}
