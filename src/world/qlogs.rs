//! What protocol objects tell of the events of their QUIC connections goes to whoever asked for it.

use std::path::Path;
use std::sync::Arc;

use super::World;

/// Takes bytes for the end of a file.
pub type QlogSink = Box<dyn FnMut(&Path, Vec<u8>) + Send>;

impl World {
    /// Where qlogs go from now on; without one they are lost.
    pub fn set_qlogs(&mut self, sink: QlogSink) {
        self.qlogs = Some(sink);
    }

    pub(super) fn record_qlogs(&mut self, qlogs: Vec<(Arc<Path>, Vec<u8>)>) {
        let Some(sink) = &mut self.qlogs else { return };
        qlogs.into_iter().for_each(|(path, bytes)| sink(&path, bytes));
    }
}
