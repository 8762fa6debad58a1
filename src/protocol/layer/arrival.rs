//! A connection below whose stream is still to come: those that have many hear of one with its first bytes.

use std::sync::Arc;

use super::{Carrier, Layer, Upgrade};
use crate::error::{Error, Result};
use crate::node::object::{Connection, Context};
use crate::node::{Interest, Waiter};
use crate::time::Instant;

pub(super) enum Arrival {
    Waiting(Box<dyn Connection>, Arc<dyn Layer>),
    There(Box<dyn Upgrade>),
    Over,
}

impl Arrival {
    /// The server's side of `layer` over a connection that was accepted.
    ///
    /// # Errors
    /// The connection's, or the layer's.
    pub fn begin(
        cx: &mut Context,
        mut connection: Box<dyn Connection>,
        layer: &Arc<dyn Layer>,
    ) -> Result<Box<dyn Upgrade>> {
        match connection.stream_accept(cx) {
            Ok(stream) => layer.accept(cx, Carrier::new(connection, stream)),
            Err(Error::WouldBlock) => Ok(Box::new(Arrival::Waiting(connection, Arc::clone(layer)))),
            Err(error) => {
                connection.close(cx);
                Err(error)
            }
        }
    }
}

impl Upgrade for Arrival {
    fn poll(&mut self, cx: &mut Context, waiter: Waiter) -> Result<Box<dyn Connection>> {
        loop {
            match std::mem::replace(self, Arrival::Over) {
                Arrival::Waiting(mut connection, layer) => match connection.stream_accept(cx) {
                    Ok(stream) => {
                        *self = Arrival::There(layer.accept(cx, Carrier::new(connection, stream))?);
                    }
                    Err(Error::WouldBlock) => {
                        connection.watch(cx, Interest::READ, waiter);
                        *self = Arrival::Waiting(connection, layer);
                        return Err(Error::WouldBlock);
                    }
                    Err(error) => {
                        connection.close(cx);
                        return Err(error);
                    }
                },
                Arrival::There(mut upgrade) => {
                    let answer = upgrade.poll(cx, waiter);
                    if matches!(answer, Err(Error::WouldBlock)) {
                        *self = Arrival::There(upgrade);
                    }
                    return answer;
                }
                Arrival::Over => return Err(Error::BadDescriptor),
            }
        }
    }

    fn poll_at(&self) -> Option<Instant> {
        match self {
            Arrival::Waiting(..) | Arrival::Over => None,
            Arrival::There(upgrade) => upgrade.poll_at(),
        }
    }

    fn close(&mut self, cx: &mut Context) {
        match std::mem::replace(self, Arrival::Over) {
            Arrival::Waiting(mut connection, _) => connection.close(cx),
            Arrival::There(mut upgrade) => upgrade.close(cx),
            Arrival::Over => {}
        }
    }
}
