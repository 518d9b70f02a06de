//! From arrival times to "the queue grows": groups of packets, trend of the one-way delay,
//! adaptive threshold (draft-ietf-rmcat-gcc-02, section 5; the trend is a line fitted to the
//! recent delays instead of the draft's Kalman filter).

use super::Delivered;

/// Packets sent within this time form one group.
const BURST_US: i64 = 5_000;
/// Packets that arrive together join a group up to this length.
const MAX_GROUP_US: i64 = 100_000;
/// A jump of the receiver's clock against ours beyond this starts everything anew.
const MAX_JUMP_US: i64 = 3_000_000;

/// What the delay says about the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Usage {
    #[default]
    Normal,
    /// The queue is being emptied.
    Underuse,
    /// The queue grows.
    Overuse,
}

/// Packets sent in one burst.
#[derive(Debug, Clone, Copy)]
struct Group {
    first_sent_us: i64,
    sent_us: i64,
    first_arrival_us: i64,
    arrival_us: i64,
}

impl Group {
    fn new(packet: &Delivered) -> Group {
        Group {
            first_sent_us: packet.sent_us,
            sent_us: packet.sent_us,
            first_arrival_us: packet.arrival_us,
            arrival_us: packet.arrival_us,
        }
    }

    fn belongs(&self, packet: &Delivered) -> bool {
        let sent = packet.sent_us - self.sent_us;
        let arrived = packet.arrival_us - self.arrival_us;
        // Something on the way held them back and let them go together.
        let is_burst = arrived <= BURST_US
            && arrived < sent
            && packet.arrival_us - self.first_arrival_us < MAX_GROUP_US;
        packet.sent_us - self.first_sent_us <= BURST_US || is_burst
    }
}

/// Decides from arrivals whether the path is overused.
#[derive(Debug, Clone, Default)]
pub(super) struct DelayDetector {
    current: Option<Group>,
    previous: Option<Group>,
    trend: Trend,
    threshold: Threshold,
    usage: Usage,
    is_alone: bool,
}

impl DelayDetector {
    /// Says whether nobody else keeps the link full.
    pub(super) fn set_alone(&mut self, is_alone: bool) {
        self.is_alone = is_alone;
    }

    /// Takes one delivered packet; they come in order of arrival.
    pub(super) fn on_packet(&mut self, packet: &Delivered) {
        let Some(current) = &mut self.current else {
            self.current = Some(Group::new(packet));
            return;
        };
        if packet.sent_us < current.first_sent_us {
            // It was overtaken: its group is over.
            return;
        }
        if current.belongs(packet) {
            current.sent_us = current.sent_us.max(packet.sent_us);
            current.arrival_us = current.arrival_us.max(packet.arrival_us);
            return;
        }
        let complete = *current;
        self.current = Some(Group::new(packet));
        if let Some(previous) = self.previous.replace(complete) {
            self.compare(&previous, &complete);
        }
    }

    fn compare(&mut self, before: &Group, after: &Group) {
        let sent_ms = (after.sent_us - before.sent_us) as f64 / 1_000.0;
        let arrived_ms = (after.arrival_us - before.arrival_us) as f64 / 1_000.0;
        if (sent_ms - arrived_ms).abs() > MAX_JUMP_US as f64 / 1_000.0 || arrived_ms < 0.0 {
            self.trend = Trend::default();
            return;
        }
        let Some(trend) = self.trend.add(arrived_ms - sent_ms, after.arrival_us) else { return };
        let at = (after.arrival_us, self.is_alone);
        self.usage = self.threshold.judge(trend, self.trend.slope, sent_ms, at);
    }

    /// What the newest arrivals say.
    pub(super) fn usage(&self) -> Usage {
        self.usage
    }

    /// Forgets what was measured, but not what the path was found to be like.
    pub(super) fn restart(&mut self) {
        let threshold = self.threshold.clone();
        *self = DelayDetector { threshold, ..DelayDetector::default() };
    }
}

/// Slope of the smoothed one-way delay over the last groups.
#[derive(Debug, Clone, Default)]
struct Trend {
    /// Arrival in ms since the first, smoothed delay in ms; the oldest is overwritten.
    points: [(f64, f64); Trend::POINTS],
    /// How many there ever were.
    count: usize,
    first_arrival_us: Option<i64>,
    delay_ms: f64,
    smoothed_ms: f64,
    deltas: u32,
    slope: f64,
}

impl Trend {
    const POINTS: usize = 20;
    const SMOOTHING: f64 = 0.9;
    const GAIN: f64 = 4.0;
    const MAX_DELTAS: u32 = 60;

    /// Adds how much later than the group before a group came. Returns the trend in the unit of
    /// the threshold, once there are enough groups.
    fn add(&mut self, delta_ms: f64, arrival_us: i64) -> Option<f64> {
        let first = *self.first_arrival_us.get_or_insert(arrival_us);
        self.deltas = (self.deltas + 1).min(Self::MAX_DELTAS);
        self.delay_ms += delta_ms;
        self.smoothed_ms =
            Self::SMOOTHING * self.smoothed_ms + (1.0 - Self::SMOOTHING) * self.delay_ms;
        let point = ((arrival_us - first) as f64 / 1_000.0, self.smoothed_ms);
        self.points[self.count % Self::POINTS] = point;
        self.count += 1;
        if self.count >= Self::POINTS {
            self.slope = slope(&self.points).unwrap_or(self.slope);
        }
        (self.deltas > 1).then(|| f64::from(self.deltas) * self.slope * Self::GAIN)
    }
}

