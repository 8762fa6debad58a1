//! `guestnet man` and `guestnet completions`, both made from the command line's own description.

use std::io;
use std::process::ExitCode;

use clap::CommandFactory;
use clap_complete::Shell;

use super::docs::print;
use super::{Cli, Failure};

/// Prints a man page: `guestnet man run | man -l -`
#[derive(clap::Args)]
pub struct Man {
    /// The subcommand whose page it is; guestnet's own page if there is none
    subcommand: Option<String>,
}

/// Prints a shell's completions, to be sourced or put where it looks for them
#[derive(clap::Args)]
pub struct Completions {
    shell: Shell,
}

pub fn man(arguments: &Man) -> Result<ExitCode, Failure> {
    let mut root = Cli::command();
    root.build();
    let command = match &arguments.subcommand {
        None => root,
        Some(name) => {
            let known: Vec<_> = root.get_subcommands().map(|command| command.get_name().to_owned()).collect();
            let found = root.find_subcommand(name).cloned();
            found.ok_or_else(|| {
                Failure::usage(
                    format!("there is no subcommand `{name}`"),
                    format!("one of {}", known.join(", ")),
                )
            })?
        }
    };
    let page = page(command).map_err(Failure::io("man page"))?;
    print(page.as_bytes())
}

/// A page with the synopsis that `--help` has: clap_mangen's own leaves out the options' values, and what may be
/// given more than once.
fn page(mut command: clap::Command) -> io::Result<String> {
    const SYNOPSIS: &str = ".SH SYNOPSIS\n";
    let usage = command.render_usage().to_string();
    let usage = usage.trim_start_matches("Usage:").lines().map(str::trim).filter(|line| !line.is_empty());
    let usage: Vec<_> = usage.map(|line| line.replace('-', "\\-")).collect();
    let mut page = Vec::new();
    clap_mangen::Man::new(command).render(&mut page)?;
    let mut page = String::from_utf8_lossy(&page).into_owned();
    if let Some(at) = page.find(SYNOPSIS).map(|at| at + SYNOPSIS.len()) {
        let end = page[at..].find(".SH").map_or(page.len(), |len| at + len);
        page.replace_range(at..end, &format!("{}\n", usage.join("\n.br\n")));
    }
    Ok(page)
}

pub fn completions(arguments: &Completions) -> Result<ExitCode, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), "guestnet", &mut script);
    print(&script)
}
