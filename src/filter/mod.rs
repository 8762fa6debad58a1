//! Wireshark's display filters over captured frames.
//!
//! ```text
//! text --lex, parse, literal--> Expr   expr.rs     what is asked
//! Record --Dissector----------> Packet packet.rs   a frame with its fields (field.rs, value.rs)
//!             dissect/  a file for each layer      tcp/  connections and their analysis
//! Filter::matches(&Packet)             summary.rs  a packet in one line
//! ```
//!
//! The words, their types and their meaning are Wireshark's, so that what is asked of a lab can be asked of its
//! capture as well; `tests/filter_tshark.rs` holds one against the other. Fields are absent where a frame does not
//! have them, and a comparison with an absent field is false. This folder knows nothing of files or of who asks.
//!
//! Where an answer differs from Wireshark's, and why:
//!
//! - Analysis of TCP is done for each port: a packet that a capture shows at two ports is no retransmission.
//!   Wireshark, which looks at all ports as one, agrees with a capture of one port.
//! - A segment whose bytes were all seen before at this port is a retransmission, however soon it comes; Wireshark
//!   4.0 calls it out of order within the round trip time of the handshake, which is a second after a SYN was lost.
//! - `tcp.analysis.ack_lost_segment` is told once for each gap, and only if bytes were not seen: in Wireshark a
//!   retransmission that is cut at other places than the original has it too.
//! - Nothing is put together again from fragments: the ports are in the first one (as with `ip.defragment:FALSE`).
//! - Nothing is dissected above TCP and UDP: `data` is whatever they carry, where Wireshark has it only for protocols
//!   that it does not know.
//! - A header that is cut short is absent altogether; Wireshark has its first fields. Of a TCP header that an ICMP
//!   error quotes there are ports and sequence number alone, even if it is whole.
//! - `data`, `guestnet.*` and labels apart, the words are a part of Wireshark's: no `matches`, no slices, no functions,
//!   no comparison of a field with a field, no names of values (`arp.opcode == request`).
//! - `^^` is Wireshark's from 4.2 on. `true` and `false` may be written small.

use std::fmt;
use std::str::FromStr;

mod dissect;
mod error;
mod expr;
mod field;
mod flows;
mod lex;
mod literal;
mod packet;
mod parse;
mod summary;
mod tcp;
#[cfg(test)]
mod tests;
mod value;

pub use dissect::Dissector;
pub use error::FilterError;
pub use field::Field;
pub use packet::Packet;
pub use value::{Kind, Text, Value};

/// A display filter.
///
/// ```
/// use guestnet::filter::Filter;
///
/// let resets = Filter::parse("tcp.flags.reset == 1 && ip.addr == 10.0.0.0/8").unwrap();
/// let error = Filter::parse("tcp.flags.rest == 1").unwrap_err();
/// assert_eq!(error.span(), 0..14);
/// assert_eq!(error.help_text(), Some("did you mean `tcp.flags.reset`?"));
/// # drop(resets);
/// ```
#[derive(Clone, PartialEq)]
pub struct Filter {
    text: String,
    expr: expr::Expr,
}

impl Filter {
    /// Understands `text`. The syntax stands in docs/filters.md.
    ///
    /// # Errors
    ///
    /// The first mistake: an unknown field, a value that the field cannot have, what is no filter.
    pub fn parse(text: &str) -> Result<Filter, FilterError> {
        Ok(Filter { text: text.to_owned(), expr: parse::parse(text)? })
    }

    /// True if the packet is one of those that the filter describes.
    pub fn matches(&self, packet: &Packet) -> bool {
        self.expr.matches(packet)
    }

    /// The filter as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl FromStr for Filter {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Filter, FilterError> {
        Filter::parse(text)
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Filter({:?})", self.text)
    }
}
