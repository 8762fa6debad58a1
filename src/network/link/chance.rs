//! Chances, and random numbers that depend on the one before, as netem draws them.

use crate::rng::Rng;

/// Something that happens to a frame with a probability.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Chance {
    /// `0.0..=1.0`
    pub probability: f64,
    /// How much a frame's random number depends on the one before, `0.0..=1.0` (netem's correlation).
    pub correlation: f64,
}

impl Chance {
    pub const NEVER: Chance = Chance { probability: 0.0, correlation: 0.0 };

    pub const fn of(probability: f64) -> Self {
        Self { probability, correlation: 0.0 }
    }

    pub fn is_never(&self) -> bool {
        self.probability == 0.0
    }
}

/// A stream of numbers in `[0, 1)`: with a correlation `r`, each is `(1 - r) * fresh + r * previous`
/// (`get_crandom` of sch_netem.c). Their mean stays 1/2, their autocorrelation at distance `n` is `r^n`, and their
/// variance shrinks to `(1 - r) / (1 + r)` of the uniform's: small probabilities are met less often than they say.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Correlated {
    previous: Option<f64>,
}

impl Correlated {
    /// One draw from `rng`, whatever the correlation.
    pub fn draw(&mut self, correlation: f64, rng: &mut Rng) -> f64 {
        let fresh = rng.unit();
        let drawn = match self.previous {
            Some(previous) => (1.0 - correlation) * fresh + correlation * previous,
            None => fresh,
        };
        self.previous = Some(drawn);
        drawn
    }

    /// Whether it happens this time; no draw if it never does.
    pub fn happens(&mut self, chance: Chance, rng: &mut Rng) -> bool {
        chance.probability > 0.0 && self.draw(chance.correlation, rng) < chance.probability
    }
}
