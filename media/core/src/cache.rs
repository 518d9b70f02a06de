//! Recent packets of one stream, kept to be sent again.

use std::time::{Duration, Instant};

use media_prefetch::{prefetch, prefetch_all};

/// Bounds of a [`PacketCache`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheConfig {
    /// Most packets kept; rounded up to a power of two. 24 bytes each.
    pub packets: usize,
    /// Most bytes of packets kept.
    pub bytes: usize,
    /// Memory grows only to keep packets this long, not longer.
    pub max_age: Duration,
}

impl CacheConfig {
    /// 512 packets, 512 KiB: one second at 4 Mbit/s.
    pub fn video() -> CacheConfig {
        CacheConfig { packets: 512, bytes: 512 * 1_024, max_age: Duration::from_secs(1) }
    }

    /// 128 packets, 32 KiB: 2.5 s of Opus in 20 ms frames.
    pub fn audio() -> CacheConfig {
        CacheConfig { packets: 128, bytes: 32 * 1_024, max_age: Duration::from_secs(1) }
    }
}

/// Where one packet lies. Its bytes are there until the write position comes by again.
#[derive(Debug, Clone, Copy, Default)]
struct Entry {
    ext_seq: u64,
    lap: u32,
    offset: u32,
    arrival_ms: u32,
    /// Zero: unused.
    len: u16,
}

const FIRST_ENTRIES: usize = 32;
const FIRST_BYTES: usize = 4 * 1_024;

/// Ring of packets by extended sequence number.
///
/// Packets lie one after the other in one block of memory that is written round and round.
/// Both the block and the index double while packets younger than `max_age` would be
/// overwritten, up to their bounds, and never shrink; in a steady stream nothing is allocated.
/// At most `bytes + 24 × packets`: 524 KiB for video, 35 KiB for audio.
#[derive(Debug, Clone)]
pub struct PacketCache {
    config: CacheConfig,
    entries: Vec<Entry>,
    block: Vec<u8>,
    head: usize,
    /// How often the write position came by the start.
    lap: u32,
    /// Entries of earlier laps are void.
    oldest_lap: u32,
    lap_started: Option<Instant>,
    epoch: Option<Instant>,
}

impl PacketCache {
    /// Starts empty and without memory.
    pub fn new(config: CacheConfig) -> PacketCache {
        let packets = config.packets.max(1).next_power_of_two();
        PacketCache {
            config: CacheConfig { packets, bytes: config.bytes.min(u32::MAX as usize), ..config },
            entries: Vec::new(),
            block: Vec::new(),
            head: 0,
            lap: 0,
            oldest_lap: 0,
            lap_started: None,
            epoch: None,
        }
    }

    /// Keeps a copy of `packet`. Refuses (`false`) empty packets, those that can never fit, and
    /// those older than what the ring holds in their place.
    pub fn insert(&mut self, ext_seq: u64, packet: &[u8], arrival: Instant) -> bool {
        let Ok(len) = u16::try_from(packet.len()) else { return false };
        if len == 0 || packet.len() > self.config.bytes {
            return false;
        }
        let arrival_ms = self.milliseconds(arrival);
        self.grow_index(ext_seq, arrival_ms);
        let slot = self.slot(ext_seq);
        if self.holds(&self.entries[slot]) && self.entries[slot].ext_seq > ext_seq {
            return false;
        }
        self.make_room(packet.len(), arrival);
        let offset = self.head;
        self.block[offset..offset + packet.len()].copy_from_slice(packet);
        self.head += packet.len();
        self.entries[slot] =
            Entry { ext_seq, lap: self.lap, offset: offset as u32, arrival_ms, len };
        true
    }

    /// The packet, if it is still there.
    pub fn get(&self, ext_seq: u64) -> Option<&[u8]> {
        let entry = self.entries.get(self.slot(ext_seq))?;
        if entry.ext_seq != ext_seq || !self.holds(entry) {
            return None;
        }
        self.block.get(entry.offset as usize..)?.get(..entry.len.into())
    }

