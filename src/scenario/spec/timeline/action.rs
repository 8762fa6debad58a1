//! What an entry does.

use std::net::Ipv4Addr;
use std::ops::Range;
use std::path::PathBuf;

use bytes::Bytes;
use smoltcp::wire::IpCidr;
use toml::Spanned;
use toml::de::DeValue;

use super::only_true;
use crate::scenario::address;
use crate::scenario::mistake::{Problem, quote};
use crate::scenario::plan::LinkChange;
use crate::scenario::read::{Reader, article, boolean, string};
use crate::scenario::spec::guest::path;
use crate::scenario::spec::link::{DirectionSpec, one_direction};
use crate::scenario::spec::missing;
use crate::scenario::units;

type Names = Vec<Spanned<String>>;

pub(in crate::scenario) enum ActionSpec {
    Change {
        links: Names,
        directions: [bool; 2],
        change: LinkChange,
        /// The file that its rate follows.
        trace: Option<Spanned<PathBuf>>,
        /// Where its jitter stands, which the link's delay has to allow.
        jitter: Option<Range<usize>>,
        /// Where its delay stands, which allows the jitter that the link has.
        delay: Option<Range<usize>>,
    },
    Partition(Vec<Names>),
    Heal,
    Kill {
        names: Names,
        graceful: Option<Spanned<bool>>,
    },
    Pause(Names),
    Resume(Names),
    Restart {
        names: Names,
        graceful: Option<Spanned<bool>>,
    },
    Rebind {
        device: Spanned<String>,
        interface: Spanned<String>,
        addresses: Vec<Spanned<IpCidr>>,
    },
    Dhcp {
        server: Spanned<String>,
        range: Option<Spanned<(Ipv4Addr, Ipv4Addr)>>,
        revoke: Names,
    },
    Inject {
        port: Spanned<String>,
        frames: FramesSpec,
    },
    Clock {
        guest: Spanned<String>,
        skew_ns: i64,
    },
}

pub(in crate::scenario) enum FramesSpec {
    One(Bytes),
    Capture(Spanned<PathBuf>),
}

/// What an entry can do, by the key that says so.
const ACTIONS: [&str; 13] = [
    "set",
    "down",
    "up",
    "partition",
    "heal",
    "kill",
    "pause",
    "resume",
    "restart",
    "rebind",
    "dhcp",
    "inject",
    "clock",
];

/// Exactly one of [`ACTIONS`], with the keys that belong to it.
pub(super) fn action(reader: &mut Reader<'_>, at: &Range<usize>) -> Option<ActionSpec> {
    let mistakes = reader.mistakes;
    let given: Vec<&str> = ACTIONS.into_iter().filter(|key| reader.has(key)).collect();
    // All are read, so that all are known; the mistakes of one that is too many are told as well.
    let graceful = reader.get("graceful", boolean);
    let actions = [
        change(reader, at),
        names(reader, "down").map(|links| switched(links, false)),
        names(reader, "up").map(|links| switched(links, true)),
        partition(reader),
        reader.get("heal", only_true).map(|_| ActionSpec::Heal),
        names(reader, "kill").map(|names| ActionSpec::Kill { names, graceful: graceful.clone() }),
        names(reader, "pause").map(ActionSpec::Pause),
        names(reader, "resume").map(ActionSpec::Resume),
        names(reader, "restart").map(|names| ActionSpec::Restart { names, graceful: graceful.clone() }),
        rebind(reader),
        dhcp(reader),
        inject(reader),
        clock(reader),
    ];
    let help = format!("exactly one of {}", ACTIONS.map(|key| format!("`{key}`")).join(", "));
    match given.as_slice() {
        [] => mistakes.add(at.clone(), "an entry of the timeline does nothing", help),
        [_] => {}
        several => {
            let message = format!("an entry of the timeline does several things: {}", several.join(", "));
            mistakes.add(at.clone(), message, "an entry for each; they happen in file order");
        }
    }
    if let Some(graceful) = graceful.filter(|_| !matches!(given[..], ["kill"] | ["restart"])) {
        mistakes.add(graceful.span(), "graceful: without `kill` or `restart`", "leave it out");
    }
    actions.into_iter().flatten().next()
}

