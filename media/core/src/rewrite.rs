//! One continuous outgoing stream out of changing, interrupted and thinned incoming ones.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use media_prefetch::prefetch;

use crate::rtp::SeqNo;

/// The outgoing place of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rewritten {
    /// Sequence number to send.
    pub seq: SeqNo,
    /// The same, extended.
    pub ext_seq: u64,
    /// Timestamp to send.
    pub timestamp: u32,
}

/// Why a packet has no place in the outgoing stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// It is from before the point at which this source was switched to or resumed.
    BeforeSwitch,
    /// It is older than the history.
    TooOld,
    /// It was sent already, or skipped.
    Duplicate,
}

/// Which packet was sent under a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// Outgoing number, extended.
    pub outgoing: u64,
    /// Number in the source, extended.
    pub incoming: u64,
    /// Source it came from: see [`StreamRewriter::generation`].
    pub generation: u32,
    /// What its outgoing timestamp is ahead of the incoming one.
    pub timestamp_offset: u32,
    /// What was left with [`StreamRewriter::annotate`].
    pub note: u16,
    /// An empty packet in the place of one that never came: see [`StreamRewriter::fill`].
    pub is_filler: bool,
}

/// From `first` on, incoming numbers lie `behind` above the outgoing ones.
#[derive(Debug, Clone, Copy)]
struct Segment {
    first: u64,
    /// Incoming minus outgoing, modulo 2⁶⁴.
    behind: u64,
}

/// Memory of one sent packet.
#[derive(Debug, Clone, Copy)]
struct Slot {
    incoming: u64,
    /// Lower half of the extended outgoing number.
    outgoing: u32,
    /// Lower half of the generation plus one; zero: unused.
    generation: u16,
    note: u16,
}

/// Incoming number of empty packets: none of a source has it.
const FILLER: u64 = u64::MAX;

/// State of the source that is being forwarded.
#[derive(Debug, Clone)]
struct Source {
    /// Newest incoming number, sent or skipped.
    newest: u64,
    timestamp_offset: u32,
    /// How much of the offset only keeps timestamps rising: see [`StreamRewriter::align`].
    excess: u32,
}

/// What the next packet has to continue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Joint {
    /// Nothing: packets follow each other.
    None,
    /// The same source after a pause.
    Resume,
    /// Another source.
    Switch,
}

/// Gives the packets forwarded to one subscriber their sequence numbers and timestamps.
///
/// Numbers follow the source's, so that a packet the source lost is a gap the subscriber can
/// ask for, while packets left out on purpose ([`StreamRewriter::skip`]) leave none. Overtaken
/// packets find the place that was kept for them. No number is given twice. Constant time per
/// packet; 16 bytes for each packet of the history (16 KiB for 1,024), taken with the first,
/// and 2 KiB for the places of skipped packets, as needed.
#[derive(Debug, Clone)]
pub struct StreamRewriter {
    clock_rate_hz: u32,
    history: usize,
    slots: Vec<Slot>,
    segments: VecDeque<Segment>,
    source: Option<Source>,
    joint: Joint,
    /// How far the next source's clock reads behind the last one's.
    alignment: Option<u32>,
    generation: u32,
    /// Timestamp offsets of the last generations.
    offsets: [u32; Self::GENERATIONS],
    /// The first outgoing number.
    started: u64,
    /// One past the newest outgoing number.
    next: u64,
    /// Newest outgoing timestamp and when it was sent.
    last: Option<(u32, Instant)>,
}

impl StreamRewriter {
    /// Generations whose packets can be looked up.
    const GENERATIONS: usize = 8;
    /// Places of skipped packets kept: overtaken packets from before them are refused.
    const SEGMENTS: usize = 128;

