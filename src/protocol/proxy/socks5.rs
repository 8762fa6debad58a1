//! Through a SOCKS 5 server (RFC 1928), without authentication or with a name and password (RFC 1929).
//!
//! Host names go to the server as they are, and it resolves them. `GSSAPI` and `BIND` are not here.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::associate::AssociateControl;
use super::dialogue::{Dialogue, Script, Turn};
use super::{Credentials, Settings};
use crate::dns::name::HostName;
use crate::error::{Error, Result};
use crate::node::object::{Context, Control, Protocol};
use crate::protocol::layer::{Carrier, Layer, Upgrade};
use crate::protocol::target::{Host, Target};

const VERSION: u8 = 5;
const NO_AUTHENTICATION: u8 = 0;
const PASSWORD: u8 = 2;
const NO_ACCEPTABLE_METHODS: u8 = 0xff;
/// Version of the sub-negotiation, RFC 1929.
const PASSWORD_VERSION: u8 = 1;

pub struct Socks5 {
    settings: Settings,
}

impl Socks5 {
    pub fn new(settings: Settings) -> Self {
        Self { settings }
    }
}

impl Layer for Socks5 {
    fn has_server(&self) -> bool {
        false
    }

    fn via(&self, cx: &mut Context, address: &str) -> Result<String> {
        self.settings.via(cx, "socks5", address)
    }

    fn connect(&self, cx: &mut Context, below: Carrier, address: &str) -> Result<Box<dyn Upgrade>> {
        let target = Target::parse(address)?;
        let script = Client::new(Command::Connect, target, self.settings.credentials.clone());
        Ok(Box::new(Dialogue::new(cx, below, script)?))
    }

    fn accept(&self, cx: &mut Context, mut below: Carrier) -> Result<Box<dyn Upgrade>> {
        below.close(cx);
        Err(Error::NotSupported)
    }

    fn open_datagram(
        &self,
        cx: &mut Context,
        below: &mut dyn Protocol,
        bind: &str,
    ) -> Result<Box<dyn Control>> {
        Ok(Box::new(AssociateControl::open(cx, below, bind, self.settings.clone())?))
    }
}

/// What the server is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    Connect,
    UdpAssociate,
}

/// The client's side, up to the server's reply.
pub struct Client {
    command: Command,
    target: Target,
    credentials: Option<Credentials>,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Greet,
    Method,
    Authenticated,
    Reply,
}

impl Client {
    pub fn new(command: Command, target: Target, credentials: Option<Credentials>) -> Self {
        Self { command, target, credentials, stage: Stage::Greet }
    }

    fn greeting(&self) -> Vec<u8> {
        match self.credentials {
            Some(_) => vec![VERSION, 2, NO_AUTHENTICATION, PASSWORD],
            None => vec![VERSION, 1, NO_AUTHENTICATION],
        }
    }

    fn request(&self) -> Vec<u8> {
        let command = match self.command {
            Command::Connect => 1,
            Command::UdpAssociate => 3,
        };
        let mut bytes = vec![VERSION, command, 0];
        write_target(&mut bytes, &self.target);
        bytes
    }

    fn method(&mut self, method: u8) -> Turn {
        match (method, &self.credentials) {
            (NO_AUTHENTICATION, _) => self.say(Stage::Reply, self.request()),
            (PASSWORD, Some(Credentials { user, password })) => {
                let mut bytes = vec![PASSWORD_VERSION];
                for text in [user, password] {
                    // The scenario keeps both below 256 bytes.
                    bytes.push(text.len().min(255) as u8);
                    bytes.extend_from_slice(&text.as_bytes()[..text.len().min(255)]);
                }
                self.say(Stage::Authenticated, bytes)
            }
            (NO_ACCEPTABLE_METHODS, Some(_)) => {
                Turn::Fail(Error::Access, "the SOCKS server takes neither a password nor nobody".into())
            }
            (NO_ACCEPTABLE_METHODS, None) => {
                Turn::Fail(Error::Access, "the SOCKS server wants a user and password".into())
            }
            (other, _) => garbage(&format!("method {other}, which it was not offered")),
        }
    }

    fn say(&mut self, stage: Stage, bytes: Vec<u8>) -> Turn {
        self.stage = stage;
        Turn::Say { taken: 2, bytes }
    }

