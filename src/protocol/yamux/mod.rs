//! `yamux`: many streams over one stream protocol, for those who have no UDP, with the crate of that name.
//!
//! ```text
//! Yamux (a Layer) --> Session (session/), a task of the node --> Pipe (pipe.rs) <--> the carrier
//!                       |-- StreamState (streams.rs)       ^-- the crate's connection reads and writes it
//!                       '-- handles: the guest's connection and streams (handles.rs)
//! ```
//!
//! The specification is hashicorp's (`spec.md` of their yamux). This folder knows nothing of how the stream below comes about.

mod handles;
mod pipe;
mod session;
mod streams;
#[cfg(test)]
mod tests;

use ::yamux::Mode;

use super::layer::{Carrier, Layer, Upgrade};
use crate::error::{Error, Result};
use crate::node::Waiter;
use crate::node::object::{Connection, Context};
use handles::YamuxConnection;
use session::Session;

/// Streams of a connection where the scenario does not say.
pub const STREAMS: u32 = 100;
/// As many as it may say: each may have 256 KiB that nobody has read yet.
pub const STREAMS_MAX: u32 = 10_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Open at once on a connection, whoever opened them.
    pub streams: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { streams: STREAMS }
    }
}

/// A `yamux` protocol object.
pub struct Yamux {
    settings: Settings,
}

impl Yamux {
    pub fn new(settings: Settings) -> Self {
        Self { settings }
    }
}

impl Layer for Yamux {
    fn has_server(&self) -> bool {
        true
    }

    fn connect(&self, cx: &mut Context, below: Carrier, _: &str) -> Result<Box<dyn Upgrade>> {
        let below = below.reserve(cx, pipe::BUFFERS_BYTES)?;
        Ok(Box::new(Beginning { carrier: Some(below), mode: Mode::Client, settings: self.settings }))
    }

    fn accept(&self, cx: &mut Context, below: Carrier) -> Result<Box<dyn Upgrade>> {
        let below = below.reserve(cx, pipe::BUFFERS_BYTES)?;
        Ok(Box::new(Beginning { carrier: Some(below), mode: Mode::Server, settings: self.settings }))
    }
}

/// There is no handshake: the session is there at once.
struct Beginning {
    /// `None` once it is over.
    carrier: Option<Carrier>,
    mode: Mode,
    settings: Settings,
}

impl Upgrade for Beginning {
    fn poll(&mut self, cx: &mut Context, _: Waiter) -> Result<Box<dyn Connection>> {
        let carrier = self.carrier.take().ok_or(Error::BadDescriptor)?;
        let session = cx.spawn(Session::new(carrier, self.mode, self.settings));
        Ok(Box::new(YamuxConnection::new(session)))
    }

    fn close(&mut self, cx: &mut Context) {
        if let Some(mut carrier) = self.carrier.take() {
            carrier.close(cx);
        }
    }
}
