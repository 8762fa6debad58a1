//! A table with generational ids: an id that outlives its entry finds nothing, never another entry.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;

/// Names an entry of a [`Slab`] of `T`.
pub struct Id<T> {
    index: u32,
    generation: u32,
    kind: PhantomData<fn() -> T>,
}

impl<T> Clone for Id<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Id<T> {}
impl<T> PartialEq for Id<T> {
    fn eq(&self, other: &Self) -> bool {
        (self.index, self.generation) == (other.index, other.generation)
    }
}
impl<T> Eq for Id<T> {}
impl<T> PartialOrd for Id<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl<T> Ord for Id<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.index, self.generation).cmp(&(other.index, other.generation))
    }
}
impl<T> Hash for Id<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.index, self.generation).hash(state);
    }
}
impl<T> fmt::Debug for Id<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}.{}", self.index, self.generation)
    }
}

#[derive(Debug)]
struct Slot<T> {
    generation: u32,
    place: Place<T>,
}

#[derive(Debug)]
enum Place<T> {
    Taken(T),
    /// The free slot that is next in turn.
    Free(Option<u32>),
}

impl<T> Slot<T> {
    fn value(&self) -> Option<&T> {
        match &self.place {
            Place::Taken(value) => Some(value),
            Place::Free(_) => None,
        }
    }
}

/// Up to so many slots there is room for no more than there are: many guests have no more.
const SLOTS_FEW: usize = 3;

/// Entries by [`Id`]. Freed slots are used again, last freed first.
#[derive(Debug)]
pub struct Slab<T> {
    slots: Vec<Slot<T>>,
    free: Option<u32>,
    in_use: u32,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { slots: Vec::new(), free: None, in_use: 0 }
    }
}

impl<T> Slab<T> {
    pub fn insert(&mut self, value: T) -> Id<T> {
        let index = self.free.unwrap_or_else(|| {
            if self.slots.len() < SLOTS_FEW {
                self.slots.reserve_exact(1);
            }
            self.slots.push(Slot { generation: 0, place: Place::Free(None) });
            // Callers bound their tables far below 2^32.
            (self.slots.len() - 1) as u32
        });
        let slot = &mut self.slots[index as usize];
        if let Place::Free(next) = std::mem::replace(&mut slot.place, Place::Taken(value)) {
            self.free = next;
        }
        self.in_use += 1;
        Id { index, generation: slot.generation, kind: PhantomData }
    }

    pub fn get(&self, id: Id<T>) -> Option<&T> {
        let slot = self.slots.get(id.index as usize)?;
        slot.value().filter(|_| slot.generation == id.generation)
    }

    pub fn get_mut(&mut self, id: Id<T>) -> Option<&mut T> {
        let slot = self.slots.get_mut(id.index as usize)?;
        match &mut slot.place {
            Place::Taken(value) if slot.generation == id.generation => Some(value),
            Place::Taken(_) | Place::Free(_) => None,
        }
    }

    pub fn remove(&mut self, id: Id<T>) -> Option<T> {
        let slot = self.slots.get_mut(id.index as usize)?;
        if slot.generation != id.generation || slot.value().is_none() {
            return None;
        }
        let Place::Taken(value) = std::mem::replace(&mut slot.place, Place::Free(self.free)) else {
            return None;
        };
        slot.generation = slot.generation.wrapping_add(1);
        self.free = Some(id.index);
        self.in_use -= 1;
        Some(value)
    }

    /// Entries in use.
    pub fn len(&self) -> usize {
        self.in_use as usize
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Ids in use, in slot order.
    pub fn ids(&self) -> impl Iterator<Item = Id<T>> + '_ {
        self.slots.iter().enumerate().filter(|(_, slot)| slot.value().is_some()).map(|(index, slot)| Id {
            index: index as u32,
            generation: slot.generation,
            kind: PhantomData,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_never_finds_the_next_tenant() {
        let mut slab = Slab::default();
        let first = slab.insert('a');
        assert_eq!(slab.remove(first), Some('a'));
        let second = slab.insert('b');
        assert_eq!((slab.get(first), slab.get(second)), (None, Some(&'b')));
        assert_eq!(slab.remove(first), None);
        assert_eq!(slab.len(), 1);
    }

    #[test]
    fn freed_slots_are_used_again_last_freed_first() {
        let mut slab = Slab::default();
        let ids = [slab.insert(0), slab.insert(1), slab.insert(2)];
        slab.remove(ids[0]);
        slab.remove(ids[2]);
        let again = [slab.insert(3), slab.insert(4), slab.insert(5)];
        assert_eq!(again.map(|id| id.index), [2, 0, 3]);
        assert_eq!(slab.ids().filter_map(|id| slab.get(id).copied()).collect::<Vec<_>>(), [4, 1, 3, 5]);
        assert_eq!(slab.len(), 4);
    }
}
