//! The keys of `quic` protocol objects: what they become, and what is told of those that are wrong.

use std::time::Duration;

use super::parse;
use crate::protocol::LayerKind;
use crate::protocol::quic::plan::{Congestion, QuicPlan, TransportPlan};
use crate::protocol::tls::config::Versions;

fn quic(keys: &str) -> Result<QuicPlan, String> {
    let text = format!(
        "[ca.test]\n[guest.server]\nmodule = 'x.wasm'\n[guest.server.protocol.ipv4]\n\
         [guest.server.protocol.quic]\nover = 'ipv4'\n{keys}"
    );
    let plan = parse(&text)?;
    let quic = plan.guests[0].protocols[1].grant.layers().find_map(|layer| match layer {
        LayerKind::Quic(quic) => Some(quic.clone()),
        _ => None,
    });
    Ok(quic.expect("a layer of QUIC"))
}

#[test]
fn defaults_speak_tls_1_3_alone_and_nothing_early() {
    let plan = quic("").unwrap();
    assert_eq!((plan.tls.versions, plan.tls.early_data), (Versions::Tls13, false));
    assert_eq!(plan.transport, TransportPlan::default());
}

#[test]
fn all_keys_arrive() {
    let plan = quic(
        "early_data = true\nstreams = 7\nunidirectional_streams = 0\nstream_window = '64KiB'\nwindow = '1MiB'\n\
         idle_timeout = 'never'\nkeep_alive = '5s'\nretry = true\nmigration = false\ncongestion = 'newreno'\nqlog = 'logs'",
    )
    .unwrap();
    assert!(plan.tls.early_data);
    let wanted = TransportPlan {
        streams: 7,
        unidirectional_streams: 0,
        stream_window_bytes: 64 * 1024,
        window_bytes: 1024 * 1024,
        idle_timeout: None,
        keep_alive: Some(Duration::from_secs(5)),
        retry: true,
        migration: false,
        congestion: Congestion::NewReno,
    };
    assert_eq!(plan.transport, wanted);
    assert_eq!(plan.qlog, Some("labs/logs".into()));
}

#[test]
fn a_window_that_is_given_alone_takes_the_other_one_along() {
    let windows = |keys: &str| {
        let transport = quic(keys).unwrap().transport;
        (transport.stream_window_bytes, transport.window_bytes)
    };
    assert_eq!(windows("window = '8KiB'"), (8192, 8192));
    assert_eq!(windows("stream_window = '16MiB'"), (16 << 20, 16 << 20));
}

#[test]
fn mistakes_are_told_where_they_are() {
    let told = [
        "versions = '1.2'",
        "early_data = true\nresumption = false",
        "streams = 10001",
        "unidirectional_streams = -1",
        "stream_window = '1MiB'\nwindow = '64KiB'",
        "window = '1KiB'",
        "window = '1GiB'",
        "idle_timeout = '0s'",
        "idle_timeout = 'forever'",
        "keep_alive = '40s'",
        "congestion = 'bbr'",
        "qlog = true",
    ]
    .map(|keys| quic(keys).expect_err(keys));
    let over = parse(
        "[guest.g]\nmodule = 'x'\nprotocol = { ipv4 = {}, tls = { over = 'ipv4' }, quic = { over = 'tls' } }",
    );
    insta::assert_snapshot!(told.concat() + &over.unwrap_err());
}
