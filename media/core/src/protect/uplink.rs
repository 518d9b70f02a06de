//! Whether what a publisher loses on the way up is its own doing.
//!
//! A sender that hears of losses sends less. That is right where a link is full and of no use
//! where a radio loses what it likes: a browser that loses 70 % of its packets is down to 100 kb/s
//! after a second, and what it may send again to what it may send. Loss that does not answer to
//! the rate is therefore left out of congestion feedback. Times of arrival are never touched, so
//! a queue is seen by the sender as well as ever; what is lost is never said to have arrived, so
//! it can be asked for; and loss beyond what the way has by itself is told.

use std::time::Duration;

/// A window has so many packets at least, and lasts so long.
const WINDOW_PACKETS: u32 = 20;
const WINDOW: Duration = Duration::from_millis(250);
/// Smaller losses are told: senders bear them.
const LEAST_LOSS: f64 = 0.06;
/// Deviations of a binomial count that still are chance.
const SIGMAS: f64 = 2.5;
/// Deviations by which a full link and the way's own loss have to differ for a verdict.
const DECISIVE: f64 = 4.0;
/// And packets at the new rate.
const VERDICT_PACKETS: f64 = 80.0;
/// The first packets say what the way has by itself.
const FIRST_PACKETS: f64 = 120.0;
/// A sender whose rate changed by this factor, up or down, sends at another rate.
const FALL: f64 = 0.85;
/// Without such a verdict, what is known of the way moves by no more than this share, or than
/// chance may have made it wrong by.
const DRIFT: f64 = 0.2;
/// Packets that what is known rests on, about.
const KNOWN_PACKETS: f64 = 120.0;
/// A standing queue that says that the link is full, in µs.
pub const QUEUE_US: i64 = 25_000;
/// Weight of a window in what is believed.
const WEIGHT: f64 = 0.15;
/// A little more than what is known is left out: it is known with an error, and senders take a
/// small loss that is told for a large one where they hear of few packets.
const MARGIN: f64 = 1.1;
const ALLOWANCE: f64 = 0.03;
/// Chance makes the loss of a report differ from the mean: it may run ahead by so many packets.
const SLACK: f64 = 12.0;

/// Packets of one feedback.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reported {
    /// All that were sent.
    pub packets: u32,
    /// Those that did not arrive.
    pub lost: u32,
    /// Bytes that arrived.
    pub bytes: u64,
}

/// What was sent at about one rate.
#[derive(Debug, Clone, Copy, Default)]
struct Rate {
    packets: f64,
    lost: f64,
    bps: f64,
}

impl Rate {
    fn ratio(&self) -> f64 {
        self.lost / self.packets
    }

    fn add(&mut self, other: Rate) {
        let packets = self.packets + other.packets;
        self.bps = (self.bps * self.packets + other.bps * other.packets) / packets;
        (self.packets, self.lost) = (packets, self.lost + other.lost);
    }
}

/// More loss than the way was known to have, and what came of sending more or less.
#[derive(Debug, Clone, Copy)]
struct Suspicion {
    before: Rate,
    after: Option<Rate>,
}

impl Suspicion {
    /// Takes a window. Returns, when it is known, whether the loss is the way's own: a full link
    /// lets as much through as before, so that its loss follows the rate; other loss stays.
    fn verdict(&mut self, now: Rate, inherent: f64) -> Option<bool> {
        let change = now.bps / self.before.bps;
        if (FALL..1.0 / FALL).contains(&change) {
            self.before.add(now);
            self.after = None;
            return None;
        }
        let mut after = now;
        self.after.iter().for_each(|before| after.add(*before));
        self.after = Some(after);
        if after.packets < VERDICT_PACKETS {
            return None;
        }
        let ratio = self.before.ratio();
        let full = (1.0 - (1.0 - ratio) * self.before.bps / after.bps).max(inherent);
        let counts = 1.0 / after.packets + 1.0 / self.before.packets;
        let noise = (ratio * (1.0 - ratio) * counts).sqrt();
        let is_like_full = (after.ratio() - full).abs() < (after.ratio() - ratio).abs();
        ((ratio - full).abs() >= DECISIVE * noise).then_some(!is_like_full)
    }
}

/// Learns how much of the loss is the way's own, and says which losses to tell.
///
/// In the first window all loss is: nothing was sent yet that could fill a link. Later loss is
/// believed to be the way's own when it stayed while the sender slowed down, and no queue stood.
#[derive(Debug, Clone, Default)]
pub struct UplinkJudge {
    inherent: Option<f64>,
    /// The same when it was last established.
    established: f64,
    first: Rate,
    window: Reported,
    elapsed: Duration,
    queued: bool,
    suspicion: Option<Suspicion>,
    /// The last window had more loss than is known of the way.
    doubtful: bool,
    /// The last window had less.
    hopeful: bool,
    credit: f64,
}

