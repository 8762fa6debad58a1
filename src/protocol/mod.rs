//! Protocol objects.

pub mod policy;

/// The kinds of protocol object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProtocolKind {
    Ipv4,
    Ipv6,
}
