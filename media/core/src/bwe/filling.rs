//! Padding for receivers that estimate by themselves: they believe in little more than arrives.
//!
//! libwebrtc's and aiortc's REMB is at most 1.5 times of what arrives, so a subscriber that fell to
//! a small encoding would stay there. What is sent is filled up to what it allows for some seconds,
//! and goes on being filled while it allows more each time.

/// Length of one try.
const TRY_US: i64 = 3_000_000;
/// An estimate that grew by this in a try lets the next one follow at once.
const GAIN: f64 = 1.1;
/// Time between tries, and after several that brought nothing.
const REST_US: i64 = 4_000_000;
const MAX_REST_US: i64 = 32_000_000;
/// What was not sent in so long a time is not made up for.
const SLOT_US: i64 = 50_000;
/// How often something is sent during a try.
const STEP_US: i64 = 5_000;
/// How often it is looked whether one may begin.
const LOOK_US: i64 = 100_000;

/// Says when and how much to fill.
#[derive(Debug, Clone)]
pub(super) struct Filling {
    /// End of the try under way.
    until_us: Option<i64>,
    /// The estimate when it began.
    began_bps: f64,
    slot_us: i64,
    /// Sent since, and before that beyond what was due.
    slot_bytes: u64,
    next_try_us: i64,
    rest_us: i64,
}

impl Default for Filling {
    fn default() -> Filling {
        Filling {
            until_us: None,
            began_bps: 0.0,
            slot_us: 0,
            slot_bytes: 0,
            next_try_us: i64::MIN,
            rest_us: REST_US,
        }
    }
}

impl Filling {
    /// Begins and ends tries. `may_try`: the path is not in trouble.
    pub(super) fn poll(&mut self, now_us: i64, estimate_bps: f64, wanted_bps: f64, may_try: bool) {
        if estimate_bps >= wanted_bps {
            self.until_us = None;
            self.rest_us = REST_US;
            return;
        }
        match self.until_us {
            Some(_) if !may_try => self.stop(now_us),
            Some(until_us) if now_us >= until_us => {
                if estimate_bps >= GAIN * self.began_bps {
                    self.rest_us = REST_US;
                    self.begin(now_us, estimate_bps);
                } else {
                    self.stop(now_us);
                }
            }
            None if may_try && now_us >= self.next_try_us => self.begin(now_us, estimate_bps),
            _ => {}
        }
        let elapsed_us = now_us - self.slot_us;
        if elapsed_us >= SLOT_US {
            self.slot_bytes = self.slot_bytes.saturating_sub(bytes(estimate_bps, elapsed_us));
            self.slot_us = now_us;
        }
    }

    fn begin(&mut self, now_us: i64, estimate_bps: f64) {
        if self.until_us.is_none() {
            (self.slot_us, self.slot_bytes) = (now_us, 0);
        }
        self.until_us = Some(now_us + TRY_US);
        self.began_bps = estimate_bps;
    }

    /// Gives the try up; the next one comes later.
    pub(super) fn stop(&mut self, now_us: i64) {
        if self.until_us.take().is_some() {
            self.next_try_us = now_us + self.rest_us;
            self.rest_us = (2 * self.rest_us).min(MAX_REST_US);
        }
    }

    /// Counts a packet of any kind.
    pub(super) fn on_sent(&mut self, size: usize) {
        self.slot_bytes += size as u64;
    }

    /// Bytes that have to be sent by `now_us` to fill what the receiver allows.
    pub(super) fn missing_bytes(&self, now_us: i64, estimate_bps: f64) -> u64 {
        if self.until_us.is_none() {
            return 0;
        }
        bytes(estimate_bps, now_us - self.slot_us).saturating_sub(self.slot_bytes)
    }

    /// When [`Filling::poll`] or the sending of padding is due.
    pub(super) fn next_timeout_us(
        &self,
        now_us: i64,
        estimate_bps: f64,
        wanted_bps: f64,
    ) -> Option<i64> {
        match self.until_us {
            Some(_) => Some(now_us + STEP_US),
            None => (estimate_bps < wanted_bps).then_some(self.next_try_us.max(now_us + LOOK_US)),
        }
    }
}

fn bytes(bps: f64, elapsed_us: i64) -> u64 {
    (bps * elapsed_us as f64 / 8e6) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends `media_bps` and what is missing for so long, as a receiver that allows `allowed` of
    /// what arrived in the last second; returns the rate sent in each second.
    fn fill(
        media_bps: f64,
        wanted_bps: f64,
        seconds: usize,
        allowed: impl Fn(f64) -> f64,
    ) -> Vec<f64> {
        let (mut filling, mut estimate_bps) = (Filling::default(), allowed(media_bps));
        let mut rates = Vec::new();
        for second in 0..seconds {
            let mut sent = 0;
            for step in 0..200 {
                let now_us = (second * 200 + step) as i64 * STEP_US;
                let media = bytes(media_bps, STEP_US) as usize;
                filling.on_sent(media);
                sent += media;
                filling.poll(now_us, estimate_bps, wanted_bps, true);
                while filling.missing_bytes(now_us, estimate_bps) > 0 {
                    filling.on_sent(1_000);
                    sent += 1_000;
                }
            }
            rates.push(sent as f64 * 8.0);
            estimate_bps = allowed(sent as f64 * 8.0);
        }
        rates
    }

    #[test]
    fn a_receiver_that_believes_in_little_more_than_arrives_is_led_up_to_what_is_wanted() {
        let rates = fill(200e3, 2e6, 12, |arrived| 1.5 * arrived + 10e3);
        assert!(rates[..5].is_sorted(), "{rates:?}");
        assert!(rates.iter().any(|rate| 1.5 * rate + 10e3 >= 2e6), "{rates:?}");
        assert!(rates.iter().all(|rate| *rate < 2.1e6), "never beyond what is wanted: {rates:?}");
    }

    #[test]
    fn a_link_that_carries_no_more_is_left_alone_most_of_the_time() {
        let rates = fill(200e3, 2e6, 120, |_| 400e3);
        let filled = rates.iter().filter(|rate| **rate > 250e3).count();
        assert!((9..30).contains(&filled), "{filled} of 120 s: {rates:?}");
        assert!(rates.iter().all(|rate| *rate < 420e3), "{rates:?}");
    }

    #[test]
    fn nothing_is_sent_where_nobody_wants_more_or_the_path_is_in_trouble() {
        assert!(fill(200e3, 300e3, 10, |_| 300e3).iter().all(|rate| *rate <= 200e3));
        let mut filling = Filling::default();
        filling.poll(0, 200e3, 1e6, false);
        assert_eq!(filling.missing_bytes(40_000, 200e3), 0);
        filling.poll(0, 200e3, 1e6, true);
        assert_eq!(filling.missing_bytes(40_000, 200e3), 1_000);
        filling.stop(40_000);
        assert_eq!(filling.missing_bytes(80_000, 200e3), 0);
    }
}
