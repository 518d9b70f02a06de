//! One direction of an SRTP association: keys, rollover counters, replay windows.

use std::fmt;
use std::mem::size_of;

use media_prefetch::prefetch_span;

use super::cipher::{Cipher, ENCRYPTED_FLAG, INDEX_LEN, RTCP_HEADER_LEN};
use super::index::estimate;
use super::keys::{RTCP_LABELS, RTP_LABELS, SrtpKeys};
use super::sources::{Keep, SourceTable};
use super::{MAX_OVERHEAD, SrtpError};
use crate::api::SrtpProfile;
use crate::rtp::bytes::{u8_at, u32_at};
use crate::rtp::{FIXED_HEADER_LEN, RtpHeader};

/// Largest RTP packet index: 32 bits of rollover counter, 16 of sequence number.
const MAX_RTP_INDEX: u64 = (1 << 48) - 1;

/// Protects what is sent, or unprotects what arrives: one direction each.
///
/// State per source is created and advanced only after authentication, so forged packets
/// change nothing.
///
/// Fields lie in memory as they stand here: what is needed together lies together.
#[repr(C)]
pub struct SrtpContext {
    rtp: Cipher,
    pub(super) rtp_sources: SourceTable,
    rtcp: Cipher,
    pub(super) rtcp_sources: SourceTable,
    profile: SrtpProfile,
    /// Index of the next RTCP packet sent: one counter for all sources.
    next_rtcp_index: u32,
}

impl fmt::Debug for SrtpContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SrtpContext")
            .field("profile", &self.profile)
            .field("rtp_sources", &self.rtp_sources.live())
            .field("rtcp_sources", &self.rtcp_sources.live())
            .finish_non_exhaustive()
    }
}

impl SrtpContext {
    /// Derives the session keys. `max_ssrcs` bounds the sources of RTP and of RTCP, each.
    ///
    /// # Errors
    ///
    /// [`SrtpError::KeyLength`] if the crypto library refuses the keys.
    pub fn new(keys: &SrtpKeys, max_ssrcs: usize) -> Result<SrtpContext, SrtpError> {
        let rtp = Cipher::derive(keys, RTP_LABELS)?;
        let rtcp = Cipher::derive(keys, RTCP_LABELS)?;
        Ok(SrtpContext::from_ciphers(keys.profile(), rtp, rtcp, max_ssrcs))
    }

    pub(super) fn from_ciphers(
        profile: SrtpProfile,
        rtp: Cipher,
        rtcp: Cipher,
        max_ssrcs: usize,
    ) -> SrtpContext {
        SrtpContext {
            profile,
            rtp,
            rtcp,
            rtp_sources: SourceTable::new(max_ssrcs),
            rtcp_sources: SourceTable::new(max_ssrcs),
            next_rtcp_index: 0,
        }
    }

    /// The protection profile.
    pub fn profile(&self) -> SrtpProfile {
        self.profile
    }

    /// Changes how many sources of RTP and of RTCP are kept at a time, each. Known ones stay.
    pub fn set_max_ssrcs(&mut self, max_ssrcs: usize) {
        self.rtp_sources.set_max_live(max_ssrcs);
        self.rtcp_sources.set_max_live(max_ssrcs);
    }

    /// Makes room for other sources because this one ended. What it sent remains known: a
    /// packet must be newer than all before, to be sent or accepted.
    ///
    /// Of [`MAX_SSRCS_PER_LIFE`](super::MAX_SSRCS_PER_LIFE) sources none can be added: to forget
    /// one would mean to accept its recorded packets, so new keys are needed.
    pub fn end_ssrc(&mut self, ssrc: u32) {
        self.rtp_sources.end(ssrc);
        self.rtcp_sources.end(ssrc);
    }

    /// Has fetched where the key and the sources of RTP are.
    #[inline]
    pub(crate) fn prefetch_places(&self) {
        prefetch_span(&self.rtp, &self.rtp_sources);
    }

    /// Has fetched where the key and the sources of RTCP are.
    #[inline]
    pub(crate) fn prefetch_rtcp_places(&self) {
        prefetch_span(&self.rtcp, &self.next_rtcp_index);
    }

