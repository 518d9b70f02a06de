//! When something is due: a heap with lazy deletion, so that nothing is ever scanned.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Instant;

/// Due times. An item that is scheduled again earlier leaves its later entry behind; the owner
/// recognises it by comparing with its own [`Deadline`].
#[derive(Debug)]
pub(crate) struct Timers<T> {
    heap: BinaryHeap<Reverse<(Instant, T)>>,
}

impl<T: Ord> Default for Timers<T> {
    fn default() -> Self {
        Timers { heap: BinaryHeap::new() }
    }
}

impl<T: Ord + Copy> Timers<T> {
    /// The earliest entry, which may be a leftover.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }

    /// Takes the earliest entry that is due.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<(Instant, T)> {
        if self.next()? > now {
            return None;
        }
        self.heap.pop().map(|Reverse(entry)| entry)
    }

    /// Makes sure `item` is due at `at` or earlier.
    pub(crate) fn schedule(&mut self, deadline: &mut Deadline, at: Instant, item: T) {
        if deadline.0.is_none_or(|current| at < current) {
            deadline.0 = Some(at);
            self.heap.push(Reverse((at, item)));
        }
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.heap.len()
    }
}

/// The entry of [`Timers`] that counts for one item.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Deadline(Option<Instant>);

impl Deadline {
    /// Whether an entry popped with time `at` is the one that counts; clears it then.
    pub(crate) fn take(&mut self, at: Instant) -> bool {
        let is_current = self.0 == Some(at);
        if is_current {
            self.0 = None;
        }
        is_current
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn rescheduling_earlier_leaves_one_entry_that_counts() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut timers = Timers::default();
        let mut deadline = Deadline::default();
        timers.schedule(&mut deadline, at(50), 'a');
        timers.schedule(&mut deadline, at(80), 'a');
        timers.schedule(&mut deadline, at(20), 'a');
        assert_eq!(timers.len(), 2);
        assert_eq!(timers.pop_due(at(19)), None);
        let (due, item) = timers.pop_due(at(20)).unwrap();
        assert_eq!((due, item), (at(20), 'a'));
        assert!(deadline.take(due));
        let (due, _) = timers.pop_due(at(100)).unwrap();
        assert!(!deadline.take(due));
        assert_eq!(timers.next(), None);
    }
}
