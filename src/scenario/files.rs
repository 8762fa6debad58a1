//! What a scenario names on the machine exists.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;

use super::mistake::{Mistakes, quote};
use super::plan::StdinPlan;
use super::spec::{ActionSpec, FramesSpec, Spec};

/// Notes a mistake for each file or folder that is not there, or not what it should be.
pub(super) fn check(spec: &Spec, folder: &Path, mistakes: &Mistakes) {
    for guest in &spec.guests {
        if let Some(module) = &guest.module {
            file("module", folder, module.get_ref(), module.span(), mistakes);
        }
        if let Some(stdin) = &guest.stdin
            && let StdinPlan::File(path) = stdin.get_ref()
        {
            file("stdin", folder, path, stdin.span(), mistakes);
        }
        for directory in &guest.directories {
            let host = &directory.get_ref().host;
            let path = folder.join(host);
            let wrong = match fs::metadata(&path) {
                Ok(metadata) if metadata.is_dir() => continue,
                Ok(_) => "is not a folder".to_owned(),
                Err(error) => error.to_string(),
            };
            let message = format!("directories: {}: {wrong}", quote(&host.to_string_lossy()));
            mistakes.add(directory.span(), message, looked_for(&path));
        }
    }
    for entry in &spec.timeline {
        if let ActionSpec::Inject { frames: FramesSpec::Capture(named), .. } = &entry.action {
            capture(folder, named, mistakes);
        }
    }
}

/// A capture must be one.
fn capture(folder: &Path, named: &Spanned<PathBuf>, mistakes: &Mistakes) {
    let path = folder.join(named.get_ref());
    let read = fs::read(&path).map_err(|error| error.to_string());
    if let Err(wrong) = read.and_then(|bytes| crate::capture::frames(&bytes)) {
        let message = format!("pcap: {}: {wrong}", quote(&named.get_ref().to_string_lossy()));
        mistakes.add(named.span(), message, looked_for(&path));
    }
}

fn file(key: &str, folder: &Path, named: &Path, at: Range<usize>, mistakes: &Mistakes) {
    let path = folder.join(named);
    let wrong = match fs::metadata(&path) {
        // Not `is_file`: a pipe or a device does for the standard input.
        Ok(metadata) if !metadata.is_dir() => return,
        Ok(_) => "is a folder".to_owned(),
        Err(error) => error.to_string(),
    };
    mistakes.add(at, format!("{key}: {}: {wrong}", quote(&named.to_string_lossy())), looked_for(&path));
}

fn looked_for(path: &Path) -> String {
    format!("paths are relative to the scenario's folder: looked for {}", path.display())
}
