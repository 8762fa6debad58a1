//! Addresses as scenarios write them, and which of them an interface may have.
//!
//! ```text
//! interface.rs  what an interface has: a MAC, an address with its prefix length, its subnet
//! endpoint.rs   where a control is opened or connects to, and where a proxy is
//! rule.rs       one rule of a policy
//! subnet.rs     reckoning with prefixes and numbers of hosts
//! ```

mod endpoint;
mod interface;
mod rule;
mod subnet;

pub(super) use endpoint::{Endpoint, endpoint, peer, server, unix_path};
pub(super) use interface::{Source, host, ip, mac, mac_text, source, subnet, switch_subnet};
pub(super) use rule::rule;
pub(super) use subnet::{address_of, automatic_mac, cidr_of, network, nth_host};

/// What a parser makes of a text.
#[cfg(test)]
fn parse<T>(
    parser: impl Fn(&toml::de::DeValue<'_>) -> Result<T, super::mistake::Problem>,
    text: &str,
) -> Result<T, String> {
    parser(&toml::de::DeValue::String(text.into())).map_err(|problem| problem.message)
}
