//! Datagrams over a stream of bytes: each has its length before it, 4 bytes, big-endian.

use crate::error::{Error, Result};
use crate::node::object::Read;
use crate::node::slab::Id;
use crate::node::stack::{Stack, Tcp};
use crate::node::{Interest, Readiness};

const HEADER_BYTES: usize = 4;
/// As long as the guest ABI has them.
pub const DATAGRAM_BYTES_MAX: usize = 65_535;

/// One side of a flow.
pub struct Datagrams {
    tcp: Id<Tcp>,
    /// Length of the datagram that comes next, once it was looked at.
    next: Option<usize>,
    read_shut: bool,
    write_shut: bool,
}

impl Datagrams {
    pub fn new(tcp: Id<Tcp>) -> Self {
        Self { tcp, next: None, read_shut: false, write_shut: false }
    }

    /// Takes the next length, if it is there.
    fn header(&mut self, stack: &mut Stack) -> Result<usize> {
        if let Some(length) = self.next {
            return Ok(length);
        }
        let readiness = stack.tcp_readiness(self.tcp);
        if readiness.read_bytes < HEADER_BYTES {
            // Whoever closed a socket of datagrams is not there any more.
            return Err(if readiness.hangup { Error::ConnectionReset } else { Error::WouldBlock });
        }
        let mut header = [0; HEADER_BYTES];
        stack.tcp_read(self.tcp, &mut header, false)?;
        let length = u32::from_be_bytes(header) as usize;
        if length > DATAGRAM_BYTES_MAX {
            // The rest cannot be told apart either.
            self.read_shut = true;
            return Err(Error::ConnectionReset);
        }
        self.next = Some(length);
        Ok(length)
    }

    /// How long the next datagram is; an error as [`Datagrams::read`] has it.
    pub fn length(&mut self, stack: &mut Stack) -> Result<usize> {
        self.header(stack)
    }

    pub fn read(&mut self, stack: &mut Stack, buffer: &mut [u8], peek: bool) -> Result<Read> {
        if self.read_shut {
            return Ok(Read::default());
        }
        let length = self.header(stack)?;
        let readiness = stack.tcp_readiness(self.tcp);
        if readiness.read_bytes < length {
            return Err(if readiness.hangup { Error::ConnectionReset } else { Error::WouldBlock });
        }
        let count = length.min(buffer.len());
        if count > 0 {
            stack.tcp_read(self.tcp, &mut buffer[..count], peek)?;
        }
        if !peek {
            let mut rest = vec![0; length - count];
            if !rest.is_empty() {
                stack.tcp_read(self.tcp, &mut rest, false)?;
            }
            self.next = None;
        }
        Ok(Read { count, truncated: count < length })
    }

    /// All or nothing.
    pub fn write(&mut self, stack: &mut Stack, datagram: &[u8]) -> Result<usize> {
        if self.write_shut {
            return Err(Error::Pipe);
        }
        let readiness = stack.tcp_readiness(self.tcp);
        if readiness.hangup {
            return Err(Error::ConnectionRefused);
        }
        if datagram.len() > DATAGRAM_BYTES_MAX {
            return Err(Error::MessageSize);
        }
        if readiness.write_bytes < HEADER_BYTES + datagram.len() {
            return Err(Error::WouldBlock);
        }
        // Bounded above.
        stack.tcp_write(self.tcp, &(datagram.len() as u32).to_be_bytes())?;
        if !datagram.is_empty() {
            stack.tcp_write(self.tcp, datagram)?;
        }
        Ok(datagram.len())
    }

    pub fn shutdown(&mut self, read: bool, write: bool) {
        self.read_shut |= read;
        self.write_shut |= write;
    }

    /// Looks at what has come; true if one who waits for `interest` need not wait.
    pub fn look(&mut self, stack: &mut Stack, interest: Interest) -> bool {
        let _ = self.header(stack);
        let readiness = self.readiness(stack.tcp_readiness(self.tcp));
        (interest.read && readiness.read) || (interest.write && readiness.write)
    }

    /// `below` is how ready the stream of bytes is. Written to it can be once any datagram would fit.
    pub fn readiness(&self, below: Readiness) -> Readiness {
        let whole = self.next.filter(|&length| below.read_bytes >= length);
        let room = below.write_bytes.saturating_sub(HEADER_BYTES).min(DATAGRAM_BYTES_MAX);
        Readiness {
            read: whole.is_some() || self.read_shut || (below.hangup && self.ends(below)),
            write: room == DATAGRAM_BYTES_MAX || self.write_shut || below.hangup,
            read_bytes: whole.unwrap_or(0),
            write_bytes: room,
            hangup: below.hangup || self.read_shut,
        }
    }

    /// Nothing whole will come any more.
    fn ends(&self, below: Readiness) -> bool {
        match self.next {
            Some(length) => below.read_bytes < length,
            None => below.read_bytes < HEADER_BYTES,
        }
    }
}
