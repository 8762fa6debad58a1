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
use super::lab::GuestArguments;

/// Checks scenarios, compiles their guests, and prints the addresses that everything has
///
/// A guest may stand in a scenario's place: it is compiled, and has the network that it would have alone.
#[derive(clap::Args)]
pub struct Arguments {
    /// Scenario files, or guests
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
        let alone = super::lab::is_guest(path);
        let plan = if alone {
            super::lab::plan(path, &[], &GuestArguments::default(), None)
        } else {
            guestnet::scenario::load(path).map_err(Failure::from)
        };
        let plan = match plan {
            Ok(plan) => plan,
            Err(failure) => {
                code = failure.tell();
                continue;
            }
        };
        let faults = faults(&plan, &engine);
        if alone && let Some((_, why, _)) = faults.first() {
            code = Failure::Other(why.clone()).tell();
            continue;
        }
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
    let guests = plan.guests.iter().map(|guest| (&guest.name, &guest.interfaces, &guest.unix));
    let routers = plan.routers.iter().map(|router| (&router.name, &router.interfaces, &None));
    for (name, interfaces, unix) in guests.chain(routers) {
        for interface in interfaces.iter().chain(unix) {
            let addresses: Vec<_> = interface.addresses.iter().map(ToString::to_string).collect();
            let addresses = addresses.join(" ");
            let mac = interface.mac.0.map(|octet| format!("{octet:02x}")).join(":");
            let _ = writeln!(text, "  {name}.{} {mac} {addresses}", interface.name);
        }
    }
    text
}
