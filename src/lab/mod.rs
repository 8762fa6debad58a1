//! Labs in Rust's own tests: a scenario, run in virtual time with a seed, and a report of what came of it.
//!
//! ```
//! use guestnet::lab::Lab;
//!
//! let mut lab = Lab::from_toml("[guest.hello]\nmodule = 'hello.wat'", "lab.toml")?;
//! lab.set_module(
//!     "hello.wat",
//!     r#"(module
//!         (import "wasi_snapshot_preview1" "fd_write" (func $fd_write (param i32 i32 i32 i32) (result i32)))
//!         (memory (export "memory") 1)
//!         (data (i32.const 0) "\10\00\00\00\06\00\00\00")
//!         (data (i32.const 16) "hello\n")
//!         (func (export "_start") (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))"#,
//! );
//! let report = lab.run(1);
//! assert!(report.is_success(), "{report}");
//! assert_eq!(report.guest("hello").stdout(), "hello\n");
//! assert_eq!(report.capture(), lab.run(1).capture(), "the same seed, the same bytes");
//! # Ok::<(), guestnet::scenario::ScenarioError>(())
//! ```
//!
//! Without a file, [`Lab::builder`] describes one in Rust. A lab is compiled once and run as often as wanted. This folder is the library's front; it knows nothing of
//! terminals, files of captures, or wall-clock time.

/// The page on testing, whose examples are compiled here.
#[cfg(doctest)]
#[doc = include_str!("../../docs/testing.md")]
struct TestingPage;

mod builder;
mod counters;
mod difference;
mod digest;
mod files;
mod golden;
mod guests;
mod packets;
mod record;
mod report;
mod verdict;

pub use builder::{At, Entry, Expect, Guest, LabBuilder, Link};
pub use digest::Digests;
use files::Written;
pub use report::{Call, GuestReport, Report};
pub use verdict::{Found, Subject, Unmet, Verdict};

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use crate::folders::Folders;
use crate::guest::{Engine, EngineSettings};
use crate::scenario::assets::Assets;
use crate::scenario::plan::{GuestPlan, Plan, StdinPlan};
use crate::scenario::{self, ScenarioError};
use crate::sim::{self, Ending};
use crate::world::{Settings, World};

/// A lab, ready to be run.
pub struct Lab {
    /// The scenario file, if it came from one.
    path: Option<PathBuf>,
    plan: Plan,
    assets: Assets,
    engine: Engine,
    trace: bool,
}

