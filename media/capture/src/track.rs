//! One track being recorded: its segments, and what is missing between them.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use media_core::capture::{CaptureId, How, Mark};
use media_core::rtcp::SenderInfo;

use crate::clock::SessionClock;
use crate::disk::Disk;
use crate::event::{CaptureEvent, Cause, Gap};
use crate::hash::Written;
use crate::pcapng::{self, PacketInfo};
use crate::seal::MasterKey;
use crate::segment::Segment;
use crate::stats::{Counters, add};
use crate::streams::Streams;

pub use crate::streams::MAX_HOLES;

/// What is in memory is handed to the system at the latest when it is so old.
pub(crate) const FLUSH_US: u64 = 250_000;
/// Or when it is so much.
const FLUSH_BYTES: usize = 48 << 10;
/// A segment nothing comes for ends so much later than others.
const IDLE_US: u64 = 1_000_000;
/// How often it is looked whether the file is still there.
const CHECK_US: u64 = 1_000_000;
/// A track that ends so long after its last packet was silent because of the network.
const SILENCE_US: u64 = 2_000_000;
/// Names tried at once until one is free.
const MAX_TAKEN: usize = 64;
/// First wait after a failure; doubled by each further one.
const FIRST_RETRY_US: u64 = 1_000_000;
const LONGEST_RETRY_US: u64 = 30_000_000;

/// What a track is called and where it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrackSpec {
    /// The track.
    pub capture: CaptureId,
    /// A directory of its own.
    pub directory: PathBuf,
    /// Written into every file as the name of the interface.
    pub name: String,
    /// For people.
    pub description: String,
    /// JSON for programs: what the track is.
    pub about: String,
    /// The session's clock.
    pub clock: SessionClock,
    /// Number of its first segment.
    pub first_segment: u32,
}

/// What tracks of one recorder have in common.
#[derive(Clone)]
pub(crate) struct Common {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) key: Option<MasterKey>,
    pub(crate) segment_us: u64,
}

/// What a track has to hand on.
pub(crate) enum Done {
    /// Is in a file, to be hashed.
    Written(Written),
    /// To be synced, named and reported.
    Segment { capture: CaptureId, segment: Box<Segment>, to_us: u64 },
    /// To be reported after what came before.
    Event(CaptureEvent),
}

/// Writing does not work.
#[derive(Debug, Clone, Copy)]
struct Failure {
    since_us: u64,
    cause: Cause,
    packets: u64,
    retry_us: u64,
    wait_us: u64,
}

/// A track's files.
pub(crate) struct Track {
    spec: TrackSpec,
    common: Common,
    number: u32,
    segment: Option<Segment>,
    streams: Streams,
    failure: Option<Failure>,
    paused_since: Option<u64>,
    /// Since when no producer brings the track.
    away_since: Option<u64>,
    is_open: bool,
    last_us: u64,
    /// Up to here the timeline is covered without interruption.
    covered_us: Option<u64>,
    checked_us: u64,
    pub(crate) is_closed: bool,
}

/// A packet as the media thread handed it over.
pub(crate) struct Incoming<'a> {
    pub(crate) encoding: u8,
    pub(crate) instance: u32,
    pub(crate) ext_seq: u64,
    pub(crate) how: How,
    pub(crate) bytes: &'a [u8],
}

impl Track {
    pub(crate) fn new(spec: TrackSpec, common: Common) -> Track {
        Track {
            number: spec.first_segment.max(1),
            spec,
            common,
            segment: None,
            streams: Streams::default(),
            failure: None,
            paused_since: None,
            away_since: None,
            is_open: false,
            last_us: 0,
            covered_us: None,
            checked_us: 0,
            is_closed: false,
        }
    }

    /// µs of the session.
    pub(crate) fn us(&self, at_ns: u64) -> u64 {
        self.spec.clock.us(at_ns)
    }

    pub(crate) fn is_failing(&self) -> bool {
        self.failure.is_some()
    }

