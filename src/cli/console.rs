//! What a person sees of a run: the guests' output, their calls, a line of progress, and how it went.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::PathBuf;
use std::time::Duration;

use guestnet::guest::Exit;
use guestnet::live::Ticker;
use guestnet::node::{Output, OutputStream};
use guestnet::scenario::plan::Plan;
use guestnet::sim::Ending;
use guestnet::world::{Report, World};
use indicatif::{ProgressBar, ProgressStyle};

use super::Failure;

/// Bytes of a line that is not at its end yet; a longer one is shown in pieces.
const LINE_BYTES_MAX: usize = 16 * 1024;
/// Guests that failed, told one by one at the end.
const FAILURES_TOLD_MAX: usize = 20;

/// What the command line says of the terminal.
#[derive(Clone, Debug)]
pub struct Style {
    pub quiet: bool,
    /// A guest that runs alone is told of at the end as a lab is.
    pub summary: bool,
    /// Standard output is the capture's.
    pub stdout_taken: bool,
    /// Calls are shown, on standard error unless a file is named.
    pub trace: Option<Option<PathBuf>>,
}

pub struct Console {
    names: Vec<String>,
    background: Vec<bool>,
    /// One guest alone has the terminal as it is; of several, each line bears a name.
    alone: bool,
    quiet: bool,
    /// At the end it is told how it went.
    summary: bool,
    /// Begun lines of standard output and error of each guest.
    lines: Vec<[Vec<u8>; 2]>,
    out: Box<dyn Write>,
    trace: Box<dyn Write>,
    progress: Option<(ProgressBar, Ticker)>,
    exits: Vec<Option<Exit>>,
    broken: Option<io::Error>,
}

impl Console {
    pub fn new(plan: &Plan, style: &Style) -> Result<Console, Failure> {
        let out: Box<dyn Write> =
            if style.stdout_taken { Box::new(io::stderr()) } else { Box::new(io::stdout()) };
        let trace: Box<dyn Write> = match &style.trace {
            Some(Some(path)) => {
                let file = File::create(path).map_err(Failure::io(format!("trace {}", path.display())))?;
                Box::new(BufWriter::new(file))
            }
            Some(None) | None => Box::new(io::stderr()),
        };
        let shown = !style.quiet && io::stderr().is_terminal() && plan.guests.len() > 1;
        Ok(Console {
            names: plan.guests.iter().map(|guest| guest.name.clone()).collect(),
            background: plan.guests.iter().map(|guest| guest.background).collect(),
            alone: plan.guests.len() == 1,
            quiet: style.quiet,
            summary: !style.quiet && (style.summary || plan.guests.len() > 1),
            lines: plan.guests.iter().map(|_| Default::default()).collect(),
            out,
            trace,
            progress: shown.then(|| (spinner(), Ticker::default())),
            exits: vec![None; plan.guests.len()],
            broken: None,
        })
    }

    /// A guest's module is being compiled.
    pub fn compiling(&mut self, guest: &str) {
        if let Some((bar, ticker)) = &mut self.progress
            && ticker.is_due()
        {
            bar.set_message(format!("compiling {guest}"));
            bar.tick();
        }
    }

    /// How often [`Console::show`] wants to be called for its line of progress to live.
    pub fn refresh(&self) -> Option<Duration> {
        self.progress.as_ref().map(|_| Ticker::PERIOD)
    }

    /// Shows what happened. False if nobody reads any more.
    pub fn show(&mut self, world: &World, reports: Vec<Report>) -> bool {
        if !reports.is_empty() {
            let bar = self.progress.as_ref().map(|(bar, _)| bar.clone());
            let result = match bar {
                Some(bar) => bar.suspend(|| self.show_all(reports)),
                None => self.show_all(reports),
            };
            if let Err(error) = result {
                self.broken.get_or_insert(error);
            }
        }
        if let Some((bar, ticker)) = &mut self.progress
            && ticker.is_due()
        {
            bar.set_message(progress(world));
            bar.tick();
        }
        self.broken.is_none()
    }

    fn show_all(&mut self, reports: Vec<Report>) -> io::Result<()> {
        for report in reports {
            match report {
                Report::Output { guest, output } => self.output(guest, &output)?,
                Report::Exited { guest, exit, .. } => {
                    self.flush_lines(guest)?;
                    self.exits[guest] = Some(exit);
                }
            }
        }
        self.out.flush()
    }

    fn output(&mut self, guest: usize, output: &Output) -> io::Result<()> {
        let which = match output.stream {
            OutputStream::Trace => {
                let name = if self.alone { String::new() } else { format!("{} ", self.names[guest]) };
                self.trace.write_all(name.as_bytes())?;
                self.trace.write_all(&output.bytes)?;
                return self.trace.write_all(b"\n");
            }
            OutputStream::Stdout => 0,
            OutputStream::Stderr => 1,
        };
        if self.alone {
            return if which == 0 {
                self.out.write_all(&output.bytes)
            } else {
                io::stderr().write_all(&output.bytes)
            };
        }
        let mut rest = &output.bytes[..];
        while let Some(end) = rest.iter().position(|&byte| byte == b'\n') {
            let mut line = std::mem::take(&mut self.lines[guest][which]);
            line.extend_from_slice(&rest[..end]);
            self.line(guest, which, &line)?;
            rest = &rest[end + 1..];
        }
        self.lines[guest][which].extend_from_slice(rest);
        if self.lines[guest][which].len() > LINE_BYTES_MAX { self.flush_lines(guest) } else { Ok(()) }
    }

