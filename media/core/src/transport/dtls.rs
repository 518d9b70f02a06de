//! DTLS-SRTP (RFC 5763, RFC 5764): handshake, certificate check, keys.

use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lc_rs::digest;
use dimpl::{Config, Dtls, Output, ProtocolVersion};

use crate::api::{CloseReason, DtlsRole, Fingerprint, SrtpProfile};
use crate::certificate::Certificate;

/// Largest record dimpl emits: above any datagram it is configured to send.
const BUFFER_LEN: usize = 2_048;

/// First retransmission; the interval doubles up to the longest one. Each costs one packet, and the
/// other side's own timer may be seconds away from what it would answer.
const FIRST_RETRANSMISSION: Duration = Duration::from_millis(80);
const LONGEST_RETRANSMISSION: Duration = Duration::from_millis(120);
/// More than fit into any handshake timeout: the timeout decides.
const RETRANSMISSIONS: usize = 1_000;

/// Our order of preference, as a server and when we offer.
const PROFILES: [dimpl::SrtpProfile; 3] = [
    dimpl::SrtpProfile::AEAD_AES_128_GCM,
    dimpl::SrtpProfile::AEAD_AES_256_GCM,
    dimpl::SrtpProfile::AES128_CM_SHA1_80,
];

/// What is offered where the other side picks: browsers would take AES-CM, which costs five times the
/// CPU, and AES-256-GCM before AES-128-GCM.
const AEAD_PROFILES: [dimpl::SrtpProfile; 1] = [dimpl::SrtpProfile::AEAD_AES_128_GCM];

/// What the associations of a plane share.
#[derive(Debug, Clone)]
pub struct SharedConfig {
    any: Arc<Config>,
    aead: Arc<Config>,
}

impl SharedConfig {
    fn of(&self, role: DtlsRole) -> Arc<Config> {
        match role {
            DtlsRole::Server | DtlsRole::Client => self.any.clone(),
            DtlsRole::AeadClient => self.aead.clone(),
        }
    }
}

/// Builds the configurations all associations of a plane share.
///
/// The cookie exchange is left out: only addresses that passed a connectivity check get as far
/// as DTLS, which proves the same at no round trip.
///
/// # Errors
///
/// dimpl's, if it refuses the values.
pub fn shared_config(mtu: usize, timeout: Duration) -> Result<SharedConfig, dimpl::Error> {
    Ok(SharedConfig {
        any: config(mtu, timeout, &PROFILES)?,
        aead: config(mtu, timeout, &AEAD_PROFILES)?,
    })
}

fn config(
    mtu: usize,
    timeout: Duration,
    profiles: &[dimpl::SrtpProfile],
) -> Result<Arc<Config>, dimpl::Error> {
    Config::builder()
        .mtu(mtu)
        .srtp_profiles(profiles)
        .use_server_cookie(false)
        .flight_start_rto(FIRST_RETRANSMISSION)
        .flight_max_rto(LONGEST_RETRANSMISSION)
        .flight_retries(RETRANSMISSIONS)
        .handshake_timeout(timeout)
        .build()
        .map(Arc::new)
}

/// What came out of the handshake.
pub struct Secured {
    /// `1.2` or `1.3`.
    pub version: &'static str,
    /// Negotiated SRTP profile.
    pub profile: SrtpProfile,
    /// Exported keys of both directions.
    pub material: dimpl::KeyingMaterial,
}

/// Result of one step.
pub enum Progress {
    /// Nothing to tell.
    Pending,
    /// The handshake is done and the certificate was the announced one. Once.
    Secured(Secured),
    /// The remote side said close_notify.
    RemoteClosed,
    /// Final.
    Failed(CloseReason),
}

/// One association.
pub struct DtlsAssociation {
    dtls: Box<Dtls>,
    is_client: bool,
    fingerprints: Vec<Fingerprint>,
    is_peer_verified: bool,
    is_connected: bool,
    is_reported: bool,
    keys: Option<(dimpl::KeyingMaterial, dimpl::SrtpProfile)>,
    next_timeout: Option<Instant>,
}

impl DtlsAssociation {
    /// Prepares an association. Nothing is sent before [`DtlsAssociation::start`].
    pub fn new(
        config: &SharedConfig,
        certificate: &Certificate,
        role: DtlsRole,
        fingerprints: Vec<Fingerprint>,
        now: Instant,
    ) -> DtlsAssociation {
        let mut dtls = Dtls::new_auto(config.of(role), certificate.to_dtls(), now);
        let is_client = role.is_client();
        dtls.set_active(is_client);
        DtlsAssociation {
            dtls: Box::new(dtls),
            is_client,
            fingerprints,
            is_peer_verified: false,
            is_connected: false,
            is_reported: false,
            keys: None,
            next_timeout: None,
        }
    }

    /// Whether we are the DTLS client, which decides which keys are ours.
    pub fn is_client(&self) -> bool {
        self.is_client
    }

    /// A path is there: a client sends its hello.
    pub fn start(&mut self, now: Instant, send: impl FnMut(&[u8])) -> Progress {
        if self.dtls.handle_timeout(now).is_err() {
            return Progress::Failed(CloseReason::DtlsFailed);
        }
        self.poll(send)
    }

    /// Takes one datagram. Records that are damaged or not authentic are ignored.
    pub fn handle_packet(
        &mut self,
        now: Instant,
        packet: &[u8],
        send: impl FnMut(&[u8]),
    ) -> Progress {
        if let Some(failure) = self.advance(now) {
            return failure;
        }
        match self.dtls.handle_packet(packet) {
            Ok(()) => self.poll(send),
            Err(error) if self.is_reported || is_transient(&error) => self.poll(send),
            Err(_) => {
                // The alert that says why, if there is one.
                let _ = self.poll(send);
                Progress::Failed(CloseReason::DtlsFailed)
            }
        }
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant, send: impl FnMut(&[u8])) -> Progress {
        if let Some(failure) = self.advance(now) {
            return failure;
        }
        self.poll(send)
    }