    /// Takes a packet.
    pub(crate) fn on_packet(
        &mut self,
        at_us: u64,
        packet: &Incoming<'_>,
        counters: &Counters,
        out: &mut Vec<Done>,
    ) {
        let capture = self.spec.capture;
        if !self.is_open {
            self.is_open = true;
            out.push(Done::Event(CaptureEvent::Opened { capture, at_us }));
        }
        if let Some(since_us) = self.away_since.take() {
            self.declare(gap(since_us, at_us, Cause::Network, None), counters, out);
        }
        let key = (packet.encoding, packet.instance);
        let seen_us = self.seen_us(at_us);
        let stream = self.streams.on_packet(key, packet.ext_seq, seen_us);
        self.last_us = self.last_us.max(seen_us);
        if !self.ready(seen_us, counters, out) {
            if let Some(failure) = &mut self.failure {
                failure.packets += 1;
            }
            return;
        }
        let info = PacketInfo {
            at_us,
            encoding: packet.encoding,
            stream,
            ext_seq: packet.ext_seq,
            how: packet.how,
        };
        let Some(segment) = &mut self.segment else { return };
        pcapng::push_rtp(&mut segment.buffer, &info, packet.bytes);
        segment.on_packet(seen_us);
        if segment.buffer.len() >= FLUSH_BYTES {
            self.flush(at_us, counters, out);
        }
    }

    /// The time of the session a packet counts for: one that comes during a pause was sent before.
    fn seen_us(&self, at_us: u64) -> u64 {
        self.paused_since.map_or(at_us, |since_us| at_us.min(since_us))
    }

    /// Takes a sender report.
    fn on_report(&mut self, at_us: u64, (encoding, instance): (u8, u32), report: &SenderInfo) {
        let Some(stream) = self.streams.find((encoding, instance)) else { return };
        let info = PacketInfo { at_us, encoding, stream, ext_seq: 0, how: How::Original };
        if let Some(segment) = &mut self.segment {
            pcapng::push_report(&mut segment.buffer, &info, report);
            segment.buffered_since_us.get_or_insert(at_us);
        }
    }

    /// Takes a mark.
    pub(crate) fn on_mark(
        &mut self,
        at_us: u64,
        mark: Mark,
        counters: &Counters,
        out: &mut Vec<Done>,
    ) {
        match mark {
            Mark::Report { encoding, instance, info } => {
                self.on_report(at_us, (encoding, instance), &info);
            }
            Mark::Empty { encoding, instance, ext_seq } => {
                let seen_us = self.seen_us(at_us);
                self.streams.on_empty((encoding, instance), ext_seq, seen_us);
            }
            Mark::Begin => self.streams.begin(),
            Mark::Pause => {
                if self.paused_since.is_none() {
                    self.paused_since = Some(at_us);
                    self.end_segment(at_us, at_us, counters, out);
                    self.covered_us = None;
                }
            }
            Mark::Resume => self.resume(at_us, counters, out),
            Mark::Stop => self.stop(at_us, counters, out),
            Mark::Close => self.close(at_us, counters, out),
        }
    }

    fn resume(&mut self, at_us: u64, counters: &Counters, out: &mut Vec<Done>) {
        let Some(since_us) = self.paused_since else { return };
        // What came late of the time before the pause.
        self.end_segment(at_us, since_us, counters, out);
        self.covered_us = None;
        self.paused_since = None;
        self.streams.skip();
        self.last_us = self.last_us.max(at_us);
        if self.is_open {
            self.declare(gap(since_us, at_us, Cause::Paused, None), counters, out);
        }
    }

    fn stop(&mut self, at_us: u64, counters: &Counters, out: &mut Vec<Done>) {
        self.resume(at_us, counters, out);
        if !self.is_open || self.away_since.is_some() {
            return;
        }
        let is_silent = at_us.saturating_sub(self.last_us) >= SILENCE_US;
        let end_us = if is_silent { self.last_us } else { at_us };
        self.end_segment(at_us, end_us, counters, out);
        self.covered_us = None;
        self.away_since = Some(end_us);
    }

    fn close(&mut self, at_us: u64, counters: &Counters, out: &mut Vec<Done>) {
        if self.is_closed {
            return;
        }
        self.stop(at_us, counters, out);
        self.is_closed = true;
        for item in self.streams.take_gaps(u64::MAX) {
            self.declare(item, counters, out);
        }
        if let Some(failure) = self.failure.take() {
            let Failure { since_us, cause, packets, .. } = failure;
            self.declare(gap(since_us, at_us, cause, Some(packets)), counters, out);
        }
        // A track that was away and comes no more has just ended; silence is a gap.
        let since_us = self.away_since.filter(|since| at_us.saturating_sub(*since) >= SILENCE_US);
        if let Some(since_us) = since_us {
            self.declare(gap(since_us, at_us, Cause::Network, None), counters, out);
        }
        let capture = self.spec.capture;
        out.push(Done::Event(CaptureEvent::Closed { capture, at_us }));
    }

