//! Protocols over protocols: TLS over TCP, a proxy over TLS, and so on as deep as wished.
//!
//! ```text
//! guest --> LayeredControl --Handle--> Gate (gate.rs) --owns--> the control below
//!                                       |  a connection below, made or accepted
//!                                       '--> Handshake (handshake.rs) --Upgrade--> the guest's connection
//! ```
//!
//! A [`Layer`] says what stands between a connection below and the guest's: where to connect to instead, and an
//! [`Upgrade`] for each side, which runs as a task of the node until it has made the guest's connection. What is
//! common to all of them is here: connecting in the background, accepting without one slow peer holding up the
//! others, bounds and time-outs. This folder knows nothing of any one layer.

mod arrival;
mod carrier;
mod control;
mod gate;
mod handshake;
mod tunnel;

pub use carrier::Carrier;
pub use handshake::HANDSHAKE;
pub use tunnel::Tunnel;

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::node::object::{Connection, Context, Control, Protocol};
use crate::node::{SocketKind, Waiter};
use crate::time::Instant;
use control::LayeredControl;

/// One kind of protocol that runs over a stream protocol.
pub trait Layer: Send + Sync {
    /// Where the layer below is to connect to for a guest that connects to `address`.
    ///
    /// # Errors
    /// `Access` if the layer's own policy refuses it, which the journal is told; `Invalid` if it does not parse.
    fn via(&self, _: &mut Context, address: &str) -> Result<String> {
        Ok(address.to_owned())
    }

    /// Begins the client's side towards `address`, over a connection to where [`Layer::via`] said.
    ///
    /// # Errors
    /// `NotSupported` for a layer that has no client's side.
    fn connect(&self, cx: &mut Context, below: Carrier, address: &str) -> Result<Box<dyn Upgrade>>;

    /// Begins the server's side over an accepted connection.
    ///
    /// # Errors
    /// `NotSupported` for a layer that has no server's side: `listen` answers it before anybody comes.
    fn accept(&self, cx: &mut Context, below: Carrier) -> Result<Box<dyn Upgrade>>;

    /// Whether guests may listen through this layer.
    fn has_server(&self) -> bool;

    /// Opens a datagram control, for a layer that has them.
    fn open_datagram(&self, _: &mut Context, _: &mut dyn Protocol, _: &str) -> Result<Box<dyn Control>> {
        Err(Error::Prototype)
    }
}

/// A handshake under way: what turns a connection below into the guest's own.
pub trait Upgrade: Send {
    /// Goes on as far as it can.
    ///
    /// # Errors
    /// `WouldBlock` once `waiter` is registered with what it waits for; everything else is final, and the carrier
    /// closed.
    fn poll(&mut self, cx: &mut Context, waiter: Waiter) -> Result<Box<dyn Connection>>;

    /// When it is to be polled if nothing wakes it before.
    fn poll_at(&self) -> Option<Instant> {
        None
    }

    /// Gives up, and closes the carrier.
    fn close(&mut self, cx: &mut Context);
}

/// A layer over a protocol object.
pub struct Layered {
    below: Box<dyn Protocol>,
    layer: Arc<dyn Layer>,
}

impl Layered {
    pub fn new(layer: Arc<dyn Layer>, below: Box<dyn Protocol>) -> Self {
        Self { below, layer }
    }
}

impl Protocol for Layered {
    fn open(&mut self, cx: &mut Context, bind: &str, kind: SocketKind) -> Result<Box<dyn Control>> {
        match kind {
            SocketKind::Stream => {
                let below = self.below.open(cx, bind, SocketKind::Stream)?;
                Ok(Box::new(LayeredControl::new(cx, below, Arc::clone(&self.layer))))
            }
            SocketKind::Datagram => self.layer.open_datagram(cx, &mut *self.below, bind),
        }
    }

    fn close(&mut self, cx: &mut Context) {
        self.below.close(cx);
    }
}
