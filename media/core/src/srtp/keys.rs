//! Master keys of one direction, and the session keys derived from them.

use std::fmt;

use aws_lc_rs::cipher::{AES_128, AES_256, EncryptingKey, EncryptionContext, UnboundCipherKey};

use super::{DEFAULT_MAX_SSRCS, SrtpContext, SrtpError};
use crate::api::SrtpProfile;

/// Derivation labels (RFC 3711, section 4.3.2): encryption key, authentication key, salt.
pub(super) const RTP_LABELS: [u8; 3] = [0, 1, 2];
pub(super) const RTCP_LABELS: [u8; 3] = [3, 4, 5];

const MAX_KEY_LEN: usize = 32;
const MAX_SALT_LEN: usize = 14;

/// Lengths in bytes of master key and master salt.
fn lengths(profile: SrtpProfile) -> (usize, usize) {
    match profile {
        SrtpProfile::Aes128CmSha1_80 => (16, 14),
        SrtpProfile::AeadAes128Gcm => (16, 12),
        SrtpProfile::AeadAes256Gcm => (32, 12),
    }
}

/// Master key and salt of one direction. Never printed.
#[derive(Clone)]
pub struct SrtpKeys {
    profile: SrtpProfile,
    key: [u8; MAX_KEY_LEN],
    /// Shorter salts are padded with zeros at the end (RFC 7714, section 11).
    salt: [u8; MAX_SALT_LEN],
}

impl fmt::Debug for SrtpKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SrtpKeys").field("profile", &self.profile).finish_non_exhaustive()
    }
}

impl SrtpKeys {
    /// Takes a master key and a master salt.
    ///
    /// # Errors
    ///
    /// [`SrtpError::KeyLength`].
    pub fn new(profile: SrtpProfile, key: &[u8], salt: &[u8]) -> Result<SrtpKeys, SrtpError> {
        if (key.len(), salt.len()) != lengths(profile) {
            return Err(SrtpError::KeyLength);
        }
        let mut keys = SrtpKeys { profile, key: [0; MAX_KEY_LEN], salt: [0; MAX_SALT_LEN] };
        keys.key[..key.len()].copy_from_slice(key);
        keys.salt[..salt.len()].copy_from_slice(salt);
        Ok(keys)
    }

    /// Bytes DTLS has to export for both directions.
    pub fn material_len(profile: SrtpProfile) -> usize {
        let (key, salt) = lengths(profile);
        2 * (key + salt)
    }

    /// Splits what DTLS exported into the contexts of both directions: `(local, remote)`, the
    /// first to protect what we send, the second to unprotect what arrives.
    ///
    /// Each keeps up to [`DEFAULT_MAX_SSRCS`] sources; see [`SrtpContext::set_max_ssrcs`].
    ///
    /// # Errors
    ///
    /// [`SrtpError::KeyLength`] unless `material` has [`SrtpKeys::material_len`] bytes.
    ///
    /// Spec: RFC 5764, section 4.2: client key, server key, client salt, server salt.
    pub fn from_dtls(
        profile: SrtpProfile,
        material: &[u8],
        is_client: bool,
    ) -> Result<(SrtpContext, SrtpContext), SrtpError> {
        let (key_len, salt_len) = lengths(profile);
        if material.len() != SrtpKeys::material_len(profile) {
            return Err(SrtpError::KeyLength);
        }
        let (keys, salts) = material.split_at(2 * key_len);
        let client = SrtpKeys::new(profile, &keys[..key_len], &salts[..salt_len])?;
        let server = SrtpKeys::new(profile, &keys[key_len..], &salts[salt_len..])?;
        let (local, remote) = if is_client { (client, server) } else { (server, client) };
        Ok((
            SrtpContext::new(&local, DEFAULT_MAX_SSRCS)?,
            SrtpContext::new(&remote, DEFAULT_MAX_SSRCS)?,
        ))
    }

    /// The profile the keys are for.
    pub fn profile(&self) -> SrtpProfile {
        self.profile
    }

    /// Bytes of a session encryption key.
    pub(super) fn key_len(&self) -> usize {
        lengths(self.profile).0
    }

