//! quinn-proto's configurations. Whatever they would draw from the machine comes from the provider of TLS instead, and
//! whatever they would read from its clock from the world's time: so virtual time repeats itself to the byte.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use quinn_proto::congestion::{ControllerFactory, CubicConfig, NewRenoConfig};
use quinn_proto::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn_proto::{
    ClientConfig, ConnectionId, ConnectionIdGenerator, EndpointConfig, IdleTimeout, NoneTokenLog,
    NoneTokenStore, ServerConfig, TimeSource, TransportConfig, VarInt,
};
use ring::{hkdf, hmac};
use rustls::crypto::CryptoProvider;

use super::plan::{Congestion, TransportPlan};
use super::qlog::Qlog;
use crate::node::SocketKind;
use crate::protocol::tls::config::Config as TlsConfig;
use crate::protocol::tls::provider::Clock;
use crate::rng::Rng;
use crate::time;

/// Of QUIC (RFC 9000, 15).
const VERSION: u32 = 1;
/// Bytes of the connection ids that we are known by.
const ID_BYTES: usize = 8;
/// Of the one that a client makes up for a server that it does not know yet (RFC 9000, 7.2: 8 at least).
const FIRST_ID_BYTES: usize = 20;
/// What a client may send before a guest has accepted its connection: nobody reads it until then.
const UNACCEPTED_BYTES: u32 = 64 * 1024;
/// Datagrams of one connection that wait to be read, and to be sent, in bytes: as much as a UDP socket has.
const DATAGRAMS_RECEIVE_BYTES: usize = 208 * 1024;
const DATAGRAMS_SEND_BYTES: usize = 64 * 1024;

/// What all controls of a protocol object share.
pub struct Config {
    pub tls: TlsConfig,
    pub plan: TransportPlan,
    pub qlog: Option<Qlog>,
    token_key: Arc<hkdf::Prk>,
}

impl Config {
    /// # Errors
    /// A sentence, if there are no random numbers to be had.
    pub fn new(tls: TlsConfig, plan: TransportPlan, qlog: Option<Qlog>) -> Result<Config, String> {
        let key: [u8; 64] = draw(&tls.crypto.provider)?;
        let token_key = Arc::new(hkdf::Salt::new(hkdf::HKDF_SHA256, &[]).extract(&key));
        Ok(Config { tls, plan, qlog, token_key })
    }

    /// For one endpoint, with keys of its own.
    ///
    /// # Errors
    /// A sentence, if there are no random numbers to be had.
    pub fn endpoint(&self) -> Result<Arc<EndpointConfig>, String> {
        let provider = &self.tls.crypto.provider;
        let (reset_key, seed): ([u8; 64], [u8; 32]) = (draw(provider)?, draw(provider)?);
        let mut config = EndpointConfig::new(Arc::new(hmac::Key::new(hmac::HMAC_SHA256, &reset_key)));
        let ids = Rng::from_secret(draw(provider)?);
        // Its own list has drafts of the standard too.
        config.supported_versions(vec![VERSION]);
        config.rng_seed(Some(seed)).cid_generator(move || Box::new(Ids(ids.clone())));
        Ok(Arc::new(config))
    }

    /// `None` without a certificate.
    ///
    /// # Errors
    /// A sentence that names what is missing.
    pub fn server(&self, kind: SocketKind) -> Result<Option<Arc<ServerConfig>>, String> {
        let Some(tls) = &self.tls.server else { return Ok(None) };
        let crypto = QuicServerConfig::try_from(Arc::clone(tls)).map_err(|error| error.to_string())?;
        let mut config = ServerConfig::new(Arc::new(crypto), Arc::clone(&self.token_key) as _);
        let mut transport = self.transport(kind)?;
        transport.receive_window(VarInt::from_u32(self.plan.window_bytes.min(UNACCEPTED_BYTES)));
        config.transport_config(Arc::new(transport)).migration(self.plan.migration);
        config.time_source(Arc::new(Time(Arc::clone(&self.tls.crypto.clock))));
        // Tokens for another visit would have to be remembered; a session that is resumed has no need of them.
        config.validation_token_config({
            let mut tokens = quinn_proto::ValidationTokenConfig::default();
            tokens.sent(0).log(Arc::new(NoneTokenLog));
            tokens
        });
        Ok(Some(Arc::new(config)))
    }

