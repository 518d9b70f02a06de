//! From a publisher's clocks to the server's: what keeps audio and video in sync (RFC 3550, 6.4.1).
//!
//! A publisher's sender reports relate the RTP timestamps of each stream to the publisher's own
//! wall clock. One [`PublisherClock`] per transport relates that wall clock to the server's, so
//! that all streams of one publisher move by the same amount and stay in sync with each other.

use std::time::{Duration, Instant};

use crate::rtcp::{NtpTime, duration_to_short};

/// Reports whose delay is considered. Two streams at one report a second fill it in 16 s.
const SAMPLES: usize = 32;
const WINDOW_NS: i64 = 10_000_000_000;
/// The offset moves at most this much per second: ten times a bad quartz (50 ppm).
const SLEW_NS_PER_S: i64 = 500_000;
/// During the first seconds the minimum is still being found, and nobody has settled.
const SETTLING_NS: i64 = 5_000_000_000;
const SETTLING_SLEW_NS_PER_S: i64 = 20_000_000;
/// The publisher's clock was set: following slowly would be wrong for hours.
const STEP_NS: i64 = 1_000_000_000;

#[derive(Debug, Clone, Copy)]
struct Sample {
    arrival: NtpTime,
    offset_ns: i64,
}

/// Offset between a publisher's wall clock and the server's, from all its sender reports.
///
/// The report with the least delay within 10 s is trusted; the offset moves towards it without
/// steps. A jump of more than a second (the publisher's clock was set) is adopted at once.
/// Keeps 32 samples (1 KiB).
#[derive(Debug, Clone, Default)]
pub struct PublisherClock {
    samples: [Option<Sample>; SAMPLES],
    next: usize,
    first_arrival: Option<NtpTime>,
    last_arrival: NtpTime,
    offset_ns: Option<i64>,
}

impl PublisherClock {
    /// Takes the NTP time of a sender report and when it arrived, by the server's clock.
    pub fn on_sender_report(&mut self, publisher: NtpTime, arrival: NtpTime) {
        let sample = Sample { arrival, offset_ns: arrival.ns_since(publisher) };
        match self.offset_ns {
            Some(current) if sample.offset_ns.saturating_sub(current).abs() < STEP_NS => {
                self.remember(sample);
                self.slew(current, arrival);
            }
            _ => self.restart(sample),
        }
    }

    /// Nanoseconds to add to the publisher's wall clock to get the server's.
    pub fn offset_ns(&self) -> Option<i64> {
        self.offset_ns
    }

    fn restart(&mut self, sample: Sample) {
        self.samples = [None; SAMPLES];
        self.remember(sample);
        self.first_arrival = Some(sample.arrival);
        self.last_arrival = sample.arrival;
        self.offset_ns = Some(sample.offset_ns);
    }

    fn remember(&mut self, sample: Sample) {
        self.samples[self.next] = Some(sample);
        self.next = (self.next + 1) % SAMPLES;
    }

    fn slew(&mut self, current: i64, now: NtpTime) {
        let recent = self.samples.iter().flatten();
        let recent = recent.filter(|sample| now.ns_since(sample.arrival) <= WINDOW_NS);
        let target = recent.map(|sample| sample.offset_ns).min().unwrap_or(current);
        let elapsed = now.ns_since(self.last_arrival).clamp(0, WINDOW_NS);
        let age = self.first_arrival.map_or(0, |first| now.ns_since(first));
        let rate = if age < SETTLING_NS { SETTLING_SLEW_NS_PER_S } else { SLEW_NS_PER_S };
        let most = (elapsed / 1_000) * rate / 1_000_000;
        self.offset_ns = Some(current + (target - current).clamp(-most, most));
        self.last_arrival = now;
    }
}

#[derive(Debug, Clone, Copy)]
struct Report {
    publisher: NtpTime,
    timestamp: u32,
    arrived: Instant,
}

/// The newest sender report of one stream, and what follows from it.
#[derive(Debug, Clone)]
pub struct SenderReports {
    clock_rate_hz: u32,
    last: Option<Report>,
}