    /// Fills `out` with the session key of `label`, with a key derivation rate of zero.
    ///
    /// Spec: RFC 3711, section 4.3.3; RFC 6188 for 256-bit keys.
    pub(super) fn derive(&self, label: u8, out: &mut [u8]) -> Result<(), SrtpError> {
        let algorithm = if self.key_len() == 32 { &AES_256 } else { &AES_128 };
        let key = UnboundCipherKey::new(algorithm, &self.key[..self.key_len()])
            .and_then(EncryptingKey::ctr)
            .map_err(|_| SrtpError::KeyLength)?;
        let mut counter = [0; 16];
        counter[..MAX_SALT_LEN].copy_from_slice(&self.salt);
        counter[7] ^= label;
        out.fill(0);
        key.less_safe_encrypt(out, EncryptionContext::Iv128(counter.into()))
            .map_err(|_| SrtpError::KeyLength)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::srtp::tests::hex;

    #[test]
    fn session_keys_match_rfc_3711_appendix_b_3() {
        let key = hex("E1F97A0D3E018BE0D64FA32C06DE4139");
        let salt = hex("0EC675AD498AFEEBB6960B3AABE6");
        let keys = SrtpKeys::new(SrtpProfile::Aes128CmSha1_80, &key, &salt).unwrap();
        let rows = [
            (0, "C61E7A93744F39EE10734AFE3FF7A087"),
            (2, "30CBBC08863D8C85D49DB34A9AE1"),
            (1, "CEBE321F6FF7716B6FD4AB49AF256A156D38BAA4"),
        ];
        for (label, expected) in rows {
            let mut out = vec![0xff; expected.len() / 2];
            keys.derive(label, &mut out).unwrap();
            assert_eq!(out, hex(expected), "label {label}");
        }
    }

    #[test]
    fn keys_of_another_length_are_refused() {
        let profiles =
            [SrtpProfile::Aes128CmSha1_80, SrtpProfile::AeadAes128Gcm, SrtpProfile::AeadAes256Gcm];
        for profile in profiles {
            let (key, salt) = lengths(profile);
            let bytes = [7; 64];
            assert!(SrtpKeys::new(profile, &bytes[..key], &bytes[..salt]).is_ok());
            for (key, salt) in
                [(0, 0), (key - 1, salt), (key + 1, salt), (key, salt - 1), (key, 16)]
            {
                let result = SrtpKeys::new(profile, &bytes[..key], &bytes[..salt]);
                assert_eq!(result.unwrap_err(), SrtpError::KeyLength);
            }
            let len = SrtpKeys::material_len(profile);
            for wrong in [0, len - 1, len + 1] {
                let result = SrtpKeys::from_dtls(profile, &[0; 128][..wrong], true);
                assert_eq!(result.unwrap_err(), SrtpError::KeyLength);
            }
        }
    }

    #[test]
    fn key_material_is_split_as_rfc_5764_orders_it() {
        let profile = SrtpProfile::Aes128CmSha1_80;
        let material: Vec<u8> = (0..60).collect();
        let client = SrtpKeys::new(profile, &material[..16], &material[32..46]).unwrap();
        let (mut client_local, _) = SrtpKeys::from_dtls(profile, &material, true).unwrap();
        let (_, mut server_remote) = SrtpKeys::from_dtls(profile, &material, false).unwrap();
        let mut expected = SrtpContext::new(&client, 1).unwrap();

        let mut packet = [0_u8; 12 + 10];
        packet[0] = 0x80;
        let mut same = packet;
        client_local.protect_rtp(12, &mut packet, 12).unwrap();
        expected.protect_rtp(12, &mut same, 12).unwrap();
        assert_eq!(packet, same);
        assert_eq!(server_remote.unprotect_rtp(&mut packet), Ok(12));
    }

    #[test]
    fn keys_are_not_printed() {
        let keys = SrtpKeys::new(SrtpProfile::AeadAes128Gcm, &[0xab; 16], &[0xcd; 12]).unwrap();
        let context = SrtpContext::new(&keys, 1).unwrap();
        let text = format!("{keys:?} {context:?}");
        assert!(!text.contains("171") && !text.contains("205") && !text.contains("key"), "{text}");
    }
}