    fn reply(&mut self, received: &[u8]) -> Turn {
        let [version, reply, _reserved, rest @ ..] = received else {
            return match received {
                [version, ..] if *version != VERSION => garbage(&format!("version {version}")),
                _ => Turn::More,
            };
        };
        if *version != VERSION {
            return garbage(&format!("version {version}"));
        }
        if *reply != 0 {
            let (error, why) = refusal(*reply);
            return Turn::Fail(error, format!("the SOCKS server could not reach {}: {why}", self.target));
        }
        match read_target(rest) {
            Ok(Some((bound, length))) => {
                let peer = match self.command {
                    Command::Connect => &self.target,
                    // Where its relay is.
                    Command::UdpAssociate => &bound,
                };
                Turn::Done { taken: 3 + length, peer: Some(peer.to_string()) }
            }
            Ok(None) => Turn::More,
            Err(why) => garbage(why),
        }
    }
}

fn garbage(what: &str) -> Turn {
    Turn::Fail(Error::ConnectionAborted, format!("no SOCKS 5 server: it answered {what}"))
}

/// RFC 1928, 6.
fn refusal(reply: u8) -> (Error, &'static str) {
    match reply {
        1 => (Error::ConnectionAborted, "general failure"),
        2 => (Error::Access, "not allowed by its rules"),
        3 => (Error::NetworkUnreachable, "network unreachable"),
        4 => (Error::HostUnreachable, "host unreachable"),
        5 => (Error::ConnectionRefused, "connection refused"),
        6 => (Error::HostUnreachable, "time to live expired"),
        7 => (Error::NotSupported, "command not supported"),
        8 => (Error::AddressFamily, "kind of address not supported"),
        _ => (Error::ConnectionAborted, "a failure that RFC 1928 does not know"),
    }
}

impl Script for Client {
    fn turn(&mut self, received: &[u8]) -> Turn {
        match self.stage {
            Stage::Greet => {
                self.stage = Stage::Method;
                Turn::Say { taken: 0, bytes: self.greeting() }
            }
            Stage::Method => match received {
                [VERSION, method, ..] => self.method(*method),
                [] | [VERSION] => Turn::More,
                [version, ..] => garbage(&format!("version {version}")),
            },
            Stage::Authenticated => match received {
                [_, 0, ..] => self.say(Stage::Reply, self.request()),
                [_, _, ..] => {
                    Turn::Fail(Error::Access, "the SOCKS server refused the user or password".into())
                }
                [_] | [] => Turn::More,
            },
            Stage::Reply => self.reply(received),
        }
    }
}

/// ATYP, address and port.
pub fn write_target(into: &mut Vec<u8>, target: &Target) {
    match &target.host {
        Host::Address(IpAddr::V4(address)) => {
            into.push(1);
            into.extend_from_slice(&address.octets());
        }
        Host::Name(name) => {
            // At most 253 bytes, as `Target` has it.
            into.extend_from_slice(&[3, name.as_str().len() as u8]);
            into.extend_from_slice(name.as_str().as_bytes());
        }
        Host::Address(IpAddr::V6(address)) => {
            into.push(4);
            into.extend_from_slice(&address.octets());
        }
    }
    into.extend_from_slice(&target.port.to_be_bytes());
}

/// Reads the same, with the bytes that it took; `None` if it is not whole.
pub fn read_target(bytes: &[u8]) -> Result<Option<(Target, usize)>, &'static str> {
    let Some((&kind, rest)) = bytes.split_first() else { return Ok(None) };
    let (host, length) = match kind {
        1 => match rest.first_chunk::<4>() {
            Some(octets) => (Host::Address(Ipv4Addr::from(*octets).into()), 4),
            None => return Ok(None),
        },
        3 => {
            let Some((&length, rest)) = rest.split_first() else { return Ok(None) };
            let length = usize::from(length);
            let Some(name) = rest.get(..length) else { return Ok(None) };
            let name = std::str::from_utf8(name).ok().and_then(HostName::parse);
            (Host::Name(name.ok_or("a name that no host has")?), 1 + length)
        }
        4 => match rest.first_chunk::<16>() {
            Some(octets) => (Host::at(Ipv6Addr::from(*octets).into()), 16),
            None => return Ok(None),
        },
        _ => return Err("a kind of address that RFC 1928 does not know"),
    };
    let Some(port) = rest.get(length..).and_then(|rest| rest.first_chunk::<2>()) else { return Ok(None) };
    Ok(Some((Target { host, port: u16::from_be_bytes(*port) }, 1 + length + 2)))
}
