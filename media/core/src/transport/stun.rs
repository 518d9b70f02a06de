//! STUN messages as ICE needs them (RFC 8489, RFC 8445): parsing with all integrity checks.

use std::net::SocketAddr;

use aws_lc_rs::hmac;
use is::stun::{StunError, StunMessage, TransId};

use crate::api::IceCredentials;

/// Largest answer built here.
pub const MAX_STUN_LEN: usize = 128;

/// Largest question built here: the crate takes user names of up to 128 characters.
pub const MAX_REQUEST_LEN: usize = 256;

/// PRIORITY of questions: that of a peer-reflexive candidate, below any the description names.
const PRIORITY: u32 = 110 << 24;

const FINGERPRINT_LEN: usize = 8;
const FINGERPRINT_HEADER: [u8; 4] = [0x80, 0x28, 0x00, 0x04];
const FINGERPRINT_XOR: u32 = 0x5354_554e;

/// HMAC-SHA1 over the concatenation of `parts`.
pub fn hmac_sha1(key: &[u8], parts: &[&[u8]]) -> [u8; 20] {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key);
    let mut context = hmac::Context::with_key(&key);
    for part in parts {
        context.update(part);
    }
    let mut digest = [0; 20];
    digest.copy_from_slice(context.sign().as_ref());
    digest
}

/// A connectivity check whose FINGERPRINT was right. Not yet authenticated.
pub struct Check<'a> {
    message: StunMessage<'a>,
}

impl<'a> Check<'a> {
    /// Parses a binding request with USERNAME, PRIORITY, MESSAGE-INTEGRITY and FINGERPRINT.
    /// `None` for anything else: such a datagram is never answered.
    pub fn parse(datagram: &'a [u8]) -> Option<Check<'a>> {
        if !has_valid_fingerprint(datagram) {
            return None;
        }
        let message = StunMessage::parse(datagram).ok()?;
        message.is_binding_request().then_some(Check { message })
    }

    /// USERNAME, split: `(our ufrag, theirs)`.
    pub fn ufrags(&self) -> Option<(&str, &str)> {
        self.message.username()?.split_once(':')
    }

    /// Whether MESSAGE-INTEGRITY was made with `password`.
    pub fn is_authentic(&self, password: &str) -> bool {
        self.message.verify(password.as_bytes(), hmac_sha1)
    }

    /// Which of the remote side's transactions it is: another for every check and address.
    pub fn transaction(&self) -> TransId {
        self.message.trans_id()
    }

    /// The pair is chosen for media (RFC 8445, section 7.1.2).
    pub fn nominates(&self) -> bool {
        self.message.use_candidate()
    }

    /// The remote side believes it is controlled, which is our role: a lite agent always is.
    pub fn has_role_conflict(&self) -> bool {
        self.message.ice_controlled().is_some()
    }

    /// Writes the success response; returns its length.
    ///
    /// # Errors
    ///
    /// [`StunError`] if `out` is shorter than [`MAX_STUN_LEN`].
    pub fn write_success(
        &self,
        mapped: SocketAddr,
        password: &str,
        out: &mut [u8],
    ) -> Result<usize, StunError> {
        StunMessage::binding_reply(self.message.trans_id(), mapped).to_bytes(
            Some(password.as_bytes()),
            out,
            hmac_sha1,
        )
    }

    /// Writes the 487 error response (RFC 8445, section 7.3.1.1); returns its length.
    ///
    /// # Errors
    ///
    /// [`StunError`] if `out` is shorter than [`MAX_STUN_LEN`].
    pub fn write_role_conflict(&self, password: &str, out: &mut [u8]) -> Result<usize, StunError> {
        StunMessage::binding_role_conflict_reply(self.message.trans_id()).to_bytes(
            Some(password.as_bytes()),
            out,
            hmac_sha1,
        )
    }
}

/// A success response whose FINGERPRINT was right. Not yet authenticated.
pub struct Answer<'a> {
    message: StunMessage<'a>,
}

impl<'a> Answer<'a> {
    /// Parses a binding success response with MESSAGE-INTEGRITY and FINGERPRINT.
    pub fn parse(datagram: &'a [u8]) -> Option<Answer<'a>> {
        if !has_valid_fingerprint(datagram) {
            return None;
        }
        let message = StunMessage::parse(datagram).ok()?;
        message.is_successful_binding_response().then_some(Answer { message })
    }

    /// Whether MESSAGE-INTEGRITY was made with `password`: that of whoever was asked.
    pub fn is_authentic(&self, password: &str) -> bool {
        self.message.verify(password.as_bytes(), hmac_sha1)
    }

    /// Which question it answers.
    pub fn transaction(&self) -> TransId {
        self.message.trans_id()
    }
}

/// Writes a connectivity check of the controlled side, as RFC 8445, section 7.1 has it; returns
/// its length.
///
/// # Errors
///
/// [`StunError`] if `out` is too short: [`MAX_REQUEST_LEN`] is enough for any it takes.
pub fn write_request(
    transaction: TransId,
    ours: &IceCredentials,
    theirs: &IceCredentials,
    out: &mut [u8],
) -> Result<usize, StunError> {
    let username = format!("{}:{}", theirs.ufrag, ours.ufrag);
    StunMessage::binding_request(&username, transaction, false, 0, PRIORITY, false).to_bytes(
        Some(theirs.password.as_bytes()),
        out,
        hmac_sha1,
    )
}

/// Whether the message ends with a FINGERPRINT that fits it (RFC 8489, section 14.7).
fn has_valid_fingerprint(message: &[u8]) -> bool {
    let Some(body_len) = message.len().checked_sub(FINGERPRINT_LEN) else { return false };
    let (body, attribute) = message.split_at(body_len);
    let Some((header, value)) = attribute.split_first_chunk::<4>() else { return false };
    let expected = crc32(body) ^ FINGERPRINT_XOR;
    *header == FINGERPRINT_HEADER && value == expected.to_be_bytes()
}

/// CRC-32 as in ITU-T V.42.
fn crc32(data: &[u8]) -> u32 {
    const TABLE: [u32; 256] = crc_table();
    !data.iter().fold(!0, |crc, byte| TABLE[usize::from((crc as u8) ^ byte)] ^ (crc >> 8))
}

const fn crc_table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let mut value = index as u32;
        let mut bit = 0;
        while bit < 8 {
            value = if value & 1 == 1 { 0xedb8_8320 ^ (value >> 1) } else { value >> 1 };
            bit += 1;
        }
        table[index] = value;
        index += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(username: &str, password: &str, controlling: bool, nominate: bool) -> Vec<u8> {
        let message = StunMessage::binding_request(
            username,
            TransId::new(),
            controlling,
            1,
            2_130_706_431,
            nominate,
        );
        let mut out = vec![0; 200];
        let len = message.to_bytes(Some(password.as_bytes()), &mut out, hmac_sha1).unwrap();
        out.truncate(len);
        out
    }