    /// Has fetched which sources there are, and the key.
    #[inline]
    pub(crate) fn prefetch(&self) {
        self.rtp_sources.prefetch();
        self.rtp.prefetch();
    }

    /// Has fetched what RTP packets of one source will need, a moment later.
    #[inline]
    pub(crate) fn prefetch_source(&self, ssrc: u32) {
        self.rtp_sources.prefetch_window(ssrc);
    }

    /// Has fetched which sources of RTCP there are.
    #[inline]
    pub(crate) fn prefetch_rtcp(&self) {
        self.rtcp_sources.prefetch();
        self.rtcp.prefetch();
    }

    /// Has fetched what RTCP packets of one source will need, a moment later.
    #[inline]
    pub(crate) fn prefetch_rtcp_source(&self, ssrc: u32) {
        self.rtcp_sources.prefetch_window(ssrc);
    }

    /// Bytes held, with the per-source tables.
    pub fn memory_bytes(&self) -> usize {
        let tables = self.rtp_sources.memory_bytes() + self.rtcp_sources.memory_bytes();
        size_of::<SrtpContext>() + tables
    }

    /// Protects the RTP packet in `buf[..len]` in place; returns the protected length.
    ///
    /// `header_len` includes CSRCs and extension block. The rollover counter follows from the
    /// sequence numbers, so packets may be sent out of order by up to half a cycle. A stream
    /// should start below 32768: a receiver that misses packets before the first rollover
    /// cannot know of it (RFC 3711, section 3.3.1).
    ///
    /// # Errors
    ///
    /// [`SrtpError::Malformed`] if `buf` lacks room for the tag ([`MAX_OVERHEAD`] suffices) or
    /// holds no RTP header; [`SrtpError::LimitReached`] for one source too many. With AES-GCM
    /// [`SrtpError::Replay`] for a sequence number that was sent before, or is more than 1023
    /// behind: encrypting anything else under the same index would expose the key.
    pub fn protect_rtp(
        &mut self,
        header_len: usize,
        buf: &mut [u8],
        len: usize,
    ) -> Result<usize, SrtpError> {
        let out_len = len.checked_add(self.rtp.tag_len()).ok_or(SrtpError::Malformed)?;
        let buf = buf.get_mut(..out_len).ok_or(SrtpError::Malformed)?;
        if header_len < FIXED_HEADER_LEN || header_len > len || buf[0] >> 6 != 2 {
            return Err(SrtpError::Malformed);
        }
        let sequence_number = u16::from_be_bytes([buf[2], buf[3]]);
        let ssrc = u32::from_be_bytes([buf[8], buf[9], buf[10], buf[11]]);
        self.rtp_sources.with(ssrc, Keep::Any, |window| {
            let index = estimate(window.newest(), sequence_number);
            if index > MAX_RTP_INDEX {
                return Err(SrtpError::LimitReached);
            }
            if self.rtp.index_must_be_unique() && !window.is_fresh(index) {
                return Err(SrtpError::Replay);
            }
            self.rtp.seal_rtp(ssrc, index, header_len, buf)?;
            window.accept(index);
            Ok(out_len)
        })
    }

    /// Authenticates and decrypts the RTP packet that fills `buf`; returns the plain length.
    ///
    /// # Errors
    ///
    /// [`SrtpError::Malformed`], [`SrtpError::Replay`] or [`SrtpError::Authentication`] for the
    /// packet, [`SrtpError::LimitReached`] for one source too many. State is then unchanged,
    /// the contents of `buf` behind the header unspecified.
    pub fn unprotect_rtp(&mut self, buf: &mut [u8]) -> Result<usize, SrtpError> {
        self.open_rtp(buf, Keep::Any)
    }

    /// As [`SrtpContext::unprotect_rtp`], for a source that may be nobody's: none that is not
    /// known already leaves a trace, so its packets are not told from replays, and after a
    /// rollover they are not authentic. Call [`SrtpContext::adopt`] when it turns out to be
    /// wanted.
    ///
    /// # Errors
    ///
    /// As [`SrtpContext::unprotect_rtp`], but for the limit.
    pub fn unprotect_stray_rtp(&mut self, buf: &mut [u8]) -> Result<usize, SrtpError> {
        self.open_rtp(buf, Keep::Known)
    }

