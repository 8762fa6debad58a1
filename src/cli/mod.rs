//! The command line: one file for each subcommand. They parse, call the library and choose the exit code.
//!
//! - `run`: a lab or one guest; with `console` (what a person sees), `sinks` and `qlogs` (where captures and qlogs go), `lab` (from a path to a
//!   plan) and `hints` (what was probably meant).
//! - `test`: scenarios held against what they expect; with `find`, `seeds`, `teller` (in order), `test_report`, `replay` (what runs a failure
//!   again), `junit` and `say`.
//! - `shrink`: a scenario that fails, made smaller.
//! - `packets`: what a capture has, by display filters.
//! - `check`: a scenario without running it.
//! - `docs`, `paper`: the guest ABI's page, man pages, shell completions.
//! - `failure`: an error on its way to the terminal, with its exit code.

mod check;
mod console;
mod docs;
mod failure;
mod find;
mod hints;
mod junit;
mod lab;
mod packets;
mod paper;
mod qlogs;
mod replay;
mod run;
mod say;
mod seeds;
mod shrink;
mod sinks;
mod teller;
mod test;
mod test_report;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use failure::Failure;

/// Runs WebAssembly guests, each on an IP stack of its own, in virtual networks that are captured and repeatable.
#[derive(Parser)]
#[command(name = "guestnet", version, arg_required_else_help = true, after_help = AFTER_HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const AFTER_HELP: &str = "\
Exit status: 0 if all went well; that of the guest, where one guest runs alone; 1 if a guest of a lab, or guestnet \
itself, failed; 2 for mistakes on the command line or in a scenario; 124 if the lab's duration ended it, and 130 if \
Ctrl-C did, while a guest was at work or after one had failed; 134 if a guest that runs alone trapped or used up its \
fuel, 137 if the timeline killed it; 141 if whoever read standard output is gone. Of a guest's code above 255 the low \
byte is left, or 255 if that is 0.";

#[derive(Subcommand)]
enum Command {
    Run(Box<run::Arguments>),
    Test(test::Arguments),
    Shrink(shrink::Arguments),
    Packets(packets::Arguments),
    Check(check::Arguments),
    Docs(docs::Arguments),
    Man(paper::Man),
    Completions(paper::Completions),
}

/// Parses the command line and does what it says.
pub fn main() -> ExitCode {
    let mut cli = Cli::parse();
    if let Command::Run(arguments) = &cli.command
        && let Some(line) = arguments.reordered(std::env::args_os().collect())
    {
        let lab = arguments.lab();
        cli = Cli::parse_from(line);
        if let Command::Run(arguments) = &mut cli.command {
            arguments.put_first(&lab);
        }
    }
    let result = match cli.command {
        Command::Run(arguments) => run::run(*arguments),
        Command::Test(arguments) => test::test(&arguments),
        Command::Shrink(arguments) => shrink::shrink(&arguments),
        Command::Packets(arguments) => packets::packets(&arguments),
        Command::Check(arguments) => check::check(&arguments),
        Command::Docs(arguments) => docs::docs(&arguments),
        Command::Man(arguments) => paper::man(&arguments),
        Command::Completions(arguments) => paper::completions(&arguments),
    };
    result.unwrap_or_else(Failure::tell)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}
