//! What `guestnet test` says: a line for each scenario, and failures in full.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::PathBuf;

use guestnet::lab::{Lab, Report};
use guestnet::sweep::{Job, Outcome};

use super::replay;

/// Packets and calls that are told of a failure.
const PACKETS_TOLD: usize = 12;
const CALLS_TOLD: usize = 8;
/// Guests up to which those of all are told.
const GUESTS_TOLD: usize = 4;
/// Of each, so many after it.
const TOLD_AFTER: usize = 4;
/// Seeds that are told of a scenario that failed with many.
const SEEDS_TOLD: usize = 8;

/// Why a scenario has no run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skipped {
    Live,
    Shard,
    Failure,
    UnderWay,
    Interrupted,
    Time,
}

impl Skipped {
    pub fn as_str(self) -> &'static str {
        match self {
            Skipped::Live => "it has a TAP or sockets of the host, which virtual time cannot run",
            Skipped::Shard => "no seed of it is in this shard",
            Skipped::Failure => "not run, after another's failure",
            Skipped::UnderWay => "under way when all was stopped, and given up",
            Skipped::Interrupted => "not run before Ctrl-C",
            Skipped::Time => "not run before --time was over",
        }
    }
}

/// A scenario and what became of its runs so far.
pub struct Scenario {
    pub path: PathBuf,
    pub runs: usize,
    /// Runs that it has in all shards together.
    pub planned: usize,
    /// Why it has no run, once that is known.
    pub skipped: Option<Skipped>,
    /// Its captures' name, without the seed.
    pub capture: String,
    /// Lines of expectations that one seed is enough for.
    sometimes: Vec<usize>,
    failed_seeds: Vec<u64>,
    /// Those of `sometimes` that were met.
    met: BTreeSet<usize>,
    /// The failures as they were told, in the order of their seeds.
    told: Vec<String>,
}

impl Scenario {
    pub fn new(path: PathBuf, lab: &Lab) -> Scenario {
        let sometimes = lab.plan().expectations.iter().filter(|e| e.sometimes).map(|e| e.line).collect();
        Scenario {
            path,
            runs: 0,
            planned: 0,
            skipped: None,
            capture: String::new(),
            sometimes,
            failed_seeds: Vec::new(),
            met: BTreeSet::new(),
            told: Vec::new(),
        }
    }

    pub fn count(&mut self, run: &Run) {
        self.runs += 1;
        self.met.extend(&run.met);
        if run.failed {
            self.failed_seeds.push(run.job.seed);
        }
    }

    /// A failure that was told, for whoever reads the report.
    pub fn tell(&mut self, text: String) {
        self.told.push(text);
    }

    pub fn told(&self) -> &[String] {
        &self.told
    }

    /// Runs that failed.
    pub fn failures(&self) -> usize {
        self.failed_seeds.len()
    }

    /// Expectations that no seed met, though one would have been enough. One seed alone is no sweep, and where others ran elsewhere or
    /// not at all nobody can tell.
    pub fn never_met(&self) -> Vec<String> {
        if self.runs < self.planned || self.runs <= 1 {
            return Vec::new();
        }
        let missed = self.sometimes.iter().filter(|line| !self.met.contains(line));
        missed
            .map(|line| format!("what line {line} expects came true with none of {} seeds", self.runs))
            .collect()
    }

    pub fn has_failed(&self) -> bool {
        !self.failed_seeds.is_empty() || !self.never_met().is_empty()
    }

