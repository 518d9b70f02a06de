//! Tables of the hot path: a slab with generations, and a fast hash for small keys.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher};

use media_prefetch::{prefetch, prefetch_first};

/// Where an item of a [`Slab`] is. Stays invalid after the item was removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Key {
    index: u32,
    generation: u32,
}

/// The generation lies before the item: both are looked at together.
#[derive(Debug)]
#[repr(C)]
struct Slot<T> {
    generation: u32,
    item: Option<T>,
}

/// Items addressed by index. A key of a removed item finds nothing, even if the place was
/// taken again.
#[derive(Debug)]
pub(crate) struct Slab<T> {
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Slab { slots: Vec::new(), free: Vec::new() }
    }
}

impl<T> Slab<T> {
    /// Stores an item.
    pub(crate) fn insert(&mut self, item: T) -> Key {
        self.insert_with(|_| item)
    }

    /// Stores an item that knows its key.
    pub(crate) fn insert_with(&mut self, make: impl FnOnce(Key) -> T) -> Key {
        if let Some(index) = self.free.pop() {
            let slot = &mut self.slots[index as usize];
            let key = Key { index, generation: slot.generation };
            slot.item = Some(make(key));
            return key;
        }
        let key = Key { index: self.slots.len() as u32, generation: 0 };
        let item = make(key);
        self.slots.push(Slot { generation: 0, item: Some(item) });
        key
    }

    /// Takes an item out.
    pub(crate) fn remove(&mut self, key: Key) -> Option<T> {
        let slot = self.slots.get_mut(key.index as usize)?;
        if slot.generation != key.generation {
            return None;
        }
        let item = slot.item.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        self.free.push(key.index);
        Some(item)
    }

    pub(crate) fn get(&self, key: Key) -> Option<&T> {
        let slot = self.slots.get(key.index as usize)?;
        if slot.generation == key.generation { slot.item.as_ref() } else { None }
    }

    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        let slot = self.slots.get_mut(key.index as usize)?;
        if slot.generation == key.generation { slot.item.as_mut() } else { None }
    }

    /// Has the first 256 bytes of an item fetched.
    #[inline]
    pub(crate) fn prefetch(&self, key: Key) {
        if let Some(slot) = self.slots.get(key.index as usize) {
            prefetch_first(slot, 256);
        }
    }

    /// Has fetched which generation an item is of, and what lies beside that.
    #[inline]
    pub(crate) fn prefetch_begin(&self, key: Key) {
        if let Some(slot) = self.slots.get(key.index as usize) {
            prefetch(slot);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (Key, &T)> {
        self.slots.iter().enumerate().filter_map(|(index, slot)| {
            let key = Key { index: index as u32, generation: slot.generation };
            slot.item.as_ref().map(|item| (key, item))
        })
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (Key, &mut T)> {
        self.slots.iter_mut().enumerate().filter_map(|(index, slot)| {
            let key = Key { index: index as u32, generation: slot.generation };
            slot.item.as_mut().map(|item| (key, item))
        })
    }
}

/// Multiply-and-rotate hash, seeded. Only for keys an attacker cannot choose freely: addresses
/// enter a table only after an authenticated check, identifiers come from the caller.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FastState {
    seed: u64,
}

impl FastState {
    pub(crate) fn new(seed: u64) -> FastState {
        FastState { seed: seed | 1 }
    }
}

impl BuildHasher for FastState {
    type Hasher = FastHasher;

    fn build_hasher(&self) -> FastHasher {
        FastHasher { state: self.seed }
    }
}

/// See [`FastState`].
pub(crate) struct FastHasher {
    state: u64,
}

const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

impl Hasher for FastHasher {
    fn finish(&self) -> u64 {
        self.state ^ (self.state >> 32)
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u8(&mut self, value: u8) {
        self.write_u64(value.into());
    }

    fn write_u16(&mut self, value: u16) {
        self.write_u64(value.into());
    }

    fn write_u32(&mut self, value: u32) {
        self.write_u64(value.into());
    }

    fn write_u64(&mut self, value: u64) {
        self.state = (self.state.rotate_left(5) ^ value).wrapping_mul(MULTIPLIER);
    }

    fn write_usize(&mut self, value: usize) {
        self.write_u64(value as u64);
    }
}

/// A map with the fast hash.
pub(crate) type FastMap<K, V> = HashMap<K, V, FastState>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_of_a_removed_item_finds_nothing_even_if_the_place_is_reused() {
        let mut slab = Slab::default();
        let first = slab.insert("a");
        assert_eq!(slab.remove(first), Some("a"));
        assert_eq!(slab.remove(first), None);
        let second = slab.insert("b");
        assert_eq!(slab.get(first), None);
        assert_eq!(slab.get(second), Some(&"b"));
        assert_eq!(slab.get_mut(first), None);
        assert_eq!(slab.len(), 1);
        assert_eq!(slab.iter().count(), 1);
    }

    #[test]
    fn neighbouring_keys_spread_over_the_table() {
        let state = FastState::new(7);
        let mut low_bits = std::collections::HashSet::new();
        for key in 0..1_000_u64 {
            low_bits.insert(state.hash_one(key) & 0x3ff);
        }
        assert!(low_bits.len() > 500, "{}", low_bits.len());
    }
}
