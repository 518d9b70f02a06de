//! RTCP that is sent: reports and feedback, always as whole compound packets (RFC 3550,
//! section 6.1), because not every remote side negotiates reduced size.

use std::time::Duration;

use super::Room;
use crate::api::{Event, MediaKind};
use crate::producer::{Encoding, Producer};
use crate::protect::requests;
use crate::rtcp::{
    Pli, ReportBlock, SenderInfo, write_cnames, write_nack, write_pli, write_receiver_report,
    write_sender_report,
};
use crate::shared::Cx;
use crate::table::{Key, Slab};
use crate::transport::Transport;
use crate::twcc::TwccRecorder;
use crate::uplink::next_stretch;

/// The name under which we send feedback. No one synchronizes with it.
const FEEDBACK_CNAME: &str = "witness";
/// Sender reports in one compound, so that it stays below the MTU with all its names.
const REPORTS_PER_COMPOUND: usize = 8;
/// Receiver report blocks in one compound.
const BLOCKS_PER_COMPOUND: usize = 24;
/// Taken for the round trip until it is known.
const UNKNOWN_ROUND_TRIP: Duration = Duration::from_millis(100);
/// Numbers in one NACK: four bytes each at worst.
const LOST_PER_NACK: usize = 200;

impl Room {
    /// Reports on everything the transport receives and sends.
    pub(super) fn send_reports(&mut self, cx: &mut Cx, key: Key) {
        let Some(transport) = self.transports.get(key) else { return };
        if transport.srtp.is_none() {
            return;
        }
        let feedback_ssrc = transport.feedback_ssrc;
        let blocks = self.report_blocks(cx, key);
        let reports = self.sender_reports(cx, key);
        let mut blocks = blocks.chunks(BLOCKS_PER_COMPOUND);
        let mut reports = reports.chunks(REPORTS_PER_COMPOUND);
        let mut is_first = true;
        loop {
            let (blocks, reports) = (blocks.next(), reports.next());
            if blocks.is_none() && reports.is_none() && !is_first {
                return;
            }
            is_first = false;
            let out = &mut cx.shared.scratch.rtcp;
            write_receiver_report(out, feedback_ssrc, blocks.unwrap_or_default());
            let mut names = vec![(feedback_ssrc, FEEDBACK_CNAME)];
            for (info, consumer) in reports.unwrap_or_default() {
                write_sender_report(out, info, &[]);
                if let Some(consumer) = self.consumers.get(*consumer) {
                    names.push((info.ssrc, &consumer.parameters.cname));
                }
            }
            // Names were checked when they were commanded.
            let _ = write_cnames(out, &names);
            if let Some(transport) = self.transports.get_mut(key) {
                transport.send_rtcp(cx);
            }
        }
    }

    fn report_blocks(&mut self, cx: &mut Cx, key: Key) -> Vec<ReportBlock> {
        let mut blocks = Vec::new();
        let Some(transport) = self.transports.get(key) else { return blocks };
        for producer in &transport.producers {
            let Some(producer) = self.producers.get_mut(*producer) else { continue };
            for encoding in &mut producer.encodings {
                let Some(ssrc) = encoding.ssrc else { continue };
                let Some(report) = encoding.reception.report() else { continue };
                let (last_sr, delay_since_last_sr) =
                    encoding.reports.last(cx.now).unwrap_or_default();
                blocks.push(ReportBlock {
                    ssrc,
                    fraction_lost: report.fraction_lost,
                    cumulative_lost: report.cumulative_lost,
                    highest_sequence: report.highest_seq,
                    jitter: report.jitter,
                    last_sr,
                    delay_since_last_sr,
                });
            }
        }
        blocks
    }

    /// Sender reports of what was sent since the last ones. The NTP time is the server's and the
    /// RTP timestamp follows the publisher's own reports, so tracks of one publisher stay in
    /// sync, as far as that holds no voice back for long (see [`lips`](crate::lips)). Without a
    /// report of the publisher there is none to send.
    fn sender_reports(&mut self, cx: &mut Cx, to: Key) -> Vec<(SenderInfo, Key)> {
        let mut reports = Vec::new();
        let mut is_urgent = false;
        let ntp = cx.ntp();
        let Some(transport) = self.transports.get(to) else { return reports };
        for key in &transport.consumers {
            let Some(consumer) = self.consumers.get_mut(*key) else { continue };
            if consumer.packets == consumer.packets_reported {
                continue;
            }
            let source = consumer.producer.and_then(|key| self.producers.get(key));
            let mapped = source.zip(consumer.encoding).and_then(|(producer, index)| {
                let publisher = self.transports.get(producer.transport)?;
                let offset = consumer.rewriter.timestamp_offset()?;
                let encoding = producer.encodings.get(index)?;
                if producer.kind == MediaKind::Video {
                    let late = behind_voice(&self.producers, publisher, encoding);
                    is_urgent |= consumer.given_up.follow(late);
                }
                let taken = ntp.offset_ns(-consumer.given_up.ns());
                encoding.reports.outgoing(taken, &publisher.publisher_clock, offset)
            });
            let Some(rtp_timestamp) = mapped else { continue };
            consumer.packets_reported = consumer.packets;
            let info = SenderInfo {
                ssrc: consumer.parameters.ssrc,
                ntp,
                rtp_timestamp,
                packet_count: consumer.packets as u32,
                octet_count: consumer.payload_bytes as u32,
            };
            reports.push((info, *key));
        }
        if is_urgent && let Some(transport) = self.transports.get_mut(to) {
            transport.quick_reports.begin(cx.now);
        }
        reports
    }

