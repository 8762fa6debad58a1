//! Proxies: connections that somebody else makes, or made, for the guest.
//!
//! ```text
//! socks5.rs          a guest connects through a SOCKS 5 server (RFC 1928, 1929)
//!   associate.rs       and sends datagrams through it
//!   association.rs     by way of a task, which all of its flows share
//! http_connect.rs    through an HTTP proxy (RFC 9110, 9.3.6)
//! proxy_protocol.rs  a guest is connected to through a balancer
//! dialogue.rs        what the three have in common: some bytes each way, then the guest's own
//! ```

mod associate;
mod association;
pub mod dialogue;
pub mod http_connect;
pub mod proxy_protocol;
pub mod socks5;

use std::fmt;
use std::sync::Arc;

use super::policy::Policy;
use super::target::{Host, Target};
use crate::dns::resolver::Names;
use crate::error::Result;
use crate::node::Whereabouts;
use crate::node::object::Context;

/// A name and password for a proxy. Never printed.
#[derive(Clone, PartialEq)]
pub struct Credentials {
    pub user: String,
    pub password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials({:?}, ...)", self.user)
    }
}

/// What connecting through a proxy is set to, whichever it speaks.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// As the layer below takes it: `host:port`, or a path of Unix-domain sockets.
    pub server: String,
    pub credentials: Option<Credentials>,
    /// What may be connected to through the server.
    pub policy: Policy,
    /// Who is of the lab.
    pub names: Arc<Names>,
    /// The server may be one that connects to others than those.
    pub leads_out: bool,
}

impl Settings {
    /// The server, for a guest that connects to `address` through a proxy of this kind.
    ///
    /// # Errors
    /// `Access` if it may not; `Invalid` if it does not parse.
    fn via(&self, cx: &mut Context, kind: &str, address: &str) -> Result<String> {
        self.check(cx, kind, &Target::parse(address)?)?;
        Ok(self.server.clone())
    }

    /// The address of the server's relay, of what it calls it: one that does not say where means itself (RFC 1928, 7).
    fn relay(&self, bound: &str) -> Result<String> {
        let mut relay = Target::parse(bound)?;
        if matches!(relay.host, Host::Address(address) if address.is_unspecified()) {
            relay.host = Target::parse(&self.server)?.host;
        }
        Ok(relay.to_string())
    }

    /// Whether the server may be asked for `target`.
    fn check(&self, cx: &mut Context, kind: &str, target: &Target) -> Result<()> {
        let inside = |target: &Target| !self.leads_out || self.is_inside(target, cx.whereabouts);
        match self.policy.may_ask_for(target, inside) {
            Ok(()) => Ok(()),
            Err(refusal) => Err(refusal.tell(cx.journal, Some(kind), "connect", target)),
        }
    }

    /// Whether a target is of the lab wherever the server is: its loopback, say, is not the guest's.
    fn is_inside(&self, target: &Target, whereabouts: &Whereabouts) -> bool {
        match &target.host {
            Host::Address(address) => self.names.is_inside(*address),
            Host::Name(name) => self.names.find(name, whereabouts).is_some_and(|known| {
                !known.is_empty() && known.iter().all(|&address| self.names.is_inside(address))
            }),
        }
    }
}
