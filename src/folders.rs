//! Folders of the machine that a lab hands to its guests: as they are, or private copies of those that are written to, so
//! that no run sees what another wrote.
//!
//! Whatever one guest can write to and another sees is one copy, as it is one folder. It knows nothing of guests at work.

use std::collections::BTreeMap;
use std::fs::{self, DirEntry};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::sys::stat::{Mode, SFlag, mknod};
use tempfile::TempDir;

use crate::scenario::plan::{DirectoryPlan, Plan};

/// Bytes of a file that [`Folders::read`] takes into memory.
pub const FILE_BYTES_MAX: u64 = 64 << 20;

/// Where the folders of a plan are. The default has each at its own place; copies are removed with the last clone.
#[derive(Clone, Debug, Default)]
pub struct Folders(Arc<Places>);

#[derive(Debug, Default)]
struct Places {
    /// Folders as the plan names them, and their places in copies.
    moved: BTreeMap<PathBuf, PathBuf>,
    failure: Option<String>,
    copies: Vec<PrivateCopy>,
}

/// What became of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    Bytes(Vec<u8>),
    /// There is nothing of that name.
    Absent,
    /// It is something that has no content to be compared, and what.
    Other(String),
}

impl Folders {
    /// A copy of each folder that a guest of the plan may write to, and of what is around and below it as far as it is
    /// handed to any. A copy that cannot be made is told by [`Folders::failure`].
    pub fn private(plan: &Plan) -> Folders {
        let directories = || plan.guests.iter().flat_map(|guest| &guest.directories);
        if !directories().any(|directory| directory.writable) {
            return Folders::default();
        }
        // By their real paths, an outer folder comes before those in it.
        let mut named: BTreeMap<PathBuf, bool> = BTreeMap::new();
        let mut real: BTreeMap<&Path, PathBuf> = BTreeMap::new();
        for directory in directories() {
            if !real.contains_key(directory.host.as_path()) {
                // One that is not there is told of when it is opened.
                let Ok(path) = fs::canonicalize(&directory.host) else { continue };
                real.insert(&directory.host, path);
            }
            *named.entry(real[directory.host.as_path()].clone()).or_default() |= directory.writable;
        }
        let mut roots: Vec<(&Path, bool)> = Vec::new();
        for (path, &writable) in &named {
            match roots.last_mut() {
                Some((root, any)) if path.starts_with(*root) => *any |= writable,
                Some(_) | None => roots.push((path, writable)),
            }
        }
        let mut places = Places::default();
        for (root, _) in roots.into_iter().filter(|(_, writable)| *writable) {
            let copy = match PrivateCopy::of(root) {
                Ok(copy) => copy,
                Err(why) => {
                    places.failure = Some(why);
                    break;
                }
            };
            for (host, path) in &real {
                if let Ok(rest) = path.strip_prefix(root) {
                    places.moved.insert(host.to_path_buf(), copy.root().join(rest));
                }
            }
            places.copies.push(copy);
        }
        Folders(Arc::new(places))
    }

    /// Why they are not all there.
    pub fn failure(&self) -> Option<&str> {
        self.0.failure.as_deref()
    }

    /// Where a folder of the plan is.
    pub fn place<'a>(&'a self, host: &'a Path) -> &'a Path {
        self.0.moved.get(host).map_or(host, PathBuf::as_path)
    }

    /// A file in a directory that is handed over, as it is now. Links lead no further than the directory.
    ///
    /// # Errors
    ///
    /// The machine's.
    pub fn read(&self, directory: &DirectoryPlan, file: &Path) -> io::Result<Content> {
        let place = fs::canonicalize(self.place(&directory.host))?;
        let path = match fs::canonicalize(place.join(file)) {
            Ok(path) => path,
            Err(error) if is_absent(&error) => return Ok(Content::Absent),
            Err(error) => return Err(error),
        };
        if !path.starts_with(&place) {
            return Ok(Content::Other("a link that leads out of its directory".to_owned()));
        }
        let about = fs::metadata(&path)?;
        Ok(match about.len() {
            _ if about.is_dir() => Content::Other("a directory".to_owned()),
            _ if !about.is_file() => Content::Other("neither a file nor a directory".to_owned()),
            FILE_BYTES_MAX.. => Content::Other(format!("a file of {} bytes", about.len())),
            _ => {
                let mut bytes = Vec::new();
                fs::File::open(&path)?.take(FILE_BYTES_MAX).read_to_end(&mut bytes)?;
                Content::Bytes(bytes)
            }
        })
    }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// A folder's copy, in the machine's folder for temporary files.
#[derive(Debug)]
struct PrivateCopy {
    folder: TempDir,
    /// Folders in it that their owner may not write to; one cannot be emptied before that is changed.
    closed: Vec<PathBuf>,
}

impl PrivateCopy {
    fn root(&self) -> PathBuf {
        self.folder.path().join("copy")
    }

