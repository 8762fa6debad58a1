//! The reference page tells the truth.

use super::parse;

const PAGE: &str = include_str!("../../../docs/scenarios.md");

/// Every page that shows scenarios, and how many it has at least.
#[test]
fn every_example_is_a_scenario() {
    let pages = [
        ("docs/scenarios.md", PAGE, 20),
        ("docs/links.md", include_str!("../../../docs/links.md"), 4),
        ("docs/protocols.md", include_str!("../../../docs/protocols.md"), 10),
        ("README.md", include_str!("../../../README.md"), 3),
    ];
    for (name, page, least) in pages {
        let mut examples = 0;
        for (index, block) in page.split("```toml\n").enumerate().skip(1) {
            let text = block.split("```").next().unwrap_or_default();
            // Some show what stands below a guest alone, or what is expected of one.
            let guest =
                if text.contains("module = ") { "" } else { "[guest.client]\nmodule = 'client.wasm'\n" };
            if let Err(mistakes) = parse(&format!("{guest}{text}")) {
                panic!("example {index} of {name}:\n{text}\n{mistakes}");
            }
            examples += 1;
        }
        assert!(examples >= least, "{name} has {examples}");
    }
}

/// Each key of the page's tables stands in one of its examples too.
#[test]
fn every_key_of_the_reference_page_has_an_example() {
    let (mut tables, mut examples, mut in_example) = (String::new(), String::new(), false);
    for line in PAGE.lines() {
        in_example = if in_example { line != "```" } else { line == "```toml" };
        match in_example {
            true => examples.push_str(&format!("{line}\n")),
            false if line.starts_with("| `") => {
                tables.push_str(line.split('|').nth(1).unwrap_or_default());
            }
            false => {}
        }
    }
    let words = |text: &str| -> std::collections::BTreeSet<String> {
        let is_of_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        text.split(|c| !is_of_word(c)).map(str::to_owned).collect()
    };
    let keys = tables.split('`').skip(1).step_by(2).map(str::to_owned);
    let written = words(&examples);
    let missing: Vec<_> = keys.filter(|key| !written.contains(key)).collect();
    assert!(missing.is_empty(), "keys without an example: {missing:?}");
}

/// Each key that "known here" would tell stands on the page, in code quotes.
#[test]
fn every_key_stands_on_the_reference_page() {
    let probe = "x = 1\nswitch.s.x = 1\ntap.t.x = 1\ndhcp.d.x = 1\nlink.l.x = 1\nlink.l.forward.x = 1\nrouter.r.x = 1\n\
                 link.l.rate = { x = 1, limit = '1Mbit' }\nlink.l.duplicate.x = 1\nlink.l.corrupt.x = 1\nlink.l.reorder.x = 1\n\
                 link.l.delayed = [{ x = 1 }]\nlink.l.loss.x = 1\nlink.l.forward.loss = { model = 'gilbert-elliott', x = 1 }\n\
                 link.l.backward.loss = { model = 'markov', x = 1 }\nlink.m.loss = { model = 'burst', x = 1 }\n\
                 link.m.forward.loss = { model = 'every', x = 1 }\nlink.l.queue = { discipline = 'red', x = 1 }\n\
                 link.m.queue = { discipline = 'codel', x = 1 }\n\
                 router.r.interface.i = { x = 1, advertise.x = 1 }\nguest.g.x = 1\nguest.g.listen = [{ x = 1 }]\nguest.g.connect = [{ x = 1 }]\nguest.g.protocol.unix.x = 1\nguest.g.protocol.ipv4.x = 1\nguest.g.protocol.p = { kind = 'proxy-protocol', over = 'ipv4', x = 1 }\nguest.g.protocol.s = { kind = 'socks5', over = 'ipv4', server = 'a:1', x = 1 }\n\
                 guest.g.protocol.h = { kind = 'http-connect', over = 'ipv4', server = 'a:1', x = 1 }\n\
                 ca.c.x = 1\nguest.g.protocol.t = { kind = 'tls', over = 'ipv4', x = 1, certificate = [{ x = 1 }], roots = [{ x = 1 }] }\n\
                 guest.g.protocol.q = { kind = 'quic', over = 'ipv4', x = 1 }\n\
                 ca.d.valid.x = 1\n\
                 guest.g.routes = [{ x = 1 }]\nguest.g.stdin.x = 1\nguest.g.directories.d.x = 1\n\
                 hosts.h = '10.0.0.9'\nguest.g.resolver.x = 1\nguest.g.protocol.ipv4.deny.x = 1\nguest.g.protocol.icmp.x = 1\ndns.n.x = 1\ndns.n.zone.z.a = { x = 1, srv = { x = 1 } }\n\
                 at = [{ x = 1, after.x = 1, set.x = 1, rebind.x = 1, dhcp.x = 1, inject.x = 1, clock.x = 1 }]\n\
                 expect = [{ guest = 'g', x = 1 }, { packets = 'tcp', x = 1 }, { always = 'tcp', x = 1 }, \
                 { ending = 'over', x = 1 }, { golden = 'g', x = 1 }]";
    let told = parse(probe).unwrap_err();
    let keys: std::collections::BTreeSet<&str> = told
        .lines()
        .filter_map(|line| line.split_once("known here: "))
        .flat_map(|(_, keys)| keys.split(", "))
        .collect();
    assert!(keys.len() > 40, "{keys:?}");
    let missing: Vec<_> = keys.iter().filter(|key| !PAGE.contains(&format!("`{key}`"))).collect();
    assert!(missing.is_empty(), "not on the page: {missing:?}");
}
