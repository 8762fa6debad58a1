//! Values of fields, and what they are compared with.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use smoltcp::wire::EthernetAddress;

/// What the values of a field are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// There or not: it has no value to compare.
    Label,
    Bool,
    /// An unsigned integer of that many bits.
    Uint(u32),
    Text,
    Bytes,
    Mac,
    Ipv4,
    Ipv6,
    /// Seconds, to the nanosecond.
    Time,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Label => "label",
            Kind::Bool => "boolean",
            Kind::Uint(_) => "integer",
            Kind::Text => "string",
            Kind::Bytes => "bytes",
            Kind::Mac => "MAC address",
            Kind::Ipv4 => "IPv4 address",
            Kind::Ipv6 => "IPv6 address",
            Kind::Time => "seconds",
        })
    }
}

/// One value of a field. Values of one field are of one variant, and in that variant's order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Value {
    Label,
    Bool(bool),
    Uint(u64),
    Text(Text),
    Bytes(Bytes),
    Mac(EthernetAddress),
    Ipv4(Ipv4Addr),
    Ipv6(Ipv6Addr),
    Time(Duration),
}

/// Text that is cheap to clone. Clones of a port's name share it.
#[derive(Clone, Debug)]
pub enum Text {
    Static(&'static str),
    Shared(Arc<str>),
}

impl Text {
    pub fn as_str(&self) -> &str {
        match self {
            Text::Static(text) => text,
            Text::Shared(text) => text,
        }
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Text {}

impl PartialOrd for Text {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Text {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl Value {
    /// Its bytes, for `contains`.
    pub(super) fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Value::Text(text) => Some(text.as_str().as_bytes()),
            Value::Bytes(bytes) => Some(bytes),
            Value::Label
            | Value::Bool(_)
            | Value::Uint(_)
            | Value::Mac(_)
            | Value::Ipv4(_)
            | Value::Ipv6(_)
            | Value::Time(_) => None,
        }
    }

    /// The value with the bits after the prefix cleared.
    fn masked(&self, bits: u32) -> Cow<'_, Value> {
        match self {
            Value::Ipv4(address) => {
                let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
                Cow::Owned(Value::Ipv4(Ipv4Addr::from_bits(address.to_bits() & mask)))
            }
            Value::Ipv6(address) => {
                let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
                Cow::Owned(Value::Ipv6(Ipv6Addr::from_bits(address.to_bits() & mask)))
            }
            other => Cow::Borrowed(other),
        }
    }
}

/// What stands to the right of an operator.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Literal {
    value: Value,
    /// Of an address with a prefix length: bits that count.
    prefix: Option<u32>,
}

impl Literal {
    pub(super) fn new(value: Value) -> Literal {
        Literal { value, prefix: None }
    }

    /// An address and how many of its bits count: at most as many as it has.
    pub(super) fn prefix(address: Value, bits: u32) -> Literal {
        Literal { value: address.masked(bits).into_owned(), prefix: Some(bits) }
    }

    /// How `value` stands to this, which is of the same variant.
    pub(super) fn order(&self, value: &Value) -> Ordering {
        match self.prefix {
            None => value.cmp(&self.value),
            Some(bits) => value.masked(bits).as_ref().cmp(&self.value),
        }
    }

    pub(super) fn value(&self) -> &Value {
        &self.value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_compares_its_own_bits_alone() {
        let address = |text: &str| Value::Ipv4(text.parse().unwrap());
        let literal = Literal::prefix(address("10.1.2.3"), 16);
        assert_eq!(literal.order(&address("10.1.255.255")), Ordering::Equal);
        assert_eq!(literal.order(&address("10.2.0.0")), Ordering::Greater);
        assert_eq!(literal.order(&address("10.0.255.255")), Ordering::Less);
        let any = Literal::prefix(address("10.1.2.3"), 0);
        assert_eq!(any.order(&address("255.0.0.1")), Ordering::Equal);
        let six = |text: &str| Value::Ipv6(text.parse().unwrap());
        assert_eq!(Literal::prefix(six("::1"), 0).order(&six("ff02::1")), Ordering::Equal);
        assert_eq!(Literal::prefix(six("fd00::1"), 128).order(&six("fd00::2")), Ordering::Greater);
    }
}
