//! What a guest's sockets may cost its host: one budget of bytes for all the buffers of a node.
//!
//! A guest opens as many sockets as it has descriptors for, and half of what fills them comes from others.

/// Bytes in use, and how many may be.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    limit: usize,
    used: usize,
}

impl Budget {
    pub fn new(limit: usize) -> Self {
        Self { limit, used: 0 }
    }

    /// What is in use past the new limit stays so.
    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// Takes all of `bytes` or nothing; false if so many are not left.
    #[must_use]
    pub fn take(&mut self, bytes: usize) -> bool {
        let fits = self.used.saturating_add(bytes) <= self.limit;
        if fits {
            self.used += bytes;
        }
        fits
    }

    /// Gives back what was taken.
    pub fn give(&mut self, bytes: usize) {
        debug_assert!(bytes <= self.used, "{bytes} bytes given back of {}", self.used);
        self.used = self.used.saturating_sub(bytes);
    }

    /// Bytes in use.
    pub fn used(&self) -> usize {
        self.used
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_or_nothing() {
        let mut budget = Budget::new(10);
        assert!(budget.take(7) && !budget.take(4) && budget.take(3) && !budget.take(usize::MAX));
        budget.give(7);
        assert!(budget.used() == 3 && budget.take(7));
    }
}
