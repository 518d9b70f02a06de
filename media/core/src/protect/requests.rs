//! How often a publisher is asked for a lost packet, and for how long.

use std::time::Duration;

/// Share of round trips in which no request may come through.
const MISSED: f64 = 0.1;
/// Requests in one round trip at most.
const MOST: f64 = 4.0;
/// No two requests for one packet are closer.
const LEAST_INTERVAL: Duration = Duration::from_millis(10);
/// Loss from which requests are repeated before the answer to the last can be missing. Chromium
/// answers one in each round trip, by its own measure of that, and ignores the others; what comes
/// a little too early for it would cost a whole round trip.
const HEAVY_LOSS: f64 = 0.25;
/// Share of the packets that may be given up.
const GIVEN_UP: f64 = 0.002;
const LEAST_DEADLINE: Duration = Duration::from_secs(1);
/// Browsers wait three seconds for a picture, and remember what they sent for as long.
const MOST_DEADLINE: Duration = Duration::from_millis(2_500);
/// After a keyframe what was before it is of use to recordings only.
const OUTDATED: Duration = Duration::from_millis(300);

/// How lost packets of one stream are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestPlan {
    /// Time between two requests for one packet.
    pub interval: Duration,
    /// Whether it grows with each request.
    pub grows: bool,
    /// A packet is given up this long after it was found missing.
    pub deadline: Duration,
    /// The same for a packet before a keyframe that arrived.
    pub outdated: Duration,
}

/// Plans by the shares lost of what is asked for (`loss`) and of the requests (`back`), 0..=1.
pub fn plan(round_trip: Duration, loss: f64, back: f64) -> RequestPlan {
    let back = back.clamp(0.0, 0.95);
    let wanted = if back > MISSED { (MISSED.ln() / back.ln()).ceil().min(MOST) } else { 1.0 };
    let is_heavy = loss >= HEAVY_LOSS;
    let each = if is_heavy { wanted.max(2.0) } else { wanted };
    let interval = (round_trip * 11 / 10).div_f64(each).max(LEAST_INTERVAL);
    if !is_heavy && wanted <= 1.0 {
        let (deadline, outdated) = (LEAST_DEADLINE, LEAST_DEADLINE);
        return RequestPlan { interval, grows: true, deadline, outdated };
    }
    let comes = (1.0 - loss.clamp(0.0, 0.95)) * (1.0 - back.powf(wanted));
    let rounds = GIVEN_UP.ln() / (1.0 - comes).max(1e-9).ln();
    let deadline = round_trip.mul_f64(rounds).clamp(LEAST_DEADLINE, MOST_DEADLINE);
    let outdated = if is_heavy { OUTDATED } else { LEAST_DEADLINE };
    RequestPlan { interval, grows: false, deadline, outdated }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(value: u64) -> Duration {
        Duration::from_millis(value)
    }

    #[test]
    fn requests_follow_both_ways() {
        // Loss, loss of requests, interval and deadline at 40 ms.
        let table = [
            (0.0, 0.0, 44, 1_000),
            (0.1, 0.0, 44, 1_000),
            (0.3, 0.0, 22, 1_000),
            (0.7, 0.0, 22, 1_000),
            (0.0, 0.7, 11, 1_000),
            (0.7, 0.7, 11, 1_000),
            (0.9, 0.9, 11, 2_500),
        ];
        for (loss, back, interval, deadline) in table {
            let plan = plan(ms(40), loss, back);
            let found = (plan.interval.as_millis(), plan.deadline.as_millis());
            assert!(found.0.abs_diff(interval) <= 1, "{loss} {back}: {found:?}");
            let range = deadline * 9 / 10..=deadline * 12 / 10;
            assert!(range.contains(&found.1), "{loss} {back}: {found:?}");
            assert_eq!(plan.grows, loss < 0.25 && back < 0.1);
        }
    }

    #[test]
    fn long_round_trips_get_more_time_within_what_browsers_wait() {
        assert!(plan(ms(100), 0.7, 0.0).deadline > ms(1_500));
        assert_eq!(plan(ms(400), 0.7, 0.7).deadline, MOST_DEADLINE);
        assert_eq!(plan(Duration::ZERO, 1.0, 1.0).interval, LEAST_INTERVAL);
        assert!(plan(ms(40), 1.0, 1.0).deadline <= MOST_DEADLINE);
    }
}
