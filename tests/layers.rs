//! Protocols over protocols: what they cost, however deep they stand, and that nothing is left of what came to nothing.

#[path = "common/heap.rs"]
mod heap;
#[path = "common/layer_pair.rs"]
mod layer_pair;

use std::time::Duration;

use guestnet::error::Error;
use layer_pair::Pair;

#[global_allocator]
static HEAP: heap::Counting = heap::Counting;

const ADDRESS: &str = "10.0.0.2:443";
/// Past TIME-WAIT, goodbyes, and whatever else ends by itself.
const A_WHILE: Duration = Duration::from_secs(600);

/// `layers` of `kind` over IPv4.
fn stack(kind: &str, keys: &str, layers: usize) -> String {
    let mut text = "ipv4 = { private = true }\n".to_owned();
    for number in 1..=layers {
        let below = if number == 1 { "ipv4".to_owned() } else { format!("l{}", number - 1) };
        let (name, private) = if number == layers {
            ("top".to_owned(), "")
        } else {
            (format!("l{number}"), ", private = true")
        };
        text += &format!("{name} = {{ kind = \"{kind}\", over = \"{below}\"{private}{keys} }}\n");
    }
    text
}

/// How often tasks are put to work, on both sides, for a connection and so many echoes.
fn work(kind: &str, layers: usize, bytes: usize, times: usize) -> u64 {
    let keys = if kind == "tls" { ", certificate = [{ ca = \"test\" }]" } else { "" };
    let mut pair = Pair::new(&stack(kind, keys, layers), &stack(kind, "", layers), "0.0.0.0:443");
    let echoed = pair.echo(ADDRESS, &vec![b'x'; bytes], times);
    assert_eq!(echoed, Ok(bytes * times), "{layers} layers of {kind}");
    pair.server.node.task_turns() + pair.client.node.task_turns()
}

#[test]
fn each_layer_costs_what_the_one_below_it_does() {
    for kind in ["tls", "yamux"] {
        let connection = [4, 8, 16].map(|layers| work(kind, layers, 5, 1));
        let echo = [4, 8, 16].map(|layers| (work(kind, layers, 5, 11) - work(kind, layers, 5, 1)) / 10);
        let bulk = [4, 8, 16].map(|layers| work(kind, layers, 50_000, 2) - work(kind, layers, 50_000, 1));
        println!("{kind}: connection {connection:?}, echo {echo:?}, bulk {bulk:?}");
        // An echo passes each layer once.
        assert!(echo[2] * 10 <= echo[1] * 21, "{kind}: {echo:?}");
        // A handshake passes all that are below it; and what is long is cut anew by each.
        assert!(connection[2] <= connection[1] * 5, "{kind}: {connection:?}");
        assert!(bulk[2] <= bulk[1] * 4, "{kind}: {bulk:?}");
    }
}

/// `buffers` bounds what layers keep, too, on the side that is connected to as on the other.
#[test]
fn what_layers_keep_comes_out_of_the_buffers() {
    let tls = |keys: &str| {
        format!("ipv4 = {{ private = true }}\ntop = {{ kind = \"tls\", over = \"ipv4\"{keys} }}")
    };
    let server = tls(", certificate = [{ ca = \"test\" }]");
    for client_is_bounded in [true, false] {
        let mut pair = Pair::new(&server, &tls(""), "0.0.0.0:443");
        let bounded = if client_is_bounded { &mut pair.client } else { &mut pair.server };
        bounded.node.set_buffers(1 << 20);
        let held: Vec<_> = (0..12).map(|_| pair.hold(ADDRESS)).collect();
        // 256 KiB each, with TCP's own.
        assert_eq!(held.iter().filter(|held| held.is_ok()).count(), 4, "{held:?}");
        if client_is_bounded {
            assert!(held[4..].iter().all(|held| *held == Err(Error::NoBuffers)), "{held:?}");
        }
        held.into_iter().flatten().for_each(|connection| pair.client.node.close(connection));
        pair.run(A_WHILE);
        for side in [&pair.server, &pair.client] {
            assert_eq!(side.node.stack().buffers_in_use(), 0);
        }
        assert_eq!(pair.echo(ADDRESS, b"hello", 1), Ok(5));
    }
}

/// Tries that come to nothing, each by its own way, leave nothing behind.
#[test]
fn what_fails_a_thousand_times_leaves_nothing() {
    let over = |kind: &str, keys: &str| {
        format!("ipv4 = {{ private = true }}\ntop = {{ kind = \"{kind}\", over = \"ipv4\"{keys} }}")
    };
    let plain = |keys: &str| format!("top = {{ kind = \"ipv4\"{keys} }}");
    let certificate = ", certificate = [{ ca = \"test\" }]";
    let asked = "\n[guest.client.resolver]\nservers = [\"10.0.0.2\"]";
    let cases = [
        (
            "a wrong name",
            over("tls", certificate),
            over("tls", ", server_name = \"other\""),
            ADDRESS,
            &[Error::Protocol][..],
        ),
        ("no TLS", plain(""), over("tls", ""), ADDRESS, &[Error::Protocol][..]),
        (
            "no SOCKS",
            plain(""),
            over("socks5", ", server = \"10.0.0.2:443\""),
            "10.9.9.9:80",
            &[Error::ConnectionAborted][..],
        ),
        (
            "no HTTP",
            plain(""),
            over("http-connect", ", server = \"10.0.0.2:443\""),
            "10.9.9.9:80",
            &[Error::ConnectionAborted][..],
        ),
        ("no header", over("proxy-protocol", ""), plain(""), ADDRESS, &[Error::ConnectionReset][..]),
        (
            "a stranger",
            over("proxy-protocol", ", from = \"10.9.9.9/32\""),
            plain(""),
            ADDRESS,
            &[Error::ConnectionReset][..],
        ),
        (
            "refused",
            plain(", deny = { accept = \"*:*\" }"),
            plain(""),
            ADDRESS,
            &[Error::ConnectionReset, Error::ConnectionRefused][..],
        ),
        ("no such server", plain(""), plain("") + asked, "nobody.example.test:443", &[Error::NameServer][..]),
    ];
    for (what, server, client, address, error) in cases {
        let mut pair = Pair::new(&server, &client, "0.0.0.0:443");
        let mut fail = |times: u32| {
            for number in 0..times {
                // Bytes that are no TLS, SOCKS or PROXY header, and names that are never twice the same.
                let address = address.replace("nobody", &format!("nobody{number}"));
                assert!(
                    pair.echo(&address, b"what is this?\r\n\r\n", 1).is_err_and(|told| error.contains(&told)),
                    "{what}"
                );
            }
            pair.run(A_WHILE);
            let sides = [&pair.server, &pair.client];
            let left = sides.map(|side| {
                (side.node.object_count(), side.node.task_count(), side.node.stack().buffers_in_use())
            });
            (left, heap::live_bytes())
        };
        // Tables keep the room that they once had, and some grow after a thousand entries that are kept for a while.
        fail(2000);
        let (before, heap_before) = fail(1000);
        let (after, heap_after) = fail(1000);
        println!("{what}: {after:?}, {} bytes", heap_after - heap_before);
        assert_eq!(after, before, "{what}");
        assert!(heap_after - heap_before < 16 << 10, "{what}: {} bytes are left", heap_after - heap_before);
    }
}
