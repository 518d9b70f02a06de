//! Packet indices: rollover estimation and replay protection (RFC 3711, section 3.3).

/// Packets before the newest that are still told apart from replays.
pub(super) const WINDOW: u64 = 1024;
const WORDS: usize = (WINDOW / 64) as usize;

/// Estimates the 48-bit index of a packet from its sequence number and the newest index seen.
///
/// Follows RFC 3711, appendix A, but never goes below index zero: during the first half cycle
/// a number far ahead is taken as such instead of as one from before the start.
pub(super) fn estimate(newest: Option<u64>, sequence_number: u16) -> u64 {
    const HALF: u64 = 1 << 15;
    let newest = newest.unwrap_or(sequence_number.into());
    let (cycle, last) = (newest & !0xffff, newest & 0xffff);
    let number = u64::from(sequence_number);
    if last < HALF && number > last + HALF {
        (cycle + number).checked_sub(1 << 16).unwrap_or(number)
    } else if last >= HALF && number < last - HALF {
        cycle + (1 << 16) + number
    } else {
        cycle + number
    }
}

/// Which of the newest [`WINDOW`] indices were seen. One bit each, addressed modulo its size.
#[derive(Debug, Clone, Default)]
pub(super) struct ReplayWindow {
    newest: Option<u64>,
    seen: [u64; WORDS],
}

impl ReplayWindow {
    /// The window of a source that ended with `newest`: nothing up to there is fresh.
    pub(super) fn ended(newest: u64) -> ReplayWindow {
        ReplayWindow { newest: Some(newest), seen: [u64::MAX; WORDS] }
    }

    /// The largest index accepted so far.
    pub(super) fn newest(&self) -> Option<u64> {
        self.newest
    }

    /// Whether `index` is neither a repetition nor too old to tell.
    pub(super) fn is_fresh(&self, index: u64) -> bool {
        match self.newest {
            Some(newest) if index <= newest => newest - index < WINDOW && !self.bit(index),
            _ => true,
        }
    }

    /// Marks `index` as seen. Call only after authentication. Indices too old are ignored.
    pub(super) fn accept(&mut self, index: u64) {
        let newest = self.newest.unwrap_or(index);
        if index > newest {
            self.forget(newest + 1, index);
        } else if newest - index >= WINDOW {
            return;
        }
        self.newest = Some(newest.max(index));
        let (word, mask) = position(index);
        self.seen[word] |= mask;
    }

    fn bit(&self, index: u64) -> bool {
        let (word, mask) = position(index);
        self.seen[word] & mask != 0
    }

    /// Clears the bits of `first..=last`, which held indices one window earlier.
    fn forget(&mut self, first: u64, last: u64) {
        if last - first >= WINDOW - 1 {
            self.seen = [0; WORDS];
            return;
        }
        for index in first..=last {
            let (word, mask) = position(index);
            self.seen[word] &= !mask;
        }
    }
}

fn position(index: u64) -> (usize, u64) {
    let slot = index % WINDOW;
    ((slot / 64) as usize, 1 << (slot % 64))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CYCLE: u64 = 1 << 16;

    #[test]
    fn first_packet_has_its_sequence_number_as_index() {
        for number in [0, 1, 32767, 32768, 65534, 65535] {
            assert_eq!(estimate(None, number), u64::from(number));
        }
    }

    #[test]
    fn index_follows_rfc_3711_appendix_a() {
        // (newest index, sequence number, estimate)
        let rows = [
            (0, 0, 0),
            (0, 1, 1),
            (65535, 0, CYCLE),
            (65534, 1, CYCLE + 1),
            (65535, 32766, CYCLE + 32766),
            (65535, 32767, 32767),
            (CYCLE, 65535, CYCLE - 1),
            (CYCLE, 32769, 32769),
            (CYCLE, 32768, CYCLE + 32768),
            (CYCLE + 32767, 65535, CYCLE + 65535),
            (CYCLE + 32768, 0, CYCLE),
            (CYCLE + 32769, 0, 2 * CYCLE),
            (3 * CYCLE + 1, 65534, 2 * CYCLE + 65534),
            // Before the start there is nothing.
            (1, 65535, 65535),
            (32767, 65535, 65535),
        ];
        for (newest, number, expected) in rows {
            assert_eq!(estimate(Some(newest), number), expected, "{newest} {number}");
        }
    }

    #[test]
    fn every_step_of_less_than_half_a_cycle_is_estimated_right() {
        for newest in [5 * CYCLE, 5 * CYCLE + 1, 5 * CYCLE + 32767, 6 * CYCLE - 1] {
            for step in -32767_i64..=32767 {
                let index = newest.checked_add_signed(step).unwrap();
                assert_eq!(estimate(Some(newest), index as u16), index);
            }
        }
    }

    #[test]
    fn window_agrees_with_a_set_of_everything_seen() {
        let mut random = 0x9e37_79b9_7f4a_7c15_u64;
        let mut window = ReplayWindow::default();
        let mut seen = std::collections::BTreeSet::new();
        let mut center = 2000_u64;
        for _ in 0..20_000 {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            // Mostly small steps, at times a jump beyond the window.
            center +=
                if random.is_multiple_of(500) { random >> 32 & 0xfff } else { random >> 32 & 3 };
            let index = center - (random >> 40 & 0x7ff).min(center);
            let newest = seen.last().copied();
            let old = newest.is_some_and(|newest| index + WINDOW <= newest);
            assert_eq!(window.is_fresh(index), !old && !seen.contains(&index));
            window.accept(index);
            if !old {
                seen.insert(index);
            }
            assert_eq!(window.newest(), seen.last().copied());
        }
    }

    #[test]
    fn oldest_of_the_window_is_fresh_and_the_one_before_is_not() {
        let mut window = ReplayWindow::default();
        window.accept(5000);
        assert!(window.is_fresh(5000 - WINDOW + 1));
        assert!(!window.is_fresh(5000 - WINDOW));
        assert!(!window.is_fresh(5000));
        assert!(window.is_fresh(u64::MAX));
        window.accept(u64::MAX);
        assert!(!window.is_fresh(u64::MAX));
        assert!(window.is_fresh(u64::MAX - 1));
    }
}
