//! The handshake of either side, until there is a session.

use std::sync::Arc;

use rustls::Connection as Tls;

use super::config::Config;
use super::engine::{Engine, Inbound};
use super::session::Session;
use super::stream::TlsConnection;
use crate::error::{Error, Result};
use crate::node::Waiter;
use crate::node::object::{Connection, Context};
use crate::protocol::layer::{Carrier, Upgrade};
use crate::time::Instant;

pub(super) struct Handshake {
    /// `None` once it is over.
    engine: Option<Engine>,
    deadline: Instant,
    config: Arc<Config>,
}

impl Handshake {
    pub fn new(cx: &Context, tls: impl Into<Tls>, carrier: Carrier, config: &Arc<Config>) -> Self {
        let engine = Engine::new(tls, carrier, Arc::clone(config));
        Self { engine: Some(engine), deadline: cx.now + config.timeout, config: Arc::clone(config) }
    }

    /// `Ok(false)`: it waits.
    fn go_on(&self, cx: &mut Context, engine: &mut Engine) -> Result<bool> {
        loop {
            engine.push(cx)?;
            if !engine.is_handshaking() {
                engine.remark(cx, || engine.agreed());
                return Ok(true);
            }
            if cx.now >= self.deadline {
                engine.remark(cx, || format!("no handshake within {:?}", self.config.timeout));
                return Err(Error::TimedOut);
            }
            let waited = engine.unsent > 0;
            engine.pull(cx)?;
            // Before anything is shown to it.
            engine.check_asked(cx)?;
            if engine.inbound != Inbound::Open && engine.is_handshaking() {
                engine.remark(cx, || "the peer left in the middle of the handshake".to_owned());
                return Err(Error::ConnectionReset);
            }
            // The answer to what just came, if there is one.
            engine.push(cx)?;
            if engine.is_handshaking() {
                return Ok(false);
            }
            debug_assert!(!waited || engine.unsent == 0);
        }
    }
}

impl Upgrade for Handshake {
    fn poll(&mut self, cx: &mut Context, waiter: Waiter) -> Result<Box<dyn Connection>> {
        let mut engine = self.engine.take().ok_or(Error::BadDescriptor)?;
        match self.go_on(cx, &mut engine) {
            Ok(true) => {
                let session = cx.spawn(Session::new(engine));
                Ok(Box::new(TlsConnection::new(session)))
            }
            Ok(false) => {
                engine.carrier.watch(cx, engine.interest(), waiter);
                self.engine = Some(engine);
                Err(Error::WouldBlock)
            }
            Err(error @ (Error::TimedOut | Error::Access)) => {
                engine.carrier.reset(cx);
                Err(error)
            }
            Err(error) => {
                // Why it ends, if the peer can be told.
                let _ = engine.push(cx);
                engine.carrier.close(cx);
                Err(error)
            }
        }
    }

    fn poll_at(&self) -> Option<Instant> {
        Some(self.deadline)
    }

    fn close(&mut self, cx: &mut Context) {
        if let Some(mut engine) = self.engine.take() {
            engine.carrier.close(cx);
        }
    }
}
