//! How a guest ended.

use std::fmt;

use crate::abi::ProcExit;

/// How a guest ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It returned from `_start` (0) or called `proc_exit`.
    Code(u32),
    /// It trapped: the reason, and a backtrace of its functions.
    Trap { reason: String, backtrace: String },
    /// It used all of its fuel.
    OutOfFuel { backtrace: String },
    /// It could not be started, or something that is not its doing ended it.
    Failed(String),
    /// The lab ended before it did.
    Stopped,
    /// The scenario's timeline killed it.
    Killed,
}

impl Exit {
    pub(super) fn of(result: wasmtime::Result<()>) -> Exit {
        let Err(error) = result else { return Exit::Code(0) };
        if let Some(ProcExit(code)) = error.downcast_ref::<ProcExit>() {
            return Exit::Code(*code);
        }
        let backtrace =
            error.downcast_ref::<wasmtime::WasmBacktrace>().map_or_else(String::new, ToString::to_string);
        match error.downcast_ref::<wasmtime::Trap>() {
            Some(wasmtime::Trap::OutOfFuel) => Exit::OutOfFuel { backtrace },
            Some(trap) => Exit::Trap { reason: trap.to_string(), backtrace },
            // The backtrace is a cause of its own, and stands first: what happened is said by the others.
            None => {
                let causes = error.chain().map(ToString::to_string).filter(|cause| *cause != backtrace);
                Exit::Failed(failure(&causes.collect::<Vec<_>>().join(": ")))
            }
        }
    }

    /// What the program exits with if this is its only guest: the guest's own code, as far as a process can
    /// have it, or what a shell shows for an abort.
    pub fn status(&self) -> u8 {
        match self {
            // A process keeps 8 bits; a code must not turn into success by losing the others.
            Exit::Code(code) => u8::try_from(*code).unwrap_or(match *code as u8 {
                0 => 255,
                low => low,
            }),
            Exit::Trap { .. } | Exit::OutOfFuel { .. } => 134,
            Exit::Failed(_) => 1,
            Exit::Stopped => 130,
            Exit::Killed => 137,
        }
    }

    /// It did what the scenario wants: it exited with 0, or was to be killed.
    pub fn is_success(&self) -> bool {
        matches!(self, Exit::Code(0) | Exit::Killed)
    }
}

/// What could not be had, and by which limit where that is known.
fn failure(error: &str) -> String {
    // ENOMEM comes from mmap(2), under whichever of wasmtime's error types.
    if error.ends_with("(os error 12)") {
        return format!(
            "{error}: memory is short, or the lab has more mappings than vm.max_map_count allows (three for each \
             guest; 65530 if nobody raised it, enough for 21,000 guests): sysctl -w vm.max_map_count=1000000"
        );
    }
    error.to_owned()
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let trail = |backtrace: &str| {
            if backtrace.is_empty() { String::new() } else { format!("\n{}", backtrace.trim_end()) }
        };
        match self {
            Exit::Code(code) => write!(f, "exited with {code}"),
            Exit::Trap { reason, backtrace } => write!(f, "trapped: {reason}{}", trail(backtrace)),
            Exit::OutOfFuel { backtrace } => write!(f, "ran out of fuel{}", trail(backtrace)),
            Exit::Failed(why) => write!(f, "could not run: {why}"),
            Exit::Stopped => write!(f, "stopped with the lab"),
            Exit::Killed => write!(f, "killed by the timeline"),
        }
    }
}
