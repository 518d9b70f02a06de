//! One ICE + DTLS + SRTP association.

pub mod dtls;
pub mod ice;
mod lifecycle;
mod reach;
mod receive;
mod recent;
pub mod stun;

use std::time::Instant;

use crate::allowance::FeedbackAllowance;
use crate::api::{
    Command, DropReason, DtlsRole, EngineCounters, Fingerprint, IceCredentials, TransportId,
    TransportState, TransportStats,
};
use crate::bwe::BandwidthEstimator;
use crate::clock::{PublisherClock, RttEstimate};
use crate::echoes::Echoes;
use crate::ext::ExtensionMap;
use crate::ledger::Stage;
use crate::lips::QuickReports;
use crate::pacer::{Pacer, Stamps};
use crate::plane::Output;
use crate::protect::{LossMeter, Protection};
use crate::rtcp::TwccWriter;
use crate::rtp::SeqNo;
use crate::shared::{Cx, Location, TIMER_RESOLUTION, TimerKey, TimerKind};
use crate::srtp::{MAX_OVERHEAD, SrtpContext, SrtpError};
use crate::table::Key;
use crate::timers::Deadline;
use crate::twcc::TwccRecorder;
use crate::uplink::Uplink;
use dtls::DtlsAssociation;
use ice::IceLite;
use reach::Reach;

pub(crate) use lifecycle::Checked;

/// SSRCs one transport may receive, RTX included.
pub(crate) const MAX_STREAMS: usize = 128;
/// SSRCs one transport may send at a time, RTX included.
const MAX_SENT_SSRCS: usize = 4_096;

/// A received SSRC and what it carries.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stream {
    pub(crate) ssrc: u32,
    pub(crate) producer: Key,
    pub(crate) encoding: usize,
    pub(crate) is_rtx: bool,
}

/// What became of an outgoing packet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SentRtp {
    /// Length after protection, even if sending failed then.
    pub(crate) protected_len: Option<usize>,
    pub(crate) is_sent: bool,
}

/// Keys of both directions.
pub(crate) struct SrtpPair {
    pub(crate) local: SrtpContext,
    pub(crate) remote: SrtpContext,
}

/// One association and what it carries.
///
/// Fields lie in memory as they stand here: what is needed together lies together.
#[repr(C)]
pub(crate) struct Transport {
    pub(crate) ice: IceLite,
    pub(crate) state: TransportState,
    /// Loss of everything on the way to the subscriber is measured packet by packet.
    pub(crate) has_fates: bool,
    /// So is that of audio.
    pub(crate) has_audio_fates: bool,
    /// Nothing was known of the path when it was last looked at.
    pub(crate) was_settling: bool,
    /// The budget leaves little to spare.
    pub(crate) is_tight: bool,
    /// Transport-wide number an estimator begins with.
    pub(crate) first_number: SeqNo,
    last_alive: Instant,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    pub(crate) estimator: Option<Box<BandwidthEstimator>>,
    /// What of its video may have to be sent again; only where it is protected.
    pub(crate) echoes: Option<Box<Echoes>>,
    pub(crate) location: Location,
    pub(crate) extensions: ExtensionMap,
    pub(crate) reach: Reach,
    pub(crate) pacer: Pacer,
    pub(crate) srtp: Option<SrtpPair>,
    pub(crate) consumers: Vec<Key>,
    pub(crate) rtt: RttEstimate,
    pub(crate) pace: Deadline,
    /// What may be sent now, media and retransmissions, in bits per second. `None`: no limit is
    /// known.
    pub(crate) budget_bps: Option<u64>,
    /// The same, but for the moments in which a queue is emptied: layers are not given up for
    /// those. Whoever changes it calls `Room::allocate`.
    pub(crate) layers_bps: Option<u64>,
    /// What the subscriptions could use at the layers they want: nobody needs to know whether
    /// the path carries more.
    pub(crate) wanted_bps: u64,
    /// When a queue on the way was seen last: what is sent beyond the budget feeds it.
    pub(crate) queue_seen: Option<Instant>,
    /// Loss of everything on the way to the subscriber.
    pub(crate) loss: LossMeter,
    /// How video to the subscriber is protected.
    pub(crate) protection: Protection,
    /// Loss of audio on the way to the subscriber.
    pub(crate) audio_loss: LossMeter,
    /// What its RTCP may cost.
    pub(crate) feedback: FeedbackAllowance,
    /// Subscriptions to audio that are being sent.
    pub(crate) voices: u64,
    /// When a producer has NACKs or keyframe requests to send: not every time of `repair`.
    pub(crate) requests_due: Option<Instant>,
    pub(crate) repair: Deadline,
    /// SSRC under which we send feedback.
    pub(crate) feedback_ssrc: u32,
    pub(crate) streams: Vec<Stream>,
    pub(crate) twcc: TwccRecorder,
    /// The way of what the feedback is about.
    pub(crate) uplink: Uplink,
    pub(crate) twcc_writer: TwccWriter,
    pub(crate) id: TransportId,
    pub(crate) dtls: Option<DtlsAssociation>,
    created_at: Instant,
    pub(crate) next_report: Option<Instant>,
    pub(crate) quick_reports: QuickReports,
    pub(crate) producers: Vec<Key>,
    pub(crate) publisher_clock: PublisherClock,
    pub(crate) control: Deadline,
    /// Takes the place of `wanted_bps` in scenarios without layers.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) pinned_wanted_bps: Option<u64>,
}

