//! The client's side of one transport, sans-IO: connectivity checks, DTLS, SRTP keys.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{SHA256, digest};
use dimpl::{Dtls, DtlsCertificate, Output};
use is::stun::{StunMessage, TransId};
use media_core::api::{IceCredentials, SrtpProfile};
use media_core::srtp::{SrtpContext, SrtpKeys};
use media_core::transport::stun::hmac_sha1;

/// Time between checks until one is answered.
const CHECK_INTERVAL: Duration = Duration::from_millis(200);
/// Time between checks that renew consent (RFC 7675, section 5.1: 5 s, spread).
const CONSENT_INTERVAL: Duration = Duration::from_secs(5);
const TIE_BREAKER: u64 = 7;
/// Host candidate (RFC 8445, section 5.1.2.1).
const PRIORITY: u32 = 2_130_706_431;

/// Why there is no association.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AssociationError {
    /// The handshake failed; what the library says.
    Dtls(String),
    /// The server's certificate is not the one its description announced.
    Fingerprint,
    /// The server chose a protection profile that was not offered.
    Profile,
}

impl fmt::Display for AssociationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AssociationError::Dtls(text) => write!(f, "dtls: {text}"),
            AssociationError::Fingerprint => f.write_str("the certificate has another fingerprint"),
            AssociationError::Profile => f.write_str("a profile was chosen that was not offered"),
        }
    }
}

impl std::error::Error for AssociationError {}

/// What an association needs to know.
#[derive(Clone)]
pub struct AssociationConfig {
    /// Ours.
    pub local_ice: IceCredentials,
    /// The server's.
    pub remote_ice: IceCredentials,
    /// SHA-256 of the server's certificate.
    pub fingerprint: [u8; 32],
    /// Ours; may be shared by many.
    pub certificate: DtlsCertificate,
    /// Settings of the handshake; see [`AssociationConfig::dtls_settings`].
    pub dtls: Arc<dimpl::Config>,
}

impl AssociationConfig {
    /// Offers the protection profiles in the order of Chromium 156.
    ///
    /// # Errors
    ///
    /// What the library says.
    pub fn dtls_settings() -> Result<Arc<dimpl::Config>, AssociationError> {
        dimpl::Config::builder()
            .srtp_profiles(&[
                dimpl::SrtpProfile::AES128_CM_SHA1_80,
                dimpl::SrtpProfile::AEAD_AES_256_GCM,
                dimpl::SrtpProfile::AEAD_AES_128_GCM,
            ])
            .build()
            .map(Arc::new)
            .map_err(|error| AssociationError::Dtls(error.to_string()))
    }
}

/// Keys of both directions.
pub struct Secured {
    pub(crate) local: SrtpContext,
    pub(crate) remote: SrtpContext,
}

/// ICE as a full agent with one pair, then DTLS as the client.
pub struct Association {
    config: AssociationConfig,
    dtls: Dtls,
    dtls_timeout: Option<Instant>,
    keys: Option<(dimpl::KeyingMaterial, dimpl::SrtpProfile)>,
    is_answered: bool,
    next_check: Instant,
    outbox: VecDeque<Vec<u8>>,
    /// Contexts, once connected; they may be taken out.
    pub secured: Option<Secured>,
    profile: Option<SrtpProfile>,
}

impl Association {
    /// Starts with a check at once.
    pub fn new(config: AssociationConfig, now: Instant) -> Association {
        let mut dtls = Dtls::new_auto(Arc::clone(&config.dtls), config.certificate.clone(), now);
        dtls.set_active(true);
        Association {
            config,
            dtls,
            dtls_timeout: None,
            keys: None,
            is_answered: false,
            next_check: now,
            outbox: VecDeque::new(),
            secured: None,
            profile: None,
        }
    }

    /// SHA-256 of a certificate.
    pub fn fingerprint(certificate: &DtlsCertificate) -> [u8; 32] {
        sha256(&certificate.certificate)
    }

    /// The protection profile, once connected.
    pub fn profile(&self) -> Option<SrtpProfile> {
        self.profile
    }

    /// When [`Association::poll`] has something to do.
    pub fn next_timeout(&self) -> Instant {
        let dtls = self.dtls_timeout.filter(|_| self.is_answered && self.profile.is_none());
        dtls.map_or(self.next_check, |at| at.min(self.next_check))
    }

