//! Hostile text: never a panic, never slow.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::{LAB, parse};
use crate::scenario::plan::{DeviceRef, Plan};

/// What holds of every answer: mistakes are told, and plans are sound.
fn check(answer: Result<Plan, String>) {
    let plan = match answer {
        Ok(plan) => plan,
        Err(mistakes) => return assert!(mistakes.starts_with("labs/lab.toml:"), "{mistakes:?}"),
    };
    let guests = plan.guests.iter().map(|guest| &guest.interfaces);
    let services = plan.services.iter().map(|service| &service.interfaces);
    let interfaces: Vec<_> =
        guests.chain(plan.routers.iter().map(|router| &router.interfaces)).chain(services).collect();
    let macs: BTreeSet<_> = interfaces.iter().copied().flatten().map(|interface| interface.mac.0).collect();
    assert_eq!(macs.len(), interfaces.iter().copied().flatten().count(), "MAC addresses are unique");
    assert!(
        interfaces.iter().copied().flatten().all(|interface| (1..=8).contains(&interface.addresses.len()))
    );

    let mut ports: Vec<_> =
        plan.links.iter().flat_map(|link| &link.ends).map(|end| (end.device, end.index)).collect();
    ports.sort();
    let guests =
        plan.guests.iter().enumerate().map(|(at, guest)| (DeviceRef::Guest(at), guest.interfaces.len()));
    let switches = plan.switches.iter().enumerate().map(|(at, switch)| (DeviceRef::Switch(at), switch.ports));
    let routers =
        plan.routers.iter().enumerate().map(|(at, router)| (DeviceRef::Router(at), router.interfaces.len()));
    let taps = (0..plan.taps.len()).map(|at| (DeviceRef::Tap(at), 1));
    let services = plan.services.iter().enumerate();
    let services = services.map(|(at, service)| (DeviceRef::Service(at), service.interfaces.len()));
    let all = guests.chain(switches).chain(routers).chain(taps).chain(services);
    let all: Vec<_> = all.flat_map(|(device, count)| (0..count).map(move |index| (device, index))).collect();
    assert_eq!(ports, all, "every port there is has one cable");
}

/// Words that scenarios are made of, to get further than random characters would.
fn word() -> impl Strategy<Value = String> {
    const WORDS: &[&str] = &[
        "[guest.a]\n",
        "[guest.b]\n",
        "[guest.a.interface.eth1]\n",
        "[[guest.a.listen]]\n",
        "[[guest.a.connect]]\n",
        "[guest.a.protocol.ipv4]\n",
        "[switch.lan]\n",
        "[switch.x]\n",
        "[router.r]\n",
        "[router.r.interface.i]\n",
        "[tap.t]\n",
        "[link.l]\n",
        "[link.m]\n",
        "module = 'a'\n",
        "network = 'lan'\n",
        "network = 'x'\n",
        "ends = ['a', 'b']\n",
        "ends = ['lan', 'x']\n",
        "ends = ['r.i', 't']\n",
        "count = 3\n",
        "addresses = ['10.0.0.2/24']\n",
        "addresses = ['fe80::1/64']\n",
        "subnets = '10.0.0.0/31'\n",
        "subnets = '::/8'\n",
        "subnets = 'fd00::/64'\n",
        "addresses = []\n",
        "gateway = '10.0.0.1'\n",
        "routes = [{ to = '0.0.0.0/0', via = '10.0.0.1' }]\n",
        "bind = '10.0.0.2:80'\n",
        "mtu = 600\n",
        "mac = '02:00:00:00:00:01'\n",
        "link = { loss = { model = 'markov', p13 = 1 }, queue = { discipline = 'red', min = 1, max = 2 } }\n",
        "rate = { trace = 'x', cell = 48 }\n",
        "drop = [1, 2]\n",
        "reorder = { gap = 1 }\n",
        "jitter = '1ms'\n",
        "link = { delay = '1ms', forward = { loss = '50%' } }\n",
        "stdin = { inherit = true }\n",
        "env = { A = '' }\n",
        "directories = { '/' = '' }\n",
        "memory = '1GiB'\n",
        "epoch = 0001-01-01T00:00:00Z\n",
        "kind = 'ipv6'\n",
        "[dns.d]\n",
        "[dns.d.zone.'example.test']\n",
        "www = { a = '10.0.0.2', guest = 'a' }\n",
        "'*' = { cname = 'www' }\n",
        "guests = 'lab.test'\n",
        "ttl = '5s'\n",
    ];
    proptest::sample::select(WORDS).prop_map(str::to_owned)
}

