//! Models of loss: one answer a frame.

use super::chance::{Chance, Correlated};
use crate::rng::Rng;

/// How frames are lost.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Loss {
    #[default]
    Never,
    /// Each for itself, or correlated (netem's `loss random`).
    Random(Chance),
    /// Two states (netem's `loss gemodel`).
    GilbertElliott(GilbertElliott),
    /// Four states (netem's `loss state`).
    Markov(Markov),
    /// The n-th, the 2n-th and so on; not 0.
    Every(u64),
    /// Runs of losses that are never longer than a cap.
    Burst(Burst),
}

/// Probabilities of the Gilbert-Elliott model. A frame is lost by the state it finds; the state changes as it passes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GilbertElliott {
    /// From the good state to the bad one.
    pub p: f64,
    /// From the bad state to the good one.
    pub r: f64,
    /// Loss in the bad state (netem's `1-h`).
    pub loss_bad: f64,
    /// Loss in the good state (netem's `1-k`).
    pub loss_good: f64,
}

/// Transition probabilities of the four-state model: 1 delivered in a gap, 2 delivered in a burst, 3 lost in a burst,
/// 4 lost alone. `p13 + p14` and `p31 + p32` are at most 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Markov {
    pub p13: f64,
    pub p31: f64,
    pub p32: f64,
    pub p23: f64,
    pub p14: f64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Burst {
    /// That a frame outside a burst is lost and begins one.
    pub probability: f64,
    /// That the frame after a lost one is lost as well.
    pub persistence: f64,
    /// Losses in a row after which a frame passes; not 0.
    pub cap: u64,
}

/// Where a direction's model stands.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LossState {
    correlated: Correlated,
    in_bad_state: bool,
    markov: MarkovState,
    /// Frames since the last n-th, or losses in the present burst.
    count: u64,
}

#[derive(Clone, Copy, Debug, Default)]
enum MarkovState {
    #[default]
    DeliveredInGap,
    DeliveredInBurst,
    LostInBurst,
    LostInGap,
}

impl LossState {
    /// Whether the next frame is lost. A model draws the same number of times for each frame.
    pub fn loses(&mut self, loss: &Loss, rng: &mut Rng) -> bool {
        match loss {
            Loss::Never => false,
            Loss::Random(chance) => self.correlated.happens(*chance, rng),
            Loss::GilbertElliott(model) => self.gilbert_elliott(model, rng),
            Loss::Markov(model) => self.markov(model, rng),
            Loss::Every(n) => {
                self.count += 1;
                let lost = self.count >= *n;
                if lost {
                    self.count = 0;
                }
                lost
            }
            Loss::Burst(model) => self.burst(model, rng),
        }
    }

    fn gilbert_elliott(&mut self, model: &GilbertElliott, rng: &mut Rng) -> bool {
        let (change, loss) = match self.in_bad_state {
            false => (model.p, model.loss_good),
            true => (model.r, model.loss_bad),
        };
        self.in_bad_state ^= rng.chance(change);
        rng.chance(loss)
    }

    fn markov(&mut self, model: &Markov, rng: &mut Rng) -> bool {
        use MarkovState::{DeliveredInBurst, DeliveredInGap, LostInBurst, LostInGap};
        let drawn = rng.unit();
        self.markov = match self.markov {
            DeliveredInGap if drawn < model.p14 => LostInGap,
            DeliveredInGap if drawn < model.p14 + model.p13 => LostInBurst,
            DeliveredInGap => DeliveredInGap,
            DeliveredInBurst if drawn < model.p23 => LostInBurst,
            DeliveredInBurst => DeliveredInBurst,
            LostInBurst if drawn < model.p32 => DeliveredInBurst,
            LostInBurst if drawn < model.p32 + model.p31 => DeliveredInGap,
            LostInBurst => LostInBurst,
            LostInGap => DeliveredInGap,
        };
        match self.markov {
            DeliveredInGap | DeliveredInBurst => false,
            LostInBurst | LostInGap => true,
        }
    }

    fn burst(&mut self, model: &Burst, rng: &mut Rng) -> bool {
        let drawn = rng.unit();
        let lost = match self.count {
            0 => drawn < model.probability,
            losses => losses < model.cap && drawn < model.persistence,
        };
        self.count = if lost { self.count + 1 } else { 0 };
        lost
    }
}
