//! The remote side of one transport: a full ICE agent in small, DTLS, SRTP.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lc_rs::digest;
use dimpl::{Dtls, DtlsCertificate, Output, ProtocolVersion};
use is::stun::{StunMessage, TransId};
use media_core::api::{Fingerprint, IceCredentials, SrtpProfile};
use media_core::demux::{PacketKind, classify};
use media_core::srtp::{MAX_OVERHEAD, SrtpContext, SrtpError, SrtpKeys};
use media_core::transport::stun::{Check, MAX_STUN_LEN, hmac_sha1};
use media_core::{Protocol, Remote};

use super::media::Media;

const CHECK_INTERVAL: Duration = Duration::from_millis(200);
/// Of Chromium, until a check is answered.
const CHROMIUM_CHECK_INTERVAL: Duration = Duration::from_millis(48);

/// Which DTLS versions the client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DtlsVersion {
    V12,
    V13,
    Auto,
}

/// What a client is made of.
#[derive(Debug, Clone)]
pub struct ClientConfig {
    pub address: SocketAddr,
    pub version: DtlsVersion,
    /// Offered in this order.
    pub profiles: Vec<dimpl::SrtpProfile>,
    pub is_dtls_client: bool,
    /// Repeats and checks as Chromium does: what it sends in a handshake after 50 ms and then after
    /// double the time without end, answers to copies of a flight never.
    pub like_chromium: bool,
}

impl ClientConfig {
    pub fn at(address: &str) -> ClientConfig {
        ClientConfig {
            address: address.parse().unwrap(),
            version: DtlsVersion::Auto,
            // The order of Chromium.
            profiles: vec![
                dimpl::SrtpProfile::AES128_CM_SHA1_80,
                dimpl::SrtpProfile::AEAD_AES_256_GCM,
                dimpl::SrtpProfile::AEAD_AES_128_GCM,
            ],
            is_dtls_client: true,
            like_chromium: false,
        }
    }
}

pub struct Srtp {
    pub local: SrtpContext,
    pub remote: SrtpContext,
}

pub struct Client {
    pub config: ClientConfig,
    /// Where its packets come from now.
    pub address: SocketAddr,
    /// What carries them.
    pub protocol: Protocol,
    pub local_ice: IceCredentials,
    pub remote_ice: IceCredentials,
    certificate: DtlsCertificate,
    dtls: Dtls,
    dtls_timeout: Option<Instant>,
    keys: Option<(dimpl::KeyingMaterial, dimpl::SrtpProfile)>,
    pub dtls_error: Option<dimpl::Error>,
    pub close_notified: bool,
    pub srtp: Option<Srtp>,
    pub profile: Option<SrtpProfile>,
    pub version: Option<ProtocolVersion>,
    /// Sends connectivity checks.
    pub checks: bool,
    /// Its checks nominate the path they test.
    pub nominates: bool,
    /// Sends anything at all.
    pub alive: bool,
    /// Sends nothing any more after so long a silence, until it is asked: as Chromium does.
    pub gives_up_after: Option<Duration>,
    last_heard: Instant,
    /// Authentic checks it was sent.
    pub questions: usize,
    next_check: Instant,
    pub answers: usize,
    pub role_conflicts: usize,
    /// Answers protected with another password.
    pub unverified_answers: usize,
    pub mapped: Option<SocketAddr>,
    started: bool,
    has_heard_hello: bool,
    pub tolerates_replays: bool,
    pub media: Media,
    pub outbox: Vec<Vec<u8>>,
}

impl Client {
    pub fn new(
        config: ClientConfig,
        local_ice: IceCredentials,
        remote_ice: IceCredentials,
        now: Instant,
    ) -> Client {
        let certificate = dimpl::certificate::generate_self_signed_certificate().unwrap();
        let (first, longest) = match config.like_chromium {
            true => (Duration::from_millis(50), Duration::from_secs(60)),
            false => (Duration::from_millis(150), Duration::from_millis(800)),
        };
        let dtls_config = dimpl::Config::builder()
            .srtp_profiles(&config.profiles)
            .use_server_cookie(!config.like_chromium)
            .flight_start_rto(first)
            .flight_max_rto(longest)
            .flight_retries(200)
            .build()
            .unwrap();
        let dtls_config = Arc::new(dtls_config);
        let mut dtls = match config.version {
            DtlsVersion::V12 => Dtls::new_12(dtls_config, certificate.clone(), now),
            DtlsVersion::V13 => Dtls::new_13(dtls_config, certificate.clone(), now),
            DtlsVersion::Auto => Dtls::new_auto(dtls_config, certificate.clone(), now),
        };
        dtls.set_active(config.is_dtls_client);
        Client {
            address: config.address,
            protocol: Protocol::Udp,
            config,
            local_ice,
            remote_ice,
            certificate,
            dtls,
            dtls_timeout: None,
            keys: None,
            dtls_error: None,
            close_notified: false,
            srtp: None,
            profile: None,
            version: None,
            checks: true,
            nominates: true,
            alive: true,
            gives_up_after: None,
            last_heard: now,
            questions: 0,
            next_check: now,
            answers: 0,
            role_conflicts: 0,
            unverified_answers: 0,
            mapped: None,
            started: false,
            has_heard_hello: false,
            tolerates_replays: false,
            media: Media::new(now),
            outbox: Vec::new(),
        }
    }

