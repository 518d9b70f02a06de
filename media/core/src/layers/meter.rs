//! What each temporal layer of an encoding costs.

use std::time::{Duration, Instant};

use crate::window::SlidingSum;

/// Temporal layers told apart; VP8 has no more (two bits).
pub const MAX_TEMPORAL: usize = 4;

/// Without packets for this long the rates stay what they were: an encoding that was stopped
/// will cost the same again.
const SILENCE: Duration = Duration::from_millis(400);

/// Keyframes nearer to each other than this count like other pictures.
const RARE: Duration = Duration::from_secs(1);

/// Smoothed bit rates of one encoding, by temporal layer.
///
/// A window of one second, then a quarter of each new value every [`LayerMeter::tick`].
/// Keyframes are asked for at every switch: they are left out, or every switch would make the
/// encoding look too expensive to stay with. 184 bytes for each temporal layer seen.
#[derive(Debug, Clone, Default)]
pub struct LayerMeter {
    sums: Vec<SlidingSum>,
    rates: [u64; MAX_TEMPORAL],
    last: Option<Instant>,
    /// Timestamp of the last keyframe that was left out, and when it began.
    keyframe: Option<(u32, Instant)>,
}

impl LayerMeter {
    /// A packet that starts a keyframe arrived: its picture is not counted if such are rare.
    pub fn on_keyframe(&mut self, timestamp: u32, now: Instant) {
        let is_rare = self.keyframe.is_none_or(|(_, at)| now.saturating_duration_since(at) >= RARE);
        if is_rare {
            self.keyframe = Some((timestamp, now));
        }
    }

    /// Counts a packet of the picture of this timestamp.
    pub fn add_of(&mut self, timestamp: u32, temporal: Option<u8>, bytes: usize, now: Instant) {
        match self.keyframe {
            Some((keyframe, _)) if keyframe == timestamp => self.add(temporal, 0, now),
            _ => self.add(temporal, bytes, now),
        }
    }

    /// Counts a packet.
    pub fn add(&mut self, temporal: Option<u8>, bytes: usize, now: Instant) {
        let layer = usize::from(temporal.unwrap_or(0)).min(MAX_TEMPORAL - 1);
        if self.sums.len() <= layer {
            self.sums.resize_with(layer + 1, SlidingSum::default);
        }
        self.sums[layer].add(bytes as u64, now);
        self.last = Some(now);
    }

    /// Takes the rates of now into account. Call it a few times a second.
    pub fn tick(&mut self, now: Instant) {
        if self.last.is_none_or(|last| now.saturating_duration_since(last) >= SILENCE) {
            return;
        }
        for (sum, rate) in self.sums.iter_mut().zip(&mut self.rates) {
            let sample = sum.bits_per_second(now);
            *rate = if *rate == 0 { sample } else { (*rate * 3 + sample) / 4 };
        }
    }

    /// Temporal layers seen, at least one.
    pub fn temporal_layers(&self) -> usize {
        self.sums.len().max(1)
    }

    /// Bits per second of the layers up to `temporal`; zero if not measured yet.
    pub fn up_to(&self, temporal: usize) -> u64 {
        self.rates.iter().take(temporal + 1).sum()
    }

    /// Bits per second of everything.
    pub fn total(&self) -> u64 {
        self.up_to(MAX_TEMPORAL)
    }

    /// Bytes on the heap.
    pub fn memory_bytes(&self) -> usize {
        self.sums.capacity() * size_of::<SlidingSum>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed(meter: &mut LayerMeter, start: Instant, from_ms: u64, to_ms: u64) -> Instant {
        let mut now = start;
        for at in (from_ms..to_ms).step_by(20) {
            now = start + Duration::from_millis(at);
            let layer = [0, 2, 1, 2][(at / 20 % 4) as usize];
            meter.add(Some(layer), 250, now);
            if at % 240 == 0 {
                meter.tick(now);
            }
        }
        now
    }

    #[test]
    fn layers_add_up() {
        let start = Instant::now();
        let mut meter = LayerMeter::default();
        assert_eq!((meter.total(), meter.temporal_layers()), (0, 1));
        feed(&mut meter, start, 0, 5_000);
        assert_eq!(meter.temporal_layers(), 3);
        // 50 packets a second of 250 bytes: 100 kbit/s, halved and quartered.
        for (temporal, expected) in [(0, 25_000), (1, 50_000), (2, 100_000), (7, 100_000)] {
            let rate = meter.up_to(temporal);
            assert!(rate.abs_diff(expected) < expected / 10, "{temporal}: {rate}");
        }
    }

    #[test]
    fn a_stopped_encoding_keeps_its_rate() {
        let start = Instant::now();
        let mut meter = LayerMeter::default();
        let end = feed(&mut meter, start, 0, 5_000);
        let before = meter.total();
        for tick in 0..100 {
            meter.tick(end + Duration::from_millis(400 + tick * 250));
        }
        assert_eq!(meter.total(), before);
    }

    #[test]
    fn layers_beyond_the_last_count_into_it() {
        let mut meter = LayerMeter::default();
        let now = Instant::now();
        meter.add(Some(200), 100, now);
        meter.add(None, 100, now);
        assert_eq!(meter.temporal_layers(), MAX_TEMPORAL);
        assert!(meter.memory_bytes() < 1_024);
    }
}
