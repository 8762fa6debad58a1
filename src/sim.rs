//! The driver of virtual time: when nothing is left to do at an instant, time jumps to the next event.
//!
//! Same plan, same modules, same seed: the same run, to the byte of the capture.

use std::fmt;
use std::time::Duration;

use crate::time::Instant;
use crate::world::{Report, World};

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Every guest ended.
    Over,
    /// Nothing can happen any more, yet guests wait: each for another, or for what never comes.
    Stalled,
    /// The scenario's duration had passed.
    Duration,
    /// Somebody asked for it.
    Interrupted,
    /// Rounds at one instant without end: two parts of the lab keep each other busy.
    Livelock(Instant),
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ending::Over => write!(f, "over"),
            Ending::Stalled => write!(f, "stalled"),
            Ending::Duration => write!(f, "out of time"),
            Ending::Interrupted => write!(f, "interrupted"),
            Ending::Livelock(_) => write!(f, "a livelock"),
        }
    }
}

/// Counts rounds that get nowhere.
///
/// In virtual time those are rounds at one instant. On the wall clock instants pass by themselves, and guests may
/// compute for as long as they like: there, rounds in which no guest had a turn and nothing came in from outside.
#[derive(Debug, Default)]
pub struct Patience(u64);

impl Patience {
    /// Rounds that are taken for endless: most of a minute on a fast machine.
    const ROUNDS_MAX: u64 = 50_000_000;

    /// Something went on.
    pub fn restore(&mut self) {
        self.0 = 0;
    }

    /// One more round that got nowhere. True if it was one too many.
    pub fn is_over(&mut self) -> bool {
        self.0 += 1;
        self.0 > Self::ROUNDS_MAX
    }
}

/// Runs `world` to its end and stops what is still there. `turn` is called after each round with what happened; it
/// answers false to stop.
pub fn run(
    world: &mut World,
    duration: Option<Duration>,
    mut turn: impl FnMut(&World, Vec<Report>) -> bool,
) -> Ending {
    let ending = until_end(world, duration, &mut turn);
    world.stop();
    let reports = world.take_reports();
    turn(world, reports);
    ending
}

/// As [`run`], but leaves guests that did not end as they are, to be looked at.
pub fn until_end(
    world: &mut World,
    duration: Option<Duration>,
    turn: impl FnMut(&World, Vec<Report>) -> bool,
) -> Ending {
    drive(world, duration, Patience::default(), turn)
}

fn drive(
    world: &mut World,
    duration: Option<Duration>,
    mut patience: Patience,
    mut turn: impl FnMut(&World, Vec<Report>) -> bool,
) -> Ending {
    let end = duration.map(|duration| Instant::START + duration);
    let mut now = world.now();
    let ending = loop {
        let more = world.poll(now);
        let reports = world.take_reports();
        if !turn(world, reports) {
            break Ending::Interrupted;
        }
        if more {
            if patience.is_over() {
                break Ending::Livelock(now);
            }
            continue;
        }
        patience.restore();
        if world.is_over() {
            break Ending::Over;
        }
        match world.poll_at() {
            None => break Ending::Stalled,
            Some(at) if world.has_stalled(at) => break Ending::Stalled,
            Some(at) if end.is_some_and(|end| at > end) => break Ending::Duration,
            Some(at) => now = at,
        }
    };
    if ending == Ending::Duration {
        // The clock goes on to the end, though nothing happens there.
        world.poll(end.unwrap_or(now));
    }
    ending
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guest::{Engine, EngineSettings};
    use crate::scenario::assets::Assets;
    use crate::scenario::parse;
    use crate::world::Settings;

    /// Two switches joined by two links: scenarios may not have it, as a broadcast goes round for ever.
    #[test]
    fn rounds_without_end_at_one_instant_are_a_livelock() {
        let text = "[switch.one]\nsnooping = false\n[switch.two]\nsnooping = false\n\
                    [link.trunk]\nends = ['one', 'two']\n[guest.a]\nmodule = 'a.wat'\nnetwork = 'one'\n\
                    [[at]]\ntime = '0s'\ninject = { port = 'one.0', frame = 'ffffffffffff 020000000009 0806 00010800060400010200000000090a0000090000000000000a000063' }\n";
        let mut plan =
            parse(text, std::path::Path::new("lab.toml")).unwrap_or_else(|e| panic!("{}", e.plain()));
        let mut assets = Assets::default();
        assets.insert(
            "a.wat".into(),
            b"(module (memory (export \"memory\") 1) (func (export \"_start\")))".to_vec(),
        );
        let engine = Engine::new(EngineSettings::default()).unwrap();
        let ending = |plan: &crate::scenario::plan::Plan| {
            let mut world = World::new(plan, &assets, Settings::sim(plan, 1), &engine, &mut |_| ());
            let few = Patience(Patience::ROUNDS_MAX - 1000);
            let ending = drive(&mut world, None, few, |_, _| true);
            (ending, world.now())
        };
        assert_eq!(ending(&plan).0, Ending::Over);
        let mut second = plan.links.iter().find(|link| link.name == "trunk").unwrap().clone();
        for (end, switch) in second.ends.iter_mut().zip(&mut plan.switches) {
            end.index = switch.ports;
            switch.ports += 1;
        }
        plan.links.push(second);
        let (ending, at) = ending(&plan);
        assert_eq!(ending, Ending::Livelock(at));
    }

    #[test]
    fn patience_is_long_and_comes_back() {
        let mut patience = Patience::default();
        let rounds = |patience: &mut Patience| (1_u64..).find(|_| patience.is_over());
        assert_eq!(rounds(&mut patience), Some(Patience::ROUNDS_MAX + 1));
        patience.restore();
        assert_eq!(rounds(&mut patience), Some(Patience::ROUNDS_MAX + 1));
    }
}
