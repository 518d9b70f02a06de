//! Wrapping sequence numbers and timestamps, and their unwrapping to 64 bits.

use std::fmt;

/// RTP sequence number, or any other 16-bit counter that wraps (RFC 1982 arithmetic).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct SeqNo(pub u16);

impl SeqNo {
    /// The number after this one.
    pub fn next(self) -> SeqNo {
        self.add(1)
    }

    /// The number `steps` after this one.
    #[expect(clippy::should_implement_trait, reason = "operators do not wrap")]
    pub fn add(self, steps: u16) -> SeqNo {
        SeqNo(self.0.wrapping_add(steps))
    }

    /// The number `steps` before this one.
    #[expect(clippy::should_implement_trait, reason = "operators do not wrap")]
    pub fn sub(self, steps: u16) -> SeqNo {
        SeqNo(self.0.wrapping_sub(steps))
    }

    /// Signed distance from `other` to `self`: positive if `self` is newer.
    ///
    /// Exactly half the number space apart counts as older, from both sides.
    pub fn diff(self, other: SeqNo) -> i16 {
        self.0.wrapping_sub(other.0) as i16
    }

    /// Whether `self` comes after `other`.
    pub fn is_newer_than(self, other: SeqNo) -> bool {
        self.diff(other) > 0
    }
}

impl From<u16> for SeqNo {
    fn from(value: u16) -> SeqNo {
        SeqNo(value)
    }
}

impl From<SeqNo> for u16 {
    fn from(value: SeqNo) -> u16 {
        value.0
    }
}

impl fmt::Display for SeqNo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Turns sequence numbers into 64-bit ones that never wrap.
///
/// The first number lies in the second cycle (`65536 + number`), so that numbers from before
/// the first, arriving late, are smaller and not negative. The reference is the newest number
/// seen: an old packet does not move it back.
#[derive(Debug, Clone, Default)]
pub struct SeqUnwrapper {
    newest: Option<u64>,
}

impl SeqUnwrapper {
    /// Extends `number` and remembers it if it is the newest.
    pub fn unwrap(&mut self, number: SeqNo) -> u64 {
        let extended = self.peek(number);
        self.newest = self.newest.max(Some(extended));
        extended
    }

    /// Extends `number` without remembering it: for numbers others report (NACK, TWCC).
    pub fn peek(&self, number: SeqNo) -> u64 {
        match self.newest {
            None => (1 << 16) + u64::from(number.0),
            Some(newest) => {
                let step = number.diff(SeqNo(newest as u16));
                newest.checked_add_signed(step.into()).unwrap_or(number.0.into())
            }
        }
    }

    /// The largest number so far, extended.
    pub fn newest(&self) -> Option<u64> {
        self.newest
    }
}

/// Turns 32-bit timestamps into 64-bit ones that never wrap.
///
/// The first value is kept as it is; values from before it, arriving late, may be negative.
#[derive(Debug, Clone, Default)]
pub struct TimestampUnwrapper {
    newest: Option<i64>,
}

impl TimestampUnwrapper {
    /// Extends `timestamp` and remembers it if it is the newest.
    pub fn unwrap(&mut self, timestamp: u32) -> i64 {
        let extended = self.peek(timestamp);
        self.newest = self.newest.max(Some(extended));
        extended
    }

    /// Extends `timestamp` without remembering it.
    pub fn peek(&self, timestamp: u32) -> i64 {
        match self.newest {
            None => timestamp.into(),
            Some(newest) => {
                let step = timestamp.wrapping_sub(newest as u32) as i32;
                newest.wrapping_add(step.into())
            }
        }
    }

    /// The largest value so far, extended.
    pub fn newest(&self) -> Option<i64> {
        self.newest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STARTS: [u16; 6] = [0, 1, 32767, 32768, 65534, 65535];

    #[test]
    fn difference_wraps_from_every_start() {
        for start in STARTS.map(SeqNo) {
            assert_eq!(start.diff(start), 0);
            assert_eq!(start.next().diff(start), 1);
            assert_eq!(start.diff(start.next()), -1);
            assert_eq!(start.add(32767).diff(start), 32767);
            assert_eq!(start.sub(32767).diff(start), -32767);
            assert!(start.next().is_newer_than(start));
            assert!(!start.is_newer_than(start));
            assert!(!start.is_newer_than(start.next()));
        }
    }

    #[test]
    fn half_the_space_apart_is_newer_from_neither_side() {
        for start in STARTS.map(SeqNo) {
            assert!(!start.add(32768).is_newer_than(start));
            assert!(!start.is_newer_than(start.add(32768)));
        }
    }

    #[test]
    fn unwrapped_numbers_count_through_many_cycles() {
        for start in STARTS {
            let mut unwrapper = SeqUnwrapper::default();
            let first = unwrapper.unwrap(SeqNo(start));
            assert_eq!(first, 65536 + u64::from(start));
            for step in 1..200_000_u64 {
                let number = SeqNo(start.wrapping_add(step as u16));
                assert_eq!(unwrapper.unwrap(number), first + step);
            }
        }
    }

    #[test]
    fn late_numbers_before_the_first_are_smaller_and_do_not_move_the_reference() {
        for start in STARTS {
            let mut unwrapper = SeqUnwrapper::default();
            let first = unwrapper.unwrap(SeqNo(start));
            assert_eq!(unwrapper.unwrap(SeqNo(start).sub(3)), first - 3);
            assert_eq!(unwrapper.newest(), Some(first));
            assert_eq!(unwrapper.unwrap(SeqNo(start).sub(20_000)), first - 20_000);
            assert_eq!(unwrapper.unwrap(SeqNo(start).add(20_000)), first + 20_000);
        }
    }

    #[test]
    fn peeking_does_not_remember() {
        let mut unwrapper = SeqUnwrapper::default();
        assert_eq!(unwrapper.peek(SeqNo(9)), 65545);
        assert_eq!(unwrapper.newest(), None);
        let first = unwrapper.unwrap(SeqNo(65535));
        assert_eq!(unwrapper.peek(SeqNo(4)), first + 5);
        assert_eq!(unwrapper.newest(), Some(first));
    }

    #[test]
    fn timestamps_unwrap_forwards_and_backwards() {
        for start in [0, 1, 0x7fff_ffff, 0x8000_0000, u32::MAX - 1, u32::MAX] {
            let mut unwrapper = TimestampUnwrapper::default();
            let first = unwrapper.unwrap(start);
            assert_eq!(first, i64::from(start));
            assert_eq!(unwrapper.unwrap(start.wrapping_sub(3000)), first - 3000);
            assert_eq!(unwrapper.newest(), Some(first));
            let mut expected = first;
            for _ in 0..10 {
                expected += 1_000_000_000;
                assert_eq!(unwrapper.unwrap(expected as u32), expected);
            }
        }
    }
}
