//! A process that ends with the test.

use std::process::Child;

pub struct Peer(pub Child);

impl Drop for Peer {
    fn drop(&mut self) {
        // One that has ended already is what was wanted.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
