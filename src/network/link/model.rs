//! A direction that is not ideal: what happens to a frame, in this order.
//!
//! ```text
//! down, MTU --> duplication, loss --> for each copy: corruption --> overtaking? --> arrives at once
//!                                                                       |
//!                                          RED, limits --> backlog --> wire --> delay, jitter --> arrives
//!                                                           CoDel as it leaves
//! ```

use super::backlog::{Backlog, Deviation, Held, Leaving};
use super::chance::Correlated;
use super::codel::CoDel;
use super::jitter::JitterState;
use super::loss::LossState;
use super::parameters::{Discipline, HEADER_BYTES, LinkParameters, Rate, RedParameters};
use super::red::Red;
use super::wire::{Wire, serialisation};
use super::{DropReason, Outcome, Verdict, corrupt, ecn};
use crate::network::Frame;
use crate::rng::Rng;
use crate::time::Instant;

/// A frame's length on average, for how fast RED's average falls while nothing waits (tc-red(8) calls it `avpkt`).
const MEAN_FRAME_BYTES: u64 = 1000;

#[derive(Debug, Default)]
pub(super) struct Model {
    parameters: LinkParameters,
    loss: LossState,
    duplicate: Correlated,
    corrupt: Correlated,
    reorder: Correlated,
    /// Frames since the last one that overtook.
    since_overtaking: u64,
    jitter: JitterState,
    backlog: Backlog,
    codel: CoDel,
    red: Red,
    wire: Wire,
    /// When a frame last began to leave.
    last_start: Instant,
    /// When the last frame that keeps its place arrives.
    last_arrival: Instant,
    /// Frames wait here for their turn, so that changes find them.
    pub holds: bool,
}

impl Model {
    pub fn new(parameters: LinkParameters) -> Self {
        Self { parameters, ..Self::default() }
    }

    pub fn parameters(&self) -> &LinkParameters {
        &self.parameters
    }

    /// Nothing waits and nothing is being sent.
    pub fn is_free(&self, now: Instant) -> bool {
        self.backlog.head_arrived().is_none() && self.wire.busy_until() <= now
    }

    /// Decides the fate of the frame with this `number`, or takes it.
    pub fn offer(
        &mut self,
        number: u64,
        now: Instant,
        frame: &Frame,
        rng: &mut Rng,
        out: &mut Vec<Outcome>,
    ) -> Verdict {
        let parameters = &self.parameters;
        if !parameters.up {
            return Verdict::Drop(DropReason::Down);
        }
        if parameters.mtu.is_some_and(|mtu| frame.len() > mtu + HEADER_BYTES) {
            return Verdict::Drop(DropReason::TooLong);
        }
        let script = &parameters.script;
        let duplicated = self.duplicate.happens(parameters.duplicate, rng) | script.duplicates(number);
        let mut lost = self.loss.loses(&parameters.loss, rng).then_some(DropReason::Loss);
        if script.drops(number) {
            lost = Some(DropReason::Listed);
        }
        let extra = script.delay(number);
        let mut marked = None;
        if let Some(reason) = lost
            && !duplicated
        {
            marked = if parameters.loss_marks { ecn::mark(frame) } else { None };
            if marked.is_none() {
                return Verdict::Drop(reason);
            }
        }
        let twice = duplicated && lost.is_none();
        if !twice && marked.is_none() && parameters.corrupt.is_never() {
            return self.forward(now, frame, extra, rng, out);
        }
        let frame = marked.as_ref().unwrap_or(frame);
        for _ in 0..1 + usize::from(twice) {
            let flipped = self.corrupt.happens(self.parameters.corrupt, rng);
            let copy = if flipped { corrupt::flip_one_bit(frame, rng) } else { frame.clone() };
            match self.forward(now, &copy, extra, rng, out) {
                Verdict::Deliver(at) => out.push(Outcome::Deliver { at, frame: copy }),
                Verdict::Drop(reason) => out.push(Outcome::Drop { frame: copy, reason }),
                Verdict::Taken => {}
            }
        }
        Verdict::Taken
    }

    /// From the queue on.
    fn forward(
        &mut self,
        now: Instant,
        frame: &Frame,
        extra: std::time::Duration,
        rng: &mut Rng,
        out: &mut Vec<Outcome>,
    ) -> Verdict {
        if self.overtakes(rng) {
            return Verdict::Deliver(now + extra);
        }
        let jitter_ns = self.jitter.next_ns(&self.parameters.jitter, rng);
        let deviation = Deviation { jitter_ns, extra };
        self.serve(now, out);
        self.backlog.trim(now);
        let mut marked = None;
        if let Discipline::Red(red) = self.parameters.discipline
            && self.red_signals(&red, now, rng)
        {
            marked = if red.ecn { ecn::mark(frame) } else { None };
            if marked.is_none() {
                return Verdict::Drop(DropReason::Red);
            }
        }
        let LinkParameters { rate, framing, queue, .. } = &self.parameters;
        let start = self.wire.start(rate, now);
        if start > now && self.backlog.is_full(queue, frame.len()) {
            return Verdict::Drop(DropReason::QueueFull);
        }
        if self.must_hold() {
            let frame = marked.unwrap_or_else(|| frame.clone());
            self.backlog.push_held(Held { frame, arrived: now, deviation });
            self.serve(now, out);
            return Verdict::Taken;
        }
        if start > now {
            self.backlog.push_decided(start, frame.len());
        }
        self.last_start = start;
        let sent = self.wire.send(rate, framing, now, frame.len());
        let at = self.arrival(sent, deviation);
        match marked {
            None => Verdict::Deliver(at),
            Some(frame) => {
                out.push(Outcome::Deliver { at, frame });
                Verdict::Taken
            }
        }
    }

