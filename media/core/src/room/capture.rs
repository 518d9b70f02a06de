//! Handing packets to the recorder.

use std::time::Duration;

use super::Room;
use super::commands::CommandResult;
use super::receive::Packet;
use crate::api::MediaKind;
use crate::capture::{CaptureId, Captured, How, Mark, Verdict};
use crate::plane::NO_SINK;
use crate::producer::Producer;
use crate::rtcp::SenderInfo;
use crate::rtp::SeqNo;
use crate::shared::Cx;
use crate::table::Key;
use crate::transport::Stream;

/// How long lost packets are asked for when they are recorded. Browsers keep what they sent for
/// about three seconds.
pub(crate) const PATIENCE: Duration = Duration::from_secs(4);

impl Room {
    /// Captures a producer, or no longer.
    pub(crate) fn set_capture(
        &mut self,
        cx: &mut Cx,
        key: Key,
        capture: Option<CaptureId>,
    ) -> CommandResult {
        if cx.shared.capture.is_none() {
            return Err(NO_SINK);
        }
        let producer = self.producers.get(key).ok_or("no such producer")?;
        if producer.capture == capture {
            return Ok(());
        }
        self.end_capture(cx, key);
        let producer = self.producers.get_mut(key).ok_or("no such producer")?;
        producer.capture = capture;
        producer.capture_paused = false;
        producer.keeps_frames |= capture.is_some() && producer.kind == MediaKind::Audio;
        producer.set_patience(capture.map(|_| PATIENCE));
        for encoding in &mut producer.encodings {
            encoding.withheld.begin(encoding.reception.highest());
        }
        let Some(capture) = capture else { return Ok(()) };
        mark(cx, capture, Mark::Begin);
        if producer.paused {
            producer.mark_pause(cx);
        }
        self.begin_with_keyframe(cx, key);
        Ok(())
    }

    /// Pauses the recording of a producer, or goes on.
    pub(crate) fn pause_capture(&mut self, cx: &mut Cx, key: Key, paused: bool) -> CommandResult {
        let producer = self.producers.get_mut(key).ok_or("no such producer")?;
        if producer.capture.is_none() {
            return Err("the producer is not captured");
        }
        if producer.capture_paused == paused {
            return Ok(());
        }
        producer.capture_paused = paused;
        producer.mark_pause(cx);
        if !paused {
            self.begin_with_keyframe(cx, key);
        }
        Ok(())
    }

    /// The producer brings nothing to its recording any more.
    pub(super) fn end_capture(&mut self, cx: &mut Cx, key: Key) {
        let Some(producer) = self.producers.get_mut(key) else { return };
        if let Some(capture) = producer.capture.take() {
            mark(cx, capture, Mark::Stop);
        }
    }

    /// A recording that can be decoded from its start.
    fn begin_with_keyframe(&mut self, cx: &mut Cx, key: Key) {
        let Some(producer) = self.producers.get(key) else { return };
        if producer.kind == MediaKind::Video && !producer.paused {
            let best = producer.best();
            self.request_keyframe(cx, key, best);
            self.update_demand(cx, key);
        }
    }

    /// Hands a packet over. Costs one comparison where nothing is recorded.
    #[inline]
    pub(super) fn capture(&mut self, cx: &mut Cx, key: Key, packet: &Packet<'_>, how: How) {
        let Some(producer) = self.producers.get_mut(key) else { return };
        let Some(capture) = producer.capture else { return };
        let place = (packet.encoding, packet.ext_seq);
        if producer.admits(cx, capture, place, how) {
            hand_over(cx, producer, capture, packet, how);
        }
    }

    /// Tells that a number arrived with nothing to record.
    pub(super) fn capture_nothing(&mut self, cx: &mut Cx, stream: Stream, ext_seq: u64) {
        self.tap_nothing(cx, stream, ext_seq);
        let Some(producer) = self.producers.get_mut(stream.producer) else { return };
        let Some(capture) = producer.capture else { return };
        let how = if stream.is_rtx { How::Retransmitted } else { How::Original };
        if producer.admits(cx, capture, (stream.encoding, ext_seq), how) {
            producer.mark_empty(cx, capture, stream.encoding, ext_seq);
        }
    }