/// At least one name.
fn names(reader: &mut Reader<'_>, key: &'static str) -> Option<Names> {
    let value = reader.value(key)?;
    let names = reader.list(key, string)?;
    if value.get_ref().as_array().is_some_and(|list| list.is_empty()) {
        reader.mistakes.add(value.span(), format!("{key}: is empty"), "one name or more");
    }
    Some(names)
}

fn switched(links: Names, up: bool) -> ActionSpec {
    let change = LinkChange::up(up);
    ActionSpec::Change { links, directions: [true; 2], change, trace: None, jitter: None, delay: None }
}

fn change(reader: &mut Reader<'_>, at: &Range<usize>) -> Option<ActionSpec> {
    let mistakes = reader.mistakes;
    let links = names(reader, "link");
    let direction = reader.get("direction", direction);
    let set = reader.table("set");
    if !reader.has("set") {
        for key in ["link", "direction"].into_iter().filter(|key| reader.has(key)) {
            let message = format!("an entry of the timeline has `{key}` without `set`");
            mistakes.add(at.clone(), message, "`set` has the knobs to change: `set = { delay = \"50ms\" }`");
        }
        return None;
    }
    let (set_at, table) = set?;
    let mut knobs = Reader::new(table, "`set`", mistakes);
    let changed = one_direction(&mut knobs, DirectionSpec::default());
    knobs.finish();
    if table.is_empty() {
        mistakes.add(set_at, "set: changes nothing", "the knobs to change: `set = { delay = \"50ms\" }`");
    }
    let Some(links) = links else {
        if !reader.has("link") {
            missing(
                mistakes,
                at.clone(),
                "an entry with `set`",
                "link",
                "the link to change: `link = \"line\"`",
            );
        }
        return None;
    };
    let directions = direction.map_or([true; 2], Spanned::into_inner);
    let (change, jitter, delay) = (LinkChange::new(table), changed.jitter_at(), changed.delay_at());
    Some(ActionSpec::Change { links, directions, change, trace: changed.trace, jitter, delay })
}

fn direction(value: &DeValue<'_>) -> Result<[bool; 2], Problem> {
    match string(value)?.as_str() {
        "forward" => Ok([true, false]),
        "backward" => Ok([false, true]),
        other => {
            let help = "\"forward\" or \"backward\"; leave it out for both";
            Err(Problem::new(format!("{} is no direction", quote(other)), help))
        }
    }
}

fn partition(reader: &mut Reader<'_>) -> Option<ActionSpec> {
    const HELP: &str = "two sides or more, such as `partition = [[\"a\", \"b\"], [\"c\"]]`";
    let value = reader.value("partition")?;
    let wrong = |at: Range<usize>, message: String| {
        reader.mistakes.add(at, format!("partition: {message}"), HELP);
    };
    let DeValue::Array(sides) = value.get_ref() else {
        wrong(value.span(), format!("{} where a list of lists belongs", article(value.get_ref())));
        return None;
    };
    let mut partition = Vec::new();
    for side in sides {
        let DeValue::Array(names) = side.get_ref() else {
            wrong(side.span(), format!("{} where a list of names belongs", article(side.get_ref())));
            continue;
        };
        if names.is_empty() {
            wrong(side.span(), "a side is empty".to_owned());
        }
        let mut names_of_side = Vec::new();
        for name in names {
            match string(name.get_ref()) {
                Ok(text) => names_of_side.push(Spanned::new(name.span(), text)),
                Err(problem) => wrong(name.span(), problem.message),
            }
        }
        partition.push(names_of_side);
    }
    if sides.len() < 2 {
        wrong(value.span(), "has fewer than two sides".to_owned());
    }
    Some(ActionSpec::Partition(partition))
}

