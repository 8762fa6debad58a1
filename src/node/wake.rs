//! What an operation waits for, and who is woken when it comes: the node's guest, or a task of the node.
//!
//! Whoever waits registers a [`Watch`] with what it waits for and runs its operation again when it was woken;
//! a watch fires once.

use super::task::TaskId;

/// What a waiter waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interest {
    pub read: bool,
    pub write: bool,
}

impl Interest {
    pub const READ: Interest = Interest { read: true, write: false };
    pub const WRITE: Interest = Interest { read: false, write: true };
    pub const BOTH: Interest = Interest { read: true, write: true };
}

/// What an operation would meet now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Readiness {
    /// A read or accept would not block.
    pub read: bool,
    /// A write or pending connect would not block.
    pub write: bool,
    /// Bytes that a read would find; connections or flows for an accept.
    pub read_bytes: usize,
    /// Bytes that a write would take.
    pub write_bytes: usize,
    /// The peer sends no more.
    pub hangup: bool,
}

/// Who waits. An object has one holder, and so one waiter at a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Waiter {
    #[default]
    Guest,
    Task(TaskId),
}

/// An interest in one object, and whose it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Watch {
    interest: Interest,
    waiter: Waiter,
}

impl Watch {
    pub fn join(&mut self, interest: Interest, waiter: Waiter) {
        self.interest.read |= interest.read;
        self.interest.write |= interest.write;
        self.waiter = waiter;
    }

    pub fn is_writing(&self) -> bool {
        self.interest.write
    }

    pub fn clear(&mut self) {
        *self = Watch::default();
    }

    /// Takes what `readiness` satisfies, and wakes whose it is.
    pub fn fire(&mut self, readiness: Readiness, wakes: &mut Wakes) {
        let Watch { interest, waiter } = *self;
        if (interest.read && readiness.read) || (interest.write && readiness.write) {
            self.interest = Interest::default();
            wakes.wake(waiter);
        }
    }
}

/// Who was woken since this was last taken.
#[derive(Debug, Default)]
pub struct Wakes {
    guest: bool,
    tasks: Vec<TaskId>,
}

impl Wakes {
    pub fn wake(&mut self, waiter: Waiter) {
        match waiter {
            Waiter::Guest => self.guest = true,
            Waiter::Task(task) => self.tasks.push(task),
        }
    }

    pub(super) fn take_guest(&mut self) -> bool {
        std::mem::take(&mut self.guest)
    }

    pub(super) fn tasks(&mut self) -> &mut Vec<TaskId> {
        &mut self.tasks
    }

    pub(super) fn has_tasks(&self) -> bool {
        !self.tasks.is_empty()
    }
}
