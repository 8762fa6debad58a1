//! One question under way to one server: a UDP flow from a port of its own, or a TCP connection.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::error::{Error, Result};
use crate::node::object::Context;
use crate::node::slab::Id;
use crate::node::stack::{Flow, Tcp, Udp};
use crate::node::{Interest, Waiter};

pub enum Wire {
    /// The port is random, and the stack takes datagrams from the server's address and port alone.
    Datagram {
        udp: Id<Udp>,
        flow: Id<Flow>,
    },
    Stream {
        local: SocketAddr,
        tcp: Id<Tcp>,
        output: Vec<u8>,
        input: Vec<u8>,
    },
}

/// A message of DNS, however it comes.
const MESSAGE_BYTES_MAX: usize = u16::MAX as usize;
/// A datagram to one who did not say that it takes more; there is room for a server that does not care.
const DATAGRAM_BYTES_MAX: usize = 4096;

fn any(server: SocketAddr) -> SocketAddr {
    let ip: IpAddr = match server {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    SocketAddr::new(ip, 0)
}

impl Wire {
    /// Sends `query` as a datagram.
    ///
    /// # Errors
    /// Those of the stack: no route, no address of the family, no port.
    pub fn datagram(cx: &mut Context, server: SocketAddr, query: &[u8]) -> Result<Wire> {
        let udp = cx.stack.udp_bind(any(server))?;
        let flow = match cx.stack.udp_connect(cx.now, udp, server) {
            Ok(flow) => flow,
            Err(error) => {
                cx.stack.udp_release(udp);
                return Err(error);
            }
        };
        let wire = Wire::Datagram { udp, flow };
        if let Err(error) = cx.stack.flow_write(flow, query) {
            wire.close(cx);
            return Err(error);
        }
        Ok(wire)
    }

    /// Connects, to send `query` behind its length (RFC 1035, 4.2.2).
    ///
    /// # Errors
    /// Those of the stack.
    pub fn stream(cx: &mut Context, server: SocketAddr, query: &[u8]) -> Result<Wire> {
        let local = cx.stack.tcp_bind(any(server))?;
        match cx.stack.tcp_connect(cx.now, local, server, &Default::default()) {
            Ok(tcp) => {
                let mut output = (query.len() as u16).to_be_bytes().to_vec();
                output.extend_from_slice(query);
                Ok(Wire::Stream { local, tcp, output, input: Vec::new() })
            }
            Err(error) => {
                cx.stack.tcp_unbind(local);
                Err(error)
            }
        }
    }

    pub fn is_stream(&self) -> bool {
        matches!(self, Wire::Stream { .. })
    }

    /// The next message.
    ///
    /// # Errors
    /// `WouldBlock` once `waiter` is registered; the rest is final.
    pub fn receive(&mut self, cx: &mut Context, waiter: Waiter) -> Result<Vec<u8>> {
        match self {
            Wire::Datagram { flow, .. } => {
                let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
                match cx.stack.flow_read(*flow, &mut buffer, false) {
                    // What is longer than the buffer does not parse, and so is nobody's answer.
                    Ok((count, _)) => {
                        buffer.truncate(count);
                        Ok(buffer)
                    }
                    Err(error) => {
                        cx.stack.flow_watch(*flow, Interest::READ, waiter);
                        Err(error)
                    }
                }
            }
            Wire::Stream { tcp, output, input, .. } => {
                if !cx.stack.tcp_connected(*tcp)? {
                    cx.stack.tcp_watch(*tcp, Interest::WRITE, waiter);
                    return Err(Error::WouldBlock);
                }
                while !output.is_empty() {
                    match cx.stack.tcp_write(*tcp, output) {
                        Ok(count) => drop(output.drain(..count)),
                        Err(Error::WouldBlock) => {
                            cx.stack.tcp_watch(*tcp, Interest::WRITE, waiter);
                            return Err(Error::WouldBlock);
                        }
                        Err(error) => return Err(error),
                    }
                }
                loop {
                    if let [high, low, rest @ ..] = &input[..]
                        && rest.len() >= usize::from(u16::from_be_bytes([*high, *low]))
                    {
                        let length = usize::from(u16::from_be_bytes([*high, *low]));
                        let message = rest[..length].to_vec();
                        input.drain(..2 + length);
                        return Ok(message);
                    }
                    let mut buffer = [0; 4096];
                    debug_assert!(input.len() < 2 + MESSAGE_BYTES_MAX);
                    match cx.stack.tcp_read(*tcp, &mut buffer, false) {
                        Ok(0) => return Err(Error::ConnectionReset),
                        Ok(count) => input.extend_from_slice(&buffer[..count]),
                        Err(error) => {
                            cx.stack.tcp_watch(*tcp, Interest::READ, waiter);
                            return Err(error);
                        }
                    }
                }
            }
        }
    }

    pub fn close(self, cx: &mut Context) {
        match self {
            Wire::Datagram { udp, flow } => {
                cx.stack.flow_release(flow);
                cx.stack.udp_release(udp);
            }
            Wire::Stream { local, tcp, .. } => {
                cx.stack.tcp_release(cx.now, tcp, true);
                cx.stack.tcp_unbind(local);
            }
        }
    }
}
