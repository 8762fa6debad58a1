//! One question, asked of servers in turn until one of them says something.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hickory_proto::rr::Name;

use super::reply::{ALIASES_MAX, Question, Reply};
use super::wire::Wire;
use super::{Family, ResolverConfig};
use crate::error::Error;
use crate::node::Waiter;
use crate::node::object::Context;
use crate::rng::Rng;
use crate::time::Instant;

/// Answers to other questions that may come to one wire: more of them are somebody's guesses.
const FOREIGN_MAX: u32 = 64;

pub struct Ask {
    question: Question,
    servers: Arc<[SocketAddr]>,
    aliases: Vec<Name>,
    /// Of the aliases followed so far.
    ttl: Duration,
    /// Counts over all rounds of servers.
    turn: usize,
    wire: Option<Wire>,
    foreign: u32,
    deadline: Instant,
    /// What the last server that was asked did instead of answering.
    trouble: String,
}

/// What came of a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    Addresses {
        addresses: Vec<IpAddr>,
        /// What the name is an alias of.
        aliases: Vec<Name>,
        ttl: Duration,
        by: SocketAddr,
    },
    Nothing {
        ttl: Duration,
    },
    /// Nobody says; and why, of the last one asked.
    Unknown(String),
}

impl Ask {
    pub fn new(name: Name, family: Family, servers: Arc<[SocketAddr]>) -> Ask {
        Ask {
            question: Question { id: 0, name, family },
            servers,
            aliases: Vec::new(),
            ttl: Duration::MAX,
            turn: 0,
            wire: None,
            foreign: 0,
            deadline: Instant::START,
            trouble: String::new(),
        }
    }

    pub fn family(&self) -> Family {
        self.question.family
    }

    pub fn poll_at(&self) -> Instant {
        self.deadline
    }

    /// Goes on as far as it can; `None` while it waits.
    pub fn poll(
        &mut self,
        cx: &mut Context,
        config: &ResolverConfig,
        rng: &mut Rng,
        waiter: Waiter,
    ) -> Option<Told> {
        loop {
            let Some(server) = self.server(config) else {
                return Some(Told::Unknown(std::mem::take(&mut self.trouble)));
            };
            let Some(wire) = &mut self.wire else {
                self.send(cx, config, rng, server, false);
                continue;
            };
            let stream = wire.is_stream();
            let bytes = match wire.receive(cx, waiter) {
                Ok(bytes) => bytes,
                Err(Error::WouldBlock) if cx.now < self.deadline => return None,
                Err(Error::WouldBlock) => {
                    let seconds = config.timeout.as_secs_f64();
                    self.next_server(cx, format!("{server} did not answer in {seconds} s"));
                    continue;
                }
                Err(error) => {
                    self.next_server(cx, format!("{server}: {error}"));
                    continue;
                }
            };
            match self.question.judge(&bytes) {
                Reply::Foreign => {
                    self.foreign += 1;
                    if self.foreign > FOREIGN_MAX || stream {
                        self.next_server(cx, format!("{server} sends what is no answer"));
                    }
                }
                Reply::Truncated if stream => {
                    self.next_server(cx, format!("{server} cuts its answer even over TCP"));
                }
                Reply::Truncated => self.send(cx, config, rng, server, true),
                Reply::Failed(code) => self.next_server(cx, format!("{server} says: {code}")),
                Reply::Endless => {
                    self.next_server(cx, format!("{server} leads from alias to alias without end"));
                }
                Reply::Alias { target, aliases, ttl } => {
                    self.close(cx);
                    self.aliases.extend(aliases);
                    self.ttl = self.ttl.min(ttl);
                    if self.aliases.len() > ALIASES_MAX || target == self.question.name {
                        self.next_server(cx, format!("{server} leads from alias to alias without end"));
                    } else {
                        self.question.name = target;
                    }
                }
                Reply::Addresses { addresses, aliases, ttl } => {
                    self.close(cx);
                    self.aliases.extend(aliases);
                    let aliases = std::mem::take(&mut self.aliases);
                    return Some(Told::Addresses { addresses, aliases, ttl: ttl.min(self.ttl), by: server });
                }
                Reply::Nothing { ttl } => {
                    self.close(cx);
                    return Some(Told::Nothing { ttl: ttl.min(self.ttl) });
                }
            }
        }
    }

    /// The one whose turn it is; `None` once all had all of theirs.
    fn server(&self, config: &ResolverConfig) -> Option<SocketAddr> {
        let turns = self.servers.len() * config.attempts as usize;
        (self.turn < turns).then(|| self.servers[self.turn % self.servers.len()])
    }

    /// Sends the question anew, with an id of its own, from a port of its own.
    fn send(
        &mut self,
        cx: &mut Context,
        config: &ResolverConfig,
        rng: &mut Rng,
        server: SocketAddr,
        stream: bool,
    ) {
        self.close(cx);
        self.question.id = rng.next_u32() as u16;
        self.deadline = cx.now + config.timeout;
        self.foreign = 0;
        let query = self.question.to_bytes().unwrap_or_default();
        let wire = match stream {
            false => Wire::datagram(cx, server, &query),
            true => Wire::stream(cx, server, &query),
        };
        match wire {
            Ok(wire) => self.wire = Some(wire),
            Err(error) => self.next_server(cx, format!("{server}: {error}")),
        }
    }

    fn next_server(&mut self, cx: &mut Context, trouble: String) {
        self.close(cx);
        self.trouble = trouble;
        self.turn += 1;
    }

    pub fn close(&mut self, cx: &mut Context) {
        if let Some(wire) = self.wire.take() {
            wire.close(cx);
        }
    }
}
