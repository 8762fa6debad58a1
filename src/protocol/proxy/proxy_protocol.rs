//! The PROXY protocol, server side: behind a balancer, a guest's `peer_address` is its peer's true address.
//!
//! HAProxy's "The PROXY protocol", versions 1 and 2: a balancer begins each connection with a header that says for
//! whom it connects. The header is always expected and never guessed at, as the specification demands, and taken
//! only from those whom the scenario trusts.

use std::net::SocketAddr;

use ppp::{HeaderResult, PartialResult, v1, v2};
use smoltcp::wire::IpCidr;

use super::dialogue::{Dialogue, Script, Turn};
use crate::error::{Error, Result};
use crate::node::object::Context;
use crate::protocol::layer::{Carrier, Layer, Upgrade};
use crate::protocol::policy::Comers;

#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Who may say for whom they connect; `None`: whoever connects.
    pub from: Option<Vec<IpCidr>>,
}

pub struct ProxyProtocol {
    settings: Settings,
    comers: Option<Comers>,
}

impl ProxyProtocol {
    /// `comers`: who may come in by what it stands on, whoever connects for them.
    pub fn new(settings: Settings, comers: Option<Comers>) -> Self {
        Self { settings, comers }
    }

    fn trusts(&self, peer: &str) -> bool {
        let Some(from) = &self.settings.from else { return true };
        let Ok(peer) = peer.parse::<SocketAddr>() else { return false };
        from.iter().any(|prefix| prefix.contains_addr(&peer.ip().into()))
    }
}

impl Layer for ProxyProtocol {
    fn has_server(&self) -> bool {
        true
    }

    fn connect(&self, cx: &mut Context, mut below: Carrier, _: &str) -> Result<Box<dyn Upgrade>> {
        below.close(cx);
        Err(Error::NotSupported)
    }

    fn accept(&self, cx: &mut Context, mut below: Carrier) -> Result<Box<dyn Upgrade>> {
        let peer = below.peer_address(cx)?;
        if !self.trusts(&peer) {
            cx.journal.remark(|| format!("{peer} is none of those whose PROXY header counts: reset"));
            below.reset(cx);
            return Err(Error::Access);
        }
        Ok(Box::new(Dialogue::new(cx, below, Header { comers: self.comers.clone() })?))
    }
}

/// Reads a header, then lets the connection go to the guest.
#[derive(Default)]
pub struct Header {
    comers: Option<Comers>,
}

impl Script for Header {
    fn turn(&mut self, received: &[u8]) -> Turn {
        match parse(received) {
            Parsed::More => Turn::More,
            Parsed::Whole(taken, peer) => Turn::Done { taken, peer: peer.map(|peer| peer.to_string()) },
            Parsed::Broken => {
                Turn::Fail(Error::ConnectionAborted, "no PROXY header where one belongs: reset".into())
            }
        }
    }

    fn admit(&self, cx: &Context, peer: &str) -> Result<(), (Error, String)> {
        let (Some(comers), Ok(address)) = (&self.comers, peer.parse()) else { return Ok(()) };
        comers
            .check(address, cx.whereabouts)
            .map_err(|refusal| (Error::Access, format!("accept {peer}: refused: {refusal}")))
    }
}

/// What the bytes so far are.
enum Parsed {
    More,
    /// A header of so many bytes, and whom it names; `None` if the balancer speaks for itself.
    Whole(usize, Option<SocketAddr>),
    Broken,
}

/// Version 1, a line: "the maximum line length the receiver must support".
const LINE_BYTES_MAX: usize = 107;

fn parse(bytes: &[u8]) -> Parsed {
    // The crate takes a line cut inside a number for a broken one.
    const LINE: &[u8] = b"PROXY ";
    if LINE.starts_with(&bytes[..bytes.len().min(LINE.len())]) && !bytes.windows(2).any(|two| two == b"\r\n")
    {
        return if bytes.len() < LINE_BYTES_MAX { Parsed::More } else { Parsed::Broken };
    }
    let header = HeaderResult::parse(bytes);
    if header.is_incomplete() {
        return Parsed::More;
    }
    match header {
        HeaderResult::V1(Ok(header)) => {
            let peer = match header.addresses {
                v1::Addresses::Unknown => None,
                v1::Addresses::Tcp4(tcp) => Some((tcp.source_address, tcp.source_port).into()),
                v1::Addresses::Tcp6(tcp) => Some((tcp.source_address.to_canonical(), tcp.source_port).into()),
            };
            Parsed::Whole(header.header.len(), peer)
        }
        HeaderResult::V2(Ok(header)) => {
            let peer = match header.addresses {
                // Version 2, LOCAL: a health check of the balancer's own, whatever addresses it carries.
                _ if header.command == v2::Command::Local => None,
                v2::Addresses::IPv4(ip) => Some((ip.source_address, ip.source_port).into()),
                v2::Addresses::IPv6(ip) => Some((ip.source_address.to_canonical(), ip.source_port).into()),
                v2::Addresses::Unix(_) | v2::Addresses::Unspecified => None,
            };
            Parsed::Whole(header.as_bytes().len(), peer)
        }
        HeaderResult::V1(Err(_)) | HeaderResult::V2(Err(_)) => Parsed::Broken,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_both_versions_name_the_peer() {
        let v1 = b"PROXY TCP4 192.0.2.7 10.0.0.1 4711 80\r\nGET /";
        assert!(
            matches!(parse(v1), Parsed::Whole(39, Some(peer)) if peer == "192.0.2.7:4711".parse().unwrap())
        );
        let v2 = v2::Builder::with_addresses(
            v2::Version::Two | v2::Command::Proxy,
            v2::Protocol::Stream,
            ("[2001:db8::1]:9".parse::<SocketAddr>().unwrap(), "[2001:db8::2]:80".parse().unwrap()),
        )
        .build()
        .unwrap();
        assert!(
            matches!(parse(&v2), Parsed::Whole(52, Some(peer)) if peer == "[2001:db8::1]:9".parse().unwrap())
        );
        let local = [&b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00"[..], b"rest"].concat();
        assert!(matches!(parse(&local), Parsed::Whole(16, None)));
        assert!(matches!(parse(b"PROXY UNKNOWN\r\n"), Parsed::Whole(15, None)));
    }

    #[test]
    fn what_is_no_header_is_told_from_what_is_not_whole() {
        for whole in
            [&b"PROXY TCP4 192.0.2.7 10.0.0.1 4711 80\r\n"[..], b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00"]
        {
            for cut in 1..whole.len() {
                assert!(matches!(parse(&whole[..cut]), Parsed::More), "cut at {cut}");
            }
        }
        for broken in
            [&b"GET / HTTP/1.1\r\n"[..], b"PROXY TCP4 1.2.3.4 x 1 2\r\n", b"\r\n\r\n\0\r\nQUIT\n\x30\0\0\0"]
        {
            assert!(matches!(parse(broken), Parsed::Broken), "{broken:?}");
        }
    }
}
