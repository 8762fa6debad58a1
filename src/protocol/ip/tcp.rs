//! TCP as controls, connections and streams.

use std::net::SocketAddr;
use std::time::Duration;

use super::Scope;
use crate::error::{Error, Result};
use crate::node::SocketKind;
use crate::node::object::{Connection, Context, Control, Endpoint, Read, SocketOption, Stream};
use crate::node::slab::Id;
use crate::node::stack::{Listener, Tcp, TcpOptions};
use crate::node::{Interest, Readiness, Waiter};

/// Least and most bytes of a buffer, as net.ipv4.tcp_rmem bounds them.
const BUFFER_BYTES: std::ops::RangeInclusive<u64> = 4096..=6 * 1024 * 1024;

enum Role {
    Idle,
    Listening(Id<Listener>),
    /// A connection under way, and to where.
    Connecting(SocketAddr, Id<Tcp>),
    /// It connected before.
    Connected,
}

pub struct TcpControl {
    local: SocketAddr,
    /// The port was left to us.
    ephemeral: bool,
    scope: Scope,
    role: Role,
    options: TcpOptions,
}

impl TcpControl {
    pub fn open(cx: &mut Context, bind: SocketAddr, scope: Scope) -> Result<Self> {
        let local = cx.stack.tcp_bind(bind)?;
        Ok(Self { local, ephemeral: bind.port() == 0, scope, role: Role::Idle, options: Default::default() })
    }

    fn start(&mut self, cx: &mut Context, peer: SocketAddr) -> Result<Id<Tcp>> {
        match cx.stack.tcp_connect(cx.now, self.local, peer, &self.options) {
            // One more connection to the same peer needs another port; if the choice was ours, it still is.
            Err(Error::AddressInUse) if self.ephemeral => {
                let local = cx.stack.tcp_ephemeral(cx.now, self.local.ip(), peer)?;
                cx.stack.tcp_connect(cx.now, local, peer, &self.options)
            }
            other => other,
        }
    }
}

impl Control for TcpControl {
    fn listen(&mut self, cx: &mut Context, backlog: usize) -> Result<()> {
        match self.role {
            Role::Idle => {
                self.role = Role::Listening(cx.stack.listen(self.local, backlog, self.options));
                Ok(())
            }
            Role::Listening(listener) => {
                cx.stack.set_backlog(listener, backlog);
                Ok(())
            }
            Role::Connecting(..) | Role::Connected => Err(Error::IsConnected),
        }
    }

    fn accept(&mut self, cx: &mut Context) -> Result<Box<dyn Connection>> {
        match self.role {
            Role::Listening(listener) => {
                let tcp = cx.stack.accept(listener)?;
                Ok(Box::new(TcpConnection { tcp, stream_taken: false }))
            }
            Role::Idle | Role::Connecting(..) | Role::Connected => Err(Error::Invalid),
        }
    }

    fn connect(&mut self, cx: &mut Context, address: &str) -> Result<Box<dyn Connection>> {
        let peer = self.scope.peer(address)?;
        match self.role {
            Role::Listening(_) => Err(Error::Invalid),
            Role::Idle | Role::Connected => {
                let tcp = self.start(cx, peer)?;
                self.role = Role::Connecting(peer, tcp);
                Err(Error::InProgress)
            }
            Role::Connecting(to, _) if to != peer => Err(Error::Already),
            Role::Connecting(_, tcp) => match cx.stack.tcp_connected(tcp) {
                Ok(false) => Err(Error::InProgress),
                Ok(true) => {
                    self.role = Role::Connected;
                    Ok(Box::new(TcpConnection { tcp, stream_taken: false }))
                }
                Err(error) => {
                    self.role = Role::Idle;
                    cx.stack.tcp_release(cx.now, tcp, false);
                    Err(error)
                }
            },
        }
    }
}

