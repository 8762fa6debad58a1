//! Every guest's sockets, for a look at a lab that does not go on.

use std::fmt::Write;

use super::{GuestState, World};
use crate::abi::lock;

/// Guests with sockets that are listed; labs may have thousands.
const GUESTS_MAX: usize = 50;

impl World {
    /// A table for each guest that has sockets or is still there, as netstat(8) prints it.
    pub fn netstat(&self) -> String {
        let mut text = String::new();
        let mut listed = 0;
        for (slot, node) in self.guests.iter().zip(&self.nodes) {
            let sockets: Vec<_> = lock(&node.node).stacks().flat_map(|stack| stack.netstat()).collect();
            if sockets.is_empty() && slot.state == GuestState::Gone {
                continue;
            }
            listed += 1;
            if listed > GUESTS_MAX {
                text.push_str("...\n");
                break;
            }
            let state = match slot.state {
                GuestState::Waiting => "has not begun",
                GuestState::Running => "waits",
                GuestState::Lingering => "is gone, its stack lives on",
                GuestState::Gone => "is gone",
            };
            let _ = writeln!(text, "{} {state}", slot.name);
            if !sockets.is_empty() {
                text.push_str("  proto recv-q send-q local                  remote                 state\n");
            }
            for socket in sockets {
                let _ = writeln!(text, "  {}", socket.to_string().trim_end());
            }
        }
        text
    }
}
