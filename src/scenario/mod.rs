//! Scenario files: TOML in, a [`plan::Plan`] out.
//!
//! ```text
//! load, parse
//!   read.rs                         a TOML table whose values know their places
//!   spec/     units.rs, address.rs  the file as written, typed
//!   resolve/                        names looked up, addresses given out: the plan
//!   files.rs      contents.rs       what the plan names exists; traces (load alone)
//!   mistake.rs                      all that is wrong, told together
//! ```
//!
//! This folder knows nothing of worlds, stacks or WebAssembly. Only [`load`] and [`load_text`] touch the file system.

mod address;
pub mod assets;
mod contents;
pub mod expectation;
mod files;
mod masked;
mod mistake;
pub mod plan;
mod read;
mod resolve;
mod single;
mod spec;
mod units;

#[cfg(test)]
mod tests;

pub use mistake::{Located, ScenarioError};
pub use units::parse_duration;

use std::path::Path;

use mistake::Mistakes;
use plan::Plan;
use spec::Spec;
use toml::de::DeTable;

/// Bytes of a scenario file: far above what a hundred thousand guests need.
const TEXT_BYTES_MAX: usize = 64 << 20;

/// Reads a scenario file and resolves it. Paths in the plan begin with the folder of `path`; the
/// modules, directories and files that it names must be there.
///
/// # Errors
///
/// The file cannot be read, or there are mistakes in it: all of them, in the file's order.
pub fn load(path: &Path) -> Result<Plan, ScenarioError> {
    let unreadable = |error| ScenarioError::Unreadable { path: path.to_path_buf(), error };
    let bytes = contents::read_file(path, TEXT_BYTES_MAX as u64 + 1).map_err(unreadable)?;
    let mistakes = Mistakes::default();
    let text = match std::str::from_utf8(&bytes) {
        Ok(text) => text,
        Err(error) => {
            let text = String::from_utf8_lossy(&bytes);
            let at = error.valid_up_to();
            mistakes.add(at..at, "the file is not UTF-8 from here on", "save it as UTF-8");
            return Err(mistakes.into_error(path, &text));
        }
    };
    load_text(text, path)
}

/// As [`load`], with the text that `path` would have: one that is not written yet.
///
/// # Errors
///
/// All mistakes in the text, in its order.
pub fn load_text(text: &str, path: &Path) -> Result<Plan, ScenarioError> {
    let mistakes = Mistakes::default();
    let plan = read(text, path, &mistakes, |spec, folder| {
        files::check(spec, folder, &mistakes);
        files::read_traces(spec, folder, &mistakes);
    });
    finish(plan, mistakes, path, text)
}

/// Resolves a scenario without touching any file: `path` only names it in messages, and its folder
/// begins the paths in the plan. A link whose rate is a trace has no limit in it.
///
/// # Errors
///
/// All mistakes in the text, in its order.
pub fn parse(text: &str, path: &Path) -> Result<Plan, ScenarioError> {
    let mistakes = Mistakes::default();
    let plan = read(text, path, &mistakes, |_, _| ());
    finish(plan, mistakes, path, text)
}

fn read(text: &str, path: &Path, mistakes: &Mistakes, files: impl Fn(&mut Spec, &Path)) -> Option<Plan> {
    if text.len() > TEXT_BYTES_MAX {
        mistakes.add(
            0..0,
            format!("the scenario is longer than {TEXT_BYTES_MAX} bytes"),
            "use `count` for many guests",
        );
        return None;
    }
    let (root, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        // What recovery made of the text would only be told off for what it is not.
        for error in errors {
            mistakes.add(error.span().unwrap_or_default(), format!("not TOML: {}", error.message()), "");
        }
        return None;
    }
    let mut spec = spec::read(root.get_ref(), mistakes);
    files(&mut spec, path.parent().unwrap_or(Path::new("")));
    resolve::resolve(spec, path, text, mistakes)
}

fn finish(plan: Option<Plan>, mistakes: Mistakes, path: &Path, text: &str) -> Result<Plan, ScenarioError> {
    match plan {
        Some(plan) if mistakes.count() == 0 => Ok(plan),
        _ => Err(mistakes.into_error(path, text)),
    }
}