    pub fn fingerprint(&self, algorithm: &str) -> Fingerprint {
        let hash = match algorithm {
            "sha-256" => &digest::SHA256,
            "sha-384" => &digest::SHA384,
            _ => &digest::SHA512,
        };
        let digest = digest::digest(hash, &self.certificate.certificate).as_ref().to_vec();
        Fingerprint { algorithm: algorithm.into(), digest }
    }

    /// A connectivity check as this client would send it.
    pub fn check(&self, nominate: bool, controlling: bool) -> Vec<u8> {
        let username = format!("{}:{}", self.remote_ice.ufrag, self.local_ice.ufrag);
        let request = StunMessage::binding_request(
            &username,
            TransId::new(),
            controlling,
            7,
            2_130_706_431,
            nominate,
        );
        let mut out = vec![0; 256];
        let password = self.remote_ice.password.as_bytes();
        let len = request.to_bytes(Some(password), &mut out, hmac_sha1).unwrap();
        out.truncate(len);
        out
    }

    pub fn remote(&self) -> Remote {
        Remote { protocol: self.protocol, address: self.address }
    }

    /// Moves to another address, as after a change of network.
    pub fn move_to(&mut self, address: &str, now: Instant) {
        self.address = address.parse().unwrap();
        self.next_check = now;
    }

    pub fn is_connected(&self) -> bool {
        self.srtp.is_some()
    }

    fn has_given_up(&self, now: Instant) -> bool {
        self.gives_up_after.is_some_and(|after| now >= self.last_heard + after)
    }

    pub fn next_timeout(&self) -> Option<Instant> {
        let wakes = self.next_wake()?;
        let is_over = self
            .gives_up_after
            .is_some_and(|after| wakes.max(self.last_heard) >= self.last_heard + after);
        (!is_over).then_some(wakes)
    }

    fn next_wake(&self) -> Option<Instant> {
        if !self.alive {
            return None;
        }
        let check = self.checks.then_some(self.next_check);
        let dtls = self.dtls_timeout.filter(|_| self.started);
        let media = self.srtp.is_some().then(|| self.media.next_timeout()).flatten();
        [check, dtls, media].into_iter().flatten().min()
    }

    /// Does what is due and returns what to send.
    pub fn poll(&mut self, now: Instant) -> Vec<Vec<u8>> {
        if !self.alive {
            return Vec::new();
        }
        if self.has_given_up(now) {
            return std::mem::take(&mut self.outbox);
        }
        if self.checks && self.next_check <= now {
            let is_hasty = self.config.like_chromium && !self.started;
            self.next_check = now + if is_hasty { CHROMIUM_CHECK_INTERVAL } else { CHECK_INTERVAL };
            let check = self.check(self.nominates, true);
            self.outbox.push(check);
        }
        if self.started && self.dtls_timeout.is_some_and(|at| at <= now) {
            self.step_dtls(now, None);
        }
        if let Some(srtp) = &mut self.srtp {
            self.media.poll(now, srtp, &mut self.outbox);
        }
        std::mem::take(&mut self.outbox)
    }

    pub fn handle(&mut self, now: Instant, mut datagram: Vec<u8>) {
        match classify(&datagram).expect("the plane sends nothing else") {
            PacketKind::Stun => self.handle_stun(now, &datagram),
            PacketKind::Dtls if self.is_hello_again(&datagram) => {}
            PacketKind::Dtls => self.step_dtls(now, Some(&datagram)),
            PacketKind::Rtp => {
                let Some(srtp) = &mut self.srtp else { return };
                match srtp.remote.unprotect_rtp(&mut datagram) {
                    Ok(len) => self.media.on_rtp(now, &datagram[..len]),
                    // Also what was overtaken by more packets than the window holds.
                    Err(SrtpError::Replay) if self.tolerates_replays => {}
                    Err(error) => panic!("not authentic: {error:?}"),
                }
            }
            PacketKind::Rtcp => {
                let Some(srtp) = &mut self.srtp else { return };
                let len = srtp.remote.unprotect_rtcp(&mut datagram).expect("authentic rtcp");
                let Client { media, outbox, .. } = self;
                media.on_rtcp(now, &datagram[..len], self.srtp.as_mut().unwrap(), outbox);
            }
        }
    }

