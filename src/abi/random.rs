//! `random_get` and `sched_yield`: calls that give others a turn while they are at work.

use wasmtime_wasi::p1::types::{self, Errno};
use wiggle::{GuestMemory, GuestPtr};

use super::{Context, give_way, lock};

/// Bytes that one `random_get` may ask for.
const RANDOM_BYTES_MAX: u32 = 16 * 1024 * 1024;

impl Context {
    /// Fills a buffer piece by piece: the guest decides how long that takes.
    pub(super) async fn random_get(
        &mut self,
        memory: &mut GuestMemory<'_>,
        buffer: GuestPtr<u8>,
        len: types::Size,
    ) -> Result<(), types::Error> {
        const PIECE_BYTES: usize = 64 * 1024;
        memory.as_cow(buffer.as_array(len))?;
        if len > RANDOM_BYTES_MAX {
            return Err(Errno::Inval.into());
        }
        let mut filled = 0;
        while filled < len as usize {
            let into = memory.as_slice_mut(buffer.as_array(len))?.ok_or(Errno::Notsup)?;
            let piece = into[filled..].len().min(PIECE_BYTES);
            lock(&self.node).random(&mut into[filled..filled + piece]);
            filled += piece;
            self.effort.add(piece);
            if self.effort.is_turn_over() {
                self.end_turn().await.map_err(|out_of_fuel| types::Error::trap(out_of_fuel.into()))?;
            }
        }
        Ok(())
    }

    /// Lets the others run. What the host did for the guest until now counts on: it waits for nothing.
    pub(super) async fn sched_yield(&mut self) {
        {
            let mut node = self.charged();
            let now = node.now;
            node.wake_at(now);
        }
        give_way().await;
    }
}
