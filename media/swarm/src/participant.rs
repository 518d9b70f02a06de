//! One synthetic participant: its association, what it publishes, what it counts.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use media_core::api::{ExtensionKind, MediaKind};
use media_core::demux::{PacketKind, classify};
use media_core::ext::{ExtensionMap, transport_sequence};
use media_core::rtcp::{
    NtpTime, ReportBlock, RtcpPacket, SenderInfo, TwccWriter, duration_to_short, parse,
    write_cnames, write_receiver_report, write_sender_report,
};
use media_core::rtp::{RtpHeader, SeqUnwrapper};
use media_core::srtp::MAX_OVERHEAD;
use media_core::twcc::TwccRecorder;

use crate::association::{Association, AssociationError, Secured};
use crate::reports::ReportTimer;
use crate::stream::{self, Stream, StreamConfig, Traffic};

/// Time between two transport-wide feedbacks. libwebrtc spends 5 % of what it believes it can send on
/// them, 68 bytes each, at most each 50 ms: from 218 kb/s, and it starts with 300
/// (`TransportSequenceNumberFeedbackGenerator::OnSendBandwidthEstimateChanged`).
const FEEDBACK_INTERVAL: Duration = Duration::from_millis(50);
/// Longest wait for the next feedback or report while nothing is known to be due.
const IDLE: Duration = Duration::from_millis(50);
/// Streams counted; what comes beyond is counted without a report.
const MAX_RECEIVED: usize = 64;
const CNAME: &str = "swarm";

/// What arrived of one SSRC.
#[derive(Debug, Clone, Default)]
pub struct Receiver {
    /// The SSRC.
    pub ssrc: u32,
    timer: ReportTimer,
    unwrapper: SeqUnwrapper,
    first: u64,
    /// Packets that arrived.
    pub packets: u64,
    /// When the last one did.
    pub last_at: Option<Instant>,
    reported_expected: u64,
    reported_packets: u64,
    last_sr: u32,
    last_sr_at: Option<Instant>,
}

impl Receiver {
    /// Packets that should have arrived by now.
    pub fn expected(&self) -> u64 {
        self.unwrapper.newest().map_or(0, |newest| newest + 1 - self.first)
    }

    fn on_packet(&mut self, header: &RtpHeader, now: Instant) {
        self.last_at = Some(now);
        let number = self.unwrapper.unwrap(header.sequence_number);
        if self.packets == 0 {
            self.first = number;
        }
        self.first = self.first.min(number);
        self.packets += 1;
    }

    fn report(&mut self, now: Instant) -> ReportBlock {
        let expected = self.expected();
        let recent = expected - self.reported_expected;
        let arrived = self.packets.saturating_sub(self.reported_packets);
        let lost = recent.saturating_sub(arrived);
        self.reported_expected = expected;
        self.reported_packets = self.packets;
        ReportBlock {
            ssrc: self.ssrc,
            fraction_lost: (lost * 256).checked_div(recent).unwrap_or(0).min(255) as u8,
            cumulative_lost: expected.saturating_sub(self.packets) as i32,
            highest_sequence: self.unwrapper.newest().unwrap_or(0) as u32,
            jitter: 0,
            last_sr: self.last_sr,
            delay_since_last_sr: self
                .last_sr_at
                .map_or(0, |at| duration_to_short(now.saturating_duration_since(at))),
        }
    }
}

/// What one datagram was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrived {
    /// Nothing that counts.
    Other,
    /// Media; when it was sent, if that was looked for and found.
    Media(Option<Duration>),
}

/// Counts of RTCP requests.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Requests {
    pub(crate) keyframes: u64,
    pub(crate) nacks: u64,
}

/// See the module's text. Sans-IO, like everything but the worker.
pub(crate) struct Participant {
    pub(crate) address: IpAddr,
    pub(crate) server: SocketAddr,
    pub(crate) association: Association,
    pub(crate) failure: Option<AssociationError>,
    pub(crate) streams: Vec<Stream>,
    pub(crate) receivers: Vec<Receiver>,
    pub(crate) requests: Requests,
    /// Share of the datagrams that is lost, each way.
    pub(crate) loss: f64,
    /// It sends and takes nothing any more.
    pub(crate) is_over: bool,
    extensions: ExtensionMap,
    twcc_id: Option<u8>,
    twcc_sent: u16,
    twcc: TwccRecorder,
    /// From the first numbered packet on.
    next_feedback: Option<Instant>,
    twcc_writer: TwccWriter,
    ssrc: u32,
    rtcp: Vec<u8>,
}

