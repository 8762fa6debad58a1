//! Names to addresses, for one protocol object: the lab's own names, the hosts table, what is remembered, and then
//! questions to name servers over the guest's own stack.
//!
//! ```text
//! look_up --> names.rs, cache.rs: at once
//!        '--> Lookup --A, AAAA--> ask.rs: servers in turn --> wire.rs: a UDP flow or TCP connection
//!                                    '--> reply.rs: what an answer says
//! sort.rs      which address first
//! ```
//!
//! A resolver is a task of its node, so that questions go on while the guest is away. Whoever looks something up is
//! woken, and takes what was found.

mod ask;
mod cache;
mod names;
mod reply;
mod sort;
mod wire;

#[cfg(test)]
mod tests;

pub use names::{LabHost, Names};
pub use reply::{Question, Reply};
pub use sort::sort;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use super::name::HostName;
use super::server::PORT;
use crate::error::Error;
use crate::node::Waiter;
use crate::node::object::Context;
use crate::node::slab::{Id, Slab};
use crate::node::task::{Handle, Task, TaskId};
use crate::rng::{Rng, Seed};
use crate::time::Instant;
use ask::{Ask, Told};
use cache::Cache;

/// Lookups of one resolver under way.
const LOOKUPS_MAX: usize = 64;
/// How long the other family may take once one has answered (RFC 8305, section 3).
const RESOLUTION_DELAY: Duration = Duration::from_millis(50);
/// As resolv.conf(5) has them.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);
pub const DEFAULT_ATTEMPTS: u32 = 2;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    V4,
    V6,
}

impl Family {
    pub fn of(address: IpAddr) -> Family {
        match address {
            IpAddr::V4(_) => Family::V4,
            IpAddr::V6(_) => Family::V6,
        }
    }
}

/// Which addresses are of use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Families {
    pub v4: bool,
    pub v6: bool,
}

impl Families {
    pub const BOTH: Families = Families { v4: true, v6: true };

    pub fn only(family: Family) -> Families {
        Families { v4: family == Family::V4, v6: family == Family::V6 }
    }

    pub fn has(self, family: Family) -> bool {
        match family {
            Family::V4 => self.v4,
            Family::V6 => self.v6,
        }
    }

    fn list(self) -> impl Iterator<Item = Family> {
        // AAAA first (RFC 8305, section 3).
        [Family::V6, Family::V4].into_iter().filter(move |&family| self.has(family))
    }
}

/// What a resolver goes by.
#[derive(Clone, Debug, PartialEq)]
pub struct ResolverConfig {
    pub names: Arc<Names>,
    /// Asked in this order.
    pub servers: Vec<SocketAddr>,
    /// Those that the network told of (DHCP, router advertisements) take their place, if there are any.
    pub heeds_network: bool,
    /// How long one of them may take.
    pub timeout: Duration,
    /// How often each is asked.
    pub attempts: u32,
    /// Domains whose names may lead to private addresses, though servers outside the lab say so.
    pub private: Vec<HostName>,
}

impl Default for ResolverConfig {
    fn default() -> Self {
        Self {
            names: Arc::default(),
            servers: Vec::new(),
            heeds_network: true,
            timeout: DEFAULT_TIMEOUT,
            attempts: DEFAULT_ATTEMPTS,
            private: Vec::new(),
        }
    }
}

impl ResolverConfig {
    /// Whether a name is of a domain that is trusted with private addresses.
    fn is_private(&self, name: &HostName) -> bool {
        self.private.iter().any(|domain| domain.has(name))
    }
}

/// A name that leads nowhere: the errno for the guest, and a sentence for the trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub error: Error,
    pub why: String,
}

/// Addresses, in the order in which they came.
pub type Outcome = Result<Vec<IpAddr>, Failure>;

/// Which servers a name may be asked of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whom {
    Anybody,
    /// The lab's own, and others for what is in a domain of the resolver's `private` alone.
    LabOnly,
}

pub enum Progress {
    Done(Outcome),
    /// Whoever asked is woken.
    Pending(Id<Lookup>),
}

pub struct Resolver {
    config: Arc<ResolverConfig>,
    cache: Cache,
    lookups: Slab<Lookup>,
    /// A stream of its own, from the first question on: how often it draws must not shift what the guest does.
    rng: Option<Rng>,
    /// The protocol object and its controls.
    holders: usize,
}