    /// `ok   path (100 seeds)`.
    pub fn line(&self) -> String {
        let path = self.path.display();
        if let Some(missed) = self.never_met().first()
            && self.failed_seeds.is_empty()
        {
            return format!("FAIL {path}: {missed}");
        }
        // Other parts of a sweep ran elsewhere, or not at all.
        let runs = match (self.runs, self.planned) {
            (runs, planned) if runs < planned => format!("{runs} of {planned} seeds"),
            (1, _) => "1 seed".to_owned(),
            (runs, _) => format!("{runs} seeds"),
        };
        let open = self.not_judged();
        if self.failed_seeds.is_empty() {
            return format!("ok   {path} ({runs}){open}");
        }
        let told: Vec<_> = self.failed_seeds.iter().take(SEEDS_TOLD).map(u64::to_string).collect();
        let more = if self.failed_seeds.len() > SEEDS_TOLD { ", ..." } else { "" };
        let (failed, ran) = (self.failed_seeds.len(), self.runs);
        let seeds = if ran == 1 { "seed" } else { "seeds" };
        let cut = if ran < self.planned { format!("; {runs} were run") } else { String::new() };
        format!("FAIL {path}: {failed} of {ran} {seeds} failed: {}{more}{cut}{open}", told.join(", "))
    }

    /// What one seed is enough for, where not all of them ran and none of those met it: `; not judged: line 28`.
    pub fn not_judged(&self) -> String {
        let open = self.sometimes.iter().filter(|line| !self.met.contains(line)).map(usize::to_string);
        let open: Vec<_> = open.collect();
        if self.runs == self.planned || open.is_empty() {
            return String::new();
        }
        format!("; not judged: line {}", open.join(", "))
    }
}

/// What stays of a run until its turn to be told.
pub struct Run {
    pub job: Job,
    pub failed: bool,
    /// Lines of expectations that one seed is enough for, met by it.
    met: BTreeSet<usize>,
    /// Of a failure that may be told in full.
    pub outcome: Option<Outcome>,
}

impl Run {
    pub fn new(outcome: Outcome) -> Run {
        let met = outcome.report.verdicts.iter().filter(|verdict| verdict.is_met() && verdict.sometimes);
        let met = met.filter_map(|verdict| verdict.line).collect();
        let failed = outcome.is_failure();
        Run { job: outcome.job, failed, met, outcome: failed.then_some(outcome) }
    }
}

/// A failure in full. The lab is run once more for the guests' calls, if they were not traced and for as long as `go_on` says: it
/// does the same again.
pub fn failure(
    lab: &Lab,
    scenario: &Scenario,
    outcome: &Outcome,
    capture: &str,
    go_on: &dyn Fn() -> bool,
) -> String {
    let (report, seed) = (&outcome.report, outcome.job.seed);
    let path = scenario.path.display();
    let mut text = format!("---- {path}, seed {seed}\n");
    if let Some(difference) = &outcome.difference {
        let _ = writeln!(text, "expected: the same run again\nfound: {difference}");
    }
    let unmet = || report.verdicts.iter().filter(|verdict| !verdict.sometimes && !verdict.is_met());
    for verdict in unmet() {
        let _ = writeln!(text, "{verdict}");
    }
    // The first thing that went wrong is the nearest to why.
    if let Some(found) = unmet().filter_map(|verdict| verdict.found.as_ref()).min_by_key(|found| found.at) {
        let at = found.at;
        // Among many what a guest did is not to be seen.
        let guest = found.guests.first().map(|(guest, _)| *guest);
        let of = guest.filter(|_| report.guests.len() > GUESTS_TOLD);
        let whose = of.map(|guest| format!(" of {}", report.guests[guest].name)).unwrap_or_default();
        let packets = report.packets_around(of, at, PACKETS_TOLD, TOLD_AFTER);
        let around = |report: &Report| report.calls_around(of, at, CALLS_TOLD, TOLD_AFTER);
        let calls = if report.calls.is_empty() {
            lab.run_traced_while(seed, go_on).as_ref().map(around).unwrap_or_default()
        } else {
            around(report)
        };
        for (what, lines) in [("packets", packets), ("calls", calls)] {
            if !lines.is_empty() {
                let _ = writeln!(text, "{what}{whose} around {at} s:\n  {}", lines.join("\n  "));
            }
        }
    }
    let _ = writeln!(text, "capture: {capture}");
    text.push_str(&replay::lines(lab, &scenario.path, seed, outcome.difference.is_some()));
    text
}