impl Participant {
    pub(crate) fn new(
        (address, server): (IpAddr, SocketAddr),
        association: Association,
        extensions: ExtensionMap,
        index: u32,
    ) -> Participant {
        Participant {
            address,
            server,
            association,
            failure: None,
            streams: Vec::new(),
            receivers: Vec::new(),
            requests: Requests::default(),
            loss: 0.0,
            is_over: false,
            twcc_id: extensions.id(ExtensionKind::TransportCc),
            extensions,
            twcc_sent: 0,
            // Whatever has arrived is due when the participant's own clock says so.
            twcc: TwccRecorder::new(Duration::ZERO),
            next_feedback: None,
            twcc_writer: TwccWriter::default(),
            ssrc: 0x5000_0000 + index,
            rtcp: Vec::with_capacity(2_048),
        }
    }

    pub(crate) fn publish(&mut self, config: StreamConfig, now: Instant) {
        self.streams.push(Stream::new(config, &self.extensions, now));
    }

    /// Goes on under another address, as after a change of network.
    pub(crate) fn move_to(&mut self, address: IpAddr, now: Instant) {
        self.address = address;
        self.association.recheck(now);
    }

    /// Ends without a word, and frees what it holds.
    pub(crate) fn end(&mut self) {
        self.is_over = true;
        self.association.secured = None;
        (self.streams, self.receivers) = (Vec::new(), Vec::new());
    }

    /// Silences a stream, or lets it go on; a picture goes on with a keyframe.
    pub(crate) fn silence(&mut self, ssrc: u32, silent: bool) {
        let is_meant =
            |stream: &&mut Stream| stream.config.ssrc == ssrc && stream.is_silent != silent;
        for stream in self.streams.iter_mut().filter(is_meant) {
            stream.is_silent = silent;
            stream.request_keyframe();
        }
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.association.secured.is_some()
    }

    /// When [`Participant::poll`] has something to do.
    pub(crate) fn next_timeout(&self, now: Instant) -> Instant {
        let mut next = self.association.next_timeout();
        if self.is_connected() {
            let sent = self.streams.iter().filter_map(Stream::next_report);
            let received = self.receivers.iter().filter_map(|receiver| receiver.timer.next());
            let due = sent.chain(received).chain(self.next_feedback).min();
            next = next.min(due.unwrap_or(now + IDLE).min(now + IDLE));
        }
        next
    }

    /// Does what is due; `send` gets each datagram.
    pub(crate) fn poll(&mut self, now: Instant, wall: Duration, mut send: impl FnMut(&[u8])) {
        if self.failure.is_some() {
            return;
        }
        if let Err(error) = self.association.poll(now) {
            self.failure = Some(error);
        }
        self.send_handshake(&mut send);
        if !self.is_connected() {
            return;
        }
        if let Some(due) = self.next_feedback.filter(|due| *due <= now) {
            self.next_feedback = Some((due + FEEDBACK_INTERVAL).max(now));
            self.send_feedback(now, &mut send);
        }
        self.send_reports(now, wall, &mut send);
    }

    /// Writes and protects packet `position` of a burst into `out`; its length, or `None` while
    /// there are no keys.
    pub(crate) fn media(
        &mut self,
        stream: usize,
        traffic: &Traffic,
        place: (u32, u32),
        sent_at: Duration,
        out: &mut [u8],
    ) -> Option<usize> {
        let secured = self.association.secured.as_mut()?;
        let stream = self.streams.get_mut(stream).filter(|stream| !stream.is_silent)?;
        let (header_len, len) = stream.write(out, traffic, place, sent_at, &mut self.twcc_sent);
        secured.local.protect_rtp(header_len, out, len).ok()
    }

    /// Takes a datagram of the server. With `sample` media is decrypted for its time.
    pub(crate) fn receive(
        &mut self,
        now: Instant,
        datagram: &mut [u8],
        sample: bool,
        send: impl FnMut(&[u8]),
    ) -> Arrived {
        match classify(datagram) {
            Some(PacketKind::Rtp) => return self.receive_media(now, datagram, sample),
            Some(PacketKind::Rtcp) => self.receive_rtcp(now, datagram),
            Some(kind @ (PacketKind::Stun | PacketKind::Dtls)) => {
                let outcome = match kind {
                    PacketKind::Stun => self.association.on_stun(now, datagram),
                    _ => self.association.on_dtls(now, datagram),
                };
                self.failure = self.failure.take().or(outcome.err());
                self.send_handshake(send);
            }
            None => {}
        }
        Arrived::Other
    }

    fn receive_media(&mut self, now: Instant, datagram: &mut [u8], sample: bool) -> Arrived {
        let Ok(header) = RtpHeader::parse_protected(datagram) else { return Arrived::Other };
        if let Some(id) = self.twcc_id {
            let element = header.extensions(datagram).map_while(Result::ok).find(|e| e.id == id);
            if let Some(Ok(number)) = element.map(|element| transport_sequence(element.data)) {
                self.next_feedback.get_or_insert(now + FEEDBACK_INTERVAL);
                self.twcc.on_packet(number, now);
            }
        }
        self.count(&header, now);
        let Some(secured) = self.association.secured.as_mut().filter(|_| sample) else {
            return Arrived::Media(None);
        };
        let stamp = secured.remote.unprotect_rtp(datagram).ok().and_then(|len| {
            let header = RtpHeader::parse(&datagram[..len]).ok()?;
            stream::sent_at(header.payload(&datagram[..len]))
        });
        Arrived::Media(stamp)
    }

