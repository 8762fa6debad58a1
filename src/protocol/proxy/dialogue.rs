//! Some bytes each way ahead of the guest's own: the shape of every proxy's handshake.

use bytes::Bytes;

use crate::error::{Error, Result};
use crate::node::object::{Connection, Context};
use crate::node::{Interest, Waiter};
use crate::protocol::layer::{Carrier, Tunnel, Upgrade};

/// Bytes of an answer: what a proxy says before the guest's bytes is short.
const ANSWER_BYTES_MAX: usize = 16 * 1024;

/// One side of a handshake, sans-IO.
pub trait Script: Send {
    /// What the bytes received so far lead to; first called with none.
    fn turn(&mut self, received: &[u8]) -> Turn;

    /// Whether the peer that [`Turn::Done`] names may be the guest's.
    ///
    /// # Errors
    /// `Access`, and why.
    fn admit(&self, _: &Context, _: &str) -> Result<(), (Error, String)> {
        Ok(())
    }
}

pub enum Turn {
    /// Nothing yet.
    More,
    /// Takes so many bytes and says these.
    Say { taken: usize, bytes: Vec<u8> },
    /// Takes so many bytes; the rest are the guest's. What `peer_address` answers, if the script knows better.
    Done { taken: usize, peer: Option<String> },
    /// It came to nothing, and why.
    Fail(Error, String),
}

/// Plays a peer that says `bytes`, `step` at a time (1 at least), to a script until that is done with it: true if it came to a
/// connection. For tests and fuzzing.
///
/// # Panics
/// If the script takes more than there is, or never ends.
pub fn play(script: &mut dyn Script, bytes: &[u8], step: usize) -> bool {
    let mut received = Vec::new();
    let mut chunks = bytes.chunks(step);
    for _ in 0..=3 * bytes.len() + 8 {
        match script.turn(&received) {
            Turn::More => match chunks.next() {
                Some(chunk) => received.extend_from_slice(chunk),
                None => return false,
            },
            Turn::Say { taken, .. } => drop(received.drain(..taken)),
            Turn::Done { taken, .. } => {
                assert!(taken <= received.len(), "{taken} of {} bytes are taken", received.len());
                return true;
            }
            Turn::Fail(..) => return false,
        }
    }
    panic!("a script that takes nothing and never ends");
}

/// A script over its carrier.
pub(super) struct Dialogue<S> {
    below: Option<Carrier>,
    script: S,
    received: Vec<u8>,
    saying: Vec<u8>,
    /// Whether the script has seen all that was received.
    turned: bool,
}

impl<S: Script> Dialogue<S> {
    /// # Errors
    /// `NoBuffers` if the guest's buffers have no room for an answer.
    pub fn new(cx: &mut Context, below: Carrier, script: S) -> Result<Self> {
        let below = Some(below.reserve(cx, ANSWER_BYTES_MAX)?);
        Ok(Self { below, script, received: Vec::new(), saying: Vec::new(), turned: false })
    }

    /// True once everything was said.
    fn say(&mut self, cx: &mut Context, waiter: Waiter) -> Result<()> {
        let below = self.below.as_mut().ok_or(Error::BadDescriptor)?;
        while !self.saying.is_empty() {
            match below.write(cx, &self.saying) {
                Ok(count) => drop(self.saying.drain(..count)),
                Err(Error::WouldBlock) => {
                    below.watch(cx, Interest::WRITE, waiter);
                    return Err(Error::WouldBlock);
                }
                Err(error) => return Err(self.fail(cx, error, "lost in the middle of the handshake")),
            }
        }
        Ok(())
    }

