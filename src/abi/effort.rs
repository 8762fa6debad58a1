//! What the host does for a guest's calls, as far as the guest decides how much that is.
//!
//! Fuel counts a guest's instructions, and a call is one of them whatever it asks for. So a call tells how many bytes it
//! had to look at, unless something else bounds them, as buffers do what is read from a stream or written to it. A guest
//! whose calls of one turn come to more than [`TURN_BYTES`] has its turn ended, and what they come to is charged as
//! fuel: to its clocks and to its limit. Below that nothing is charged, and few programs ever get there.

use wasmtime::Trap;

use super::{Context, suspend};

/// Bytes that the host copies, fills or checks in one turn of a guest: some 100 microseconds.
pub(super) const TURN_BYTES: u64 = 256 * 1024;
/// Bytes that take as long as a unit of fuel.
const FUEL_BYTES: u64 = 4;

/// Of one guest.
#[derive(Debug)]
pub(super) struct Effort {
    /// What the guest had when it was started.
    fuel_at_start: u64,
    /// What it had used when the call under way began, the host's work for it included.
    fuel_used: u64,
    /// What the host's work was charged as.
    host_fuel: u64,
    /// Fuel of its own for one turn, and what it will have used when the one under way ends, as good as.
    quantum_fuel: u64,
    turn_ends: u64,
    /// Bytes of this turn.
    bytes: u64,
}

impl Effort {
    pub fn new(fuel_at_start: u64, quantum_fuel: u64) -> Effort {
        let turn_ends = quantum_fuel;
        Effort { fuel_at_start, fuel_used: 0, host_fuel: 0, quantum_fuel, turn_ends, bytes: 0 }
    }

    pub fn fuel_used(&self) -> u64 {
        self.fuel_used
    }

    /// A call begins, `left` being the guest's fuel.
    ///
    /// # Errors
    /// It has used all of its fuel, with what the host did for it.
    pub fn begin(&mut self, left: u64) -> Result<(), Trap> {
        let own = self.fuel_at_start.saturating_sub(left);
        if own >= self.turn_ends {
            self.turn_ends = (own - own % self.quantum_fuel).saturating_add(self.quantum_fuel);
            self.begin_turn();
        }
        self.fuel_used = own.saturating_add(self.host_fuel);
        self.within_limit()
    }

    fn within_limit(&self) -> Result<(), Trap> {
        if self.fuel_used > self.fuel_at_start { Err(Trap::OutOfFuel) } else { Ok(()) }
    }

    /// The call under way has so many bytes to look at.
    pub fn add(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_add(bytes as u64);
    }

    /// The call under way is dear, whatever it says.
    pub fn add_turn(&mut self) {
        self.add(TURN_BYTES as usize + 1);
    }

    pub fn is_turn_over(&self) -> bool {
        self.bytes > TURN_BYTES
    }

    /// The guest has waited for something, or used its quantum: another turn.
    pub fn begin_turn(&mut self) {
        self.bytes = 0;
    }

    /// Charges the bytes of this turn; how much fuel they are.
    fn settle(&mut self) -> u64 {
        let fuel = std::mem::take(&mut self.bytes) / FUEL_BYTES;
        self.host_fuel = self.host_fuel.saturating_add(fuel);
        self.fuel_used = self.fuel_used.saturating_add(fuel);
        fuel
    }
}

impl Context {
    /// Ends the turn of a guest that has the host do much, until its processor would have done that.
    ///
    /// # Errors
    /// With that it has used all of its fuel.
    #[cold]
    pub(super) async fn end_turn(&mut self) -> Result<(), Trap> {
        let host_fuel = self.effort.settle();
        {
            let mut node = self.charged();
            node.cpu.move_quantum(host_fuel);
            let at = node.clock();
            node.wake_at(at);
        }
        suspend(&mut self.effort).await;
        self.effort.within_limit()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_charged_below_a_turn_and_all_of_it_above() {
        let mut effort = Effort::new(1_000_000, 100_000);
        effort.begin(999_000).unwrap();
        effort.add(TURN_BYTES as usize);
        assert!(!effort.is_turn_over());
        effort.add(4);
        assert!(effort.is_turn_over());
        assert_eq!((effort.settle(), effort.fuel_used()), (65_537, 66_537));
        assert!(!effort.is_turn_over());
        // The guest has run on.
        effort.begin(998_000).unwrap();
        assert_eq!(effort.fuel_used(), 67_537);
        // With a quantum of its own used up, another turn has begun.
        effort.add(TURN_BYTES as usize);
        effort.begin(899_999).unwrap();
        effort.add(TURN_BYTES as usize);
        assert!(!effort.is_turn_over());
    }

    #[test]
    fn work_of_the_host_uses_fuel_up() {
        let mut effort = Effort::new(100_000, 100_000);
        effort.add_turn();
        effort.settle();
        assert_eq!(effort.begin(65_536), Ok(()));
        assert_eq!(effort.begin(65_535), Err(Trap::OutOfFuel));
    }

    #[test]
    fn whoever_has_no_limit_never_meets_it() {
        let mut effort = Effort::new(u64::MAX, 100_000);
        for _ in 0..3 {
            effort.add(usize::MAX);
            effort.settle();
        }
        assert_eq!(effort.begin(0), Ok(()));
    }
}
