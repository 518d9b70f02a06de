//! How much may be sent to one subscriber: bandwidth estimation at the sender.
//!
//! Sans-IO. Sizes of sent packets and feedback come in with the time in µs since any epoch; a
//! budget, bursts to send and the next timeout come out.
//!
//! What it is made of: the delay-based controller of draft-ietf-rmcat-gcc-02 ([`delay`],
//! [`aimd`]), which sees the queue of a link grow; a judge of losses that tells a full link from
//! a bad one ([`loss`]), because a path that loses half of everything may still have room;
//! probing ([`probe`]); an estimate of the standing queue, which is drained after a fall of the
//! rate ([`queue`]). The first burst of media shows a narrow link before anything is probed
//! ([`opening`]). Clients without transport-wide feedback are served by what they offer:
//! REMB, or the losses of their receiver reports.

mod acked;
mod aimd;
mod competition;
mod delay;
mod drain;
mod filling;
mod history;
mod loss;
mod opening;
mod probe;
mod queue;
#[cfg(test)]
mod tests;

use media_prefetch::{prefetch, prefetch_span};

use crate::rtcp::TwccFeedback;
use crate::rtp::SeqNo;

use acked::AckedRate;
use aimd::{Observation, RateControl};
use competition::Competition;
use delay::{DelayDetector, Usage};
use drain::Drain;
use filling::Filling;
use history::{Fate, SentHistory};
use loss::{LossJudge, Tally, Verdict};
use opening::{Opening, Shown};
use probe::{ProbeBounds, Prober};
pub(crate) use queue::QueueDelay;

/// Time for the first feedback, and then for the first burst or probes to show something.
const SETTLING_US: i64 = 1_500_000;
/// Without a burst to look at for this long the path is probed all the same.
const OPENING_US: i64 = 600_000;
/// Without any feedback for this long (and two round trips) something is wrong.
const SILENCE_US: i64 = 2_500_000;
/// Then the rate falls by a fifth this often.
const SILENCE_STEP_US: i64 = 500_000;
const SILENCE_FACTOR: f64 = 0.8;
/// And no further than to this: speech goes on.
const SILENCE_LEAST_BPS: f64 = 100_000.0;
/// Statuses in one feedback beyond which it is not believed: nobody has that many in flight.
const MAX_STATUSES: u16 = 16_384;
/// Arrivals beyond what was sent are a trick of the receiver's clock.
const MAX_ACKED_SHARE: f64 = 1.5;
/// More than this is wanted by nobody who wants only sound.
const PICTURES_BPS: u64 = 150_000;
/// Loss without delays that differ by this much is not that of a full link.
const OPENING_SPREAD_US: i64 = 10_000;
/// What is kept of what the first burst has shown.
const OPENING_SHARE: f64 = 0.9;
/// What is kept of what a link that drops packets carries.
const LOSS_SHARE: f64 = 0.95;
/// A change of the budget by less than this share is not worth telling.
const NOTICEABLE: f64 = 0.03;
/// A standing queue above this share of the jitter and this long backs what the trend says.
const LEAST_QUEUE_US: i64 = 5_000;
const JITTER_SHARE: i64 = 8;
/// A REMB below this share of the one before says that the path is full.
const REMB_FELL: f64 = 0.9;
/// No probing into a queue longer than this.
const PROBE_QUEUE_US: i64 = 100_000;
/// Nor this soon after the rate fell.
const PROBE_REST_US: i64 = 2_000_000;
const DEFAULT_ROUND_TRIP_US: i64 = 100_000;
/// The receiver counts time in units of 64 ms, in 24 bits.
const REFERENCE_BITS: u32 = 24;
const REFERENCE_US: i64 = 64_000;

/// Bounds of the estimate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub(crate) start_bps: u64,
    pub(crate) least_bps: u64,
    pub(crate) most_bps: u64,
}

/// A packet that arrived.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Delivered {
    /// On our clock.
    pub(crate) sent_us: i64,
    /// On the receiver's clock: only differences count.
    pub(crate) arrival_us: i64,
    pub(crate) size: u16,
}

/// Working memory of a feedback: what was delivered, and of which probe it was a part.
pub(crate) type DeliveredPackets = Vec<(Delivered, u16)>;

