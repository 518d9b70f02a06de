//! Header extension blocks and the values in them. The first two bytes are the profile.

#![no_main]

use libfuzzer_sys::fuzz_target;
use media_core::ext::{
    AbsSendTime, AudioLevel, Elements, ONE_BYTE_PROFILE, StreamId, TWO_BYTE_PROFILE,
    transport_sequence,
};

fuzz_target!(|data: &[u8]| {
    let Some((profile, block)) = data.split_first_chunk() else { return };
    for profile in [ONE_BYTE_PROFILE, TWO_BYTE_PROFILE, u16::from_be_bytes(*profile)] {
        let mut bytes = 0;
        let mut failed = false;
        for element in Elements::new(profile, block) {
            assert!(!failed, "nothing follows an error");
            let Ok(element) = element else {
                failed = true;
                continue;
            };
            assert_ne!(element.id, 0);
            bytes += 1 + element.data.len();
            if let Ok(level) = AudioLevel::parse(element.data) {
                assert_eq!(level.to_bytes()[0], element.data[0]);
            }
            if let Ok(id) = StreamId::parse(element.data) {
                assert_eq!(id.as_str().as_bytes(), element.data);
            }
            if let Ok(time) = AbsSendTime::parse(element.data) {
                assert_eq!(time.to_bytes(), element.data);
                assert!(time.to_duration().as_secs() < 64);
            }
            let _ = transport_sequence(element.data);
        }
        assert!(bytes <= block.len());
    }
});
