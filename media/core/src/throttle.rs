//! Keyframe requests to one producer, coalesced.

use std::time::{Duration, Instant};

/// Keyframes that may be had one after the other; more come only every [`REST`]. They take most of
/// what a publisher can send, so one subscriber that always wants them would cost the others theirs.
const BURST: u32 = 8;
const REST: Duration = Duration::from_secs(2);

/// Lets the first keyframe request through at once, then one per interval until the keyframe
/// arrives, however many subscribers ask.
#[derive(Debug, Clone)]
pub struct KeyframeThrottle {
    interval: Duration,
    /// The same after one that was answered.
    pause: Duration,
    is_answered: bool,
    waiting: bool,
    last_sent: Option<Instant>,
    /// Rests saved up when the last keyframe was first asked for.
    saved: Duration,
    first_asked: Option<Instant>,
}

impl KeyframeThrottle {
    /// `interval` is the shortest time between two requests.
    pub fn new(interval: Duration) -> KeyframeThrottle {
        KeyframeThrottle {
            interval,
            pause: interval,
            is_answered: false,
            waiting: false,
            last_sent: None,
            saved: REST * BURST,
            first_asked: None,
        }
    }

    /// After a keyframe the next is asked for so long after the last request: on a lossy way it
    /// is still being repaired.
    pub fn set_pause(&mut self, pause: Duration) {
        self.pause = pause.max(self.interval);
    }

    fn spacing(&self) -> Duration {
        match self.is_answered {
            true if self.saved < REST => self.pause.max(REST),
            true => self.pause,
            false => self.interval,
        }
    }

    /// Somebody needs a keyframe. [`KeyframeThrottle::poll`] says when to ask for it.
    pub fn request(&mut self) {
        self.waiting = true;
    }

    /// A keyframe arrived: everybody is served.
    pub fn on_keyframe(&mut self) {
        self.waiting = false;
        self.is_answered = true;
    }

    /// Nobody waits any more.
    pub fn cancel(&mut self) {
        self.waiting = false;
    }

    /// Whether somebody waits for a keyframe.
    pub fn is_waiting(&self) -> bool {
        self.waiting
    }

    /// Whether to send a request now. `true` counts as sent.
    pub fn poll(&mut self, now: Instant) -> bool {
        let due = self.waiting && self.last_sent.is_none_or(|sent| now >= sent + self.spacing());
        if due {
            if self.is_answered || self.first_asked.is_none() {
                let last = self.first_asked.replace(now).unwrap_or(now);
                let rested = self.saved + now.saturating_duration_since(last);
                self.saved = rested.min(REST * BURST).saturating_sub(REST);
            }
            self.is_answered = false;
            self.last_sent = Some(now);
        }
        due
    }

    /// When [`KeyframeThrottle::poll`] will next say `true`; may lie in the past.
    /// `None` also before the first request is sent: poll after each request.
    pub fn next_timeout(&self) -> Option<Instant> {
        self.last_sent.filter(|_| self.waiting).map(|sent| sent + self.spacing())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_millis(500);

    fn ms(value: u64) -> Duration {
        Duration::from_millis(value)
    }

    #[test]
    fn first_request_goes_out_at_once() {
        let start = Instant::now();
        let mut throttle = KeyframeThrottle::new(INTERVAL);
        assert!(!throttle.poll(start));
        assert_eq!(throttle.next_timeout(), None);
        throttle.request();
        assert!(throttle.poll(start));
    }

    #[test]
    fn burst_of_requests_sends_one_per_interval() {
        let start = Instant::now();
        let mut throttle = KeyframeThrottle::new(INTERVAL);
        let mut sent = Vec::new();
        for at in 0..=2_000 {
            throttle.request();
            if throttle.poll(start + ms(at)) {
                sent.push(at);
            }
        }
        assert_eq!(sent, [0, 500, 1_000, 1_500, 2_000]);
    }

    #[test]
    fn an_unanswered_request_is_repeated() {
        let start = Instant::now();
        let mut throttle = KeyframeThrottle::new(INTERVAL);
        throttle.request();
        assert!(throttle.poll(start));
        assert_eq!(throttle.next_timeout(), Some(start + INTERVAL));
        assert!(!throttle.poll(start + ms(499)));
        assert!(throttle.poll(start + ms(500)));
        assert!(throttle.poll(start + ms(1_000)));
    }

    #[test]
    fn a_keyframe_ends_the_repetition() {
        let start = Instant::now();
        let mut throttle = KeyframeThrottle::new(INTERVAL);
        throttle.request();
        assert!(throttle.poll(start));
        throttle.on_keyframe();
        assert!(!throttle.is_waiting());
        assert_eq!(throttle.next_timeout(), None);
        assert!(!throttle.poll(start + ms(10_000)));
    }

    #[test]
    fn a_request_right_after_a_keyframe_waits_for_its_interval() {
        let start = Instant::now();
        let mut throttle = KeyframeThrottle::new(INTERVAL);
        throttle.request();
        assert!(throttle.poll(start));
        throttle.on_keyframe();
        throttle.request();
        assert!(!throttle.poll(start + ms(100)));
        assert_eq!(throttle.next_timeout(), Some(start + INTERVAL));
        assert!(throttle.poll(start + INTERVAL));
    }

    #[test]
    fn after_an_answer_the_next_request_waits_for_longer_where_it_is_lossy() {
        let start = Instant::now();
        let mut throttle = KeyframeThrottle::new(INTERVAL);
        throttle.set_pause(ms(1_500));
        throttle.request();
        assert!(throttle.poll(start));
        assert!(throttle.poll(start + INTERVAL), "a request or a keyframe was lost");
        throttle.on_keyframe();
        throttle.request();
        assert_eq!(throttle.next_timeout(), Some(start + ms(2_000)));
        assert!(!throttle.poll(start + ms(1_999)));
        assert!(throttle.poll(start + ms(2_000)));
        assert!(throttle.poll(start + ms(2_500)));
    }

    #[test]
    fn who_always_wants_keyframes_gets_some_and_then_one_every_other_second() {
        let start = Instant::now();
        let mut throttle = KeyframeThrottle::new(INTERVAL);
        let mut sent = Vec::new();
        for at in (0..60_000).step_by(20) {
            throttle.request();
            if throttle.poll(start + ms(at)) {
                throttle.on_keyframe();
                sent.push(at);
            }
        }
        let steps: Vec<u64> = sent.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let often = steps.iter().take_while(|step| **step == 500).count();
        assert!((BURST as usize..12).contains(&often), "{steps:?}");
        assert!(steps[often..].iter().all(|step| *step == 2_000), "{steps:?}");
        assert!(!throttle.poll(start + ms(60_000)), "nobody waits");
        throttle.request();
        assert!(throttle.poll(start + ms(90_000)));
        throttle.on_keyframe();
        throttle.request();
        assert!(throttle.poll(start + ms(90_500)), "rested");
    }

    #[test]
    fn nobody_waiting_asks_for_nothing() {
        let start = Instant::now();
        let mut throttle = KeyframeThrottle::new(INTERVAL);
        throttle.request();
        throttle.cancel();
        assert!(!throttle.poll(start));
    }
}
