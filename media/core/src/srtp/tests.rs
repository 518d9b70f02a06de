//! Contexts: a sender and a receiver with the same keys.

use super::*;
use crate::api::SrtpProfile;

const PROFILES: [SrtpProfile; 3] =
    [SrtpProfile::Aes128CmSha1_80, SrtpProfile::AeadAes128Gcm, SrtpProfile::AeadAes256Gcm];
const PAYLOAD: &[u8] = b"forty bytes that nobody else may read!!!";

pub(super) fn hex(text: &str) -> Vec<u8> {
    let digit = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(digit).collect()
}

fn pair(profile: SrtpProfile) -> (SrtpContext, SrtpContext) {
    let material: Vec<u8> = (0..SrtpKeys::material_len(profile) as u8).collect();
    let (local, _) = SrtpKeys::from_dtls(profile, &material, false).unwrap();
    let (_, remote) = SrtpKeys::from_dtls(profile, &material, true).unwrap();
    (local, remote)
}

fn rtp(ssrc: u32, number: u16) -> Vec<u8> {
    let mut packet = vec![0x80, 96];
    packet.extend_from_slice(&number.to_be_bytes());
    packet.extend_from_slice(&[0, 0, 0, 1]);
    packet.extend_from_slice(&ssrc.to_be_bytes());
    packet.extend_from_slice(PAYLOAD);
    packet
}

fn rtcp(ssrc: u32) -> Vec<u8> {
    let mut packet = vec![0x80, 201, 0, 1];
    packet.extend_from_slice(&ssrc.to_be_bytes());
    packet.extend_from_slice(&[0x81, 202, 0, 2, 0, 0, 0, 1, 1, 1, b'x', 0]);
    packet
}

fn protect(context: &mut SrtpContext, plain: &[u8]) -> Result<Vec<u8>, SrtpError> {
    let mut buf = plain.to_vec();
    buf.resize(plain.len() + MAX_OVERHEAD, 0);
    let len = if plain[1] >= 200 {
        context.protect_rtcp(&mut buf, plain.len())?
    } else {
        context.protect_rtp(12, &mut buf, plain.len())?
    };
    buf.truncate(len);
    Ok(buf)
}

fn unprotect(context: &mut SrtpContext, packet: &[u8]) -> Result<Vec<u8>, SrtpError> {
    let mut buf = packet.to_vec();
    let len = if packet.get(1).is_some_and(|&byte| byte >= 200) {
        context.unprotect_rtcp(&mut buf)?
    } else {
        context.unprotect_rtp(&mut buf)?
    };
    buf.truncate(len);
    Ok(buf)
}

#[test]
fn packets_arrive_over_two_rollovers_from_every_start() {
    for profile in PROFILES {
        for start in [0_u32, 1, 32767, 32768, 65534, 65535] {
            let (mut local, mut remote) = pair(profile);
            for step in (0..150_000).step_by(997) {
                let plain = rtp(7, (start + step) as u16);
                let packet = protect(&mut local, &plain).unwrap();
                assert_ne!(packet[12..52], plain[12..]);
                assert_eq!(unprotect(&mut remote, &packet).unwrap(), plain);
            }
        }
    }
}

#[test]
fn loss_of_thousands_over_the_rollover_is_survived() {
    for profile in PROFILES {
        let (mut local, mut remote) = pair(profile);
        for number in [65000, 65100] {
            let packet = protect(&mut local, &rtp(7, number)).unwrap();
            unprotect(&mut remote, &packet).unwrap();
        }
        for number in [3, 20_000] {
            protect(&mut local, &rtp(7, number)).unwrap();
        }
        let plain = rtp(7, 32_000);
        let packet = protect(&mut local, &plain).unwrap();
        assert_eq!(unprotect(&mut remote, &packet).unwrap(), plain);
    }
}

#[test]
fn late_packet_from_before_the_rollover_is_accepted_once() {
    for profile in PROFILES {
        let (mut local, mut remote) = pair(profile);
        let packets: Vec<_> = [65533, 65534, 65535, 0, 1]
            .map(|number| protect(&mut local, &rtp(7, number)).unwrap())
            .into();
        for at in [0, 3, 4, 2, 1] {
            assert!(unprotect(&mut remote, &packets[at]).is_ok());
        }
        for packet in &packets {
            assert_eq!(unprotect(&mut remote, packet), Err(SrtpError::Replay));
        }
    }
}

#[test]
fn sending_an_older_packet_does_not_disturb_the_rollover_counter() {
    for profile in PROFILES {
        let (mut local, mut remote) = pair(profile);
        for number in [65530, 65534, 1, 65535, 0, 2, 65533, 3] {
            let plain = rtp(7, number);
            let packet = protect(&mut local, &plain).unwrap();
            assert_eq!(unprotect(&mut remote, &packet).unwrap(), plain, "{number}");
        }
    }
}