fn rebind(reader: &mut Reader<'_>) -> Option<ActionSpec> {
    let mistakes = reader.mistakes;
    let (at, table) = reader.table("rebind")?;
    let mut reader = Reader::new(table, "`rebind`", mistakes);
    let guest = reader.get("guest", string);
    let router = reader.get("router", string);
    let interface = reader.get("interface", string);
    let addresses = reader.list("addresses", address::host);
    let example = "`rebind = { guest = \"x\", addresses = \"10.0.0.9/24\" }`";
    match (reader.has("guest"), reader.has("router")) {
        (true, true) => mistakes.add(at.clone(), "rebind: both a guest and a router", "an entry for each"),
        (false, true) => require(&reader, &at, &["interface", "addresses"], example),
        (true, false) | (false, false) => require(&reader, &at, &["guest", "addresses"], example),
    }
    reader.finish();
    let interface = interface.unwrap_or_else(|| Spanned::new(at, "eth0".to_owned()));
    Some(ActionSpec::Rebind { device: guest.or(router)?, interface, addresses: addresses? })
}

/// `dhcp = { server = "leases", range = "10.0.0.200-10.0.0.219" }`.
fn dhcp(reader: &mut Reader<'_>) -> Option<ActionSpec> {
    let mistakes = reader.mistakes;
    let (at, table) = reader.table("dhcp")?;
    let mut reader = Reader::new(table, "`dhcp`", mistakes);
    let server = reader.get("server", string);
    let range = reader.get("range", crate::scenario::spec::dhcp::range);
    let revoke = reader.list("revoke", string).unwrap_or_default();
    require(&reader, &at, &["server"], "`dhcp = { server = \"x\", revoke = \"client\" }`");
    if !reader.has("range") && !reader.has("revoke") {
        let help = "`range`, the addresses that it gives from now on, or `revoke`, guests whose leases end";
        mistakes.add(at, "dhcp: changes nothing", help);
    }
    reader.finish();
    Some(ActionSpec::Dhcp { server: server?, range, revoke })
}

fn inject(reader: &mut Reader<'_>) -> Option<ActionSpec> {
    let mistakes = reader.mistakes;
    let (at, table) = reader.table("inject")?;
    let mut reader = Reader::new(table, "`inject`", mistakes);
    let port = reader.get("port", string);
    let frame = reader.get("frame", hexadecimal);
    let pcap = reader.get("pcap", path);
    require(&reader, &at, &["port"], "`inject = { port = \"x\", pcap = \"frames.pcapng\" }`");
    if reader.has("frame") == reader.has("pcap") {
        let help = "`frame = \"ffff...\"`, one Ethernet frame in hexadecimal, or `pcap = \"frames.pcapng\"`";
        mistakes.add(at, "inject: not one of `frame` and `pcap`", help);
    }
    reader.finish();
    let frames = match (frame, pcap) {
        (Some(frame), _) => FramesSpec::One(frame.into_inner()),
        (None, pcap) => FramesSpec::Capture(pcap?),
    };
    Some(ActionSpec::Inject { port: port?, frames })
}

/// An Ethernet frame; blanks between the digits do not count.
fn hexadecimal(value: &DeValue<'_>) -> Result<Bytes, Problem> {
    const HELP: &str =
        "an Ethernet frame of 14 to 65535 bytes, two hexadecimal digits each, without its checksum";
    let digits: String = string(value)?.chars().filter(|c| !c.is_whitespace()).collect();
    if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) || !digits.len().is_multiple_of(2) {
        return Err(Problem::new("is not bytes in hexadecimal", HELP));
    }
    let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).unwrap_or_default();
    let bytes: Vec<u8> = (0..digits.len()).step_by(2).map(byte).collect();
    if !(14..=65_535).contains(&bytes.len()) {
        return Err(Problem::new(format!("{} bytes are no frame", bytes.len()), HELP));
    }
    Ok(bytes.into())
}

fn clock(reader: &mut Reader<'_>) -> Option<ActionSpec> {
    let mistakes = reader.mistakes;
    let (at, table) = reader.table("clock")?;
    let mut reader = Reader::new(table, "`clock`", mistakes);
    let guest = reader.get("guest", string);
    let skew = reader.get("skew", units::skew);
    require(&reader, &at, &["guest", "skew"], "`clock = { guest = \"x\", skew = \"-5s\" }`");
    reader.finish();
    Some(ActionSpec::Clock { guest: guest?, skew_ns: skew?.into_inner() })
}

fn require(reader: &Reader<'_>, at: &Range<usize>, keys: &[&str], example: &str) {
    for key in keys.iter().filter(|key| !reader.has(key)) {
        missing(reader.mistakes, at.clone(), "the action", key, &format!("such as {example}"));
    }
}