    /// Starts before the first packet, which will get `first` and keep its timestamp.
    ///
    /// `history` is how many sent packets can be looked up, rounded up to a power of two.
    pub fn new(clock_rate_hz: u32, first: SeqNo, history: usize) -> StreamRewriter {
        StreamRewriter {
            clock_rate_hz,
            history: history.clamp(1, 1 << 15).next_power_of_two(),
            slots: Vec::new(),
            segments: VecDeque::new(),
            source: None,
            joint: Joint::None,
            alignment: None,
            generation: 0,
            offsets: [0; Self::GENERATIONS],
            started: (1 << 16) + u64::from(first.0),
            next: (1 << 16) + u64::from(first.0),
            last: None,
        }
    }

    /// Gives the packet `incoming` of the current source its place.
    ///
    /// # Errors
    ///
    /// The packet must not be sent: see [`Refused`].
    #[inline]
    pub fn rewrite(
        &mut self,
        incoming: u64,
        timestamp: u32,
        now: Instant,
    ) -> Result<Rewritten, Refused> {
        if self.joint != Joint::None || self.source.is_none() {
            self.join(incoming, timestamp, now);
        }
        let Some(source) = &mut self.source else { return Err(Refused::BeforeSwitch) };
        source.newest = source.newest.max(incoming);
        let timestamp = timestamp.wrapping_add(source.timestamp_offset);
        let outgoing = self.place(incoming)?;
        self.remember(outgoing, incoming)?;
        if outgoing >= self.next {
            self.next = outgoing + 1;
            self.last = Some((timestamp, now));
        }
        Ok(Rewritten { seq: SeqNo(outgoing as u16), ext_seq: outgoing, timestamp })
    }

    /// Leaves out the packet `incoming` without a gap. Returns `false` if it is too late for
    /// that: newer ones were sent, so its place exists, and the subscriber will ask for it
    /// until something, if only an empty packet, is sent there.
    pub fn skip(&mut self, incoming: u64) -> bool {
        let Some(source) = self.source.as_mut().filter(|_| self.joint == Joint::None) else {
            return true;
        };
        if incoming <= source.newest {
            return self.place(incoming).is_err();
        }
        source.newest = incoming;
        let Some(current) = self.segments.back_mut() else { return true };
        let behind = current.behind.wrapping_add(1);
        if current.first == incoming {
            // Nothing was sent since the last skipped packet.
            *current = Segment { first: incoming + 1, behind };
            return true;
        }
        if self.segments.len() == Self::SEGMENTS {
            self.segments.pop_front();
        }
        self.segments.push_back(Segment { first: incoming + 1, behind });
        true
    }

    /// The next packet comes from another source. It continues the numbers; its timestamp is
    /// ahead of the last one by the time that passed. Call it as soon as the source changes:
    /// packets of the one before then have an older generation.
    pub fn switch_source(&mut self) {
        if self.last.is_some() && self.joint != Joint::Switch {
            self.generation = self.generation.wrapping_add(1);
        }
        self.alignment = None;
        self.joint = Joint::Switch;
    }

    /// After [`StreamRewriter::switch_source`]: at one moment the timestamps of the source
    /// before are `behind` ahead of those of the next. Timestamps then go on by the capture
    /// clock and not by when packets happen to arrive; where that would let them stand still or
    /// run backwards (the next source's picture was taken earlier), they rise by one tick, and
    /// the difference is made good at the next switch. Not believed if more than a second off.
    pub fn align(&mut self, behind: u32) {
        if self.joint == Joint::Switch && self.source.is_some() {
            self.alignment = Some(behind);
        }
    }

    /// The next packet comes from the same source after a pause. It continues the numbers; the
    /// timestamps go on as the source's, so that the sender reports stay true.
    pub fn resume(&mut self) {
        if self.joint == Joint::None && self.source.is_some() {
            self.joint = Joint::Resume;
        }
    }

