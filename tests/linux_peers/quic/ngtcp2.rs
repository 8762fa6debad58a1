//! ngtcp2's own client and server, which speak HTTP/3 over GnuTLS, with guests that do.

use std::fs;
use std::process::{Command, Output};

use nix::sys::signal::Signal;

use super::{Peer, black_hole, calling, certificate, deafen, path, serving, wait_for_port};
use crate::common::capture::{OURS, check, complete, count, fields};
use crate::common::lab::{Lab, Site};
use crate::common::namespace::Namespace;

/// A server of ours whose page has 30,000 bytes.
fn start(keys: &str, link: &str) -> Lab {
    let keys = format!(", alpn = \"h3\"{keys}");
    Site::new().ready(&serving("h3_server", ", \"0\", \"30000\"", &keys, &format!("link = {{ {link} }}")))
}

fn client(namespace: &Namespace, options: &str) -> Command {
    namespace.command(&format!("gtlsclient --exit-on-all-streams-close {options} --sni=server 10.0.0.2 443"))
}

/// Fetches the page once for each of `requests`, into a folder; what the client had to say of it.
fn visit(lab: &Lab, options: &str, requests: usize) -> String {
    let folder = lab.site.path("page");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir(&folder).unwrap();
    let pages: Vec<_> = (0..requests).map(|number| format!("https://server/{number}")).collect();
    let options = format!("--download={} {options}", path(&folder));
    let Output { status, stdout, stderr } =
        client(lab.namespace(), options.trim_end()).args(&pages).output().unwrap();
    let said = String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned();
    assert!(status.success(), "{said}");
    for number in 0..requests {
        let page = fs::read(folder.join(number.to_string())).unwrap_or_default();
        let is_whole = page.len() == 30_000 && page.iter().zip((b'a'..=b'z').cycle()).all(|(a, b)| *a == b);
        assert!(is_whole, "page {number} has {} bytes\n{said}", page.len());
    }
    said
}

#[test]
fn ngtcp2_s_client_fetches_pages_from_a_guest() {
    let mut lab = start("", "");
    let said = visit(&lab, "--key-update=1ms", 5);
    assert!(said.contains("Negotiated ALPN is h3"), "{said}");
    lab.finish();
}

#[test]
fn ngtcp2_s_client_fetches_pages_over_a_path_that_spoils_packets() {
    let mut lab = start(
        "",
        "delay = \"3ms\", jitter = \"2ms\", reorder = \"5%\", duplicate = \"2%\", corrupt = \"3%\"",
    );
    visit(&lab, "--tx-loss=0.05 --rx-loss=0.05", 5);
    lab.stop(Signal::SIGINT);
    complete(&lab.capture());
    assert!(count(&lab.capture(), "udp.checksum.status == 0") > 0, "nothing was spoilt");
}

#[test]
fn ngtcp2_s_client_shows_first_that_it_is_where_it_says() {
    let mut lab = start(", retry = true", "");
    visit(&lab, "", 1);
    lab.finish();
    assert!(count(&lab.capture(), &format!("{OURS} && quic.long.packet_type == 3")) > 0);
}

#[test]
fn ngtcp2_s_client_finds_a_version_that_both_speak() {
    let mut lab = start("", "");
    let said = visit(&lab, "--version=0x1a2a3a4a --preferred-versions=v1", 1);
    assert!(said.contains("the negotiated version is 0x00000001"), "{said}");
    lab.finish();
    assert!(count(&lab.capture(), &format!("{OURS} && quic.version == 0")) > 0);
}

#[test]
fn ngtcp2_s_client_resumes_and_speaks_early() {
    let mut lab = start(", early_data = true", "delay = \"10ms\"");
    let session = format!(
        "--session-file={} --tp-file={}",
        path(&lab.site.path("session")),
        path(&lab.site.path("parameters"))
    );
    let first = visit(&lab, &session, 1);
    assert!(!first.contains("0RTT STREAM"), "{first}");
    fs::copy(lab.site.path("session"), lab.site.path("kept")).unwrap();
    let second = visit(&lab, &session, 1);
    assert!(second.contains("frm tx 0 0RTT STREAM") && !second.contains("rejected"), "{second}");
    // Each ticket counts once: with that of the second visit, early data comes too late, and is sent again.
    fs::copy(lab.site.path("kept"), lab.site.path("session")).unwrap();
    let again = visit(&lab, &session, 1);
    assert!(again.contains("frm tx 0 0RTT STREAM") && again.contains("rejected"), "{again}");
    lab.finish();
}

