//! The knobs of links: as parameters, and what is said of those that contradict.

use std::path::Path;

use super::parse;
use super::show::parameters;
use crate::network::link::{LinkParameters, Rate};

/// The two directions of the link that these keys describe.
fn directions(keys: &str) -> [LinkParameters; 2] {
    let lab = format!(
        "[switch.s]\n[guest.a]\nmodule = 'a'\n[guest.b]\nmodule = 'b'\naddresses = '10.0.0.9/24'\n\
         [link.l]\nends = ['s', 'b']\n{keys}"
    );
    let plan = parse(&lab).unwrap_or_else(|mistakes| panic!("{keys}\n{mistakes}"));
    plan.links.iter().find(|link| link.name == "l").expect("it is there").directions.clone()
}

fn forward(keys: &str) -> String {
    parameters(&directions(keys)[0])
}

/// The mistakes in these keys of a guest's `link`, which stands in line 3.
fn mistakes(keys: &str) -> String {
    let lab = format!("[guest.a]\nmodule = 'a'\nlink = {{ {keys} }}");
    parse(&lab).expect_err(keys).replace("labs/lab.toml:", "")
}

#[test]
fn keys_of_the_line() {
    insta::assert_snapshot!(forward("up = false\nmtu = 1280"), @"up false, mtu Some(1280)");
    insta::assert_snapshot!(forward("delay = '10ms'\njitter = '5ms'\ndistribution = 'normal'\ncorrelation = '25%'\nin_order = true"), @"delay 10ms, jitter Jitter { deviation: 5ms, distribution: Normal, correlation: 0.25, in_order: true }");
    insta::assert_snapshot!(forward("rate = '1Mbit'"), @"rate BytesPerSecond(125000)");
    insta::assert_snapshot!(forward("rate = { limit = '1Mbit', overhead = -14, cell = 48, cell_overhead = 5 }"), @"rate BytesPerSecond(125000), framing Framing { overhead_bytes: -14, cell_bytes: 48, cell_overhead_bytes: 5 }");
    insta::assert_snapshot!(forward("duplicate = '1%'\ncorrupt = { probability = 0.5, correlation = '10%' }"), @"duplicate Chance { probability: 0.01, correlation: 0.0 }, corrupt Chance { probability: 0.5, correlation: 0.1 }");
    insta::assert_snapshot!(forward("delay = '1ms'\nreorder = '25%'"), @"delay 1ms, reorder Reorder { chance: Chance { probability: 0.25, correlation: 0.0 }, gap: 1 }");
    insta::assert_snapshot!(forward("delay = '1ms'\nreorder = { gap = 5 }"), @"delay 1ms, reorder Reorder { chance: Chance { probability: 1.0, correlation: 0.0 }, gap: 5 }");
    insta::assert_snapshot!(forward("delay = '1ms'\nreorder = { probability = '25%', correlation = '50%', gap = 5 }"), @"delay 1ms, reorder Reorder { chance: Chance { probability: 0.25, correlation: 0.5 }, gap: 5 }");
    insta::assert_snapshot!(forward("drop = [7, 3]\ndelayed = [{ frame = 5, by = '20ms' }]\nduplicated = 9"), @"script Script { drop: [3, 7], delayed: [(5, 20ms)], duplicated: [9] }");
}

#[test]
fn keys_of_the_queue() {
    insta::assert_snapshot!(forward("queue = 50"), @"queue QueueLimits { frames_max: 50, bytes_max: None }");
    insta::assert_snapshot!(forward("queue = { packets = 10, bytes = '64KiB' }"), @"queue QueueLimits { frames_max: 10, bytes_max: Some(65536) }");
    insta::assert_snapshot!(forward("queue = { bytes = 3000 }"), @"queue QueueLimits { frames_max: 18446744073709551615, bytes_max: Some(3000) }");
    insta::assert_snapshot!(forward("queue = { discipline = 'codel' }"), @"discipline CoDel(CoDelParameters { target: 5ms, interval: 100ms, ecn: false })");
    insta::assert_snapshot!(forward("queue = { discipline = 'codel', target = '1ms', interval = '20ms', ecn = true }"), @"discipline CoDel(CoDelParameters { target: 1ms, interval: 20ms, ecn: true })");
    insta::assert_snapshot!(forward("queue = { discipline = 'red' }"), @"discipline Red(RedParameters { min: 5, max: 15, unit: Frames, probability: 0.02, weight: 0.002, ecn: false })");
    insta::assert_snapshot!(forward("queue = { discipline = 'red', min = '15KiB', max = '45KiB', probability = '10%', weight = 0.01, ecn = true }"), @"discipline Red(RedParameters { min: 15360, max: 46080, unit: Bytes, probability: 0.1, weight: 0.01, ecn: true })");
}

