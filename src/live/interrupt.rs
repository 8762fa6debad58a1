//! Signals that ask for the end: SIGINT, SIGTERM, SIGHUP.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::{flag, low_level};

/// Becomes readable, and stays so, at the first signal. The second ends the program at once.
#[derive(Debug)]
pub struct Interrupt {
    requested: Arc<AtomicBool>,
    bell: UnixStream,
}

impl Interrupt {
    /// # Errors
    /// No socket to be had, or no handler.
    pub fn register() -> io::Result<Interrupt> {
        let requested = Arc::new(AtomicBool::new(false));
        let (ring, bell) = UnixStream::pair()?;
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            // In this order: the first signal finds the flag down and puts it up.
            flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&requested))?;
            flag::register(signal, Arc::clone(&requested))?;
            low_level::pipe::register(signal, ring.try_clone()?)?;
        }
        Ok(Interrupt { requested, bell })
    }

    pub fn is_requested(&self) -> bool {
        self.requested.load(Ordering::Relaxed)
    }
}

impl AsFd for Interrupt {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }
}