/// A name that somebody waits for.
pub struct Lookup {
    name: HostName,
    asks: Vec<Ask>,
    addresses: Vec<IpAddr>,
    /// Why a question was not answered, or an answer not taken.
    failure: Option<Failure>,
    /// When it is over though a question is still under way.
    settles: Option<Instant>,
    waiter: Waiter,
    outcome: Option<Outcome>,
}

impl Resolver {
    pub fn new(config: Arc<ResolverConfig>) -> Resolver {
        Resolver { config, cache: Cache::default(), lookups: Slab::default(), rng: None, holders: 1 }
    }

    pub fn hold(&mut self) {
        self.holders += 1;
    }

    pub fn release(&mut self) {
        self.holders = self.holders.saturating_sub(1);
    }

    /// Begins a lookup; `waiter` is woken when it is done, unless it is at once.
    pub fn look_up(
        &mut self,
        cx: &mut Context,
        me: Handle<Resolver>,
        name: &HostName,
        families: Families,
        whom: Whom,
        waiter: Waiter,
    ) -> Progress {
        let failure = |error, why: String| Progress::Done(Err(Failure { error, why }));
        if let Some(known) = self.config.names.find(name, cx.whereabouts) {
            let addresses = known.iter().copied().filter(|&address| families.has(Family::of(address)));
            let addresses: Vec<IpAddr> = addresses.collect();
            return match addresses.is_empty() {
                true => failure(Error::NoEntry, format!("{name} has no address of the family")),
                false => Progress::Done(Ok(addresses)),
            };
        }
        let servers = self.servers(cx);
        if servers.is_empty() {
            let why = format!("{name} is no name of the lab's, and there is no name server to ask");
            return failure(Error::NoEntry, why);
        }
        let servers = match whom {
            Whom::LabOnly if !self.config.is_private(name) => self.of_the_lab(&servers),
            Whom::Anybody | Whom::LabOnly => servers,
        };
        if servers.is_empty() {
            let why = format!(
                "connect {name}: refused: its resolver has no server of the lab, and to ask another one leads out of it, \
                 which no rule of `connect` allows"
            );
            return failure(Error::Access, why);
        }
        let Some(dns) = name.to_dns() else {
            return failure(Error::NoEntry, format!("{name} is too long a name"));
        };
        let mut lookup = Lookup {
            name: name.clone(),
            asks: Vec::new(),
            addresses: Vec::new(),
            failure: None,
            settles: None,
            waiter,
            outcome: None,
        };
        for family in families.list() {
            match self.cache.get(cx.now, name, family) {
                Some(entry) => lookup.addresses.extend_from_slice(&entry.addresses),
                None => lookup.asks.push(Ask::new(dns.clone(), family, Arc::clone(&servers))),
            }
        }
        if lookup.asks.is_empty() {
            return Progress::Done(lookup.conclude());
        }
        if self.lookups.len() >= LOOKUPS_MAX {
            let why = format!("{name}: {LOOKUPS_MAX} names are being looked up already");
            return failure(Error::NoBuffers, why);
        }
        cx.wake_task(me.id());
        Progress::Pending(self.lookups.insert(lookup))
    }

    fn servers(&self, cx: &Context) -> Arc<[SocketAddr]> {
        let told = if self.config.heeds_network { cx.stack.dns_servers() } else { Vec::new() };
        match told.is_empty() {
            true => self.config.servers.as_slice().into(),
            false => told.into_iter().map(|ip| SocketAddr::new(ip, PORT)).collect(),
        }
    }

    fn of_the_lab(&self, servers: &[SocketAddr]) -> Arc<[SocketAddr]> {
        servers.iter().copied().filter(|server| self.config.names.servers.contains(&server.ip())).collect()
    }

    /// What was found; `None` while it is not done.
    pub fn take(&mut self, id: Id<Lookup>) -> Option<Outcome> {
        self.lookups.get(id)?.outcome.as_ref()?;
        self.lookups.remove(id)?.outcome
    }

    /// Whether [`Resolver::take`] has something to give, or never will.
    pub fn is_done(&self, id: Id<Lookup>) -> bool {
        self.lookups.get(id).is_none_or(|lookup| lookup.outcome.is_some())
    }

