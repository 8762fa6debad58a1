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
    let mended = text.lines().filter(|line| !line.contains("drop")).collect::<Vec<_>>().join("\n");
    if let Ok(plan) = guestnet::scenario::load_text(&mended, path()) {
        let report = whole.run_variant(&plan, seed);
        assert_eq!(report.guest("client").exit, Exit::Code(0), "{report}\n{mended}");
    }
}