impl SenderReports {
    /// Starts without a report. `clock_rate_hz` is that of the RTP timestamps, not zero.
    pub fn new(clock_rate_hz: u32) -> SenderReports {
        assert!(clock_rate_hz > 0, "clock rate must not be zero");
        SenderReports { clock_rate_hz, last: None }
    }

    /// Takes the NTP and RTP time of a sender report.
    pub fn on_sender_report(&mut self, publisher: NtpTime, timestamp: u32, now: Instant) {
        self.last = Some(Report { publisher, timestamp, arrived: now });
    }

    /// The LSR and DLSR fields of a report block about this stream: `(LSR, delay in 2⁻¹⁶ s)`.
    pub fn last(&self, now: Instant) -> Option<(u32, u32)> {
        let report = self.last?;
        let delay = now.saturating_duration_since(report.arrived);
        Some((report.publisher.middle(), duration_to_short(delay)))
    }

    /// The server's time at which the publisher took what carries `timestamp`, plus the least
    /// network delay. `None` before the first sender report.
    pub fn server_ntp_for(&self, timestamp: u32, clock: &PublisherClock) -> Option<NtpTime> {
        let report = self.last?;
        let ticks = i128::from(timestamp.wrapping_sub(report.timestamp) as i32);
        let ns = (ticks * 1_000_000_000).div_euclid(self.clock_rate_hz.into()) as i64;
        Some(report.publisher.offset_ns(ns).offset_ns(clock.offset_ns()?))
    }

    /// How far this stream's timestamps are ahead of those of `other`, another stream of the same
    /// publisher with the same clock rate, at one moment. `None` before both have a report.
    ///
    /// Off by what the publisher's RTP clocks drift apart from its wall clock between the two
    /// reports: 50 µs for each second between them at worst (50 ppm).
    pub fn ahead_of(&self, other: &SenderReports) -> Option<u32> {
        let (own, others) = (self.last?, other.last?);
        let ns = i128::from(own.publisher.ns_since(others.publisher));
        let ticks = (ns * i128::from(self.clock_rate_hz) + 500_000_000).div_euclid(1_000_000_000);
        Some(own.timestamp.wrapping_sub(others.timestamp.wrapping_add(ticks as u32)))
    }

    /// The RTP timestamp to send in a report to a subscriber whose NTP time is `now`.
    ///
    /// Args: `timestamp_offset` is what the subscriber's timestamps are ahead of the
    /// publisher's. `None` before the first sender report: no mapping is ever invented.
    pub fn outgoing(
        &self,
        now: NtpTime,
        clock: &PublisherClock,
        timestamp_offset: u32,
    ) -> Option<u32> {
        let report = self.last?;
        let publisher_now = now.offset_ns(clock.offset_ns()?.wrapping_neg());
        let ns = i128::from(publisher_now.ns_since(report.publisher));
        let ticks = (ns * i128::from(self.clock_rate_hz) + 500_000_000).div_euclid(1_000_000_000);
        Some(report.timestamp.wrapping_add(ticks as u32).wrapping_add(timestamp_offset))
    }
}

/// Smoothed round-trip time of one transport: an eighth of each new sample.
#[derive(Debug, Clone, Copy, Default)]
pub struct RttEstimate(Option<Duration>);

impl RttEstimate {
    /// Longest round trip believed: longer ones come from reports with made-up fields.
    pub const LONGEST: Duration = Duration::from_secs(30);

    /// Takes one sample; ignores it if it is too long to be true.
    pub fn on_sample(&mut self, sample: Duration) {
        if sample > Self::LONGEST {
            return;
        }
        self.0 = Some(match self.0 {
            None => sample,
            Some(smoothed) => (smoothed * 7 + sample) / 8,
        });
    }

    /// The smoothed value, once there is one.
    pub fn get(self) -> Option<Duration> {
        self.0
    }
}

#[cfg(test)]
mod tests;
