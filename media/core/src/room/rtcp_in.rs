//! RTCP that arrives: clocks, reports, requests.

use super::Room;
use crate::api::{DropReason, MediaKind};
use crate::ledger::Stage;
use crate::remote::Remote;
use crate::rtcp::{self, ReportBlock, RtcpPacket, SenderInfo, round_trip};
use crate::shared::Cx;
use crate::table::Key;

impl Room {
    pub(super) fn receive_rtcp(
        &mut self,
        cx: &mut Cx,
        key: Key,
        remote: Remote,
        datagram: &mut [u8],
    ) {
        let Some(transport) = self.transports.get_mut(key) else {
            return cx.drop_packet(Stage::Rtcp, DropReason::TransportClosed);
        };
        let Some(len) = transport.unprotect_rtcp(cx, remote, datagram) else { return };
        cx.shared.counters.rtcp_packets_in += 1;
        for packet in rtcp::parse(&datagram[..len]) {
            cx.ledger().enter(Stage::Report, 1);
            match packet {
                Ok(packet) if self.admits_rtcp(cx, key, &packet) => {
                    cx.ledger().pass(Stage::Report);
                    self.on_rtcp(cx, key, packet);
                }
                Ok(_) => cx.drop_packet(Stage::Report, DropReason::RateExceeded),
                Err(_) => cx.drop_packet(Stage::Report, DropReason::Malformed),
            }
        }
    }

    /// Whether there is time for the packet.
    fn admits_rtcp(&mut self, cx: &Cx, key: Key, packet: &RtcpPacket<'_>) -> bool {
        let numbers = match packet {
            RtcpPacket::Nack(nack) => nack.most_lost(),
            RtcpPacket::TransportFeedback(feedback) => feedback.status_count.into(),
            RtcpPacket::Fir(fir) => fir.entries().count(),
            _ => 0,
        };
        let transport = self.transports.get_mut(key);
        transport.is_some_and(|transport| transport.feedback.admits(numbers, cx.now))
    }

    fn on_rtcp(&mut self, cx: &mut Cx, key: Key, packet: RtcpPacket<'_>) {
        match packet {
            RtcpPacket::SenderReport(report) => {
                self.on_sender_report(cx, key, &report.info);
                report.blocks().for_each(|block| self.on_report_block(cx, key, block));
            }
            RtcpPacket::ReceiverReport(report) => {
                report.blocks().for_each(|block| self.on_report_block(cx, key, block));
            }
            RtcpPacket::Nack(nack) => {
                cx.shared.counters.nack_received += 1;
                let consumer = self.consumer_by_ssrc(key, nack.media_ssrc);
                self.resend(cx, key, consumer, nack.lost());
            }
            RtcpPacket::Pli(pli) => self.on_keyframe_request(cx, key, pli.media_ssrc),
            RtcpPacket::Fir(fir) => {
                fir.entries().for_each(|entry| self.on_keyframe_request(cx, key, entry.ssrc));
            }
            RtcpPacket::TransportFeedback(feedback) => {
                self.on_transport_feedback(cx, key, &feedback);
            }
            RtcpPacket::Remb(remb) => self.on_remb(cx, key, remb.bitrate_bps),
            // A goodbye comes before the signalling says the same.
            RtcpPacket::Xr(_)
            | RtcpPacket::Sdes(_)
            | RtcpPacket::Bye(_)
            | RtcpPacket::Other { .. } => {}
        }
    }

    fn on_sender_report(&mut self, cx: &mut Cx, key: Key, info: &SenderInfo) {
        let Some(transport) = self.transports.get_mut(key) else { return };
        let Some(stream) = transport.stream(info.ssrc).filter(|stream| !stream.is_rtx) else {
            return;
        };
        let Some(producer) = self.producers.get_mut(stream.producer) else { return };
        let Some(encoding) = producer.encodings.get_mut(stream.encoding) else { return };
        encoding.reports.on_sender_report(info.ntp, info.rtp_timestamp, cx.now);
        transport.publisher_clock.on_sender_report(info.ntp, cx.ntp());
        self.capture_report(cx, stream, info);
    }

    fn on_report_block(&mut self, cx: &mut Cx, key: Key, block: ReportBlock) {
        let Some(consumer_key) = self.consumer_by_ssrc(key, block.ssrc) else { return };
        let Some(consumer) = self.consumers.get_mut(consumer_key) else { return };
        let clock_rate_hz = consumer.parameters.codecs.first().map_or(90_000, |c| c.clock_rate_hz);
        let loss_ratio = f64::from(block.fraction_lost) / 256.0;
        consumer.reported.loss_ratio = Some(loss_ratio);
        consumer.reported.jitter_s = Some(f64::from(block.jitter) / f64::from(clock_rate_hz));
        let sample = round_trip(cx.ntp(), block.last_sr, block.delay_since_last_sr);
        let Some(transport) = self.transports.get_mut(key) else { return };
        if let Some(sample) = sample {
            consumer.reported.round_trip = Some(sample);
            transport.rtt.on_sample(sample);
        }
        self.on_audio_report(key, consumer_key, loss_ratio);
        self.on_reported_loss(cx, key, consumer_key, loss_ratio);
    }

    fn on_keyframe_request(&mut self, cx: &mut Cx, key: Key, ssrc: u32) {
        cx.shared.counters.pli_received += 1;
        let consumer = self.consumer_by_ssrc(key, ssrc);
        if self.hurry(cx, key, consumer) {
            return;
        }
        let source = consumer
            .and_then(|consumer| self.consumers.get(consumer))
            .filter(|consumer| consumer.kind == MediaKind::Video && !consumer.paused)
            .and_then(|consumer| consumer.producer.zip(consumer.keyframe_encoding()));
        if let Some((producer, encoding)) = source {
            self.request_keyframe(cx, producer, encoding);
        }
    }

    /// The subscription of the transport that is sent under this SSRC.
    fn consumer_by_ssrc(&self, key: Key, ssrc: u32) -> Option<Key> {
        let transport = self.transports.get(key)?;
        transport.consumers.iter().copied().find(|consumer| {
            self.consumers.get(*consumer).is_some_and(|c| c.parameters.ssrc == ssrc)
        })
    }
}