    /// When [`DtlsAssociation::handle_timeout`] is due.
    pub fn next_timeout(&self) -> Option<Instant> {
        self.next_timeout
    }

    /// Says close_notify.
    pub fn close(&mut self, now: Instant, send: impl FnMut(&[u8])) {
        if self.advance(now).is_none() && self.dtls.close().is_ok() {
            let _ = self.poll(send);
        }
    }

    fn advance(&mut self, now: Instant) -> Option<Progress> {
        match self.dtls.handle_timeout(now) {
            Ok(()) => None,
            Err(dimpl::Error::Timeout(_)) => Some(Progress::Failed(CloseReason::DtlsTimeout)),
            Err(_) if self.is_reported => None,
            Err(_) => Some(Progress::Failed(CloseReason::DtlsFailed)),
        }
    }

    fn poll(&mut self, mut send: impl FnMut(&[u8])) -> Progress {
        let mut buffer = [0; BUFFER_LEN];
        let mut remote_closed = false;
        loop {
            match self.dtls.poll_output(&mut buffer) {
                Output::Packet(packet) => send(packet),
                Output::PeerCert(certificate) => {
                    self.is_peer_verified = is_announced(&self.fingerprints, certificate);
                    if !self.is_peer_verified {
                        return Progress::Failed(CloseReason::FingerprintMismatch);
                    }
                }
                Output::KeyingMaterial(material, profile) => self.keys = Some((material, profile)),
                Output::Connected => self.is_connected = true,
                Output::CloseNotify => remote_closed = true,
                Output::Timeout(at) => {
                    self.next_timeout = Some(at);
                    break;
                }
                Output::BufferTooSmall { .. } => {
                    return Progress::Failed(CloseReason::DtlsFailed);
                }
                _ => {}
            }
        }
        if remote_closed {
            return Progress::RemoteClosed;
        }
        if !self.is_connected || self.is_reported {
            return Progress::Pending;
        }
        self.is_reported = true;
        self.finish()
    }

    fn finish(&mut self) -> Progress {
        if !self.is_peer_verified {
            return Progress::Failed(CloseReason::FingerprintMismatch);
        }
        let Some((material, profile)) = self.keys.take() else {
            return Progress::Failed(CloseReason::NoSrtpProfile);
        };
        let Some(profile) = to_api_profile(profile) else {
            return Progress::Failed(CloseReason::NoSrtpProfile);
        };
        let version = match self.dtls.protocol_version() {
            Some(ProtocolVersion::DTLS1_3) => "1.3",
            _ => "1.2",
        };
        Progress::Secured(Secured { version, profile, material })
    }
}

/// Errors after which the handshake can go on: the record is dropped, and sent again if needed.
fn is_transient(error: &dimpl::Error) -> bool {
    matches!(
        error,
        dimpl::Error::ReceiveQueueFull
            | dimpl::Error::TransmitQueueFull
            | dimpl::Error::TooManyClientHelloFragments
            | dimpl::Error::UnexpectedMessage(_)
    )
}

fn to_api_profile(profile: dimpl::SrtpProfile) -> Option<SrtpProfile> {
    match profile {
        dimpl::SrtpProfile::AEAD_AES_128_GCM => Some(SrtpProfile::AeadAes128Gcm),
        dimpl::SrtpProfile::AEAD_AES_256_GCM => Some(SrtpProfile::AeadAes256Gcm),
        dimpl::SrtpProfile::AES128_CM_SHA1_80 => Some(SrtpProfile::Aes128CmSha1_80),
        _ => None,
    }
}

/// Whether one of the announced fingerprints is that of `certificate` (RFC 8122, section 5).
/// Hashes other than SHA-2 prove nothing and are skipped.
fn is_announced(fingerprints: &[Fingerprint], certificate: &[u8]) -> bool {
    fingerprints.iter().any(|fingerprint| {
        let algorithm = match fingerprint.algorithm.as_str() {
            "sha-256" => &digest::SHA256,
            "sha-384" => &digest::SHA384,
            "sha-512" => &digest::SHA512,
            _ => return false,
        };
        digest::digest(algorithm, certificate).as_ref() == fingerprint.digest
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sha2_fingerprints_of_the_certificate_itself_are_accepted() {
        let certificate = b"certificate";
        let of = |name: &str, algorithm, data: &[u8]| Fingerprint {
            algorithm: name.into(),
            digest: digest::digest(algorithm, data).as_ref().to_vec(),
        };
        let sha1 = &digest::SHA1_FOR_LEGACY_USE_ONLY;
        let table = [
            (of("sha-256", &digest::SHA256, certificate), true),
            (of("sha-384", &digest::SHA384, certificate), true),
            (of("sha-512", &digest::SHA512, certificate), true),
            (of("sha-1", sha1, certificate), false),
            (of("sha-256", sha1, certificate), false),
            (of("sha-256", &digest::SHA256, b"another"), false),
        ];
        for (fingerprint, expected) in table {
            let name = fingerprint.algorithm.clone();
            assert_eq!(is_announced(&[fingerprint], certificate), expected, "{name}");
        }
        assert!(!is_announced(&[], certificate));
        let wrong = of("sha-256", &digest::SHA256, b"another");
        let right = of("sha-512", &digest::SHA512, certificate);
        assert!(is_announced(&[wrong, right], certificate));
    }
}
