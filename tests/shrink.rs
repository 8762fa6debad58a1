//! A lab that fails with a seed, shrunk to what makes it fail.

mod common;

use std::path::Path;

use common::scenario::cache;
use guestnet::guest::Exit;
use guestnet::lab::Lab;
use guestnet::scenario::plan::Plan;
use guestnet::shrink::{self, ShrinkError, Shrunk};

/// Five guests over lossy links. The client gives up on an answer that is not there within half a second, and TCP sends
/// nothing again before a second is over.
const LAB: &str = r#"# A client that has no patience.
duration = "60s"

[switch.lan]

# Whom nobody asks anything that matters.
[guest.bystander]
module = "target/guests/echo_server.wasm"
args = ["[::]:9", "dgram"]
network = "lan"
background = true

[guest.noise]
module = "target/guests/echo_client.wasm"
args = ["[fd00::2]:9", "dgram", "noise", "20"]
network = "lan"
link = { delay = "3ms", loss = "1%" }

[guest.server]
module = "target/guests/echo_server.wasm"
args = ["0.0.0.0:7", "stream"]
network = "lan"
background = true # Never ends by itself.
link = { loss = "2%", duplicate = "5%" }

[guest.chatter]
module = "target/guests/echo_client.wasm"
args = ["10.0.0.4:7", "stream", "chatter", "10"]
network = "lan"
link = { delay = "1ms" }

# It asks fifty times.
[guest.client]
module = "target/guests/impatient.wasm"
args = ["10.0.0.4:7", "stream", "500", "50"]
network = "lan"
link = { delay = "20ms", jitter = "5ms", loss = "4%", queue = 100 } # A bad line.

[[expect]]
guest = "noise"
exit = 0

[[expect]]
guest = "client"
stdout_has = "50 answers in time"
"#;

fn path() -> &'static Path {
    Path::new("lab.toml")
}

fn lab(text: &str) -> Lab {
    Lab::new(plan(text), guestnet::scenario::assets::Assets::read(&plan(text))).with_cache(cache())
}

fn plan(text: &str) -> Plan {
    guestnet::scenario::load_text(text, path()).unwrap_or_else(|error| panic!("{}\n{text}", error.plain()))
}

/// The first seed with which the client gives up.
fn failing_seed(lab: &Lab) -> u64 {
    let gives_up = |seed: &u64| lab.run(*seed).guest("client").exit == Exit::Code(1);
    (1..100).find(gives_up).expect("one frame in twenty-five is lost")
}

fn shrink(text: &str, seed: u64) -> Result<Shrunk, ShrinkError> {
    shrink::shrink(&lab(text), text, path(), seed, |_| true)
}

#[test]
fn a_lab_is_shrunk_to_two_guests_and_the_frame_that_was_lost() {
    let whole = lab(LAB);
    let seed = failing_seed(&whole);
    let shrunk = shrink(LAB, seed).unwrap();
    assert!(shrunk.complete);
    assert_eq!(shrunk, shrink(LAB, seed).unwrap(), "the same lab and seed");

    let text = shrink::finish(&shrunk.text, seed, None);
    let plan = plan(&text);
    let guests: Vec<_> = plan.guests.iter().map(|guest| guest.name.as_str()).collect();
    assert_eq!(guests, ["server", "client"], "{text}");
    assert_eq!(plan.seed, Some(seed));
    // Nothing is left to chance.
    let mut dropped = 0;
    for direction in plan.links.iter().flat_map(|link| &link.directions) {
        assert_eq!(direction.loss, guestnet::network::link::Loss::Never, "{text}");
        assert!(direction.jitter.is_none() && direction.duplicate.is_never(), "{text}");
        dropped += direction.script.lists().0.len();
    }
    assert!((1..=2).contains(&dropped), "{text}");
    assert!(text.contains("# It asks fifty times."), "{text}");
    assert!(!text.contains("bystander") && !text.contains("matters"), "{text}");

    let report = lab(&text).run(seed);
    assert_eq!(report.guest("client").exit, Exit::Code(1), "{text}");
    let unmet: Vec<_> = report.verdicts.iter().filter(|verdict| !verdict.is_met()).collect();
    let line = text.lines().position(|line| line == "[[expect]]").map(|line| line + 1);
    assert!(unmet.iter().any(|verdict| verdict.line == line), "{report}\n{text}");
    // Without that frame's loss it is answered: the list is what makes it fail.
    let mut mended = plan.clone();
    for direction in mended.links.iter_mut().flat_map(|link| &mut link.directions) {
        direction.script = guestnet::network::link::Script::default();
    }
    let report = whole.run_variant(&mended, seed);
    assert_eq!(report.guest("client").exit, Exit::Code(0), "{report}\n{text}");
}

