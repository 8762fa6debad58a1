//! A guest's standard streams, as far as they are not files: bytes in its node.

use wasmtime_wasi::p1::types::{self, Errno};
use wiggle::GuestMemory;

use super::sockets::{list_bytes, read_ciovecs, read_iovecs};
use super::{Context, suspend};
use crate::node::OutputStream;

type Result<T, E = types::Error> = std::result::Result<T, E>;

impl Context {
    /// Reads standard input into the first buffer that has room.
    pub(super) async fn read_input(
        &mut self,
        memory: &mut GuestMemory<'_>,
        nonblock: bool,
        list: types::IovecArray,
    ) -> Result<types::Size> {
        let parts = read_iovecs(memory, list)?;
        self.effort.add(list_bytes(list.len()));
        let Some(&slice) = parts.iter().find(|slice| slice.len() > 0) else { return Ok(0) };
        loop {
            {
                let mut node = self.charged();
                let into = memory.as_slice_mut(slice)?.ok_or(Errno::Notsup)?;
                match node.stdio.read(into) {
                    Ok(count) => return Ok(count as types::Size),
                    Err(_) if nonblock => return Err(Errno::Again.into()),
                    Err(_) => node.stdio.watch_input(),
                }
            }
            suspend(&mut self.effort).await;
        }
    }

    /// Writes to standard output or error: as much as fits, after waiting for some room.
    pub(super) async fn write_output(
        &mut self,
        memory: &mut GuestMemory<'_>,
        stream: OutputStream,
        nonblock: bool,
        list: types::CiovecArray,
    ) -> Result<types::Size> {
        let parts = read_ciovecs(memory, list)?;
        self.effort.add(list_bytes(list.len()));
        let mut total = 0;
        for &slice in &parts {
            loop {
                {
                    let mut node = self.charged();
                    let from = memory.as_slice_mut(slice)?.ok_or(Errno::Notsup)?;
                    match node.stdio.write(stream, from) {
                        Ok(count) => {
                            total += count;
                            if count < from.len() {
                                return Ok(total as types::Size);
                            }
                            break;
                        }
                        Err(_) if total > 0 => return Ok(total as types::Size),
                        Err(_) if nonblock => return Err(Errno::Again.into()),
                        Err(_) => node.stdio.watch_output(),
                    }
                }
                suspend(&mut self.effort).await;
            }
        }
        Ok(total as types::Size)
    }
}
