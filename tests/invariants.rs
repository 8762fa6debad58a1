//! The invariants of ARCHITECTURE.md, held against the sources themselves.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Modules from the lowest up: one imports only what stands before it.
const ORDER: &[&[&str]] = &[
    &["error", "time", "docs"],
    &["rng", "event"],
    &["network"],
    &["capture"],
    &["filter"],
    &["node"],
    &["dns"],
    &["protocol"],
    &["scenario"],
    &["folders"],
    &["abi"],
    &["guest"],
    &["world"],
    &["sim"],
    &["live", "lab"],
    &["sweep"],
    &["shrink"],
    &["lib"],
];

/// Code, and the only folders and files under `src/` that may have it.
const ALONE: &[(&[&str], &[&str])] = &[
    (&["wasmtime::", "wasmtime_wasi::", "wiggle::"], &["guest/", "abi/"]),
    (&["smoltcp::iface", "smoltcp::socket", "smoltcp::phy"], &["node/"]),
    (&["std::time::Instant", "SystemTime", "UNIX_EPOCH"], &["live/", "time.rs"]),
    (&["std::thread", "crossbeam_channel", "std::sync::mpsc"], &["live/", "sweep.rs"]),
    (&["std::net::Tcp", "std::net::Udp", "signal_hook"], &["live/"]),
    (&["std::os::", "nix::"], &["live/", "folders.rs"]),
    (&["std::fs", "fs::read", "File::open", "File::create"], &["cli/", "scenario/", "folders.rs", "live/"]),
    (&["std::env", "env::var"], &["cli/"]),
    // A table that is looked up and never iterated; the one type alias that all tables of flows use.
    (&["HashMap", "HashSet", "RandomState"], &["node/stack/flows.rs"]),
    (&["tokio"], &[]),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Every source file by its path under `src/`, without its comments and without its tests.
fn sources() -> BTreeMap<String, String> {
    fn walk(folder: &Path, found: &mut BTreeMap<String, String>) {
        for entry in fs::read_dir(folder).expect("src is readable") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root()).expect("under src").to_string_lossy().into_owned();
                let text = fs::read_to_string(&path).expect("a source is UTF-8");
                found.insert(name, code(&text));
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(&root(), &mut found);
    found.retain(|name, _| !name.contains("/tests/") && !name.ends_with("tests.rs"));
    found
}

/// Tests stand last in a file.
fn code(text: &str) -> String {
    let end = text.find("#[cfg(test)]\nmod tests {").unwrap_or(text.len());
    let lines = text[..end].lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn what_stands_lower_never_imports_what_stands_higher() {
    let rank = |module: &str| ORDER.iter().position(|level| level.contains(&module));
    let mut wrong = Vec::new();
    for (name, code) in sources() {
        let module = name.split(['/', '.']).next().expect("a name has a beginning");
        if matches!(module, "main" | "cli") {
            continue;
        }
        let own = rank(module).unwrap_or_else(|| panic!("{name}: `{module}` has no place in ORDER"));
        for rest in code.split("crate::").skip(1) {
            let imported: String =
                rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
            if imported != module && rank(&imported).is_none_or(|other| other >= own) {
                wrong.push(format!("{name} imports crate::{imported}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Whether `word` is there, and not the end of a longer one.
fn has(code: &str, word: &str) -> bool {
    let is_of_word = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(word).any(|(at, _)| !code[..at].ends_with(is_of_word))
}

#[test]
fn each_thing_is_done_in_its_place_alone() {
    let mut wrong = Vec::new();
    for (name, code) in sources() {
        for (words, places) in ALONE {
            let allowed = places.iter().any(|place| name.starts_with(place));
            let found = words.iter().find(|word| has(&code, word)).filter(|_| !allowed);
            wrong.extend(found.map(|word| format!("{name} has {word}")));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Some libraries take std's instants only: `time.rs` makes them, from one arbitrary origin.
#[test]
fn outside_the_live_driver_std_s_clock_is_read_for_an_origin_alone() {
    let code = &sources()["time.rs"];
    assert_eq!(code.matches("::now").count(), 1, "one reading, for ORIGIN");
    assert!(
        code.contains(
            "static ORIGIN: LazyLock<std::time::Instant> = LazyLock::new(std::time::Instant::now);"
        )
    );
}

#[test]
fn a_file_is_one_idea() {
    let long: Vec<_> = sources()
        .into_keys()
        .map(|name| (fs::read_to_string(root().join(&name)).expect("a source").lines().count(), name))
        .filter(|(lines, _)| *lines > 600)
        .collect();
    assert!(long.is_empty(), "past 600 lines: {long:#?}");
}

#[test]
fn unsafe_code_is_forbidden() {
    for name in ["lib.rs", "main.rs"] {
        assert!(sources()[name].contains("#![forbid(unsafe_code)]"), "{name}");
    }
}
