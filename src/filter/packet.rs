//! A frame with its fields.

use std::net::IpAddr;

use super::field::Field;
use super::value::Value;
use crate::capture::Record;

/// A captured frame and what was read from it. A field may have many values: `ip.addr` has both addresses, and an
/// ICMP error has those of the packet it speaks of as well, after its own.
#[derive(Clone, Debug)]
pub struct Packet {
    record: Record,
    fields: Vec<(Field, Value)>,
}

impl Packet {
    pub(super) fn new(record: Record) -> Self {
        // A TCP segment has some sixty.
        Self { record, fields: Vec::with_capacity(64) }
    }

    pub(super) fn add(&mut self, field: Field, value: Value) {
        self.fields.push((field, value));
    }

    /// The frame itself.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// Its place in the capture, from 1.
    pub fn number(&self) -> u64 {
        self.uint(Field::FrameNumber).unwrap_or_default()
    }

    pub fn has(&self, field: Field) -> bool {
        self.values(field).next().is_some()
    }

    /// All values of a field, in the frame's order. There are none if the frame does not have the field.
    pub fn values(&self, field: Field) -> impl Iterator<Item = &Value> {
        self.fields.iter().filter(move |(of, _)| *of == field).map(|(_, value)| value)
    }

    /// The first value of an integer.
    pub fn uint(&self, field: Field) -> Option<u64> {
        match self.values(field).next()? {
            Value::Uint(value) => Some(*value),
            _ => None,
        }
    }

    /// The first value of a boolean.
    pub fn bool(&self, field: Field) -> Option<bool> {
        match self.values(field).next()? {
            Value::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// The first value of a string.
    pub fn text(&self, field: Field) -> Option<&str> {
        match self.values(field).next()? {
            Value::Text(value) => Some(value.as_str()),
            _ => None,
        }
    }

    /// The first value of bytes.
    pub fn bytes(&self, field: Field) -> Option<&[u8]> {
        match self.values(field).next()? {
            Value::Bytes(value) => Some(value),
            _ => None,
        }
    }

    /// The first value of an IPv4 or IPv6 address.
    pub fn address(&self, field: Field) -> Option<IpAddr> {
        match self.values(field).next()? {
            Value::Ipv4(value) => Some((*value).into()),
            Value::Ipv6(value) => Some((*value).into()),
            _ => None,
        }
    }
}
