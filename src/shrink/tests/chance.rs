//! Lists that take the place of chance: the same frames arrive at the same instants.

use std::path::Path;

use crate::capture::Way;
use crate::lab::{Lab, Report};
use crate::scenario::assets::Assets;
use crate::scenario::load_text;
use crate::shrink::lists;
use crate::shrink::script::Script;

/// What arrived where and when, and how often.
fn arrivals(report: &Report) -> Vec<(u32, u64, Vec<u8>)> {
    let inbound = report.records.iter().filter(|record| record.way == Way::Inbound);
    inbound.map(|record| (record.port, record.at.nanos(), record.frame.bytes.to_vec())).collect()
}

/// A transfer over such a link, with such a timeline.
fn scenario(link: &str, timeline: &str) -> String {
    format!(
        "duration = '60s'\n[switch.lan]\n[guest.receiver]\nmodule = 'target/guests/bulk_receiver.wasm'\n\
         args = ['0.0.0.0:5001', 'check']\nnetwork = 'lan'\n[guest.sender]\nmodule = 'target/guests/bulk_sender.wasm'\n\
         args = ['10.0.0.2:5001', '1', 'check']\nnetwork = 'lan'\nlink = {{ {link} }}\n{timeline}"
    )
}

#[test]
fn lists_say_to_the_nanosecond_what_chance_did() {
    let at = |set: &str| format!("[[at]]\ntime = '100ms'\nlink = 'sender:lan'\nset = {{ {set} }}\n");
    let links = [
        ("delay = '5ms', loss = { model = 'gilbert-elliott', p = '1%', r = '25%' }", String::new()),
        ("delay = '5ms', forward = { duplicate = '5%' }, backward = { loss = '2%' }", String::new()),
        ("delay = '5ms', jitter = '4ms', distribution = 'pareto', loss = '1%'", String::new()),
        ("delay = '5ms', reorder = { probability = '20%', gap = 3 }", String::new()),
        // Waiting in the queue is no chance.
        (
            "delay = '5ms', jitter = '4ms', correlation = '25%', rate = '20Mbit', queue = 20, loss = '1%'",
            String::new(),
        ),
        (
            "delay = '5ms', jitter = '4ms', in_order = true, rate = { limit = '20Mbit', overhead = 24 }",
            String::new(),
        ),
        (
            "rate = '5Mbit', queue = { packets = 200, discipline = 'red', min = 5, max = 15, probability = '5%', weight = 0.01 }",
            String::new(),
        ),
        // Lists of the scenario's own are among them.
        (
            "delay = '5ms', jitter = '1ms', delayed = [{ frame = 30, by = '40ms' }], drop = [50, 51]",
            String::new(),
        ),
        ("delay = '5ms'", at("loss = '5%'")),
        ("delay = '5ms', loss = '1%'", at("delay = '9ms', jitter = '4ms'")),
        ("delay = '5ms', jitter = '4ms'", at("delay = '20ms', reorder = '10%'")),
        (
            "delay = '5ms'",
            at("delay = '20ms', jitter = '9ms', direction = 'forward'")
                .replace(", direction = 'forward' }", " }\ndirection = 'forward'"),
        ),
    ];
    let path = Path::new("lab.toml");
    for (link, timeline) in links {
        let text = scenario(link, &timeline);
        let plan = load_text(&text, path).unwrap_or_else(|error| panic!("{}\n{text}", error.plain()));
        let lab = Lab::new(plan.clone(), Assets::read(&plan));
        let report = lab.run(7);
        assert!(report.is_success(), "{report}");

        let script = Script::parse(&text).unwrap();
        let cables = lists::random_cables(&script, &plan);
        assert_eq!(cables.len(), 1, "{text}");
        let listed = lists::with_lists(&script, &plan, &report, &cables, true).unwrap();
        assert!(lists::random_cables(&listed, &plan).is_empty(), "{link}: {}", listed.text());
        assert!(lists::listed(&listed).len() > 3, "{}", listed.text());
        let small = load_text(&listed.text(), path)
            .unwrap_or_else(|error| panic!("{}\n{}", error.plain(), listed.text()));
        let again = lab.run_variant(&small, 7);
        let (first, second) = (arrivals(&report), arrivals(&again));
        let differs = first.iter().zip(&second).position(|(a, b)| a != b);
        assert_eq!((first.len(), None), (second.len(), differs), "{link}\n{timeline}");
    }
}
