//! The driver of wall-clock time: TAPs, the terminal's input, signals, and the threads that wait for them.
//!
//! ```text
//! TAP, socket, stdin, signal --poll(2)--> run() --inject, feed, poll(now)--> World --> TAP, socket, capture thread
//! ```
//!
//! The clock is read once a turn, here and nowhere else. The world runs on this thread alone; a thread reads
//! the standard input, another writes the capture.

pub mod capture;
mod clock;
mod datagrams;
mod file;
mod interrupt;
mod sockets;
mod stdin;
pub mod tap;

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use miette::Diagnostic;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;

pub use clock::{Clock, Stopwatch, Ticker, cores, epoch, seed};
pub use file::is_same_file;
pub use interrupt::Interrupt;
pub use sockets::Sockets;
pub use stdin::Stdin;
use tap::{Tap, TapError};
use thiserror::Error;

use crate::network::drops::DeviceDrop;
use crate::sim::{Ending, Patience};
use crate::time::Instant;
use crate::world::{Report, World};

/// Frames taken from one TAP before the world has its turn.
const TAP_BURST: usize = 64;

/// How long a busy world may go on before the outside is looked at: short beside a packet's way through a host's
/// kernel, long beside a round of the world.
const BUSY: Duration = Duration::from_micros(10);

/// How long a capture's last frames may be kept back from whoever looks at the file meanwhile.
const FLUSH: Duration = Duration::from_secs(1);

/// What the world is connected to.
#[derive(Default)]
pub struct Outside {
    /// In the plan's order.
    pub taps: Vec<Tap>,
    /// Unix-domain sockets in the plan's folders.
    pub sockets: Sockets,
    /// The terminal's input and the guest that it belongs to.
    pub stdin: Option<(usize, Stdin)>,
    /// Somebody reads the capture as it grows: it is flushed before each sleep.
    pub follow: bool,
    /// Somebody watches: a turn comes at least this often, though nothing happens.
    pub refresh: Option<Duration>,
}

