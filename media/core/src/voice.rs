//! What one audio track and its subscriptions remember to be protected against loss.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use media_prefetch::prefetch;

use crate::carried::Carried;
use crate::nack::NackGenerator;
use crate::protect::{AudioHistory, LinkLoss, LossMeter, MAX_SPAN, Offsets, Steering};
use crate::reception::{Arrival, Reception};
use crate::red::{RedError, RedPayload};
use crate::rtcp::TwccFeedback;
use crate::rtp::{RtpHeader, SeqNo};

/// How often protection is looked at, while packets arrive.
const CHECK: Duration = Duration::from_millis(250);
/// Shortest time between two things told of one track or subscription.
const TELL: Duration = Duration::from_millis(500);
/// Chance that a copy still to come is lost too, from which on a frame is asked for as well.
const UNSURE: f64 = 0.05;
/// Packets whose fate is not known yet, at most: more than two seconds of frames of 20 ms.
const MAX_PENDING: usize = 128;
/// Differences of the playout delay that are not worth telling.
const LEAST_DELAY_STEP_MS: u32 = 40;

/// Receive side of an audio stream.
#[derive(Debug, Default)]
pub(crate) struct VoiceInput {
    pub(crate) history: AudioHistory,
    pub(crate) meter: LossMeter,
    /// Distances of the copies in its last packet, in frames.
    pub(crate) sent: Offsets,
    newest: Option<u64>,
}

/// Frames recovered from one packet: bit `n` stands for the one `n` numbers before it.
pub(crate) type Recovered = u64;

/// The stream a packet belongs to, as far as it matters for recovering others.
pub(crate) struct Repair<'a> {
    pub(crate) reception: &'a mut Reception,
    pub(crate) nack: Option<&'a mut NackGenerator>,
    /// Frames before this number were said while the track was paused.
    pub(crate) audible_from: u64,
    pub(crate) now: Instant,
}

impl VoiceInput {
    /// Takes a plain packet.
    pub(crate) fn on_plain(&mut self, ext_seq: u64, timestamp: u32, frame: &[u8]) {
        self.measure(ext_seq);
        self.sent = Offsets::NONE;
        self.history.insert(ext_seq, timestamp, frame);
    }

    /// Takes a packet with copies: keeps the frames that were missing, and makes a plain packet
    /// of `payload_type` out of it.
    ///
    /// # Errors
    ///
    /// The payload is malformed; nothing was changed.
    pub(crate) fn on_red(
        &mut self,
        (ext_seq, payload_type): (u64, u8),
        header: &mut RtpHeader,
        packet: &mut [u8],
        repair: Repair<'_>,
    ) -> Result<Recovered, RedError> {
        let payload = header.payload(packet);
        let red = RedPayload::parse(payload)?;
        let primary = red.primary();
        if primary.payload_type != payload_type {
            return Err(RedError::ForeignPrimary);
        }
        self.measure(ext_seq);
        self.history.insert(ext_seq, header.timestamp, primary.bytes(payload));
        let recovered =
            self.recover(ext_seq, header.timestamp, payload_type, (&red, payload), repair);
        let start = header.header_len;
        let range = primary.range();
        packet.copy_within(start + range.start..start + range.end, start);
        header.payload_end = start + range.len();
        header.payload_type = payload_type;
        packet[1] = packet[1] & 0x80 | payload_type;
        Ok(recovered)
    }

    fn recover(
        &mut self,
        ext_seq: u64,
        timestamp: u32,
        payload_type: u8,
        (red, payload): (&RedPayload, &[u8]),
        mut repair: Repair<'_>,
    ) -> Recovered {
        let frame_ticks = self.history.frame_ticks();
        let mut recovered = 0;
        self.sent = Offsets::NONE;
        // The nearest first: each is a neighbour to find the place of the next by.
        for block in red.redundant().iter().rev() {
            let bytes = block.bytes(payload);
            if block.payload_type != payload_type || bytes.is_empty() {
                continue;
            }
            self.sent.insert(u64::from(u32::from(block.offset) / frame_ticks));
            let timestamp = timestamp.wrapping_sub(block.offset.into());
            let Some(place) = self.history.place(ext_seq, timestamp, bytes) else { continue };
            // More than is ever asked for would be a way to make many packets out of one.
            if place < repair.audible_from || ext_seq - place > MAX_SPAN.into() {
                continue;
            }
            let received = repair.reception.on_repaired(SeqNo(place as u16), 0, repair.now);
            if received.arrival == Arrival::Duplicate || received.ext_seq != place {
                continue;
            }
            if let Some(nack) = &mut repair.nack {
                nack.on_packet(place, repair.now);
            }
            self.history.insert(place, timestamp, bytes);
            recovered |= 1 << (ext_seq - place);
        }
        recovered
    }

