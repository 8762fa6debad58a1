//! Standard output that may close or be full before all is said.

use std::io::{self, ErrorKind, Write};

use super::Failure;

/// Lines for standard output. After the first that cannot be written nothing more is: the work behind them goes on.
#[derive(Default)]
pub struct Sayer {
    failed: Option<io::Error>,
}

impl Sayer {
    pub fn say(&mut self, line: &str) {
        if self.failed.is_none() {
            let mut out = io::stdout().lock();
            self.failed = writeln!(out, "{line}").and_then(|()| out.flush()).err();
        }
    }

    /// # Errors
    ///
    /// Something could not be written, for another reason than that whoever reads has read enough.
    pub fn finish(self) -> Result<(), Failure> {
        match self.failed {
            Some(error) if error.kind() != ErrorKind::BrokenPipe => {
                Err(Failure::io("standard output")(error))
            }
            Some(_) | None => Ok(()),
        }
    }
}