    /// A copy of the hello that was heard, to one that doesn't answer copies; or any before ICE has
    /// found a path.
    fn is_hello_again(&mut self, datagram: &[u8]) -> bool {
        let is_hello = datagram.first() == Some(&22) && datagram.get(13) == Some(&1);
        if !self.config.like_chromium || !is_hello {
            return false;
        }
        !self.started || std::mem::replace(&mut self.has_heard_hello, true)
    }

    fn answer_question(&mut self, now: Instant, check: &Check<'_>) {
        let names = (self.local_ice.ufrag.as_str(), self.remote_ice.ufrag.as_str());
        assert_eq!(check.ufrags(), Some(names));
        assert!(check.is_authentic(&self.local_ice.password) && !check.nominates());
        assert!(check.has_role_conflict(), "a lite agent is controlled");
        let mut out = vec![0; MAX_STUN_LEN];
        let from = SocketAddr::from(([192, 0, 2, 100], 4_000));
        let len = check.write_success(from, &self.local_ice.password, &mut out).unwrap();
        out.truncate(len);
        self.outbox.push(out);
        self.questions += 1;
        (self.last_heard, self.next_check) = (now, now);
    }

    fn handle_stun(&mut self, now: Instant, datagram: &[u8]) {
        if let Some(check) = Check::parse(datagram) {
            return self.answer_question(now, &check);
        }
        let message = StunMessage::parse(datagram).unwrap();
        let is_authentic = message.verify(self.remote_ice.password.as_bytes(), hmac_sha1);
        if !is_authentic {
            self.unverified_answers += 1;
            return;
        }
        if message.is_failed_binding_response() {
            self.role_conflicts += 1;
            return;
        }
        self.answers += 1;
        self.last_heard = now;
        self.mapped = message.mapped_address();
        if !self.started {
            self.started = true;
            self.step_dtls(now, None);
        }
    }

    fn step_dtls(&mut self, now: Instant, packet: Option<&[u8]>) {
        let mut result = self.dtls.handle_timeout(now);
        if let Some(packet) = packet {
            result = result.and_then(|()| self.dtls.handle_packet(packet));
        }
        self.dtls_error = self.dtls_error.take().or(result.err());
        let mut buffer = [0; 2_048];
        let mut connected = false;
        loop {
            match self.dtls.poll_output(&mut buffer) {
                Output::Packet(packet) => self.outbox.push(packet.to_vec()),
                Output::KeyingMaterial(material, profile) => self.keys = Some((material, profile)),
                Output::Connected => connected = true,
                Output::CloseNotify => self.close_notified = true,
                Output::Timeout(at) => {
                    self.dtls_timeout = Some(at.max(now + Duration::from_millis(1)));
                    break;
                }
                _ => {}
            }
        }
        if let Some((material, profile)) = self.keys.take().filter(|_| connected) {
            self.secure(&material, profile);
        }
    }

    fn secure(&mut self, material: &[u8], profile: dimpl::SrtpProfile) {
        let profile = match profile {
            dimpl::SrtpProfile::AEAD_AES_128_GCM => SrtpProfile::AeadAes128Gcm,
            dimpl::SrtpProfile::AEAD_AES_256_GCM => SrtpProfile::AeadAes256Gcm,
            _ => SrtpProfile::Aes128CmSha1_80,
        };
        let is_client = self.config.is_dtls_client;
        let (local, remote) = SrtpKeys::from_dtls(profile, material, is_client).unwrap();
        self.srtp = Some(Srtp { local, remote });
        self.profile = Some(profile);
        self.version = self.dtls.protocol_version();
    }

    /// Says close_notify.
    pub fn close(&mut self, now: Instant) {
        self.dtls.close().unwrap();
        self.step_dtls(now, None);
    }

    /// Protects and queues an RTP packet made by the test.
    pub fn send_rtp(&mut self, header_len: usize, mut packet: Vec<u8>) -> Vec<u8> {
        let len = packet.len();
        packet.resize(len + MAX_OVERHEAD, 0);
        let srtp = self.srtp.as_mut().expect("connected");
        let len = srtp.local.protect_rtp(header_len, &mut packet, len).unwrap();
        packet.truncate(len);
        self.outbox.push(packet.clone());
        packet
    }
}