    /// Wakes `waiter`, and nobody else, when it is done.
    pub fn watch(&mut self, id: Id<Lookup>, waiter: Waiter) {
        if let Some(lookup) = self.lookups.get_mut(id) {
            lookup.waiter = waiter;
        }
    }

    /// Nobody waits for it any more.
    pub fn forget(&mut self, cx: &mut Context, id: Id<Lookup>) {
        if let Some(mut lookup) = self.lookups.remove(id) {
            lookup.asks.iter_mut().for_each(|ask| ask.close(cx));
        }
    }
}

impl Lookup {
    /// Nothing more will come.
    fn conclude(&mut self) -> Outcome {
        if !self.addresses.is_empty() {
            return Ok(std::mem::take(&mut self.addresses));
        }
        Err(self.failure.take().unwrap_or_else(|| Failure {
            error: Error::NoEntry,
            why: format!("{}: there is no such name, or it has no address of the family", self.name),
        }))
    }

    fn take_up(
        &mut self,
        now: Instant,
        family: Family,
        told: Told,
        config: &ResolverConfig,
        cache: &mut Cache,
    ) {
        let key = (self.name.clone(), family);
        match told {
            Told::Nothing { ttl } => cache.insert(now, key, Vec::new(), ttl),
            Told::Unknown(why) => {
                let why = format!("{}: no name server answers; the last one: {why}", self.name);
                self.failure = Some(Failure { error: Error::NameServer, why });
            }
            Told::Addresses { mut addresses, ttl, by } => {
                let trusted = config.names.servers.contains(&by.ip()) || config.is_private(&self.name);
                addresses.retain(|&address| {
                    let refused = names::impossible(address)
                        .or_else(|| config.names.refuses(address).filter(|_| !trusted));
                    if let Some(what) = refused {
                        let why = format!(
                            "{} leads to {address}, {what}, says {by}: answers from outside may not, unless the \
                             resolver's `private` has their domain",
                            self.name
                        );
                        self.failure = Some(Failure { error: Error::Access, why });
                    }
                    refused.is_none()
                });
                if !addresses.is_empty() {
                    cache.insert(now, key, addresses.clone(), ttl);
                    self.addresses.append(&mut addresses);
                }
            }
        }
    }
}

impl Task for Resolver {
    fn poll(&mut self, cx: &mut Context, me: TaskId) {
        let Resolver { config, cache, lookups, rng, .. } = self;
        if lookups.is_empty() {
            return;
        }
        let rng = rng.get_or_insert_with(|| Seed(cx.rng.next_u64()).fork("resolver"));
        for id in lookups.ids().collect::<Vec<_>>() {
            let Some(lookup) = lookups.get_mut(id).filter(|lookup| lookup.outcome.is_none()) else {
                continue;
            };
            let mut asks = std::mem::take(&mut lookup.asks);
            asks.retain_mut(|ask| match ask.poll(cx, config, rng, Waiter::Task(me)) {
                None => true,
                Some(told) => {
                    lookup.take_up(cx.now, ask.family(), told, config, cache);
                    false
                }
            });
            lookup.asks = asks;
            if !lookup.addresses.is_empty() {
                lookup.settles.get_or_insert(cx.now + RESOLUTION_DELAY);
            }
            if lookup.asks.is_empty() || lookup.settles.is_some_and(|at| at <= cx.now) {
                lookup.asks.drain(..).for_each(|mut ask| ask.close(cx));
                lookup.outcome = Some(lookup.conclude());
                cx.stack.wakes().wake(lookup.waiter);
            }
        }
    }

    fn poll_at(&self) -> Option<Instant> {
        let open = self.lookups.ids().filter_map(|id| self.lookups.get(id));
        let open = open.filter(|lookup| lookup.outcome.is_none());
        open.flat_map(|lookup| lookup.asks.iter().map(Ask::poll_at).chain(lookup.settles)).min()
    }

    fn is_over(&self) -> bool {
        self.holders == 0 && self.lookups.is_empty()
    }

    fn abort(&mut self, cx: &mut Context) {
        for id in self.lookups.ids().collect::<Vec<_>>() {
            self.forget(cx, id);
        }
    }
}