#[test]
fn ngtcp2_s_client_goes_on_from_another_address() {
    for nat in ["", "--nat-rebinding "] {
        let mut lab = start("", "delay = \"20ms\"");
        let said = visit(&lab, &format!("{nat}--change-local-addr=1ms --delay-stream=300ms"), 3);
        assert!(said.contains("Changing local address"), "{said}");
        // Not `finish`: of a flow that it has not seen begin, tshark makes any protocol at all.
        lab.stop(Signal::SIGINT);
        complete(&lab.capture());
        let filter = format!("{OURS} && udp && ip.dst == 10.0.0.1");
        let ports = fields(&lab.capture(), &filter, &["udp.dstport"]);
        let first = ports.first().unwrap();
        assert!(ports.iter().any(|port| port != first), "all to port {first}");
    }
}

/// A guest that fetches the page from ngtcp2's server.
fn fetching(arguments: &str, keys: &str, link: &str) -> String {
    let arguments = format!(", \"peer.example.org\", \"/page.txt\"{arguments}");
    calling("h3_client", &arguments, &format!(", alpn = \"h3\"{keys}"), &format!("link = {{ {link} }}"))
}

/// Starts ngtcp2's server, with a page, and then a lab.
fn serve(options: &str, guests: &str) -> (Peer, Lab) {
    let site = Site::new();
    let (chain, key) = certificate(&site);
    let folder = site.path("www");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("page.txt"), "a page of ngtcp2's\n").unwrap();
    let serve =
        format!("gtlsserver {options} -d {} 10.0.0.1 443 {} {}", path(&folder), path(&key), path(&chain));
    let line = serve.split_whitespace().collect::<Vec<_>>().join(" ");
    let server = Peer::start(&mut site.namespace.command(&line), site.path("peer"));
    wait_for_port(&site.namespace, 443);
    (server, site.start(guests))
}

/// Waits for the end, by which the page came so many times.
fn fetched(server: &Peer, lab: &mut Lab, times: usize) {
    let ended = lab.end();
    assert!(ended.status.success(), "{ended:?}\n{}", server.said());
    assert_eq!(ended.stdout, "200\na page of ngtcp2's\n".repeat(times));
}

#[test]
fn a_guest_fetches_pages_from_ngtcp2_s_server() {
    let (server, mut lab) = serve("--validate-addr", &fetching(", \"1\", \"3\"", "", ""));
    fetched(&server, &mut lab, 3);
    check(&lab.capture());
    assert!(count(&lab.capture(), "ip.src == 10.0.0.1 && quic.long.packet_type == 3") > 0);
}

#[test]
fn a_guest_fetches_pages_from_ngtcp2_s_server_over_a_path_that_spoils_packets() {
    let link = "delay = \"5ms\", jitter = \"2ms\", loss = \"3%\", reorder = \"5%\", duplicate = \"2%\", corrupt = \"3%\"";
    let client = fetching(", \"2\", \"20\"", "", link);
    let (server, mut lab) = serve("--tx-loss=0.03 --rx-loss=0.03", &client);
    fetched(&server, &mut lab, 40);
    complete(&lab.capture());
    assert!(count(&lab.capture(), "udp.checksum.status == 0") > 0, "nothing was spoilt");
}

#[test]
fn a_guest_resumes_with_ngtcp2_s_server_and_speaks_early() {
    for early in [true, false] {
        let keys = format!(", early_data = {early}");
        let (server, mut lab) = serve("", &fetching(", \"2\", \"2\"", &keys, "delay = \"10ms\""));
        fetched(&server, &mut lab, 4);
        check(&lab.capture());
        assert_eq!(server.said().contains("rx 0 0RTT STREAM"), early, "{}", server.said());
    }
}

#[test]
fn a_server_of_ngtcp2_s_that_falls_silent_is_given_up_after_the_idle_timeout() {
    for cut in [black_hole, deafen] {
        let (server, mut lab) =
            serve("", &fetching(", \"1\", \"2\", \"2000\"", ", idle_timeout = \"3s\"", ""));
        server.wait_for("1RTT STREAM");
        cut(&lab);
        let ended = lab.end();
        assert!(
            ended.stderr.contains("h3_client.wasm: read: Operation timed out"),
            "{ended:?}\n{}",
            server.said()
        );
    }
}

#[test]
fn a_guest_that_moves_in_the_middle_goes_on_with_ngtcp2_s_server() {
    let moves = "[[at]]\ntime = \"4s\"\nrebind = { guest = \"client\", addresses = [\"10.0.0.77/24\"] }\n";
    let (server, mut lab) = serve("", &(fetching(", \"1\", \"2\", \"8000\"", "", "") + moves));
    fetched(&server, &mut lab, 2);
    assert!(count(&lab.capture(), "ip.src == 10.0.0.1 && udp && ip.dst == 10.0.0.77") > 0);
}
