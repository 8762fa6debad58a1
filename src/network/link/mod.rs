//! One direction of a link: what happens to a frame between two ports.
//!
//! ```text
//! Direction          ideal: one branch                    mod.rs
//!   Model            the order of what happens            model.rs
//!     loss, duplication, corruption, overtaking           loss.rs chance.rs corrupt.rs
//!     Backlog        limits, CoDel, RED, ECN's mark       backlog.rs codel.rs red.rs ecn.rs
//!     Wire           rate, framing, trace                 wire.rs trace.rs
//!     delay, jitter                                       jitter.rs
//! LinkParameters     every knob                           parameters.rs
//! ```
//!
//! What a frame meets is drawn as it comes in, from the direction's own stream and in a fixed order. Where its way
//! can be foreseen it is answered at once; where it cannot (CoDel judges what leaves the queue), or is not to be
//! ([`Direction::hold_queue`]), it is taken, and comes out of [`Direction::poll`] when its turn has come. Both give
//! the same arrivals. docs/links.md tells the model from outside.

use super::Frame;
use crate::rng::Rng;
use crate::time::Instant;

mod backlog;
mod chance;
mod codel;
mod corrupt;
mod ecn;
mod jitter;
mod loss;
mod model;
mod parameters;
mod red;
#[cfg(test)]
mod tests;
mod trace;
mod wire;

pub use chance::Chance;
pub use jitter::{Distribution, Jitter};
pub use loss::{Burst, GilbertElliott, Loss, Markov};
pub use parameters::{
    CoDelParameters, Discipline, Framing, LinkParameters, QueueLimits, Rate, RedParameters, RedUnit, Reorder,
    Script,
};
pub use trace::{Trace, TraceError};

use model::Model;

/// Why a frame did not arrive. The words stand in captures and reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DropReason {
    /// Lost at random by the link.
    Loss,
    /// One that the scenario lists.
    Listed,
    /// The link's queue was full.
    QueueFull,
    /// CoDel: frames had waited too long for too long.
    CoDel,
    /// RED: the queue was too long on average.
    Red,
    /// Longer than the link's MTU.
    TooLong,
    /// The link is down.
    Down,
    /// The frame would have passed from one side of a partition to another.
    Partition,
    /// The port leads nowhere.
    Unplugged,
    /// The frame crossed its link, and the TAP behind it did not take it.
    Outside,
}

impl DropReason {
    pub const ALL: [DropReason; 10] = [
        DropReason::Loss,
        DropReason::Listed,
        DropReason::QueueFull,
        DropReason::CoDel,
        DropReason::Red,
        DropReason::TooLong,
        DropReason::Down,
        DropReason::Partition,
        DropReason::Unplugged,
        DropReason::Outside,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            DropReason::Loss => "lost on the link",
            DropReason::Listed => "listed in the scenario",
            DropReason::QueueFull => "queue full",
            DropReason::CoDel => "waited too long (CoDel)",
            DropReason::Red => "queue too long on average (RED)",
            DropReason::TooLong => "longer than the link's MTU",
            DropReason::Down => "link down",
            DropReason::Partition => "partition",
            DropReason::Unplugged => "port not plugged in",
            DropReason::Outside => "not taken by the TAP device",
        }
    }

    /// The queue had no room for it, or made some.
    pub const fn is_for_want_of_room(self) -> bool {
        match self {
            DropReason::QueueFull | DropReason::CoDel | DropReason::Red => true,
            DropReason::Loss
            | DropReason::Listed
            | DropReason::TooLong
            | DropReason::Down
            | DropReason::Partition
            | DropReason::Unplugged
            | DropReason::Outside => false,
        }
    }
}

/// A link's answer to one frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It arrives then, as it is.
    Deliver(Instant),
    Drop(DropReason),
    /// The link has it: it comes out, now or later, as outcomes.
    Taken,
}

/// What becomes of a frame that was taken.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// It arrives at `at`. It may come more than once, and not as it was.
    Deliver {
        at: Instant,
        frame: Frame,
    },
    Drop {
        frame: Frame,
        reason: DropReason,
    },
}

/// One direction at work: its parameters, its queue and its random stream.
#[derive(Debug)]
pub struct Direction {
    /// Frames pass at once; nothing else is looked at.
    ideal: bool,
    /// Frames offered so far: what scripts count by.
    frames: u64,
    rng: Rng,
    /// `None`: the default parameters, and it was never otherwise.
    model: Option<Box<Model>>,
}

impl Direction {
    pub fn new(parameters: LinkParameters, rng: Rng) -> Self {
        let ideal = parameters.is_ideal();
        let default = parameters == LinkParameters::default();
        Self { ideal, frames: 0, rng, model: (!default).then(|| Box::new(Model::new(parameters))) }
    }

    pub fn parameters(&self) -> std::borrow::Cow<'_, LinkParameters> {
        match &self.model {
            Some(model) => std::borrow::Cow::Borrowed(model.parameters()),
            None => std::borrow::Cow::Owned(LinkParameters::default()),
        }
    }

    /// True if frames arrive at the instant they are sent.
    pub fn is_ideal(&self) -> bool {
        self.ideal
    }

    /// Decides a frame's fate, or takes the frame. What comes of frames taken, be it this one or those before it, is
    /// added to `out`; after [`Verdict::Taken`], [`Direction::poll_at`] may have changed.
    pub fn offer(&mut self, now: Instant, frame: &Frame, out: &mut Vec<Outcome>) -> Verdict {
        self.frames += 1;
        match &mut self.model {
            Some(model) if !self.ideal => model.offer(self.frames, now, frame, &mut self.rng, out),
            Some(_) | None => Verdict::Deliver(now),
        }
    }

    /// What has come of frames taken, by `now`.
    pub fn poll(&mut self, now: Instant, out: &mut Vec<Outcome>) {
        if let Some(model) = &mut self.model {
            model.serve(now, out);
        }
    }

    /// When [`Direction::poll`] is due; `None`: no frame waits here.
    pub fn poll_at(&self) -> Option<Instant> {
        self.model.as_ref()?.poll_at()
    }

    /// Keeps frames that wait for the rate until their turn, so that [`Direction::set_parameters`] finds them. Costs an
    /// event a frame.
    pub fn hold_queue(&mut self) {
        self.model.get_or_insert_default().holds = true;
    }

    /// Other knobs from `now` on.
    ///
    /// What has begun to leave arrives as it would have. What waits for its turn meets the new rate, discipline, delay
    /// and order as its turn comes, keeps its place even in a queue that became too short, and is dropped if the
    /// link goes down. What was answered already arrives when it was said to: see [`Direction::hold_queue`]. Models of
    /// loss and disciplines that change begin anew, a new trace begins now, and frames are numbered on.
    pub fn set_parameters(&mut self, now: Instant, parameters: LinkParameters, out: &mut Vec<Outcome>) {
        let ideal = parameters.is_ideal();
        let model = self.model.get_or_insert_default();
        model.set_parameters(now, parameters, out);
        self.ideal = ideal && model.is_free(now);
    }
}
