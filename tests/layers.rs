//! Protocols over protocols: what they cost, however deep they stand.

#[path = "common/layer_pair.rs"]
mod layer_pair;

use layer_pair::Pair;

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
    let echoed = pair.echo("10.0.0.2:443", &vec![b'x'; bytes], times);
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
