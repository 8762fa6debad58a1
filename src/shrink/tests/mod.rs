//! What edits make of a scenario's text.

mod chance;
mod milder;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use super::devices::{self, Device, is_spoken_of};
use super::script::Script;
use super::{finish, is_made_from, knobs, lists, replicas};

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
    let left = devices::left_without(&script(), &of_guest("a")).0.text();
    assert_eq!(
        left,
        "# A lab.\n[switch.lan]\n\n[guest.b]\nmodule = \"b.wasm\"\ncount = 2\n\n# First.\n[[at]]\ntime = \"1s\"\nkill = [\"b-1\"]\n"
    );
    let left = devices::left_without(&script(), &of_guest("b")).0;
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
    let listed = lists::listed(&script());
    assert_eq!(listed.iter().map(|listed| listed.frame).collect::<Vec<_>>(), [3, 7]);
    let left = lists::without_listed(&script(), &[listed[0].clone()].into()).text();
    assert!(left.contains("drop = [7]"), "{left}");
    let left = lists::without_listed(&script(), &listed.into_iter().collect()).text();
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

/// A plan without where in its file everything stands.
fn plan_of(text: &str) -> crate::scenario::plan::Plan {
    let plan = crate::scenario::parse(text, Path::new("lab.toml"));
    let mut plan = plan.unwrap_or_else(|error| panic!("{}\n{text}", error.plain()));
    plan.digest.clear();
    plan.expectations.iter_mut().for_each(|expectation| expectation.line = 0);
    plan.guests.iter_mut().for_each(|guest| guest.module_at = 0..0);
    plan
}

/// Replicas in every way in which TOML writes a table, among others, and all that can be said of them.
const REPLICAS: [&str; 4] = [
    r#"# Alike.
[guest.first]
module = "a.wasm"
network = "lan"

# Of each.
[guest.r] # The table.
module = "r.wasm"
args = ["{index}", "x{index}-{index}", "{}"] # Told apart.
env = { N = "{index}", M = "m" }
stdin = "{index}\n"
count = 3 # Three.
[guest.r.interface.eth0]
network = "lan"
link = { delay = "5ms", loss = "5%" }
[guest.r.interface.eth1]
network = "wan"
[guest.r.interface.eth1.link]
rate = "1Mbit"

[switch.lan]

[guest.last]
module = "b.wasm"
network = "lan"

[switch.wan]

[[at]]
time = "1s"
kill = "r"

[[at]]
time = "2s"
link = "r:lan"
set = { loss = "50%" }

[[at]]
after = { guest = "r", started = true }
partition = [["r"], ["first"]]

[[expect]]
guest = "r"
exit = 0
"#,
    "guest.r.module = 'r.wasm'\nguest.r.count = 2\nguest.r.env.N = '{index}'\nguest.last.module = 'b.wasm'\n",
    "guest = { r = { module = 'r.wasm', count = 2, args = ['{index}'] }, last = { module = 'b.wasm' } }\n",
    "[guest]\nr = { module = 'r.wasm', count = 1, stdin = { file = '{index}' } }\n[guest.last]\nmodule = 'b.wasm'\n\
     [guest.s]\nmodule = 's.wasm'\ncount = 2\n",
];

