//! What nodes and the directory say to one another, and what a connection begins with. Fixed sizes, so that a reader
//! knows from the number of bytes alone whether all of it is there; numbers are big-endian.
//!
//! ```text
//! request  magic 4 | op 1 | kind 1 | path length 1 | 0 | port 2 | folder 2 | boot 4 | path 108
//! reply    magic 4 | answer 1 | 0 | port 2 | address 16 | token 8
//! hello    magic 4 | version 1 | kind 1 | own length 1 | target length 1 | token 8 | own path 108 | target path 108
//! ```

use std::net::Ipv6Addr;

use super::path::UnixPath;
use crate::error::{Error, Result};
use crate::node::SocketKind;

const MAGIC: [u8; 4] = *b"unix";
const VERSION: u8 = 1;
const PATH_BYTES: usize = 108;

pub const REQUEST_BYTES: usize = 16 + PATH_BYTES;
pub const REPLY_BYTES: usize = 32;
pub const HELLO_BYTES: usize = 16 + 2 * PATH_BYTES;

/// A path as the wire has it: of the lab's own namespace, or of a folder of the host.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// 0: the lab's own; others are the folders that the scenario grants, from 1 on.
    pub folder: u16,
    /// In a folder: the name with `/` before it.
    pub path: UnixPath,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// The path is bound at this port of the asking node, for as long as the connection lasts that asked.
    Bind { port: u16 },
    /// Where is it? For datagrams to a socket of the host, the port where the asking control has bound a path of the host's,
    /// if it has: they are to come from there.
    Find { from: Option<u16> },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    pub op: Op,
    pub kind: SocketKind,
    pub place: Place,
    /// How often the asking node was switched on.
    pub boot: u32,
}

/// Where a path is bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    pub address: Ipv6Addr,
    pub port: u16,
    /// To be said in the hello.
    pub token: u64,
}

/// What a connection begins with, before the guest's own bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    pub kind: SocketKind,
    /// The path that the connecting side is bound to.
    pub own: Option<UnixPath>,
    pub target: UnixPath,
    pub token: u64,
}

/// Errors that an answer can be, by their number there; 0 is none.
const ANSWERS: [Error; 9] = [
    Error::NoEntry,
    Error::AddressInUse,
    Error::Prototype,
    Error::NoBuffers,
    Error::Access,
    Error::ConnectionRefused,
    Error::TimedOut,
    Error::Invalid,
    Error::NotSupported,
];

fn kind_byte(kind: SocketKind) -> u8 {
    match kind {
        SocketKind::Stream => 1,
        SocketKind::Datagram => 2,
    }
}

fn kind_of(byte: u8) -> Option<SocketKind> {
    match byte {
        1 => Some(SocketKind::Stream),
        2 => Some(SocketKind::Datagram),
        _ => None,
    }
}

fn put_path(into: &mut [u8], path: &UnixPath) -> u8 {
    let bytes = path.as_str().as_bytes();
    into[..bytes.len()].copy_from_slice(bytes);
    // Shorter than the field.
    bytes.len() as u8
}