    fn count(&mut self, header: &RtpHeader, now: Instant) {
        let known = self.receivers.iter().position(|known| known.ssrc == header.ssrc);
        let index = match known {
            Some(index) => index,
            None if self.receivers.len() < MAX_RECEIVED => {
                let same = |stream: &&Stream| stream.config.payload_type == header.payload_type;
                let kind = self.streams.iter().find(same).map(|stream| stream.config.kind);
                let timer =
                    ReportTimer::of_receiver(kind.unwrap_or(MediaKind::Video), header.ssrc, now);
                self.receivers.push(Receiver { ssrc: header.ssrc, timer, ..Receiver::default() });
                self.receivers.len() - 1
            }
            None => return,
        };
        self.receivers[index].on_packet(header, now);
    }

    fn receive_rtcp(&mut self, now: Instant, datagram: &mut [u8]) {
        let Some(secured) = self.association.secured.as_mut() else { return };
        let Ok(len) = secured.remote.unprotect_rtcp(datagram) else { return };
        for packet in parse(&datagram[..len]).flatten() {
            match packet {
                RtcpPacket::Pli(pli) => {
                    self.requests.keyframes += 1;
                    for stream in &mut self.streams {
                        if stream.config.ssrc == pli.media_ssrc {
                            stream.request_keyframe();
                        }
                    }
                }
                RtcpPacket::Nack(nack) => self.requests.nacks += nack.lost().count() as u64,
                RtcpPacket::SenderReport(report) => {
                    let ssrc = report.info.ssrc;
                    let known = self.receivers.iter_mut().find(|known| known.ssrc == ssrc);
                    if let Some(receiver) = known {
                        receiver.last_sr = report.info.ntp.middle();
                        receiver.last_sr_at = Some(now);
                    }
                }
                _ => {}
            }
        }
    }

    fn send_handshake(&mut self, mut send: impl FnMut(&[u8])) {
        while let Some(datagram) = self.association.poll_datagram() {
            send(&datagram);
        }
    }

    /// Each stream that is sent or received reports for itself, as libwebrtc's do: each has an RTCP
    /// module of its own.
    fn send_reports(&mut self, now: Instant, wall: Duration, send: &mut impl FnMut(&[u8])) {
        let Participant { association, rtcp, .. } = self;
        let Some(secured) = association.secured.as_mut() else { return };
        for receiver in &mut self.receivers {
            if receiver.timer.poll(now) {
                write_receiver_report(rtcp, self.ssrc, &[receiver.report(now)]);
                // The name is short.
                let _ = write_cnames(rtcp, &[(self.ssrc, CNAME)]);
                protect_and_send(secured, rtcp, send);
            }
        }
        for stream in &mut self.streams {
            if stream.poll_report(now) {
                let info = SenderInfo {
                    ssrc: stream.config.ssrc,
                    ntp: NtpTime::from_unix(wall),
                    rtp_timestamp: stream.timestamp(now),
                    packet_count: stream.packets as u32,
                    octet_count: stream.payload_bytes as u32,
                };
                write_sender_report(rtcp, &info, &[]);
                let _ = write_cnames(rtcp, &[(info.ssrc, CNAME)]);
                protect_and_send(secured, rtcp, send);
            }
        }
    }

    /// Nothing but the feedback is in the packet, as libwebrtc sends it.
    fn send_feedback(&mut self, now: Instant, send: &mut impl FnMut(&[u8])) {
        let Some(secured) = self.association.secured.as_mut() else { return };
        while let Some(report) = self.twcc.poll(now) {
            let (mut base, mut rest) = (report.base, report.arrivals);
            while !rest.is_empty() {
                let media = self.receivers.first().map_or(0, |receiver| receiver.ssrc);
                let written = self.twcc_writer.write(&mut self.rtcp, self.ssrc, media, base, rest);
                protect_and_send(secured, &mut self.rtcp, send);
                base = base.add(written as u16);
                rest = &rest[written.clamp(1, rest.len())..];
            }
        }
    }
}

fn protect_and_send(secured: &mut Secured, rtcp: &mut Vec<u8>, send: &mut impl FnMut(&[u8])) {
    let len = rtcp.len();
    rtcp.resize(len + MAX_OVERHEAD, 0);
    if let Ok(len) = secured.local.protect_rtcp(rtcp, len) {
        send(&rtcp[..len]);
    }
    rtcp.clear();
}