/// What the estimate is taken from, best last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Source {
    Nothing,
    Reports,
    Remb,
    TransportWide,
}

/// State while no feedback comes.
#[derive(Debug, Clone, Copy)]
struct Silence {
    /// Rate before.
    before_bps: f64,
    bps: f64,
    next_step_us: i64,
}

/// What one feedback said, besides the deliveries.
#[derive(Debug, Clone, Copy, Default)]
struct Report {
    tally: Tally,
    newest_sent_us: i64,
    skipped_bytes: u64,
}

/// Bandwidth estimation for one transport.
///
/// Fields lie in memory as they stand here: what is needed together lies together.
#[derive(Debug, Clone)]
#[repr(C)]
pub(crate) struct BandwidthEstimator {
    history: SentHistory,
    unanswered_since_us: Option<i64>,
    /// When a packet was first sent that transport-wide feedback can be about.
    first_sent_us: Option<i64>,
    sent: AckedRate,
    prober: Prober,
    bounds: Bounds,
    source: Source,
    control: RateControl,
    detector: DelayDetector,
    queue: QueueDelay,
    drain: Drain,
    competition: Competition,
    acked: AckedRate,
    loss: LossJudge,
    /// Until the path has shown something by itself.
    opening: Option<Opening>,
    /// Nothing was measured yet: what is believed gives way to whatever is.
    is_guess: bool,
    wanted_bps: f64,
    /// One past the highest number any feedback was about.
    covered: u64,
    /// Last reference time as received, and without its wraps.
    reference: Option<(i32, i64)>,
    round_trip_us: i64,
    /// When pictures were first wanted, after feedback was first heard.
    sought_us: Option<i64>,
    silence: Option<Silence>,
    /// Packets sent before say nothing: they fell into an interruption.
    ignored_before_us: i64,
    told: Option<u64>,
    arrivals: DeliveredPackets,
    filling: Filling,
}

impl BandwidthEstimator {
    /// Starts without knowing anything; the first packet has to carry `first`.
    pub(crate) fn new(bounds: Bounds, first: SeqNo) -> BandwidthEstimator {
        let history = SentHistory::new(first);
        BandwidthEstimator {
            bounds,
            covered: history.end(),
            history,
            source: Source::Nothing,
            control: RateControl::new(bounds.start_bps as f64),
            detector: DelayDetector::default(),
            queue: QueueDelay::default(),
            drain: Drain::default(),
            competition: Competition::default(),
            acked: AckedRate::default(),
            sent: AckedRate::default(),
            loss: LossJudge::default(),
            prober: Prober::default(),
            opening: Some(Opening::default()),
            is_guess: true,
            wanted_bps: 0.0,
            reference: None,
            round_trip_us: DEFAULT_ROUND_TRIP_US,
            first_sent_us: None,
            sought_us: None,
            unanswered_since_us: None,
            silence: None,
            ignored_before_us: i64::MIN,
            told: None,
            arrivals: Vec::new(),
            filling: Filling::default(),
        }
    }

    /// The transport-wide number the next packet has to carry.
    #[inline]
    pub(crate) fn next_number(&self) -> SeqNo {
        self.history.next_number()
    }

    /// Remembers a packet of `size` bytes, sent under [`BandwidthEstimator::next_number`] if
    /// `is_numbered`.
    #[inline]
    pub(crate) fn on_sent(&mut self, now_us: i64, size: usize, is_numbered: bool) {
        self.sent.add(now_us, size as u64);
        if self.source == Source::Remb {
            self.filling.on_sent(size);
        }
        if !is_numbered {
            return;
        }
        self.first_sent_us.get_or_insert(now_us);
        let probe = self.prober.on_sent(now_us, size);
        self.history.record(now_us, size, probe);
        self.unanswered_since_us.get_or_insert(now_us);
    }

    /// A packet was sent again under the number it had: its arrival says nothing.
    pub(crate) fn on_repeated(&mut self, number: SeqNo) {
        if let Some(packet) =
            self.history.find(number).and_then(|number| self.history.get_mut(number))
        {
            packet.is_repeated = true;
        }
    }

