//! aioquic's client, and a guest that serves it.

use std::net::UdpSocket;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::{Peer, aioquic, black_hole, roots, serving};
use crate::common::capture::{OURS, check_ours, complete, count};
use crate::common::lab::{Lab, Site};

/// What aioquic's client said, standard error where it said nothing.
fn visit(lab: &Lab, what: &str) -> String {
    let output = aioquic(lab.namespace(), &format!("client 10.0.0.2 443 {} server {what}", roots(lab)))
        .output()
        .unwrap();
    let said = if output.status.success() { output.stdout } else { output.stderr };
    String::from_utf8_lossy(&said).into_owned()
}

fn start(keys: &str, link: &str) -> Lab {
    Site::new().ready(&serving("stream_server", ", \"99\"", keys, &format!("link = {{ {link} }}")))
}

#[test]
fn streams_come_back_by_new_and_by_resumed_connections() {
    let mut lab = start("", "");
    assert_eq!(visit(&lab, "plain"), "first echoed anew\nids changed\nagain echoed resumed\n");
    lab.finish();
}

#[test]
fn streams_come_back_over_a_path_that_spoils_packets() {
    let mut lab = start(
        "",
        "delay = \"3ms\", jitter = \"2ms\", loss = \"3%\", reorder = \"5%\", duplicate = \"2%\", corrupt = \"3%\"",
    );
    assert_eq!(visit(&lab, "plain"), "first echoed anew\nids changed\nagain echoed resumed\n");
    lab.stop(Signal::SIGINT);
    complete(&lab.capture());
    assert!(count(&lab.capture(), "udp.checksum.status == 0") > 0, "nothing was spoilt");
}

#[test]
fn a_client_shows_first_that_it_is_where_it_says() {
    for retry in [true, false] {
        let mut lab = start(&format!(", retry = {retry}"), "");
        assert_eq!(visit(&lab, "plain"), "first echoed anew\nids changed\nagain echoed resumed\n");
        lab.finish();
        let retries = count(&lab.capture(), &format!("{OURS} && quic.long.packet_type == 3"));
        assert_eq!(retries > 0, retry, "{retries}");
    }
}

#[test]
fn early_data_is_taken_where_the_scenario_has_it_and_else_sent_again() {
    for (keys, again) in [(", early_data = true", "early"), ("", "resumed")] {
        let mut lab = start(keys, "delay = \"10ms\"");
        assert_eq!(visit(&lab, "early"), format!("first echoed anew\nagain echoed {again}\n"));
        lab.finish();
    }
}

#[test]
fn a_client_that_begins_with_a_version_unknown_here_is_told_which_there_are() {
    let mut lab = start("", "");
    assert_eq!(visit(&lab, "versions"), "echoed by version 1 negotiated\n");

    // Who asks with less than the least packet is not answered (RFC 9000, 6.1), nor is an answer (RFC 9000, 5.2.2).
    let probe = |version: [u8; 4], bytes: usize| {
        lab.namespace().inside(|| {
            let socket = UdpSocket::bind("10.0.0.1:0").unwrap();
            socket.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
            let mut packet = vec![0; bytes];
            packet[0] = 0xc3;
            packet[1..5].copy_from_slice(&version);
            packet[5..14].copy_from_slice(&[8, 1, 2, 3, 4, 5, 6, 7, 8]);
            packet[14..19].copy_from_slice(&[4, 9, 9, 9, 9]);
            socket.send_to(&packet, "10.0.0.2:443").unwrap();
            let mut answer = [0; 1500];
            socket.recv(&mut answer).ok().map(|length| answer[..length].to_vec())
        })
    };
    let unknown = [0x1a, 0x2a, 0x3a, 0x4a];
    let answer = probe(unknown, 1200).expect("an answer");
    assert!(answer[0] & 0x80 != 0 && answer[1..5] == [0; 4], "{answer:?}");
    // The ids the other way round.
    assert_eq!(answer[5..19], [4, 9, 9, 9, 9, 8, 1, 2, 3, 4, 5, 6, 7, 8]);
    // One that is reserved so that nobody takes the list for settled (RFC 9000, 15), and the one that is spoken: no drafts.
    assert_eq!(answer[19..], [0x0a, 0x1a, 0x2a, 0x3a, 0, 0, 0, 1]);
    assert_eq!(probe(unknown, 1199), None);
    assert_eq!(probe([0; 4], 1200), None);
    lab.stop(Signal::SIGINT);
    check_ours(&lab.capture());
}

#[test]
fn a_client_goes_on_from_another_address() {
    for (migration, answered) in [(true, true), (false, false)] {
        let mut lab = start(&format!(", migration = {migration}"), "");
        lab.namespace().run("ip address add 10.0.0.9/24 dev gn0");
        let said = visit(&lab, "move 10.0.0.9");
        assert_eq!(said == "echoed from both places\n", answered, "{said}");
        // Not `finish`: of a flow that it has not seen begin, tshark makes any protocol at all.
        lab.stop(Signal::SIGINT);
        complete(&lab.capture());
        // Once the idle time-out is over, 30 s, the server has forgotten the connection, and what still comes of it is answered
        // by a stateless reset (RFC 9000, 10.3).
        let moved = count(
            &lab.capture(),
            &format!("{OURS} && udp && ip.dst == 10.0.0.9 && frame.time_relative < 29"),
        );
        assert_eq!(moved > 0, answered, "{moved} packets to where it moved");
    }
}

#[test]
fn a_client_that_falls_silent_is_given_up_after_the_idle_timeout() {
    let mut lab = start(", idle_timeout = \"3s\"", "");
    let client = Peer::start(
        &mut aioquic(lab.namespace(), &format!("client 10.0.0.2 443 {} server dark", roots(&lab))),
        lab.site.path("client"),
    );
    client.wait_for("echoed hello");
    black_hole(&lab);
    lab.wait_for("stream_server.wasm: read: Operation timed out");
    // The client hears no goodbye either: there is none.
    client.wait_for("ended: Idle timeout");
    lab.finish();
}

#[test]
fn a_client_that_takes_more_than_it_is_given_is_turned_out_and_the_next_one_served() {
    let mut lab = start(", streams = 10, window = \"64KiB\", stream_window = \"64KiB\"", "");
    // RFC 9000, 20.1: STREAM_LIMIT_ERROR, FLOW_CONTROL_ERROR.
    assert_eq!(visit(&lab, "greedy streams"), "ended: error 4\n");
    assert_eq!(visit(&lab, "greedy bytes"), "ended: error 3\n");
    assert_eq!(visit(&lab, "plain"), "first echoed anew\nids changed\nagain echoed resumed\n");
    lab.finish();
}
