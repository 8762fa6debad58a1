//! The guest ABI: a guest that calls whatever function with whatever arguments the input says (`abi_edge.wat` tells
//! how), beside an echo server of the same kind. Nothing panics, and every answer is an errno.
#![no_main]

use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::Duration;

use guestnet::guest::{Engine, EngineSettings, Exit};
use guestnet::scenario::assets::Assets;
use guestnet::scenario::plan::{Plan, StdinPlan};
use guestnet::sim;
use guestnet::world::{Report, Settings, World};
use libfuzzer_sys::fuzz_target;

const LAB: &str = r#"
[guest.fuzz]
module = "abi_edge.wat"
memory = "1MiB"
fuel = 2_000_000
descriptors = 16
linger = "0s"

[[guest.fuzz.listen]]
bind = "0.0.0.0:7"
"#;
const GUEST: &[u8] = include_bytes!("../../tests/guests/wat/abi_edge.wat");

static ENGINE: LazyLock<Engine> =
    LazyLock::new(|| Engine::new(EngineSettings::default()).expect("an engine"));

fn plan() -> Plan {
    guestnet::scenario::parse(LAB, Path::new("fuzz.toml")).expect("the lab is right")
}

fuzz_target!(|data: &[u8]| {
    let mut plan = plan();
    let mut assets = Assets::default();
    assets.insert(plan.guests[0].module.clone(), GUEST.to_vec());
    assets.insert(PathBuf::from("input"), data.to_vec());
    plan.guests[0].stdin = StdinPlan::File(PathBuf::from("input"));
    let mut world = World::new(&plan, &assets, Settings::sim(&plan, 1), &ENGINE, &mut |_| ());
    let mut exits = Vec::new();
    sim::run(&mut world, Some(Duration::from_secs(60)), |_, reports| {
        exits.extend(reports.into_iter().filter_map(|report| match report {
            Report::Exited { exit, .. } => Some(exit),
            Report::Output { .. } => None,
        }));
        true
    });
    match exits.as_slice() {
        [Exit::Code(_) | Exit::OutOfFuel { .. } | Exit::Stopped] => {}
        other => panic!("{other:?}"),
    }
});