/// Parameters of [`Command::CreateTransport`].
pub(crate) struct TransportParameters {
    pub(crate) id: TransportId,
    pub(crate) local_ice: IceCredentials,
    pub(crate) remote_ice: IceCredentials,
    pub(crate) fingerprints: Vec<Fingerprint>,
    pub(crate) role: DtlsRole,
}

impl TransportParameters {
    /// Takes the parameters out of the command.
    pub(crate) fn from_command(command: Command) -> Option<TransportParameters> {
        match command {
            Command::CreateTransport {
                transport,
                local_ice,
                remote_ice,
                remote_fingerprints,
                dtls_role,
                ..
            } => Some(TransportParameters {
                id: transport,
                local_ice,
                remote_ice,
                fingerprints: remote_fingerprints,
                role: dtls_role,
            }),
            _ => None,
        }
    }
}

impl Transport {
    pub(crate) fn new(
        parameters: TransportParameters,
        location: Location,
        cx: &mut Cx,
    ) -> Transport {
        let TransportParameters { id, local_ice, remote_ice, fingerprints, role } = parameters;
        let shared = &mut *cx.shared;
        let dtls =
            DtlsAssociation::new(&shared.dtls, &shared.certificate, role, fingerprints, cx.now);
        Transport {
            id,
            location,
            state: TransportState::New,
            ice: IceLite::new(local_ice, remote_ice),
            dtls: Some(dtls),
            srtp: None,
            extensions: ExtensionMap::default(),
            created_at: cx.now,
            last_alive: cx.now,
            reach: Reach::default(),
            next_report: None,
            quick_reports: QuickReports::default(),
            streams: Vec::new(),
            producers: Vec::new(),
            consumers: Vec::new(),
            twcc: TwccRecorder::new(shared.config.feedback_interval),
            twcc_writer: TwccWriter::default(),
            uplink: Uplink::default(),
            publisher_clock: PublisherClock::default(),
            rtt: RttEstimate::default(),
            feedback_ssrc: shared.random.next_u32(),
            feedback: FeedbackAllowance::default(),
            bytes_in: 0,
            bytes_out: 0,
            budget_bps: None,
            layers_bps: None,
            wanted_bps: 0,
            is_tight: false,
            control: Deadline::default(),
            repair: Deadline::default(),
            requests_due: None,
            pace: Deadline::default(),
            estimator: None,
            first_number: SeqNo(0),
            was_settling: false,
            pacer: Pacer::default(),
            audio_loss: LossMeter::default(),
            loss: LossMeter::default(),
            has_fates: false,
            protection: Protection::default(),
            echoes: None,
            queue_seen: None,
            has_audio_fates: false,
            voices: 0,
            #[cfg(any(test, feature = "testing"))]
            pinned_wanted_bps: None,
        }
    }

    /// Makes sure the work of `kind` is done at `at` or earlier, but not within this call.
    #[inline]
    pub(crate) fn schedule(&mut self, cx: &mut Cx, kind: TimerKind, at: Instant) {
        let deadline = match kind {
            TimerKind::Repair => &mut self.repair,
            TimerKind::Pace => &mut self.pace,
            _ => &mut self.control,
        };
        let key = TimerKey { location: self.location, kind };
        cx.shared.timers.schedule(deadline, at.max(cx.now + TIMER_RESOLUTION), key);
    }

