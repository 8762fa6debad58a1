//! `ipv4`, `ipv6` and `ip`, which is both: TCP connections and UDP flows straight on the node's stack. `icmp`: echo
//! requests, for guests that ping.
//!
//! ```text
//! open, connect --> scope.rs: what the text names, and whether it may be reached
//!   tcp.rs --by name--> dial.rs: a task that looks it up and tries its addresses (RFC 8305)
//!   udp/   --by name--> the resolver
//! ```

use std::net::SocketAddr;
use std::sync::Arc;

use super::policy::Policy;
use crate::dns::resolver::{Resolver, ResolverConfig};
use crate::error::{Error, Result};
use crate::node::SocketKind;
use crate::node::object::{Context, Control, Protocol};
use crate::node::task::Handle;

mod dial;
mod scope;
mod tcp;
mod udp;

pub use crate::dns::resolver::{Families, Family};
use scope::Scope;

/// What a protocol object of this kind is made with.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    pub families: Families,
    pub policy: Policy,
    pub resolver: Arc<ResolverConfig>,
}

impl Settings {
    /// Without names.
    pub fn new(families: Families, policy: Policy) -> Self {
        Self { families, policy, resolver: Arc::default() }
    }

    /// As the scenario names it.
    pub fn kind(&self) -> &'static str {
        match self.families {
            Families { v4: true, v6: true } => "ip",
            Families { v4: true, v6: false } => "ipv4",
            Families { v4: false, .. } => "ipv6",
        }
    }
}

/// What sockets speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Speaks {
    /// TCP and UDP, at ports.
    Transport,
    /// ICMP echo requests, with identifiers of one's own. Hosts are named without a port.
    Echo,
}

pub struct Ip {
    settings: Arc<Settings>,
    speaks: Speaks,
    /// Made when something is opened first.
    resolver: Option<Handle<Resolver>>,
}

impl Ip {
    pub fn new(settings: impl Into<Arc<Settings>>) -> Self {
        Self { settings: settings.into(), speaks: Speaks::Transport, resolver: None }
    }

    pub fn icmp(settings: impl Into<Arc<Settings>>) -> Self {
        Self { speaks: Speaks::Echo, ..Self::new(settings) }
    }
}

impl Protocol for Ip {
    fn open(&mut self, cx: &mut Context, bind: &str, kind: SocketKind) -> Result<Box<dyn Control>> {
        if (self.speaks, kind) == (Speaks::Echo, SocketKind::Stream) {
            return Err(Error::Prototype);
        }
        let resolver = *self
            .resolver
            .get_or_insert_with(|| cx.spawn(Resolver::new(Arc::clone(&self.settings.resolver))));
        let scope = Scope { settings: Arc::clone(&self.settings), speaks: self.speaks, resolver };
        let locals = scope.locals(cx, bind)?;
        let control: Box<dyn Control> = match kind {
            SocketKind::Stream => Box::new(tcp::TcpControl::open(cx, &locals, scope)?),
            SocketKind::Datagram => Box::new(udp::UdpControl::open(cx, &locals, scope)?),
        };
        cx.with_task(resolver, |resolver, _| resolver.hold());
        Ok(control)
    }

    fn close(&mut self, cx: &mut Context) {
        if let Some(resolver) = self.resolver.take() {
            cx.with_task(resolver, |resolver, _| resolver.release());
        }
    }
}

/// Binds an address, or one port at an address of each family.
fn bind_all<T>(
    cx: &mut Context,
    locals: &[SocketAddr],
    bind: impl Fn(&mut Context, SocketAddr) -> Result<(T, SocketAddr)>,
    release: impl Fn(&mut Context, T, SocketAddr),
) -> Result<Vec<(T, SocketAddr)>> {
    /// Ports that are free in one family and not in the other.
    const TRIES_MAX: usize = 16;
    let mut last = Error::AddressInUse;
    for _ in 0..TRIES_MAX {
        let mut bound: Vec<(T, SocketAddr)> = Vec::with_capacity(locals.len());
        let mut failed = None;
        for local in locals {
            let mut local = *local;
            if let Some((_, first)) = bound.first() {
                local.set_port(first.port());
            }
            match bind(cx, local) {
                Ok(one) => bound.push(one),
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            }
        }
        let Some(error) = failed else { return Ok(bound) };
        bound.drain(..).for_each(|(one, local)| release(cx, one, local));
        last = error;
        if error != Error::AddressInUse || locals.iter().any(|local| local.port() != 0) {
            break;
        }
    }
    Err(last)
}
