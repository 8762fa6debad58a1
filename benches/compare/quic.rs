//! quinn-proto alone: two endpoints that hand each other their datagrams in memory, with the same certificates, ciphers, windows,
//! congestion control and MTU (1452, as both sides find out) as guests have.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use bytes::BytesMut;
use guestnet::protocol::quic::plan::TransportPlan;
use quinn_proto::congestion::CubicConfig;
use quinn_proto::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn_proto::{
    ClientConfig, Connection, ConnectionHandle, DatagramEvent, Dir, Endpoint, EndpointConfig, EndpointEvent,
    Event, ServerConfig, StreamEvent, StreamId, TransportConfig, ValidationTokenConfig, VarInt,
};

use crate::lab::Spent;
use crate::tls;

/// What guests read and write at a time, and datagrams of one turn, as ours.
const CHUNK: usize = 64 * 1024;
const BURST_DATAGRAMS: usize = 16;

pub struct Bare {
    server: Arc<ServerConfig>,
    client: ClientConfig,
}

impl Bare {
    /// For connections of up to so many streams, with a window of so many bytes for all of them.
    pub fn new(streams: u32, window_bytes: u32) -> Bare {
        let transport = || {
            let mut config = TransportConfig::default();
            config
                .max_concurrent_bidi_streams(streams.into())
                .datagram_receive_buffer_size(None)
                .stream_receive_window(VarInt::from_u32(TransportPlan::default().stream_window_bytes))
                .receive_window(VarInt::from_u32(window_bytes))
                .send_window(u64::from(window_bytes))
                .congestion_controller_factory(Arc::new(CubicConfig::default()));
            Arc::new(config)
        };
        let tls = tls::config();
        let crypto = tls.server.expect("a certificate");
        let crypto = QuicServerConfig::try_from(crypto).expect("a cipher for first packets");
        let mut server = ServerConfig::with_crypto(Arc::new(crypto));
        let mut tokens = ValidationTokenConfig::default();
        tokens.sent(0);
        server.transport_config(transport()).validation_token_config(tokens);
        let crypto = QuicClientConfig::try_from(tls.client).expect("a cipher for first packets");
        let mut client = ClientConfig::new(Arc::new(crypto));
        client.transport_config(transport());
        Bare { server: Arc::new(server), client }
    }

    fn pair(&self) -> Pair {
        let side = |server: Option<Arc<ServerConfig>>, remote: &str| Side {
            endpoint: Endpoint::new(Arc::new(EndpointConfig::default()), server, true, None),
            connection: None,
            remote: remote.parse().expect("an address"),
            sent: Vec::new(),
        };
        let client = side(None, "10.0.0.2:443");
        Pair { client, server: side(Some(Arc::clone(&self.server)), "10.0.0.3:50000") }
    }

    /// CPU time for a handshake and a byte each way.
    pub fn handshake(&self, count: u64) -> f64 {
        let mut pair = self.pair();
        let spent = Spent::begin();
        for _ in 0..count {
            pair.connect(&self.client);
            let stream = pair.client.open();
            let mut byte = [0];
            assert_eq!(pair.client.write(stream, b"x"), 1);
            pair.turn();
            assert_eq!(pair.server.read(stream, &mut byte), 1);
            assert_eq!(pair.server.write(stream, &byte), 1);
            pair.turn();
            assert_eq!(pair.client.read(stream, &mut byte), 1);
            pair.client.connection().close(Instant::now(), VarInt::from_u32(0), Default::default());
            pair.turn();
            pair.client.forget();
            pair.server.forget();
        }
        spent.seconds() / count as f64
    }

    /// CPU time for so many bytes from one side to the other, over so many streams at once: each is written to in turn.
    pub fn bulk(&self, streams: usize, bytes: u64) -> f64 {
        let mut pair = self.pair();
        pair.connect(&self.client);
        let ids: Vec<StreamId> = (0..streams).map(|_| pair.client.open()).collect();
        let (sent, mut got) = (vec![7; CHUNK], vec![0; CHUNK]);
        // Many streams get a little each time.
        let len = if streams > 1 { 1024 } else { CHUNK };
        let (mut written, mut read) = (0, 0);
        let spent = Spent::begin();
        while read < bytes {
            let mut has_room = true;
            while has_room && written < bytes {
                has_room = false;
                for id in &ids {
                    let more = pair.client.write(*id, &sent[..len.min((bytes - written) as usize)]);
                    has_room |= more > 0;
                    written += more as u64;
                }
            }
            pair.turn();
            for id in &ids {
                loop {
                    let more = pair.server.read(*id, &mut got) as u64;
                    read += more;
                    if more == 0 {
                        break;
                    }
                }
            }
        }
        spent.seconds()
    }
}

