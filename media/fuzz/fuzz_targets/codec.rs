//! Payload descriptors: reading them, and writing other picture numbers into them. The first
//! four bytes are the offsets.

#![no_main]

use libfuzzer_sys::fuzz_target;
use media_core::api::Codec;
use media_core::codec::inspect;
use media_core::codec::numbers::PictureOffsets;
use media_core::codec::vp8::Vp8Descriptor;
use media_core::codec::vp9::Vp9Descriptor;
use media_core::layers::pictures::PictureNumbering;

fuzz_target!(|data: &[u8]| {
    let Some((&[high, low, tl0, key], payload)) = data.split_first_chunk() else { return };
    let offsets = PictureOffsets {
        picture_id: u16::from_be_bytes([high, low]),
        tl0_picture_index: tl0,
        key_index: key,
    };
    for codec in [Codec::Opus, Codec::Vp8, Codec::Vp9, Codec::H264, Codec::Av1] {
        let info = inspect(codec, payload);
        assert!(!info.keyframe_start || info.frame_start);
        let mut written = payload.to_vec();
        info.numbers.rewrite(&mut written, offsets);
        let again = inspect(codec, &written);
        assert_eq!(
            (again.frame_start, again.keyframe_start, again.temporal_layer, again.layer_sync),
            (info.frame_start, info.keyframe_start, info.temporal_layer, info.layer_sync)
        );
        let mut pictures = PictureNumbering::default();
        for (index, piece) in payload.chunks(7).enumerate() {
            let numbers = inspect(codec, piece).numbers;
            match index % 5 {
                3 => pictures.skip(&numbers),
                4 => pictures.join(),
                _ => drop(pictures.place(&numbers)),
            }
        }
        assert!(pictures.memory_bytes() <= 4_096);
    }
    let back = PictureOffsets {
        picture_id: offsets.picture_id.wrapping_neg(),
        tl0_picture_index: tl0.wrapping_neg(),
        key_index: key.wrapping_neg(),
    };
    let mut written = payload.to_vec();
    if let Ok(descriptor) = Vp8Descriptor::parse(payload) {
        descriptor.numbers().rewrite(&mut written, offsets);
        let read = Vp8Descriptor::parse(&written).expect("still a descriptor");
        read.numbers().rewrite(&mut written, back);
    } else if let Ok(descriptor) = Vp9Descriptor::parse(payload) {
        descriptor.numbers().rewrite(&mut written, offsets);
        let read = Vp9Descriptor::parse(&written).expect("still a descriptor");
        read.numbers().rewrite(&mut written, back);
    }
    assert_eq!(written, payload, "there and back again");
});