    /// Has fetched what keeping the packets after `newest` will need.
    #[inline]
    pub(crate) fn prefetch(&self, newest: u64) {
        for ext_seq in [newest.wrapping_add(1), newest.wrapping_add(4)] {
            self.entries.get(self.slot(ext_seq)).inspect(|entry| prefetch(*entry));
        }
        // The processor goes on by itself where it sees a sequence.
        self.block.get(self.head..).inspect(|rest| prefetch_all(&rest[..rest.len().min(256)]));
    }

    /// Bytes on the heap.
    pub fn memory_bytes(&self) -> usize {
        self.block.capacity() + self.entries.capacity() * size_of::<Entry>()
    }

    fn slot(&self, ext_seq: u64) -> usize {
        ext_seq as usize & self.entries.len().saturating_sub(1)
    }

    fn milliseconds(&mut self, arrival: Instant) -> u32 {
        let epoch = *self.epoch.get_or_insert(arrival);
        arrival.saturating_duration_since(epoch).as_millis() as u32
    }

    /// Whether the bytes of `entry` were not overwritten yet.
    fn holds(&self, entry: &Entry) -> bool {
        let offset = entry.offset as usize;
        let in_this_lap = entry.lap == self.lap && offset < self.head;
        let in_last_lap = entry.lap.wrapping_add(1) == self.lap && offset >= self.head;
        entry.len > 0 && entry.lap >= self.oldest_lap && (in_this_lap || in_last_lap)
    }

    /// Doubles the index while a young packet is in the way of `ext_seq`.
    fn grow_index(&mut self, ext_seq: u64, arrival_ms: u32) {
        if self.entries.is_empty() {
            self.entries = vec![Entry::default(); FIRST_ENTRIES.min(self.config.packets)];
        }
        let max_age_ms = self.config.max_age.as_millis() as u32;
        while self.entries.len() < self.config.packets {
            let entry = self.entries[self.slot(ext_seq)];
            let young = arrival_ms.saturating_sub(entry.arrival_ms) < max_age_ms;
            if !self.holds(&entry) || !young || entry.ext_seq == ext_seq {
                return;
            }
            let doubled = vec![Entry::default(); self.entries.len() * 2];
            for entry in std::mem::replace(&mut self.entries, doubled) {
                let slot = self.slot(entry.ext_seq);
                if entry.len > 0 {
                    self.entries[slot] = entry;
                }
            }
        }
    }

    /// Moves the write position to where `len` bytes fit.
    fn make_room(&mut self, len: usize, now: Instant) {
        let started = *self.lap_started.get_or_insert(now);
        while self.head + len > self.block.len() {
            let young = now.saturating_duration_since(started) < self.config.max_age;
            let can_grow = self.block.len() < self.config.bytes;
            if can_grow && (young || self.block.len() < len) {
                self.grow_block();
            } else {
                self.lap = self.lap.wrapping_add(1);
                self.head = 0;
                self.lap_started = Some(now);
            }
        }
        if self.lap == u32::MAX {
            // Entries of the lap before could not be told from those of the next.
            (self.lap, self.oldest_lap) = (0, 0);
            self.entries.fill(Entry::default());
        }
    }