    fn of(original: &Path) -> Result<PrivateCopy, String> {
        let told = |path: &Path, error: io::Error| {
            format!("a private copy of {} cannot be made: {}: {error}", original.display(), path.display())
        };
        let folder = tempfile::Builder::new()
            .prefix("guestnet-")
            .tempdir()
            .map_err(|error| told(Path::new("a folder for temporary files"), error))?;
        let mut copy = PrivateCopy { folder, closed: Vec::new() };
        let mut linked = BTreeMap::new();
        let mut waiting = vec![(original.to_owned(), copy.root())];
        while let Some((from, to)) = waiting.pop() {
            let about = fs::metadata(&from).map_err(|error| told(&from, error))?;
            fs::create_dir(&to).map_err(|error| told(&to, error))?;
            for entry in fs::read_dir(&from).map_err(|error| told(&from, error))? {
                let entry = entry.map_err(|error| told(&from, error))?;
                let (path, to) = (entry.path(), to.join(entry.file_name()));
                if path == copy.folder.path() {
                    continue;
                }
                match copy_entry(&entry, &to, &mut linked) {
                    Ok(true) => waiting.push((path, to)),
                    Ok(false) => {}
                    // Somebody has removed it meanwhile.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(told(&path, error)),
                }
            }
            if about.permissions().readonly() {
                copy.closed.push(to);
            }
        }
        // Only now, or else what is in them could not be made.
        for closed in &copy.closed {
            let _ = set_mode(closed, 0o555);
        }
        Ok(copy)
    }
}

impl Drop for PrivateCopy {
    fn drop(&mut self) {
        for closed in &self.closed {
            let _ = set_mode(closed, 0o755);
        }
    }
}

fn set_mode(path: &Path, mode: u32) -> io::Result<()> {
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode))
}

/// True for a directory, whose entries are still to be copied. `linked` has the files of several names.
fn copy_entry(entry: &DirEntry, to: &Path, linked: &mut BTreeMap<(u64, u64), PathBuf>) -> io::Result<bool> {
    let kind = entry.file_type()?;
    if kind.is_dir() {
        return Ok(true);
    }
    if kind.is_symlink() {
        symlink(fs::read_link(entry.path())?, to)?;
    } else if kind.is_file() {
        let about = entry.metadata()?;
        let first = (about.nlink() > 1).then(|| linked.entry((about.dev(), about.ino())).or_default());
        match first {
            Some(first) if !first.as_os_str().is_empty() => fs::hard_link(first, to)?,
            first => {
                fs::copy(entry.path(), to)?;
                first.into_iter().for_each(|first| *first = to.to_owned());
            }
        }
    } else if kind.is_fifo() || kind.is_socket() {
        // A guest is told that there is such a thing, and can do nothing with it. Devices it would not be let make.
        let kind = if kind.is_fifo() { SFlag::S_IFIFO } else { SFlag::S_IFSOCK };
        mknod(to, kind, Mode::S_IRUSR | Mode::S_IWUSR, 0)?;
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(directories: &[(&str, &Path, bool)]) -> Plan {
        let mut plan = Plan::single("a.wasm".into(), Vec::new());
        plan.guests[0].directories = directories
            .iter()
            .map(|&(guest, host, writable)| DirectoryPlan {
                guest: guest.to_owned(),
                host: host.to_owned(),
                writable,
            })
            .collect();
        plan
    }

    #[test]
    fn what_is_only_read_stays_where_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let folders = Folders::private(&plan(&[("/box", folder.path(), false)]));
        assert_eq!(folders.place(folder.path()), folder.path());
        assert!(folders.0.copies.is_empty());
    }

    #[test]
    fn a_copy_has_all_that_is_there_and_goes_with_its_last_owner() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir_all(path("a/b")).unwrap();
        fs::write(path("a/b/file"), "text").unwrap();
        fs::hard_link(path("a/b/file"), path("again")).unwrap();
        symlink("a/b/file", path("link")).unwrap();
        symlink("/etc", path("out")).unwrap();
        mknod(&path("fifo"), SFlag::S_IFIFO, Mode::S_IRWXU, 0).unwrap();
        set_mode(&path("a/b"), 0o555).unwrap();

        let plan = plan(&[("/box", folder.path(), true), ("/b", &path("a/b"), false)]);
        let folders = Folders::private(&plan);
        assert_eq!(folders.failure(), None);
        let copy = folders.place(folder.path()).to_owned();
        assert_ne!(copy, folder.path());
        assert_eq!(folders.place(&path("a/b")), copy.join("a/b"), "what is in it is in the copy");
        let [b, top] = [&plan.guests[0].directories[1], &plan.guests[0].directories[0]];
        fs::write(copy.join("again"), "other").unwrap();
        // Both names are of the same file, and the original is another.
        assert_eq!(folders.read(b, Path::new("file")).unwrap(), Content::Bytes(b"other".to_vec()));
        assert_eq!(folders.read(top, Path::new("link")).unwrap(), Content::Bytes(b"other".to_vec()));
        assert_eq!(fs::read_to_string(path("again")).unwrap(), "text");
        assert!(fs::metadata(copy.join("a/b")).unwrap().permissions().readonly());
        let other = |name: &str| match folders.read(top, Path::new(name)).unwrap() {
            Content::Other(what) => what,
            other => panic!("{other:?}"),
        };
        assert_eq!(other("out"), "a link that leads out of its directory");
        assert_eq!(other("fifo"), "neither a file nor a directory");
        assert_eq!(other("a"), "a directory");
        assert_eq!(folders.read(top, Path::new("nothing/here")).unwrap(), Content::Absent);
        assert_eq!(folders.read(top, Path::new("link/below")).unwrap(), Content::Absent);

        let second = folders.clone();
        drop(folders);
        assert!(copy.exists());
        drop(second);
        assert!(!copy.exists());
        set_mode(&path("a/b"), 0o755).unwrap();
    }

    /// One guest writes where another reads from further above: both see the same.
    #[test]
    fn a_folder_around_one_that_is_written_to_is_copied_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let (inner, beside) = (folder.path().join("inner"), tempfile::tempdir().unwrap());
        fs::create_dir(&inner).unwrap();
        let folders = Folders::private(&plan(&[
            ("/in", &inner, true),
            ("/all", folder.path(), false),
            ("/beside", beside.path(), false),
        ]));
        assert_eq!(folders.place(&inner), folders.place(folder.path()).join("inner"));
        assert_ne!(folders.place(&inner), inner);
        assert_eq!(folders.place(beside.path()), beside.path());
    }
}
