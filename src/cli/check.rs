//! `guestnet check`: a scenario without running it.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::ops::Range;
use std::path::PathBuf;
use std::process::ExitCode;

use guestnet::guest::Engine;
use guestnet::scenario::ScenarioError;
use guestnet::scenario::assets::Assets;
use guestnet::scenario::plan::Plan;

use super::Failure;
use super::docs::print;

/// Checks scenarios, compiles their guests, and prints the addresses that everything has
#[derive(clap::Args)]
pub struct Arguments {
    /// Scenario files
    #[arg(required = true, value_name = "LAB.toml")]
    paths: Vec<PathBuf>,
    /// Say nothing of what is right
    #[arg(short, long)]
    quiet: bool,
}

pub fn check(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let mut code = ExitCode::SUCCESS;
    let engine = super::lab::engine(1)?;
    for path in &arguments.paths {
        let plan = match guestnet::scenario::load(path) {
            Ok(plan) => plan,
            Err(error) => {
                code = Failure::from(error).tell();
                continue;
            }
        };
        let faults = faults(&plan, &engine);
        if !faults.is_empty() {
            let text = std::fs::read_to_string(path).map_err(Failure::io(path.display().to_string()))?;
            code = Failure::from(ScenarioError::found_later(path, &text, faults)).tell();
        }
        if !arguments.quiet {
            print(summary(&plan).as_bytes())?;
        }
    }
    Ok(code)
}

/// Modules that cannot be guests: where the scenario names each, and why.
fn faults(plan: &Plan, engine: &Engine) -> Vec<(Range<usize>, String, String)> {
    let assets = Assets::read(plan);
    let mut told = BTreeSet::new();
    let mut faults = Vec::new();
    for guest in plan.guests.iter().filter(|guest| told.insert(&guest.module)) {
        let loaded = assets
            .get(&guest.module)
            .and_then(|bytes| engine.load(&guest.module, bytes).map(drop).map_err(|exit| exit.to_string()));
        if let Err(why) = loaded {
            faults.push((guest.module_at.clone(), format!("guest `{}` {why}", guest.name), String::new()));
        }
    }
    faults
}

/// What is in the lab, and the addresses of all that has any.
fn summary(plan: &Plan) -> String {
    let count = |number: usize, what: &str| match number {
        1 => format!("1 {what}"),
        _ => format!("{number} {what}{}", if what.ends_with("ch") { "es" } else { "s" }),
    };
    let mut text = format!(
        "{}: {}, {}, {}, {}, {}\n",
        plan.name,
        count(plan.guests.len(), "guest"),
        count(plan.switches.len(), "switch"),
        count(plan.routers.len(), "router"),
        count(plan.taps.len(), "TAP"),
        count(plan.links.len(), "link"),
    );
    let guests = plan.guests.iter().map(|guest| (&guest.name, &guest.interfaces));
    let routers = plan.routers.iter().map(|router| (&router.name, &router.interfaces));
    for (name, interfaces) in guests.chain(routers) {
        for interface in interfaces {
            let addresses: Vec<_> = interface.addresses.iter().map(ToString::to_string).collect();
            let addresses = addresses.join(" ");
            let mac = interface.mac.0.map(|octet| format!("{octet:02x}")).join(":");
            let _ = writeln!(text, "  {name}.{} {mac} {addresses}", interface.name);
        }
    }
    text
}
