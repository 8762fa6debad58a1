//! What holds of every link, whatever its knobs and its load.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;

fn chance() -> impl Strategy<Value = Chance> {
    prop_oneof![
        2 => Just(Chance::NEVER),
        1 => (0.0..=1.0, 0.0..=1.0).prop_map(|(probability, correlation)| Chance { probability, correlation }),
    ]
}

fn loss() -> impl Strategy<Value = Loss> {
    let half = 0.0..=0.5;
    prop_oneof![
        3 => Just(Loss::Never),
        1 => chance().prop_map(Loss::Random),
        1 => [0.0..=1.0, 0.0..=1.0, 0.0..=1.0, 0.0..=1.0].prop_map(|[p, r, loss_bad, loss_good]| {
            Loss::GilbertElliott(GilbertElliott { p, r, loss_bad, loss_good })
        }),
        1 => [half.clone(), half.clone(), half.clone(), half.clone(), half]
            .prop_map(|[p13, p31, p32, p23, p14]| Loss::Markov(Markov { p13, p31, p32, p23, p14 })),
        1 => (1u64..9).prop_map(Loss::Every),
        1 => (0.0..=1.0, 0.0..=1.0, 1u64..5)
            .prop_map(|(probability, persistence, cap)| Loss::Burst(Burst { probability, persistence, cap })),
    ]
}

fn any_rate() -> impl Strategy<Value = Rate> {
    prop_oneof![
        Just(Rate::Unlimited),
        (1000u64..10_000_000).prop_map(Rate::BytesPerSecond),
        prop::collection::vec(0u64..20, 1..10).prop_map(|mut ms| {
            ms.sort_unstable();
            ms.push(20);
            let text: String = ms.iter().map(|ms| format!("{ms}\n")).collect();
            Rate::Trace(Arc::new(Trace::parse(text.as_bytes()).unwrap()))
        }),
    ]
}

/// Without CoDel, whose queue cannot be foreseen.
fn foreseeable() -> impl Strategy<Value = Discipline> {
    prop_oneof![
        Just(Discipline::DropTail),
        (0u64..5, 5u64..20, 0.0..=1.0, 0.0..=1.0).prop_map(|(min, max, probability, weight)| {
            let red = RedParameters { min, max, probability, weight, ..Default::default() };
            Discipline::Red(red)
        }),
    ]
}

fn discipline() -> impl Strategy<Value = Discipline> {
    let codel = (1u64..20, 1u64..50).prop_map(|(target, interval)| {
        let [target, interval] = [target, interval].map(Duration::from_millis);
        Discipline::CoDel(CoDelParameters { target, interval, ecn: false })
    });
    prop_oneof![foreseeable(), codel]
}

fn jitter() -> impl Strategy<Value = Jitter> {
    let distribution = prop::sample::select(vec![
        Distribution::Uniform,
        Distribution::Normal,
        Distribution::Pareto,
        Distribution::ParetoNormal,
    ]);
    (prop_oneof![Just(0), 1u64..20_000], distribution, 0.0..=1.0, any::<bool>()).prop_map(
        |(us, distribution, correlation, in_order)| Jitter {
            deviation: Duration::from_micros(us),
            distribution,
            correlation,
            in_order,
        },
    )
}

fn parameters(discipline: impl Strategy<Value = Discipline>) -> impl Strategy<Value = LinkParameters> {
    let queue = (0usize..20, prop::option::of(0u64..20_000))
        .prop_map(|(frames_max, bytes_max)| QueueLimits { frames_max, bytes_max });
    let script = (
        prop::collection::vec(1u64..50, 0..4),
        prop::collection::vec((1u64..50, (0u64..30).prop_map(Duration::from_millis)), 0..4),
        prop::collection::vec(1u64..50, 0..4),
    )
        .prop_map(|(drop, delayed, duplicated)| Script::new(drop, delayed, duplicated));
    let reorder = (chance(), 0u64..4).prop_map(|(chance, gap)| Reorder { chance, gap });
    let medium = (loss(), chance(), chance(), reorder, script);
    let line = (0u64..20_000, jitter(), any_rate(), queue, discipline, -20i32..40, 0u32..60);
    (medium, line, prop::option::of(100usize..1500)).prop_map(
        |((loss, duplicate, corrupt, reorder, script), line, mtu)| {
            let (delay_us, jitter, rate, queue, discipline, overhead_bytes, cell_bytes) = line;
            LinkParameters {
                mtu,
                delay: Duration::from_micros(delay_us),
                jitter,
                rate,
                framing: Framing { overhead_bytes, cell_bytes, cell_overhead_bytes: 5 },
                queue,
                discipline,
                loss,
                duplicate,
                corrupt,
                reorder,
                script,
                ..Default::default()
            }
        },
    )
}