fn path_of(field: &[u8], length: u8) -> Option<UnixPath> {
    let bytes = field.get(..usize::from(length))?;
    UnixPath::parse(std::str::from_utf8(bytes).ok()?).ok()
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

impl Request {
    pub fn encode(&self) -> [u8; REQUEST_BYTES] {
        let mut bytes = [0; REQUEST_BYTES];
        bytes[..4].copy_from_slice(&MAGIC);
        let (op, port) = match self.op {
            Op::Bind { port } => (1, port),
            Op::Find { from } => (2, from.unwrap_or(0)),
        };
        (bytes[4], bytes[5]) = (op, kind_byte(self.kind));
        bytes[8..10].copy_from_slice(&port.to_be_bytes());
        bytes[10..12].copy_from_slice(&self.place.folder.to_be_bytes());
        bytes[12..16].copy_from_slice(&self.boot.to_be_bytes());
        bytes[6] = put_path(&mut bytes[16..], &self.place.path);
        bytes
    }

    /// `None` for what is no request.
    pub fn decode(bytes: &[u8; REQUEST_BYTES]) -> Option<Self> {
        let op = match (bytes[4], u16_at(bytes, 8)) {
            (1, port) if port != 0 => Op::Bind { port },
            (2, port) => Op::Find { from: (port != 0).then_some(port) },
            _ => return None,
        };
        let place = Place { folder: u16_at(bytes, 10), path: path_of(&bytes[16..], bytes[6])? };
        let boot = u32::from_be_bytes([bytes[12], bytes[13], bytes[14], bytes[15]]);
        let request = Request { op, kind: kind_of(bytes[5])?, place, boot };
        (bytes[..4] == MAGIC).then_some(request)
    }
}

pub fn encode_reply(answer: Result<Found>) -> [u8; REPLY_BYTES] {
    let mut bytes = [0; REPLY_BYTES];
    bytes[..4].copy_from_slice(&MAGIC);
    match answer {
        Ok(found) => {
            bytes[6..8].copy_from_slice(&found.port.to_be_bytes());
            bytes[8..24].copy_from_slice(&found.address.octets());
            bytes[24..].copy_from_slice(&found.token.to_be_bytes());
        }
        Err(error) => {
            let number = ANSWERS.iter().position(|&other| other == error);
            // What has no number of its own is refused.
            bytes[4] = number.unwrap_or(5) as u8 + 1;
        }
    }
    bytes
}

/// `None` for what is no reply.
pub fn decode_reply(bytes: &[u8; REPLY_BYTES]) -> Option<Result<Found>> {
    if bytes[..4] != MAGIC {
        return None;
    }
    if let Some(number) = bytes[4].checked_sub(1) {
        return ANSWERS.get(usize::from(number)).map(|&error| Err(error));
    }
    let address: [u8; 16] = bytes[8..24].try_into().ok()?;
    let token: [u8; 8] = bytes[24..].try_into().ok()?;
    let port = u16_at(bytes, 6);
    Some(Ok(Found { address: address.into(), port, token: u64::from_be_bytes(token) }))
}

impl Hello {
    pub fn encode(&self) -> [u8; HELLO_BYTES] {
        let mut bytes = [0; HELLO_BYTES];
        bytes[..4].copy_from_slice(&MAGIC);
        (bytes[4], bytes[5]) = (VERSION, kind_byte(self.kind));
        bytes[8..16].copy_from_slice(&self.token.to_be_bytes());
        let (own, target) = bytes[16..].split_at_mut(PATH_BYTES);
        let lengths =
            [self.own.as_ref().map_or(0, |path| put_path(own, path)), put_path(target, &self.target)];
        bytes[6..8].copy_from_slice(&lengths);
        bytes
    }

    /// `None` for what is no hello.
    pub fn decode(bytes: &[u8; HELLO_BYTES]) -> Option<Self> {
        if bytes[..4] != MAGIC || bytes[4] != VERSION {
            return None;
        }
        let own = match bytes[6] {
            0 => None,
            length => Some(path_of(&bytes[16..16 + PATH_BYTES], length)?),
        };
        let target = path_of(&bytes[16 + PATH_BYTES..], bytes[7])?;
        let token: [u8; 8] = bytes[8..16].try_into().ok()?;
        Some(Hello { kind: kind_of(bytes[5])?, own, target, token: u64::from_be_bytes(token) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn path(text: &str) -> UnixPath {
        UnixPath::parse(text).unwrap()
    }

    #[test]
    fn what_is_written_is_read_again() {
        let longest = path(&format!("/{}", "x".repeat(106)));
        for op in [Op::Bind { port: 40_000 }, Op::Find { from: None }, Op::Find { from: Some(7) }] {
            let place = Place { folder: 3, path: longest.clone() };
            let request = Request { op, kind: SocketKind::Datagram, place, boot: 7 };
            assert_eq!(Request::decode(&request.encode()), Some(request));
        }
        let found = Found { address: "fd00::7".parse().unwrap(), port: 9, token: u64::MAX };
        assert_eq!(decode_reply(&encode_reply(Ok(found))), Some(Ok(found)));
        for error in ANSWERS {
            assert_eq!(decode_reply(&encode_reply(Err(error))), Some(Err(error)));
        }
        assert_eq!(decode_reply(&encode_reply(Err(Error::Pipe))), Some(Err(Error::ConnectionRefused)));
        for own in [None, Some(longest.clone())] {
            let hello = Hello { kind: SocketKind::Stream, own, target: longest.clone(), token: 5 };
            assert_eq!(Hello::decode(&hello.encode()), Some(hello));
        }
    }

    proptest! {
        /// Whatever a link made of it: it is read as what it would be written as, or not at all.
        #[test]
        fn bytes_of_all_kinds(flips in proptest::collection::vec((0..HELLO_BYTES, any::<u8>()), 0..4), noise in any::<bool>()) {
            let hello = Hello { kind: SocketKind::Stream, own: Some(path("/a/b")), target: path("/c"), token: 1 };
            let mut bytes = if noise { [0xA5; HELLO_BYTES] } else { hello.encode() };
            for &(at, byte) in &flips {
                bytes[at] = byte;
            }
            if let Some(read) = Hello::decode(&bytes) {
                prop_assert_eq!(Hello::decode(&read.encode()), Some(read));
            }
            let request: &[u8; REQUEST_BYTES] = bytes[..REQUEST_BYTES].try_into().unwrap();
            if let Some(read) = Request::decode(request) {
                prop_assert_eq!(Request::decode(&read.encode()), Some(read));
            }
            let reply: &[u8; REPLY_BYTES] = bytes[..REPLY_BYTES].try_into().unwrap();
            if let Some(read) = decode_reply(reply) {
                prop_assert_eq!(decode_reply(&encode_reply(read)), Some(read));
            }
        }
    }
}
