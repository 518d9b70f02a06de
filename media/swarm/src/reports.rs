//! When a stream reports, by libwebrtc's rule (`RTCPSender::PrepareReport`).

use std::time::{Duration, Instant};

use media_core::api::MediaKind;

/// Mean time between two reports of sound.
const AUDIO_INTERVAL: Duration = Duration::from_secs(5);
/// Of pictures, at most.
const VIDEO_INTERVAL: Duration = Duration::from_secs(1);
/// Seconds times kb/s: senders of pictures report the more often, the more they send.
const VIDEO_SENDER_KBIT: f64 = 360.0;

/// Says when the next report of one stream is due: at a time spread evenly from a half to one and
/// a half of the mean.
#[derive(Debug, Clone, Default)]
pub(crate) struct ReportTimer {
    interval: Duration,
    next: Option<Instant>,
    random: u64,
}

impl ReportTimer {
    /// For a stream that is received.
    pub(crate) fn of_receiver(kind: MediaKind, ssrc: u32, now: Instant) -> ReportTimer {
        let mut timer =
            ReportTimer { interval: interval(kind, 0.0), next: None, random: seed(ssrc) };
        timer.restart(now);
        timer
    }

    /// For a stream that is sent; starts with its first packet.
    pub(crate) fn of_sender(kind: MediaKind, ssrc: u32) -> ReportTimer {
        ReportTimer { interval: interval(kind, 0.0), next: None, random: seed(ssrc) }
    }

    /// Adapts to what is sent.
    pub(crate) fn set_rate(&mut self, kind: MediaKind, kilobits_per_second: f64) {
        self.interval = interval(kind, kilobits_per_second);
    }

    /// When the next report is due; `None` before the start.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.next
    }

    /// Whether a report is due; the next one is set then.
    pub(crate) fn poll(&mut self, now: Instant) -> bool {
        let is_due = self.next.is_some_and(|next| next <= now);
        if is_due {
            self.restart(now);
        }
        is_due
    }

    /// Counts from `now`.
    pub(crate) fn restart(&mut self, now: Instant) {
        // Xorshift.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let share = (self.random >> 11) as f64 / (1_u64 << 53) as f64;
        self.next = Some(now + self.interval.mul_f64(0.5 + share));
    }
}

fn seed(ssrc: u32) -> u64 {
    (u64::from(ssrc) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

fn interval(kind: MediaKind, kilobits_per_second: f64) -> Duration {
    match kind {
        MediaKind::Audio => AUDIO_INTERVAL,
        MediaKind::Video => {
            let most = VIDEO_INTERVAL.as_secs_f64();
            Duration::from_secs_f64((VIDEO_SENDER_KBIT / kilobits_per_second.max(1.0)).min(most))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reports in a hundred seconds.
    fn count(timer: &mut ReportTimer, start: Instant) -> usize {
        let end = start + Duration::from_secs(100);
        let mut count = 0;
        timer.restart(start);
        while let Some(at) = timer.next().filter(|at| *at < end) {
            assert!(!timer.poll(at - Duration::from_nanos(1)) && timer.poll(at));
            count += 1;
        }
        count
    }

    #[test]
    fn streams_report_as_often_as_those_of_a_browser() {
        let now = Instant::now();
        for (kind, kilobits, least, most) in [
            (MediaKind::Audio, 0.0, 18, 22),
            (MediaKind::Audio, 5_000.0, 18, 22),
            (MediaKind::Video, 0.0, 93, 107),
            (MediaKind::Video, 300.0, 93, 107),
            (MediaKind::Video, 720.0, 190, 210),
            (MediaKind::Video, 1_500.0, 400, 433),
        ] {
            let mut timer = ReportTimer::of_sender(kind, 77);
            assert_eq!(timer.next(), None);
            timer.set_rate(kind, kilobits);
            let counted = count(&mut timer, now);
            assert!((least..=most).contains(&counted), "{kind:?} {kilobits}: {counted}");
        }
    }

    #[test]
    fn streams_of_many_do_not_report_together() {
        let now = Instant::now();
        let due = |ssrc| ReportTimer::of_receiver(MediaKind::Video, ssrc, now).next().unwrap();
        let mut times: Vec<_> = (1_000_000..1_000_100).map(due).collect();
        times.sort();
        times.dedup();
        assert_eq!(times.len(), 100);
        let (first, last) = (times[0] - now, times[99] - now);
        assert!(first < Duration::from_millis(600) && last > Duration::from_millis(1_400));
    }
}