/// Jitter that makes one answer late becomes the delays of the frames that were.
#[test]
fn jitter_becomes_a_list_of_delayed_frames() {
    let jittery =
        LAB.replace("duplicate", "corrupt").replace("4%", "0%").replace("2%", "0%").replace("5%", "0%");
    // Its tail is long enough for one frame to be late all by itself.
    let jittery =
        jittery.replace("\"5ms\"", "\"20ms\", distribution = \"pareto\"").replace("\"500\"", "\"90\"");
    let seed = failing_seed(&lab(&jittery));
    let shrunk = shrink(&jittery, seed).unwrap();
    let plan = plan(&shrunk.text);
    let directions = || plan.links.iter().flat_map(|link| &link.directions);
    assert!(directions().all(|direction| direction.jitter.is_none()), "{}", shrunk.text);
    let delayed: usize = directions().map(|direction| direction.script.lists().1.len()).sum();
    // Of a hundred frames each way, those of one question and its answer, and those that their numbers hang on.
    assert!((1..=4).contains(&delayed), "{}", shrunk.text);
    assert_eq!(lab(&shrunk.text).run(seed).guest("client").exit, Exit::Code(1), "{}", shrunk.text);
}

/// Seven guests, two networks, and a timeline that is mostly of others; the one entry that matters makes a line lossy for a while.
const EVENTFUL: &str = r#"# A line that becomes bad.
duration = "60s"

[switch.office]
[switch.home]

[router.r]
[router.r.interface.office]
network = "office"
[router.r.interface.home]
network = "home"

[guest.server]
module = "target/guests/echo_server.wasm"
network = "office"
background = true

[guest.replica]
module = "target/guests/echo_client.wasm"
args = ["10.0.0.2:7", "stream", "replica {index}", "30"]
network = "office"
count = 3

[guest.ticker]
module = "target/guests/ticker.wasm"
args = ["10.0.0.2:7", "10", "100"]
network = "home"
link = { delay = "4ms" }

[guest.sleeper]
module = "target/guests/clock.wasm"
args = ["3000"]
network = "home"

# It has no patience.
[guest.client]
module = "target/guests/impatient.wasm"
args = ["10.0.0.2:7", "stream", "500", "100"]
network = "home"

[[at]]
time = "50ms..90ms"
pause = "replica"

[[at]]
time = "150ms"
resume = "replica"

[[at]]
time = "0s"
link = "client:home"
set = { delay = "10ms" }

[[at]]
time = "200ms"
clock = { guest = "sleeper", skew = "1h" }

[[at]]
after = { guest = "ticker", printed = "connected" }
delay = "300ms"
link = "ticker:home"
set = { delay = "9ms", duplicate = "20%" }

# This is what the client does not bear.
[[at]]
after = { at = "client", packet = "tcp.seq > 100" }
link = "client:home"
set = { loss = "3%" }

[[at]]
time = "400ms"
partition = [["sleeper"], ["replica"]]

[[at]]
time = "700ms"
heal = true

[[at]]
every = "200ms"
times = 3
rebind = { guest = "sleeper", addresses = "10.1.0.77/24" }

[[expect]]
guest = "ticker"
stdout_has = "done"

[[expect]]
guest = "client"
stdout_has = "100 answers in time"
"#;

/// Entries of others go, and the one that makes the line lossy becomes a list of what was lost.
#[test]
fn an_eventful_lab_is_shrunk_to_the_frames_that_were_lost() {
    let seed = failing_seed(&lab(EVENTFUL));
    let shrunk = shrink(EVENTFUL, seed).unwrap();
    assert!(shrunk.complete);
    let small = plan(&shrunk.text);
    let guests: Vec<_> = small.guests.iter().map(|guest| guest.name.as_str()).collect();
    assert_eq!(guests, ["server", "client"], "{}", shrunk.text);
    assert_eq!((shrunk.left.entries, small.timeline.len()), (0, 0), "{}", shrunk.text);
    let directions = || small.links.iter().flat_map(|link| &link.directions);
    assert!(directions().all(|direction| direction.loss == guestnet::network::link::Loss::Never));
    let dropped: usize = directions().map(|direction| direction.script.lists().0.len()).sum();
    assert!((1..=2).contains(&dropped), "{}", shrunk.text);

    // It fails in the same way, and with other seeds too: nothing in it is left to chance.
    let text = shrink::finish(&shrunk.text, seed, None);
    for seed in [seed, seed + 1, seed + 2] {
        let report = lab(&text).run(seed);
        assert_eq!(report.guest("client").exit, Exit::Code(1), "seed {seed}\n{text}");
        let unmet: Vec<_> =
            report.verdicts.iter().filter(|it| !it.is_met()).map(|it| it.expected.clone()).collect();
        assert!(unmet.contains(&shrunk.failure[0]), "seed {seed}: {unmet:?}\n{text}");
    }
}