    /// Has fetched the places [`BandwidthEstimator::on_sent`] will need.
    #[inline]
    pub(crate) fn prefetch(&self) {
        prefetch_span(&self.history, &self.sent);
        prefetch(&self.prober);
    }

    /// The same for what is behind pointers, a moment later.
    #[inline]
    pub(crate) fn prefetch_records(&self) {
        self.history.prefetch();
    }

    /// Has fetched what feedback will be about.
    #[inline]
    pub(crate) fn prefetch_unanswered(&self) {
        self.history.prefetch_from(self.covered);
    }

    /// Whether the first feedback, the first burst or the first probes are still under way:
    /// nothing is known of the path until then.
    pub(crate) fn is_settling(&self, now_us: i64) -> bool {
        match self.source {
            Source::Nothing => self.awaits_feedback(now_us),
            Source::TransportWide => {
                (self.opening.is_some() || self.prober.is_busy())
                    && self.sought_us.is_none_or(|sought_us| now_us < sought_us + SETTLING_US)
            }
            Source::Reports | Source::Remb => false,
        }
    }

    /// Packets were sent that transport-wide feedback can be about, and not long ago.
    fn awaits_feedback(&self, now_us: i64) -> bool {
        self.source == Source::Nothing
            && self.first_sent_us.is_some_and(|first_us| now_us < first_us + SETTLING_US)
    }

    /// Whether it is known what the path can't carry: it was full lately, or since it was
    /// probed last.
    pub(crate) fn knows_limit(&self, now_us: i64) -> bool {
        self.control.knows_limit(now_us)
    }

    /// What the path carries, retransmissions included; `None` until feedback was seen.
    pub(crate) fn estimate_bps(&self) -> Option<u64> {
        self.limited_bps(1.0)
    }

    /// What may be sent now: the estimate, or less while a queue is emptied.
    pub(crate) fn budget_bps(&self) -> Option<u64> {
        self.limited_bps(self.drain.factor())
    }

    fn limited_bps(&self, factor: f64) -> Option<u64> {
        if self.source == Source::Nothing {
            return self.loss.cap_bps().map(|cap| (cap as u64).max(self.bounds.least_bps));
        }
        if let Some(silence) = self.silence {
            return Some(silence.bps as u64);
        }
        let cap = self.loss.cap_bps().unwrap_or(f64::MAX);
        let bps = (self.control.bps() * factor).min(cap);
        Some((bps as u64).clamp(self.bounds.least_bps, self.bounds.most_bps))
    }

    /// What bursts are spread for; `None` where the budget is too rough for that.
    pub(crate) fn pacing_bps(&self, now_us: i64) -> Option<u64> {
        if self.awaits_feedback(now_us) {
            return Some(self.bounds.start_bps);
        }
        self.budget_bps().filter(|_| self.source >= Source::Remb)
    }

    /// The estimate, if it has moved noticeably since it was last taken here.
    pub(crate) fn take_change(&mut self) -> Option<Option<u64>> {
        let estimate = self.estimate_bps();
        let is_noticeable = match (self.told, estimate) {
            (Some(told), Some(now)) => told.abs_diff(now) as f64 > NOTICEABLE * told as f64,
            (told, now) => told != now,
        };
        is_noticeable.then(|| {
            self.told = estimate;
            estimate
        })
    }

    /// Rate that reaches the subscriber.
    pub(crate) fn acked_bps(&self) -> Option<u64> {
        self.acked.bps().map(|bps| bps as u64)
    }

    /// Share of the packets lost lately, 0..=1.
    pub(crate) fn loss_ratio(&self) -> Option<f64> {
        self.loss.ratio()
    }

    /// How long packets wait in the queue of the link, whatever is sent.
    pub(crate) fn standing_queue_us(&self) -> i64 {
        if self.is_queued() { self.queue.standing_us() } else { 0 }
    }

    /// Share of the packets the path loses whatever is sent, as far as that was tried out.
    pub(crate) fn inherent_loss(&self) -> f64 {
        self.loss.inherent()
    }