impl UplinkJudge {
    /// Share of the packets the way loses by itself, as far as known.
    pub fn inherent(&self) -> f64 {
        self.inherent.unwrap_or(0.0)
    }

    /// Whether more is lost at present than the way is known to lose.
    pub fn is_doubtful(&self) -> bool {
        self.suspicion.is_some()
    }

    /// Takes the packets of one feedback that covers `elapsed` while a queue of `queue_us` stood.
    /// Returns how many of the lost ones to leave out of it.
    pub fn on_report(&mut self, reported: Reported, elapsed: Duration, queue_us: i64) -> u32 {
        self.window.packets += reported.packets;
        self.window.lost += reported.lost;
        self.window.bytes += reported.bytes;
        self.elapsed += elapsed;
        self.queued |= queue_us > QUEUE_US;
        if self.window.packets >= WINDOW_PACKETS && self.elapsed >= WINDOW {
            self.close();
        }
        self.hidden(reported)
    }

    fn hidden(&mut self, reported: Reported) -> u32 {
        let inherent = match self.inherent {
            None if self.queued => 0.0,
            // Not a window yet: what to make of it is known a moment later.
            None => f64::from(reported.lost) / f64::from(reported.packets.max(1)),
            Some(inherent) => inherent,
        };
        if inherent < LEAST_LOSS {
            self.credit = 0.0;
            return 0;
        }
        // Of the lost packets of a full link on top, that share would have been lost as well.
        self.credit += (inherent * MARGIN + ALLOWANCE) * f64::from(reported.packets);
        let hidden = (self.credit + SLACK).max(0.0).min(f64::from(reported.lost)).floor();
        self.credit = (self.credit - hidden).min(SLACK);
        hidden as u32
    }

    fn close(&mut self) {
        let window = std::mem::take(&mut self.window);
        let elapsed = std::mem::take(&mut self.elapsed).as_secs_f64();
        let queued = std::mem::take(&mut self.queued);
        let packets = f64::from(window.packets);
        let ratio = f64::from(window.lost) / packets;
        let arrived = 1.0 - ratio;
        // What was sent, by what arrived of it.
        let bps = window.bytes as f64 * 8.0 / elapsed / arrived.max(0.05);
        let Some(inherent) = self.inherent else {
            self.first.add(Rate { packets, lost: f64::from(window.lost), bps });
            self.establish(if queued { 0.0 } else { ratio });
            return;
        };
        if self.first.packets < FIRST_PACKETS {
            self.first.add(Rate { packets, lost: f64::from(window.lost), bps });
            return self.establish(if queued { 0.0 } else { self.first.ratio() });
        }
        let noise = deviation(inherent, packets).max(0.5 / packets);
        // One window of a thousand is that far off by chance, two in a row are not.
        let is_less = ratio < inherent - SIGMAS * noise;
        let improved = std::mem::replace(&mut self.hopeful, is_less) && is_less;
        if ratio <= inherent + SIGMAS * noise {
            (self.suspicion, self.doubtful) = (None, false);
            // A full link can't make a way look better than it is.
            if ratio < inherent || !queued {
                let weight = if improved { 0.5 } else { WEIGHT };
                let moved = inherent + weight * (ratio - inherent);
                if improved {
                    self.established = self.established.min(moved);
                }
                self.inherent = Some(moved.min(self.highest()));
            }
            return;
        }
        if queued {
            (self.suspicion, self.doubtful) = (None, false);
            return;
        }
        let now = Rate { packets, lost: f64::from(window.lost), bps };
        let Some(suspicion) = &mut self.suspicion else {
            // The window in which it began is half of this and half of that.
            let was_doubtful = std::mem::replace(&mut self.doubtful, true);
            self.suspicion = was_doubtful.then_some(Suspicion { before: now, after: None });
            return;
        };
        match suspicion.verdict(now, inherent) {
            Some(true) => {
                let ratio = suspicion.after.map_or(ratio, |after| after.ratio());
                self.establish(ratio);
            }
            Some(false) => self.suspicion = None,
            None => {}
        }
    }

    /// What may be believed without a verdict.
    fn highest(&self) -> f64 {
        let chance = SIGMAS * deviation(self.established, f64::INFINITY);
        self.established + chance.max(self.established * DRIFT)
    }

    fn establish(&mut self, ratio: f64) {
        (self.inherent, self.established, self.suspicion) = (Some(ratio), ratio, None);
    }
}

