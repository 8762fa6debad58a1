//! The key `loss`: a share, or a model with its keys.

use std::ops::Range;

use toml::Spanned;
use toml::de::DeValue;

use super::super::mistake::Problem;
use super::super::read::{Reader, boolean, integer, word};
use super::super::units;
use super::link::{chance_keys, table_of, tell_keys_of_others};
use super::missing;
use crate::network::link::{Burst, Chance, GilbertElliott, Loss, Markov};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Model {
    Random,
    GilbertElliott,
    Markov,
    Every,
    Burst,
}

/// Models by name, with the keys of each.
const MODELS: [(&str, Model, &[&str]); 5] = [
    ("random", Model::Random, &["probability", "correlation"]),
    ("gilbert-elliott", Model::GilbertElliott, &["p", "r", "1-h", "1-k"]),
    ("markov", Model::Markov, &["p13", "p31", "p32", "p23", "p14"]),
    ("every", Model::Every, &["n"]),
    ("burst", Model::Burst, &["probability", "persistence", "cap"]),
];

/// The model, and whether it marks rather than drops what may be marked.
pub(super) fn loss(reader: &mut Reader<'_>) -> Option<(Loss, bool)> {
    let mistakes = reader.mistakes;
    let Some((at, table)) = table_of(reader, "loss") else {
        let share = reader.get("loss", units::probability)?.into_inner();
        return Some((random(Chance::of(share)), false));
    };
    let mut reader = Reader::new(table, "`loss`", mistakes);
    let model = match reader.has("model") {
        false => Model::Random,
        // Of an unknown one, no key can be judged.
        true => reader.get("model", model)?.into_inner(),
    };
    let loss = match model {
        Model::Random => chance_keys(&mut reader, "loss", at).map(random),
        Model::GilbertElliott => gilbert_elliott(&mut reader, at).map(Loss::GilbertElliott),
        Model::Markov => markov(&mut reader, at).map(Loss::Markov),
        Model::Every => {
            require(&reader, &at, "n", "to lose every tenth frame, `n = 10`");
            reader.get("n", integer(1..=u64::MAX)).map(|n| Loss::Every(n.into_inner()))
        }
        Model::Burst => burst(&mut reader, at).map(Loss::Burst),
    };
    let ecn = reader.get("ecn", boolean).is_some_and(Spanned::into_inner);
    tell_keys_of_others(&mut reader, "loss", "model", &MODELS, model);
    reader.finish();
    Some((loss?, ecn))
}

fn model(value: &DeValue<'_>) -> Result<Model, Problem> {
    word(value, "a model of loss", &MODELS.map(|(name, model, _)| (name, model)))
}

fn random(chance: Chance) -> Loss {
    if chance.is_never() { Loss::Never } else { Loss::Random(chance) }
}

fn require(reader: &Reader<'_>, at: &Range<usize>, key: &str, help: &str) {
    if !reader.has(key) {
        missing(reader.mistakes, at.clone(), "`loss`", key, help);
    }
}

/// Defaults as tc-netem(8) has them.
fn gilbert_elliott(reader: &mut Reader<'_>, at: Range<usize>) -> Option<GilbertElliott> {
    require(reader, &at, "p", "the probability of going from the good state to the bad one");
    let p = share(reader, "p");
    let r = share(reader, "r");
    let loss_bad = share(reader, "1-h").unwrap_or(1.0);
    let loss_good = share(reader, "1-k").unwrap_or(0.0);
    let p = p?;
    Some(GilbertElliott { p, r: r.unwrap_or(1.0 - p), loss_bad, loss_good })
}

/// Defaults as tc-netem(8) has them.
fn markov(reader: &mut Reader<'_>, at: Range<usize>) -> Option<Markov> {
    require(reader, &at, "p13", "the probability that a burst of losses begins");
    let p13 = share(reader, "p13");
    let p31 = share(reader, "p31");
    let p32 = share(reader, "p32").unwrap_or(0.0);
    let p23 = share(reader, "p23").unwrap_or(1.0);
    let p14 = share(reader, "p14").unwrap_or(0.0);
    let p13 = p13?;
    let model = Markov { p13, p31: p31.unwrap_or(1.0 - p13), p32, p23, p14 };
    let sums = [("p13", "p14", model.p13 + model.p14), ("p31", "p32", model.p31 + model.p32)];
    for (one, other, sum) in sums {
        // Shares in decimals are not exact in binary.
        if sum > 1.0 + 1e-9 {
            let message = format!("loss: {one} and {other} are more than 100% together");
            let help = "both lead out of one state; without p31 it is what p13 leaves of 100%";
            reader.mistakes.add(at.clone(), message, help);
        }
    }
    Some(model)
}

fn burst(reader: &mut Reader<'_>, at: Range<usize>) -> Option<Burst> {
    require(reader, &at, "probability", "that a burst begins, such as \"1%\"");
    require(reader, &at, "cap", "the longest burst in frames, such as `cap = 5`");
    let probability = share(reader, "probability");
    let persistence = share(reader, "persistence").unwrap_or(1.0);
    let cap = reader.get("cap", integer(1..=u64::MAX)).map(Spanned::into_inner);
    Some(Burst { probability: probability?, persistence, cap: cap? })
}

fn share(reader: &mut Reader<'_>, key: &'static str) -> Option<f64> {
    reader.get(key, units::probability).map(Spanned::into_inner)
}
