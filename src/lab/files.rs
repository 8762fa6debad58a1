//! The directories of a run's guests, as the run left them.

use std::collections::BTreeMap;
use std::io;

use super::Report;
use crate::folders::{Content, Folders};
use crate::scenario::plan::{DirectoryPlan, Plan};

/// What was handed to each guest, and where it is for as long as the report is there.
#[derive(Clone, Debug, Default)]
pub(super) struct Written {
    folders: Folders,
    /// Of guests that have any, by their names.
    directories: BTreeMap<String, Vec<DirectoryPlan>>,
}

impl Written {
    pub fn new(plan: &Plan, folders: Folders) -> Written {
        let handed = plan.guests.iter().filter(|guest| !guest.directories.is_empty());
        let directories = handed.map(|guest| (guest.name.clone(), guest.directories.clone()));
        Written { folders, directories: directories.collect() }
    }
}

impl Report {
    /// A file by the path that the guest has for it, as the run left it.
    ///
    /// # Errors
    ///
    /// It is in no directory of the guest's, or cannot be read.
    pub fn file(&self, guest: &str, path: &str) -> io::Result<Content> {
        let directories = self.written.directories.get(guest);
        let (directory, rest) = directories
            .and_then(|directories| DirectoryPlan::of(directories, path))
            .ok_or_else(|| io::Error::other(format!("guest `{guest}` has no directory with {path}")))?;
        self.written.folders.read(directory, &rest)
    }
}
