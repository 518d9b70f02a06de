//! Handing packets to analytics.

use super::Room;
use super::commands::CommandResult;
use super::receive::Packet;
use crate::api::{ExtensionKind, MediaKind};
use crate::capture::How;
use crate::plane::NO_TAP_SINK;
use crate::producer::Producer;
use crate::shared::Cx;
use crate::table::Key;
use crate::tap::{Tap, TapWish, Tapped};
use crate::transport::Stream;

impl Room {
    /// Taps a producer, changes what is tapped of it, or ends that.
    pub(crate) fn set_tap(
        &mut self,
        cx: &mut Cx,
        key: Key,
        wish: Option<TapWish>,
    ) -> CommandResult {
        if cx.shared.tap.is_none() {
            return Err(NO_TAP_SINK);
        }
        let producer = self.producers.get_mut(key).ok_or("no such producer")?;
        let before = producer.tap.take();
        let Some(wish) = wish else { return Ok(()) };
        let encoding = producer.encoding_for_tap(&wish);
        producer.tap = Some(Tap { wish, encoding });
        producer.keeps_frames |= producer.kind == MediaKind::Audio;
        let goes_on =
            before.is_some_and(|tap| tap.wish.tap == wish.tap && tap.encoding == encoding);
        self.update_demand(cx, key);
        if !goes_on {
            self.begin_tap(cx, key);
        }
        Ok(())
    }

    /// Looks again which encoding is there for the tap.
    pub(super) fn retarget_tap(&mut self, cx: &mut Cx, key: Key) {
        let Some(producer) = self.producers.get_mut(key) else { return };
        let Some(mut tap) = producer.tap else { return };
        let encoding = producer.encoding_for_tap(&tap.wish);
        if encoding != tap.encoding {
            tap.encoding = encoding;
            producer.tap = Some(tap);
            self.begin_tap(cx, key);
        }
    }

    /// What is tapped can only be decoded from a keyframe on.
    fn begin_tap(&mut self, cx: &mut Cx, key: Key) {
        let Some(producer) = self.producers.get(key) else { return };
        let is_video = producer.kind == MediaKind::Video && !producer.paused;
        if let Some(tap) = producer.tap.filter(|_| is_video) {
            self.request_keyframe(cx, key, tap.encoding);
        }
    }

    /// Hands a packet over. Costs one comparison where nothing is tapped.
    #[inline]
    pub(super) fn tap(&mut self, cx: &mut Cx, key: Key, packet: &Packet<'_>, how: How) {
        let Some(producer) = self.producers.get(key) else { return };
        let Some(tap) = producer.tap else { return };
        if tap.encoding == packet.encoding && hand_over(cx, producer, &tap, packet, how) {
            self.begin_tap(cx, key);
        }
    }

    /// Tells that a number arrived with nothing to decode.
    pub(super) fn tap_nothing(&mut self, cx: &mut Cx, stream: Stream, ext_seq: u64) {
        let Some(producer) = self.producers.get(stream.producer) else { return };
        let Some(tap) = producer.tap.filter(|tap| tap.encoding == stream.encoding) else { return };
        let packet = Tapped { ext_seq, ..producer.tapped(&tap) };
        if let Some(sink) = &mut cx.shared.tap
            && sink.packet(cx.now, &packet)
        {
            self.begin_tap(cx, stream.producer);
        }
    }
}

impl Producer {
    /// The encoding that is enough; while it isn't there, the next smaller one, or the smallest
    /// there is.
    fn encoding_for_tap(&self, wish: &TapWish) -> usize {
        let wanted = self.encoding_wanted_by_tap(wish);
        let at_most = (0..=wanted).rev().find(|index| self.is_live(*index));
        let above = || (wanted..self.encodings.len()).find(|index| self.is_live(*index));
        at_most.or_else(above).unwrap_or(wanted)
    }

    /// The encoding that is enough.
    pub(super) fn encoding_wanted_by_tap(&self, wish: &TapWish) -> usize {
        usize::from(wish.layer.spatial).min(self.encodings.len() - 1)
    }

    fn tapped(&self, tap: &Tap) -> Tapped<'static> {
        Tapped {
            tap: tap.wish.tap,
            zero_ns: tap.wish.zero_ns,
            codec: self.codecs[0].codec,
            encoding: tap.encoding as u8,
            instance: self.encodings.get(tap.encoding).map_or(0, |encoding| encoding.instance),
            ext_seq: 0,
            rotation: None,
            head: &[],
            payload: &[],
        }
    }
}

/// Returns whether older packets of the tap were lost.
fn hand_over(cx: &mut Cx, producer: &Producer, tap: &Tap, packet: &Packet<'_>, how: How) -> bool {
    let Some(sink) = &mut cx.shared.tap else { return false };
    let header = &packet.header;
    let Some(codec) = producer.codec(header.payload_type) else { return false };
    let tapped = Tapped { codec, ext_seq: packet.ext_seq, ..producer.tapped(tap) };
    let is_above = packet.info.layer_sync.is_some()
        && packet.info.temporal_layer.is_some_and(|layer| layer > tap.wish.layer.temporal);
    if is_above {
        // Left out on purpose: nobody shall wait for it.
        return sink.packet(cx.now, &tapped);
    }
    let rotation = packet.elements.passed().find_map(|passed| match passed.kind {
        ExtensionKind::VideoOrientation => Some(passed.value(packet.bytes).first()? & 3),
        _ => None,
    });
    let made;
    let (head, payload) = match how {
        How::Copy => {
            made = header.fixed();
            (&made[..], packet.bytes)
        }
        How::Original | How::Retransmitted => (packet.bytes, &[][..]),
    };
    sink.packet(cx.now, &Tapped { rotation, head, payload, ..tapped })
}
