//! Which switches are joined.

/// Switches joined by cables: a union-find whose roots are the first switches of their groups.
pub(super) struct Groups {
    /// Never larger than the member itself.
    parents: Vec<usize>,
}

impl Groups {
    pub fn new(count: usize) -> Self {
        Self { parents: (0..count).collect() }
    }

    /// False if they were joined already.
    pub fn join(&mut self, a: usize, b: usize) -> bool {
        let (a, b) = (self.root(a), self.root(b));
        self.parents[a.max(b)] = a.min(b);
        a != b
    }

    fn root(&mut self, mut member: usize) -> usize {
        while self.parents[member] != member {
            self.parents[member] = self.parents[self.parents[member]];
            member = self.parents[member];
        }
        member
    }

    /// The root of every member.
    pub fn roots(mut self) -> Vec<usize> {
        (0..self.parents.len()).map(|member| self.root(member)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cable_within_a_group_closes_a_loop() {
        let mut groups = Groups::new(5);
        assert!(groups.join(4, 3));
        assert!(groups.join(1, 2));
        assert!(groups.join(3, 2));
        assert!(!groups.join(1, 4));
        assert!(!groups.join(0, 0));
        assert_eq!(groups.roots(), [0, 1, 1, 1, 1]);
    }
}
