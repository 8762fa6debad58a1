//! How much memory many guests, or many connections, keep resident: each measured in a process of its own.

use std::process::Command;

use guestnet::world::World;

use crate::lab::{Lab, Layer, Mode, held, layer_held, table};

/// More round trips than anybody waits for.
const FOREVER: &str = "1000000000";

/// Bytes that a lab of `count` keeps, measured by a child of this program.
pub fn measure(what: &str, count: u64) -> f64 {
    let program = std::env::current_exe().expect("this program's path");
    let output = Command::new(program)
        .args(["--resident", what, &count.to_string()])
        .stderr(std::process::Stdio::inherit())
        .output()
        .expect("a child");
    assert!(output.status.success(), "{what}: the child ended with {}", output.status);
    String::from_utf8_lossy(&output.stdout).trim().parse().expect("a number of bytes")
}

/// What `--resident WHAT COUNT` asks for, if these are its arguments.
pub fn child(arguments: &[String]) -> Option<()> {
    let [option, what, count] = arguments else { return None };
    if option != "--resident" {
        return None;
    }
    let count: u64 = count.parse().expect("a count");
    let bytes = match what.as_str() {
        "idle" => idle(count),
        "held" => connections(count, 20, |count| held(count, FOREVER)),
        "tls" => connections(count, 60, |count| layer_held(Layer::Tls, &count.to_string(), FOREVER)),
        "quic" => connections(count, 60, |count| layer_held(Layer::Quic, &count.to_string(), FOREVER)),
        other => panic!("nothing is called {other}"),
    };
    println!("{bytes}");
    Some(())
}

/// Guests that sleep for years.
fn idle(count: u64) -> u64 {
    let lab = Lab::new(count as usize);
    let scenario = |count| table("idle", "idle", &[]) + &format!("count = {count}\n");
    // The compiler's own memory is there before.
    drop(lab.world(Mode::Sim, &scenario(1)));
    let before = resident();
    let mut world = lab.world(Mode::Sim, &scenario(count));
    settle(&mut world);
    let alive = world.guests().filter(|(_, state, _)| state.is_running()).count();
    assert_eq!(alive as u64, count, "{:?}", world.take_reports().first());
    resident() - before
}

/// Two guests with connections between them, after one byte there and back on the first. A connection takes less than so many
/// rounds.
fn connections(count: u64, rounds: u64, scenario: impl Fn(u64) -> String) -> u64 {
    let lab = Lab::new(2);
    let mut world = lab.world(Mode::Sim, &scenario(1));
    settle_for(&mut world, 1_000);
    drop(world);
    let before = resident();
    let mut world = lab.world(Mode::Sim, &scenario(count));
    settle_for(&mut world, count * rounds + 1_000);
    resident() - before
}

/// Runs until nothing is to be done at this instant.
fn settle(world: &mut World) {
    while world.poll(world.now()) {}
}

fn settle_for(world: &mut World, rounds: u64) {
    for _ in 0..rounds {
        let at = world.poll_at().expect("guests at work");
        world.poll(at);
    }
}

/// VmRSS of this process in bytes.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("/proc");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("a VmRSS");
    let kibibytes: u64 =
        line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("a number");
    kibibytes * 1024
}