struct Pair {
    client: Side,
    server: Side,
}

impl Pair {
    fn connect(&mut self, config: &ClientConfig) {
        let client = &mut self.client;
        let connected = client.endpoint.connect(Instant::now(), config.clone(), client.remote, "server");
        client.connection = Some(connected.expect("a connection begun"));
        while self.client.connection().is_handshaking()
            || self.server.connection.as_ref().is_none_or(|(_, connection)| connection.is_handshaking())
        {
            self.turn();
        }
    }

    /// What each side has to say, once.
    fn turn(&mut self) {
        let now = Instant::now();
        self.client.carry(now, &mut self.server);
        self.server.carry(now, &mut self.client);
    }
}

struct Side {
    endpoint: Endpoint,
    connection: Option<(ConnectionHandle, Connection)>,
    remote: SocketAddr,
    sent: Vec<u8>,
}

impl Side {
    fn connection(&mut self) -> &mut Connection {
        &mut self.connection.as_mut().expect("a connection").1
    }

    fn open(&mut self) -> StreamId {
        self.connection().streams().open(Dir::Bi).expect("as many as are allowed")
    }

    fn forget(&mut self) {
        let (handle, _) = self.connection.take().expect("a connection");
        self.endpoint.handle_event(handle, EndpointEvent::drained());
    }

    /// Bytes that were taken.
    fn write(&mut self, stream: StreamId, bytes: &[u8]) -> usize {
        self.connection().send_stream(stream).write(bytes).unwrap_or(0)
    }

    /// Bytes that were there, up to a buffer of them.
    fn read(&mut self, stream: StreamId, buffer: &mut [u8]) -> usize {
        let mut stream = self.connection().recv_stream(stream);
        // One that the other side did not begin yet.
        let Ok(mut chunks) = stream.read(true) else { return 0 };
        let mut have = 0;
        while have < buffer.len()
            && let Ok(Some(chunk)) = chunks.next(buffer.len() - have)
        {
            buffer[have..][..chunk.bytes.len()].copy_from_slice(&chunk.bytes);
            have += chunk.bytes.len();
        }
        let _ = chunks.finalize();
        have
    }

    fn carry(&mut self, now: Instant, to: &mut Side) {
        let Some((_, connection)) = &mut self.connection else { return };
        if connection.poll_timeout().is_some_and(|at| at <= now) {
            connection.handle_timeout(now);
        }
        loop {
            self.events();
            self.sent.clear();
            let Some((_, connection)) = &mut self.connection else { return };
            let Some(transmit) = connection.poll_transmit(now, BURST_DATAGRAMS, &mut self.sent) else {
                return;
            };
            let segment = transmit.segment_size.unwrap_or(transmit.size);
            for datagram in self.sent[..transmit.size].chunks(segment) {
                to.receive(now, datagram);
            }
        }
    }

    fn receive(&mut self, now: Instant, datagram: &[u8]) {
        let mut answer = Vec::new();
        let event = self.endpoint.handle(now, self.remote, None, None, BytesMut::from(datagram), &mut answer);
        match event {
            Some(DatagramEvent::NewConnection(incoming)) => {
                let accepted = self.endpoint.accept(incoming, now, &mut answer, None);
                self.connection = accepted.map_err(|error| error.cause).map(Some).expect("a connection");
            }
            Some(DatagramEvent::ConnectionEvent(_, event)) => self.connection().handle_event(event),
            Some(DatagramEvent::Response(_)) | None => {}
        }
        self.events();
    }

    fn events(&mut self) {
        let Some((handle, connection)) = &mut self.connection else { return };
        while let Some(event) = connection.poll_endpoint_events() {
            if let Some(answer) = self.endpoint.handle_event(*handle, event) {
                connection.handle_event(answer);
            }
        }
        while let Some(event) = connection.poll() {
            match event {
                Event::Stream(StreamEvent::Opened { dir }) => {
                    while connection.streams().accept(dir).is_some() {}
                }
                Event::ConnectionLost { reason: quinn_proto::ConnectionError::ApplicationClosed(_) } => {}
                Event::ConnectionLost { reason } => panic!("{reason}"),
                Event::HandshakeDataReady
                | Event::Connected
                | Event::Stream(_)
                | Event::DatagramReceived
                | Event::DatagramsUnblocked => {}
            }
        }
    }
}