#[test]
fn counter_mode_may_send_a_packet_again_and_gcm_may_not() {
    let (mut local, _) = pair(SrtpProfile::Aes128CmSha1_80);
    let first = protect(&mut local, &rtp(7, 65535)).unwrap();
    protect(&mut local, &rtp(7, 0)).unwrap();
    assert_eq!(protect(&mut local, &rtp(7, 65535)).unwrap(), first);

    let (mut local, mut remote) = pair(SrtpProfile::AeadAes128Gcm);
    for number in [65535, 0] {
        let packet = protect(&mut local, &rtp(7, number)).unwrap();
        assert!(unprotect(&mut remote, &packet).is_ok());
    }
    assert_eq!(protect(&mut local, &rtp(7, 65535)), Err(SrtpError::Replay));
    let packet = protect(&mut local, &rtp(7, 1)).unwrap();
    assert!(unprotect(&mut remote, &packet).is_ok());
}

#[test]
fn packets_older_than_the_window_are_refused() {
    let (mut local, mut remote) = pair(SrtpProfile::Aes128CmSha1_80);
    let old = protect(&mut local, &rtp(7, 10)).unwrap();
    let oldest = protect(&mut local, &rtp(7, 11)).unwrap();
    let newest = protect(&mut local, &rtp(7, 10 + 1024)).unwrap();
    assert!(unprotect(&mut remote, &newest).is_ok());
    assert_eq!(unprotect(&mut remote, &old), Err(SrtpError::Replay));
    assert!(unprotect(&mut remote, &oldest).is_ok());
}

#[test]
fn any_flipped_bit_is_refused_and_changes_nothing() {
    for profile in PROFILES {
        for plain in [rtp(7, 100), rtcp(7)] {
            let (mut local, mut remote) = pair(profile);
            let packet = protect(&mut local, &plain).unwrap();
            for at in 0..packet.len() {
                for bit in 0..8 {
                    let mut forged = packet.clone();
                    forged[at] ^= 1 << bit;
                    assert!(unprotect(&mut remote, &forged).is_err(), "{profile:?} {at} {bit}");
                }
            }
            assert!(remote.has_no_sources());
            assert_eq!(unprotect(&mut remote, &packet).unwrap(), plain);
        }
    }
}

#[test]
fn truncated_packets_are_refused_at_every_length() {
    for profile in PROFILES {
        for plain in [rtp(7, 100), rtcp(7)] {
            let (mut local, mut remote) = pair(profile);
            let packet = protect(&mut local, &plain).unwrap();
            for len in 0..packet.len() {
                assert!(unprotect(&mut remote, &packet[..len]).is_err(), "{profile:?} {len}");
            }
            assert!(unprotect(&mut remote, &packet).is_ok());
        }
    }
}

#[test]
fn wrong_keys_are_refused() {
    for profile in PROFILES {
        let (mut local, _) = pair(profile);
        let material = vec![9; SrtpKeys::material_len(profile)];
        let (_, mut stranger) = SrtpKeys::from_dtls(profile, &material, true).unwrap();
        for plain in [rtp(7, 1), rtcp(7)] {
            let packet = protect(&mut local, &plain).unwrap();
            assert_eq!(unprotect(&mut stranger, &packet), Err(SrtpError::Authentication));
        }
    }
}

#[test]
fn directions_have_different_keys() {
    for profile in PROFILES {
        let material: Vec<u8> = (0..SrtpKeys::material_len(profile) as u8).collect();
        let (mut local, mut remote) = SrtpKeys::from_dtls(profile, &material, true).unwrap();
        for plain in [rtp(7, 1), rtcp(7)] {
            let packet = protect(&mut local, &plain).unwrap();
            assert_eq!(unprotect(&mut remote, &packet), Err(SrtpError::Authentication));
        }
    }
}

#[test]
fn rtcp_packets_arrive_in_any_order_but_only_once() {
    for profile in PROFILES {
        let (mut local, mut remote) = pair(profile);
        let packets: Vec<_> =
            (0..5).map(|source| protect(&mut local, &rtcp(source % 2)).unwrap()).collect();
        for at in [4, 0, 2, 3, 1] {
            assert_eq!(unprotect(&mut remote, &packets[at]).unwrap(), rtcp(at as u32 % 2));
        }
        for packet in &packets {
            assert_eq!(unprotect(&mut remote, packet), Err(SrtpError::Replay));
        }
    }
}

#[test]
fn rtcp_index_counts_on_through_all_sources() {
    for profile in PROFILES {
        let (mut local, _) = pair(profile);
        for expected in 0..300_u32 {
            let packet = protect(&mut local, &rtcp(expected % 7)).unwrap();
            let end = packet.len() - if profile == SrtpProfile::Aes128CmSha1_80 { 10 } else { 0 };
            assert_eq!(packet[end - 4..end], (expected | 1 << 31).to_be_bytes());
        }
    }
}

