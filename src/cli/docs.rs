//! `guestnet docs`: the guest ABI on paper.

use std::io::Write;
use std::process::ExitCode;

use super::Failure;

/// Prints the guest ABI's reference page, or its C header
#[derive(clap::Args)]
pub struct Arguments {
    /// Print the C header that guests include instead of the page
    #[arg(long)]
    c_header: bool,
}

pub fn docs(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let text = if arguments.c_header { guestnet::docs::c_header() } else { guestnet::docs::abi_markdown() };
    print(text.as_bytes())
}

/// Whole to standard output.
pub fn print(text: &[u8]) -> Result<ExitCode, Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text).and_then(|()| out.flush()) {
        // Whoever reads has read enough.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        result => result.map(|()| ExitCode::SUCCESS).map_err(Failure::io("standard output")),
    }
}
