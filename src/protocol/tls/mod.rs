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

use rustls::pki_types::ServerName;
use rustls::{ClientConnection, ServerConnection};

use super::layer::{Carrier, Layer, Upgrade};
use super::policy::Policy;
use super::target::Target;
use crate::error::{Error, Result};
use crate::node::object::Context;
use config::Config;
use handshake::Handshake;

/// A `tls` protocol object.
pub struct Tls {
    config: Arc<Config>,
    /// Of what it stands on: a name that is not connected to is not asked for either.
    policy: Policy,
}

impl Tls {
    pub fn new(config: Config, policy: Policy) -> Self {
        Self { config: Arc::new(config), policy }
    }
}

impl Layer for Tls {
    fn via(&self, address: &str) -> Result<String> {
        // Before anybody is connected to.
        let name = self.config.name_at(address)?;
        // A path names no host and no port that a policy could be about.
        if address.starts_with('/') {
            return Ok(address.to_owned());
        }
        let port = Target::parse(address)?.port;
        match name {
            ServerName::DnsName(name) if !self.policy.may_name(name.as_ref(), port) => Err(Error::Access),
            _ => Ok(address.to_owned()),
        }
    }

    fn has_server(&self) -> bool {
        self.config.server.is_some()
    }

    fn connect(&self, cx: &mut Context, mut below: Carrier, address: &str) -> Result<Box<dyn Upgrade>> {
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

    fn accept(&self, cx: &mut Context, mut below: Carrier) -> Result<Box<dyn Upgrade>> {
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
