//! Keyframe requests to one producer, coalesced.

use std::time::{Duration, Instant};

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
        }
    }

    /// After a keyframe the next is asked for so long after the last request: on a lossy way it
    /// is still being repaired.
    pub fn set_pause(&mut self, pause: Duration) {
        self.pause = pause.max(self.interval);
    }

    fn spacing(&self) -> Duration {
        if self.is_answered { self.pause } else { self.interval }
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
    fn nobody_waiting_asks_for_nothing() {
        let start = Instant::now();
        let mut throttle = KeyframeThrottle::new(INTERVAL);
        throttle.request();
        throttle.cancel();
        assert!(!throttle.poll(start));
    }
}