    fn measure(&mut self, ext_seq: u64) {
        match self.newest {
            Some(newest) if ext_seq <= newest => return,
            Some(newest) => self.meter.on_gap(ext_seq - newest - 1),
            None => self.meter.on_packet(false),
        }
        self.newest = Some(ext_seq);
    }

    /// Whether copies still to come will most likely bring the frame.
    pub(crate) fn will_bring(&self, ext_seq: u64) -> bool {
        let Some(newest) = self.newest else { return false };
        let copies = self.sent.beyond(newest.saturating_sub(ext_seq));
        copies > 0 && self.meter.loss().ratio.powi(copies as i32) < UNSURE
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        size_of::<VoiceInput>() + self.history.memory_bytes()
    }
}

/// What the publisher of a track is told.
#[derive(Debug, Default)]
pub(crate) struct VoiceWish {
    pub(crate) steering: Steering,
    told: (Offsets, Option<u32>),
    told_at: Option<Instant>,
    next_check: Option<Instant>,
}

impl VoiceWish {
    /// Whether it is time to look at the protection of the track and its subscriptions.
    #[inline]
    pub(crate) fn is_due(&mut self, now: Instant) -> bool {
        let is_due = self.next_check.is_none_or(|at| now >= at);
        if is_due {
            self.next_check = Some(now + CHECK);
        }
        is_due
    }

    /// Whether this is to be told now.
    pub(crate) fn tell(&mut self, wish: (Offsets, Option<u32>), now: Instant) -> bool {
        let is_new = wish != self.told && is_time(self.told_at, now);
        if is_new {
            (self.told, self.told_at) = (wish, Some(now));
        }
        is_new
    }
}

fn is_time(last: Option<Instant>, now: Instant) -> bool {
    last.is_none_or(|at| now.saturating_duration_since(at) >= TELL)
}

/// A packet whose fate is not known.
#[derive(Debug, Clone, Copy)]
struct Pending {
    /// Transport-wide.
    number: SeqNo,
    /// It was asked for: what arrives under its number now does so for the second time.
    is_repeated: bool,
}

/// Send side of an audio subscription.
#[derive(Debug, Default)]
pub(crate) struct VoiceOutput {
    pub(crate) steering: Steering,
    /// Copies in use: what is wanted, as far as it fits.
    pub(crate) offsets: Offsets,
    /// Of the present source, packets from this number on were for this subscriber.
    pub(crate) from: u64,
    /// Copies in the packets it was sent.
    pub(crate) carried: Carried,
    /// Packets whose fate is not known, in the order they were sent.
    pending: VecDeque<Pending>,
    /// Losses since the last packet that is known to have arrived.
    run: u64,
    told_delay_ms: u32,
    told_at: Option<Instant>,
}

impl VoiceOutput {
    /// Has fetched the packets whose fates are heard of next.
    #[inline]
    pub(crate) fn prefetch_pending(&self) {
        self.pending.front().inspect(|pending| prefetch(*pending));
    }

    /// A packet was sent under that transport-wide number.
    pub(crate) fn on_sent(&mut self, number: SeqNo) {
        if self.pending.len() == MAX_PENDING {
            self.pending.pop_front();
        }
        self.pending.push_back(Pending { number, is_repeated: false });
    }

    /// A packet is sent again under the number it had: the first time it was lost.
    pub(crate) fn on_repeated(&mut self, number: SeqNo) {
        let found = self.pending.iter_mut().rev().find(|pending| pending.number == number);
        if let Some(pending) = found {
            pending.is_repeated = true;
        }
    }

    /// Takes the fates of packets over into the meter of the way they took.
    pub(crate) fn on_fates(&mut self, fates: &Fates, meter: &mut LossMeter) {
        meter.switch_run(self.run);
        while let Some(Pending { number, is_repeated }) = self.pending.front() {
            match fates.of(*number) {
                Fate::Later => break,
                Fate::Unknown => drop(meter.switch_run(0)),
                Fate::Arrived => meter.on_packet(*is_repeated),
                Fate::Lost => meter.on_packet(true),
            }
            self.pending.pop_front();
        }
        self.run = meter.switch_run(0);
    }

    /// Whether this delay is to be told now.
    pub(crate) fn tell(&mut self, delay_ms: u32, now: Instant) -> bool {
        let step = delay_ms.abs_diff(self.told_delay_ms);
        let is_worth = step >= LEAST_DELAY_STEP_MS || step > 0 && delay_ms == 0;
        let is_new = is_worth && is_time(self.told_at, now);
        if is_new {
            (self.told_delay_ms, self.told_at) = (delay_ms, Some(now));
        }
        is_new
    }