    /// Which packet was sent as `seq`, if that is within the history.
    pub fn lookup(&self, seq: SeqNo) -> Option<Sent> {
        let newest = self.next - 1;
        let age = u64::from(SeqNo(newest as u16).0.wrapping_sub(seq.0));
        let outgoing = newest.checked_sub(age).filter(|_| age < self.history as u64)?;
        let slot = self.slots.get(self.slot(outgoing)).filter(|slot| slot.generation != 0)?;
        let age = (self.generation as u16).wrapping_sub(slot.generation - 1) & 0x7fff;
        if slot.outgoing != outgoing as u32 || usize::from(age) >= Self::GENERATIONS {
            return None;
        }
        let generation = self.generation.wrapping_sub(age.into());
        let timestamp_offset = self.offsets[generation as usize % Self::GENERATIONS];
        let Slot { incoming, note, .. } = *slot;
        let is_filler = incoming == FILLER;
        Some(Sent { outgoing, incoming, generation, timestamp_offset, note, is_filler })
    }

    /// Leaves a note with a packet that was just sent, for when it is looked up.
    pub fn annotate(&mut self, outgoing: u64, note: u16) {
        let at = self.slot(outgoing);
        if let Some(slot) = self.slots.get_mut(at).filter(|slot| slot.outgoing == outgoing as u32) {
            slot.note = note;
        }
    }

    /// Takes the oldest place among the newest `window` that nothing was sent in, to send an
    /// empty packet there, under the newest timestamp. Before another source goes on: what the
    /// subscriber misses of the last one will not come any more, and it must not wait for it.
    pub fn fill(&mut self, window: u64) -> Option<Rewritten> {
        let (timestamp, _) = self.last?;
        let window = window.min(self.history as u64 / 2);
        let first = (self.next.saturating_sub(window)).max(self.started);
        let outgoing = (first..self.next).find(|outgoing| {
            let slot = &self.slots[self.slot(*outgoing)];
            slot.generation == 0 || slot.outgoing != *outgoing as u32
        })?;
        self.remember(outgoing, FILLER).ok()?;
        Some(Rewritten { seq: SeqNo(outgoing as u16), ext_seq: outgoing, timestamp })
    }

    /// The place that was kept for a packet that shall be left out after all, for an empty one.
    pub fn fill_place_of(&mut self, incoming: u64) -> Option<Rewritten> {
        let (timestamp, _) = self.last.filter(|_| self.joint == Joint::None)?;
        let outgoing = self.place(incoming).ok()?;
        self.remember(outgoing, FILLER).ok()?;
        Some(Rewritten { seq: SeqNo(outgoing as u16), ext_seq: outgoing, timestamp })
    }

    /// Counts the sources: [`Sent::generation`] equals it if the packet came from the current one.
    pub fn generation(&self) -> u32 {
        self.generation
    }

    /// What the outgoing timestamps are ahead of those of the current source. `None` before
    /// its first packet.
    pub fn timestamp_offset(&self) -> Option<u32> {
        let source = self.source.as_ref().filter(|_| self.joint != Joint::Switch)?;
        Some(source.timestamp_offset)
    }

    /// The timestamp of the newest outgoing number; `None` before the first packet.
    pub fn newest_timestamp(&self) -> Option<u32> {
        self.last.map(|(timestamp, _)| timestamp)
    }

    /// The newest outgoing number, extended; `None` before the first packet.
    pub fn newest(&self) -> Option<u64> {
        self.last.map(|_| self.next - 1)
    }

    /// Has fetched what the next packets will need.
    #[inline]
    pub(crate) fn prefetch(&self) {
        let next = self.slot(self.next);
        // Six packets of a picture, 16 bytes each.
        for at in [next, (next + 5) & (self.history - 1)] {
            self.slots.get(at).inspect(|slot| prefetch(*slot));
        }
        self.segments.back().inspect(|segment| prefetch(*segment));
    }

    /// Bytes on the heap.
    pub fn memory_bytes(&self) -> usize {
        self.slots.capacity() * size_of::<Slot>() + self.segments.capacity() * size_of::<Segment>()
    }

    fn slot(&self, outgoing: u64) -> usize {
        outgoing as usize & (self.history - 1)
    }

