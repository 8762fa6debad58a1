//! `quic` protocol objects as a scenario has them: plain data.

use std::path::PathBuf;
use std::time::Duration;

use crate::protocol::tls::plan::TlsPlan;

/// What a `quic` protocol object is set to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuicPlan {
    /// Certificates, names and trust, of TLS 1.3.
    pub tls: TlsPlan,
    pub transport: TransportPlan,
    /// The folder that events of its connections go to, in a file named after the guest and the protocol object.
    pub qlog: Option<PathBuf>,
}

/// How a connection behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransportPlan {
    /// Streams of each direction that the peer may have open at once.
    pub streams: u32,
    pub unidirectional_streams: u32,
    /// Bytes of one stream that the peer may have sent and the guest not read.
    pub stream_window_bytes: u32,
    /// The same of all streams of a connection together; and bytes that the guest may have written and the peer not
    /// acknowledged.
    pub window_bytes: u32,
    /// Silence that ends a connection; `None`: it never ends for that.
    pub idle_timeout: Option<Duration>,
    /// Silence after which a peer is asked whether it is there.
    pub keep_alive: Option<Duration>,
    /// A server has each client show that it is where it says (RFC 9000, 8.1.2).
    pub retry: bool,
    /// A server goes along when a client's address changes (RFC 9000, 9).
    pub migration: bool,
    pub congestion: Congestion,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Congestion {
    /// RFC 9438.
    #[default]
    Cubic,
    /// RFC 9002, 7.
    NewReno,
}

/// The most streams of one direction that a scenario may allow.
pub const STREAMS_MAX: u32 = 10_000;
/// Longer than anybody waits.
pub const IDLE_MAX: Duration = Duration::from_secs(365 * 86_400);
/// Bytes of a window: less would not hold a packet, more is no bound.
pub const WINDOW_BYTES: std::ops::RangeInclusive<u64> = 4_096..=256 * 1024 * 1024;

impl Default for TransportPlan {
    fn default() -> Self {
        Self {
            streams: 100,
            unidirectional_streams: 100,
            stream_window_bytes: 1024 * 1024,
            window_bytes: 8 * 1024 * 1024,
            // What RFC 9308, 3.2 advises.
            idle_timeout: Some(Duration::from_secs(30)),
            keep_alive: None,
            retry: false,
            migration: true,
            congestion: Congestion::Cubic,
        }
    }
}