    /// Keeps state from now on for a source whose packet was just unprotected as a stray.
    ///
    /// # Errors
    ///
    /// [`SrtpError::LimitReached`] for one source too many.
    pub fn adopt(&mut self, ssrc: u32, sequence_number: u16) -> Result<(), SrtpError> {
        self.rtp_sources.with(ssrc, Keep::Any, |window| {
            window.accept(estimate(window.newest(), sequence_number));
            Ok(())
        })
    }

    /// Whether replayed RTP packets of the source are refused.
    pub fn knows(&self, ssrc: u32) -> bool {
        self.rtp_sources.knows(ssrc)
    }

    fn open_rtp(&mut self, buf: &mut [u8], keep: Keep) -> Result<usize, SrtpError> {
        let header = RtpHeader::parse_protected(buf).map_err(|_| SrtpError::Malformed)?;
        let plain_len = buf.len().checked_sub(self.rtp.tag_len()).ok_or(SrtpError::Malformed)?;
        if header.header_len > plain_len {
            return Err(SrtpError::Malformed);
        }
        self.rtp_sources.with(header.ssrc, keep, |window| {
            let index = estimate(window.newest(), header.sequence_number.0);
            if index > MAX_RTP_INDEX || !window.is_fresh(index) {
                return Err(SrtpError::Replay);
            }
            self.rtp.open_rtp(header.ssrc, index, header.header_len, buf)?;
            window.accept(index);
            Ok(plain_len)
        })
    }

    /// Protects the compound RTCP packet in `buf[..len]` in place; returns the protected length.
    ///
    /// # Errors
    ///
    /// [`SrtpError::Malformed`] if `buf` lacks room for tag and index ([`MAX_OVERHEAD`]
    /// suffices) or holds no RTCP header; [`SrtpError::LimitReached`] after 2³¹ packets.
    pub fn protect_rtcp(&mut self, buf: &mut [u8], len: usize) -> Result<usize, SrtpError> {
        debug_assert!(self.rtcp.tag_len() + INDEX_LEN <= MAX_OVERHEAD);
        let out_len =
            len.checked_add(self.rtcp.tag_len() + INDEX_LEN).ok_or(SrtpError::Malformed)?;
        let buf = buf.get_mut(..out_len).ok_or(SrtpError::Malformed)?;
        if len < RTCP_HEADER_LEN || buf[0] >> 6 != 2 {
            return Err(SrtpError::Malformed);
        }
        if self.next_rtcp_index >= ENCRYPTED_FLAG {
            return Err(SrtpError::LimitReached);
        }
        let ssrc = u32::from_be_bytes([buf[4], buf[5], buf[6], buf[7]]);
        self.rtcp.seal_rtcp(ssrc, self.next_rtcp_index, len, buf)?;
        self.next_rtcp_index += 1;
        Ok(out_len)
    }

    /// Authenticates and decrypts the RTCP packet that fills `buf`; returns the plain length.
    /// Packets that are authenticated but not encrypted are accepted (RFC 3711, section 3.4).
    ///
    /// # Errors
    ///
    /// As [`SrtpContext::unprotect_rtp`].
    pub fn unprotect_rtcp(&mut self, buf: &mut [u8]) -> Result<usize, SrtpError> {
        if u8_at(buf, 0).is_none_or(|byte| byte >> 6 != 2) {
            return Err(SrtpError::Malformed);
        }
        let word = self.rtcp.rtcp_word(buf).ok_or(SrtpError::Malformed)?;
        let ssrc = u32_at(buf, 4).ok_or(SrtpError::Malformed)?;
        self.rtcp_sources.with(ssrc, Keep::New, |window| {
            let index = u64::from(word & !ENCRYPTED_FLAG);
            if !window.is_fresh(index) {
                return Err(SrtpError::Replay);
            }
            let plain_len = self.rtcp.open_rtcp(ssrc, word, buf)?;
            window.accept(index);
            Ok(plain_len)
        })
    }
}

#[cfg(test)]
impl SrtpContext {
    pub(super) fn has_no_sources(&self) -> bool {
        self.rtp_sources.is_empty() && self.rtcp_sources.is_empty()
    }

    pub(super) fn set_next_rtcp_index(&mut self, index: u32) {
        self.next_rtcp_index = index;
    }
}
