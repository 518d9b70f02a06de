//! Which frames the packets sent to a subscriber had copies of, and which of those it asks for
//! need not be sent again because of that.

use crate::protect::Offsets;
use crate::rtp::SeqNo;

/// Packets remembered: those that are kept to be sent again (64), and the ones after them that
/// carry their copies.
const PACKETS: usize = 128;

#[derive(Debug, Clone, Copy)]
struct Sent {
    number: SeqNo,
    /// Its number as the publisher counts, by which copies are found.
    ext_seq: u64,
    copies: Offsets,
}

/// The newest packets of one audio subscription.
#[derive(Debug, Default)]
pub(crate) struct Carried {
    /// Without memory until the first packet with copies.
    sent: Vec<Option<Sent>>,
}

impl Carried {
    /// A packet was sent, with copies of frames that many numbers before it.
    #[inline]
    pub(crate) fn on_sent(&mut self, number: SeqNo, ext_seq: u64, copies: Offsets) {
        if self.sent.is_empty() {
            if copies.is_empty() {
                return;
            }
            self.sent = vec![None; PACKETS];
        }
        self.sent[usize::from(number.0) % PACKETS] = Some(Sent { number, ext_seq, copies });
    }

    fn get(&self, number: SeqNo) -> Option<Sent> {
        let sent = *self.sent.get(usize::from(number.0) % PACKETS)?;
        sent.filter(|sent| sent.number == number)
    }

    /// The packets with a copy of what was sent under `number`, the nearest first.
    fn carriers(&self, number: SeqNo) -> impl Iterator<Item = SeqNo> {
        let frame = self.get(number);
        (1..=u16::from(crate::protect::MAX_SPAN)).filter_map(move |step| {
            let carrier = self.get(number.add(step))?;
            let distance = carrier.ext_seq.checked_sub(frame?.ext_seq)?;
            carrier.copies.contains(distance).then_some(carrier.number)
        })
    }

    /// Of the packets a subscriber asks for, those to send again: not those whose frames it has
    /// by copies, nor, where packets are sent again as they were, those that come with others
    /// sent now. Of the newest `most` numbers; `lost` comes out newest first.
    pub(crate) fn select(&self, lost: &mut Vec<SeqNo>, most: usize, repeats_copies: bool) {
        if self.sent.is_empty() {
            return;
        }
        let Some(newest) =
            lost.iter().copied().reduce(|a, b| if b.is_newer_than(a) { b } else { a })
        else {
            return;
        };
        let age = |number: SeqNo| newest.0.wrapping_sub(number.0);
        lost.sort_unstable_by_key(|number| age(*number));
        lost.dedup();
        lost.truncate(most);
        let asked = lost.clone();
        let mut sent_again = Vec::new();
        lost.retain(|number| {
            let is_covered = self.carriers(*number).any(|carrier| {
                match asked.binary_search_by_key(&age(carrier), |other| age(*other)) {
                    Ok(_) => repeats_copies && sent_again.contains(&carrier),
                    // What follows the newest one asked for arrived: that is how it was noticed.
                    Err(_) => carrier.diff(newest) <= 1,
                }
            });
            if !is_covered {
                sent_again.push(*number);
            }
            !is_covered
        });
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.sent.capacity() * size_of::<Option<Sent>>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STARTS: [u16; 6] = [0, 1, 32_767, 32_768, 65_530, 65_535];

    fn with(numbers: &[u64]) -> Offsets {
        let mut copies = Offsets::NONE;
        numbers.iter().for_each(|offset| copies.insert(*offset));
        copies
    }

    /// 200 packets, each with the copies `copies` says.
    fn carried(start: u16, copies: impl Fn(u64) -> Offsets) -> Carried {
        let mut carried = Carried::default();
        for step in 0..200 {
            carried.on_sent(SeqNo(start).add(step as u16), (1 << 20) + step, copies(step));
        }
        carried
    }

    fn sent_again(carried: &Carried, start: u16, asked: &[u16], repeats_copies: bool) -> Vec<u16> {
        let mut lost: Vec<SeqNo> = asked.iter().map(|step| SeqNo(start).add(*step)).collect();
        carried.select(&mut lost, 128, repeats_copies);
        lost.iter().map(|number| number.0.wrapping_sub(start)).collect()
    }

    #[test]
    fn what_copies_bring_is_not_sent_again() {
        for start in STARTS {
            // What is asked for last was noticed by the next one, which has a copy of it.
            let one = carried(start, |_| with(&[1]));
            assert_eq!(sent_again(&one, start, &[180], true), []);
            assert_eq!(sent_again(&one, start, &[180, 181, 182, 183], true), [182, 180]);
            assert_eq!(sent_again(&one, start, &[180, 181, 182, 183], false), [182, 181, 180]);
            let two = carried(start, |_| with(&[1, 3]));
            assert_eq!(sent_again(&two, start, &[180, 181, 182, 183], false), [182, 180]);
        }
    }

    #[test]
    fn copies_that_were_left_out_cover_nothing() {
        for start in STARTS {
            // A long frame at 181 and 183 left no room in their packets.
            let carried = carried(start, |step| match step {
                181 | 183 => Offsets::NONE,
                _ => with(&[1, 3]),
            });
            assert_eq!(sent_again(&carried, start, &[180], true), [180]);
            assert_eq!(sent_again(&carried, start, &[179], true), []);
        }
    }

    #[test]
    fn distances_count_the_frames_of_the_publisher() {
        // Number 181 of the publisher carried nothing and was given no number.
        let mut carried = Carried::default();
        for step in 170..190 {
            let ext_seq = if step < 181 { step } else { step + 1 };
            carried.on_sent(SeqNo(step as u16), ext_seq, with(&[2]));
        }
        assert_eq!(sent_again(&carried, 0, &[180], true), []);
        assert_eq!(sent_again(&carried, 0, &[179], true), [179], "its carrier is missing");
    }

    #[test]
    fn what_is_not_remembered_is_sent_again() {
        let carried = carried(0, |_| with(&[1]));
        assert_eq!(sent_again(&carried, 0, &[3, 60], true), [60, 3]);
        assert_eq!(sent_again(&carried, 0, &[5, 4, 5], true), [5, 4]);
        assert_eq!(sent_again(&Carried::default(), 0, &[4, 5], true), [4, 5], "untouched");
        let mut none = Vec::new();
        carried.select(&mut none, 128, true);
        assert!(none.is_empty());
    }

    #[test]
    fn memory_comes_with_the_first_copies() {
        let mut carried = Carried::default();
        carried.on_sent(SeqNo(1), 1, Offsets::NONE);
        assert_eq!(carried.memory_bytes(), 0);
        carried.on_sent(SeqNo(2), 2, with(&[1]));
        assert!((1..=4_096).contains(&carried.memory_bytes()));
    }
}