#[test]
fn keys_of_loss() {
    insta::assert_snapshot!(forward("loss = '1%'"), @"loss Random(Chance { probability: 0.01, correlation: 0.0 })");
    insta::assert_snapshot!(forward("loss = { probability = '1%', correlation = '25%', ecn = true }"), @"loss Random(Chance { probability: 0.01, correlation: 0.25 }), loss_marks true");
    insta::assert_snapshot!(forward("loss = { model = 'gilbert-elliott', p = '10%' }"), @"loss GilbertElliott(GilbertElliott { p: 0.1, r: 0.9, loss_bad: 1.0, loss_good: 0.0 })");
    insta::assert_snapshot!(forward("loss = { model = 'gilbert-elliott', p = '1%', r = '10%', 1-h = '70%', 1-k = '0.1%' }"), @"loss GilbertElliott(GilbertElliott { p: 0.01, r: 0.1, loss_bad: 0.7, loss_good: 0.001 })");
    insta::assert_snapshot!(forward("loss = { model = 'markov', p13 = '25%' }"), @"loss Markov(Markov { p13: 0.25, p31: 0.75, p32: 0.0, p23: 1.0, p14: 0.0 })");
    insta::assert_snapshot!(forward("loss = { model = 'markov', p13 = '1%', p31 = '10%', p32 = '30%', p23 = '40%', p14 = '2%' }"), @"loss Markov(Markov { p13: 0.01, p31: 0.1, p32: 0.3, p23: 0.4, p14: 0.02 })");
    insta::assert_snapshot!(forward("loss = { model = 'every', n = 10 }"), @"loss Every(10)");
    insta::assert_snapshot!(forward("loss = { model = 'burst', probability = '1%', persistence = '80%', cap = 5 }"), @"loss Burst(Burst { probability: 0.01, persistence: 0.8, cap: 5 })");
}

#[test]
fn a_direction_takes_over_what_it_does_not_name() {
    let [forward, backward] = directions(
        "delay = '5ms'\nloss = { model = 'every', n = 3 }\nqueue = { bytes = 9000, discipline = 'codel' }\n\
         forward = { loss = 0, queue = 7 }\nbackward = { delay = '9ms', jitter = '8ms' }",
    );
    insta::assert_snapshot!(parameters(&forward), @"delay 5ms, queue QueueLimits { frames_max: 7, bytes_max: None }");
    insta::assert_snapshot!(parameters(&backward), @"delay 9ms, jitter Jitter { deviation: 8ms, distribution: Uniform, correlation: 0.0, in_order: false }, queue QueueLimits { frames_max: 18446744073709551615, bytes_max: Some(9000) }, discipline CoDel(CoDelParameters { target: 5ms, interval: 100ms, ecn: false }), loss Every(3)");
}