#[test]
fn rtcp_index_is_not_used_twice_when_it_runs_out() {
    let (mut local, mut remote) = pair(SrtpProfile::AeadAes128Gcm);
    local.set_next_rtcp_index((1 << 31) - 1);
    let last = protect(&mut local, &rtcp(7)).unwrap();
    assert_eq!(unprotect(&mut remote, &last).unwrap(), rtcp(7));
    assert_eq!(protect(&mut local, &rtcp(7)), Err(SrtpError::LimitReached));
}

#[test]
fn number_of_sources_is_bounded_and_an_end_makes_room() {
    for profile in PROFILES {
        let (mut local, mut remote) = pair(profile);
        local.set_max_ssrcs(10);
        remote.set_max_ssrcs(2);
        for source in 0..2 {
            for plain in [rtp(source, 1), rtcp(source)] {
                let packet = protect(&mut local, &plain).unwrap();
                assert!(unprotect(&mut remote, &packet).is_ok());
            }
        }
        for plain in [rtp(2, 1), rtcp(2)] {
            let packet = protect(&mut local, &plain).unwrap();
            assert_eq!(unprotect(&mut remote, &packet), Err(SrtpError::LimitReached));
        }
        remote.end_ssrc(0);
        for plain in [rtp(2, 2), rtcp(2), rtp(1, 2), rtcp(1)] {
            let packet = protect(&mut local, &plain).unwrap();
            assert!(unprotect(&mut remote, &packet).is_ok());
        }
        local.set_max_ssrcs(3);
        assert_eq!(protect(&mut local, &rtp(99, 1)), Err(SrtpError::LimitReached));
        let full = remote.memory_bytes();
        assert!(full > 2 * 2 * 128 && full < 10_000, "{full}");
    }
}

#[test]
fn a_source_that_ended_accepts_only_what_is_newer_than_all_before() {
    for profile in PROFILES {
        let (mut local, mut remote) = pair(profile);
        let mut packets = Vec::new();
        // Over a rollover: a window that started anew would take the recorded ones for new.
        for number in [65_534, 65_535, 0, 3, 5] {
            packets.push(protect(&mut local, &rtp(7, number)).unwrap());
            packets.push(protect(&mut local, &rtcp(7)).unwrap());
        }
        let missed = packets.split_off(6);
        for packet in &packets {
            unprotect(&mut remote, packet).unwrap();
        }
        remote.end_ssrc(7);
        assert_eq!(remote.rtp_sources.live() + remote.rtcp_sources.live(), 0);
        for packet in &packets {
            assert_eq!(unprotect(&mut remote, packet), Err(SrtpError::Replay));
            let mut buf = packet.clone();
            if packet[1] < 200 {
                assert_eq!(remote.unprotect_stray_rtp(&mut buf), Err(SrtpError::Replay));
            }
        }
        // A straggler that nobody claims does not bring it back to life.
        assert!(remote.unprotect_stray_rtp(&mut missed[2].clone()).is_ok());
        assert!(unprotect(&mut remote, &missed[3]).is_ok());
        assert_eq!(remote.rtp_sources.live() + remote.rtcp_sources.live(), 0);
        for packet in &missed {
            assert_eq!(unprotect(&mut remote, packet), Err(SrtpError::Replay));
        }
        let next = protect(&mut local, &rtp(7, 6)).unwrap();
        assert!(unprotect(&mut remote, &next).is_ok(), "it goes on");
        assert_eq!(remote.rtp_sources.live(), 1);
        assert_eq!(unprotect(&mut remote, &next), Err(SrtpError::Replay));
    }
}

#[test]
fn strays_leave_no_trace_until_they_are_adopted() {
    for profile in PROFILES {
        let (mut local, mut remote) = pair(profile);
        for ssrc in 0..1_000 {
            let mut packet = protect(&mut local, &rtp(ssrc % 200, (ssrc / 200) as u16)).unwrap();
            remote.unprotect_stray_rtp(&mut packet).unwrap();
        }
        assert!(remote.has_no_sources() && remote.memory_bytes() < 2_048);
        let packet = protect(&mut local, &rtp(7, 65_000)).unwrap();
        remote.unprotect_stray_rtp(&mut packet.clone()).unwrap();
        remote.adopt(7, 65_000).unwrap();
        assert!(remote.knows(7) && !remote.knows(8));
        assert_eq!(unprotect(&mut remote, &packet), Err(SrtpError::Replay));
        remote.set_max_ssrcs(1);
        assert_eq!(remote.adopt(8, 1), Err(SrtpError::LimitReached));
    }
}