    /// Whether frames wait here for their turn, rather than have it foreseen.
    fn must_hold(&self) -> bool {
        match self.parameters.discipline {
            Discipline::CoDel(_) => true,
            Discipline::DropTail | Discipline::Red(_) => self.holds || self.backlog.head_arrived().is_some(),
        }
    }

    /// Sends what has its turn by `now`.
    pub fn serve(&mut self, now: Instant, out: &mut Vec<Outcome>) {
        while let Some(at) = self.poll_at()
            && at <= now
        {
            let held = match &self.parameters.discipline {
                Discipline::CoDel(codel) => {
                    let mut leaving = Leaving { backlog: &mut self.backlog, now: at, ecn: codel.ecn, out };
                    self.codel.dequeue(codel, at, &mut leaving)
                }
                Discipline::DropTail | Discipline::Red(_) => self.backlog.pop_held(),
            };
            let Some(Held { frame, arrived, deviation }) = held else { continue };
            let LinkParameters { rate, framing, .. } = &self.parameters;
            self.last_start = at;
            let sent = self.wire.send(rate, framing, arrived, frame.len());
            out.push(Outcome::Deliver { at: self.arrival(sent, deviation), frame });
        }
    }

    /// When the frame at the queue's head has its turn.
    pub fn poll_at(&self) -> Option<Instant> {
        let arrived = self.backlog.head_arrived()?;
        Some(self.wire.start(&self.parameters.rate, arrived))
    }

    fn overtakes(&mut self, rng: &mut Rng) -> bool {
        let reorder = &self.parameters.reorder;
        if reorder.gap == 0 {
            return false;
        }
        let overtakes = self.since_overtaking >= reorder.gap - 1 && self.reorder.happens(reorder.chance, rng);
        self.since_overtaking = if overtakes { 0 } else { self.since_overtaking + 1 };
        overtakes
    }

    fn red_signals(&mut self, red: &RedParameters, now: Instant, rng: &mut Rng) -> bool {
        let waiting = self.backlog.in_unit(red.unit);
        let bytes_per_second = match &self.parameters.rate {
            // Nothing ever waits.
            Rate::Unlimited => return false,
            Rate::BytesPerSecond(rate) => *rate,
            Rate::Trace(trace) => trace.bytes_per_second(),
        };
        let slot = serialisation(MEAN_FRAME_BYTES, bytes_per_second);
        let idle = now.since(self.last_start).as_nanos() / slot.as_nanos().max(1);
        self.red.signals(red, waiting, u64::try_from(idle).unwrap_or(u64::MAX), rng)
    }

    /// When what left at `sent` arrives.
    fn arrival(&mut self, sent: Instant, deviation: Deviation) -> Instant {
        let LinkParameters { delay, jitter, .. } = &self.parameters;
        let mut at = sent + *delay;
        if deviation.jitter_ns != 0 {
            // Never before it left.
            at = Instant::from_nanos(at.nanos().saturating_add_signed(deviation.jitter_ns)).max(sent);
        }
        if jitter.in_order {
            at = at.max(self.last_arrival);
            self.last_arrival = at;
        }
        at + deviation.extra
    }

    /// Other knobs from `now` on. See [`Direction::set_parameters`](super::Direction::set_parameters).
    pub fn set_parameters(&mut self, now: Instant, parameters: LinkParameters, out: &mut Vec<Outcome>) {
        self.serve(now, out);
        self.backlog.trim(now);
        if parameters.rate != self.parameters.rate {
            self.wire.change(now);
        }
        if parameters.loss != self.parameters.loss {
            self.loss = LossState::default();
        }
        if parameters.discipline != self.parameters.discipline {
            (self.codel, self.red) = (CoDel::default(), Red::default());
        }
        if parameters.reorder != self.parameters.reorder {
            self.since_overtaking = 0;
        }
        self.parameters = parameters;
        if !self.parameters.up {
            while let Some(held) = self.backlog.pop_held() {
                out.push(Outcome::Drop { frame: held.frame, reason: DropReason::Down });
            }
        }
        self.serve(now, out);
    }
}
