//! A filter, understood: what it asks of a packet.

use std::cmp::Ordering;

use super::field::Field;
use super::packet::Packet;
use super::value::{Literal, Value};

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Expr {
    All(Vec<Expr>),
    Any(Vec<Expr>),
    /// An odd number of them.
    Odd(Vec<Expr>),
    Not(Box<Expr>),
    Present(Field),
    Compare {
        operand: Operand,
        values: Quantifier,
        relation: Relation,
        literal: Literal,
    },
    Contains {
        field: Field,
        needle: Vec<u8>,
    },
    In {
        operand: Operand,
        ranges: Vec<(Literal, Literal)>,
    },
}

/// A field, or some bits of one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Operand {
    pub field: Field,
    pub mask: Option<u64>,
}

/// Of how many values of the field a comparison must hold. Of a field that is absent none does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quantifier {
    Any,
    All,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Relation {
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Expr {
    /// Recursion is as deep as the parser lets brackets be.
    pub(super) fn matches(&self, packet: &Packet) -> bool {
        match self {
            Expr::All(parts) => parts.iter().all(|part| part.matches(packet)),
            Expr::Any(parts) => parts.iter().any(|part| part.matches(packet)),
            Expr::Odd(parts) => parts.iter().filter(|part| part.matches(packet)).count() % 2 == 1,
            Expr::Not(part) => !part.matches(packet),
            Expr::Present(field) => packet.has(*field),
            Expr::Compare { operand, values, relation, literal } => {
                operand.holds(packet, *values, |value| relation.holds(literal.order(value)))
            }
            Expr::Contains { field, needle } => {
                let found = |bytes: &[u8]| {
                    needle.is_empty() || bytes.windows(needle.len()).any(|window| window == needle)
                };
                packet.values(*field).filter_map(Value::as_bytes).any(found)
            }
            Expr::In { operand, ranges } => operand.holds(packet, Quantifier::Any, |value| {
                ranges.iter().any(|(low, high)| low.order(value).is_ge() && high.order(value).is_le())
            }),
        }
    }
}

impl Operand {
    fn holds(self, packet: &Packet, values: Quantifier, holds: impl Fn(&Value) -> bool) -> bool {
        let mut tested = packet.values(self.field).map(|value| match (self.mask, value) {
            (Some(mask), Value::Uint(number)) => holds(&Value::Uint(number & mask)),
            _ => holds(value),
        });
        match values {
            Quantifier::Any => tested.any(|holds| holds),
            Quantifier::All => packet.has(self.field) && tested.all(|holds| holds),
        }
    }
}

impl Relation {
    fn holds(self, order: Ordering) -> bool {
        match self {
            Relation::Equal => order.is_eq(),
            Relation::Unequal => order.is_ne(),
            Relation::Less => order.is_lt(),
            Relation::LessOrEqual => order.is_le(),
            Relation::Greater => order.is_gt(),
            Relation::GreaterOrEqual => order.is_ge(),
        }
    }
}