/// Why a lab could not go on.
#[derive(Debug, Error, Diagnostic)]
pub enum LiveError {
    #[error(transparent)]
    #[diagnostic(transparent)]
    Tap(#[from] TapError),
    #[error("waiting for TAPs, input and signals failed")]
    Wait(#[source] io::Error),
}

/// Runs `world` to its end. `turn` is called after each round with what happened; it answers false to stop.
///
/// # Errors
/// A TAP that went away, or poll(2) itself. The world was stopped then too.
pub fn run(
    world: &mut World,
    mut outside: Outside,
    interrupt: &Interrupt,
    duration: Option<Duration>,
    mut turn: impl FnMut(&World, Vec<Report>) -> bool,
) -> Result<Ending, LiveError> {
    let ended = turns(world, &mut outside, interrupt, duration, &mut turn);
    world.stop();
    let sent = outside.send(world);
    world.set_outside_drops(outside.drops());
    let reports = world.take_reports();
    turn(world, reports);
    let ending = ended?;
    sent?;
    Ok(ending)
}

/// Turn after turn, until there is a reason to end.
fn turns(
    world: &mut World,
    outside: &mut Outside,
    interrupt: &Interrupt,
    duration: Option<Duration>,
    turn: &mut impl FnMut(&World, Vec<Report>) -> bool,
) -> Result<Ending, LiveError> {
    let clock = Clock::start();
    let end = duration.map(|duration| Instant::START + duration);
    let mut buffer = vec![0; tap::FRAME_BYTES_MAX];
    let mut look_at = Instant::START;
    let mut flushed_at = Instant::START;
    let (mut patience, mut turns) = (Patience::default(), 0);
    let mut lingers_until = None;
    loop {
        let now = clock.now();
        if now >= look_at {
            look_at = now + BUSY;
            if outside.receive(world, now, &mut buffer)? {
                patience.restore();
            }
            if world.is_unflushed() && now - flushed_at >= FLUSH {
                world.flush_sink();
                flushed_at = now;
            }
        }
        if std::mem::replace(&mut turns, world.turns()) != world.turns() {
            patience.restore();
        }
        let more = world.poll(now);
        outside.send(world)?;
        let reports = world.take_reports();
        if !turn(world, reports) {
            return Ok(Ending::Interrupted);
        }
        let over = end.is_some_and(|end| now >= end);
        // A guest in the background may have something to do for ever.
        if more && !(world.is_over() && world.is_quiet()) {
            if interrupt.is_requested() {
                return Ok(Ending::Interrupted);
            }
            if over {
                return Ok(Ending::Duration);
            }
            if patience.is_over() {
                return Ok(Ending::Livelock(now));
            }
            continue;
        }
        patience.restore();
        // What guests wrote to a socket of the host is theirs to be taken, for as long as stacks linger.
        let lingers = world.is_over()
            && !world.is_drained_to_host()
            && *lingers_until.get_or_insert(now + world.linger_max()) > now;
        if world.is_over() && !lingers {
            return Ok(Ending::Over);
        }
        if over {
            return Ok(Ending::Duration);
        }
        let linger_end = lingers_until.filter(|_| lingers);
        let next = [world.poll_at(), end, linger_end].into_iter().flatten().min();
        if next.is_none() && !outside.has_sources() {
            return Ok(Ending::Stalled);
        }
        let next = next.map(|at| at - clock.now());
        if outside.follow && next != Some(Duration::ZERO) {
            world.flush_sink();
        }
        let flush = world.is_unflushed().then(|| flushed_at + FLUSH - now);
        let wait = [next, outside.refresh, flush, outside.sockets.retry()].into_iter().flatten().min();
        if outside.wait(interrupt, wait).map_err(LiveError::Wait)? {
            return Ok(Ending::Interrupted);
        }
        look_at = now;
    }
}

/// For `map_err`: any error of a TAP that was open means that it is no more.
fn gone(device: &str) -> impl FnOnce(io::Error) -> TapError {
    move |source| TapError::Gone { device: device.to_owned(), source }
}

impl Outside {
    /// True if something may still come in.
    fn has_sources(&self) -> bool {
        !self.taps.is_empty()
            || !self.sockets.is_empty()
            || self.stdin.as_ref().is_some_and(|(_, stdin)| !stdin.ended())
    }

    /// What came in by TAPs and the terminal; true if frames did.
    fn receive(&mut self, world: &mut World, now: Instant, buffer: &mut [u8]) -> Result<bool, TapError> {
        let mut received = false;
        for (number, tap) in self.taps.iter_mut().enumerate() {
            for _ in 0..TAP_BURST {
                match tap.receive(buffer).map_err(gone(tap.name()))? {
                    Some(frame) => {
                        world.inject(now, number, frame);
                        received = true;
                    }
                    None => break,
                }
            }
        }
        self.sockets.receive(world, now);
        if let Some((guest, stdin)) = &mut self.stdin {
            stdin.feed(world, *guest);
        }
        Ok(received)
    }

    /// Frames that leave by a TAP.
    fn send(&mut self, world: &mut World) -> Result<(), TapError> {
        for outbound in world.take_outbound() {
            let tap = &mut self.taps[outbound.tap];
            if !tap.send(&outbound.frame.bytes).map_err(gone(tap.name()))? {
                world.lost_outside(&outbound);
            }
        }
        self.sockets.carry_out(world, world.now());
        Ok(())
    }

    /// What TAPs did not let through.
    fn drops(&self) -> Vec<(DeviceDrop, u64)> {
        let of_tap = |tap: &Tap| {
            let tap::Counters { queue_full, link_down, refused, truncated } = tap.counters();
            [
                (DeviceDrop::TapQueueFull, queue_full),
                (DeviceDrop::TapDown, link_down),
                (DeviceDrop::TapRefused, refused),
                (DeviceDrop::TapTruncated, truncated),
            ]
        };
        self.taps.iter().flat_map(of_tap).collect()
    }

    /// Sleeps until something comes in or `wait` is over (`None`: for ever). True if the interrupt came.
    fn wait(&self, interrupt: &Interrupt, wait: Option<Duration>) -> io::Result<bool> {
        let mut sources: Vec<BorrowedFd<'_>> = Vec::with_capacity(self.taps.len() + 2);
        sources.push(interrupt.as_fd());
        sources.extend(self.taps.iter().map(AsFd::as_fd));
        sources.extend(self.stdin.iter().filter(|(_, stdin)| !stdin.ended()).map(|(_, stdin)| stdin.as_fd()));
        let mut polled: Vec<_> =
            sources.iter().map(|source| PollFd::new(*source, PollFlags::POLLIN)).collect();
        // One that is asked for nothing would still tell of its peer's end, again and again.
        let sockets = self.sockets.sources().filter(|(_, flags)| !flags.is_empty());
        polled.extend(sockets.map(|(socket, flags)| PollFd::new(socket, flags)));
        // To the nanosecond: poll(2) alone counts in milliseconds, and links may be shorter.
        match ppoll(&mut polled, wait.map(TimeSpec::from), None) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        Ok(polled[0].revents().is_some_and(|events| events.intersects(PollFlags::POLLIN)))
    }
}