    fn line(&mut self, guest: usize, which: usize, line: &[u8]) -> io::Result<()> {
        let whole = [self.names[guest].as_bytes(), b": ", line, b"\n"].concat();
        if which == 0 { self.out.write_all(&whole) } else { io::stderr().write_all(&whole) }
    }

    fn flush_lines(&mut self, guest: usize) -> io::Result<()> {
        for which in 0..2 {
            let line = std::mem::take(&mut self.lines[guest][which]);
            if !line.is_empty() {
                self.line(guest, which, &line)?;
            }
        }
        Ok(())
    }

    /// guestnet itself cannot go on: what came of the run until then is to be told, unless nothing is.
    pub fn expect_error(&mut self) {
        self.summary = !self.quiet;
    }

    /// Tells how it went, and the exit code.
    pub fn finish(&mut self, world: &World, ending: Ending, summary: &str) -> Result<u8, Failure> {
        if let Some((bar, _)) = self.progress.take() {
            bar.finish_and_clear();
        }
        self.trace.flush().map_err(Failure::io("trace"))?;
        match self.broken.take() {
            // As a program that is ended by SIGPIPE.
            Some(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(141),
            Some(error) => return Err(Failure::Io { what: "output".to_owned(), error }),
            None => {}
        }
        let mut text = String::new();
        let failed: Vec<_> =
            self.exits.iter().enumerate().filter(|(guest, exit)| self.fails(*guest, exit)).collect();
        for (guest, exit) in failed.iter().take(FAILURES_TOLD_MAX) {
            // A guest that says its own code has said what there is to say.
            let told =
                exit.as_ref().filter(|exit| !self.alone || !matches!(exit, Exit::Code(_) | Exit::Stopped));
            if let Some(exit) = told {
                let _ = writeln!(text, "guestnet: {} {exit}", self.names[*guest]);
            }
        }
        if failed.len() > FAILURES_TOLD_MAX {
            let _ = writeln!(text, "guestnet: and {} more guests failed", failed.len() - FAILURES_TOLD_MAX);
        }
        let waiting = || {
            let waiting: Vec<_> = world
                .guests()
                .zip(&self.exits)
                .filter(|((_, _, background), exit)| !background && matches!(exit, Some(Exit::Stopped)))
                .map(|((name, ..), _)| name)
                .collect();
            let more = if waiting.len() > 5 { ", ..." } else { "" };
            format!("{}{more}", waiting[..waiting.len().min(5)].join(", "))
        };
        match ending {
            Ending::Over | Ending::Interrupted => {}
            Ending::Stalled if failed.is_empty() => {}
            Ending::Stalled => {
                let _ = writeln!(
                    text,
                    "guestnet: nothing can happen any more, and these still wait: {}",
                    waiting()
                );
            }
            Ending::Duration => {
                let _ = writeln!(text, "guestnet: the lab's duration is over");
            }
            Ending::Livelock(at) => {
                let _ =
                    writeln!(text, "guestnet: the lab keeps itself busy at {at} s for ever; it was stopped");
            }
        }
        if self.summary {
            let _ = writeln!(text, "guestnet: {summary}");
        }
        let _ = io::stderr().write_all(text.as_bytes());
        Ok(self.code(ending, failed.is_empty()))
    }

    /// A guest in the background is stopped with the lab, as it should be.
    fn fails(&self, guest: usize, exit: &Option<Exit>) -> bool {
        match exit {
            Some(Exit::Stopped) => !self.background[guest],
            Some(exit) => !exit.is_success(),
            None => true,
        }
    }

    fn code(&self, ending: Ending, all_well: bool) -> u8 {
        let alone =
            self.exits.first().and_then(Option::as_ref).filter(|exit| self.alone && **exit != Exit::Stopped);
        match (alone, ending) {
            (Some(exit), _) => exit.status(),
            (None, Ending::Livelock(_)) => 1,
            (None, _) if all_well => 0,
            (None, Ending::Interrupted) => 130,
            (None, Ending::Duration) => 124,
            (None, Ending::Over | Ending::Stalled) => 1,
        }
    }

    /// "2 guests exited with 0", and how many did not.
    pub fn tally(&self) -> String {
        let well = self.exits.iter().filter(|exit| **exit == Some(Exit::Code(0))).count();
        let stopped = self.exits.iter().filter(|exit| **exit == Some(Exit::Stopped)).count();
        let killed = self.exits.iter().filter(|exit| **exit == Some(Exit::Killed)).count();
        let failed = self.exits.len() - well - stopped - killed;
        let mut text = format!("{well} of {} guests exited with 0", self.exits.len());
        if stopped > 0 {
            let _ = write!(text, ", {stopped} stopped");
        }
        if killed > 0 {
            let _ = write!(text, ", {killed} killed by the timeline");
        }
        if failed > 0 {
            let _ = write!(text, ", {failed} failed");
        }
        text
    }
}

fn spinner() -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {wide_msg}");
    ProgressBar::new_spinner().with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()))
}

fn progress(world: &World) -> String {
    let running = world.guests().filter(|(_, state, _)| state.is_running()).count();
    let totals = world.totals();
    format!(
        "{:.3} s, {running} guests at work, {} frames, {} dropped",
        world.now().elapsed().as_secs_f64(),
        totals.frames,
        totals.dropped
    )
}