    /// Bytes on the heap, about.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.history.memory_bytes() + self.arrivals.capacity() * size_of::<(Delivered, u16)>()
    }

    /// Exchanges the memory feedback is read into: lent for that time, it is there in the cache
    /// for all transports in turn.
    #[inline]
    pub(crate) fn swap_memory(&mut self, memory: &mut DeliveredPackets) {
        std::mem::swap(&mut self.arrivals, memory);
    }

    /// Takes transport-wide feedback. `round_trip_us` as known from reports.
    pub(crate) fn on_feedback(
        &mut self,
        now_us: i64,
        feedback: &TwccFeedback<'_>,
        round_trip_us: Option<i64>,
    ) {
        if feedback.status_count > MAX_STATUSES {
            return;
        }
        self.arrivals.clear();
        let Some(report) = self.read(feedback) else { return };
        if let Some(round_trip_us) = round_trip_us {
            self.round_trip_us = round_trip_us;
        } else if let Some((newest, _)) = self.arrivals.last() {
            self.round_trip_us = (now_us - newest.sent_us).clamp(1_000, 2_000_000);
        }
        if self.source < Source::TransportWide {
            self.source = Source::TransportWide;
            self.control = RateControl::new(self.bounds.start_bps as f64);
        }
        self.unanswered_since_us = None;
        self.resume(&report);
        self.measure(&report);
        self.open(now_us, &report);
        self.control(now_us, &report);
    }

    /// Believes what the first burst has shown.
    fn open(&mut self, now_us: i64, report: &Report) {
        let Some(opening) = &self.opening else { return };
        match opening.shown() {
            Some(Shown::Narrow(bps)) if bps < self.control.bps() => {
                self.control.cut(now_us, bps, OPENING_SHARE);
                self.control.clamp(self.bounds.least_bps as f64, self.bounds.most_bps as f64);
                self.prober.hold_off(now_us);
                self.opening = None;
                self.is_guess = false;
            }
            Some(_) => self.begin_probing(),
            // Bursts arrive in pieces here, and what a judge of losses needs is packets.
            None if report.tally.lost > 0 && self.queue.spread_us() < OPENING_SPREAD_US => {
                self.begin_probing();
            }
            None => {}
        }
    }

    fn begin_probing(&mut self) {
        let start = self.bounds.start_bps as f64;
        self.prober.start([3.0 * start, 6.0 * start]);
        self.opening = None;
    }

    /// Reads the fates of packets into the history; deliveries go to `arrivals`, by arrival.
    /// `None` if there is nothing new.
    fn read(&mut self, feedback: &TwccFeedback<'_>) -> Option<Report> {
        let offset_us = self.unwrap_reference(feedback.reference_time);
        let mut report = Report { newest_sent_us: i64::MIN, ..Report::default() };
        let mut is_new = false;
        for status in feedback.packets() {
            let Some(number) = self.history.find(status.sequence) else { continue };
            if number > self.covered {
                report.skipped_bytes += self.skip(number);
            }
            self.covered = self.covered.max(number + 1);
            let Some(packet) = self.history.get_mut(number) else { continue };
            let before = packet.fate;
            let is_settled = before == Fate::Delivered || packet.is_repeated;
            let is_known = matches!(before, Fate::Lost | Fate::Delivered);
            packet.fate = if status.arrival_us.is_some() || before == Fate::Delivered {
                Fate::Delivered
            } else {
                Fate::Lost
            };
            is_new |= packet.fate != before;
            if !is_known && packet.sent_us >= self.ignored_before_us {
                let lost = u32::from(status.arrival_us.is_none());
                let bytes = u64::from(packet.size);
                let lost_bytes = bytes * u64::from(lost);
                report.tally += Tally { packets: 1, lost, bytes, lost_bytes };
                report.newest_sent_us = report.newest_sent_us.max(packet.sent_us);
            }
            if is_settled {
                continue;
            }
            match status.arrival_us {
                Some(arrival_us) => {
                    let arrival_us = arrival_us + offset_us;
                    let (sent_us, size) = (packet.sent_us, packet.size);
                    let delivered = Delivered { sent_us, arrival_us, size };
                    self.arrivals.push((delivered, packet.probe));
                }
                None if packet.probe != 0 && before == Fate::Unknown => {
                    self.prober.on_result(packet.probe, None);
                }
                None => {}
            }
        }
        self.arrivals.sort_by_key(|(packet, _)| (packet.arrival_us, packet.sent_us));
        is_new.then_some(report)
    }

    /// What to add to arrival times of this feedback so that they go on where the last ended.
    fn unwrap_reference(&mut self, reference: i32) -> i64 {
        let (last, unwrapped) = self.reference.unwrap_or((reference, i64::from(reference)));
        let step = (reference.wrapping_sub(last)) << (32 - REFERENCE_BITS) >> (32 - REFERENCE_BITS);
        // Years of forward jumps end at the same place instead of overflowing.
        let unwrapped = unwrapped.saturating_add(i64::from(step)).clamp(-(1 << 40), 1 << 40);
        self.reference = Some((reference, unwrapped));
        (unwrapped - i64::from(reference)) * REFERENCE_US
    }

    /// The feedback about the packets up to `number` was lost. Returns their bytes.
    fn skip(&mut self, number: u64) -> u64 {
        let mut bytes = 0;
        for skipped in self.covered..number {
            let Some(packet) = self.history.get_mut(skipped) else { continue };
            if packet.fate == Fate::Unknown {
                packet.fate = Fate::Skipped;
                bytes += u64::from(packet.size);
            }
        }
        bytes
    }

    /// Feedback is back after a silence.
    fn resume(&mut self, report: &Report) {
        let Some(silence) = self.silence.take() else { return };
        let lost = f64::from(report.tally.lost);
        let expected = self.loss.inherent().max(0.5) * f64::from(report.tally.packets);
        if lost <= expected {
            // Only the way back was interrupted.
            return self.control.set(silence.before_bps);
        }
        let first_arrived = self.arrivals.iter().map(|(packet, _)| packet.sent_us).min();
        self.ignored_before_us = first_arrived.unwrap_or(i64::MIN);
        self.detector.restart();
        self.queue = QueueDelay::default();
        self.acked = AckedRate::default();
        self.loss.interrupt();
        self.control.set(silence.before_bps / 2.0);
        self.opening = None;
        self.prober.start([silence.before_bps]);
    }

    fn measure(&mut self, report: &Report) {
        let Some((first, _)) = self.arrivals.first().copied() else { return };
        // What is known of the packets nobody reported about: they fared like the others.
        let kept = 1.0 - self.loss.ratio().unwrap_or(0.0);
        let skipped = (report.skipped_bytes as f64 * kept) as u64;
        if skipped > 0 {
            self.acked.add(first.arrival_us, skipped);
        }
        for (packet, probe) in &self.arrivals {
            if *probe != 0 {
                self.prober.on_result(*probe, Some(packet));
            }
            if packet.sent_us < self.ignored_before_us {
                continue;
            }
            if let Some(opening) = &mut self.opening {
                opening.on_packet(packet);
            }
            self.acked.add(packet.arrival_us, u64::from(packet.size));
            self.detector.on_packet(packet);
            self.queue.on_packet(packet);
        }
    }

    /// The standing queue is long enough to back what trend and losses say.
    fn is_queued(&self) -> bool {
        self.queue.standing_us() > LEAST_QUEUE_US.max(self.queue.spread_us() / JITTER_SHARE)
    }

    fn control(&mut self, now_us: i64, report: &Report) {
        let is_queued = self.is_queued();
        self.competition.update(now_us, self.queue.standing_us());
        let competes = self.competition.is_active(now_us);
        self.detector.set_alone(!competes);
        if report.tally.packets > 0 {
            let seriously = is_queued && self.queue.standing_us() > 4 * LEAST_QUEUE_US;
            let at_us = report.newest_sent_us;
            let verdict = self.loss.add(at_us, report.tally, seriously);
            self.on_verdict(now_us, verdict);
        }
        let usage = match self.detector.usage() {
            Usage::Overuse if !is_queued => Usage::Normal,
            Usage::Overuse if self.opening.as_ref().is_some_and(Opening::is_under_way) => {
                Usage::Normal
            }
            usage => usage,
        };
        let seen = Observation {
            usage,
            throughput_bps: self.throughput_bps(),
            round_trip_us: self.round_trip_us,
            hold: self.loss.cap_bps().is_some() || self.drain.factor() < 1.0,
            competes,
        };
        if self.control.update(now_us, &seen) {
            self.opening = None;
            self.is_guess = false;
            self.prober.hold_off(now_us);
            self.prober.stop();
        }
        self.on_probe_result(now_us);
        self.control.clamp(self.bounds.least_bps as f64, self.bounds.most_bps as f64);
        let decreased_us = self.control.decreased_us();
        match competes {
            true => self.drain.stop(),
            false => self.drain.update(now_us, self.queue.standing_us(), decreased_us),
        }
    }

    fn on_verdict(&mut self, now_us: i64, verdict: Option<Verdict>) {
        match verdict {
            Some(Verdict::Congested(carried_bps)) => {
                self.control.cut(now_us, carried_bps, LOSS_SHARE);
                self.opening = None;
                self.prober.hold_off(now_us);
                self.prober.stop();
            }
            Some(Verdict::Inherent) => self.prober.hold_off(now_us),
            None => {}
        }
    }

    fn on_probe_result(&mut self, now_us: i64) {
        let bounds = self.probe_bounds();
        let inherent = self.loss.inherent();
        let Some(found) = self.prober.take_result(now_us, inherent, &bounds) else { return };
        if found.bps > self.control.bps() {
            self.control.set(found.bps);
        } else if self.is_guess && found.is_filled {
            self.control.cut(now_us, found.bps, OPENING_SHARE);
            self.prober.hold_off(now_us);
        }
        self.is_guess = false;
    }

    /// What gets through, were it not for the path's own losses.
    fn throughput_bps(&self) -> Option<f64> {
        let acked = self.acked.bps()? / (1.0 - self.loss.inherent());
        Some(acked.min(MAX_ACKED_SHARE * self.sent.bps()?))
    }

    /// Takes a receiver's own estimate. Ignored once there is transport-wide feedback.
    pub(crate) fn on_remb(&mut self, now_us: i64, bps: u64) {
        if self.source > Source::Remb {
            return;
        }
        self.source = Source::Remb;
        let most = self.sent.bps().map_or(0.0, |sent| sent * 2.0 + 100_000.0);
        let bps = (bps as f64).min(most.max(self.bounds.start_bps as f64));
        if bps < self.control.bps() {
            self.prober.hold_off(now_us);
        }
        if bps < REMB_FELL * self.control.bps() {
            self.filling.stop(now_us);
        }
        self.control.set(bps);
        self.control.clamp(self.bounds.least_bps as f64, self.bounds.most_bps as f64);
    }

    /// Takes the losses of a receiver report. Ignored once there is better feedback; until they
    /// show that the path is too narrow there is no limit.
    pub(crate) fn on_report(&mut self, now_us: i64, packets: u32, bytes: u64, fraction_lost: f64) {
        if self.source > Source::Reports || packets == 0 {
            return;
        }
        let lost = (f64::from(packets) * fraction_lost) as u32;
        let lost_bytes = (bytes as f64 * fraction_lost) as u64;
        let verdict = self.loss.add(now_us, Tally { packets, lost, bytes, lost_bytes }, false);
        if let Some(Verdict::Congested(carried)) = verdict {
            if self.source == Source::Nothing {
                self.control = RateControl::new(carried);
                self.source = Source::Reports;
            }
            self.control.cut(now_us, carried, LOSS_SHARE);
        } else if self.source == Source::Reports {
            let kept = (1.0 - fraction_lost) / (1.0 - self.loss.inherent());
            let seen = Observation {
                usage: Usage::Normal,
                throughput_bps: self.sent.bps().map(|sent| sent * kept.min(1.0)),
                round_trip_us: self.round_trip_us,
                hold: self.loss.cap_bps().is_some(),
                competes: false,
            };
            self.control.update(now_us, &seen);
        }
        self.control.clamp(self.bounds.least_bps as f64, self.bounds.most_bps as f64);
    }

    fn probe_bounds(&self) -> ProbeBounds {
        ProbeBounds {
            estimate_bps: self.control.bps(),
            wanted_bps: self.wanted_bps,
            most_bps: self.bounds.most_bps as f64,
        }
    }

    /// Does what is due without feedback. `wanted_bps` is what the subscriber's tracks could use.
    pub(crate) fn poll(&mut self, now_us: i64, wanted_bps: u64) {
        self.wanted_bps = wanted_bps as f64;
        if self.source == Source::Remb {
            let may_try = self.loss.cap_bps().is_none();
            self.filling.poll(now_us, self.control.bps(), self.wanted_bps, may_try);
        }
        if self.source != Source::TransportWide {
            return;
        }
        self.check_silence(now_us);
        if wanted_bps > PICTURES_BPS {
            self.sought_us.get_or_insert(now_us);
        }
        self.on_probe_result(now_us);
        let rests = self.control.decreased_us().is_some_and(|at| now_us - at < PROBE_REST_US);
        let may_try = !rests
            && self.silence.is_none()
            && self.loss.cap_bps().is_none()
            && self.detector.usage() != Usage::Overuse
            && self.queue.standing_us() < PROBE_QUEUE_US;
        if self.opening.is_some() {
            if !may_try || self.opening_ends_us().is_none_or(|end_us| now_us < end_us) {
                return;
            }
            self.begin_probing();
        }
        let bounds = self.probe_bounds();
        self.prober.poll(now_us, &bounds, may_try);
    }

    /// When the path is probed whatever bursts there were.
    fn opening_ends_us(&self) -> Option<i64> {
        self.sought_us.map(|sought_us| sought_us + OPENING_US)
    }

    fn silent_from_us(&self) -> Option<i64> {
        Some(self.unanswered_since_us? + SILENCE_US + 2 * self.round_trip_us)
    }

    fn check_silence(&mut self, now_us: i64) {
        if let Some(silence) = &mut self.silence {
            while silence.next_step_us <= now_us {
                silence.next_step_us += SILENCE_STEP_US;
                let least = SILENCE_LEAST_BPS.min(silence.before_bps);
                silence.bps = (silence.bps * SILENCE_FACTOR).max(least);
            }
        } else if self.silent_from_us().is_some_and(|from| from <= now_us) {
            self.prober.stop();
            self.silence = Some(Silence {
                before_bps: self.control.bps(),
                bps: self.control.bps() * SILENCE_FACTOR,
                next_step_us: now_us + SILENCE_STEP_US,
            });
        }
    }

    /// Rate of the burst being sent, if there is one.
    pub(crate) fn probe_bps(&self) -> Option<u64> {
        self.prober.sending().map(|cluster| cluster.bps as u64)
    }

    /// Bytes of padding needed now to keep to the rate of the burst, or to fill what a receiver's
    /// own estimate allows.
    pub(crate) fn padding_bytes(&self, now_us: i64) -> u64 {
        match self.source {
            Source::Remb => self.filling.missing_bytes(now_us, self.control.bps()),
            _ => self.prober.missing_bytes(now_us),
        }
    }

    /// There is nothing to pad with.
    pub(crate) fn end_burst(&mut self, now_us: i64) {
        match self.source {
            Source::Remb => self.filling.stop(now_us),
            _ => self.prober.end_burst(now_us),
        }
    }

    /// When [`BandwidthEstimator::poll`] has something to do; may lie in the past.
    pub(crate) fn next_timeout_us(&self, now_us: i64) -> Option<i64> {
        if self.awaits_feedback(now_us) {
            return self.first_sent_us.map(|first_us| first_us + SETTLING_US);
        }
        if self.source == Source::Remb {
            return self.filling.next_timeout_us(now_us, self.control.bps(), self.wanted_bps);
        }
        if self.source != Source::TransportWide {
            return None;
        }
        let silence = match &self.silence {
            Some(silence) => Some(silence.next_step_us),
            None => self.silent_from_us(),
        };
        let probe = match self.opening {
            // When that has passed, feedback will say when the path can be probed.
            Some(_) => self.opening_ends_us().filter(|end_us| *end_us > now_us),
            None => self.prober.next_timeout_us(now_us, &self.probe_bounds()),
        };
        silence.into_iter().chain(probe).min()
    }
}
