//! Randomness. Every consumer forks a stream of its own by label, so that adding one consumer
//! (a link, a guest) never shifts what another draws.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use sha2::{Digest, Sha256};

/// The root of all randomness of one world: its seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seed(pub u64);

impl Seed {
    /// The stream of the consumer named `label`, such as `link:client-lan` or `guest:server`.
    pub fn fork(self, label: &str) -> Rng {
        let mut hash = Sha256::new();
        hash.update(b"guestnet stream v1\0");
        hash.update(self.0.to_le_bytes());
        hash.update(label.as_bytes());
        Rng::from_secret(hash.finalize().into())
    }
}

/// One consumer's deterministic stream (ChaCha8). It is begun by the first draw: most links and many guests never draw,
/// and a stream at work takes eight times the room.
#[derive(Clone, Debug)]
pub struct Rng {
    seed: [u8; 32],
    /// Words that were drawn before the stream at work, if any is, was begun.
    drawn: u64,
    running: Option<Box<ChaCha8Rng>>,
}

impl Rng {
    /// A stream that nobody who does not have the secret can foresee.
    pub fn from_secret(secret: [u8; 32]) -> Rng {
        Rng { seed: secret, drawn: 0, running: None }
    }

    fn stream(&mut self) -> &mut ChaCha8Rng {
        self.running.get_or_insert_with(|| {
            let mut stream = ChaCha8Rng::from_seed(self.seed);
            stream.set_word_pos(self.drawn.into());
            Box::new(stream)
        })
    }

    /// Gives up the room of a stream that may not be drawn from again for long; it goes on where it was.
    pub fn rest(&mut self) {
        if let Some(stream) = self.running.take() {
            // Nobody draws 2^64 words.
            self.drawn = stream.get_word_pos() as u64;
        }
    }

    pub fn next_u32(&mut self) -> u32 {
        self.stream().next_u32()
    }

    pub fn next_u64(&mut self) -> u64 {
        self.stream().next_u64()
    }

    pub fn fill(&mut self, bytes: &mut [u8]) {
        self.stream().fill_bytes(bytes);
    }

    /// Uniform in `0..bound`; `bound` must not be 0. (Lemire's multiply-shift; the bias of at most
    /// `bound / 2^64` is below anything a test can see, and a fixed number of draws keeps streams aligned.)
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64
    }

    /// Uniform in `[0, 1)`, 53 bits.
    pub fn unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// True with the given probability. Always one draw, whatever the probability.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_depend_on_seed_and_label_alone() {
        let draw = |seed, label| Seed(seed).fork(label).next_u64();
        assert_eq!(draw(1, "a"), draw(1, "a"));
        assert_ne!(draw(1, "a"), draw(1, "b"));
        assert_ne!(draw(1, "a"), draw(2, "a"));
    }

    #[test]
    fn a_stream_that_rested_goes_on_where_it_was() {
        let draws = |rests: bool| {
            let mut rng = Seed(1).fork("a");
            let draw = |round: usize| {
                let mut bytes = vec![0; round % 7];
                rng.fill(&mut bytes);
                let numbers = (rng.next_u32(), rng.next_u64());
                if rests && round.is_multiple_of(3) {
                    rng.rest();
                }
                (bytes, numbers)
            };
            (0..100).map(draw).collect::<Vec<_>>()
        };
        assert_eq!(draws(true), draws(false));
    }

    #[test]
    fn chance_meets_its_probability() {
        let mut rng = Seed(7).fork("chance");
        let hits = (0..100_000).filter(|_| rng.chance(0.1)).count();
        // Binomial(100000, 0.1): standard deviation 95; five of them.
        assert!((9_525..=10_475).contains(&hits), "{hits}");
    }
}
