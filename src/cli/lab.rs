//! From a path on the command line to a plan: a scenario, or one guest on a network of its own.

use std::path::{Path, PathBuf};

use guestnet::guest::{Engine, EngineSettings};
use guestnet::scenario::plan::{DirectoryPlan, Plan};

use super::{Failure, hints};

/// Where compiled modules are kept between runs: `$XDG_CACHE_HOME/guestnet`, or `~/.cache/guestnet`.
pub fn cache_folder() -> Option<PathBuf> {
    let base = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .or_else(|| std::env::home_dir().map(|home| home.join(".cache")))?;
    Some(base.join("guestnet"))
}

/// An engine for that many guests, with compiled modules kept where the machine keeps such things.
pub fn engine(guests: usize) -> Result<Engine, Failure> {
    Engine::new(EngineSettings { cache_folder: cache_folder(), guests })
        .map_err(|error| Failure::Other(format!("the WebAssembly compiler cannot be set up: {error}")))
}

/// What a guest that is run by itself may be given on the command line.
#[derive(clap::Args, Clone, Debug, Default)]
#[command(next_help_heading = "Options for one guest")]
pub struct GuestArguments {
    /// Hand over a directory, read-only unless `:rw` follows; the guest sees it as GUEST, or as HOST
    #[arg(long = "dir", value_name = "HOST[=GUEST][:rw]")]
    directories: Vec<String>,
    /// Set a variable of the guest's environment
    #[arg(long, value_name = "NAME=VALUE")]
    env: Vec<String>,
    /// Plug a TAP device into the guest's network; the guest is 10.0.0.2/24 and fd00::2/64 there
    #[arg(long, value_name = "DEVICE[@NETNS]")]
    tap: Option<String>,
}

impl GuestArguments {
    fn is_empty(&self) -> bool {
        self.directories.is_empty() && self.env.is_empty() && self.tap.is_none()
    }
}

/// True for what is taken to be a scenario and not a guest: by its name, or if that says nothing, by what is in it.
pub fn is_scenario(path: &Path) -> bool {
    let named = path.extension().is_some_and(|extension| extension == "toml");
    named || (!is_guest(path) && super::find::looks_like_one(path).is_ok_and(|is| is))
}

/// True for what is taken to be a guest.
pub fn is_guest(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "wasm" || extension == "wat")
}

/// True for what `guestnet run` can run, by its name.
pub fn is_runnable(path: &Path) -> bool {
    is_scenario(path) || is_guest(path)
}

/// The plan that `path` stands for. `help` is for a path that is nothing to run.
pub fn plan(
    path: &Path,
    arguments: &[String],
    guest: &GuestArguments,
    help: Option<String>,
) -> Result<Plan, Failure> {
    if is_scenario(path) {
        hints::lab_arguments(path, arguments)?;
        if !guest.is_empty() {
            return Err(Failure::usage(
                "--dir, --env and --tap are for one guest",
                "a lab's stand in the scenario: `directories`, `env`, `[tap.NAME]`",
            ));
        }
        return Ok(guestnet::scenario::load(path)?);
    }
    if !path.is_file() {
        let why = if path.exists() { "is not a file" } else { "is not there" };
        return Err(Failure::usage(
            format!("{} {why}", path.display()),
            help.unwrap_or_else(|| "name a scenario (.toml) or a guest (.wasm, .wat)".to_owned()),
        ));
    }
    if !is_guest(path) {
        return Err(Failure::usage(
            format!("{} is neither a scenario nor a guest", path.display()),
            help.unwrap_or_else(|| {
                "a scenario ends with .toml, or is TOML with a [guest.NAME]; a guest ends with .wasm or .wat"
                    .to_owned()
            }),
        ));
    }
    let mut plan = Plan::single(path.to_owned(), arguments.to_vec());
    let only = &mut plan.guests[0];
    for text in &guest.directories {
        only.directories.push(directory(text)?);
    }
    for text in &guest.env {
        let (name, value) = text.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or_else(|| {
            Failure::usage(
                format!("`{text}` sets no variable"),
                "write NAME=VALUE, such as --env RUST_LOG=debug",
            )
        })?;
        if name == "NETWORKING_FDS" {
            let help = "the guest finds its protocol objects by it";
            return Err(Failure::usage("NETWORKING_FDS is guestnet's own variable", help));
        }
        only.env.push((name.to_owned(), value.to_owned()));
    }
    if let Some(tap) = &guest.tap {
        let (device, netns) = match tap.split_once('@') {
            Some((device, netns)) => (device, Some(netns.to_owned())),
            None => (tap.as_str(), None),
        };
        plan.plug_tap(device, netns);
    }
    Ok(plan)
}

fn directory(text: &str) -> Result<DirectoryPlan, Failure> {
    let (paths, writable) = match text.strip_suffix(":rw") {
        Some(paths) => (paths, true),
        None => (text, false),
    };
    let (host, guest) = paths.split_once('=').unwrap_or((paths, paths));
    if !Path::new(host).is_dir() {
        return Err(Failure::usage(
            format!("`{host}` is not a directory"),
            "write HOST, HOST=GUEST or HOST=GUEST:rw, such as --dir ./site=/srv",
        ));
    }
    Ok(DirectoryPlan { guest: guest.to_owned(), host: host.into(), writable })
}
