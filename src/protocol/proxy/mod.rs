//! Proxies: connections that somebody else makes, or made, for the guest.
//!
//! ```text
//! socks5.rs          a guest connects through a SOCKS 5 server (RFC 1928, 1929)
//!   associate.rs       and sends datagrams through it
//! http_connect.rs    through an HTTP proxy (RFC 9110, 9.3.6)
//! proxy_protocol.rs  a guest is connected to through a balancer
//! dialogue.rs        what the three have in common: some bytes each way, then the guest's own
//! ```

mod associate;
mod dialogue;
pub mod http_connect;
pub mod proxy_protocol;
pub mod socks5;

use std::fmt;

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