    /// Packets found no memory.
    pub(crate) fn on_lost(
        &mut self,
        (since_us, at_us): (u64, u64),
        packets: u64,
        counters: &Counters,
        out: &mut Vec<Done>,
    ) {
        self.streams.skip();
        if packets == 0 {
            return;
        }
        self.end_segment(at_us, since_us, counters, out);
        self.covered_us = None;
        self.last_us = self.last_us.max(at_us);
        self.declare(gap(since_us, at_us, Cause::DiskSlow, Some(packets)), counters, out);
    }

    /// The writer died: all that can still be said.
    pub(crate) fn on_dead(&mut self, at_us: u64, message: &str, out: &mut Vec<Done>) {
        let (capture, cause) = (self.spec.capture, Cause::Crash);
        let message = message.to_owned();
        out.push(Done::Event(CaptureEvent::WriteFailed { capture, cause, message }));
        if self.is_open {
            let since_us = self.failure.map_or(self.last_us, |failure| failure.since_us);
            let gap = gap(since_us, at_us, cause, None);
            out.push(Done::Event(CaptureEvent::GapDeclared { capture, gap }));
        }
        out.push(Done::Event(CaptureEvent::Closed { capture, at_us }));
    }

    /// Does what is due at `now_us`.
    pub(crate) fn tick(&mut self, now_us: u64, counters: &Counters, out: &mut Vec<Done>) {
        for item in self.streams.take_gaps(now_us) {
            self.declare(item, counters, out);
        }
        let Some(segment) = &self.segment else { return };
        let is_old = segment.buffered_since_us.is_some_and(|since| now_us >= since + FLUSH_US);
        if now_us >= segment.from_us + self.common.segment_us + IDLE_US {
            let end_us = self.last_us;
            self.end_segment(now_us, end_us, counters, out);
            // If nothing was lost until the next packet, nothing was sent.
            self.covered_us = self.paused_since.is_none().then_some(end_us);
        } else if is_old {
            self.flush(now_us, counters, out);
        }
        if now_us >= self.checked_us + CHECK_US {
            self.checked_us = now_us;
            let missing = self.segment.as_ref().and_then(|segment| segment.check().err());
            if let Some(error) = missing {
                self.forsake(now_us, &error, counters, out);
            }
        }
    }

    /// Makes sure that there is a segment to write to.
    fn ready(&mut self, at_us: u64, counters: &Counters, out: &mut Vec<Done>) -> bool {
        let is_full = self
            .segment
            .as_ref()
            .is_some_and(|segment| at_us >= segment.from_us + self.common.segment_us);
        if is_full {
            self.end_segment(at_us, at_us, counters, out);
        }
        if self.segment.is_some() {
            return true;
        }
        // What could not be ended has just failed, too.
        if self.failure.is_some_and(|failure| at_us < failure.retry_us) {
            return false;
        }
        let from_us = self.covered_us.take().unwrap_or(at_us);
        match self.create_next(from_us) {
            Ok(segment) => {
                self.segment = Some(segment);
                self.checked_us = at_us;
                true
            }
            Err(error) => {
                self.fail((from_us, at_us), 0, &error, counters, out);
                false
            }
        }
    }