impl Endpoint for TcpControl {
    fn readiness(&self, cx: &Context) -> Readiness {
        match self.role {
            Role::Listening(listener) => cx.stack.listener_readiness(listener),
            Role::Connecting(_, tcp) => {
                let done = !matches!(cx.stack.tcp_connected(tcp), Ok(false));
                Readiness { write: done, ..Default::default() }
            }
            Role::Idle | Role::Connected => Readiness::default(),
        }
    }

    fn never(&self, _: &Context, interest: Interest) -> Option<Error> {
        let comes = match self.role {
            Role::Listening(_) => interest.read,
            Role::Connecting(..) => interest.write,
            Role::Idle | Role::Connected => false,
        };
        (!comes).then_some(Error::Invalid)
    }

    fn watch(&mut self, cx: &mut Context, interest: Interest, waiter: Waiter) {
        match self.role {
            Role::Listening(listener) => cx.stack.listener_watch(listener, interest, waiter),
            Role::Connecting(_, tcp) => cx.stack.tcp_watch(tcp, interest, waiter),
            Role::Idle | Role::Connected => {}
        }
    }

    fn close(&mut self, cx: &mut Context) {
        match self.role {
            Role::Listening(listener) => cx.stack.unlisten(cx.now, listener),
            Role::Connecting(_, tcp) => cx.stack.tcp_release(cx.now, tcp, false),
            Role::Idle | Role::Connected => {}
        }
        cx.stack.tcp_unbind(self.local);
    }

    fn local_address(&self, _: &Context) -> Result<String> {
        Ok(self.local.to_string())
    }

    fn peer_address(&self, _: &Context) -> Result<String> {
        Err(Error::NotConnected)
    }

    fn option(&self, _: &Context, option: SocketOption) -> Result<u64> {
        get(&self.options, option)
    }

    fn set_option(&mut self, _: &mut Context, option: SocketOption, value: u64) -> Result<()> {
        match option {
            SocketOption::ReceiveBuffer => self.options.receive_buffer = buffer_bytes(value)?,
            SocketOption::SendBuffer => self.options.send_buffer = buffer_bytes(value)?,
            SocketOption::NoDelay
            | SocketOption::KeepAlive
            | SocketOption::HopLimit
            | SocketOption::Linger
            | SocketOption::GroupHopLimit
            | SocketOption::GroupLoop => self.options = set(self.options, option, value)?,
        }
        Ok(())
    }

    fn kind(&self) -> SocketKind {
        SocketKind::Stream
    }
}

fn buffer_bytes(value: u64) -> Result<usize> {
    // Bounded, so that it fits.
    Ok(value.clamp(*BUFFER_BYTES.start(), *BUFFER_BYTES.end()) as usize)
}

fn get(options: &TcpOptions, option: SocketOption) -> Result<u64> {
    Ok(match option {
        SocketOption::NoDelay => u64::from(options.no_delay),
        SocketOption::KeepAlive => options.keep_alive.map_or(0, |interval| interval.as_secs()),
        SocketOption::HopLimit => u64::from(options.hop_limit.unwrap_or(64)),
        SocketOption::ReceiveBuffer => options.receive_buffer as u64,
        SocketOption::SendBuffer => options.send_buffer as u64,
        SocketOption::Linger => options.linger.map_or(u64::MAX, |linger| linger.as_millis() as u64),
        SocketOption::GroupHopLimit | SocketOption::GroupLoop => return Err(Error::NoOption),
    })
}

/// What may change on a connection at work; buffer sizes may not.
fn set(mut options: TcpOptions, option: SocketOption, value: u64) -> Result<TcpOptions> {
    match option {
        SocketOption::NoDelay if value <= 1 => options.no_delay = value == 1,
        SocketOption::KeepAlive if value <= 86_400 => {
            options.keep_alive = (value > 0).then(|| Duration::from_secs(value));
        }
        SocketOption::HopLimit if (1..=255).contains(&value) => options.hop_limit = Some(value as u8),
        SocketOption::Linger => {
            options.linger = (value != u64::MAX).then(|| Duration::from_millis(value));
        }
        SocketOption::ReceiveBuffer
        | SocketOption::SendBuffer
        | SocketOption::GroupHopLimit
        | SocketOption::GroupLoop => return Err(Error::NoOption),
        SocketOption::NoDelay | SocketOption::KeepAlive | SocketOption::HopLimit => {
            return Err(Error::Invalid);
        }
    }
    Ok(options)
}

