//! SRTP and SRTCP: unknown packets are refused; what is protected is unprotected to the same
//! bytes, once, and not after any change. The first byte chooses the profile.

#![no_main]

use libfuzzer_sys::fuzz_target;
use media_core::api::SrtpProfile;
use media_core::rtp::RtpHeader;
use media_core::srtp::{MAX_OVERHEAD, SrtpContext, SrtpError, SrtpKeys};

type Unprotect = fn(&mut SrtpContext, &mut [u8]) -> Result<usize, SrtpError>;

fuzz_target!(|data: &[u8]| {
    let Some((&choice, plain)) = data.split_first() else { return };
    let profile = match choice % 3 {
        0 => SrtpProfile::Aes128CmSha1_80,
        1 => SrtpProfile::AeadAes128Gcm,
        _ => SrtpProfile::AeadAes256Gcm,
    };
    let material = vec![0x5a; SrtpKeys::material_len(profile)];
    // All bytes are the same, so both directions have the same keys.
    let (mut local, mut remote) =
        SrtpKeys::from_dtls(profile, &material, true).expect("the length fits");

    assert!(remote.unprotect_rtp(&mut plain.to_vec()).is_err());
    assert!(remote.unprotect_rtcp(&mut plain.to_vec()).is_err());

    let mut buf = plain.to_vec();
    buf.resize(plain.len() + MAX_OVERHEAD, 0);
    if let Ok(header) = RtpHeader::parse_protected(plain) {
        let mut packet = buf.clone();
        let len = local.protect_rtp(header.header_len, &mut packet, plain.len());
        packet.truncate(len.expect("the packet is valid and has room"));
        check(&mut remote, plain, &packet, choice, SrtpContext::unprotect_rtp);
    }
    if let Ok(len) = local.protect_rtcp(&mut buf, plain.len()) {
        check(&mut remote, plain, &buf[..len], choice, SrtpContext::unprotect_rtcp);
    }
});

fn check(remote: &mut SrtpContext, plain: &[u8], packet: &[u8], choice: u8, open: Unprotect) {
    let mut forged = packet.to_vec();
    let at = usize::from(choice) * 31 % forged.len();
    forged[at] ^= 1 << (choice >> 5);
    assert!(open(remote, &mut forged).is_err());
    assert!(open(remote, &mut packet[..packet.len() - 1].to_vec()).is_err());

    let mut accepted = packet.to_vec();
    let len = open(remote, &mut accepted).expect("our own packet is accepted");
    assert_eq!(&accepted[..len], plain);
    assert_eq!(open(remote, &mut packet.to_vec()), Err(SrtpError::Replay));
}