    /// Makes the next segment, past files that are there already.
    fn create_next(&mut self, from_us: u64) -> io::Result<Segment> {
        for _ in 0..MAX_TAKEN {
            let done = self.create(from_us);
            let is_taken = |error: &io::Error| error.kind() == io::ErrorKind::AlreadyExists;
            if !done.as_ref().err().is_some_and(is_taken) {
                self.number += u32::from(done.is_ok());
                return done;
            }
            self.number += 1;
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    fn create(&self, from_us: u64) -> io::Result<Segment> {
        let spec = &self.spec;
        let mut header = Vec::with_capacity(1_024);
        let names = (spec.name.as_str(), spec.description.as_str());
        pcapng::push_header(&mut header, names, &spec.about, spec.clock.wall_us);
        let place = (spec.directory.as_path(), self.number);
        let key = self.common.key.as_ref();
        Segment::create(&self.common.disk, place, key, &header, from_us)
    }

    /// Something was written again: after a failure, only that is believed.
    fn restore(&mut self, counters: &Counters, out: &mut Vec<Done>) {
        let Some(segment) = self.segment.as_ref().filter(|segment| segment.packets() > 0) else {
            return;
        };
        let to_us = segment.from_us;
        let Some(Failure { since_us, cause, packets, .. }) = self.failure.take() else { return };
        self.declare(gap(since_us, to_us, cause, Some(packets)), counters, out);
        let capture = self.spec.capture;
        out.push(Done::Event(CaptureEvent::WriteRestored { capture }));
    }

    fn flush(&mut self, at_us: u64, counters: &Counters, out: &mut Vec<Done>) {
        let Some(segment) = &mut self.segment else { return };
        let (bytes, packets) = (segment.bytes(), segment.packets());
        match segment.flush() {
            Ok(()) => {
                add(&counters.written_bytes, segment.bytes() - bytes);
                add(&counters.written_packets, segment.packets() - packets);
                out.extend(segment.take_unhashed().map(Done::Written));
                self.restore(counters, out);
            }
            Err(error) => self.give_up(at_us, &error, counters, out),
        }
    }

    /// The segment cannot be written to any more: what is in it stays, what is not is lost.
    fn give_up(&mut self, at_us: u64, error: &io::Error, counters: &Counters, out: &mut Vec<Done>) {
        let Some(mut segment) = self.segment.take() else { return };
        // From what is there last, as all gaps.
        let since_us = segment.written_us;
        let packets = segment.buffered_packets;
        if segment.packets() > 0 {
            // A sealed file may lack its last frame then; its digest is known all the same.
            let _ = segment.end();
            let to_us = segment.written_us;
            self.hand_on(segment, to_us, out);
        } else if segment.discard().is_ok() {
            self.number -= 1;
        }
        self.covered_us = None;
        self.fail((since_us, at_us), packets, error, counters, out);
    }

    /// The file cannot be found any more: everything in it is lost.
    fn forsake(&mut self, at_us: u64, error: &io::Error, counters: &Counters, out: &mut Vec<Done>) {
        let Some(segment) = self.segment.take() else { return };
        let packets = segment.packets() + segment.buffered_packets;
        self.covered_us = None;
        self.fail((segment.from_us, at_us), packets, error, counters, out);
    }

    fn fail(
        &mut self,
        (since_us, at_us): (u64, u64),
        packets: u64,
        error: &io::Error,
        counters: &Counters,
        out: &mut Vec<Done>,
    ) {
        let cause = Cause::of(error);
        add(&counters.failures[cause as usize], 1);
        let wait_us =
            self.failure.map_or(FIRST_RETRY_US, |f| (2 * f.wait_us).min(LONGEST_RETRY_US));
        let before = self.failure.map(|failure| (failure.since_us, failure.packets));
        if before.is_none() {
            let (capture, message) = (self.spec.capture, error.to_string());
            out.push(Done::Event(CaptureEvent::WriteFailed { capture, cause, message }));
        }
        let (first_us, lost) = before.unwrap_or((since_us, 0));
        self.failure = Some(Failure {
            since_us: first_us,
            // What comes after may be a consequence.
            cause: self.failure.map_or(cause, |failure| failure.cause),
            packets: lost + packets,
            retry_us: at_us + wait_us,
            wait_us,
        });
    }

    /// Ends the segment, if there is one; it covers the time until `to_us`.
    fn end_segment(&mut self, at_us: u64, to_us: u64, counters: &Counters, out: &mut Vec<Done>) {
        self.flush(at_us, counters, out);
        let Some(segment) = &mut self.segment else { return };
        if let Err(error) = segment.end() {
            return self.give_up(at_us, &error, counters, out);
        }
        let to_us = to_us.max(segment.written_us);
        self.covered_us = Some(to_us);
        if let Some(segment) = self.segment.take() {
            self.hand_on(segment, to_us, out);
        }
    }

    fn hand_on(&self, mut segment: Segment, to_us: u64, out: &mut Vec<Done>) {
        out.extend(segment.take_unhashed().map(Done::Written));
        segment.free();
        let (capture, segment) = (self.spec.capture, Box::new(segment));
        out.push(Done::Segment { capture, segment, to_us });
    }

    fn declare(&mut self, gap: Gap, counters: &Counters, out: &mut Vec<Done>) {
        add(&counters.gaps[gap.cause as usize], 1);
        add(&counters.missing[gap.cause as usize], gap.packets.unwrap_or(0));
        let capture = self.spec.capture;
        out.push(Done::Event(CaptureEvent::GapDeclared { capture, gap }));
    }
}

fn gap(from_us: u64, to_us: u64, cause: Cause, packets: Option<u64>) -> Gap {
    Gap { from_us, to_us: to_us.max(from_us), cause, packets, encoding: None }
}

#[cfg(test)]
#[path = "track/tests.rs"]
mod tests;
