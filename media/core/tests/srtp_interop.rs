//! Packets protected by libsrtp are the same bytes here, in both directions.
//!
//! `data/make_srtp_vectors.py` wrote the packets.

use media_core::api::SrtpProfile;
use media_core::rtp::RtpHeader;
use media_core::srtp::{MAX_OVERHEAD, SrtpContext, SrtpKeys};

const VECTORS: &str = include_str!("data/srtp_vectors.txt");

enum Vector {
    Rtp { plain: Vec<u8>, protected: Vec<u8> },
    Rtcp { plain: Vec<u8>, protected: Vec<u8> },
}

struct Group {
    keys: SrtpKeys,
    vectors: Vec<Vector>,
}

fn hex(text: &str) -> Vec<u8> {
    let digit = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(digit).collect()
}

fn groups() -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for line in VECTORS.lines() {
        let fields: Vec<&str> = line.split(' ').collect();
        match fields[..] {
            ["profile", name, key, salt] => {
                let profile = match name {
                    "Aes128CmSha1_80" => SrtpProfile::Aes128CmSha1_80,
                    "AeadAes128Gcm" => SrtpProfile::AeadAes128Gcm,
                    "AeadAes256Gcm" => SrtpProfile::AeadAes256Gcm,
                    _ => panic!("unknown profile {name}"),
                };
                let keys = SrtpKeys::new(profile, &hex(key), &hex(salt)).unwrap();
                groups.push(Group { keys, vectors: Vec::new() });
            }
            ["rtp", plain, protected] => groups
                .last_mut()
                .unwrap()
                .vectors
                .push(Vector::Rtp { plain: hex(plain), protected: hex(protected) }),
            ["rtcp", plain, protected] => groups
                .last_mut()
                .unwrap()
                .vectors
                .push(Vector::Rtcp { plain: hex(plain), protected: hex(protected) }),
            _ => panic!("unexpected line {line}"),
        }
    }
    groups
}

#[test]
fn libsrtp_packets_are_unprotected() {
    let groups = groups();
    assert_eq!(groups.len(), 3);
    for group in groups {
        let mut context = SrtpContext::new(&group.keys, 16).unwrap();
        for vector in group.vectors {
            let (plain, mut buf, result);
            match vector {
                Vector::Rtp { plain: expected, protected } => {
                    (plain, buf) = (expected, protected);
                    result = context.unprotect_rtp(&mut buf);
                }
                Vector::Rtcp { plain: expected, protected } => {
                    (plain, buf) = (expected, protected);
                    result = context.unprotect_rtcp(&mut buf);
                }
            }
            assert_eq!(&buf[..result.unwrap()], plain, "{:?}", group.keys.profile());
        }
    }
}

#[test]
fn packets_are_protected_as_by_libsrtp() {
    for group in groups() {
        let mut context = SrtpContext::new(&group.keys, 16).unwrap();
        // libsrtp counts RTCP packets from one.
        context.protect_rtcp(&mut rtcp_with_room(), 8).unwrap();
        for vector in group.vectors {
            let is_rtp = matches!(vector, Vector::Rtp { .. });
            let (Vector::Rtp { plain, protected } | Vector::Rtcp { plain, protected }) = vector;
            let mut buf = plain.clone();
            buf.resize(plain.len() + MAX_OVERHEAD, 0xee);
            let len = if is_rtp {
                let header_len = RtpHeader::parse(&plain).unwrap().header_len;
                context.protect_rtp(header_len, &mut buf, plain.len()).unwrap()
            } else {
                context.protect_rtcp(&mut buf, plain.len()).unwrap()
            };
            assert_eq!(buf[..len], protected, "{:?}", group.keys.profile());
        }
    }
}

fn rtcp_with_room() -> Vec<u8> {
    let mut buf = vec![0x80, 201, 0, 1, 0, 0, 0, 9];
    buf.resize(8 + MAX_OVERHEAD, 0);
    buf
}
