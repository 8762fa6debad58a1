//! Scenarios in folders, and what their captures are called.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::Failure;

/// Every file named, and every scenario below every directory named, in the order of their paths.
pub fn find(paths: &[PathBuf], filter: Option<&str>) -> Result<Vec<PathBuf>, Failure> {
    let (mut found, mut visited) = (Vec::new(), BTreeSet::new());
    for path in paths {
        if path.is_dir() {
            below(path, &mut found, &mut visited)?;
        } else {
            found.push(path.clone());
        }
    }
    // One that is named and in a folder too, or named twice, is one; a link to a file is another, whose paths lead elsewhere.
    let mut known = BTreeSet::new();
    found.retain(|path| known.insert(place(path)));
    let all = found.len();
    found.retain(|path| filter.is_none_or(|text| path.to_string_lossy().contains(text)));
    if found.is_empty() {
        return Err(match filter.filter(|_| all > 0) {
            Some(text) => Failure::usage(
                format!("no scenario there has `{text}` in its path"),
                format!("there are {all}; --filter takes a part of a path, as it is"),
            ),
            None => Failure::usage(
                "there are no scenarios there",
                "scenarios are files that end with .toml and have a [guest.NAME], a [tap.NAME] or a [dns.NAME]",
            ),
        });
    }
    Ok(found)
}

/// A file's real folder, and its name there.
fn place(path: &Path) -> PathBuf {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match (std::fs::canonicalize(folder), path.file_name()) {
        (Ok(folder), Some(name)) => folder.join(name),
        (_, _) => path.to_owned(),
    }
}

/// `visited` has the folders' real paths: a link may lead back up.
fn below(folder: &Path, found: &mut Vec<PathBuf>, visited: &mut BTreeSet<PathBuf>) -> Result<(), Failure> {
    let failed = |path: &Path| Failure::io(path.display().to_string());
    if !visited.insert(std::fs::canonicalize(folder).map_err(failed(folder))?) {
        return Ok(());
    }
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed(folder))? {
        entries.push(entry.map_err(failed(folder))?.path());
    }
    entries.sort();
    for path in entries {
        let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if path.is_dir() {
            if !hidden {
                below(&path, found, visited)?;
            }
        } else if path.extension().is_some_and(|extension| extension == "toml") && looks_like_one(&path)? {
            found.push(path);
        }
    }
    Ok(())
}

/// True for a scenario by what is in it: other programs have files that end with `.toml` too.
pub fn looks_like_one(path: &Path) -> Result<bool, Failure> {
    const TABLES: [&str; 3] = ["guest", "tap", "dns"];
    // A pipe would keep whoever reads it waiting, and a link may lead nowhere.
    if !path.is_file() {
        return Ok(false);
    }
    let bytes = std::fs::read(path).map_err(Failure::io(path.display().to_string()))?;
    let text = String::from_utf8_lossy(&bytes);
    match text.parse::<toml::Table>() {
        // `[guests.a]` and `[[guest]]` are likely mistakes, and are told like others.
        Ok(table) => Ok(table.iter().any(|(name, value)| {
            let is_named = |table: &&str| name == *table || name.strip_suffix('s') == Some(table);
            let is_filled = value.is_table()
                || value.as_array().is_some_and(|list| list.iter().any(toml::Value::is_table));
            is_filled && TABLES.iter().any(is_named)
        })),
        // A scenario with a mistake is to be told, not passed over.
        Err(_) => Ok(text.lines().any(|line| {
            let line: String = line.chars().filter(|c| !c.is_whitespace()).collect();
            let line = line.trim_start_matches('[');
            TABLES.iter().any(|name| line.strip_prefix(name).is_some_and(|rest| rest.starts_with('.')))
        })),
    }
}

/// What a capture of each scenario's failure is called, without the seed: its file's name, or where several have that,
/// its path.
pub fn capture_names(paths: &[PathBuf]) -> Vec<String> {
    let stem = |path: &PathBuf| path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let mut named = BTreeMap::<String, usize>::new();
    for path in paths {
        *named.entry(stem(path)).or_default() += 1;
    }
    let mut taken: BTreeSet<String> =
        named.iter().filter(|(_, count)| **count == 1).map(|(name, _)| name.clone()).collect();
    let mut name = |path: &PathBuf| {
        let stem = stem(path);
        if named.get(&stem) == Some(&1) {
            return stem;
        }
        let whole = path.with_extension("").to_string_lossy().into_owned();
        let whole = whole.trim_start_matches(['.', '/']).replace(['/', '\\'], "-");
        let mut tries = std::iter::once(whole.clone()).chain((2..).map(|n| format!("{whole}-{n}")));
        let free = tries.find(|name| taken.insert(name.clone()));
        free.unwrap_or(whole)
    };
    paths.iter().map(&mut name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn captures_of_two_scenarios_are_two_files() {
        let names = |paths: &[&str]| capture_names(&paths.iter().map(PathBuf::from).collect::<Vec<_>>());
        assert_eq!(names(&["a/x.toml", "a/y.toml"]), ["x", "y"]);
        assert_eq!(names(&["./a/x.toml", "b/x.toml"]), ["a-x", "b-x"]);
        assert_eq!(names(&["a/x.toml", "a-x.toml", "b/x.toml"]), ["a-x-2", "a-x", "b-x"]);
        assert_eq!(names(&["a.toml", "a.toml"]), ["a", "a-2"]);
    }
}