    /// # Errors
    /// A sentence that names what is missing.
    pub fn client(&self, kind: SocketKind) -> Result<ClientConfig, String> {
        let tls = Arc::clone(&self.tls.client);
        let crypto = QuicClientConfig::try_from(tls).map_err(|error| error.to_string())?;
        let mut config = ClientConfig::new(Arc::new(crypto));
        config.transport_config(Arc::new(self.transport(kind)?)).token_store(Arc::new(NoneTokenStore));
        let ids = Mutex::new(Rng::from_secret(draw(&self.tls.crypto.provider)?));
        config.initial_dst_cid_provider(Arc::new(move || {
            id::<FIRST_ID_BYTES>(&mut ids.lock().unwrap_or_else(PoisonError::into_inner))
        }));
        Ok(config)
    }

    fn transport(&self, kind: SocketKind) -> Result<TransportConfig, String> {
        let plan = &self.plan;
        let mut config = TransportConfig::default();
        let idle = plan.idle_timeout.map(IdleTimeout::try_from).transpose();
        let congestion: Arc<dyn ControllerFactory + Send + Sync> = match plan.congestion {
            Congestion::Cubic => Arc::new(CubicConfig::default()),
            Congestion::NewReno => Arc::new(NewRenoConfig::default()),
        };
        config
            .max_idle_timeout(idle.map_err(|error| format!("idle_timeout: {error}"))?)
            .keep_alive_interval(plan.keep_alive)
            .stream_receive_window(VarInt::from_u32(plan.stream_window_bytes))
            .receive_window(VarInt::from_u32(plan.window_bytes))
            .send_window(u64::from(plan.window_bytes))
            .congestion_controller_factory(congestion)
            .qlog_stream(self.qlog.as_ref().map(|qlog| qlog.stream.clone()));
        // A connection of datagrams has no streams, and the other way round.
        match kind {
            SocketKind::Stream => config
                .max_concurrent_bidi_streams(plan.streams.into())
                .max_concurrent_uni_streams(plan.unidirectional_streams.into())
                .datagram_receive_buffer_size(None),
            SocketKind::Datagram => config
                .max_concurrent_bidi_streams(0u32.into())
                .max_concurrent_uni_streams(0u32.into())
                .datagram_receive_buffer_size(Some(DATAGRAMS_RECEIVE_BYTES))
                .datagram_send_buffer_size(DATAGRAMS_SEND_BYTES),
        };
        Ok(config)
    }
}

/// What one endpoint is made with.
pub struct Settings {
    pub endpoint: Arc<EndpointConfig>,
    /// `None` without a certificate: then nobody can listen.
    pub server: Option<Arc<ServerConfig>>,
    pub client: ClientConfig,
}

impl Settings {
    /// # Errors
    /// A sentence, if there are no random numbers to be had.
    pub fn new(config: &Config, kind: SocketKind) -> Result<Settings, String> {
        Ok(Settings {
            endpoint: config.endpoint()?,
            server: config.server(kind)?,
            client: config.client(kind)?,
        })
    }
}

fn draw<const N: usize>(provider: &CryptoProvider) -> Result<[u8; N], String> {
    let mut bytes = [0; N];
    provider.secure_random.fill(&mut bytes).map_err(|_| "no random numbers to be had".to_owned())?;
    Ok(bytes)
}

fn id<const N: usize>(rng: &mut Rng) -> ConnectionId {
    let mut bytes = [0; N];
    rng.fill(&mut bytes);
    ConnectionId::new(&bytes)
}

struct Ids(Rng);

impl ConnectionIdGenerator for Ids {
    fn generate_cid(&mut self) -> ConnectionId {
        id::<ID_BYTES>(&mut self.0)
    }

    fn cid_len(&self) -> usize {
        ID_BYTES
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}

/// The world's time of day, for what tokens say of their age.
struct Time(Arc<Clock>);

impl TimeSource for Time {
    fn now(&self) -> time::TimeOfDay {
        time::time_of_day(self.0.time())
    }
}