/// Least squares; `None` if all points are at one time.
fn slope(points: &[(f64, f64)]) -> Option<f64> {
    let count = points.len() as f64;
    let (x_sum, y_sum) = points.iter().fold((0.0, 0.0), |(x, y), point| (x + point.0, y + point.1));
    let (x_mean, y_mean) = (x_sum / count, y_sum / count);
    let mut numerator = 0.0;
    let mut denominator = 0.0;
    for (x, y) in points {
        numerator += (x - x_mean) * (y - y_mean);
        denominator += (x - x_mean) * (x - x_mean);
    }
    (denominator > 0.0).then(|| numerator / denominator)
}

/// The limit a trend has to pass, which follows the noise of the path so that others who fill
/// the queue do not push us out (section 5.4 of the draft).
#[derive(Debug, Clone)]
struct Threshold {
    limit: f64,
    updated_us: Option<i64>,
    over_ms: Option<f64>,
    over_count: u32,
    slope_before: f64,
    usage: Usage,
}

impl Default for Threshold {
    fn default() -> Threshold {
        Threshold {
            limit: 12.5,
            updated_us: None,
            over_ms: None,
            over_count: 0,
            slope_before: 0.0,
            usage: Usage::Normal,
        }
    }
}

impl Threshold {
    const RISE: f64 = 0.01;
    const FALL: f64 = 0.000_18;
    /// The same where nobody has to be held out against.
    const FALL_ALONE: f64 = 0.039;
    const MIN: f64 = 6.0;
    const MAX: f64 = 600.0;
    /// Outliers do not move it.
    const MAX_DISTANCE: f64 = 15.0;
    const MAX_STEP_MS: f64 = 100.0;
    const OVERUSE_MS: f64 = 10.0;

    fn judge(
        &mut self,
        trend: f64,
        slope: f64,
        sent_ms: f64,
        (now_us, is_alone): (i64, bool),
    ) -> Usage {
        if trend > self.limit {
            let over_ms = self.over_ms.map_or(sent_ms / 2.0, |over_ms| over_ms + sent_ms);
            self.over_ms = Some(over_ms);
            self.over_count += 1;
            if over_ms > Self::OVERUSE_MS && self.over_count > 1 && slope >= self.slope_before {
                self.over_ms = Some(0.0);
                self.over_count = 0;
                self.usage = Usage::Overuse;
            }
        } else {
            self.over_ms = None;
            self.over_count = 0;
            self.usage = if trend < -self.limit { Usage::Underuse } else { Usage::Normal };
        }
        self.slope_before = slope;
        self.adapt(trend, now_us, is_alone);
        self.usage
    }

    fn adapt(&mut self, trend: f64, now_us: i64, is_alone: bool) {
        let last_us = self.updated_us.replace(now_us).unwrap_or(now_us);
        if trend.abs() > self.limit + Self::MAX_DISTANCE {
            return;
        }
        let fall = if is_alone { Self::FALL_ALONE } else { Self::FALL };
        let gain = if trend.abs() < self.limit { fall } else { Self::RISE };
        let step_ms = ((now_us - last_us) as f64 / 1_000.0).clamp(0.0, Self::MAX_STEP_MS);
        self.limit += gain * (trend.abs() - self.limit) * step_ms;
        self.limit = self.limit.clamp(Self::MIN, Self::MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netem::Rng;

    /// A packet of 1,000 bytes each 10 ms whose delay is given by `delay_us`.
    fn feed(
        detector: &mut DelayDetector,
        from: i64,
        to: i64,
        delay_us: impl Fn(i64) -> i64,
    ) -> u32 {
        let mut overuse = 0;
        for step in from..to {
            let sent_us = step * 10_000;
            let packet = Delivered { sent_us, arrival_us: sent_us + delay_us(step), size: 1_000 };
            detector.on_packet(&packet);
            overuse += u32::from(detector.usage() == Usage::Overuse);
        }
        overuse
    }

    #[test]
    fn constant_delay_is_normal() {
        let mut detector = DelayDetector::default();
        assert_eq!(feed(&mut detector, 0, 3_000, |_| 50_000), 0);
        assert_eq!(detector.usage(), Usage::Normal);
    }

    #[test]
    fn a_growing_queue_is_overuse_and_a_shrinking_one_underuse() {
        let mut detector = DelayDetector::default();
        feed(&mut detector, 0, 200, |_| 50_000);
        assert!(feed(&mut detector, 200, 260, |step| 50_000 + (step - 200) * 2_000) > 10);
        assert_eq!(detector.usage(), Usage::Overuse);
        feed(&mut detector, 260, 300, |step| 170_000 - (step - 260) * 3_000);
        assert_eq!(detector.usage(), Usage::Underuse);
    }

    #[test]
    fn slow_drift_of_the_clocks_is_normal() {
        // 100 ppm.
        let mut detector = DelayDetector::default();
        assert_eq!(feed(&mut detector, 0, 6_000, |step| 50_000 + step), 0);
    }

    #[test]
    fn small_jitter_is_normal() {
        let mut detector = DelayDetector::default();
        let overuse = feed(&mut detector, 0, 6_000, |step| {
            50_000 + Rng::new(step as u64).below(6_000) as i64
        });
        assert!(overuse < 20, "{overuse}");
    }

    #[test]
    fn clocks_that_jump_do_no_harm() {
        let mut detector = DelayDetector::default();
        feed(&mut detector, 0, 200, |_| 50_000);
        let jump = |step: i64| if step >= 100 { 3_600_000_000 } else { -3_600_000_000 };
        assert_eq!(feed(&mut detector, 200, 400, |step| jump(step - 200)), 0);
        assert_eq!(feed(&mut detector, 400, 600, |_| i64::from(u32::MAX)), 0);
    }
}
