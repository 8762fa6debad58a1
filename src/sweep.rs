//! Many runs of many labs, on as many threads as there are cores: each run a world of its own, in virtual time.
//!
//! Runs are handed out in order and reported as they end; what a run comes to depends on its lab and seed alone.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crossbeam_channel::bounded;

use crate::lab::{Lab, Report};

/// One run of a sweep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Job {
    /// Place in the list of labs.
    pub lab: usize,
    pub seed: u64,
    /// Run twice, and compare.
    pub verify: bool,
}

/// What became of a job.
#[derive(Debug)]
pub struct Outcome {
    pub job: Job,
    pub report: Report,
    /// What the second run had otherwise, if there was a second run and it had.
    pub difference: Option<String>,
}

impl Outcome {
    /// What a sweep cannot pass with: an expectation that is not met and has to be, or a run that is not repeatable.
    pub fn is_failure(&self) -> bool {
        self.difference.is_some()
            || self.report.verdicts.iter().any(|verdict| !verdict.is_met() && !verdict.sometimes)
    }
}

/// Results that may wait for whoever takes them: a report has its run's packets.
const WAITING_MAX: usize = 4;

/// Runs the jobs on `workers` threads. `take` has the outcomes in the order in which they end, and answers false to
/// stop; runs under way end first. Once `interrupted`, they are given up, and these are returned, in the order of the jobs.
pub fn run(
    labs: &[Lab],
    jobs: &[Job],
    workers: usize,
    interrupted: impl Fn() -> bool + Sync,
    mut take: impl FnMut(Outcome) -> bool,
) -> Vec<Job> {
    let next = AtomicUsize::new(0);
    let stop = AtomicBool::new(false);
    let (send, outcomes) = bounded(WAITING_MAX);
    std::thread::scope(|scope| {
        for _ in 0..workers.clamp(1, jobs.len().max(1)) {
            let send = send.clone();
            let (next, stop, interrupted) = (&next, &stop, &interrupted);
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let place = next.fetch_add(1, Ordering::Relaxed);
                    let Some(&job) = jobs.get(place) else { return };
                    let outcome = work(&labs[job.lab], job, &|| !interrupted());
                    let is_over = outcome.is_none();
                    if send.send((place, outcome)).is_err() || is_over {
                        return;
                    }
                }
            });
        }
        drop(send);
        let mut given_up = Vec::new();
        for (place, outcome) in outcomes {
            match outcome {
                Some(outcome) => {
                    if !take(outcome) {
                        stop.store(true, Ordering::Relaxed);
                    }
                }
                None => given_up.push(place),
            }
        }
        given_up.sort_unstable();
        given_up.into_iter().map(|place| jobs[place]).collect()
    })
}

/// `None` if it is not to go on.
fn work(lab: &Lab, job: Job, go_on: &dyn Fn() -> bool) -> Option<Outcome> {
    if !job.verify {
        return Some(Outcome { job, report: lab.run_while(job.seed, go_on)?, difference: None });
    }
    let report = lab.run_traced_while(job.seed, go_on)?;
    let difference = report.difference(&lab.run_traced_while(job.seed, go_on)?);
    Some(Outcome { job, report, difference })
}
