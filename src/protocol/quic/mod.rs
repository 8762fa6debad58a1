//! `quic`: QUIC (RFC 9000, 9001, 9002) over any protocol that has datagrams, with quinn-proto.
//!
//! ```text
//! scenario: plan.rs --config.rs--> quinn-proto's configurations      of TLS: certificates, names, secrets, entropy
//!                        qlog.rs: their events, if the scenario asks
//!
//! guest --control.rs--> Hub (hub.rs), a task for each control        quinn-proto's endpoint
//!                        |-- Session (session/), a connection --> Streams (streams.rs)
//!                        '-- Paths (paths.rs) --> flows below        one for each address of a peer
//! ```
//!
//! A connection has as many streams as its two ends allow each other. A control of datagrams has connections of datagrams
//! (RFC 9221), each with one stream of them. This folder knows nothing of what carries the datagrams below.

mod config;
mod control;
mod hub;
mod paths;
pub mod plan;
mod qlog;
mod session;
mod streams;
mod words;

use std::path::PathBuf;
use std::sync::Arc;

use super::tls::config::Config as TlsConfig;
use crate::error::{Error, Result};
use crate::node::SocketKind;
use crate::node::object::{Context, Control, Protocol};
use config::{Config, Settings};
use control::QuicControl;
use hub::Hub;
use plan::TransportPlan;
use qlog::Qlog;

/// A `quic` protocol object.
pub struct Quic {
    below: Box<dyn Protocol>,
    config: Arc<Config>,
}

impl Quic {
    /// `qlog`: the file that events of its connections are meant for.
    ///
    /// # Errors
    /// A sentence that names what it cannot be made of.
    pub fn new(
        below: Box<dyn Protocol>,
        tls: TlsConfig,
        plan: TransportPlan,
        qlog: Option<PathBuf>,
    ) -> Result<Quic, String> {
        let title = |path: &PathBuf| path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let qlog = qlog.map(|path| Qlog::new(path.clone(), &title(&path))).transpose()?;
        let config = Config::new(tls, plan, qlog)?;
        // What is wrong with them is told now, and not to the guest.
        for kind in [SocketKind::Stream, SocketKind::Datagram] {
            config.server(kind)?;
            config.client(kind)?;
        }
        Ok(Quic { below, config: Arc::new(config) })
    }
}

impl Protocol for Quic {
    fn open(&mut self, cx: &mut Context, bind: &str, kind: SocketKind) -> Result<Box<dyn Control>> {
        let settings = Settings::new(&self.config, kind).map_err(|_| Error::NoBuffers)?;
        let below = self.below.open(cx, bind, SocketKind::Datagram)?;
        let hub = cx.spawn(Hub::new(below, &self.config, settings, kind));
        Ok(Box::new(QuicControl::new(hub, kind)))
    }
}
