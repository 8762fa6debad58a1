//! Through an HTTP proxy: `CONNECT` (RFC 9110, 9.3.6), with basic authentication (RFC 7617) if it is asked for.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::dialogue::{Dialogue, Script, Turn};
use super::{Credentials, Settings};
use crate::error::{Error, Result};
use crate::node::object::Context;
use crate::protocol::layer::{Carrier, Layer, Upgrade};
use crate::protocol::target::Target;

/// Header fields of an answer.
const FIELDS_MAX: usize = 64;

pub struct HttpConnect {
    settings: Settings,
}

impl HttpConnect {
    pub fn new(settings: Settings) -> Self {
        Self { settings }
    }
}

impl Layer for HttpConnect {
    fn has_server(&self) -> bool {
        false
    }

    fn via(&self, cx: &mut Context, address: &str) -> Result<String> {
        self.settings.via(cx, "http-connect", address)
    }

    fn connect(&self, cx: &mut Context, below: Carrier, address: &str) -> Result<Box<dyn Upgrade>> {
        let client = Client::new(Target::parse(address)?, self.settings.credentials.clone());
        Ok(Box::new(Dialogue::new(cx, below, client)?))
    }

    fn accept(&self, cx: &mut Context, mut below: Carrier) -> Result<Box<dyn Upgrade>> {
        below.close(cx);
        Err(Error::NotSupported)
    }
}

/// The client's side, until the tunnel begins.
pub struct Client {
    target: Target,
    credentials: Option<Credentials>,
    asked: bool,
}

impl Client {
    pub fn new(target: Target, credentials: Option<Credentials>) -> Self {
        Self { target, credentials, asked: false }
    }

    fn request(&self) -> String {
        let target = &self.target;
        let mut request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n");
        if let Some(Credentials { user, password }) = &self.credentials {
            let token = STANDARD.encode(format!("{user}:{password}"));
            request.push_str(&format!("Proxy-Authorization: Basic {token}\r\n"));
        }
        request + "\r\n"
    }
}

impl Script for Client {
    fn turn(&mut self, received: &[u8]) -> Turn {
        if !std::mem::replace(&mut self.asked, true) {
            return Turn::Say { taken: 0, bytes: self.request().into_bytes() };
        }
        let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
        let mut response = httparse::Response::new(&mut fields);
        let taken = match response.parse(received) {
            Ok(httparse::Status::Complete(taken)) => taken,
            Ok(httparse::Status::Partial) => return Turn::More,
            Err(error) => {
                return Turn::Fail(Error::ConnectionAborted, format!("no HTTP proxy: {error} in its answer"));
            }
        };
        let code = response.code.unwrap_or_default();
        let error = match code {
            // An informational answer goes ahead of the final one (RFC 9110, 15.2).
            100..=199 => return Turn::Say { taken, bytes: Vec::new() },
            // Whatever length it claims, there is no content: the tunnel begins here (RFC 9110, 9.3.6).
            200..=299 => return Turn::Done { taken, peer: Some(self.target.to_string()) },
            401 | 403 | 407 => Error::Access,
            502 | 503 => Error::HostUnreachable,
            504 => Error::TimedOut,
            _ => Error::ConnectionRefused,
        };
        let reason: String = response.reason.unwrap_or_default().chars().take(64).collect();
        Turn::Fail(error, format!("the HTTP proxy could not reach {}: {code} {reason}", self.target))
    }
}