#[test]
fn replicas_that_are_taken_apart_are_the_same_guests() {
    for text in REPLICAS {
        let apart = replicas::apart(&Script::parse(text).unwrap()).unwrap();
        assert!(!apart.text().contains("count"), "{}", apart.text());
        assert_eq!(plan_of(text), plan_of(&apart.text()), "{}", apart.text());
        assert!(replicas::apart(&apart).is_none());
    }
    insta::assert_snapshot!(replicas::apart(&Script::parse(REPLICAS[0]).unwrap()).unwrap().text(), @r#"
    # Alike.
    [guest.first]
    module = "a.wasm"
    network = "lan"

    # Of each.
    [guest.r-0] # The table.
    module = "r.wasm"
    args = ["0", "x0-0", "{}"] # Told apart.
    env = { N = "0", M = "m" }
    stdin = """
    0
    """
    [guest.r-0.interface.eth0]
    network = "lan"
    link = { delay = "5ms", loss = "5%" }
    [guest.r-0.interface.eth1]
    network = "wan"
    [guest.r-0.interface.eth1.link]
    rate = "1Mbit"

    # Of each.
    [guest.r-1] # The table.
    module = "r.wasm"
    args = ["1", "x1-1", "{}"] # Told apart.
    env = { N = "1", M = "m" }
    stdin = """
    1
    """
    [guest.r-1.interface.eth0]
    network = "lan"
    link = { delay = "5ms", loss = "5%" }
    [guest.r-1.interface.eth1]
    network = "wan"
    [guest.r-1.interface.eth1.link]
    rate = "1Mbit"

    # Of each.
    [guest.r-2] # The table.
    module = "r.wasm"
    args = ["2", "x2-2", "{}"] # Told apart.
    env = { N = "2", M = "m" }
    stdin = """
    2
    """
    [guest.r-2.interface.eth0]
    network = "lan"
    link = { delay = "5ms", loss = "5%" }
    [guest.r-2.interface.eth1]
    network = "wan"
    [guest.r-2.interface.eth1.link]
    rate = "1Mbit"

    [switch.lan]

    [guest.last]
    module = "b.wasm"
    network = "lan"

    [switch.wan]

    [[at]]
    time = "1s"
    kill = "r"

    [[at]]
    time = "2s"
    link = "r:lan"
    set = { loss = "50%" }

    [[at]]
    after = { guest = "r", started = true }
    partition = [["r"], ["first"]]

    [[expect]]
    guest = "r"
    exit = 0
    "#);
}

#[test]
fn so_many_replicas_that_each_would_cost_too_much_stay_together() {
    let text = |count: u64| format!("[guest.r]\nmodule = 'r.wasm'\ncount = {count}\n");
    let names = |count| Some(replicas::apart(&Script::parse(&text(count)).unwrap())?.names("guest").len());
    assert_eq!((names(2000), names(2001)), (Some(2000), None));
}

#[test]
fn what_is_said_of_all_replicas_goes_with_the_last_of_them() {
    let apart = replicas::apart(&Script::parse(REPLICAS[0]).unwrap()).unwrap();
    let without = |numbers: &[u32]| {
        let gone = numbers.iter().map(|n| Device { kind: "guest", name: format!("r-{n}") }).collect();
        devices::left_without(&apart, &gone)
    };
    let (left, void) = without(&[0, 2]);
    assert_eq!((left.entries(), left.names("guest").len(), void.len()), (3, 3, 0), "{}", left.text());
    plan_of(&left.text());
    let (left, void) = without(&[0, 1, 2]);
    assert_eq!((left.entries(), left.names("guest").len(), void.len()), (0, 2, 1), "{}", left.text());
}

/// A loss that the timeline sets on the cables of all replicas, by the name that they share, and on another's.
#[test]
fn lists_take_the_place_of_what_a_timeline_sets_on_some_of_its_links() {
    let text = REPLICAS[0].replace("link = \"r:lan\"", "link = [\"r:lan\", \"last:lan\"]");
    let script = replicas::apart(&Script::parse(&text).unwrap()).unwrap();
    let plan = plan_of(&script.text());
    let loss = |names: &[&str]| -> BTreeMap<usize, Vec<&str>> {
        let links = (0..plan.links.len()).filter(|&link| names.contains(&&*plan.links[link].name));
        links.map(|link| (link, vec!["loss"])).collect()
    };
    let links = loss(&["r-0:lan", "r-1:lan"]);
    let mut some = script.clone();
    lists::forget_chance(&mut some, &plan, &links).unwrap();
    let at = |script: &Script| script.text()[script.text().find("[[at]]").unwrap()..].to_owned();
    insta::assert_snapshot!(at(&some), @r#"
    [[at]]
    time = "1s"
    kill = "r"

    [[at]]
    time = "2s"
    link = ["r-2:lan", "last:lan"]
    set = { loss = "50%" }

    [[at]]
    after = { guest = "r", started = true }
    partition = [["r"], ["first"]]

    [[expect]]
    guest = "r"
    exit = 0
    "#);
    assert_eq!(plan_of(&some.text()).timeline.len(), 3);
    // Other knobs are for all still, and so the entry becomes two.
    let both = text.replace("loss = \"50%\"", "loss = \"50%\", delay = \"1ms\"");
    let mut both = replicas::apart(&Script::parse(&both).unwrap()).unwrap();
    lists::forget_chance(&mut both, &plan, &links).unwrap();
    insta::assert_snapshot!(at(&both), @r#"
    [[at]]
    time = "1s"
    kill = "r"

    [[at]]
    time = "2s"
    link = ["r-0:lan", "r-1:lan"]
    set = { delay = "1ms" }

    [[at]]
    after = { guest = "r", started = true }
    partition = [["r"], ["first"]]

    [[at]]
    time = "2s"
    link = ["r-2:lan", "last:lan"]
    set = { loss = "50%", delay = "1ms" }

    [[expect]]
    guest = "r"
    exit = 0
    "#);
    assert_eq!(plan_of(&both.text()).timeline.len(), 4);
    let mut all = script;
    lists::forget_chance(&mut all, &plan, &loss(&["r-0:lan", "r-1:lan", "r-2:lan", "last:lan"])).unwrap();
    assert_eq!(all.entries(), 2, "{}", all.text());
}