pub struct TcpConnection {
    tcp: Id<Tcp>,
    /// TCP has exactly one stream.
    stream_taken: bool,
}

impl TcpConnection {
    fn stream(&mut self, cx: &mut Context) -> Result<Box<dyn Stream>> {
        if self.stream_taken {
            return Err(Error::NotSupported);
        }
        self.stream_taken = true;
        cx.stack.tcp_hold(self.tcp);
        Ok(Box::new(TcpStream { tcp: self.tcp }))
    }
}

impl Connection for TcpConnection {
    fn stream_create(&mut self, cx: &mut Context) -> Result<Box<dyn Stream>> {
        self.stream(cx)
    }

    fn stream_accept(&mut self, cx: &mut Context) -> Result<Box<dyn Stream>> {
        self.stream(cx)
    }
}

pub struct TcpStream {
    tcp: Id<Tcp>,
}

impl Stream for TcpStream {
    fn read(&mut self, cx: &mut Context, buffer: &mut [u8], peek: bool) -> Result<Read> {
        let count = cx.stack.tcp_read(self.tcp, buffer, peek)?;
        Ok(Read { count, truncated: false })
    }

    fn write(&mut self, cx: &mut Context, bytes: &[u8]) -> Result<usize> {
        cx.stack.tcp_write(self.tcp, bytes)
    }

    fn shutdown(&mut self, cx: &mut Context, read: bool, write: bool) -> Result<()> {
        cx.stack.tcp_shutdown(self.tcp, read, write)
    }
}

/// A connection and its stream differ only in what closing and waiting mean.
macro_rules! endpoint {
    ($type:ty, stream: $stream:literal, |$endpoint:ident, $stack:ident| $readiness:expr) => {
        impl Endpoint for $type {
            fn readiness(&self, cx: &Context) -> Readiness {
                let ($endpoint, $stack) = (self, &*cx.stack);
                $readiness
            }

            fn never(&self, _: &Context, interest: Interest) -> Option<Error> {
                // Nothing is written to a connection.
                (!$stream && interest.write).then_some(Error::Invalid)
            }

            fn watch(&mut self, cx: &mut Context, interest: Interest, waiter: Waiter) {
                cx.stack.tcp_watch(self.tcp, interest, waiter);
            }

            fn close(&mut self, cx: &mut Context) {
                cx.stack.tcp_release(cx.now, self.tcp, $stream);
            }

            fn local_address(&self, cx: &Context) -> Result<String> {
                let addresses = cx.stack.tcp_addresses(self.tcp).ok_or(Error::BadDescriptor)?;
                Ok(addresses.0.to_string())
            }

            fn peer_address(&self, cx: &Context) -> Result<String> {
                let addresses = cx.stack.tcp_addresses(self.tcp).ok_or(Error::BadDescriptor)?;
                Ok(addresses.1.to_string())
            }

            fn option(&self, cx: &Context, option: SocketOption) -> Result<u64> {
                get(&cx.stack.tcp_options(self.tcp).ok_or(Error::BadDescriptor)?, option)
            }

            fn set_option(&mut self, cx: &mut Context, option: SocketOption, value: u64) -> Result<()> {
                let options = cx.stack.tcp_options(self.tcp).ok_or(Error::BadDescriptor)?;
                cx.stack.tcp_set_options(self.tcp, set(options, option, value)?);
                Ok(())
            }

            fn kind(&self) -> SocketKind {
                SocketKind::Stream
            }
        }
    };
}

// `stream_accept` answers at once, whether with the stream or with an error.
endpoint!(TcpConnection, stream: false, |connection, stack| Readiness {
    read: true,
    hangup: stack.tcp_readiness(connection.tcp).hangup,
    ..Default::default()
});
endpoint!(TcpStream, stream: true, |stream, stack| stack.tcp_readiness(stream.tcp));
