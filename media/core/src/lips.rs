//! How much lip sync may cost.
//!
//! A receiver holds the voice back until the pictures that belong to it are there. Where a
//! publisher's link is too narrow for both, pictures wait in its pacer, for seconds at times, and
//! the voice would wait with them though it came in time. Nobody can talk like that. So pictures
//! are said to be taken later than they were, by what they are late beyond [`ALLOWED`]: the voice
//! goes ahead, and lips follow as soon as they can.

use std::time::{Duration, Instant};

/// Pictures may come so much later than the voice, and lips stay with it. Much as the voice waits
/// for its own repairs on bad networks.
const ALLOWED: Duration = Duration::from_millis(200);
/// Time between two packets that are looked at: what that needs is in nobody's cache.
const EACH: Duration = Duration::from_millis(200);
/// Weight of each: together about two seconds.
const WEIGHT: f64 = 0.09;
/// What is given up grows as soon as it should by so much,
const STEP: Duration = Duration::from_millis(40);
/// and is taken back once it is too much by so much, a step with each report.
const TOO_MUCH: Duration = Duration::from_millis(120);
/// A growth that has to reach receivers soon: they go by the last twenty reports.
const URGENT: Duration = Duration::from_millis(120);
const QUICK_REPORTS: u8 = 20;
const QUICK_INTERVAL: Duration = Duration::from_millis(100);
const QUICK_PAUSE: Duration = Duration::from_secs(10);

/// How long after they were taken the packets of a stream arrive, beyond the least delay of the
/// path; smoothed. What was sent again is not for this: receivers don't go by it either.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lateness {
    seconds: Option<f64>,
    looked: Option<Instant>,
}

impl Lateness {
    /// Whether the packet that just arrived is one to look at.
    #[inline]
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.looked.is_none_or(|looked| now.saturating_duration_since(looked) >= EACH)
    }

    /// Takes how late a packet is. Clocks that are still being found can make it negative.
    pub(crate) fn on_packet(&mut self, late_ns: i64, now: Instant) {
        self.looked = Some(now);
        let late = late_ns as f64 / 1e9;
        self.seconds = Some(self.seconds.map_or(late, |known| known + WEIGHT * (late - known)));
    }

    /// How much later than another stream's its packets come; zero if they don't.
    pub(crate) fn beyond(&self, other: &Lateness) -> Option<Duration> {
        let beyond = self.seconds? - other.seconds?;
        Some(Duration::try_from_secs_f64(beyond).unwrap_or_default())
    }
}

/// By how much the pictures of one subscription are said to be taken later than they were.
#[derive(Debug, Clone, Default)]
pub(crate) struct GivenUp(Duration);

impl GivenUp {
    /// Goes by how late pictures are now. Called with each report; says whether receivers should
    /// know soon.
    pub(crate) fn follow(&mut self, late: Option<Duration>) -> bool {
        let wanted = late.unwrap_or_default().saturating_sub(ALLOWED);
        let before = self.0;
        if wanted > before + STEP {
            self.0 = wanted;
        } else if wanted + TOO_MUCH < before {
            self.0 = before - STEP;
        } else if wanted.is_zero() {
            self.0 = before.saturating_sub(STEP);
        }
        self.0 > before + URGENT
    }

    /// The same, in nanoseconds to add to a time.
    pub(crate) fn ns(&self) -> i64 {
        i64::try_from(self.0.as_nanos()).unwrap_or(i64::MAX)
    }
}

/// Reports in quick succession, so that receivers forget what they were told before.
#[derive(Debug, Default)]
pub(crate) struct QuickReports {
    left: u8,
    began: Option<Instant>,
}

impl QuickReports {
    /// Begins, unless it did so a moment ago.
    pub(crate) fn begin(&mut self, now: Instant) {
        if self.began.is_none_or(|began| now.saturating_duration_since(began) >= QUICK_PAUSE) {
            self.began = Some(now);
            self.left = QUICK_REPORTS;
        }
    }

    /// Time to the next report, if it is one of them.
    pub(crate) fn next(&mut self) -> Option<Duration> {
        self.left = self.left.checked_sub(1)?;
        Some(QUICK_INTERVAL)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    fn late_by(ns: i64, packets: u32) -> Lateness {
        let mut lateness = Lateness::default();
        let mut now = Instant::now();
        for _ in 0..packets {
            assert!(lateness.is_due(now));
            lateness.on_packet(ns, now);
            assert!(!lateness.is_due(now + EACH - ms(1)));
            now += EACH;
        }
        lateness
    }

    #[test]
    fn lateness_is_that_of_one_stream_beyond_another() {
        let (voice, pictures) = (late_by(30_000_000, 3), late_by(1_530_000_000, 3));
        assert_eq!(pictures.beyond(&voice).unwrap().as_millis(), 1_500);
        assert_eq!(voice.beyond(&pictures), Some(Duration::ZERO));
        assert_eq!(pictures.beyond(&Lateness::default()), None);
        assert_eq!(late_by(-5, 1).beyond(&voice), Some(Duration::ZERO));
    }

    #[test]
    fn one_late_packet_is_not_believed() {
        let mut pictures = late_by(0, 20);
        pictures.on_packet(2_000_000_000, Instant::now());
        let late = pictures.beyond(&late_by(0, 1));
        assert!(late.unwrap() < ALLOWED, "{late:?}");
        assert!(!GivenUp::default().follow(late));
    }

    #[test]
    fn nothing_is_given_up_for_what_is_allowed() {
        let mut given_up = GivenUp::default();
        for late in [None, Some(ms(0)), Some(ms(150)), Some(ms(230))] {
            assert!(!given_up.follow(late));
            assert_eq!(given_up.ns(), 0, "{late:?}");
        }
    }

    #[test]
    fn it_grows_at_once_and_is_taken_back_slowly() {
        let mut given_up = GivenUp::default();
        assert!(given_up.follow(Some(ms(1_500))), "receivers should know");
        assert_eq!(given_up.ns(), 1_300_000_000);
        for late in [1_530, 1_400] {
            assert!(!given_up.follow(Some(ms(late))));
            assert_eq!(given_up.ns(), 1_300_000_000, "it does not follow each breath");
        }
        let mut reports = 0;
        while given_up.ns() > 0 {
            assert!(!given_up.follow(Some(ms(60))));
            reports += 1;
        }
        assert_eq!(reports, 33);
        given_up.follow(None);
        assert_eq!(given_up.ns(), 0);
    }

    #[test]
    fn reports_are_quick_for_a_while_and_then_rest() {
        let mut quick = QuickReports::default();
        let now = Instant::now();
        assert_eq!(quick.next(), None);
        quick.begin(now);
        assert_eq!(std::iter::from_fn(|| quick.next()).count(), 20);
        quick.begin(now + ms(9_999));
        assert_eq!(quick.next(), None);
        quick.begin(now + ms(10_000));
        assert_eq!(quick.next(), Some(ms(100)));
    }
}