    /// A producer has something to ask for at `at`.
    #[inline]
    pub(crate) fn schedule_requests(&mut self, cx: &mut Cx, at: Instant) {
        self.requests_due = Some(self.requests_due.map_or(at, |due| due.min(at)));
        self.schedule(cx, TimerKind::Repair, at);
    }

    pub(crate) fn stream(&self, ssrc: u32) -> Option<Stream> {
        self.streams.iter().find(|stream| stream.ssrc == ssrc).copied()
    }

    /// A subscription ended: nothing is sent under its SSRCs any more.
    pub(crate) fn end_sent(&mut self, ssrcs: impl IntoIterator<Item = u32>) {
        let Some(srtp) = &mut self.srtp else { return };
        ssrcs.into_iter().for_each(|ssrc| srtp.local.end_ssrc(ssrc));
    }

    /// Protects and sends the RTP packet in `packet[..len]`.
    #[inline]
    pub(crate) fn send_rtp(
        &mut self,
        output: &mut dyn Output,
        counters: &mut EngineCounters,
        limit: usize,
        packet: &mut [u8],
        (header_len, len): (usize, usize),
    ) -> SentRtp {
        let protected = match &mut self.srtp {
            Some(srtp) => srtp.local.protect_rtp(header_len, packet, len).map_err(drop_reason),
            None => Err(DropReason::NotSecured),
        };
        let result = protected.and_then(|len| match len <= limit {
            true => self.send_raw(output, &packet[..len]),
            false => Err(DropReason::TooLarge),
        });
        match result {
            Ok(()) => counters.ledger.pass(Stage::Send),
            Err(reason) => counters.ledger.discard(Stage::Send, reason, 1),
        }
        SentRtp { protected_len: protected.ok(), is_sent: result.is_ok() }
    }

    /// Fills in what depends on the time of sending, protects and sends an RTP packet, and
    /// remembers it for the estimate.
    #[inline]
    pub(crate) fn send_media(
        &mut self,
        cx: &mut Cx,
        packet: &mut [u8],
        lens: (usize, usize),
        stamps: Stamps,
    ) -> SentRtp {
        let is_first = stamps.number_at > 0 && self.estimator.is_none();
        if is_first {
            self.estimator(cx);
        }
        let since_epoch = cx.since_epoch();
        let number = self.estimator.as_ref().map(|estimator| estimator.next_number());
        stamps.write(packet, number, since_epoch);
        let limit = cx.shared.config.max_forwarded_len;
        let sent = self.send_rtp(cx.output, &mut cx.shared.counters, limit, packet, lens);
        if let (true, Some(len)) = (sent.is_sent, sent.protected_len) {
            self.pacer.charge(len);
            if let Some(estimator) = &mut self.estimator {
                estimator.on_sent(since_epoch.as_micros() as i64, len, stamps.number_at > 0);
            }
            if is_first {
                self.begin_pacing(cx);
            }
        }
        sent
    }

    /// [`Transport::send_media`] for a packet that may have to be sent again; `flight` is zero if
    /// not.
    #[inline]
    pub(crate) fn send_followed(
        &mut self,
        cx: &mut Cx,
        packet: &mut [u8],
        (lens, stamps): ((usize, usize), Stamps),
        flight: u64,
    ) -> SentRtp {
        let number = self.estimator.as_ref().map(|estimator| estimator.next_number());
        let sent = self.send_media(cx, packet, lens, stamps);
        if flight > 0 && sent.is_sent {
            self.follow_sent(cx, flight, number.filter(|_| stamps.number_at > 0));
        }
        sent
    }

    #[cold]
    fn follow_sent(&mut self, cx: &mut Cx, flight: u64, number: Option<SeqNo>) {
        let Some(echoes) = &mut self.echoes else { return };
        echoes.on_sent(flight, number, cx.now);
        if let Some(at) = echoes.next_timeout() {
            self.schedule(cx, TimerKind::Pace, at);
        }
    }

    /// The first packet that feedback can be about was sent.
    #[cold]
    fn begin_pacing(&mut self, cx: &mut Cx) {
        self.was_settling = true;
        self.set_pacing(cx);
        self.schedule_pace(cx);
    }

