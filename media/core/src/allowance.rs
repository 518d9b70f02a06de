//! What one participant may bring, so that others go on undisturbed.

use std::time::{Duration, Instant};

/// Bits of RTP, copies included: twice the most Opus makes (510 kbit/s, RFC 6716, section 2.1.1).
const BITS_PER_S: u64 = 1_000_000;
/// Frames, whether they come as packets or as copies: 2.5 ms each, and a fourth as many again of
/// packets that are sent twice.
const FRAMES_PER_S: u64 = 500;
/// After silence so much may come at once: what a stalled network held back, and what was asked
/// for again.
const BURST: Duration = Duration::from_secs(2);

const BURST_NS: u64 = BURST.as_nanos() as u64;
const FRAME_NS: u64 = 1_000_000_000 / FRAMES_PER_S;
const BYTE_NS: u64 = 8 * 1_000_000_000 / BITS_PER_S;

/// What feedback may say or ask of single packets: ten times what the fastest link believed in
/// carries (75 Mbit/s). A datagram can name a million.
const NUMBERS_PER_S: u64 = 100_000;
/// So many may be named at once.
const MOST_NUMBERS: u64 = 16_384;
/// What any packet of RTCP costs, in numbers.
const PACKET_NUMBERS: u64 = 16;

const NUMBER_NS: u64 = 1_000_000_000 / NUMBERS_PER_S;
const MOST_NUMBERS_NS: u64 = MOST_NUMBERS * NUMBER_NS;

/// Bounds the time that RTCP of one transport takes the thread that serves all of them.
#[derive(Debug, Clone)]
pub struct FeedbackAllowance {
    filled: Option<Instant>,
    available_ns: u64,
}

impl Default for FeedbackAllowance {
    fn default() -> FeedbackAllowance {
        FeedbackAllowance { filled: None, available_ns: MOST_NUMBERS_NS }
    }
}

impl FeedbackAllowance {
    /// Whether an RTCP packet is looked at that names so many packets.
    pub fn admits(&mut self, numbers: usize, now: Instant) -> bool {
        let last = self.filled.replace(now).unwrap_or(now);
        self.filled = Some(now.max(last));
        let elapsed_ns = now.saturating_duration_since(last).as_nanos();
        let elapsed_ns = elapsed_ns.min(MOST_NUMBERS_NS.into()) as u64;
        self.available_ns = (self.available_ns + elapsed_ns).min(MOST_NUMBERS_NS);
        let needed_ns = (numbers as u64 + PACKET_NUMBERS).saturating_mul(NUMBER_NS);
        let passes = self.available_ns >= needed_ns;
        self.available_ns -= if passes { needed_ns } else { 0 };
        passes
    }
}

/// What an audio track may bring: sound is never held back on its way to subscribers, so whoever
/// publishes it must not be able to fill their links with it. Two token buckets, both measured in
/// the time they take to fill.
#[derive(Debug, Clone)]
pub struct AudioAllowance {
    filled: Option<Instant>,
    frames_ns: u64,
    bytes_ns: u64,
}

impl Default for AudioAllowance {
    fn default() -> AudioAllowance {
        AudioAllowance { filled: None, frames_ns: BURST_NS, bytes_ns: BURST_NS }
    }
}

impl AudioAllowance {
    /// Whether a packet, or a frame out of a copy, may pass. `bytes` are those of the packet; a
    /// copy has none, because its packet was charged for them.
    pub fn admits(&mut self, bytes: usize, now: Instant) -> bool {
        let last = self.filled.replace(now).unwrap_or(now);
        let elapsed_ns = now.saturating_duration_since(last).min(BURST).as_nanos() as u64;
        self.filled = Some(now.max(last));
        let frames_ns = (self.frames_ns + elapsed_ns).min(BURST_NS);
        let bytes_ns = (self.bytes_ns + elapsed_ns).min(BURST_NS);
        let needed_ns = (bytes as u64).saturating_mul(BYTE_NS);
        let passes = frames_ns >= FRAME_NS && bytes_ns >= needed_ns;
        let charged =
            |available: u64, needed: u64| if passes { available - needed } else { available };
        (self.frames_ns, self.bytes_ns) =
            (charged(frames_ns, FRAME_NS), charged(bytes_ns, needed_ns));
        passes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed(allowance: &mut AudioAllowance, from: Instant, every: Duration, len: usize) -> usize {
        let steps = (Duration::from_secs(10).as_nanos() / every.as_nanos()) as u32;
        (0..steps).filter(|step| allowance.admits(len, from + every * *step)).count()
    }

    #[test]
    fn whatever_opus_can_be_passes_for_ever() {
        let start = Instant::now();
        // Frames of 2.5 ms, the most of Opus in 20 ms, and 17 copies as large as they may be.
        for (every_us, len) in [(2_500, 120), (20_000, 1_275 + 12), (20_000, 1_000 + 30)] {
            let every = Duration::from_micros(every_us);
            let mut allowance = AudioAllowance::default();
            for lap in 0..20 {
                let from = start + lap * Duration::from_secs(10);
                let all = 10_000_000 / every_us;
                assert_eq!(passed(&mut allowance, from, every, len) as u64, all, "{every_us}");
            }
        }
    }

    #[test]
    fn what_a_stalled_network_held_back_passes_at_once() {
        let start = Instant::now();
        let mut allowance = AudioAllowance::default();
        // 15 s of frames of 20 ms, and each of the last 3 s once more because it was asked for.
        assert!((0..750 + 150).all(|_| allowance.admits(160, start)));
    }

    #[test]
    fn floods_are_cut_to_the_rate() {
        let start = Instant::now();
        let table = [
            ("small packets", 100, 60, 500 * 12),
            ("large packets", 100, 1_250, 100 * 12),
            ("copies", 100, 0, 500 * 12),
        ];
        for (what, every_us, len, most) in table {
            let every = Duration::from_micros(every_us);
            let mut allowance = AudioAllowance::default();
            let passed = passed(&mut allowance, start, every, len);
            assert!((most - 2..=most).contains(&passed), "{what}: {passed}");
        }
    }

    #[test]
    fn feedback_of_the_fastest_link_passes_and_floods_of_it_are_cut() {
        let start = Instant::now();
        let mut allowance = FeedbackAllowance::default();
        let every = Duration::from_millis(50);
        assert!((0..1_000).all(|step| allowance.admits(1_000, start + every * step)));
        let later = start + every * 1_000;
        let every = Duration::from_micros(100);
        let passed = (0..100_000).filter(|step| allowance.admits(984, later + every * *step));
        assert!((1_000..=1_017).contains(&passed.count()), "10 s of 100,000, and the burst");
        let later = later + Duration::from_secs(1_000_000);
        assert!(!allowance.admits(usize::MAX / 16, later), "more than at once");
        assert!(allowance.admits(16_368, later) && !allowance.admits(0, start));
    }

    #[test]
    fn times_that_run_back_and_long_silence_give_nothing_extra() {
        let start = Instant::now() + Duration::from_secs(100);
        let mut allowance = AudioAllowance::default();
        while allowance.admits(1_000, start) {}
        for _ in 0..100 {
            assert!(!allowance.admits(1_000, start - Duration::from_secs(50)));
            assert!(!allowance.admits(1_000, start));
        }
        let later = start + Duration::from_secs(1_000_000);
        let burst = (0..2_000).filter(|_| allowance.admits(0, later)).count();
        assert_eq!(burst, 1_000);
        assert!(!allowance.admits(usize::MAX, later + BURST));
    }
}
