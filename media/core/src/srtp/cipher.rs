//! The two families of protection, for packets whose index is known.
//!
//! Both work in place on `header | payload | tag` and keep no state.

use aws_lc_rs::cipher::{AES_128, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::{constant_time, hmac};
use media_aead::{AesGcm, NONCE_LEN};
use media_prefetch::prefetch_all;

use super::SrtpError;
use super::keys::SrtpKeys;
use crate::api::SrtpProfile;

/// Bytes of the HMAC-SHA1-80 tag.
const SHA1_80_TAG_LEN: usize = 10;
/// Bytes of the AES-GCM tag.
const GCM_TAG_LEN: usize = media_aead::TAG_LEN;
/// Bytes of the SRTCP index and its encryption flag.
pub(super) const INDEX_LEN: usize = 4;
/// Bytes of an RTCP packet that stay readable: the first header and its SSRC.
pub(super) const RTCP_HEADER_LEN: usize = 8;
/// Flag of the SRTCP index word: the packet is encrypted.
pub(super) const ENCRYPTED_FLAG: u32 = 1 << 31;

type Nonce = [u8; NONCE_LEN];

/// Session keys for RTP or for RTCP.
pub(super) enum Cipher {
    /// AES counter mode with HMAC-SHA1-80 (RFC 3711, section 4).
    CmSha1 { key: Box<EncryptingKey>, auth: Box<hmac::Key>, salt: [u8; 14] },
    /// AES-GCM (RFC 7714).
    Gcm { key: AesGcm, salt: [u8; 12] },
}

impl Cipher {
    /// Derives the session keys of three labels: encryption, authentication, salt.
    pub(super) fn derive(keys: &SrtpKeys, labels: [u8; 3]) -> Result<Cipher, SrtpError> {
        let [key_label, auth_label, salt_label] = labels;
        let mut key = [0; 32];
        let key = &mut key[..keys.key_len()];
        keys.derive(key_label, key)?;
        match keys.profile() {
            SrtpProfile::Aes128CmSha1_80 => {
                let mut auth = [0; 20];
                keys.derive(auth_label, &mut auth)?;
                let mut salt = [0; 14];
                keys.derive(salt_label, &mut salt)?;
                Cipher::cm_sha1(key, &auth, salt)
            }
            SrtpProfile::AeadAes128Gcm | SrtpProfile::AeadAes256Gcm => {
                let mut salt = [0; 12];
                keys.derive(salt_label, &mut salt)?;
                Cipher::gcm(key, salt)
            }
        }
    }

    pub(super) fn cm_sha1(key: &[u8], auth: &[u8], salt: [u8; 14]) -> Result<Cipher, SrtpError> {
        let key = UnboundCipherKey::new(&AES_128, key)
            .and_then(EncryptingKey::ctr)
            .map_err(|_| SrtpError::KeyLength)?;
        let auth = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, auth);
        Ok(Cipher::CmSha1 { key: Box::new(key), auth: Box::new(auth), salt })
    }

    pub(super) fn gcm(key: &[u8], salt: [u8; 12]) -> Result<Cipher, SrtpError> {
        let key = AesGcm::new(key).map_err(|_| SrtpError::KeyLength)?;
        Ok(Cipher::Gcm { key, salt })
    }

    /// Has the expanded key fetched.
    #[inline]
    pub(super) fn prefetch(&self) {
        match self {
            Cipher::CmSha1 { key, auth, .. } => {
                prefetch_all(&**key);
                prefetch_all(&**auth);
            }
            Cipher::Gcm { key, .. } => key.prefetch(),
        }
    }

    /// Bytes of the authentication tag.
    pub(super) fn tag_len(&self) -> usize {
        match self {
            Cipher::CmSha1 { .. } => SHA1_80_TAG_LEN,
            Cipher::Gcm { .. } => GCM_TAG_LEN,
        }
    }

    /// Whether encrypting two different packets with one index breaks the authentication key.
    pub(super) fn index_must_be_unique(&self) -> bool {
        matches!(self, Cipher::Gcm { .. })
    }

    /// Protects `buf`, whose last [`Cipher::tag_len`] bytes are room for the tag.
    pub(super) fn seal_rtp(
        &self,
        ssrc: u32,
        index: u64,
        header_len: usize,
        buf: &mut [u8],
    ) -> Result<(), SrtpError> {
        let (packet, tag) = split_tag(buf, self.tag_len())?;
        let (header, payload) = packet.split_at_mut_checked(header_len).ok_or(MALFORMED)?;
        match self {
            Cipher::CmSha1 { key, auth, salt } => {
                apply_keystream(key, counter(salt, ssrc, index), payload)?;
                let signed = sign(auth, packet, &rollover(index));
                tag.copy_from_slice(&signed);
            }
            Cipher::Gcm { key, salt } => {
                let nonce = rtp_nonce(salt, ssrc, index);
                seal_gcm(key, nonce, header, payload, tag)?;
            }
        }
        Ok(())
    }

    /// Authenticates, then decrypts `header | ciphertext | tag`. After an error of AES-GCM the
    /// payload is unspecified.
    pub(super) fn open_rtp(
        &self,
        ssrc: u32,
        index: u64,
        header_len: usize,
        buf: &mut [u8],
    ) -> Result<(), SrtpError> {
        let (packet, tag) = split_tag(buf, self.tag_len())?;
        if header_len > packet.len() {
            return Err(MALFORMED);
        }
        match self {
            Cipher::CmSha1 { key, auth, salt } => {
                verify(auth, packet, &rollover(index), tag)?;
                apply_keystream(key, counter(salt, ssrc, index), &mut packet[header_len..])
            }
            Cipher::Gcm { key, salt } => {
                let nonce = rtp_nonce(salt, ssrc, index);
                let (header, payload) = packet.split_at_mut(header_len);
                open_gcm(key, nonce, header, tag, payload)
            }
        }
    }

    /// Protects the first `len` bytes of `buf`, which must have exactly the room for tag and
    /// index behind them.
    pub(super) fn seal_rtcp(
        &self,
        ssrc: u32,
        index: u32,
        len: usize,
        buf: &mut [u8],
    ) -> Result<(), SrtpError> {
        let word = (index | ENCRYPTED_FLAG).to_be_bytes();
        match self {
            Cipher::CmSha1 { key, auth, salt } => {
                let body = buf.get_mut(RTCP_HEADER_LEN..len).ok_or(MALFORMED)?;
                apply_keystream(key, counter(salt, ssrc, index.into()), body)?;
                let (packet, trailer) = buf.split_at_mut(len);
                let (out_word, tag) = trailer.split_at_mut(INDEX_LEN);
                out_word.copy_from_slice(&word);
                tag.copy_from_slice(&sign(auth, packet, &word));
            }
            Cipher::Gcm { key, salt } => {
                let (packet, trailer) = buf.split_at_mut_checked(len).ok_or(MALFORMED)?;
                let (header, body) = packet.split_first_chunk_mut().ok_or(MALFORMED)?;
                let (tag, out_word) = trailer.split_at_mut(GCM_TAG_LEN);
                out_word.copy_from_slice(&word);
                let nonce = rtcp_nonce(salt, ssrc, index);
                seal_gcm(key, nonce, &rtcp_aad(header, word), body, tag)?;
            }
        }
        Ok(())
    }

    /// The index word of a protected RTCP packet, flag included; `None` if it is too short.
    pub(super) fn rtcp_word(&self, buf: &[u8]) -> Option<u32> {
        let trailer_len = INDEX_LEN + self.tag_len();
        let body_len = buf.len().checked_sub(trailer_len)?;
        if body_len < RTCP_HEADER_LEN {
            return None;
        }
        match self {
            Cipher::CmSha1 { .. } => crate::rtp::bytes::u32_at(buf, body_len),
            Cipher::Gcm { .. } => crate::rtp::bytes::u32_at(buf, body_len + GCM_TAG_LEN),
        }
    }

    /// Authenticates, then decrypts a packet with index word `word`; returns its plain length.
    /// After an error of AES-GCM the packet is unspecified.
    pub(super) fn open_rtcp(
        &self,
        ssrc: u32,
        word: u32,
        buf: &mut [u8],
    ) -> Result<usize, SrtpError> {
        let trailer_len = INDEX_LEN + self.tag_len();
        let (packet, trailer) = split_tag(buf, trailer_len)?;
        let plain_len = packet.len();
        let encrypted = word & ENCRYPTED_FLAG != 0;
        let index = word & !ENCRYPTED_FLAG;
        match self {
            Cipher::CmSha1 { key, auth, salt } => {
                verify(auth, packet, &word.to_be_bytes(), &trailer[INDEX_LEN..])?;
                if encrypted {
                    let body = packet.get_mut(RTCP_HEADER_LEN..).ok_or(MALFORMED)?;
                    apply_keystream(key, counter(salt, ssrc, index.into()), body)?;
                }
            }
            Cipher::Gcm { key, salt } => {
                let nonce = rtcp_nonce(salt, ssrc, index);
                if encrypted {
                    let (header, body) = packet.split_first_chunk_mut().ok_or(MALFORMED)?;
                    let aad = rtcp_aad(header, word.to_be_bytes());
                    open_gcm(key, nonce, &aad, &trailer[..GCM_TAG_LEN], body)?;
                } else {
                    let tag: [u8; GCM_TAG_LEN] = *trailer.first_chunk().ok_or(MALFORMED)?;
                    // The associated data is the packet and the word in one piece: the word
                    // moves to where the tag was.
                    trailer.copy_within(GCM_TAG_LEN.., 0);
                    let aad = &buf[..plain_len + INDEX_LEN];
                    open_gcm(key, nonce, aad, &tag, &mut [])?;
                }
            }
        }
        Ok(plain_len)
    }
}

