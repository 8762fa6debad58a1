//! Each lab that `docs/protocols.md` shows does what the page says of it.

mod common;

use std::fs;
use std::path::Path;

use common::scenario;
use guestnet::lab::Lab;
use guestnet::scenario as scenarios;

const PAGE: &str = "docs/protocols.md";

/// Labs with a side outside, which there is not in virtual time: the section, and what of its lab is outside. They are read,
/// and have to be without mistakes.
const OUTSIDE: [(&str, &str); 2] = [("Unix", "host = {"), ("Policy", "[tap.")];

/// The page's sections: heading and text.
fn sections(page: &str) -> impl Iterator<Item = (&str, &str)> {
    page.split("\n## ").skip(1).filter_map(|section| section.split_once('\n'))
}

fn examples(text: &str) -> impl Iterator<Item = &str> {
    text.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next())
}

#[test]
fn the_labs_of_the_page_run() {
    let page = fs::read_to_string(PAGE).unwrap();
    let (introduction, _) = page.split_once("\n## ").expect("sections");
    let mut outside = Vec::new();
    for (heading, text) in [("Protocol objects", introduction)].into_iter().chain(sections(&page)) {
        let mut shown = 0;
        for example in examples(text) {
            shown += 1;
            assert!(example.contains("\nmodule = \"target/guests/"), "{heading}: no whole lab:\n{example}");
            for module in example.split("module = \"").skip(1).filter_map(|rest| rest.split('"').next()) {
                assert!(
                    Path::new(module).exists(),
                    "{heading}: no guest is {module} (scripts/guests builds them)"
                );
            }
            if let Some(case) = OUTSIDE.iter().find(|(_, part)| example.contains(part)) {
                assert_eq!(case.0, heading);
                if let Err(error) = scenarios::parse(example, Path::new("page.toml")) {
                    panic!("{heading}: {}\n{example}", error.plain());
                }
                outside.push(*case);
                continue;
            }
            // Paths lead from the package.
            let lab = Lab::from_toml(example, "page.toml");
            let lab = lab.unwrap_or_else(|error| panic!("{heading}: {}\n{example}", error.plain()));
            // Without a word about a guest's end it is expected to be 0.
            let report = lab.with_cache(scenario::cache()).with_trace().run(1);
            assert!(report.is_success(), "{heading}:\n{example}\n{report}");
        }
        assert!(shown > 0, "{heading} shows no lab");
    }
    assert_eq!(outside, OUTSIDE, "labs that are only read");
}

/// The section of each kind, of which the reference page's table says which keys are its own.
const KINDS: [(&str, &str); 11] = [
    ("ipv4", "Policy"),
    ("ipv6", "Policy"),
    ("ip", "Policy"),
    ("icmp", "ICMP"),
    ("unix", "Unix"),
    ("socks5", "SOCKS 5"),
    ("http-connect", "HTTP CONNECT"),
    ("tls", "TLS"),
    ("quic", "QUIC"),
    ("yamux", "Yamux"),
    ("proxy-protocol", "PROXY protocol"),
];

/// What stands in code quotes.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// `| `clients` | ... | ... | `tls`, `quic`: whether ... |` says that `clients` is a key of these two.
#[test]
fn each_section_names_the_keys_of_its_kind_and_leads_to_their_table() {
    let page = fs::read_to_string(PAGE).unwrap();
    let reference = fs::read_to_string("docs/scenarios.md").unwrap();
    let table =
        reference.split("\n### `[guest.NAME.protocol.NAME]`\n").nth(1).expect("a section on protocols");
    let table = table.split("\n\nA `certificate`").next().unwrap();
    let mut told = 0;
    for (kind, heading) in KINDS {
        let (_, text) = sections(&page).find(|(other, _)| *other == heading).expect(heading);
        assert!(text.contains("(scenarios.md#guestnameprotocolname)"), "{heading} leads to no table of keys");
        let row_of = |row: &str| -> Option<(String, String)> {
            let cells: Vec<&str> = row.trim_matches('|').split(" | ").collect();
            let (kinds, _) = cells.get(3)?.split_once(':')?;
            quoted(kinds).any(|other| other == kind).then(|| (cells[0].to_owned(), kinds.to_owned()))
        };
        for (keys, kinds) in table.lines().filter(|line| line.starts_with("| `")).filter_map(row_of) {
            for key in quoted(&keys) {
                // Not in an example: said.
                assert!(
                    quoted(&prose(text)).any(|word| word == key),
                    "{heading} says nothing of {key} ({kinds})"
                );
                told += 1;
            }
        }
    }
    assert!(told > 50, "{told}");
}

/// A section without its examples.
fn prose(text: &str) -> String {
    text.split("```").step_by(2).collect()
}
