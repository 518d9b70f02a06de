//! Finds out what an SSRC carries that nobody announced (RFC 9143, section 9.2; RFC 8852).

use super::Room;
use super::receive::Elements;
use crate::api::{DropReason, MediaKind};
use crate::consumer::Interruption;
use crate::ext::StreamId;
use crate::rtp::RtpHeader;
use crate::shared::Cx;
use crate::table::Key;
use crate::transport::{MAX_STREAMS, Stream};

impl Room {
    /// Assigns the SSRC by MID and RID, else by a payload type only one track has. The latter
    /// never takes the place of an SSRC that is known.
    pub(super) fn learn(
        &mut self,
        cx: &mut Cx,
        transport: Key,
        header: &RtpHeader,
        elements: &Elements,
    ) -> Result<Stream, DropReason> {
        let owner = self.transports.get(transport).ok_or(DropReason::UnknownSsrc)?;
        if owner.streams.len() >= MAX_STREAMS {
            return Err(DropReason::LimitReached);
        }
        let key = match elements.mid {
            Some(mid) => self.producer_by_mid(transport, &mid),
            None => self.producer_by_payload_type(transport, header.payload_type),
        };
        let key = key.ok_or(DropReason::UnknownSsrc)?;
        let producer = self.producers.get_mut(key).ok_or(DropReason::UnknownSsrc)?;
        if !producer.claims(header.payload_type) {
            return Err(DropReason::UnknownPayloadType);
        }
        let is_rtx = producer.codec(header.payload_type).is_none();
        let rid = elements.repaired_rid.filter(|_| is_rtx).or(elements.rid);
        let index = match rid {
            Some(rid) => producer
                .encodings
                .iter()
                .position(|encoding| encoding.rid.as_deref().is_some_and(|other| rid == *other)),
            None => (producer.encodings.len() == 1).then_some(0),
        };
        let index = index.ok_or(DropReason::UnknownSsrc)?;
        let encoding = &mut producer.encodings[index];
        if encoding.retired_ssrcs.contains(&header.ssrc) {
            return Err(DropReason::UnknownSsrc);
        }
        let known = if is_rtx { &mut encoding.rtx_ssrc } else { &mut encoding.ssrc };
        let had = known.replace(header.ssrc);
        if had.is_some() && elements.mid.is_none() {
            *known = had;
            return Err(DropReason::UnknownSsrc);
        }
        if had.is_some() && !is_rtx {
            encoding.ssrc = had;
            if !encoding.may_change(cx.now) {
                return Err(DropReason::RateExceeded);
            }
            self.restart_stream(cx, key, index, header.ssrc);
        }
        self.list_streams(key);
        if !is_rtx {
            // A request may have waited for the SSRC to be known.
            self.send_keyframe_request(cx, key);
        }
        Ok(Stream { ssrc: header.ssrc, producer: key, encoding: index, is_rtx })
    }

    fn producer_by_mid(&self, transport: Key, mid: &StreamId) -> Option<Key> {
        let transport = self.transports.get(transport)?;
        transport
            .producers
            .iter()
            .copied()
            .find(|key| self.producers.get(*key).is_some_and(|producer| *mid == *producer.mid))
    }

    fn producer_by_payload_type(&self, transport: Key, payload_type: u8) -> Option<Key> {
        let transport = self.transports.get(transport)?;
        let mut claiming = transport.producers.iter().copied().filter(|key| {
            self.producers.get(*key).is_some_and(|producer| producer.claims(payload_type))
        });
        let only = claiming.next()?;
        claiming.next().is_none().then_some(only)
    }

    /// The publisher goes on under another SSRC: nothing of before counts.
    fn restart_stream(&mut self, cx: &mut Cx, key: Key, index: usize, ssrc: u32) {
        let Some(producer) = self.producers.get_mut(key) else { return };
        let lost_before = producer.lost();
        producer.restart_encoding(index, ssrc, cx.now);
        let forgotten = lost_before.saturating_sub(producer.lost());
        cx.shared.lost_before[producer.kind as usize] += forgotten;
        let mut is_affected = false;
        for consumer in &producer.consumers {
            if let Some(consumer) = self.consumers.get_mut(*consumer)
                && consumer.encoding == Some(index)
            {
                consumer.interrupt(Interruption::Switch);
                is_affected = true;
            }
        }
        if is_affected && producer.kind == MediaKind::Video {
            producer.want_keyframe(index);
        }
    }
}