const MALFORMED: SrtpError = SrtpError::Malformed;

fn split_tag(buf: &mut [u8], tag_len: usize) -> Result<(&mut [u8], &mut [u8]), SrtpError> {
    let packet_len = buf.len().checked_sub(tag_len).ok_or(MALFORMED)?;
    Ok(buf.split_at_mut(packet_len))
}

/// Initial counter block (RFC 3711, section 4.1.1).
fn counter(salt: &[u8; 14], ssrc: u32, index: u64) -> [u8; 16] {
    let mut block = [0; 16];
    block[..14].copy_from_slice(salt);
    xor(&mut block[4..8], &ssrc.to_be_bytes());
    xor(&mut block[8..14], &index.to_be_bytes()[2..]);
    block
}

/// Nonce of an RTP packet (RFC 7714, section 8.1).
fn rtp_nonce(salt: &[u8; 12], ssrc: u32, index: u64) -> Nonce {
    let mut nonce = *salt;
    xor(&mut nonce[2..6], &ssrc.to_be_bytes());
    xor(&mut nonce[6..], &index.to_be_bytes()[2..]);
    nonce
}

/// Nonce of an RTCP packet (RFC 7714, section 9.1).
fn rtcp_nonce(salt: &[u8; 12], ssrc: u32, index: u32) -> Nonce {
    let mut nonce = *salt;
    xor(&mut nonce[2..6], &ssrc.to_be_bytes());
    xor(&mut nonce[8..], &index.to_be_bytes());
    nonce
}