    /// Asks the publisher for keyframes of the encodings somebody waits for, as far as their
    /// intervals have passed.
    pub(super) fn send_keyframe_request(&mut self, cx: &mut Cx, key: Key) {
        let Some(producer) = self.producers.get_mut(key) else { return };
        let Some(transport) = self.transports.get_mut(producer.transport) else { return };
        if producer.paused || transport.srtp.is_none() {
            return;
        }
        for encoding in &mut producer.encodings {
            let Some(media_ssrc) = encoding.ssrc else { continue };
            if encoding.throttle.poll(cx.now) {
                let pli = Pli { sender_ssrc: transport.feedback_ssrc, media_ssrc };
                begin_feedback(cx, transport);
                write_pli(&mut cx.shared.scratch.rtcp, pli);
                transport.send_rtcp(cx);
                cx.shared.counters.pli_sent += 1;
            }
            if let Some(at) = encoding.throttle.next_timeout() {
                transport.schedule_requests(cx, at);
            }
        }
    }

    /// Asks for what is missing in the producer's streams. Where something was given up that
    /// somebody receives, a keyframe is needed.
    pub(super) fn send_nacks(&mut self, cx: &mut Cx, key: Key) {
        let Some(producer) = self.producers.get_mut(key) else { return };
        let Some(transport) = self.transports.get_mut(producer.transport) else { return };
        let rtt = transport.rtt.get();
        let plan = (producer.kind == MediaKind::Video).then(|| {
            let loss = producer.loss();
            // Of who receives nothing the way down is not known: it may be as bad.
            let back = if transport.has_fates { transport.loss.loss().ratio } else { loss };
            requests::plan(rtt.unwrap_or(UNKNOWN_ROUND_TRIP), loss, back)
        });
        let Producer { encodings, consumers, .. } = producer;
        for (index, encoding) in encodings.iter_mut().enumerate() {
            let (Some(nack), Some(ssrc)) = (&mut encoding.nack, encoding.ssrc) else { continue };
            if let Some(plan) = plan {
                nack.set_plan(plan);
            }
            let mut lost = std::mem::take(&mut cx.shared.scratch.lost);
            let voice = encoding.voice.as_deref();
            let is_held = |ext_seq| voice.is_some_and(|voice| voice.will_bring(ext_seq));
            let outcome = nack.poll_unless(cx.now, rtt, &mut lost, is_held);
            if outcome.needs_keyframe
                && consumers
                    .iter()
                    .any(|key| self.consumers.get(*key).is_some_and(|c| c.encoding == Some(index)))
            {
                encoding.throttle.request();
            }
            for lost in lost.chunks(LOST_PER_NACK) {
                begin_feedback(cx, transport);
                write_nack(&mut cx.shared.scratch.rtcp, transport.feedback_ssrc, ssrc, lost);
                transport.send_rtcp(cx);
                cx.shared.counters.nack_sent += 1;
            }
            lost.clear();
            cx.shared.scratch.lost = lost;
        }
    }
}

/// Starts a compound packet for feedback.
fn begin_feedback(cx: &mut Cx, transport: &Transport) {
    let out = &mut cx.shared.scratch.rtcp;
    write_receiver_report(out, transport.feedback_ssrc, &[]);
    // The name is short.
    let _ = write_cnames(out, &[(transport.feedback_ssrc, FEEDBACK_CNAME)]);
}

/// Sends the transport-wide congestion feedback that is due.
pub(super) fn send_congestion_feedback(cx: &mut Cx, transport: &mut Transport) {
    let media_ssrc = transport.streams.first().map_or(0, |stream| stream.ssrc);
    let ssrc = transport.feedback_ssrc;
    let empty = TwccRecorder::new(cx.shared.config.feedback_interval);
    // Out of the transport while its reports are sent through it.
    let mut twcc = std::mem::replace(&mut transport.twcc, empty);
    twcc.swap_memory(&mut cx.shared.scratch.arrivals);
    transport.twcc_writer.swap_memory(&mut cx.shared.scratch.twcc_writer);
    while let Some(report) = twcc.poll(cx.now) {
        let arrivals = report.arrivals;
        let mut hidden = transport.uplink.judge(arrivals, cx.now);
        cx.shared.counters.losses_untold += u64::from(hidden);
        if let Some(bitrate_bps) = transport.uplink.new_floor(cx.now) {
            cx.shared.events.push(Event::UplinkFloor { transport: transport.id, bitrate_bps });
        }
        let (mut from, mut count) = (0, 0);
        while let Some(stretch) = next_stretch(arrivals, &mut from, &mut hidden, count) {
            count += 1;
            let mut base = report.base.add(stretch.start as u16);
            let mut rest = &arrivals[stretch];
            while !rest.is_empty() {
                // One in each compound: browsers read the last one only.
                begin_feedback(cx, transport);
                let out = &mut cx.shared.scratch.rtcp;
                let written = transport.twcc_writer.write(out, ssrc, media_ssrc, base, rest);
                transport.send_rtcp(cx);
                base = base.add(written as u16);
                rest = &rest[written.clamp(1, rest.len())..];
            }
        }
    }
    transport.twcc_writer.swap_memory(&mut cx.shared.scratch.twcc_writer);
    twcc.swap_memory(&mut cx.shared.scratch.arrivals);
    transport.twcc = twcc;
}

/// How much later than the same person's voice pictures come.
fn behind_voice(
    producers: &Slab<Producer>,
    publisher: &Transport,
    pictures: &Encoding,
) -> Option<Duration> {
    let own = publisher.producers.iter().filter_map(|key| producers.get(*key));
    let mut voices = own.filter(|producer| producer.kind == MediaKind::Audio && !producer.paused);
    voices.find_map(|voice| pictures.lateness.beyond(&voice.encodings.first()?.lateness))
}
