//! A guest's processor: what it has computed takes time on its clocks.
//!
//! The world runs a guest's turn at one instant, and the guest's clocks run on while it computes: they are *ahead* of
//! the world by what its fuel comes to. When its quantum ends it waits until the world has caught up, so it is never
//! ahead by more than a quantum. Time that passes while the guest waits for something else counts as well: a clock is
//! never behind the world's.

use crate::time::Instant;

/// Fuel against time.
#[derive(Debug)]
pub struct Cpu {
    /// Units of fuel that take a second; `None`: time passes by itself.
    hz: Option<u64>,
    /// Fuel charged so far.
    fuel: u64,
    /// What `fuel` was when the quantum under way began.
    quantum_began: u64,
    /// What the guest's clocks have shown, or would have.
    ahead: Instant,
}

impl Cpu {
    pub fn new(hz: Option<u64>) -> Cpu {
        Cpu { hz, fuel: 0, quantum_began: 0, ahead: Instant::START }
    }

    /// The guest has used `fuel` since it was started.
    pub fn charge(&mut self, now: Instant, fuel: u64) {
        let Some(hz) = self.hz.filter(|_| fuel > self.fuel) else { return };
        let nanos = nanoseconds(fuel, hz) - nanoseconds(self.fuel, hz);
        self.fuel = fuel;
        self.ahead = Instant::from_nanos(self.clock(now).nanos().saturating_add(nanos));
    }

    /// A quantum has ended without a call that would say how much was used in all.
    pub fn charge_quantum(&mut self, now: Instant, quantum_fuel: u64) {
        let fuel = self.quantum_began.saturating_add(quantum_fuel);
        self.charge(now, fuel);
        self.quantum_began = fuel.max(self.fuel);
    }

    /// Of what was charged, so much is no part of the quantum under way.
    pub fn move_quantum(&mut self, fuel: u64) {
        self.quantum_began = self.quantum_began.saturating_add(fuel);
    }

    /// The time on the guest's monotonic clock.
    pub fn clock(&self, now: Instant) -> Instant {
        self.ahead.max(now)
    }

    /// Another program is started on it.
    pub fn restart(&mut self) {
        (self.fuel, self.quantum_began) = (0, 0);
    }
}

/// Of the sum, not of each part: what is rounded off once is made up for later.
fn nanoseconds(fuel: u64, hz: u64) -> u64 {
    const NANOSECONDS: u64 = 1_000_000_000;
    if hz == NANOSECONDS {
        return fuel;
    }
    let nanos = u128::from(fuel) * u128::from(NANOSECONDS) / u128::from(hz);
    u64::try_from(nanos).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(nanos: u64) -> Instant {
        Instant::from_nanos(nanos)
    }

    #[test]
    fn fuel_is_charged_to_the_unit_and_fractions_are_kept() {
        let mut cpu = Cpu::new(Some(3_000_000_000));
        for fuel in 1..=10 {
            cpu.charge(at(100), fuel);
        }
        assert_eq!(cpu.clock(at(100)), at(103));
        cpu.charge(at(100), 3_000_000_000);
        assert_eq!(cpu.clock(at(100)), at(1_000_000_100));
    }

    #[test]
    fn waiting_and_computing_do_not_add_up() {
        let mut cpu = Cpu::new(Some(1_000_000_000));
        cpu.charge(at(0), 60);
        assert_eq!(cpu.clock(at(10)), at(60), "never back");
        assert_eq!(cpu.clock(at(1000)), at(1000), "the world has caught up");
        cpu.charge(at(1000), 100);
        assert_eq!(cpu.clock(at(1000)), at(1040));
    }

    #[test]
    fn a_quantum_is_charged_once() {
        let mut cpu = Cpu::new(Some(1_000_000_000));
        cpu.charge(at(0), 70);
        cpu.charge_quantum(at(0), 100);
        assert_eq!(cpu.clock(at(0)), at(100));
        cpu.charge_quantum(at(100), 100);
        assert_eq!(cpu.clock(at(100)), at(200));
        // It had used a little more than whole quanta when it told.
        cpu.charge(at(200), 205);
        assert_eq!(cpu.clock(at(200)), at(205));
    }

    #[test]
    fn what_the_host_does_comes_on_top_of_a_quantum() {
        let mut cpu = Cpu::new(Some(1_000_000_000));
        // 70 units of the guest's own, 500 of the host's.
        cpu.charge(at(0), 570);
        cpu.move_quantum(500);
        assert_eq!(cpu.clock(at(0)), at(570));
        cpu.charge_quantum(at(570), 100);
        assert_eq!(cpu.clock(at(570)), at(600));
    }

    #[test]
    fn live_nothing_is_charged() {
        let mut cpu = Cpu::new(None);
        cpu.charge(at(5), 1_000);
        cpu.charge_quantum(at(5), 1_000);
        assert_eq!(cpu.clock(at(5)), at(5));
    }
}