fn xor(target: &mut [u8], mask: &[u8]) {
    for (byte, mask) in target.iter_mut().zip(mask) {
        *byte ^= mask;
    }
}

/// The rollover counter, which is authenticated but not sent (RFC 3711, section 4.2).
fn rollover(index: u64) -> [u8; 4] {
    ((index >> 16) as u32).to_be_bytes()
}

fn rtcp_aad(header: &[u8; RTCP_HEADER_LEN], word: [u8; INDEX_LEN]) -> [u8; 12] {
    let mut aad = [0; RTCP_HEADER_LEN + INDEX_LEN];
    aad[..RTCP_HEADER_LEN].copy_from_slice(header);
    aad[RTCP_HEADER_LEN..].copy_from_slice(&word);
    aad
}

fn apply_keystream(
    key: &EncryptingKey,
    counter: [u8; 16],
    data: &mut [u8],
) -> Result<(), SrtpError> {
    key.less_safe_encrypt(data, EncryptionContext::Iv128(counter.into())).map_err(|_| MALFORMED)?;
    Ok(())
}

fn sign(key: &hmac::Key, packet: &[u8], suffix: &[u8]) -> [u8; SHA1_80_TAG_LEN] {
    let mut context = hmac::Context::with_key(key);
    context.update(packet);
    context.update(suffix);
    let mut tag = [0; SHA1_80_TAG_LEN];
    tag.copy_from_slice(&context.sign().as_ref()[..SHA1_80_TAG_LEN]);
    tag
}

fn verify(key: &hmac::Key, packet: &[u8], suffix: &[u8], tag: &[u8]) -> Result<(), SrtpError> {
    constant_time::verify_slices_are_equal(&sign(key, packet, suffix), tag)
        .map_err(|_| SrtpError::Authentication)
}

fn seal_gcm(
    key: &AesGcm,
    nonce: Nonce,
    aad: &[u8],
    data: &mut [u8],
    tag: &mut [u8],
) -> Result<(), SrtpError> {
    let tag = tag.try_into().map_err(|_| MALFORMED)?;
    key.seal(&nonce, aad, data, tag).map_err(|_| MALFORMED)
}

fn open_gcm(
    key: &AesGcm,
    nonce: Nonce,
    aad: &[u8],
    tag: &[u8],
    data: &mut [u8],
) -> Result<(), SrtpError> {
    key.open(&nonce, aad, data, tag).map_err(|_| SrtpError::Authentication)
}

#[cfg(test)]
mod tests;
