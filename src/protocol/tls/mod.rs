//! `tls`: TLS 1.2 and 1.3 over any stream protocol, with rustls.
//!
//! ```text
//! scenario: PEM files, [ca.NAME] --> material.rs, authority.rs --> identities and roots
//! world:    seed or system       --> provider/                 --> Crypto
//! ```
//!
//! What a guest reads and writes is plaintext. This folder knows nothing of how the stream below comes about.

pub mod authority;
pub mod config;
pub mod material;
pub mod name;
pub mod plan;
pub mod provider;
pub mod supplies;
#[cfg(test)]
mod tests;
pub mod words;