    /// How long the subscriber was told to wait.
    pub(crate) fn told_delay_ms(&self) -> u32 {
        self.told_delay_ms
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        let pending = self.pending.capacity() * size_of::<Pending>();
        size_of::<VoiceOutput>() + pending + self.carried.memory_bytes()
    }
}

/// What became of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Arrived,
    Lost,
    /// It lies before what is reported.
    Unknown,
    /// It lies behind what is reported.
    Later,
}

/// What one feedback says, to be asked by number.
#[derive(Debug, Clone, Default)]
pub(crate) struct Fates {
    base: SeqNo,
    count: u16,
    arrived: Vec<u64>,
}

/// Statuses of one feedback that are read; behind these packets count as not reported yet.
const MAX_STATUSES: u16 = 4_096;

impl Fates {
    /// Reads a feedback, reusing the memory.
    pub(crate) fn read(&mut self, feedback: &TwccFeedback<'_>) {
        self.base = feedback.base_sequence;
        self.count = feedback.status_count.min(MAX_STATUSES);
        self.arrived.clear();
        self.arrived.resize(usize::from(self.count).div_ceil(64), 0);
        for (index, status) in feedback.packets().take(self.count.into()).enumerate() {
            self.arrived[index / 64] |= u64::from(status.arrival_us.is_some()) << (index % 64);
        }
    }

    /// Takes the fates of all packets reported, in the order they were sent.
    pub(crate) fn measure(&self, meter: &mut LossMeter) {
        for index in 0..usize::from(self.count) {
            meter.on_packet(self.arrived[index / 64] >> (index % 64) & 1 == 0);
        }
    }

    /// What became of the packet with this transport-wide number.
    pub(crate) fn of(&self, number: SeqNo) -> Fate {
        match number.diff(self.base) {
            ..0 => Fate::Unknown,
            distance if distance as u16 >= self.count => Fate::Later,
            distance => {
                let index = distance as usize;
                let has_arrived = self.arrived[index / 64] >> (index % 64) & 1 == 1;
                if has_arrived { Fate::Arrived } else { Fate::Lost }
            }
        }
    }
}

/// What playout has to wait for.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Waits {
    pub(crate) frame: Duration,
    pub(crate) uplink: Way,
    pub(crate) downlink: Way,
    pub(crate) jitter_ms: u32,
}

/// What one way has to repair losses with.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Way {
    pub(crate) loss: LinkLoss,
    /// Frames until the last copy; zero without copies.
    pub(crate) span: u8,
    /// Round trip of a request, where lost packets are asked for.
    pub(crate) round_trip_ms: Option<u32>,
}

/// Requests for one packet that are waited for at most.
const MAX_REQUESTS: f64 = 4.0;
/// Nobody waits longer for what was lost.
const MAX_DELAY_MS: u32 = 600;
/// Losses below this are left to what the player does by itself.
const LEAST_LOSS: f64 = 0.01;

/// Rounded up: whoever waits too short hears a gap.
fn in_ms(time: Duration) -> u32 {
    time.as_micros().div_ceil(1_000) as u32
}

impl Way {
    fn wait_ms(&self, frame: Duration) -> u32 {
        if self.span > 0 {
            return in_ms(frame * self.span.into());
        }
        match self.round_trip_ms {
            Some(round_trip_ms) if self.loss.ratio >= LEAST_LOSS => {
                let requests = (0.0025_f64.ln() / self.loss.ratio.min(0.9).ln()).ceil();
                requests.clamp(1.0, MAX_REQUESTS) as u32 * (round_trip_ms + in_ms(frame))
            }
            _ => 0,
        }
    }
}

impl Waits {
    /// How long playout should be held back; zero: not at all.
    ///
    /// Both ways wait at the same time: frames that come late are sent on with copies that are
    /// all there at once. What is added is for the runs in which those leave.
    pub(crate) fn delay_ms(&self) -> u32 {
        let up_ms = self.uplink.wait_ms(self.frame);
        let down_ms = self.downlink.wait_ms(self.frame);
        let frame_ms = in_ms(self.frame);
        let longest = up_ms.max(down_ms);
        if longest == 0 {
            return 0;
        }
        let ratio = self.uplink.loss.ratio.min(0.8);
        let run_ms = if down_ms > 0 { 2.0 * ratio / (1.0 - ratio) } else { 0.0 };
        let run_ms = (run_ms * f64::from(frame_ms)) as u32;
        let delay_ms = longest + run_ms.min(up_ms) + frame_ms + self.jitter_ms;
        delay_ms.next_multiple_of(20).min(MAX_DELAY_MS)
    }
}
