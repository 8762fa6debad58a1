//! A queue of events in a total order: by time, then by insertion.
//!
//! Two events of one instant leave in the order in which they entered, so the order never depends
//! on anything but the events themselves.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::time::Instant;

#[derive(Debug)]
struct Entry<T> {
    at: Instant,
    sequence: u64,
    event: T,
}

impl<T> PartialEq for Entry<T> {
    fn eq(&self, other: &Self) -> bool {
        self.sequence == other.sequence
    }
}
impl<T> Eq for Entry<T> {}
impl<T> PartialOrd for Entry<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl<T> Ord for Entry<T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.sequence).cmp(&(other.at, other.sequence))
    }
}

/// Events to come.
#[derive(Debug)]
pub struct Queue<T> {
    heap: BinaryHeap<Reverse<Entry<T>>>,
    sequence: u64,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self { heap: BinaryHeap::new(), sequence: 0 }
    }
}

impl<T> Queue<T> {
    /// With room for so many events.
    pub fn with_capacity(events: usize) -> Self {
        Self { heap: BinaryHeap::with_capacity(events), sequence: 0 }
    }

    /// What is due in the far future never comes, and is not kept.
    pub fn push(&mut self, at: Instant, event: T) {
        if at == Instant::FAR_FUTURE {
            return;
        }
        self.sequence += 1;
        self.heap.push(Reverse(Entry { at, sequence: self.sequence, event }));
    }

    /// When the first event is due.
    pub fn next_at(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse(entry)| entry.at)
    }

    /// The first event, due or not.
    pub fn peek(&self) -> Option<&T> {
        self.heap.peek().map(|Reverse(entry)| &entry.event)
    }

    /// Takes the first event if it is due.
    pub fn pop_due(&mut self, now: Instant) -> Option<T> {
        if self.next_at()? > now {
            return None;
        }
        self.heap.pop().map(|Reverse(entry)| entry.event)
    }

    pub fn len(&self) -> usize {
        self.heap.len()
    }

    pub fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_leave_by_time_then_in_the_order_they_entered() {
        let mut queue = Queue::default();
        for (at, event) in [(20, 'c'), (10, 'a'), (20, 'd'), (10, 'b')] {
            queue.push(Instant::from_nanos(at), event);
        }
        assert_eq!(queue.pop_due(Instant::from_nanos(9)), None);
        let order: String = std::iter::from_fn(|| queue.pop_due(Instant::from_nanos(20))).collect();
        assert_eq!(order, "abcd");
        queue.push(Instant::FAR_FUTURE, 'e');
        assert_eq!(queue.next_at(), None);
    }
}
