//! Arguments and environment: what a program finds in its memory as it starts, in one block each.

use wasmtime_wasi::p1::types::{self, Errno};
use wiggle::{GuestMemory, GuestPtr};

/// Strings, each with its NUL behind it, as the guest is to have them.
#[derive(Debug, Default)]
pub(super) struct Strings(Box<[u8]>);

impl Strings {
    pub fn new<S: AsRef<str>>(strings: impl IntoIterator<Item = S>) -> Strings {
        let mut bytes = Vec::new();
        for string in strings {
            bytes.extend_from_slice(string.as_ref().as_bytes());
            bytes.push(0);
        }
        Strings(bytes.into())
    }

    fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.0.split_inclusive(|byte| *byte == 0)
    }

    /// How many there are, and their bytes.
    pub fn sizes(&self) -> Result<(types::Size, types::Size), types::Error> {
        let size = |count: usize| types::Size::try_from(count).map_err(|_| Errno::Overflow);
        Ok((size(self.iter().count())?, size(self.0.len())?))
    }

    /// Stores them one behind the other at `buffer`, and where each begins at `pointers`.
    pub fn store(
        &self,
        memory: &mut GuestMemory<'_>,
        mut pointers: GuestPtr<GuestPtr<u8>>,
        mut buffer: GuestPtr<u8>,
    ) -> Result<(), types::Error> {
        for string in self.iter() {
            let len = types::Size::try_from(string.len()).map_err(|_| Errno::Overflow)?;
            memory.write(pointers, buffer)?;
            memory.copy_from_slice(string, buffer.as_array(len))?;
            pointers = pointers.add(1)?;
            buffer = buffer.add(len)?;
        }
        Ok(())
    }
}