/// Of six replicas that share a lossy line's description, and a timeline that makes it worse for all, one that gives up is left.
#[test]
fn replicas_are_taken_apart_until_one_of_them_is_left() {
    let text = r#"duration = "60s"

[guest.server]
module = "target/guests/echo_server.wasm"
background = true

[guest.client]
module = "target/guests/impatient.wasm"
args = ["10.0.0.2:7", "stream", "300", "20"]
env = { NUMBER = "{index}" }
count = 6
link = { delay = "1ms", loss = "1%" }

[[at]]
time = "20ms"
link = "client:lan"
set = { loss = "2%" }

[[expect]]
guest = "client"
stdout_has = "20 answers in time"
"#;
    let whole = lab(text);
    let gives_up = |report: &guestnet::lab::Report| {
        (0..6).filter(|n| report.guest(&format!("client-{n}")).exit == Exit::Code(1)).collect::<Vec<_>>()
    };
    // Not the first one, so that it is not by its number that one is kept.
    let seed = (1..100).find(|&seed| gives_up(&whole.run(seed)).first() > Some(&1)).unwrap();
    let first = format!("client-{}", gives_up(&whole.run(seed))[0]);
    let shrunk = shrink(text, seed).unwrap();
    let small = plan(&shrunk.text);
    let guests: Vec<_> = small.guests.iter().map(|guest| guest.name.as_str()).collect();
    assert_eq!(guests, ["server", &first], "{}", shrunk.text);
    assert_eq!((shrunk.left.entries, shrunk.left.knobs), (0, 0), "{}", shrunk.text);
    assert!((1..=2).contains(&shrunk.left.frames), "{}", shrunk.text);
    assert!(shrunk.failure[1].starts_with(&format!("`{first}` has the output")), "{:?}", shrunk.failure);
    let report = lab(&shrunk.text).run(seed + 1);
    assert_eq!(report.guest(&first).exit, Exit::Code(1), "{}", shrunk.text);
}

/// What stops it has the smallest so far, which still fails.
#[test]
fn a_search_that_is_stopped_has_what_it_found() {
    let whole = lab(LAB);
    let seed = failing_seed(&whole);
    let all = shrink(LAB, seed).unwrap();
    let mut sizes = Vec::new();
    for runs in [1, 3, all.runs / 2] {
        let shrunk = shrink::shrink(&whole, LAB, path(), seed, |progress| progress.runs < runs).unwrap();
        assert!(!shrunk.complete && shrunk.runs <= runs, "{} runs", shrunk.runs);
        let report = whole.run_variant(&plan(&shrunk.text), seed);
        assert_eq!(report.guest("client").exit, Exit::Code(1), "{}", shrunk.text);
        sizes.push(shrunk.text.len());
    }
    assert!(sizes.is_sorted_by(|a, b| a >= b) && sizes[2] < LAB.len(), "{sizes:?}");
}

#[test]
fn a_seed_that_does_not_fail_is_an_error() {
    let lossless = LAB.replace("loss", "corrupt").replace("4%", "0%").replace("2%", "0%").replace("1%", "0%");
    let error = shrink(&lossless, 3).unwrap_err();
    assert_eq!(error.to_string(), "seed 3 does not fail: every expectation is met");
}

/// The program: exit codes, the head of what it writes, and paths in another folder.
#[test]
fn the_program_writes_a_scenario_that_fails_like_the_one_it_was_given() {
    let folder = tempfile::tempdir().unwrap();
    let modules = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/guests");
    std::os::unix::fs::symlink(&modules, folder.path().join("guests")).unwrap();
    let input = folder.path().join("lab.toml");
    std::fs::write(&input, LAB.replace("target/guests", "guests")).unwrap();
    let output = folder.path().join("out/small.toml");
    std::fs::create_dir(output.parent().unwrap()).unwrap();
    let seed = failing_seed(&lab(LAB)).to_string();
    let guestnet = |arguments: &[&str]| {
        std::process::Command::new(env!("CARGO_BIN_EXE_guestnet")).args(arguments).output().unwrap()
    };
    let (input, output) = (input.to_str().unwrap(), output.to_str().unwrap());

    let shrunk = guestnet(&["shrink", input, "--seed", &seed, "-o", output]);
    let told = String::from_utf8_lossy(&shrunk.stderr);
    assert_eq!(shrunk.status.code(), Some(0), "{told}");
    assert!(told.contains("2 guests, 0 timeline entries, 0 knobs, 1 listed frame"), "{told}");
    let text = std::fs::read_to_string(output).unwrap();
    assert!(
        text.starts_with(&format!("# Shrunk from lab.toml, seed {seed}, by `guestnet shrink`.")),
        "{text}"
    );
    assert!(text.contains("module = \"../guests/impatient.wasm\""), "{text}");

    let captures = folder.path().join("captures");
    let tested = guestnet(&["test", output, "--captures", captures.to_str().unwrap()]);
    let told = String::from_utf8_lossy(&tested.stdout);
    assert_eq!(tested.status.code(), Some(1), "{told}");
    assert!(told.contains("50 answers in time"), "{told}");

    let lossless = folder.path().join("well.toml");
    std::fs::write(&lossless, "[guest.g]\nmodule = 'guests/exit.wasm'\nargs = ['0']\n").unwrap();
    let refused = guestnet(&["shrink", lossless.to_str().unwrap(), "--seed", "3"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("seed 3 does not fail"), "{refused:?}");
}
