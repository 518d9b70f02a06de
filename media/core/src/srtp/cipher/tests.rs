use super::*;
use crate::srtp::tests::hex;

const RTP_PLAIN: &str = "8040f17b8041f8d35501a0b247616c6c696120657374206f6d6e69732064697669736120\
                         696e207061727465732074726573";
const RTCP_PLAIN: &str = "81c8000d4d6172734e5450314e545032525450200000042a0000e9304c756e61\
                          deadbeefdeadbeefdeadbeefdeadbeefdeadbeef";
const SALT: &str = "517569642070726f2071756f";
const KEY_256: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

fn gcm(key_len: usize) -> Cipher {
    let salt = hex(SALT).try_into().unwrap();
    Cipher::gcm(&hex(KEY_256)[..key_len], salt).unwrap()
}

#[test]
fn counter_mode_matches_rfc_3711_appendix_b_2() {
    let salt = hex("F0F1F2F3F4F5F6F7F8F9FAFBFCFD").try_into().unwrap();
    let key = hex("2B7E151628AED2A6ABF7158809CF4F3C");
    let Ok(Cipher::CmSha1 { key, salt, .. }) = Cipher::cm_sha1(&key, &[0; 20], salt) else {
        panic!("the keys are valid");
    };
    let mut stream = vec![0; 0xff02 * 16];
    apply_keystream(&key, counter(&salt, 0, 0), &mut stream).unwrap();
    assert_eq!(
        stream[..48],
        hex("E03EAD0935C95E80E166B16DD92B4EB4D23513162B02D0F72A43A2FE4A5F97AB\
             41E95B3BB0A2E8DD477901E4FCA894C0")
    );
    assert_eq!(
        stream[0xfeff * 16..][..48],
        hex("EC8CDF7398607CB0F2D21675EA9EA1E4362B7C3C6773516318A077D7FC5073AE\
             6A2CC3787889374FBEB4C81B17BA6C44")
    );
}

#[test]
fn rtp_matches_rfc_7714_section_16() {
    let rows = [
        (
            16,
            "8040f17b8041f8d35501a0b2f24de3a3fb34de6cacba861c9d7e4bcabe633bd50d294e6f42a5f47a\
             51c7d19b36de3adf8833899d7f27beb16a9152cf765ee4390cce",
        ),
        (
            32,
            "8040f17b8041f8d35501a0b232b1de78a822fe12ef9f78fa332e33aab18012389a58e2f3b50b2a02\
             76ffae0f1ba63799b87b7aa3db36dfffd6b0f9bb7878d7a76c13",
        ),
    ];
    for (key_len, protected) in rows {
        let cipher = gcm(key_len);
        let plain = hex(RTP_PLAIN);
        let mut buf = plain.clone();
        buf.resize(plain.len() + 16, 0);
        cipher.seal_rtp(0x5501_a0b2, 0xf17b, 12, &mut buf).unwrap();
        assert_eq!(buf, hex(protected), "key of {key_len} bytes");
        cipher.open_rtp(0x5501_a0b2, 0xf17b, 12, &mut buf).unwrap();
        assert_eq!(buf[..plain.len()], plain);
    }
}

#[test]
fn rtcp_matches_rfc_7714_section_17() {
    let protected = "81c8000d4d61727363e94885dcdab67ca727d7662f6b7e997ff5c0f76c06f32d\
                     c676a5f1730d6fda4ce09b4686303ded0bb9275bc84aa45896cf4d2fc5abf872\
                     45d9eade800005d4";
    let cipher = gcm(16);
    let plain = hex(RTCP_PLAIN);
    let mut buf = plain.clone();
    buf.resize(plain.len() + 20, 0);
    cipher.seal_rtcp(0x4d61_7273, 0x5d4, plain.len(), &mut buf).unwrap();
    assert_eq!(buf, hex(protected));
    let word = cipher.rtcp_word(&buf).unwrap();
    assert_eq!(word, 0x8000_05d4);
    assert_eq!(cipher.open_rtcp(0x4d61_7273, word, &mut buf), Ok(plain.len()));
    assert_eq!(buf[..plain.len()], plain);
}

#[test]
fn unencrypted_rtcp_is_authenticated() {
    let plain = hex(RTCP_PLAIN);
    let word = 0x5d4_u32;
    let Cipher::Gcm { key, salt } = gcm(16) else { panic!("built as aes-gcm") };
    let signed = [&plain[..], &word.to_be_bytes()].concat();
    let mut tag = [0; 16];
    let nonce = rtcp_nonce(&salt, 0x4d61_7273, word);
    seal_gcm(&key, nonce, &signed, &mut [], &mut tag).unwrap();
    let packet = [&plain[..], &tag, &word.to_be_bytes()].concat();

    let cipher = gcm(16);
    let mut buf = packet.clone();
    assert_eq!(cipher.rtcp_word(&buf), Some(word));
    assert_eq!(cipher.open_rtcp(0x4d61_7273, word, &mut buf), Ok(plain.len()));
    assert_eq!(buf[..plain.len()], plain);
    for at in 0..packet.len() - 4 {
        let mut buf = packet.clone();
        buf[at] ^= 1;
        let result = cipher.open_rtcp(0x4d61_7273, word, &mut buf);
        assert_eq!(result, Err(SrtpError::Authentication), "byte {at}");
    }
}

#[test]
fn unencrypted_rtcp_with_sha1_is_authenticated() {
    let plain = hex(RTCP_PLAIN);
    let word = 9_u32;
    let cipher = Cipher::cm_sha1(&[1; 16], &[2; 20], [3; 14]).unwrap();
    let Cipher::CmSha1 { auth, .. } = &cipher else { panic!("built as counter mode") };
    let tag = sign(auth, &plain, &word.to_be_bytes());
    let packet = [&plain[..], &word.to_be_bytes(), &tag].concat();
    let mut buf = packet.clone();
    assert_eq!(cipher.rtcp_word(&buf), Some(word));
    assert_eq!(cipher.open_rtcp(1, word, &mut buf), Ok(plain.len()));
    assert_eq!(buf, packet);
    buf[10] ^= 1;
    assert_eq!(cipher.open_rtcp(1, word, &mut buf), Err(SrtpError::Authentication));
}