#[test]
fn values_that_cannot_be() {
    insta::assert_snapshot!(mistakes("delay = '-1ms', rate = '0bit', duplicate = '101%', up = 1, mtu = 60"), @r#"
    3:18: delay: `-1ms` is not a duration; a number and one of ns, us, ms, s, min, h, such as "10ms" or "1.5s"
    3:33: rate: `0bit` is less than a byte a second; bits a second: a number and one of bit, kbit, Mbit, Gbit, Tbit, such as "10Mbit"; leave it out for no limit
    3:53: duplicate: `101%` is out of range; a share such as "1%", from "0%" to "100%", or a number from 0 to 1
    3:66: up: an integer where a boolean belongs; write true or false
    3:75: mtu: `60` is out of range; a whole number from 68 to 65521
    "#);
    insta::assert_snapshot!(mistakes("rate = { limit = '0bit' }, corrupt = { probability = 2 }, reorder = { gap = 0 }"), @r#"
    3:27: limit: `0bit` is less than a byte a second; bits a second: a number and one of bit, kbit, Mbit, Gbit, Tbit, such as "10Mbit"; leave it out for no limit
    3:63: probability: `2` is out of range; a share such as "1%", from "0%" to "100%", or a number from 0 to 1
    3:78: reorder: the link has no delay; frames that are not delayed cannot be overtaken: add `delay = "10ms"`
    3:86: gap: `0` is out of range; a whole number from 1 to 4294967295
    "#);
    insta::assert_snapshot!(mistakes("delay = '1ms', jitter = '1ms', distribution = 'gauss', correlation = 1.5, in_order = 'yes'"), @r#"
    3:56: distribution: `gauss` is not a distribution; "uniform", "normal", "pareto", "paretonormal"
    3:79: correlation: `1.5` is out of range; a share such as "1%", from "0%" to "100%", or a number from 0 to 1
    3:95: in_order: a string where a boolean belongs; write true or false
    "#);
    insta::assert_snapshot!(mistakes("drop = [0], delayed = [{ frame = 1 }, { by = '1ms', frame = 2, late = 1 }], duplicated = 'all'"), @r#"
    3:18: drop: `0` is out of range; a whole number from 1 on
    3:33: an entry of `delayed` has no `by`; an entry is `{ frame = 5, by = "20ms" }`
    3:73: unknown key `late` in an entry of `delayed`; known here: frame, by
    3:99: duplicated: a string where an integer belongs; a whole number from 1 on
    "#);
    insta::assert_snapshot!(mistakes("loss = { model = 'gilbert' }, queue = { discipline = 'fq' }"), @r#"
    3:27: model: `gilbert` is not a model of loss; "random", "gilbert-elliott", "markov", "every", "burst"
    3:63: discipline: `fq` is not a discipline; "drop-tail", "codel", "red"
    "#);
    insta::assert_snapshot!(mistakes("loss = [], queue = 'long', rate = 5, duplicate = true, reorder = 'much'"), @r#"
    3:17: loss: a list where a share belongs; a share such as "1%", from "0%" to "100%", or a number from 0 to 1
    3:29: queue: a string where an integer belongs; a whole number from 0 to 1000000
    3:44: rate: an integer where a rate in quotes belongs; bits a second: a number and one of bit, kbit, Mbit, Gbit, Tbit, such as "10Mbit"; leave it out for no limit
    3:59: duplicate: a boolean where a share belongs; a share such as "1%", from "0%" to "100%", or a number from 0 to 1
    3:75: reorder: `much` is not a share; a share such as "1%", from "0%" to "100%", or a number from 0 to 1
    "#);
}

#[test]
fn keys_that_contradict() {
    insta::assert_snapshot!(mistakes("delay = '1ms', jitter = '2ms'"), @"3:34: jitter: 2ms is more than the delay, 1ms; a frame cannot arrive before it was sent: add to `delay`");
    insta::assert_snapshot!(mistakes("delay = '3ms', jitter = '2ms', backward = { delay = '1ms' }"), @"3:34: jitter: 2ms is more than the delay, 1ms; a frame cannot arrive before it was sent: add to `delay`");
    insta::assert_snapshot!(mistakes("delay = '1ms', distribution = 'normal', correlation = '5%'"), @r#"
    3:40: distribution: the link has no jitter; it is the jitter's: add `jitter = "5ms"`
    3:64: correlation: the link has no jitter; it is the jitter's: add `jitter = "5ms"`
    "#);
    insta::assert_snapshot!(mistakes("reorder = '25%'"), @r#"3:20: reorder: the link has no delay; frames that are not delayed cannot be overtaken: add `delay = "10ms"`"#);
    insta::assert_snapshot!(mistakes("rate = { limit = '1Mbit', trace = 'x' }"), @r#"3:17: rate: both a limit and a trace; `limit = "10Mbit"`, or `trace = "FILE"` in Mahimahi's format"#);
    insta::assert_snapshot!(mistakes("rate = { overhead = 5 }"), @r#"3:17: rate: neither a limit nor a trace; `limit = "10Mbit"`, or `trace = "FILE"` in Mahimahi's format"#);
    insta::assert_snapshot!(mistakes("rate = { limit = '1Mbit', cell_overhead = 5 }"), @"3:52: cell_overhead: frames are not cut into cells; it is added to each cell: add `cell = 48`");
    insta::assert_snapshot!(mistakes("rate = { limit = '1Mbit', cell = 5, cell_overhead = -5 }"), @"3:62: cell_overhead: leaves nothing of a cell; more than minus `cell`");
    insta::assert_snapshot!(mistakes("drop = [3, 7, 3], delayed = [{ frame = 7, by = '1ms' }], duplicated = [8, 3]"), @r"
    3:24: drop: frame 3 stands there twice; once is enough
    3:49: delayed: frame 7 is dropped; a frame that `drop` lists does not arrive: keep one of them
    3:84: duplicated: frame 3 is dropped; a frame that `drop` lists does not arrive: keep one of them
    ");
}

#[test]
fn models_that_contradict() {
    insta::assert_snapshot!(mistakes("loss = { probability = '1%', p13 = '5%', n = 3 }"), @r#"
    3:45: loss: `p13` is a key of the model "markov", and this is "random"; there is one model: write `model = "markov"`, or leave the key out
    3:55: loss: `n` is a key of the model "every", and this is "random"; there is one model: write `model = "every"`, or leave the key out
    "#);
    insta::assert_snapshot!(mistakes("loss = { model = 'markov', p13 = '60%', p14 = '60%', p31 = '70%', p32 = '40%' }"), @r"
    3:17: loss: p13 and p14 are more than 100% together; both lead out of one state; without p31 it is what p13 leaves of 100%
    3:17: loss: p31 and p32 are more than 100% together; both lead out of one state; without p31 it is what p13 leaves of 100%
    ");
    insta::assert_snapshot!(mistakes("loss = { model = 'markov' }, forward = { loss = { model = 'every' } }, backward = { loss = { model = 'burst', odds = 1 } }"), @r#"
    3:17: `loss` has no `p13`; the probability that a burst of losses begins
    3:58: `loss` has no `n`; to lose every tenth frame, `n = 10`
    3:101: `loss` has no `probability`; that a burst begins, such as "1%"
    3:101: `loss` has no `cap`; the longest burst in frames, such as `cap = 5`
    3:120: unknown key `odds` in `loss`; known here: model, probability, persistence, cap, ecn
    "#);
    insta::assert_snapshot!(mistakes("queue = { discipline = 'red', min = 15, max = 5 }"), @"3:56: max: 5 is not more than `min`, 15; such as three times `min`");
    insta::assert_snapshot!(mistakes("queue = { discipline = 'red', min = 5, max = '15KiB' }"), @r#"3:55: max: is not in the unit of `min`; both are numbers of packets, or both sizes such as "30KiB""#);
    insta::assert_snapshot!(mistakes("queue = { discipline = 'red', min = 5, weight = 0 }"), @r"
    3:18: `queue` has no `max`; RED's thresholds come together, such as `min = 5, max = 15`
    3:58: weight: an average of weight 0 never moves; such as 0.002
    ");
    insta::assert_snapshot!(mistakes("queue = { discipline = 'red', packets = 10, min = 5, max = 15 }"), @"3:69: max: 15 is more than the queue holds, 10; an average that is never reached: raise the limit");
    insta::assert_snapshot!(mistakes("queue = { discipline = 'codel', target = '100ms', min = 5 }"), @r#"
    3:51: queue: CoDel's target, 100ms, is not less than its interval, 100ms; RFC 8289: the interval is about a round trip, the target 5 to 10 % of it
    3:66: queue: `min` is a key of the discipline "red", and this is "codel"; there is one discipline: write `discipline = "red"`, or leave the key out
    "#);
    insta::assert_snapshot!(mistakes("queue = { ecn = true }"), @r#"3:26: queue: `ecn` is a key of the discipline "codel", and this is "drop-tail"; there is one discipline: write `discipline = "codel"`, or leave the key out"#);
}

/// A lab in a folder of its own, with these traces in it.
fn load(keys: &str, traces: &[(&str, &str)]) -> Result<[LinkParameters; 2], String> {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in traces.iter().chain(&[("a.wasm", "")]) {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let lab = folder.path().join("lab.toml");
    std::fs::write(&lab, format!("[guest.a]\nmodule = 'a.wasm'\nlink = {{ {keys} }}")).unwrap();
    let shown = |path: &Path| format!("{}/", path.display());
    match crate::scenario::load(&lab) {
        Ok(plan) => Ok(plan.links[0].directions.clone()),
        Err(error) => Err(error.plain().replace(&shown(folder.path()), "").replace("lab.toml:", "")),
    }
}

#[test]
fn traces_are_read_with_the_scenario() {
    let keys = "rate = { trace = 'up' }, backward = { rate = { trace = 'down', overhead = 4 } }";
    let directions = load(keys, &[("up", "1\n1\n2\n"), ("down", "10\n")]).unwrap();
    let rates = directions.map(|direction| match direction.rate {
        Rate::Trace(trace) => (trace.bytes_per_second(), direction.framing.overhead_bytes),
        other => panic!("{other:?}"),
    });
    assert_eq!(rates, [(2_250_000, 0), (150_000, 4)]);
}

#[test]
fn a_trace_that_both_directions_follow_is_read_once() {
    let [one, other] = load("rate = { trace = 'both' }", &[("both", "5\n")]).unwrap().map(|d| d.rate);
    let (Rate::Trace(one), Rate::Trace(other)) = (one, other) else { panic!("not traces") };
    assert!(std::sync::Arc::ptr_eq(&one, &other));
}

#[test]
fn traces_that_are_not_there_or_not_traces() {
    let trace = |text| load("rate = { trace = 't' }", &[("t", text)]).unwrap_err();
    insta::assert_snapshot!(trace(""), @"3:27: trace: `t`: has no line; each line is the millisecond of one opportunity to deliver 1500 bytes, ascending; paths are relative to the scenario's folder: looked for t");
    insta::assert_snapshot!(trace("1\n3\n2\n"), @"3:27: trace: `t`: line 3: 2 comes after 3; each line is the millisecond of one opportunity to deliver 1500 bytes, ascending; paths are relative to the scenario's folder: looked for t");
    insta::assert_snapshot!(trace("0\n"), @"3:27: trace: `t`: ends at millisecond 0; each line is the millisecond of one opportunity to deliver 1500 bytes, ascending; paths are relative to the scenario's folder: looked for t");
    insta::assert_snapshot!(trace("1\ntwo\n"), @"3:27: trace: `t`: line 2: `two` is not a millisecond; each line is the millisecond of one opportunity to deliver 1500 bytes, ascending; paths are relative to the scenario's folder: looked for t");
    insta::assert_snapshot!(load("rate = { trace = 'missing' }", &[]).unwrap_err(), @"3:27: trace: `missing`: No such file or directory (os error 2); each line is the millisecond of one opportunity to deliver 1500 bytes, ascending; paths are relative to the scenario's folder: looked for missing");
    insta::assert_snapshot!(load("rate = { trace = '.' }", &[]).unwrap_err(), @"3:27: trace: `.`: is a directory; each line is the millisecond of one opportunity to deliver 1500 bytes, ascending; paths are relative to the scenario's folder: looked for .");
    insta::assert_snapshot!(load("rate = { trace = '' }", &[]).unwrap_err(), @"3:27: trace: is empty; a path, relative to the scenario's folder");
}
