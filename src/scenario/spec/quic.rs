//! The keys of protocol objects of kind `quic`.

use std::path::PathBuf;
use std::time::Duration;

use toml::Spanned;
use toml::de::DeValue;

use super::super::mistake::{Mistakes, Problem};
use super::super::read::{Reader, boolean, integer, word};
use super::super::units;
use super::guest::path;
use super::tls::{self, TlsSpec};
use crate::protocol::quic::plan::{Congestion, IDLE_MAX, STREAMS_MAX, TransportPlan, WINDOW_BYTES};
use crate::protocol::tls::config::Versions;

pub(in super::super) struct QuicSpec {
    pub tls: TlsSpec,
    pub transport: TransportPlan,
    pub qlog: Option<Spanned<PathBuf>>,
}

/// All keys of `tls` but `versions`, since QUIC has TLS 1.3 in it, and its own.
pub(super) fn quic(reader: &mut Reader<'_>, what: &str) -> QuicSpec {
    let mistakes = reader.mistakes;
    let mut tls = tls::certified(reader, what);
    tls.versions = Versions::Tls13;
    let early_data = reader.get("early_data", boolean);
    tls.early_data = early_data.as_ref().is_some_and(|early| *early.get_ref());
    if let Some(early) = early_data.filter(|_| tls.early_data && tls.resumption == Some(false)) {
        let message = "early_data: only a session that is resumed has early data";
        mistakes.add(early.span(), message, "leave out `resumption = false`, or this");
    }
    let mut transport = TransportPlan::default();
    let mut set = |key, into: &mut u32, range: std::ops::RangeInclusive<u64>| {
        let value = reader.get(key, integer(range)).map(Spanned::into_inner);
        *into = value.and_then(|value| u32::try_from(value).ok()).unwrap_or(*into);
    };
    set("streams", &mut transport.streams, 0..=u64::from(STREAMS_MAX));
    set("unidirectional_streams", &mut transport.unidirectional_streams, 0..=u64::from(STREAMS_MAX));
    windows(reader, &mut transport, mistakes);
    times(reader, &mut transport, mistakes);
    transport.retry = reader.get("retry", boolean).map_or(transport.retry, Spanned::into_inner);
    transport.migration = reader.get("migration", boolean).map_or(transport.migration, Spanned::into_inner);
    let congestion = reader.get("congestion", congestion);
    transport.congestion = congestion.map_or(transport.congestion, Spanned::into_inner);
    let qlog = reader.get("qlog", path);
    QuicSpec { tls, transport, qlog }
}

fn windows(reader: &mut Reader<'_>, transport: &mut TransportPlan, mistakes: &Mistakes) {
    let stream = reader.get("stream_window", window);
    let whole = reader.get("window", window);
    if let (Some(stream), Some(whole)) = (&stream, &whole)
        && stream.get_ref() > whole.get_ref()
    {
        let message = "stream_window: more for one stream than `window` has for all";
        mistakes.add(stream.span(), message, "make `window` the greater one");
    }
    // Whichever is given alone takes the other one along.
    if let Some(whole) = whole {
        transport.window_bytes = whole.into_inner();
        transport.stream_window_bytes = transport.stream_window_bytes.min(transport.window_bytes);
    }
    if let Some(stream) = stream {
        transport.stream_window_bytes = stream.into_inner();
        transport.window_bytes = transport.window_bytes.max(transport.stream_window_bytes);
    }
}

fn times(reader: &mut Reader<'_>, transport: &mut TransportPlan, mistakes: &Mistakes) {
    if let Some(idle) = reader.get("idle_timeout", idle_timeout) {
        transport.idle_timeout = idle.into_inner();
    }
    let Some(keep_alive) = reader.get("keep_alive", positive) else { return };
    if transport.idle_timeout.is_some_and(|idle| *keep_alive.get_ref() >= idle) {
        let message = "keep_alive: the connection has timed out by then";
        mistakes.add(
            keep_alive.span(),
            message,
            "less than `idle_timeout`, which is 30 s if it is not given",
        );
    }
    transport.keep_alive = Some(keep_alive.into_inner());
}

fn window(value: &DeValue<'_>) -> Result<u32, Problem> {
    let bytes = units::size(value)?;
    match u32::try_from(bytes) {
        Ok(small) if WINDOW_BYTES.contains(&bytes) => Ok(small),
        Ok(_) | Err(_) => Err(Problem::new("is no window", "from \"4KiB\" to \"256MiB\"")),
    }
}

const IDLE_HELP: &str = "a duration such as \"30s\", a year of 365 days at most, or \"never\"";

/// `"never"`, or how long.
fn idle_timeout(value: &DeValue<'_>) -> Result<Option<Duration>, Problem> {
    if let Ok(()) = word(value, "a time", &[("never", ())]) {
        return Ok(None);
    }
    positive(value).map(Some).map_err(|problem| Problem::new(problem.message, IDLE_HELP))
}

fn positive(value: &DeValue<'_>) -> Result<Duration, Problem> {
    let time = units::duration(value)?;
    if (Duration::from_millis(1)..=IDLE_MAX).contains(&time) {
        return Ok(time);
    }
    Err(Problem::new("is no time to wait for a peer", "from \"1ms\" to a year of 365 days"))
}

fn congestion(value: &DeValue<'_>) -> Result<Congestion, Problem> {
    let words = [("cubic", Congestion::Cubic), ("newreno", Congestion::NewReno)];
    word(value, "a way to avoid congestion", &words)
}
