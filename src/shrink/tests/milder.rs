//! Knobs that are turned down, and times in round figures.

use std::path::Path;
use std::time::Duration;

use crate::scenario::parse;
use crate::scenario::plan::When;
use crate::shrink::script::Script;
use crate::shrink::{knobs, milder, times};
use crate::time::Instant;

const GUESTS: &str =
    "[switch.lan]\n[guest.b]\nmodule = 'b'\nnetwork = 'lan'\n[guest.a]\nmodule = 'a'\nnetwork = 'lan'\n";

fn lab(link: &str) -> Script {
    Script::parse(&format!("duration = '60s'\n{GUESTS}link = {{ {link} }}\n")).unwrap()
}

/// Each way in which the first knob of a link becomes milder, as far as it is a scenario.
fn ways(link: &str) -> String {
    let script = lab(link);
    let knob = knobs::knobs(&script).remove(0);
    let scripts = milder::milder(&script, &knob).into_iter();
    let valid = scripts.map(|script| script.text()).filter(|text| parse(text, Path::new("lab.toml")).is_ok());
    let link =
        |text: String| text.lines().last().unwrap_or_default().trim_start_matches("link = ").to_owned();
    valid.map(link).collect::<Vec<_>>().join("\n")
}

#[test]
fn each_knob_has_ways_to_be_milder() {
    let links = [
        "loss = '5%'",
        "loss = 0.011",
        "loss = { probability = '1%', correlation = '25%' }",
        "loss = { model = 'gilbert-elliott', p = '1%', r = '25%' }",
        "loss = { model = 'burst', probability = '20%', cap = 1 }",
        "loss = { model = 'every', n = 100 }",
        "loss = { model = 'markov', p13 = '1%' }",
        "duplicate = '0.1%'",
        "corrupt = '0.001%'",
        "reorder = { gap = 5 }, delay = '1ms'",
        "rate = '1.5Mbit'",
        "rate = { limit = '10Mbit', overhead = 24 }",
        "queue = 50",
        "queue = { packets = 50, discipline = 'codel', target = '1ms' }",
        "queue = { bytes = '64KiB' }",
        "mtu = 576",
        "mtu = 1499",
        "mtu = 1500",
        "mtu = 9000",
        "up = false",
    ];
    let told: Vec<_> = links.iter().map(|link| format!("{link}\n{}", ways(link))).collect();
    insta::assert_snapshot!(told.join("\n\n"), @r#"
    loss = '5%'
    { loss = "2.5%" }

    loss = 0.011
    { loss = "0.55%" }

    loss = { probability = '1%', correlation = '25%' }
    { loss = '1%' }
    { loss = { probability = '1%' } }
    { loss = { probability = "0.5%", correlation = '25%' } }

    loss = { model = 'gilbert-elliott', p = '1%', r = '25%' }
    { loss = { model = 'gilbert-elliott', p = '1%' } }
    { loss = { model = 'gilbert-elliott', p = "0.5%", r = '25%' } }

    loss = { model = 'burst', probability = '20%', cap = 1 }
    { loss = { model = 'burst', probability = "10%", cap = 1 } }

    loss = { model = 'every', n = 100 }
    { loss = { model = 'every', n = 200 } }

    loss = { model = 'markov', p13 = '1%' }
    { loss = { model = 'markov', p13 = "0.5%" } }

    duplicate = '0.1%'
    { duplicate = "0.05%" }

    corrupt = '0.001%'


    reorder = { gap = 5 }, delay = '1ms'
    { reorder = { gap = 10 }, delay = '1ms' }

    rate = '1.5Mbit'
    { rate = "3Mbit" }

    rate = { limit = '10Mbit', overhead = 24 }
    { rate = '10Mbit' }
    { rate = { limit = '10Mbit' } }
    { rate = { limit = "20Mbit", overhead = 24 } }

    queue = 50
    { queue = 100 }

    queue = { packets = 50, discipline = 'codel', target = '1ms' }
    { queue = 50 }
    { queue = { discipline = 'codel', target = '1ms' } }
    { queue = { packets = 50, discipline = 'codel' } }
    { queue = { packets = 100, discipline = 'codel', target = '1ms' } }

    queue = { bytes = '64KiB' }
    { queue = { bytes = "128KiB" } }

    mtu = 576
    { mtu = 1500 }
    { mtu = 1038 }

    mtu = 1499
    { mtu = 1500 }

    mtu = 1500


    mtu = 9000


    up = false
    "#);
}

#[test]
fn jitter_becomes_a_delay_that_is_longer() {
    let script = lab("delay = '5ms', jitter = '2ms', distribution = 'normal', loss = '1%'");
    let jitter = knobs::knobs(&script).into_iter().find(|knob| knob.key == "jitter").unwrap();
    let links: Vec<_> = milder::steady(&script, &jitter)
        .iter()
        .map(|script| script.text().lines().last().map(str::to_owned))
        .collect();
    let link = |ms| Some(format!("link = {{ delay = \"{ms}ms\", loss = '1%' }}"));
    assert_eq!(links, [link(7), link(13)]);
}

#[test]
fn durations_are_rounded_to_fewer_digits() {
    let rounded = |nanos| {
        times::rounded(Duration::from_nanos(nanos)).iter().map(Duration::as_nanos).collect::<Vec<_>>()
    };
    assert_eq!(rounded(1_234_567), [1_000_000, 1_200_000, 1_230_000]);
    assert_eq!(rounded(9_960), [10_000]);
    assert_eq!(rounded(500), []);
    assert_eq!(rounded(17), [20]);
    assert_eq!(rounded(0), []);
    let script = lab("delayed = [{ frame = 5, by = '1234567ns' }, { frame = 9, by = '2ms' }]");
    let text = |digits| times::with_round_lists(&script, digits).unwrap().text();
    // Never sooner.
    assert!(text(1).contains("{ frame = 5, by = \"2ms\" }, { frame = 9, by = '2ms' }"), "{}", text(1));
    assert!(text(2).contains("by = \"1300us\""), "{}", text(2));
    assert!(times::with_round_lists(&lab("delayed = [{ frame = 5, by = '1s' }]"), 1).is_none());
}

/// Ranges, repetitions, and what waits for an event.
const TIMELINE: &str = r#"
[[at]]
time = "100ms..200ms" # Once.
pause = "a"

[[at]]
every = "300ms..400ms"
until = "1s"
down = "a:lan"

[[at]]
time = "1s"
every = "1s"
times = 2
heal = true

[[at]]
after = { guest = "a", started = true }
delay = "1s..2s"
resume = "a"

[[at]]
after = { guest = "a", started = true }
every = "1s..2s"
times = 2
up = "a:lan"

# Never.
[[at]]
time = "30s"
heal = true
"#;

#[test]
fn what_a_seed_draws_for_the_timeline_is_written_down() {
    let text = format!("duration = '60s'\n{GUESTS}{TIMELINE}");
    let plan = parse(&text, Path::new("lab.toml")).unwrap();
    let script = Script::parse(&text).unwrap();
    let end = Instant::START + Duration::from_secs(10);
    let drawn = times::drawn(&script, &plan, 7, end).unwrap();
    let after =
        parse(&drawn.text(), Path::new("lab.toml")).unwrap_or_else(|error| panic!("{}", error.plain()));
    assert!(after.timeline.iter().all(|entry| match entry.when {
        When::Time(span) => span.least == span.most && entry.every.is_none(),
        _ => entry.delay.least == entry.delay.most,
    }));
    insta::assert_snapshot!(&drawn.text()[drawn.text().find("[[at]]").unwrap()..], @r#"
    [[at]]
    time = "139139795ns" # Once.
    pause = "a"

    [[at]]
    time = "392990005ns"
    down = "a:lan"

    [[at]]
    time = "763926912ns"
    down = "a:lan"

    [[at]]
    time = "1s"
    heal = true

    [[at]]
    time = "2s"
    heal = true

    [[at]]
    after = { guest = "a", started = true }
    delay = "1964048340ns"
    resume = "a"

    [[at]]
    after = { guest = "a", started = true }
    every = "1s..2s"
    times = 2
    up = "a:lan"

    # Never.
    [[at]]
    time = "30s"
    heal = true
    "#);
    assert!(times::drawn(&drawn, &after, 7, end).is_none(), "nothing more is drawn");
    // A seed draws what it draws.
    assert_ne!(times::drawn(&script, &plan, 8, end).unwrap().text(), drawn.text());
}
