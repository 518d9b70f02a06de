use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

use super::*;

const NONCE: [u8; NONCE_LEN] = *b"twelve bytes";

fn both(key_len: usize) -> (AesGcm, LessSafeKey) {
    let key: Vec<u8> = (0..key_len as u8).collect();
    let algorithm = if key_len == 16 { &AES_128_GCM } else { &AES_256_GCM };
    let theirs = LessSafeKey::new(UnboundKey::new(algorithm, &key).unwrap());
    (AesGcm::new(&key).unwrap(), theirs)
}

fn text(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 7) as u8).collect()
}

#[test]
fn seals_what_aws_lc_rs_seals_and_each_opens_what_the_other_sealed() {
    for key_len in [16, 32] {
        let (ours, theirs) = both(key_len);
        for len in [0, 1, 15, 16, 17, 120, 255, 256, 1_100, 2_000] {
            for aad in [&b""[..], b"header of a packet", &[9; 64]] {
                let (mut sealed, mut tag) = (text(len), [0; TAG_LEN]);
                ours.seal(&NONCE, aad, &mut sealed, &mut tag).unwrap();
                let (mut expected, mut expected_tag) = (text(len), [0; TAG_LEN]);
                let nonce = || Nonce::assume_unique_for_key(NONCE);
                theirs
                    .seal_in_place_scatter(
                        nonce(),
                        Aad::from(aad),
                        &mut expected,
                        &[],
                        &mut expected_tag,
                    )
                    .unwrap();
                assert_eq!((&sealed, tag), (&expected, expected_tag), "{key_len} {len}");
                theirs
                    .open_in_place_separate_tag(nonce(), Aad::from(aad), &tag, &mut sealed)
                    .unwrap();
                assert_eq!(sealed, text(len));
                ours.open(&NONCE, aad, &mut expected, &expected_tag).unwrap();
                assert_eq!(expected, text(len));
            }
        }
    }
}

#[test]
fn nothing_changed_is_opened() {
    let (key, _) = both(16);
    let (mut sealed, mut tag) = (text(40), [0; TAG_LEN]);
    key.seal(&NONCE, b"aad", &mut sealed, &mut tag).unwrap();
    let open = |nonce: &[u8; NONCE_LEN], aad: &[u8], flip: usize, tag: &[u8]| {
        let mut data = sealed.clone();
        if let Some(byte) = data.get_mut(flip) {
            *byte ^= 1;
        }
        key.open(nonce, aad, &mut data, tag)
    };
    assert_eq!(open(&NONCE, b"aad", 40, &tag), Ok(()));
    let mut other_nonce = NONCE;
    other_nonce[11] ^= 1;
    let mut other_tag = tag;
    other_tag[0] ^= 1;
    let refused = Err(AeadError::Authentication);
    assert_eq!(open(&other_nonce, b"aad", 40, &tag), refused);
    assert_eq!(open(&NONCE, b"aae", 40, &tag), refused);
    assert_eq!(open(&NONCE, b"", 40, &tag), refused);
    assert_eq!(open(&NONCE, b"aad", 0, &tag), refused);
    assert_eq!(open(&NONCE, b"aad", 39, &tag), refused);
    assert_eq!(open(&NONCE, b"aad", 40, &other_tag), refused);
    for len in [0, 8, 15] {
        assert_eq!(open(&NONCE, b"aad", 40, &tag[..len]), refused, "{len}");
    }
    let (other_key, _) = both(32);
    assert_eq!(other_key.open(&NONCE, b"aad", &mut sealed, &tag), refused);
}

#[test]
fn other_keys_are_refused() {
    for len in [0, 15, 17, 24, 31, 33] {
        assert_eq!(AesGcm::new(&vec![1; len]).unwrap_err(), AeadError::KeyLength, "{len}");
    }
}

#[test]
fn a_key_may_be_shared_by_threads_and_moved() {
    let (key, _) = both(16);
    let moved = Box::new(key);
    moved.prefetch();
    let seal = || {
        let (mut sealed, mut tag) = (text(100), [0; TAG_LEN]);
        moved.seal(&NONCE, b"", &mut sealed, &mut tag).unwrap();
        (sealed, tag)
    };
    let expected = seal();
    std::thread::scope(|scope| {
        for thread in [scope.spawn(seal), scope.spawn(seal)] {
            assert_eq!(thread.join().unwrap(), expected);
        }
    });
    assert_eq!(format!("{moved:?}"), "AesGcm { .. }");
}