/// Standard deviation of the difference between the loss of so many packets and what is known.
fn deviation(known: f64, packets: f64) -> f64 {
    (known * (1.0 - known) * (1.0 / packets + 1.0 / KNOWN_PACKETS)).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netem::Rng;

    const STEP: Duration = Duration::from_millis(100);

    /// A sender that halves its rate on more than 10 % of reported loss and grows else, over a
    /// way with its own loss and a link without a queue.
    struct Sender {
        rng: Rng,
        judge: UplinkJudge,
        bps: f64,
        /// Share of loss it heard of lately.
        told: f64,
    }

    impl Sender {
        fn new(seed: u64, bps: f64) -> Sender {
            Sender { rng: Rng::new(seed), judge: UplinkJudge::default(), bps, told: 0.0 }
        }

        /// Mean rate of the last half.
        fn run(&mut self, seconds: u32, loss: f64, link_bps: f64) -> f64 {
            let (mut sum, mut count) = (0.0, 0);
            for step in 0..seconds * 10 {
                let packets = (self.bps / 80_000.0).round().max(2.0) as u32;
                let fits = (link_bps / 80_000.0).min(f64::from(packets)) / f64::from(packets);
                let arrived = (0..packets)
                    .filter(|_| !self.rng.chance(loss) && self.rng.chance(fits))
                    .count() as u32;
                let lost = packets - arrived;
                let reported = Reported { packets, lost, bytes: u64::from(arrived) * 1_000 };
                let hidden = self.judge.on_report(reported, STEP, 0);
                assert!(hidden <= lost);
                let told = f64::from(lost - hidden) / f64::from(packets - hidden).max(1.0);
                self.told += 0.3 * (told - self.told);
                match self.told > 0.1 {
                    true => self.bps = (self.bps * (1.0 - 0.2 * self.told)).max(50_000.0),
                    false => self.bps = (self.bps * 1.02).min(2_000_000.0),
                }
                if step >= seconds * 5 {
                    sum += self.bps;
                    count += 1;
                }
            }
            sum / f64::from(count)
        }
    }

    #[test]
    fn random_loss_does_not_slow_the_sender_down() {
        for seed in 0..5 {
            for loss in [0.1, 0.3, 0.5, 0.7] {
                let mut sender = Sender::new(seed, 300_000.0);
                let bps = sender.run(30, loss, 1e9);
                assert!(bps > 700_000.0, "{loss}: {bps}");
                assert!((sender.judge.inherent() - loss).abs() < 0.12, "{loss}");
            }
        }
    }

    #[test]
    fn loss_that_begins_later_slows_the_sender_down_for_a_moment() {
        for seed in 0..5 {
            let mut sender = Sender::new(seed, 300_000.0);
            sender.run(20, 0.0, 1e9);
            sender.run(3, 0.7, 1e9);
            let bps = sender.run(30, 0.7, 1e9);
            assert!(bps > 500_000.0, "{bps}");
        }
    }

    #[test]
    fn a_full_link_without_a_queue_is_told() {
        for seed in 0..5 {
            let mut sender = Sender::new(seed, 300_000.0);
            let bps = sender.run(60, 0.0, 500_000.0);
            assert!(bps < 700_000.0, "{bps}");
        }
    }

    #[test]
    fn a_full_link_on_a_lossy_way_is_told() {
        for seed in 0..5 {
            for loss in [0.3, 0.5] {
                let mut sender = Sender::new(seed, 300_000.0);
                sender.run(10, loss, 1e9);
                sender.run(20, loss, 600_000.0);
                let bps = sender.run(40, loss, 600_000.0);
                // It would be 2 Mb/s.
                assert!(bps < 1_300_000.0, "{loss}: {bps}");
            }
        }
    }

    #[test]
    fn loss_with_a_queue_is_never_the_ways_own() {
        let mut judge = UplinkJudge::default();
        let none = Reported { packets: 30, lost: 0, bytes: 30_000 };
        (0..20).for_each(|_| assert_eq!(judge.on_report(none, STEP, 0), 0));
        let half = Reported { packets: 30, lost: 15, bytes: 15_000 };
        (0..100).for_each(|_| assert_eq!(judge.on_report(half, STEP, 80_000), 0));
        assert_eq!(judge.inherent(), 0.0);
        let mut first = UplinkJudge::default();
        (0..20).for_each(|_| assert_eq!(first.on_report(half, STEP, 80_000), 0));
        assert_eq!(first.inherent(), 0.0, "from the start");
    }

    #[test]
    fn small_losses_are_told() {
        let mut judge = UplinkJudge::default();
        for _ in 0..50 {
            let reported = Reported { packets: 50, lost: 2, bytes: 48_000 };
            judge.on_report(reported, STEP, 0);
        }
        let reported = Reported { packets: 50, lost: 2, bytes: 48_000 };
        assert_eq!(judge.on_report(reported, STEP, 0), 0);
    }
}
