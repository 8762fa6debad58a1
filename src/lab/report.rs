//! What came of a run.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use super::Verdict;
use super::files::Written;
use super::record::Kept;
use crate::capture::{Record, Session, Writer};
use crate::guest::Exit;
use crate::network::drops::DeviceDrop;
use crate::node::{LeftOpen, OutputStream};
use crate::scenario::plan::Plan;
use crate::sim::Ending;
use crate::time::Instant;
use crate::world::{self, Totals, World};

/// What one guest did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuestReport {
    pub name: String,
    /// It was to be stopped with the lab.
    pub background: bool,
    pub exit: Exit,
    /// When it ended.
    pub at: Instant,
    /// What it had open then.
    pub left_open: LeftOpen,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl GuestReport {
    /// What it wrote to standard output; what is not UTF-8 is shown as such.
    pub fn stdout(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.stdout)
    }

    pub fn stderr(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.stderr)
    }

    pub fn stdout_bytes(&self) -> &[u8] {
        &self.stdout
    }

    pub fn stderr_bytes(&self) -> &[u8] {
        &self.stderr
    }

    /// It exited with 0, or was in the background until the lab's end.
    pub fn is_success(&self) -> bool {
        self.exit.is_success() || (self.background && self.exit == Exit::Stopped)
    }
}

/// A guest's call, as strace shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// When it was answered.
    pub at: Instant,
    /// By its place in the plan.
    pub guest: usize,
    /// `0.060864000 connect(5, "10.0.0.2:7", [6]) = 0`.
    pub line: String,
}

/// What came of a run. Two runs with the same seed have equal reports.
#[derive(Clone, Debug)]
pub struct Report {
    pub lab: String,
    pub seed: u64,
    pub ending: Ending,
    /// When it ended.
    pub at: Instant,
    pub guests: Vec<GuestReport>,
    pub totals: Totals,
    /// Frames that devices dropped on their own account, by reason.
    pub device_drops: Vec<(DeviceDrop, u64)>,
    /// The guests' calls in the order in which they were answered, as strace shows them, if they were traced.
    pub calls: Vec<Call>,
    /// Every guest's sockets when the lab ended, as netstat(8) lists them.
    pub netstat: String,
    /// What became of what the scenario expects, and of what is expected of every lab.
    pub verdicts: Vec<Verdict>,
    /// Every frame at every port that it crossed, in order.
    pub records: Vec<Record>,
    /// Lines of a TLS key log that decrypt them, each with how many records came before it.
    pub secrets: Vec<(usize, String)>,
    /// Events of QUIC connections, where the scenario asks for them, by the files that a run would write.
    pub qlogs: BTreeMap<PathBuf, Vec<u8>>,
    /// The ports that records name by number.
    pub session: Session,
    /// Records until the lab ended: those after it are of guests that were stopped.
    pub(super) records_judged: usize,
    pub(super) written: Written,
}

impl Report {
    /// # Panics
    ///
    /// The lab has no guest of that name.
    pub fn guest(&self, name: &str) -> &GuestReport {
        self.guests
            .iter()
            .find(|guest| guest.name == name)
            .unwrap_or_else(|| panic!("lab `{}` has no guest `{name}`", self.lab))
    }

    /// A guest's calls, if they were traced.
    pub fn calls_of(&self, name: &str) -> impl Iterator<Item = &str> {
        self.calls
            .iter()
            .filter(move |call| self.guests[call.guest].name == name)
            .map(|call| call.line.as_str())
    }

    /// Everything that was expected of each run came true (what is expected of one seed of a sweep need not). Where the scenario expects nothing, that is: the lab ended by itself,
    /// and every guest that is not in the background exited with 0.
    pub fn is_success(&self) -> bool {
        self.verdicts.iter().all(|verdict| verdict.is_met() || verdict.sometimes)
    }

    /// The run's pcapng file.
    pub fn capture(&self) -> Vec<u8> {
        let write = || {
            let mut writer = Writer::new(Vec::new(), &self.session)?;
            let mut secrets = self.secrets.iter().peekable();
            for (number, record) in self.records.iter().enumerate() {
                while let Some((_, lines)) = secrets.next_if(|(before, _)| *before <= number) {
                    writer.secrets(lines)?;
                }
                writer.record(record)?;
            }
            writer.finish(self.at)
        };
        let file: std::io::Result<Vec<u8>> = write();
        file.expect("memory takes every capture")
    }
}

/// As a person wants to read it: the guests' output and ends, then the lab's.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for guest in &self.guests {
            writeln!(f, "{} {}", guest.name, guest.exit)?;
            for (mark, text) in [('>', guest.stdout()), ('!', guest.stderr())] {
                text.lines().try_for_each(|line| writeln!(f, "  {mark} {line}"))?;
            }
        }
        let Totals { frames, bytes, dropped } = self.totals;
        write!(f, "{} at {} s: {frames} frames, {bytes} bytes, {dropped} dropped", self.ending, self.at)?;
        self.verdicts
            .iter()
            .filter(|verdict| !verdict.is_met() && !verdict.sometimes)
            .try_for_each(|verdict| write!(f, "\n{verdict}"))
    }
}

/// How a run ended, and what there was then.
pub(super) struct End {
    pub ending: Ending,
    pub netstat: String,
    /// Records that expectations look at, the first ones.
    pub records: usize,
}

/// A report in the making.
pub(super) struct Gathered {
    guests: Vec<GuestReport>,
    calls: Vec<Call>,
}

impl Gathered {
    pub fn new(plan: &Plan) -> Gathered {
        let guests = plan.guests.iter().map(|guest| GuestReport {
            name: guest.name.clone(),
            background: guest.background,
            exit: Exit::Stopped,
            at: Instant::FAR_FUTURE,
            left_open: LeftOpen::default(),
            stdout: Vec::new(),
            stderr: Vec::new(),
        });
        Gathered { guests: guests.collect(), calls: Vec::new() }
    }

    pub fn extend(&mut self, now: Instant, reports: Vec<world::Report>) {
        for report in reports {
            match report {
                world::Report::Exited { guest, exit, left_open } => {
                    self.guests[guest].exit = exit;
                    self.guests[guest].left_open = left_open;
                    self.guests[guest].at = now;
                }
                world::Report::Output { guest: number, output } => {
                    let guest = &mut self.guests[number];
                    match output.stream {
                        OutputStream::Stdout => guest.stdout.extend(output.bytes),
                        OutputStream::Stderr => guest.stderr.extend(output.bytes),
                        OutputStream::Trace => {
                            let line = String::from_utf8_lossy(&output.bytes).into_owned();
                            self.calls.push(Call { at: now, guest: number, line });
                        }
                    }
                }
            }
        }
    }

    pub fn finish(self, seed: u64, end: End, world: &World, kept: Kept, written: Written) -> Report {
        let End { ending, netstat, records: records_judged } = end;
        let session = world.session().clone();
        Report {
            lab: session.name.clone(),
            seed,
            ending,
            at: world.now(),
            guests: self.guests,
            totals: world.totals(),
            device_drops: world.device_drops(),
            calls: self.calls,
            netstat,
            verdicts: Vec::new(),
            records: kept.records,
            secrets: kept.secrets,
            qlogs: kept.qlogs,
            session,
            records_judged,
            written,
        }
    }
}
