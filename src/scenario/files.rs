//! What a scenario names on the machine exists; what is part of the lab itself is read.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::Spanned;

use super::contents::{FILE_BYTES_MAX, read_file};
use super::mistake::{Mistakes, quote};
use super::plan::StdinPlan;
use super::spec::{ActionSpec, ContentSpec, FileSpec, FramesSpec, KindSpec, Spec, Subject};
use crate::network::link::{Rate, Trace};

mod pem;

/// Notes a mistake for each file or folder that is not there, or not what it should be.
pub(super) fn check(spec: &Spec, folder: &Path, mistakes: &Mistakes) {
    for guest in &spec.guests {
        if let Some(module) = &guest.module {
            file("module", folder, module.get_ref(), module.span(), Metadata::is_file, mistakes);
        }
        if let Some(stdin) = &guest.stdin
            && let StdinPlan::File(path) = stdin.get_ref()
        {
            // A pipe or a device does as well.
            file("stdin", folder, path, stdin.span(), |metadata| !metadata.is_dir(), mistakes);
        }
        for protocol in &guest.protocols {
            let Some(KindSpec::Unix(unix)) = &protocol.kind else { continue };
            for (_, named) in &unix.host {
                is_folder("host", folder, named, mistakes);
            }
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
    for authority in &spec.authorities {
        if let Some(export) = &authority.export {
            folder_of("export", folder, export, mistakes);
        }
    }
    for protocol in spec.guests.iter().flat_map(|guest| &guest.protocols) {
        match &protocol.kind {
            Some(KindSpec::Tls { tls, .. }) => pem::check(tls, folder, mistakes),
            Some(KindSpec::Quic { quic, .. }) => {
                pem::check(&quic.tls, folder, mistakes);
                if let Some(named) = &quic.qlog {
                    is_folder("qlog", folder, named, mistakes);
                }
            }
            Some(
                KindSpec::Ip { .. } | KindSpec::Icmp { .. } | KindSpec::Unix(_) | KindSpec::Layer { .. },
            )
            | None => {}
        }
    }
    for expect in &spec.expectations {
        if let Subject::Guest { file: Some(FileSpec { content: ContentSpec::SameAs(path), .. }), .. } =
            &expect.subject
        {
            file("same_as", folder, path.get_ref(), path.span(), Metadata::is_file, mistakes);
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
    let read = read_file(&path, FILE_BYTES_MAX).map_err(|error| error.to_string());
    if let Err(wrong) = read.and_then(|bytes| crate::capture::frames(&bytes)) {
        let message = format!("pcap: {}: {wrong}", quote(&named.get_ref().to_string_lossy()));
        mistakes.add(named.span(), message, looked_for(&path));
    }
}

/// Reads the traces that links follow, each file once.
pub(super) fn read_traces(spec: &mut Spec, folder: &Path, mistakes: &Mistakes) {
    let mut read: BTreeMap<PathBuf, Result<Arc<Trace>, String>> = BTreeMap::new();
    let mut of = |trace: &Spanned<PathBuf>| -> Option<Arc<Trace>> {
        let path = folder.join(trace.get_ref());
        match read.entry(path.clone()).or_insert_with(|| read_trace(&path)) {
            Ok(trace) => Some(Arc::clone(trace)),
            Err(wrong) => {
                let message = format!("trace: {}: {wrong}", quote(&trace.get_ref().to_string_lossy()));
                let help = format!(
                    "each line is the millisecond of one opportunity to deliver 1500 bytes, ascending; {}",
                    looked_for(&path)
                );
                mistakes.add(trace.span(), message, help);
                None
            }
        }
    };
    for direction in spec.directions_mut().flatten() {
        if let Some(trace) = direction.trace.as_ref().and_then(&mut of) {
            direction.parameters.rate = Rate::Trace(trace);
        }
    }
    for entry in &mut spec.timeline {
        if let ActionSpec::Change { change, trace: Some(trace), .. } = &mut entry.action
            && let Some(trace) = of(trace)
        {
            change.follow(trace);
        }
    }
}

fn read_trace(path: &Path) -> Result<Arc<Trace>, String> {
    let bytes = read_file(path, FILE_BYTES_MAX).map_err(|error| error.to_string())?;
    Trace::parse(&bytes).map(Arc::new).map_err(|error| error.to_string())
}

fn file(
    key: &str,
    folder: &Path,
    named: &Path,
    at: Range<usize>,
    does: impl FnOnce(&Metadata) -> bool,
    mistakes: &Mistakes,
) {
    let path = folder.join(named);
    let wrong = match fs::metadata(&path) {
        Ok(metadata) if metadata.is_dir() => "is a folder".to_owned(),
        Ok(metadata) if does(&metadata) => return,
        Ok(_) => "is not a file".to_owned(),
        Err(error) => error.to_string(),
    };
    mistakes.add(at, format!("{key}: {}: {wrong}", quote(&named.to_string_lossy())), looked_for(&path));
}

/// The folder that a file is to be written to must be there.
fn folder_of(key: &str, folder: &Path, named: &Spanned<PathBuf>, mistakes: &Mistakes) {
    let path = folder.join(named.get_ref());
    let parent = path.parent().unwrap_or(folder);
    // A file beside the scenario has an empty parent if the scenario has.
    let there = parent.as_os_str().is_empty() || parent.is_dir();
    if !there || path.is_dir() {
        let message = format!("{key}: {} cannot be written", quote(&named.get_ref().to_string_lossy()));
        mistakes.add(named.span(), message, "a file, in a folder that is there");
    }
}

fn is_folder(key: &str, folder: &Path, named: &Spanned<PathBuf>, mistakes: &Mistakes) {
    let path = folder.join(named.get_ref());
    let wrong = match fs::metadata(&path) {
        Ok(metadata) if metadata.is_dir() => return,
        Ok(_) => "is not a folder".to_owned(),
        Err(error) => error.to_string(),
    };
    let message = format!("{key}: {}: {wrong}", quote(&named.get_ref().to_string_lossy()));
    mistakes.add(named.span(), message, looked_for(&path));
}

pub(super) fn looked_for(path: &Path) -> String {
    format!("paths are relative to the scenario's folder: looked for {}", path.display())
}