    #[test]
    fn crc_of_the_check_string_is_known() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn a_whole_check_is_parsed() {
        let bytes = request("ours:theirs", "secret", true, true);
        let check = Check::parse(&bytes).unwrap();
        assert_eq!(check.ufrags(), Some(("ours", "theirs")));
        assert!(check.is_authentic("secret"));
        assert!(!check.is_authentic("secreT"));
        assert!(check.nominates());
        assert!(!check.has_role_conflict());
    }

    #[test]
    fn any_changed_bit_is_refused() {
        let bytes = request("ours:theirs", "secret", true, false);
        for index in 0..bytes.len() {
            for bit in 0..8 {
                let mut changed = bytes.clone();
                changed[index] ^= 1 << bit;
                let accepted = Check::parse(&changed).is_some_and(|c| c.is_authentic("secret"));
                assert!(!accepted, "byte {index} bit {bit}");
            }
        }
    }

    #[test]
    fn truncated_checks_are_refused() {
        let bytes = request("ours:theirs", "secret", true, false);
        for len in 0..bytes.len() {
            assert!(Check::parse(&bytes[..len]).is_none(), "length {len}");
        }
    }

    #[test]
    fn a_question_and_its_answer_are_understood_by_each_other() {
        let credentials = |name: &str, length: usize| IceCredentials {
            ufrag: name.repeat(length),
            password: format!("password-of-{name}"),
        };
        for length in [4, 60] {
            let (ours, theirs) = (credentials("s", length), credentials("c", length));
            let (transaction, mut out) = (TransId::new(), [0; MAX_REQUEST_LEN]);
            let len = write_request(transaction, &ours, &theirs, &mut out).unwrap();
            let check = Check::parse(&out[..len]).unwrap();
            assert_eq!(check.ufrags(), Some((&*theirs.ufrag, &*ours.ufrag)));
            assert!(check.is_authentic(&theirs.password) && check.has_role_conflict());
            assert!(!check.nominates() && Answer::parse(&out[..len]).is_none());
            let mapped = "192.0.2.1:4321".parse().unwrap();
            let mut response = [0; MAX_STUN_LEN];
            let len = check.write_success(mapped, &theirs.password, &mut response).unwrap();
            let answer = Answer::parse(&response[..len]).unwrap();
            assert_eq!(answer.transaction(), transaction);
            assert!(answer.is_authentic(&theirs.password));
            assert!(!answer.is_authentic(&ours.password));
            assert!(Check::parse(&response[..len]).is_none());
            for cut in 0..len {
                assert!(Answer::parse(&response[..cut]).is_none(), "{cut} bytes");
            }
            for index in 0..len * 8 {
                let mut changed = response;
                changed[index / 8] ^= 1 << (index % 8);
                let accepted = Answer::parse(&changed[..len])
                    .is_some_and(|answer| answer.is_authentic(&theirs.password));
                assert!(!accepted, "bit {index}");
            }
        }
    }

    #[test]
    fn responses_carry_address_and_integrity() {
        let bytes = request("ours:theirs", "secret", false, false);
        let check = Check::parse(&bytes).unwrap();
        assert!(check.has_role_conflict());
        for mapped in ["192.0.2.1:4321", "[2001:db8::1]:65535"] {
            let mapped: SocketAddr = mapped.parse().unwrap();
            let mut out = [0; MAX_STUN_LEN];
            let len = check.write_success(mapped, "secret", &mut out).unwrap();
            assert!(has_valid_fingerprint(&out[..len]));
            let response = StunMessage::parse(&out[..len]).unwrap();
            assert!(response.is_successful_binding_response());
            assert_eq!(response.mapped_address(), Some(mapped));
            assert!(response.verify(b"secret", hmac_sha1));
        }
        let mut out = [0; MAX_STUN_LEN];
        let len = check.write_role_conflict("secret", &mut out).unwrap();
        let response = StunMessage::parse(&out[..len]).unwrap();
        assert_eq!(response.error_code().map(|(code, _)| code), Some(487));
    }
}
