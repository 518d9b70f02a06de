//! A synthetic participant: connectivity check, DTLS client, SRTP, one socket.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{SHA256, digest};
use dimpl::{Config, Dtls, Output};
use is::stun::{StunMessage, TransId};
use media_core::Command;
use media_core::api::{DtlsRole, Fingerprint, SrtpProfile, TransportId};
use media_core::srtp::{SrtpContext, SrtpKeys};
use media_net::Engine;

use super::link::{self, Link};
use super::{LOCAL_PASSWORD, PATIENCE, REMOTE_PASSWORD, binding_request_for, credentials};

/// Pause before a check or a flight is sent again.
const RETRY: Duration = Duration::from_millis(100);

/// Bytes SRTP adds at most.
const SRTP_ROOM: usize = 64;

pub struct Participant<L: Link = UdpSocket> {
    pub transport: TransportId,
    pub socket: L,
    username: String,
    protect: SrtpContext,
    unprotect: SrtpContext,
}

impl Participant {
    /// Creates a transport in an existing room and connects to it at `server`.
    pub fn join(engine: &Engine, room: u64, transport: TransportId, server: SocketAddr) -> Self {
        Participant::join_by(engine, room, transport, link::udp(server))
    }
}

impl<L: Link> Participant<L> {
    /// The same over anything that leads to the engine.
    pub fn join_by(engine: &Engine, room: u64, transport: TransportId, mut socket: L) -> Self {
        let certificate = dimpl::certificate::generate_self_signed_certificate().unwrap();
        let fingerprint = Fingerprint {
            algorithm: "sha-256".into(),
            digest: digest(&SHA256, &certificate.certificate).as_ref().to_vec(),
        };
        let (local_ufrag, remote_ufrag) = (format!("srv{transport}"), format!("cli{transport}"));
        let username = format!("{local_ufrag}:{remote_ufrag}");
        engine
            .command(Command::CreateTransport {
                room,
                transport,
                local_ice: credentials(&local_ufrag, LOCAL_PASSWORD),
                remote_ice: credentials(&remote_ufrag, REMOTE_PASSWORD),
                remote_fingerprints: vec![fingerprint],
                dtls_role: DtlsRole::Server,
            })
            .unwrap();
        socket.set_timeout(RETRY);
        check(&mut socket, &username);
        let (protect, unprotect) = handshake(&mut socket, certificate);
        Participant { transport, socket, username, protect, unprotect }
    }

    /// Sends a connectivity check, which also renews consent.
    pub fn renew_consent(&self) {
        let request = binding_request_for(&self.username, TransId::new(), LOCAL_PASSWORD);
        Link::send(&self.socket, &request);
    }

    /// Sends one RTP packet without extensions.
    pub fn send_rtp(&mut self, packet: &RtpPacket<'_>) {
        let mut buffer = packet.to_bytes();
        let length = buffer.len();
        buffer.resize(length + SRTP_ROOM, 0);
        let length = self.protect.protect_rtp(12, &mut buffer, length).unwrap();
        Link::send(&self.socket, &buffer[..length]);
    }

    /// The next RTP packet that arrives, decrypted; other datagrams are passed over.
    pub fn receive_rtp(&mut self) -> Vec<u8> {
        let deadline = Instant::now() + PATIENCE;
        let mut buffer = [0; 2_048];
        while Instant::now() < deadline {
            let Ok(length) = self.socket.receive(&mut buffer) else { continue };
            if is_rtp(&buffer[..length]) {
                let plain = self.unprotect.unprotect_rtp(&mut buffer[..length]).unwrap();
                return buffer[..plain].to_vec();
            }
        }
        panic!("no RTP within {PATIENCE:?}");
    }
}

/// One RTP packet as a sender makes it.
pub struct RtpPacket<'a> {
    pub payload_type: u8,
    pub ssrc: u32,
    pub sequence_number: u16,
    pub timestamp: u32,
    pub marker: bool,
    pub payload: &'a [u8],
}

impl RtpPacket<'_> {
    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0x80, u8::from(self.marker) << 7 | self.payload_type];
        bytes.extend(self.sequence_number.to_be_bytes());
        bytes.extend(self.timestamp.to_be_bytes());
        bytes.extend(self.ssrc.to_be_bytes());
        bytes.extend(self.payload);
        bytes
    }
}

pub fn is_rtp(datagram: &[u8]) -> bool {
    matches!(datagram, [128..=191, second, ..] if !(192..=223).contains(second))
}

/// Sends connectivity checks until one is answered.
fn check(link: &mut dyn Link, username: &str) {
    let deadline = Instant::now() + PATIENCE;
    let mut buffer = [0; 2_048];
    while Instant::now() < deadline {
        let id = TransId::new();
        link.send(&binding_request_for(username, id, LOCAL_PASSWORD));
        if let Ok(length) = link.receive(&mut buffer) {
            let reply = StunMessage::parse(&buffer[..length]).unwrap();
            assert!(reply.is_successful_binding_response());
            return;
        }
    }
    panic!("no answer to connectivity checks");
}

/// Runs the DTLS handshake as the client; returns the contexts to protect and to unprotect.
fn handshake(
    link: &mut dyn Link,
    certificate: dimpl::DtlsCertificate,
) -> (SrtpContext, SrtpContext) {
    let config = Arc::new(Config::builder().build().unwrap());
    let start = Instant::now();
    let mut dtls = Dtls::new_auto(config, certificate, start);
    dtls.set_active(true);
    let mut keys = None;
    let mut connected = false;
    let mut buffer = [0; 2_048];
    while !connected {
        assert!(start.elapsed() < PATIENCE, "no DTLS connection");
        dtls.handle_timeout(Instant::now()).unwrap();
        loop {
            match dtls.poll_output(&mut buffer) {
                Output::Packet(packet) => link.send(packet),
                Output::KeyingMaterial(material, profile) => keys = Some((material, profile)),
                Output::Connected => connected = true,
                Output::Timeout(_) => break,
                _ => {}
            }
        }
        if !connected && let Ok(length) = link.receive(&mut buffer) {
            let datagram = buffer[..length].to_vec();
            if (20..64).contains(&datagram[0]) {
                dtls.handle_packet(&datagram).unwrap();
            }
        }
    }
    let (material, profile) = keys.expect("keys come before the connection");
    assert_eq!(profile, dimpl::SrtpProfile::AEAD_AES_128_GCM);
    SrtpKeys::from_dtls(SrtpProfile::AeadAes128Gcm, &material, true).unwrap()
}
