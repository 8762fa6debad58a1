//! The command lines that run a failure again, as a shell takes them.

use std::path::Path;

use guestnet::lab::Lab;
use guestnet::scenario::plan::StdinPlan;

/// The lines for one failure: what has its verdicts, and what has its packets and calls.
pub fn lines(lab: &Lab, path: &Path, seed: u64, differs: bool) -> String {
    let file = file(path);
    let verify = if differs { " --verify" } else { "" };
    // A run of its own would write where the test's was kept from it, and read what the test's had not to read.
    let writable = |guest: &guestnet::scenario::plan::GuestPlan| guest.directories.iter().any(|d| d.writable);
    let scratch = if lab.plan().guests.iter().any(writable) { " --scratch" } else { "" };
    let inherits = lab.plan().guests.iter().any(|guest| guest.stdin == StdinPlan::Inherit);
    let stdin = if inherits { " < /dev/null" } else { "" };
    format!(
        "again: guestnet test --seeds {seed}{verify} {file}\n\
         calls and capture: guestnet run --sim --seed {seed}{scratch} --trace --capture again.pcapng --capture-each port {file}{stdin}"
    )
}

/// A path as the last argument of a command line.
fn file(path: &Path) -> String {
    let text = path.to_string_lossy();
    let before = if text.starts_with('-') { "-- " } else { "" };
    format!("{before}{}", quoted(&text))
}

/// For sh(1): one word, whatever is in it.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=:,@%".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_word_to_a_shell() {
        assert_eq!(file(Path::new("tests/lossy-2.toml")), "tests/lossy-2.toml");
        assert_eq!(file(Path::new("one dir/x.toml")), "'one dir/x.toml'");
        assert_eq!(file(Path::new("it's.toml")), "'it'\\''s.toml'");
        assert_eq!(file(Path::new("-x.toml")), "-- -x.toml");
    }
}
