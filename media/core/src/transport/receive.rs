//! What arrives: which streams there are, decryption, and what an authentic packet proves.

use super::{SrtpPair, Stream, Transport, drop_reason};
use crate::api::{DropReason, Event};
use crate::ledger::Stage;
use crate::remote::Remote;
use crate::rtp::RtpHeader;
use crate::rtp::bytes::u32_at;
use crate::shared::Cx;
use crate::srtp::{SrtpContext, SrtpError};
use crate::table::Key;

/// Chromium probes for bandwidth under it, for no track. The feedback counts what arrives.
const PROBE_SSRC: u32 = 0;

/// An RTP packet that was decrypted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Opened {
    /// Length of the plain packet.
    pub(crate) len: usize,
    /// What its SSRC carries, where known.
    pub(crate) stream: Option<Stream>,
    /// It is no replay. Not known of an SSRC that nobody claims: it stands for nothing then.
    pub(crate) is_fresh: bool,
}

impl Transport {
    /// Replaces the streams of a producer. Those it no longer has end, with what was kept to
    /// receive them.
    pub(crate) fn set_streams(&mut self, producer: Key, streams: &[Stream]) {
        for index in (0..self.streams.len()).rev() {
            if self.streams[index].producer == producer {
                let ended = self.streams.swap_remove(index);
                let goes_on = streams.iter().any(|stream| stream.ssrc == ended.ssrc);
                if let Some(srtp) = self.srtp.as_mut().filter(|_| !goes_on) {
                    srtp.remote.end_ssrc(ended.ssrc);
                }
            }
        }
        self.streams.extend_from_slice(streams);
    }

    /// Decrypts an RTP packet in place; counts and returns `None` if it is refused.
    #[inline]
    pub(crate) fn unprotect_rtp(
        &mut self,
        cx: &mut Cx,
        remote: Remote,
        datagram: &mut [u8],
    ) -> Option<Opened> {
        let ssrc = u32_at(datagram, 8).unwrap_or_default();
        let stream = self.stream(ssrc);
        let open = match stream.is_some() || ssrc == PROBE_SSRC {
            true => SrtpContext::unprotect_rtp,
            false => SrtpContext::unprotect_stray_rtp,
        };
        let len = self.unprotect(cx, Stage::Rtp, datagram, open)?;
        let knows = |srtp: &SrtpPair| srtp.remote.knows(ssrc);
        let is_fresh = stream.is_some() || self.srtp.as_ref().is_some_and(knows);
        if is_fresh {
            self.admit(cx, remote, datagram.len());
        }
        Some(Opened { len, stream, is_fresh })
    }

    /// Decrypts a compound RTCP packet in place; counts and returns `None` if it is refused.
    pub(crate) fn unprotect_rtcp(
        &mut self,
        cx: &mut Cx,
        remote: Remote,
        datagram: &mut [u8],
    ) -> Option<usize> {
        let len = self.unprotect(cx, Stage::Rtcp, datagram, SrtpContext::unprotect_rtcp)?;
        self.admit(cx, remote, datagram.len());
        Some(len)
    }

    #[inline]
    fn unprotect(
        &mut self,
        cx: &mut Cx,
        stage: Stage,
        datagram: &mut [u8],
        open: impl FnOnce(&mut SrtpContext, &mut [u8]) -> Result<usize, SrtpError>,
    ) -> Option<usize> {
        let result = match &mut self.srtp {
            Some(srtp) => open(&mut srtp.remote, datagram).map_err(drop_reason),
            None => Err(DropReason::NotSecured),
        };
        result.map_err(|reason| cx.drop_packet(stage, reason)).ok()
    }

    /// The packet that was not known to be fresh belongs to a stream that is known from now on.
    ///
    /// # Errors
    ///
    /// The reason why no more streams are received.
    pub(crate) fn adopt_stream(
        &mut self,
        cx: &mut Cx,
        remote: Remote,
        header: &RtpHeader,
        len: usize,
    ) -> Result<(), DropReason> {
        let srtp = self.srtp.as_mut().ok_or(DropReason::NotSecured)?;
        srtp.remote.adopt(header.ssrc, header.sequence_number.0).map_err(drop_reason)?;
        self.admit(cx, remote, len);
        Ok(())
    }

    /// Something arrived that nobody sent a second time.
    #[inline]
    fn admit(&mut self, cx: &mut Cx, remote: Remote, len: usize) {
        self.bytes_in += len as u64;
        self.on_alive(cx);
        if self.ice.hear(cx.now, remote) {
            cx.shared.events.push(Event::TransportMoved { transport: self.id, remote });
        }
    }
}