/// Frames with times that never go back.
fn load() -> impl Strategy<Value = Vec<(Instant, Frame)>> {
    prop::collection::vec((0u64..3000, 14usize..1600), 0..100).prop_map(|gaps| {
        let mut us = 0;
        let mut offer = |(gap, bytes)| {
            us += gap / 3 * (gap % 3);
            (at_us(us), frame(bytes))
        };
        gaps.into_iter().map(&mut offer).collect()
    })
}

proptest! {
    /// Every frame arrives or is dropped, once; if it was duplicated, twice.
    #[test]
    fn nothing_is_lost_without_a_word(parameters in parameters(discipline()), load in load(), holds: bool) {
        let mut link = direction(parameters.clone());
        if holds {
            link.hold_queue();
        }
        let result = run(&mut link, load.clone());
        let mut fates = vec![0; load.len()];
        for number in result.order().into_iter().chain(result.dropped()) {
            fates[number as usize - 1] += 1;
        }
        let duplicates = !parameters.duplicate.is_never();
        for (number, fates) in (1..).zip(fates) {
            let most = 1 + usize::from(duplicates || parameters.script.duplicates(number));
            prop_assert!((1..=most).contains(&fates), "frame {number}: {fates}");
        }
        for &(at, number) in &result.delivered {
            prop_assert!(at >= load[number as usize - 1].0, "frame {number} arrived before it was sent");
        }
        prop_assert_eq!(link.poll_at(), None);
    }

    /// Order is kept unless something was asked for that breaks it.
    #[test]
    fn nothing_overtakes_unasked(parameters in parameters(discipline()), load in load()) {
        let jitter = Jitter { in_order: true, ..parameters.jitter };
        let plain = LinkParameters { reorder: Reorder::default(), script: Script::default(), jitter, ..parameters };
        prop_assert!(run(&mut direction(plain.clone()), load.clone()).order().is_sorted());
        let steady = LinkParameters { jitter: Jitter::default(), ..plain };
        prop_assert!(run(&mut direction(steady), load).order().is_sorted());
    }

    /// Foreseen or not, frames fare the same.
    #[test]
    fn holding_the_queue_changes_nothing(parameters in parameters(foreseeable()), load in load()) {
        let mut foreseen = run(&mut direction(parameters.clone()), load.clone());
        let mut link = direction(parameters);
        link.hold_queue();
        let mut held = run(&mut link, load);
        foreseen.delivered.sort();
        held.delivered.sort();
        prop_assert_eq!(foreseen.delivered, held.delivered);
        prop_assert_eq!(foreseen.dropped, held.dropped);
    }

    /// The same seed, the same fate; late polls change no arrival.
    #[test]
    fn late_polls_change_nothing(parameters in parameters(discipline()), load in load()) {
        let prompt = run(&mut direction(parameters.clone()), load.clone());
        let (mut late, mut out) = (Run::default(), Vec::new());
        let mut link = direction(parameters);
        for (number, (now, frame)) in (1..).zip(load) {
            let frame = Frame { id: PacketId(number), ..frame };
            let verdict = link.offer(now, &frame, &mut out);
            late.take(now, &mut out);
            match verdict {
                Verdict::Deliver(at) => late.delivered.push((at, number)),
                Verdict::Drop(reason) => late.dropped.push((now, number, reason)),
                Verdict::Taken => {}
            }
        }
        link.poll(Instant::FAR_FUTURE, &mut out);
        late.take(Instant::FAR_FUTURE, &mut out);
        prop_assert_eq!(prompt.arrivals(), late.arrivals());
    }

    #[test]
    fn any_bytes_are_a_trace_or_an_error(text in prop::collection::vec(prop::sample::select(b"0123456789\n\r-\xff ".to_vec()), 0..60)) {
        let trace = Trace::parse(&text);
        prop_assert!(trace.is_err() || trace.unwrap().bytes_per_second() < u64::MAX);
    }
}
