//! Streams and errors as the standard library knows them.

use std::io;

use crate::errno::Errno;
use crate::objects::Stream;

impl From<Errno> for io::Error {
    /// Where the target has preview 1's libc, the code is also the system's, and the kind follows from it.
    fn from(errno: Errno) -> io::Error {
        if cfg!(target_os = "wasi") {
            io::Error::from_raw_os_error(errno.code().into())
        } else {
            io::Error::new(io::ErrorKind::Other, std::format!("{}", errno))
        }
    }
}

impl std::error::Error for Errno {}

impl io::Read for Stream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        Ok(Stream::read(self, buf)?)
    }
}

impl io::Write for Stream {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        Ok(Stream::write(self, buf)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl io::Read for &Stream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        Ok(Stream::read(self, buf)?)
    }
}

impl io::Write for &Stream {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        Ok(Stream::write(self, buf)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