    /// The same of one that was not even looked at.
    #[cold]
    pub(super) fn capture_unknown(&mut self, cx: &mut Cx, stream: Stream, number: SeqNo) {
        let Some(producer) = self.producers.get(stream.producer) else { return };
        let Some(encoding) = producer.encodings.get(stream.encoding) else { return };
        let Some(highest) = encoding.reception.highest() else { return };
        let ahead = number.0.wrapping_sub(highest as u16) as i16;
        if let Some(ext_seq) = highest.checked_add_signed(ahead.into()) {
            self.capture_nothing(cx, stream, ext_seq);
        }
    }

    /// Hands over what relates the clocks of a stream.
    pub(super) fn capture_report(&self, cx: &mut Cx, stream: Stream, info: &SenderInfo) {
        let Some(producer) = self.producers.get(stream.producer) else { return };
        let Some(capture) = producer.capture.filter(|_| !producer.is_withheld()) else { return };
        let Some(encoding) = producer.encodings.get(stream.encoding) else { return };
        let (instance, info) = (encoding.instance, *info);
        mark(cx, capture, Mark::Report { encoding: stream.encoding as u8, instance, info });
    }
}

impl Producer {
    /// Tells the recording whether it is to expect packets.
    pub(super) fn mark_pause(&mut self, cx: &mut Cx) {
        let Some(capture) = self.capture else { return };
        let is_paused = self.is_withheld();
        for encoding in &mut self.encodings {
            let highest = encoding.reception.highest();
            match is_paused {
                true => encoding.withheld.pause(highest),
                false => encoding.withheld.resume(highest),
            }
        }
        mark(cx, capture, if is_paused { Mark::Pause } else { Mark::Resume });
        if !is_paused {
            for (index, encoding) in self.encodings.iter().enumerate() {
                if let Some(highest) = encoding.reception.highest() {
                    self.mark_empty(cx, capture, index, highest);
                }
            }
        }
    }

    /// Whether a packet is for the recording.
    #[inline]
    fn admits(
        &mut self,
        cx: &mut Cx,
        capture: CaptureId,
        (index, ext_seq): (usize, u64),
        how: How,
    ) -> bool {
        let Some(encoding) = self.encodings.get_mut(index) else { return false };
        let verdict = encoding.withheld.judge(ext_seq, how);
        if verdict == Verdict::WithholdFirst {
            self.mark_empty(cx, capture, index, ext_seq);
        }
        verdict == Verdict::Take
    }

    fn mark_empty(&self, cx: &mut Cx, capture: CaptureId, index: usize, ext_seq: u64) {
        let Some(encoding) = self.encodings.get(index) else { return };
        let instance = encoding.instance;
        mark(cx, capture, Mark::Empty { encoding: index as u8, instance, ext_seq });
    }
}

fn mark(cx: &mut Cx, capture: CaptureId, mark: Mark) {
    if let Some(sink) = &mut cx.shared.capture {
        sink.mark(cx.now, capture, mark);
    }
}

fn hand_over(cx: &mut Cx, producer: &Producer, capture: CaptureId, packet: &Packet<'_>, how: How) {
    let Some(sink) = &mut cx.shared.capture else { return };
    let instance = producer.encodings.get(packet.encoding).map_or(0, |e| e.instance);
    let header = &packet.header;
    // A frame that came as a copy has no header of its own.
    let made;
    let (head, payload) = match how {
        How::Copy => {
            made = header.fixed();
            (&made[..], packet.bytes)
        }
        How::Original | How::Retransmitted => (packet.bytes, &[][..]),
    };
    let (encoding, ext_seq) = (packet.encoding as u8, packet.ext_seq);
    let captured = Captured { capture, encoding, instance, ext_seq, how, head, payload };
    sink.packet(cx.now, &captured);
}
