//! Guests: compiled modules, started on nodes, run by turns.
//!
//! ```text
//! Engine (settings, modules by path) --> Guest::start --> Guest::run() -> Yielded | Blocked | Exited
//! ```
//!
//! A guest is a fiber that the world resumes; it is never resumed by anything else, so one thread runs a
//! whole world and calls that wait cost a switch, not a wake-up. This folder and `abi/` alone know wasmtime.

mod engine;
mod exit;
mod foreign;

pub use engine::{Engine, EngineSettings, Program};
pub use exit::Exit;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context as TaskContext, Poll, Wake, Waker};

use wasmtime::Store;

use crate::abi::{self, Setup, SharedNode};

/// Fuel, about one unit an instruction, that a guest runs for before another has its turn.
const QUANTUM_FUEL: u64 = 100_000;
/// However slow its processor is: turns cost the host something.
const QUANTUM_FUEL_MIN: u64 = 1_000;

/// What a turn came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Its quantum ended; it would run on.
    Yielded,
    /// It waits for its node to be woken.
    Blocked,
    Exited(Exit),
}

/// Limits of one guest.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// `None`: no limit.
    pub fuel_max: Option<u64>,
    /// Units that take a second of virtual time.
    pub cpu_hz: u64,
}

impl Limits {
    /// What a guest is given to use.
    pub fn fuel(&self) -> u64 {
        self.fuel_max.unwrap_or(u64::MAX)
    }

    /// Fuel of one turn: on a slow processor less, so that a turn takes little virtual time.
    pub fn quantum_fuel(&self) -> u64 {
        const TURNS_PER_SECOND: u64 = 10_000;
        (self.cpu_hz / TURNS_PER_SECOND).clamp(QUANTUM_FUEL_MIN, QUANTUM_FUEL)
    }
}

/// A guest at work, or about to be.
pub struct Guest {
    run: Pin<Box<dyn Future<Output = Exit> + Send>>,
    waker: Waker,
    yielded: Arc<Yielded>,
    quantum_fuel: u64,
}

/// wasmtime wakes the task when it yields for fuel; nothing else here uses wakers.
#[derive(Default)]
struct Yielded(AtomicBool);

impl Wake for Yielded {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Guest {
    /// Makes a store and an instance of `program` on `node`; nothing runs before the first [`Guest::run`].
    ///
    /// # Errors
    /// What `setup` names and cannot be had, such as a directory.
    pub fn start(program: &Program, node: SharedNode, setup: Setup, limits: Limits) -> Result<Guest, Exit> {
        let failed = |error: wasmtime::Error| Exit::Failed(format!("{error:#}"));
        let context = abi::Context::new(node, setup).map_err(failed)?;
        let mut store = Store::new(program.engine(), context);
        store.limiter(|context| &mut context.limits);
        store.set_fuel(limits.fuel()).map_err(failed)?;
        let quantum_fuel = limits.quantum_fuel();
        store.fuel_async_yield_interval(Some(quantum_fuel)).map_err(failed)?;
        let program = program.clone();
        let run = async move {
            let result = async {
                // What takes much room, and is over before the guest runs, is not kept for as long as it does.
                Box::pin(store.data_mut().establish()).await?;
                let instance = Box::pin(program.instantiate(&mut store)).await?;
                let start = instance.get_typed_func::<(), ()>(&mut store, "_start")?;
                start.call_async(&mut store, ()).await
            };
            Exit::of(result.await)
        };
        let yielded = Arc::new(Yielded::default());
        Ok(Guest { run: Box::pin(run), waker: Arc::clone(&yielded).into(), yielded, quantum_fuel })
    }

    /// Fuel that a turn which ended by [`Step::Yielded`] took, or a little less.
    pub fn quantum_fuel(&self) -> u64 {
        self.quantum_fuel
    }

    /// Runs until the guest waits, ends, or has used its quantum. Not to be called again after `Exited`.
    pub fn run(&mut self) -> Step {
        self.yielded.0.store(false, Ordering::Relaxed);
        match self.run.as_mut().poll(&mut TaskContext::from_waker(&self.waker)) {
            Poll::Ready(exit) => Step::Exited(exit),
            Poll::Pending if self.yielded.0.load(Ordering::Relaxed) => Step::Yielded,
            Poll::Pending => Step::Blocked,
        }
    }
}