#[test]
fn sources_of_a_whole_life_are_bounded_and_those_known_go_on() {
    let (mut local, mut remote) = pair(SrtpProfile::AeadAes128Gcm);
    for ssrc in 0..MAX_SSRCS_PER_LIFE as u32 {
        let packet = protect(&mut local, &rtp(ssrc, 1)).unwrap();
        local.end_ssrc(ssrc);
        unprotect(&mut remote, &packet).unwrap();
        remote.end_ssrc(ssrc);
    }
    assert!(remote.memory_bytes() <= 16 * MAX_SSRCS_PER_LIFE + 4_096);
    let known = protect(&mut local, &rtp(77, 2)).unwrap();
    let sealed = protect(&mut local, &rtp(u32::MAX, 1));
    assert_eq!(sealed, Err(SrtpError::LimitReached));
    let (mut other, _) = pair(SrtpProfile::AeadAes128Gcm);
    let fresh = protect(&mut other, &rtp(u32::MAX, 1)).unwrap();
    assert_eq!(unprotect(&mut remote, &fresh), Err(SrtpError::LimitReached));
    assert!(unprotect(&mut remote, &known).is_ok());
}

#[test]
fn an_index_is_not_used_again_after_its_source_ended() {
    let (mut local, mut remote) = pair(SrtpProfile::AeadAes128Gcm);
    for number in [65_535, 0, 1] {
        let packet = protect(&mut local, &rtp(7, number)).unwrap();
        unprotect(&mut remote, &packet).unwrap();
    }
    local.end_ssrc(7);
    for number in [65_535, 0, 1] {
        assert_eq!(protect(&mut local, &rtp(7, number)), Err(SrtpError::Replay));
    }
    let packet = protect(&mut local, &rtp(7, 2)).unwrap();
    assert!(unprotect(&mut remote, &packet).is_ok(), "the rollover counter was kept");
}

#[test]
fn protecting_needs_room_and_a_header() {
    for profile in PROFILES {
        let (mut local, _) = pair(profile);
        let plain = rtp(7, 1);
        let mut buf = plain.clone();
        assert_eq!(local.protect_rtp(12, &mut buf, plain.len()), Err(SrtpError::Malformed));
        assert_eq!(local.protect_rtp(12, &mut buf, usize::MAX), Err(SrtpError::Malformed));
        buf.resize(plain.len() + MAX_OVERHEAD, 0);
        for header_len in [0, 11, plain.len() + 1, usize::MAX] {
            let result = local.protect_rtp(header_len, &mut buf, plain.len());
            assert_eq!(result, Err(SrtpError::Malformed), "{header_len}");
        }
        assert_eq!(local.protect_rtp(12, &mut buf, 11), Err(SrtpError::Malformed));
        assert_eq!(local.protect_rtcp(&mut buf, 7), Err(SrtpError::Malformed));
        assert_eq!(local.protect_rtcp(&mut buf, usize::MAX), Err(SrtpError::Malformed));
        buf[0] = 0;
        assert_eq!(local.protect_rtp(12, &mut buf, plain.len()), Err(SrtpError::Malformed));
        assert_eq!(local.protect_rtcp(&mut buf, 12), Err(SrtpError::Malformed));
    }
}

#[test]
fn empty_payloads_are_protected_too() {
    for profile in PROFILES {
        let (mut local, mut remote) = pair(profile);
        for plain in [&rtp(7, 1)[..12], &rtcp(7)[..8]] {
            let packet = protect(&mut local, plain).unwrap();
            assert!(packet.len() > plain.len());
            assert_eq!(unprotect(&mut remote, &packet).unwrap(), plain);
        }
    }
}

/// Prints ns per packet of 1100 bytes. Run in release mode with `--ignored --nocapture`.
#[test]
#[ignore = "measures"]
fn throughput() {
    const ROUNDS: u32 = 500_000;
    for profile in PROFILES {
        let (mut local, mut remote) = pair(profile);
        let mut buf = rtp(7, 0);
        buf.resize(1100, 0x5a);
        buf.resize(1100 + MAX_OVERHEAD, 0);
        let (mut sealing, mut opening) = (std::time::Duration::ZERO, std::time::Duration::ZERO);
        for round in 0..ROUNDS {
            buf[2..4].copy_from_slice(&(round as u16).to_be_bytes());
            let start = std::time::Instant::now();
            let len = local.protect_rtp(12, &mut buf, 1100).unwrap();
            let middle = std::time::Instant::now();
            remote.unprotect_rtp(&mut buf[..len]).unwrap();
            sealing += middle - start;
            opening += middle.elapsed();
        }
        println!("{profile:?}: protect {:?}, unprotect {:?}", sealing / ROUNDS, opening / ROUNDS);
    }
}
