//! `tls`: TLS 1.2 and 1.3 over any stream protocol, with rustls.
//!
//! ```text
//! scenario: PEM files, [ca.NAME] --> plan.rs --supplies.rs--> config.rs: rustls's configurations
//! world:    seed or system       --> provider/ ------------------^
//!
//! Tls (a Layer) --> Handshake (handshake.rs) --> Session (session.rs), a task of the node
//!                        '---- Engine (engine.rs) ----'    ^-- handles: the guest's connection and stream (stream.rs)
//! ```
//!
//! What a guest reads and writes is plaintext. This folder knows nothing of how the stream below comes about.

pub mod authority;
pub mod config;
mod engine;
mod handshake;
pub mod material;
pub mod name;
pub mod plan;
pub mod provider;
mod session;
mod stream;
pub mod supplies;
#[cfg(test)]
mod tests;
mod words;

use std::sync::Arc;

use rustls::{ClientConnection, ServerConnection};

use super::layer::{Carrier, Layer, Upgrade};
use crate::error::{Error, Result};
use crate::node::object::Context;
use config::Config;
use engine::BUFFERS_BYTES;
use handshake::Handshake;

/// A `tls` protocol object.
pub struct Tls {
    config: Arc<Config>,
}

impl Tls {
    pub fn new(config: Config) -> Self {
        Self { config: Arc::new(config) }
    }
}

impl Layer for Tls {
    fn via(&self, cx: &mut Context, address: &str) -> Result<String> {
        // Before anybody is connected to.
        self.config.peer_name(cx, "tls", address)?;
        Ok(address.to_owned())
    }

    fn has_server(&self) -> bool {
        self.config.server.is_some()
    }

    fn connect(&self, cx: &mut Context, below: Carrier, address: &str) -> Result<Box<dyn Upgrade>> {
        let mut below = below.reserve(cx, BUFFERS_BYTES)?;
        self.config.crypto.clock.set(cx.now);
        let tls = self.config.name_at(address).and_then(|name| {
            ClientConnection::new(Arc::clone(&self.config.client), name).map_err(|_| Error::Protocol)
        });
        match tls {
            Ok(tls) => Ok(Box::new(Handshake::new(cx, tls, below, &self.config))),
            Err(error) => {
                below.close(cx);
                Err(error)
            }
        }
    }

    fn accept(&self, cx: &mut Context, below: Carrier) -> Result<Box<dyn Upgrade>> {
        let mut below = below.reserve(cx, BUFFERS_BYTES)?;
        self.config.crypto.clock.set(cx.now);
        let config = self.config.server.as_ref().ok_or(Error::NotSupported);
        let tls =
            config.and_then(|config| ServerConnection::new(Arc::clone(config)).map_err(|_| Error::Protocol));
        match tls {
            Ok(tls) => Ok(Box::new(Handshake::new(cx, tls, below, &self.config))),
            Err(error) => {
                below.close(cx);
                Err(error)
            }
        }
    }
}