    /// Doubles the block. Offsets of this lap stay; what is left of the last lap is void,
    /// because it would not be overwritten in order.
    fn grow_block(&mut self) {
        let bytes = (self.block.len() * 2).max(FIRST_BYTES).min(self.config.bytes);
        self.block.reserve_exact(bytes - self.block.len());
        self.block.resize(bytes, 0);
        self.oldest_lap = self.lap;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::netem::Rng;

    const STARTS: [u64; 8] = [0, 1, 32767, 32768, 65534, 65535, 65536, u64::MAX - 3_000];

    fn ms(value: u64) -> Duration {
        Duration::from_millis(value)
    }

    fn packet(ext_seq: u64, len: usize) -> Vec<u8> {
        let mut rng = Rng::new(ext_seq);
        (0..len).map(|_| rng.bits() as u8).collect()
    }

    #[test]
    fn the_last_packets_are_there_from_every_start() {
        let now = Instant::now();
        for start in STARTS {
            let mut cache = PacketCache::new(CacheConfig::video());
            for step in 0..2_000 {
                let data = packet(start + step, 200);
                assert!(cache.insert(start + step, &data, now + ms(step)));
                let oldest = step.saturating_sub(511);
                assert_eq!(cache.get(start + oldest), Some(&packet(start + oldest, 200)[..]));
            }
            assert_eq!(cache.get(start + 2_000), None);
            assert_eq!(cache.get(start + 1_000), None);
        }
    }

    #[test]
    fn a_second_of_four_megabits_is_kept_within_the_bound() {
        let now = Instant::now();
        let mut cache = PacketCache::new(CacheConfig::video());
        for step in 0..10_000_u64 {
            cache.insert(step, &packet(step, 1_150), now + Duration::from_micros(step * 2_300));
        }
        let kept = (9_000..10_000).filter(|seq| cache.get(*seq).is_some()).count();
        assert!(kept >= 435, "{kept}");
        assert!(cache.memory_bytes() <= 524 * 1_024 + 1_024, "{}", cache.memory_bytes());
    }

    #[test]
    fn a_small_stream_costs_little() {
        let now = Instant::now();
        let mut cache = PacketCache::new(CacheConfig::video());
        assert_eq!(cache.memory_bytes(), 0);
        for step in 0..3_000 {
            cache.insert(step, &packet(step, 100), now + ms(step * 40));
        }
        assert!(cache.memory_bytes() <= 8 * 1_024, "{}", cache.memory_bytes());
        let mut cache = PacketCache::new(CacheConfig::audio());
        for step in 0..3_000 {
            cache.insert(step, &packet(step, 100), now + ms(step * 20));
        }
        assert!((2_950..3_000).all(|seq| cache.get(seq).is_some()));
        assert!(cache.memory_bytes() <= 12 * 1_024, "{}", cache.memory_bytes());
    }

    #[test]
    fn steady_streams_stop_allocating() {
        let now = Instant::now();
        let mut cache = PacketCache::new(CacheConfig::video());
        let mut at_half = 0;
        for step in 0..4_000 {
            cache.insert(step, &packet(step, 900), now + ms(step * 5));
            if step == 2_000 {
                at_half = cache.memory_bytes();
            }
        }
        assert_eq!(cache.memory_bytes(), at_half);
    }

    #[test]
    fn impossible_packets_are_refused() {
        let now = Instant::now();
        let config = CacheConfig { packets: 4, bytes: 1_000, max_age: ms(1_000) };
        let mut cache = PacketCache::new(config);
        assert!(!cache.insert(1, &[], now));
        assert!(!cache.insert(1, &[0; 1_001], now));
        assert!(!cache.insert(1, &vec![0; 70_000], now));
        assert!(cache.insert(1, &[7; 1_000], now));
        assert_eq!(cache.get(1), Some(&[7; 1_000][..]));
        assert!(cache.insert(5, &[8; 1_000], now));
        assert_eq!((cache.get(1), cache.get(5)), (None, Some(&[8; 1_000][..])));
        assert!(!cache.insert(1, &[9; 10], now), "older than what is in its place");
    }

    #[test]
    fn whatever_is_returned_is_what_was_stored() {
        for seed in 0..30 {
            let mut rng = Rng::new(seed);
            let mut now = Instant::now();
            let config = CacheConfig {
                packets: 1 << rng.below(9),
                bytes: 2_000 + rng.below(60_000) as usize,
                max_age: ms(rng.below(500)),
            };
            let mut cache = PacketCache::new(config);
            let mut stored = BTreeMap::new();
            let mut newest = rng.below(70_000) + 100;
            for _ in 0..5_000 {
                now += Duration::from_micros(rng.below(20_000));
                newest += 1 + u64::from(rng.chance(0.05)) * rng.below(50);
                let ext_seq = newest - u64::from(rng.chance(0.1)) * rng.below(60);
                let len = 1 + rng.below(1_500) as usize;
                let data = packet(ext_seq ^ rng.bits() << 32, len);
                if cache.insert(ext_seq, &data, now) {
                    stored.insert(ext_seq, data);
                    assert_eq!(cache.get(ext_seq), stored.get(&ext_seq).map(Vec::as_slice));
                }
                let asked = newest.saturating_sub(rng.below(300));
                if let Some(found) = cache.get(asked) {
                    assert_eq!(found, stored[&asked]);
                }
                let index = cache.config.packets * size_of::<Entry>();
                assert!(cache.memory_bytes() <= config.bytes + index.max(24));
            }
        }
    }
}
