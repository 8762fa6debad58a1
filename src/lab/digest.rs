//! A run in three digests, for comparisons of many runs on other machines, with other builds, with other numbers of threads.

use std::fmt;

use sha2::{Digest, Sha256};

use super::Report;

/// SHA-256 of what a run came to. Two runs with the same digests are the same to the byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digests {
    /// Of its pcapng file.
    pub capture: String,
    /// Of the guests' calls, if they were traced.
    pub calls: String,
    /// Of how the lab and its guests ended, what guests wrote, and what became of each expectation.
    pub verdicts: String,
}

impl Report {
    pub fn digests(&self) -> Digests {
        let mut calls = Sha256::new();
        for call in &self.calls {
            calls.update(format!("{:?}\n", (call.at, call.guest, &call.line)));
        }
        let mut verdicts = Sha256::new();
        verdicts.update(format!(
            "{:?}\n",
            (&self.ending, self.at, self.totals, &self.device_drops, &self.netstat)
        ));
        for guest in &self.guests {
            verdicts.update(format!("{guest:?}\n"));
        }
        for verdict in &self.verdicts {
            verdicts.update(format!("{verdict:?}\n"));
        }
        Digests {
            capture: hexadecimal(&Sha256::digest(self.capture())),
            calls: hexadecimal(&calls.finalize()),
            verdicts: hexadecimal(&verdicts.finalize()),
        }
    }
}

impl fmt::Display for Digests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "capture {} calls {} verdicts {}", self.capture, self.calls, self.verdicts)
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
