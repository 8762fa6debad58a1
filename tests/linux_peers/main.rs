//! The program with a TAP, against what Linux has: ping, curl, nc, nmap, openssl, gnutls, hashicorp's yamux, and sockets of its kernel. Each lab is in a
//! namespace of its own, and each capture is read by tshark afterwards.
//!
//! Needs root: scripts/test sees to that.

#[path = "../common/mod.rs"]
mod common;

mod addresses;
mod bulk;
mod device;
mod dns;
mod echo;
mod errors;
mod follow;
mod fragments;
mod hostile;
mod http;
mod multicast;
mod path_mtu;
mod ping;
mod proxies;
mod quic;
mod scan;
mod signals;
mod tls;
mod yamux;
