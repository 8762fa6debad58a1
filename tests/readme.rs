//! The README's example in Rust, on the README's first lab: what stands between the marks is what the README has.

use std::error::Error;
use std::path::Path;

fn example() -> Result<(), Box<dyn Error>> {
    // README: begin
    let report = guestnet::lab::Lab::from_file("lab.toml")?.run(7);
    assert!(report.is_success(), "{report}");
    assert_eq!(report.packets("tcp.flags.syn == 1")?.len(), 2);
    // README: end
    Ok(())
}

/// The first block of code in that language.
fn block(language: &str) -> &'static str {
    let readme = include_str!("../README.md");
    let (_, rest) = readme.split_once(&format!("```{language}\n")).expect("the README has such a block");
    rest.split_once("```").expect("a block ends").0
}

fn lines(text: &str) -> Vec<&str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect()
}

#[test]
fn the_example_is_the_readme_s_and_holds() {
    let (_, rest) = include_str!("readme.rs").split_once("// README: begin\n").expect("a mark");
    let (own, _) = rest.split_once("// README: end\n").expect("another");
    assert_eq!(lines(own), lines(block("rust")));
    // The example names its lab as if it were run beside it. No other test is of this process.
    let folder = tempfile::tempdir().unwrap();
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("target");
    std::os::unix::fs::symlink(target, folder.path().join("target")).unwrap();
    std::fs::write(folder.path().join("lab.toml"), block("toml")).unwrap();
    std::env::set_current_dir(folder.path()).unwrap();
    example().unwrap();
}
