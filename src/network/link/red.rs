//! Random early detection: frames are dropped by the queue's average length (Floyd and Jacobson, 1993).

use super::parameters::RedParameters;
use crate::rng::Rng;

/// The variables of the paper's figure 2.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Red {
    average: f64,
    /// Frames since the last one that was dropped or marked, while the average is between the thresholds.
    count: Option<u64>,
}

impl Red {
    /// Whether to signal congestion by the frame that arrives. `queue` is what waits, in the parameters' unit;
    /// `idle_frames`, if nothing does, how many frames could have left since the last one did.
    pub fn signals(
        &mut self,
        parameters: &RedParameters,
        queue: u64,
        idle_frames: u64,
        rng: &mut Rng,
    ) -> bool {
        let RedParameters { weight, probability, .. } = *parameters;
        self.average = match queue {
            0 => self.average * power(1.0 - weight, idle_frames),
            queue => self.average + weight * (queue as f64 - self.average),
        };
        let (min, max) = (parameters.min as f64, parameters.max as f64);
        // Always one draw: the stream does not depend on the queue.
        let drawn = rng.unit();
        if self.average < min {
            self.count = None;
            return false;
        }
        let signals = self.average >= max || {
            let count = self.count.map_or(0, |count| count + 1);
            self.count = Some(count);
            let base = probability * (self.average - min) / (max - min);
            // Spreads the signals out: uniform between them, not geometric.
            drawn * (1.0 - count as f64 * base) < base
        };
        if signals {
            self.count = Some(0);
        }
        signals
    }

    #[cfg(test)]
    pub fn average(&self) -> f64 {
        self.average
    }
}

/// By squaring: `powi` need not give the same on every machine.
fn power(base: f64, mut exponent: u64) -> f64 {
    let (mut result, mut square) = (1.0, base);
    while exponent > 0 {
        if exponent % 2 == 1 {
            result *= square;
        }
        square *= square;
        exponent /= 2;
    }
    result
}