    /// Lets `incoming` follow what was sent last.
    fn join(&mut self, incoming: u64, timestamp: u32, now: Instant) {
        let kept = self.source.as_ref().filter(|_| self.joint == Joint::Resume);
        let (timestamp_offset, excess) = match (self.last, kept) {
            (None, _) => (0, 0),
            (Some((last, _)), Some(source))
                if is_after(timestamp.wrapping_add(source.timestamp_offset), last) =>
            {
                (source.timestamp_offset, source.excess)
            }
            (Some((last, sent)), _) => {
                let elapsed = now.saturating_duration_since(sent);
                let by_arrival = last.wrapping_add(self.ticks(elapsed).max(1));
                self.aligned(timestamp, last, by_arrival)
                    .unwrap_or((by_arrival.wrapping_sub(timestamp), 0))
            }
        };
        self.alignment = None;
        if self.joint == Joint::Resume && self.last.is_some() {
            // Offsets belong to a generation: packets from before can still be looked up.
            self.generation = self.generation.wrapping_add(1);
        }
        self.offsets[self.generation as usize % Self::GENERATIONS] = timestamp_offset;
        self.source = Some(Source { newest: incoming, timestamp_offset, excess });
        self.segments.clear();
        self.segments
            .push_back(Segment { first: incoming, behind: incoming.wrapping_sub(self.next) });
        self.joint = Joint::None;
    }

    /// Offset and excess by the alignment of the sources, if that can be believed.
    fn aligned(&self, timestamp: u32, last: u32, by_arrival: u32) -> Option<(u32, u32)> {
        let source = self.source.as_ref()?;
        let offset =
            source.timestamp_offset.wrapping_sub(source.excess).wrapping_add(self.alignment?);
        let outgoing = timestamp.wrapping_add(offset);
        let error = (outgoing.wrapping_sub(by_arrival) as i32).unsigned_abs();
        if error > self.clock_rate_hz {
            return None;
        }
        if is_after(outgoing, last) {
            return Some((offset, 0));
        }
        let excess = last.wrapping_add(1).wrapping_sub(outgoing);
        Some((offset.wrapping_add(excess), excess))
    }

    fn ticks(&self, elapsed: Duration) -> u32 {
        (elapsed.as_nanos() * u128::from(self.clock_rate_hz) / 1_000_000_000) as u32
    }

    /// The outgoing number of `incoming` by the segment it lies in.
    #[inline]
    fn place(&self, incoming: u64) -> Result<u64, Refused> {
        let oldest = self.segments.front().ok_or(Refused::BeforeSwitch)?;
        if incoming < oldest.first {
            let complete = self.segments.len() < Self::SEGMENTS;
            return Err(if complete { Refused::BeforeSwitch } else { Refused::TooOld });
        }
        let after = self.segments.partition_point(|segment| segment.first <= incoming);
        let outgoing = incoming.wrapping_sub(self.segments[after - 1].behind);
        match self.segments.get(after) {
            // It lies among the skipped ones before the next segment.
            Some(next) if outgoing >= next.first.wrapping_sub(next.behind) => {
                Err(Refused::Duplicate)
            }
            _ if outgoing + (self.history as u64) < self.next => Err(Refused::TooOld),
            _ => Ok(outgoing),
        }
    }

    #[cold]
    fn take_memory(&mut self) {
        self.slots = vec![Slot { incoming: 0, outgoing: 0, generation: 0, note: 0 }; self.history];
    }

    #[inline]
    fn remember(&mut self, outgoing: u64, incoming: u64) -> Result<(), Refused> {
        if self.slots.is_empty() {
            self.take_memory();
        }
        let at = self.slot(outgoing);
        let slot = &mut self.slots[at];
        if slot.generation != 0 && slot.outgoing == outgoing as u32 {
            return Err(Refused::Duplicate);
        }
        let generation = (self.generation as u16 & 0x7fff) + 1;
        *slot = Slot { incoming, outgoing: outgoing as u32, generation, note: 0 };
        Ok(())
    }
}

/// Whether timestamp `a` comes after `b`.
fn is_after(a: u32, b: u32) -> bool {
    (a.wrapping_sub(b) as i32) > 0
}

#[cfg(test)]
mod tests;