proptest! {
    #[test]
    fn any_text(text in any::<String>()) {
        check(parse(&text));
    }

    #[test]
    fn any_sequence_of_words(words in prop::collection::vec(word(), 0..24)) {
        check(parse(&words.concat()));
    }

    /// A right lab with pieces cut out, copied and overwritten.
    #[test]
    fn mutated_labs(edits in prop::collection::vec((any::<prop::sample::Index>(), 0usize..12, "[ -~\n\u{e9}]{0,4}"), 1..6)) {
        let mut text: Vec<char> = LAB.chars().collect();
        for (at, removed, inserted) in edits {
            let start = at.index(text.len() + 1);
            let end = (start + removed).min(text.len());
            text.splice(start..end, inserted.chars());
        }
        check(parse(&text.into_iter().collect::<String>()));
    }

    /// Lines of a right lab left out or moved: still TOML for the most part.
    #[test]
    fn shuffled_lines(order in prop::collection::vec(any::<prop::sample::Index>(), 0..60)) {
        let lines: Vec<&str> = LAB.lines().collect();
        let text: Vec<&str> = order.iter().map(|at| lines[at.index(lines.len())]).collect();
        check(parse(&text.join("\n")));
    }
}

/// Time that a hostile text may take in a build without optimisation on a busy machine: quadratic
/// work on any of these would take minutes.
const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn hostile_texts_are_quick() {
    let many = |count: usize, line: &dyn Fn(usize) -> String| (0..count).map(line).collect::<String>();
    let chain = many(20_000, &|n| format!("[switch.s{n}]\n"))
        + &many(19_999, &|n| format!("[link.l{n}]\nends = ['s{}', 's{}']\n", 19_999 - n, 19_998 - n))
        + "[guest.g]\nmodule = 'g'\nnetwork = 's7'\n";
    assert!(parse(&chain).is_ok());
    for (name, text) in [
        ("unknown keys", many(50_000, &|n| format!("key{n} = 1\n"))),
        (
            "unknown networks",
            many(20_000, &|n| format!("[switch.s{n}]\n[guest.g{n}]\nmodule = ''\nnetwork = 't{n}'\n")),
        ),
        ("one long line", format!("a = [{}]", "1,".repeat(500_000))),
        ("deep nesting", format!("a = {}{}", "[".repeat(100_000), "]".repeat(100_000))),
        ("deep keys", format!("a{} = 1", ".a".repeat(100_000))),
        ("duplicate keys", "a = 1\n".repeat(50_000)),
        ("long names", format!("[guest.{0}]\nnetwork = '{0}'", "x".repeat(500_000))),
        (
            "many interfaces",
            many(20_000, &|n| format!("[guest.g.interface.i{n}]\n[link.l{n}]\nends = ['g.i{n}', 'g']\n")),
        ),
        (
            "large replicas",
            format!("[guest.g]\nmodule = 'g'\ncount = 100000\nargs = ['{}']", "x".repeat(100_000)),
        ),
        ("many replicas", many(50, &|n| format!("[guest.g{n}]\nmodule = 'g'\ncount = 100000\n"))),
        (
            "wrong replicas",
            "[guest.g]\nmodule = 'g'\ncount = 100000\ngateway = '9.9.9.9'\nnetwork = 'x'".to_owned(),
        ),
        (
            "full subnet",
            "[switch.s]\nsubnets = '10.0.0.0/30'\n[guest.g]\nmodule = 'g'\ncount = 50000".to_owned(),
        ),
    ] {
        let start = Instant::now();
        assert!(parse(&text).is_err(), "{name}");
        assert!(start.elapsed() < PATIENCE, "{name} took {:?}", start.elapsed());
    }
}

#[test]
fn as_many_guests_as_there_may_be() {
    let start = Instant::now();
    let text = "[switch.one]\n[switch.two]\n[guest.g]\nmodule = 'g'\ncount = 65_533\nnetwork = 'one'\n\
                [guest.h]\nmodule = 'h'\ncount = 34_467\nnetwork = 'two'\n";
    let plan = parse(text);
    assert_eq!(plan.map(|plan| plan.guests.len()), Ok(100_000));
    println!("{:?}", start.elapsed());
    assert!(start.elapsed() < PATIENCE);
}