    /// [`Transport::send_media`] for the packet in the scratch buffer.
    #[inline]
    pub(crate) fn send_scratch(
        &mut self,
        cx: &mut Cx,
        lens: (usize, usize),
        stamps: Stamps,
    ) -> SentRtp {
        let mut packet = std::mem::take(&mut cx.shared.scratch.packet);
        let sent = self.send_media(cx, &mut packet[..], lens, stamps);
        cx.shared.scratch.packet = packet;
        sent
    }

    /// Protects and sends the compound RTCP packet in the scratch buffer.
    pub(crate) fn send_rtcp(&mut self, cx: &mut Cx) {
        let mut rtcp = std::mem::take(&mut cx.shared.scratch.rtcp);
        let len = rtcp.len();
        rtcp.resize(len + MAX_OVERHEAD, 0);
        let result = match &mut self.srtp {
            Some(srtp) => srtp.local.protect_rtcp(&mut rtcp, len).map_err(drop_reason),
            None => Err(DropReason::NotSecured),
        };
        cx.ledger().enter(Stage::Own, 1);
        match result.and_then(|len| self.send_raw(cx.output, &rtcp[..len])) {
            Ok(()) => {
                cx.ledger().pass(Stage::Own);
                cx.shared.counters.rtcp_packets_out += 1;
            }
            Err(reason) => cx.drop_packet(Stage::Own, reason),
        }
        rtcp.clear();
        cx.shared.scratch.rtcp = rtcp;
    }

    /// Sends bytes that need no protection, or have it.
    #[inline]
    pub(crate) fn send_raw(
        &mut self,
        output: &mut dyn Output,
        datagram: &[u8],
    ) -> Result<(), DropReason> {
        let path = self.ice.selected().ok_or(DropReason::NotSecured)?;
        if self.reach.has_lapsed {
            return Err(DropReason::NoConsent);
        }
        output.send(path.local, path.remote, datagram)?;
        self.bytes_out += datagram.len() as u64;
        Ok(())
    }

    /// What the transport itself holds; caches and rings of its tracks come on top.
    pub(crate) fn memory_bytes(&self) -> u64 {
        let srtp = self
            .srtp
            .as_ref()
            .map_or(0, |srtp| srtp.local.memory_bytes() + srtp.remote.memory_bytes());
        let tables = self.streams.capacity() * size_of::<Stream>()
            + (self.producers.capacity() + self.consumers.capacity()) * size_of::<Key>();
        let dtls = if self.dtls.is_some() { DTLS_MEMORY_BYTES } else { 0 };
        let feedback = self.twcc.memory_bytes();
        let bandwidth = self.pacer.memory_bytes()
            + self
                .estimator
                .as_ref()
                .map_or(0, |estimator| size_of::<BandwidthEstimator>() + estimator.memory_bytes());
        let echoes = self.echoes.as_ref().map_or(0, |e| size_of::<Echoes>() + e.memory_bytes());
        let agent = self.ice.memory_bytes() + self.reach.memory_bytes();
        let fixed = size_of::<Transport>() + agent + echoes;
        (fixed + srtp + tables + dtls + feedback + bandwidth) as u64
    }

    pub(crate) fn stats(&self, room: u64, memory_bytes: u64) -> TransportStats {
        TransportStats {
            transport: self.id,
            room,
            state: self.state,
            protocol: self.ice.selected().map(|path| path.remote.protocol),
            rtt_s: self.rtt.get().map(|rtt| rtt.as_secs_f64()),
            bytes_in: self.bytes_in,
            bytes_out: self.bytes_out,
            estimate_bps: self.budget_bps,
            acked_bps: self.estimator.as_ref().and_then(|estimator| estimator.acked_bps()),
            pacer_queue_ms: self.pacer.delay().as_secs_f64() * 1e3,
            send_loss_ratio: self.estimator.as_ref().and_then(|estimator| estimator.loss_ratio()),
            wanted_bps: self.wanted_bps,
            memory_bytes,
        }
    }
}

/// What a DTLS association keeps in its queues and buffers, as measured after the handshake.
const DTLS_MEMORY_BYTES: usize = 24 * 1024;

pub(crate) fn drop_reason(error: SrtpError) -> DropReason {
    match error {
        SrtpError::Authentication | SrtpError::KeyLength => DropReason::SrtpAuthentication,
        SrtpError::Replay => DropReason::SrtpReplay,
        SrtpError::Malformed => DropReason::Malformed,
        SrtpError::LimitReached => DropReason::LimitReached,
    }
}