    /// Does what is due.
    ///
    /// # Errors
    ///
    /// The handshake failed for good.
    pub fn poll(&mut self, now: Instant) -> Result<(), AssociationError> {
        if self.next_check <= now {
            let pause = if self.is_answered { CONSENT_INTERVAL } else { CHECK_INTERVAL };
            self.next_check = now + pause;
            let check = self.check();
            self.outbox.push_back(check);
        }
        if self.is_answered && self.dtls_timeout.is_some_and(|at| at <= now) {
            self.step_dtls(now, None)?;
        }
        Ok(())
    }

    /// Checks the path anew: it is another one.
    pub fn recheck(&mut self, now: Instant) {
        self.is_answered = false;
        self.next_check = now;
    }

    /// The next datagram to send.
    pub fn poll_datagram(&mut self) -> Option<Vec<u8>> {
        self.outbox.pop_front()
    }

    /// Takes a STUN datagram. What is not an authentic answer is ignored.
    ///
    /// # Errors
    ///
    /// As [`Association::poll`].
    pub fn on_stun(&mut self, now: Instant, datagram: &[u8]) -> Result<(), AssociationError> {
        let Ok(message) = StunMessage::parse(datagram) else { return Ok(()) };
        let password = self.config.remote_ice.password.as_bytes();
        if !message.is_successful_binding_response() || !message.verify(password, hmac_sha1) {
            return Ok(());
        }
        if !std::mem::replace(&mut self.is_answered, true) {
            self.next_check = now + CONSENT_INTERVAL;
            self.step_dtls(now, None)?;
        }
        Ok(())
    }

    /// Takes a DTLS datagram.
    ///
    /// # Errors
    ///
    /// As [`Association::poll`].
    pub fn on_dtls(&mut self, now: Instant, datagram: &[u8]) -> Result<(), AssociationError> {
        self.step_dtls(now, Some(datagram))
    }

    /// A nominating connectivity check.
    fn check(&self) -> Vec<u8> {
        let AssociationConfig { local_ice, remote_ice, .. } = &self.config;
        let username = format!("{}:{}", remote_ice.ufrag, local_ice.ufrag);
        let request = StunMessage::binding_request(
            &username,
            TransId::new(),
            true,
            TIE_BREAKER,
            PRIORITY,
            true,
        );
        let mut out = vec![0; 512];
        let password = remote_ice.password.as_bytes();
        let len = request
            .to_bytes(Some(password), &mut out, hmac_sha1)
            .expect("ufrags are shorter than the buffer");
        out.truncate(len);
        out
    }

    fn step_dtls(&mut self, now: Instant, packet: Option<&[u8]>) -> Result<(), AssociationError> {
        let failed = |error: dimpl::Error| AssociationError::Dtls(error.to_string());
        self.dtls.handle_timeout(now).map_err(failed)?;
        if let Some(packet) = packet {
            self.dtls.handle_packet(packet).map_err(failed)?;
        }
        let mut buffer = [0; 2_048];
        let mut is_connected = false;
        loop {
            match self.dtls.poll_output(&mut buffer) {
                Output::Packet(packet) => self.outbox.push_back(packet.to_vec()),
                Output::PeerCert(der) if sha256(der) != self.config.fingerprint => {
                    return Err(AssociationError::Fingerprint);
                }
                Output::KeyingMaterial(material, profile) => self.keys = Some((material, profile)),
                Output::Connected => is_connected = true,
                Output::Timeout(at) => {
                    self.dtls_timeout = Some(at.max(now + Duration::from_millis(1)));
                    break;
                }
                _ => {}
            }
        }
        if let Some((material, profile)) = self.keys.take_if(|_| is_connected) {
            self.secure(&material, profile)?;
        }
        Ok(())
    }

    fn secure(
        &mut self,
        material: &[u8],
        profile: dimpl::SrtpProfile,
    ) -> Result<(), AssociationError> {
        let profile = match profile {
            dimpl::SrtpProfile::AEAD_AES_128_GCM => SrtpProfile::AeadAes128Gcm,
            dimpl::SrtpProfile::AEAD_AES_256_GCM => SrtpProfile::AeadAes256Gcm,
            dimpl::SrtpProfile::AES128_CM_SHA1_80 => SrtpProfile::Aes128CmSha1_80,
            _ => return Err(AssociationError::Profile),
        };
        let (local, remote) = SrtpKeys::from_dtls(profile, material, true)
            .map_err(|error| AssociationError::Dtls(error.to_string()))?;
        self.secured = Some(Secured { local, remote });
        self.profile = Some(profile);
        Ok(())
    }
}

fn sha256(data: &[u8]) -> [u8; 32] {
    let mut result = [0; 32];
    result.copy_from_slice(digest(&SHA256, data).as_ref());
    result
}
