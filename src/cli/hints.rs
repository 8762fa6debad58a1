//! What somebody probably meant who wrote something else on the command line of `guestnet run`.

use std::path::Path;

use clap::Args as _;

use super::Failure;
use super::run::Arguments;

/// An option of guestnet's behind the path, as it is written there.
fn stray_option(arguments: &[String]) -> Option<&str> {
    let run = Arguments::augment_args(clap::Command::new("run"));
    let known = |text: &str| {
        let name = text.split('=').next().unwrap_or(text);
        name.strip_prefix("--")
            .is_some_and(|name| run.get_arguments().any(|known| known.get_long() == Some(name)))
    };
    arguments.iter().map(String::as_str).find(|text| known(text))
}

/// For a lab: its arguments are a mistake.
pub fn lab_arguments(path: &Path, arguments: &[String]) -> Result<(), Failure> {
    let Some(first) = arguments.first() else { return Ok(()) };
    Err(Failure::usage(
        format!("`{first}`: {} is a lab, and takes no arguments", path.display()),
        "a guest's arguments stand in the scenario: `args = [...]`",
    ))
}

/// For one guest: what it is told when it may have been meant for guestnet.
pub fn guest_arguments(path: &Path, arguments: &[String]) -> Option<String> {
    let option = stray_option(arguments)?;
    Some(format!(
        "`{option}` is the guest's own, as it stands behind it; guestnet's options stand before: guestnet run {option} ... \
         {path}. If it is meant for the guest, write `--` before its arguments: guestnet run {path} -- {}",
        arguments.join(" "),
        path = path.display(),
    ))
}

/// `--trace FILE LAB` has the lab where the file was meant to be.
pub fn trace_file(path: &Path, arguments: &[String]) -> Option<String> {
    let lab = arguments.iter().find(|text| super::lab::is_runnable(Path::new(text)))?;
    let path = path.display();
    Some(format!("for the calls in a file, write `=`: guestnet run --trace={path} {lab}"))
}
