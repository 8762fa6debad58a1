//! An error on its way to the terminal, with its exit code.

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write as _};
use std::process::ExitCode;

use guestnet::live::LiveError;
use guestnet::live::tap::TapError;
use guestnet::scenario::ScenarioError;
use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme};
use thiserror::Error;

/// Why guestnet itself could not do what it was asked for.
#[derive(Debug, Error, Diagnostic)]
pub enum Failure {
    #[error(transparent)]
    #[diagnostic(transparent)]
    Scenario(#[from] ScenarioError),
    /// A mistake on the command line that clap cannot know.
    #[error("{message}")]
    Usage {
        message: String,
        #[help]
        help: String,
    },
    #[error(transparent)]
    #[diagnostic(transparent)]
    Tap(#[from] TapError),
    #[error(transparent)]
    #[diagnostic(transparent)]
    Live(#[from] LiveError),
    #[error("{what}: {error}")]
    Io { what: String, error: io::Error },
    #[error("{0}")]
    Other(String),
}

impl Failure {
    pub fn usage(message: impl Into<String>, help: impl Into<String>) -> Failure {
        Failure::Usage { message: message.into(), help: help.into() }
    }

    /// For `map_err`: what could not be done.
    pub fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Failure {
        |error| Failure::Io { what: what.into(), error }
    }

    fn code(&self) -> ExitCode {
        match self {
            Failure::Scenario(_) | Failure::Usage { .. } => ExitCode::from(2),
            Failure::Tap(_) | Failure::Live(_) | Failure::Io { .. } | Failure::Other(_) => ExitCode::FAILURE,
        }
    }

    /// Tells the person at the terminal, or whatever reads instead: there a mistake is a line, as compilers have it.
    pub fn tell(self) -> ExitCode {
        let mut stderr = io::stderr();
        let fancy = stderr.is_terminal();
        let text = match &self {
            Failure::Scenario(error) if !fancy => error.plain(),
            other if fancy => graphical(other),
            other => plain(other),
        };
        // Whom to tell that nobody can be told?
        let _ = stderr.write_all(text.as_bytes());
        self.code()
    }
}

fn graphical(failure: &Failure) -> String {
    let mut text = String::new();
    match GraphicalReportHandler::new_themed(GraphicalTheme::unicode()).render_report(&mut text, failure) {
        Ok(()) => text,
        Err(_) => plain(failure),
    }
}

fn plain(failure: &Failure) -> String {
    let mut text = format!("guestnet: error: {failure}");
    let mut source = std::error::Error::source(failure);
    while let Some(error) = source {
        let _ = write!(text, ": {error}");
        source = error.source();
    }
    text.push('\n');
    if let Some(help) = failure.help() {
        for line in help.to_string().lines() {
            let _ = writeln!(text, "guestnet: help: {line}");
        }
    }
    text
}
