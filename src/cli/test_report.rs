//! What `guestnet test` says: a line for each scenario, failures in full, and JUnit's XML.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::PathBuf;
use std::time::Duration;

use guestnet::lab::Lab;
use guestnet::sweep::Outcome;

/// Packets and calls that are told of a failure.
const PACKETS_TOLD: usize = 12;
const CALLS_TOLD: usize = 8;
/// Of each, so many after it.
const TOLD_AFTER: usize = 4;
/// Seeds that are told of a scenario that failed with many.
const SEEDS_TOLD: usize = 8;

/// Why a scenario has no run.
pub const SKIPPED: &str = "it has a TAP, which virtual time cannot run, or no seed of this shard";

/// A scenario and what became of its runs so far.
pub struct Scenario {
    pub path: PathBuf,
    pub runs: usize,
    failed_seeds: Vec<u64>,
    /// Lines of expectations that one seed is enough for, met by one.
    met: BTreeSet<usize>,
    /// The failures as they were told.
    told: Vec<String>,
}

impl Scenario {
    pub fn new(path: PathBuf) -> Scenario {
        Scenario { path, runs: 0, failed_seeds: Vec::new(), met: BTreeSet::new(), told: Vec::new() }
    }

    pub fn count(&mut self, outcome: &Outcome) {
        self.runs += 1;
        let met = outcome.report.verdicts.iter().filter(|verdict| verdict.is_met() && verdict.sometimes);
        self.met.extend(met.filter_map(|verdict| verdict.line));
        if outcome.is_failure() {
            self.failed_seeds.push(outcome.job.seed);
            self.told.push(outcome.report.to_string());
        }
    }

    /// Runs that failed.
    pub fn failures(&self) -> usize {
        self.failed_seeds.len()
    }

    /// Expectations that no seed met, though one would have been enough. One seed alone is no sweep.
    pub fn never_met(&self, labs: &[Lab]) -> Vec<String> {
        let Some(lab) = labs.iter().find(|lab| lab.path() == Some(&self.path)).filter(|_| self.runs > 1)
        else {
            return Vec::new();
        };
        let wanted = lab.plan().expectations.iter().filter(|expectation| expectation.sometimes);
        let missed = wanted.filter(|expectation| !self.met.contains(&expectation.line));
        missed
            .map(|e| format!("what line {} expects came true with none of {} seeds", e.line, self.runs))
            .collect()
    }

    pub fn has_failed(&self, labs: &[Lab]) -> bool {
        !self.failed_seeds.is_empty() || !self.never_met(labs).is_empty()
    }

    /// `ok   path (100 seeds)`.
    pub fn line(&self, labs: &[Lab]) -> String {
        let path = self.path.display();
        if let Some(missed) = self.never_met(labs).first()
            && self.failed_seeds.is_empty()
        {
            return format!("FAIL {path}: {missed}");
        }
        let runs = if self.runs == 1 { "1 seed".to_owned() } else { format!("{} seeds", self.runs) };
        if self.failed_seeds.is_empty() {
            return format!("ok   {path} ({runs})");
        }
        let mut seeds = self.failed_seeds.clone();
        seeds.sort_unstable();
        let told: Vec<_> = seeds.iter().take(SEEDS_TOLD).map(u64::to_string).collect();
        let more = if seeds.len() > SEEDS_TOLD { ", ..." } else { "" };
        format!("FAIL {path}: {} of {runs} failed: {}{more}", seeds.len(), told.join(", "))
    }
}

/// A failure in full. The lab is run once more for the guests' calls: it does the same again.
pub fn failure(lab: &Lab, scenario: &Scenario, outcome: &Outcome, capture: &str) -> String {
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
    if let Some(found) = unmet().find_map(|verdict| verdict.found.as_ref()) {
        let packets = report.packets_around(found.at, PACKETS_TOLD, TOLD_AFTER);
        if !packets.is_empty() {
            text.push_str("packets around it:\n");
        }
        packets.iter().for_each(|packet| {
            let _ = writeln!(text, "  {packet}");
        });
        let calls = lab.calls_around(seed, found.at, CALLS_TOLD, TOLD_AFTER);
        if !calls.is_empty() {
            text.push_str("calls around it:\n");
        }
        calls.iter().for_each(|call| {
            let _ = writeln!(text, "  {call}");
        });
    }
    let _ = writeln!(text, "capture: {capture}");
    let _ = write!(text, "again: guestnet run --sim --seed {seed} --trace --capture again.pcapng {path}");
    text
}

/// The results as JUnit's XML: a case for each scenario.
pub fn junit(scenarios: &[Scenario], labs: &[Lab], elapsed: Duration) -> String {
    let failures = scenarios.iter().filter(|scenario| scenario.has_failed(labs)).count();
    let skipped = scenarios.iter().filter(|scenario| scenario.runs == 0).count();
    let mut xml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"guestnet\" tests=\"{}\" failures=\"{failures}\" \
         skipped=\"{skipped}\" time=\"{:.3}\">\n",
        scenarios.len(),
        elapsed.as_secs_f64()
    );
    for scenario in scenarios {
        let folder = scenario.path.parent().map(|parent| parent.display().to_string()).unwrap_or_default();
        let name =
            scenario.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let _ = write!(xml, "  <testcase classname=\"{}\" name=\"{}\">", escape(&folder), escape(&name));
        if scenario.runs == 0 {
            let _ = write!(xml, "<skipped message=\"{}\"/>", escape(SKIPPED));
        }
        if scenario.has_failed(labs) {
            let told = [scenario.told.clone(), scenario.never_met(labs)].concat().join("\n\n");
            let _ = write!(
                xml,
                "<failure message=\"{}\">{}</failure>",
                escape(&scenario.line(labs)),
                escape(&told)
            );
        }
        xml.push_str("</testcase>\n");
    }
    xml.push_str("</testsuite>\n");
    xml
}

/// For XML 1.0, which has no place for most control characters.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '"' => escaped.push_str("&quot;"),
            '\n' | '\t' => escaped.push(c),
            c if c.is_control() || ('\u{fffe}'..='\u{ffff}').contains(&c) => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}
