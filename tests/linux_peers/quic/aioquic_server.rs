//! aioquic's server, and a guest that is its client.

use super::{Peer, aioquic, black_hole, calling, certificate, deafen, path};
use crate::common::capture::{OURS, check, complete, count};
use crate::common::lab::{Lab, Site};

/// Starts the server first, then the lab.
fn start(words: &str, guests: &str) -> (Peer, Lab) {
    let site = Site::new();
    let (chain, key) = certificate(&site);
    let serve = format!("server 10.0.0.1 443 {} {} {words}", path(&chain), path(&key));
    let server = Peer::start(&mut aioquic(&site.namespace, serve.trim_end()), site.path("peer"));
    server.wait_for("serving");
    (server, site.start(guests))
}

#[test]
fn streams_come_back_over_a_path_that_spoils_packets() {
    let link = "link = { delay = \"5ms\", jitter = \"2ms\", loss = \"3%\", reorder = \"5%\", duplicate = \"2%\", corrupt = \"3%\" }";
    let client = calling("stream_client", ", \"both\", \"8\", \"50000\"", "", link);
    let (server, mut lab) = start("retry", &client);
    let ended = lab.end();
    assert!(ended.stdout.contains("8 streams of 50000 bytes came back"), "{ended:?}\n{}", server.said());
    complete(&lab.capture());
    assert!(count(&lab.capture(), "udp.checksum.status == 0") > 0, "nothing was spoilt");
}

#[test]
fn a_guest_shows_first_that_it_is_where_it_says() {
    let (server, mut lab) = start("retry", &calling("stream_client", "", "", ""));
    let ended = lab.end();
    assert!(ended.stdout.contains("10 streams of 1000 bytes came back"), "{ended:?}\n{}", server.said());
    check(&lab.capture());
    assert!(count(&lab.capture(), "ip.src == 10.0.0.1 && quic.long.packet_type == 3") > 0);
}

#[test]
fn sessions_are_resumed_and_early_data_goes_with_the_first_packet() {
    for (keys, again) in [(", early_data = true", "early"), ("", "resumed")] {
        let (server, mut lab) =
            start("", &calling("conn_client", ", \"2\"", keys, "link = { delay = \"5ms\" }"));
        let ended = lab.end();
        assert!(ended.stdout.contains("2 connections: "), "{ended:?}\n{}", server.said());
        assert_eq!(server.said(), format!("serving\nanew\n{again}\n"));
        check(&lab.capture());
    }
}

#[test]
fn a_server_of_another_version_alone_is_a_protocol_error() {
    let (server, mut lab) = start("v2", &calling("stream_client", "", "", ""));
    let ended = lab.end();
    assert!(
        ended.stderr.contains("stream_client.wasm: 10.0.0.1:443: Protocol error"),
        "{ended:?}\n{}",
        server.said()
    );
    assert_eq!(server.said(), "serving\n");
    assert!(count(&lab.capture(), "ip.src == 10.0.0.1 && quic.version == 0") > 0);
}

#[test]
fn a_guest_that_moves_in_the_middle_goes_on() {
    let client = calling("stream_client", ", \"both\", \"5\", \"100000\", \"8000\"", "", "");
    let moves = "[[at]]\ntime = \"4s\"\nrebind = { guest = \"client\", addresses = [\"10.0.0.77/24\"] }\n";
    let (server, mut lab) = start("", &(client + moves));
    let ended = lab.end();
    assert!(ended.stdout.contains("5 streams of 100000 bytes came back"), "{ended:?}\n{}", server.said());
    assert_eq!(server.said(), "serving\nanew\n");
    for address in ["10.0.0.2", "10.0.0.77"] {
        assert!(count(&lab.capture(), &format!("{OURS} && udp && ip.src == {address}")) > 0, "{address}");
    }
    assert!(count(&lab.capture(), "ip.src == 10.0.0.1 && udp && ip.dst == 10.0.0.77") > 0);
}

#[test]
fn a_server_that_falls_silent_is_given_up_after_the_idle_timeout() {
    // The second half would be echoed before that: its echo is lost on its way back, or it on its way there.
    let client =
        calling("stream_client", ", \"both\", \"1\", \"2000\", \"2000\"", ", idle_timeout = \"3s\"", "");
    for cut in [black_hole, deafen] {
        let (server, mut lab) = start("", &client);
        server.wait_for("anew");
        cut(&lab);
        let ended = lab.end();
        assert!(
            ended.stderr.contains("stream_client.wasm: read: Operation timed out"),
            "{ended:?}\n{}",
            server.said()
        );
    }
}
