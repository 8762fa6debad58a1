//! Files read whole, whatever somebody put at their paths: never more than `bytes_max`, and never what keeps its reader
//! waiting or has no end.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::Path;

/// Bytes of any file but a scenario: far above a compiled guest, and what a capture to be injected may have.
pub(super) const FILE_BYTES_MAX: u64 = 1 << 30;

/// What the file at `path` has in it.
///
/// # Errors
/// It cannot be read, is no regular file, or is longer than `bytes_max`.
pub(super) fn read_file(path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    let metadata = path.metadata()?;
    if metadata.is_dir() {
        // As reading it would say.
        return Err(ErrorKind::IsADirectory.into());
    }
    if !metadata.is_file() {
        return Err(io::Error::other("is not a file: a pipe, a socket or a device"));
    }
    read(path, bytes_max)
}

/// The same for a pipe or a device as well, which a guest's standard input may be: whoever writes to it is waited for.
pub(super) fn read_input(path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    read(path, bytes_max)
}

fn read(path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    let expected = file.metadata().map_or(0, |metadata| metadata.len());
    let mut bytes = Vec::new();
    bytes.try_reserve(usize::try_from(expected.min(bytes_max)).unwrap_or(0))?;
    file.take(bytes_max.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > bytes_max {
        return Err(io::Error::new(ErrorKind::FileTooLarge, format!("is longer than {bytes_max} bytes")));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_end_is_read_no_further_than_the_limit() {
        let zero = Path::new("/dev/zero");
        assert_eq!(
            read_file(zero, 100).unwrap_err().to_string(),
            "is not a file: a pipe, a socket or a device"
        );
        assert_eq!(read_input(zero, 100).unwrap_err().to_string(), "is longer than 100 bytes");
        assert_eq!(read_input(Path::new("/dev/null"), 0).unwrap(), b"");
    }

    #[test]
    fn a_file_may_be_as_long_as_the_limit() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), b"1234").unwrap();
        assert_eq!(read_file(file.path(), 4).unwrap(), b"1234");
        assert_eq!(read_file(file.path(), 3).unwrap_err().kind(), ErrorKind::FileTooLarge);
        let folder = file.path().parent().unwrap();
        assert_eq!(read_file(folder, 4).unwrap_err().kind(), ErrorKind::IsADirectory);
    }
}
