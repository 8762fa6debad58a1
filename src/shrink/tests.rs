//! What edits make of a scenario's text.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use super::devices::{Device, is_spoken_of};
use super::script::Script;
use super::{fates, finish, is_made_from, knobs};

const LAB: &str = r#"# A lab.
[switch.lan]

# Asks.
[guest.a]
module = "a.wasm"
link = { delay = "5ms", loss = "5%", forward = { drop = [3, 7], loss = 0 } } # Bad.

[guest.b]
module = "b.wasm"
count = 2

# First.
[[at]]
time = "1s"
kill = ["a", "b-1"]

[[at]]
time = "2s"
link = "a:lan"
set = { loss = "50%" }

[[at]]
time = "3s"
partition = [["a"], ["b"]]
"#;

fn script() -> Script {
    Script::parse(LAB).unwrap()
}

fn of_guest(name: &str) -> BTreeSet<Device> {
    [Device { kind: "guest", name: name.to_owned() }].into()
}

#[test]
fn a_text_that_is_not_edited_stays_as_it_is() {
    assert_eq!(script().text(), LAB);
    assert_eq!(script().entries(), 3);
}

#[test]
fn a_guest_goes_with_all_that_is_said_of_it() {
    let left = super::devices::left_without(&script(), &of_guest("a")).0.text();
    assert_eq!(
        left,
        "# A lab.\n[switch.lan]\n\n[guest.b]\nmodule = \"b.wasm\"\ncount = 2\n\n# First.\n[[at]]\ntime = \"1s\"\nkill = [\"b-1\"]\n"
    );
    let left = super::devices::left_without(&script(), &of_guest("b")).0;
    assert_eq!(left.entries(), 2, "nobody is left to be kept apart: {}", left.text());
}

#[test]
fn names_are_those_of_devices_their_ports_and_cables() {
    for name in ["a", "a.eth1", "a:lan", "a.eth1:lan", "a-0"] {
        assert!(is_spoken_of(name, &of_guest("a")), "{name}");
    }
    for name in ["ab", "b", "a-x", "b:lan"] {
        assert!(!is_spoken_of(name, &of_guest("a")), "{name}");
    }
    assert!(is_made_from("b-12", "b") && !is_made_from("b-", "b") && !is_made_from("b-1", "b-1-2"));
}

#[test]
fn a_knob_goes_only_if_nothing_harsher_takes_its_place() {
    let knobs = knobs::knobs(&script());
    let with_key = |key: &str| knobs.iter().filter(|knob| knob.key == key).cloned().collect::<Vec<_>>();
    let [cable, forward, entry] = with_key("loss").try_into().unwrap();
    assert!(knobs::without_knobs(&script(), &[forward.clone()].into()).is_none(), "5% instead of none");
    assert!(knobs::without_knobs(&script(), &[entry].into()).is_none(), "an entry that sets nothing");
    let left = knobs::without_knobs(&script(), &[cable, forward].into()).unwrap().text();
    assert!(left.contains("link = { delay = \"5ms\", forward = { drop = [3, 7] } } # Bad."), "{left}");
}

#[test]
fn delays_are_written_in_the_largest_unit_that_is_whole() {
    let told = |nanos| knobs::duration(Duration::from_nanos(nanos)).as_str().map(str::to_owned);
    for (nanos, text) in
        [(0, "0s"), (2_000_000_000, "2s"), (1_500_000, "1500us"), (5_000_000, "5ms"), (7, "7ns")]
    {
        assert_eq!(told(nanos).as_deref(), Some(text));
    }
}

#[test]
fn frames_leave_their_lists_and_lists_their_links() {
    let listed = fates::listed(&script());
    assert_eq!(listed.iter().map(|listed| listed.frame).collect::<Vec<_>>(), [3, 7]);
    let left = fates::without_listed(&script(), &[listed[0].clone()].into()).text();
    assert!(left.contains("drop = [7]"), "{left}");
    let left = fates::without_listed(&script(), &listed.into_iter().collect()).text();
    assert!(!left.contains("drop"), "{left}");
}

#[test]
fn a_scenario_has_its_seed_once_and_its_paths_from_where_it_is() {
    let text = finish("seed = 1 # Mine.\n[guest.a]\nmodule = \"a.wasm\"\n", 7, Some(Path::new("../labs")));
    assert_eq!(text, "seed = 7 # Mine.\n[guest.a]\nmodule = \"../labs/a.wasm\"\n");
    assert!(finish("[guest.a]\n", u64::MAX, None).starts_with("seed = 18446744073709551615\n\n[guest.a]"));
}

#[test]
fn certificates_are_found_from_another_folder_too() {
    let mut script = Script::parse(
        "ca.test.export = 'root.pem'\n[guest.a]\nmodule = 'a.wasm'\n[guest.a.protocol.tls]\nroots = { file = 'r.pem' }\n\
         client_roots = ['system', { file = 'c.pem' }]\ncertificate = [{ ca = 'test' }, { chain = 'x.pem', key = '/x.key' }]\n",
    )
    .unwrap();
    super::paths::rebase(&mut script, Path::new("labs"));
    insta::assert_snapshot!(script.text(), @r#"
    ca.test.export = "labs/root.pem"
    [guest.a]
    module = "labs/a.wasm"
    [guest.a.protocol.tls]
    roots = { file = "labs/r.pem" }
    client_roots = ['system', { file = "labs/c.pem" }]
    certificate = [{ ca = 'test' }, { chain = "labs/x.pem", key = "/x.key" }]
    "#);
}