    fn hear(&mut self, cx: &mut Context, waiter: Waiter) -> Result<()> {
        let below = self.below.as_mut().ok_or(Error::BadDescriptor)?;
        let had = self.received.len();
        if had >= ANSWER_BYTES_MAX {
            return Err(self.fail(cx, Error::ConnectionAborted, "a handshake without end"));
        }
        self.received.resize(ANSWER_BYTES_MAX, 0);
        let read = below.read(cx, &mut self.received[had..]);
        self.received.truncate(had + *read.as_ref().unwrap_or(&0));
        self.turned = false;
        match read {
            Ok(0) => Err(self.fail(cx, Error::ConnectionAborted, "gone in the middle of the handshake")),
            Ok(_) => Ok(()),
            Err(Error::WouldBlock) => {
                below.watch(cx, Interest::READ, waiter);
                self.turned = true;
                Err(Error::WouldBlock)
            }
            Err(error) => Err(self.fail(cx, error, "lost in the middle of the handshake")),
        }
    }

    fn fail(&mut self, cx: &mut Context, error: Error, why: &str) -> Error {
        if let Some(mut below) = self.below.take() {
            let peer = below.peer(cx);
            cx.journal.remark(|| format!("{peer}: {why}"));
            below.reset(cx);
        }
        error
    }
}

impl<S: Script> Upgrade for Dialogue<S> {
    fn poll(&mut self, cx: &mut Context, waiter: Waiter) -> Result<Box<dyn Connection>> {
        loop {
            self.say(cx, waiter)?;
            if std::mem::replace(&mut self.turned, true) {
                self.hear(cx, waiter)?;
                continue;
            }
            match self.script.turn(&self.received) {
                Turn::More => {}
                Turn::Say { taken, bytes } => {
                    self.received.drain(..taken);
                    self.saying = bytes;
                    // What is left may be the next answer already.
                    self.turned = self.received.is_empty();
                }
                Turn::Done { taken, peer } => {
                    let admitted = peer.as_deref().map_or(Ok(()), |peer| self.script.admit(cx, peer));
                    if let Err((error, why)) = admitted {
                        return Err(self.fail(cx, error, &why));
                    }
                    let ahead = Bytes::copy_from_slice(&self.received[taken..]);
                    let mut below = self.below.take().ok_or(Error::BadDescriptor)?;
                    below.release(cx);
                    return Ok(Box::new(Tunnel::new(below, ahead).with_addresses(None, peer)));
                }
                Turn::Fail(error, why) => return Err(self.fail(cx, error, &why)),
            }
        }
    }

    fn close(&mut self, cx: &mut Context) {
        if let Some(mut below) = self.below.take() {
            below.close(cx);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{Credentials, http_connect, proxy_protocol, socks5};
    use super::*;
    use crate::protocol::target::Target;

    fn scripts() -> Vec<Box<dyn Script>> {
        let target = Target::parse("example.org:80").unwrap();
        let credentials = Some(Credentials { user: "me".into(), password: "secret".into() });
        vec![
            Box::new(socks5::Client::new(socks5::Command::Connect, target.clone(), credentials.clone())),
            Box::new(socks5::Client::new(socks5::Command::UdpAssociate, target.clone(), None)),
            Box::new(http_connect::Client::new(target, credentials)),
            Box::new(proxy_protocol::Header::default()),
        ]
    }

    /// What a good peer says to each of them.
    const GOOD: [&[u8]; 4] = [
        b"\x05\x02\x01\x00\x05\x00\x00\x01\x0a\x00\x00\x01\x00\x50rest",
        b"\x05\x00\x05\x00\x00\x03\x01a\x00\x50",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nrest",
        b"PROXY TCP4 192.0.2.7 10.0.0.1 4711 80\r\nrest",
    ];

    #[test]
    fn a_good_peer_is_understood_however_its_bytes_are_cut() {
        for (index, bytes) in GOOD.iter().enumerate() {
            for step in 1..=bytes.len() {
                assert!(play(&mut *scripts()[index], bytes, step), "script {index}, {step} bytes at a time");
            }
        }
    }

    proptest! {
        #[test]
        fn no_peer_breaks_a_script(
            noise in proptest::collection::vec(any::<u8>(), 0..200),
            keep in 0usize..80,
            step in 1usize..40,
        ) {
            for (index, mut script) in scripts().into_iter().enumerate() {
                let good = GOOD[index];
                let bytes = [&good[..keep.min(good.len())], &noise].concat();
                play(&mut *script, &bytes, step);
            }
        }
    }
}
