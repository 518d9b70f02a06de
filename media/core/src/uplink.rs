//! What is known of the way from a publisher, and what of its losses is told.

use std::ops::Range;
use std::time::{Duration, Instant};

use crate::bwe::QueueDelay;
use crate::ext::AbsSendTime;
use crate::protect::floor::{Doubt, Floor};
use crate::protect::uplink::{QUEUE_US, Reported, UplinkJudge};

/// Steps of [`AbsSendTime`] in 64 s, after which it starts over.
const STEPS: i64 = 1 << 24;
/// Stretches one report is cut into at most: each goes as a packet of its own.
const MAX_STRETCHES: u32 = 8;

/// The way up of one transport.
///
/// Fields lie in memory as they stand here: what is needed together lies together.
#[derive(Debug, Default)]
#[repr(C)]
pub(crate) struct Uplink {
    bytes: u64,
    /// Newest time of sending in steps, extended so that it never wraps.
    newest: Option<i64>,
    reported_at: Option<Instant>,
    judge: UplinkJudge,
    floor: Floor,
    queue: QueueDelay,
}

impl Uplink {
    /// A packet arrived.
    #[inline]
    pub(crate) fn on_packet(&mut self, sent: Option<AbsSendTime>, bytes: usize, now_us: i64) {
        self.bytes += bytes as u64;
        let Some(AbsSendTime(sent)) = sent else { return };
        let sent = i64::from(sent);
        let newest = self.newest.unwrap_or(sent);
        let ahead = (sent - newest + STEPS / 2).rem_euclid(STEPS) - STEPS / 2;
        let sent = newest + ahead;
        self.newest = Some(newest.max(sent));
        let sent_us = (sent * 1_000_000) >> 18;
        self.queue.add(sent_us, now_us - sent_us);
    }

    /// How many of the lost packets of a report are not to be told.
    pub(crate) fn judge(&mut self, arrivals: &[Option<Duration>], now: Instant) -> u32 {
        let lost = arrivals.iter().filter(|arrival| arrival.is_none()).count() as u32;
        let packets = arrivals.len() as u32;
        let bytes = std::mem::take(&mut self.bytes);
        let elapsed = self.reported_at.replace(now).map_or(Duration::ZERO, |last| now - last);
        let reported = Reported { packets, lost, bytes };
        self.judge.on_report(reported, elapsed, self.queue.standing_us())
    }

    /// The rate the sender's estimate shall stay above, where it changed with the last report.
    pub(crate) fn new_floor(&mut self, now: Instant) -> Option<Option<u32>> {
        let doubt = match self.queue.standing_us() > QUEUE_US {
            true => Doubt::Queue,
            false if self.judge.is_doubtful() => Doubt::Loss,
            false => Doubt::None,
        };
        let changed = self.floor.update(self.judge.inherent(), doubt, now);
        changed.then(|| self.floor.bitrate_bps())
    }
}

/// The next stretch of `arrivals` from `from` on that is told, where `hidden` lost packets are to
/// be left out; both move on. `None` at the end. Too many stretches: the rest is told as it is.
pub(crate) fn next_stretch(
    arrivals: &[Option<Duration>],
    from: &mut usize,
    hidden: &mut u32,
    count: u32,
) -> Option<Range<usize>> {
    if count >= MAX_STRETCHES {
        *hidden = 0;
    }
    while *hidden > 0 && arrivals.get(*from)?.is_none() {
        *from += 1;
        *hidden -= 1;
    }
    let start = *from;
    if start >= arrivals.len() {
        return None;
    }
    *from = match *hidden {
        0 => arrivals.len(),
        _ => {
            arrivals[start..].iter().position(Option::is_none).map_or(arrivals.len(), |n| start + n)
        }
    };
    Some(start..*from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netem::Rng;

    fn arrivals(text: &str) -> Vec<Option<Duration>> {
        text.chars().map(|sign| (sign == 'x').then_some(Duration::ZERO)).collect()
    }

    fn stretches(text: &str, mut hidden: u32) -> Vec<(usize, usize)> {
        let arrivals = arrivals(text);
        let (mut from, mut count) = (0, 0);
        std::iter::from_fn(|| {
            count += 1;
            let stretch = next_stretch(&arrivals, &mut from, &mut hidden, count - 1)?;
            Some((stretch.start, stretch.end))
        })
        .collect()
    }

    #[test]
    fn hidden_losses_lie_between_stretches() {
        type Row = (&'static str, u32, &'static [(usize, usize)]);
        let table: [Row; 6] = [
            ("xxx", 0, &[(0, 3)]),
            ("x-x", 0, &[(0, 3)]),
            ("x-x", 1, &[(0, 1), (2, 3)]),
            ("--x-x-x", 3, &[(2, 3), (4, 7)]),
            ("--x-x-x", 9, &[(2, 3), (4, 5), (6, 7)]),
            ("", 3, &[]),
        ];
        for (text, hidden, expected) in table {
            assert_eq!(stretches(text, hidden), expected, "{text} {hidden}");
        }
    }

    #[test]
    fn stretches_are_bounded_and_leave_no_arrival_out() {
        let text = "x-".repeat(200) + "x";
        let found = stretches(&text, 200);
        assert_eq!(found.len(), MAX_STRETCHES as usize + 1);
        let told: Vec<usize> = found.into_iter().flat_map(|(from, to)| from..to).collect();
        assert!((0..401).step_by(2).all(|index| told.contains(&index)));
        assert!(told.is_sorted());
    }

    #[test]
    fn a_queue_is_seen_through_the_wrap_of_the_senders_clock() {
        let mut uplink = Uplink::default();
        let start_us = 60_000_000;
        for step in 0..1_000_i64 {
            let sent_us = start_us + step * 10_000;
            let sent = AbsSendTime::from_duration(Duration::from_micros(sent_us as u64));
            let queue_us = if step >= 900 { 50_000 } else { 0 };
            uplink.on_packet(Some(sent), 1_000, sent_us - 59_000_000 + queue_us);
        }
        let standing = uplink.queue.standing_us();
        assert!((standing - 50_000).abs() < 50, "{standing}");
    }

    #[test]
    fn chance_alone_takes_no_floor_away() {
        const CALLS: u64 = 300;
        let start = Instant::now();
        for loss in [0.3, 0.5, 0.7] {
            let mut longest = 0;
            for seed in 0..CALLS {
                let mut rng = Rng::new(seed);
                let mut uplink = Uplink::default();
                let mut without = 0;
                for step in 0..650_u32 {
                    let sent = 9 + rng.below(8);
                    let mut seen: Vec<_> =
                        (0..sent).map(|_| (!rng.chance(loss)).then_some(Duration::ZERO)).collect();
                    // What is lost at the end is part of the next report.
                    let known = seen.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
                    seen.truncate(known);
                    seen.iter().flatten().for_each(|_| uplink.on_packet(None, 600, 0));
                    let now = start + step * Duration::from_millis(100);
                    uplink.judge(&seen, now);
                    uplink.new_floor(now);
                    without += u32::from(step >= 50 && uplink.floor.bitrate_bps().is_none());
                }
                longest = longest.max(without);
            }
            assert!(longest < 60, "{loss}: a minute with {longest} tenths of a second without");
        }
    }
}