impl Lab {
    /// Reads a scenario file and the modules that it names.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or there are mistakes in it.
    ///
    /// # Panics
    ///
    /// On a processor that the WebAssembly compiler does not know.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Lab, ScenarioError> {
        let plan = scenario::load(path.as_ref())?;
        let assets = Assets::read(&plan);
        Ok(Lab { path: Some(path.as_ref().to_owned()), ..Lab::new(plan, assets) })
    }

    /// A scenario from its text. `path` names it in messages, and the paths in it are relative to that folder;
    /// modules that are not there are for [`Lab::set_module`] to give.
    ///
    /// # Errors
    ///
    /// There are mistakes in the text.
    ///
    /// # Panics
    ///
    /// As [`Lab::from_file`].
    pub fn from_toml(text: &str, path: impl AsRef<Path>) -> Result<Lab, ScenarioError> {
        let plan = scenario::parse(text, path.as_ref())?;
        let assets = Assets::read(&plan);
        Ok(Lab::new(plan, assets))
    }

    /// A lab from its plan, with the files that the plan names.
    ///
    /// # Panics
    ///
    /// As [`Lab::from_file`].
    pub fn new(plan: Plan, assets: Assets) -> Lab {
        let settings = EngineSettings { guests: plan.guests.len(), ..EngineSettings::default() };
        let engine = Engine::new(settings).expect("the compiler knows this processor");
        Lab { path: None, plan, assets, engine, trace: false }
    }

    /// Keeps compiled modules in `folder`, for later labs and later processes.
    ///
    /// # Panics
    ///
    /// As [`Lab::from_file`].
    #[must_use]
    pub fn with_cache(self, folder: impl Into<PathBuf>) -> Lab {
        let settings = EngineSettings { guests: self.plan.guests.len(), cache_folder: Some(folder.into()) };
        let engine = Engine::new(settings).expect("the compiler knows this processor");
        Lab { engine, ..self }
    }

    /// Has reports tell the guests' calls too.
    #[must_use]
    pub fn with_trace(self) -> Lab {
        Lab { trace: true, ..self }
    }

    /// A guest's module, binary or text, from memory. `path` is as the scenario has it.
    pub fn set_module(&mut self, path: impl AsRef<Path>, module: impl Into<Vec<u8>>) {
        self.assets.insert(path.as_ref().to_owned(), module.into());
    }

    /// The file that the lab was read from.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// For what a test changes: a guest's arguments, a link's loss, the duration.
    pub fn plan_mut(&mut self) -> &mut Plan {
        &mut self.plan
    }

    /// Runs the lab in virtual time until it ends, or its duration is over. What guests write to directories is written to private
    /// copies, which go with the report, and the standard input that a guest would inherit is empty: a run depends on nothing but
    /// the lab and its seed.
    pub fn run(&self, seed: u64) -> Report {
        self.run_with(&self.plan, seed, self.trace, &|| true)
    }

    /// As [`Lab::run`], for as long as `go_on` says so: `None` if it did not.
    pub fn run_while(&self, seed: u64, go_on: &dyn Fn() -> bool) -> Option<Report> {
        let report = self.run_with(&self.plan, seed, self.trace, go_on);
        (report.ending != Ending::Interrupted).then_some(report)
    }

    /// As [`Lab::run_while`], with the guests' calls traced.
    pub fn run_traced_while(&self, seed: u64, go_on: &dyn Fn() -> bool) -> Option<Report> {
        let report = self.run_with(&self.plan, seed, true, go_on);
        (report.ending != Ending::Interrupted).then_some(report)
    }

    /// Runs another plan with this lab's modules and files: the same lab with something left out, say.
    pub fn run_variant(&self, plan: &Plan, seed: u64) -> Report {
        self.run_with(plan, seed, self.trace, &|| true)
    }

    /// As [`Lab::run_variant`], for as long as `go_on` says so: `None` if it did not.
    pub fn run_variant_while(&self, plan: &Plan, seed: u64, go_on: &dyn Fn() -> bool) -> Option<Report> {
        let report = self.run_with(plan, seed, self.trace, go_on);
        (report.ending != Ending::Interrupted).then_some(report)
    }

    fn run_with(&self, plan: &Plan, seed: u64, trace: bool, go_on: &dyn Fn() -> bool) -> Report {
        let plan = &*without_terminal(plan);
        // Or what came of a run would depend on those before it, and on those beside it.
        let folders = Folders::private(plan);
        let settings = Settings { trace, folders: folders.clone(), ..Settings::sim(plan, seed) };
        let mut world = World::new(plan, &self.assets, settings, &self.engine, &mut |_| ());
        let records = record::Records::default();
        world.set_sink(Box::new(records.clone()));
        world.set_qlogs(records.qlogs());
        let mut gathered = report::Gathered::new(plan);
        let ending = sim::until_end(&mut world, plan.duration, |world, reports| {
            gathered.extend(world.now(), reports);
            go_on()
        });
        // Where a lab ends by itself nobody is cut short: what servers in the background still say belongs to it.
        let judged = if ending == Ending::Over { usize::MAX } else { records.count() };
        let end = report::End { ending, netstat: world.netstat(), records: judged };
        world.stop();
        gathered.extend(world.now(), world.take_reports());
        let written = Written::new(plan, folders);
        let mut report = gathered.finish(seed, end, &world, records.take(), written);
        report.verdicts = verdict::judge(plan, &self.assets, &report);
        report
    }
}

/// The plan with an empty input for the guest that would inherit a program's own: here nobody would write to it or end it.
fn without_terminal(plan: &Plan) -> Cow<'_, Plan> {
    let inherits = |guest: &GuestPlan| guest.stdin == StdinPlan::Inherit;
    let mut plan = Cow::Borrowed(plan);
    if plan.guests.iter().any(inherits) {
        let guests = plan.to_mut().guests.iter_mut().filter(|guest| inherits(guest));
        guests.for_each(|guest| guest.stdin = StdinPlan::Empty);
    }
    plan
}
