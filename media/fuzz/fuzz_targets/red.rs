//! RED payloads: blocks stay inside the payload, and what was read can be written again and is read
//! as the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use media_core::red::{MAX_BLOCKS, RedPayload, write_red};

fuzz_target!(|payload: &[u8]| {
    let Ok(red) = RedPayload::parse(payload) else { return };
    assert!(red.redundant().len() < MAX_BLOCKS);
    assert_eq!(red.primary().range().end, payload.len());
    let blocks: Vec<(u16, &[u8])> =
        red.redundant().iter().map(|block| (block.offset, block.bytes(payload))).collect();
    let payload_type = red.primary().payload_type;
    let mut again = Vec::new();
    write_red(&mut again, payload_type, &blocks, red.primary().bytes(payload));
    assert_eq!(again.len(), payload.len());
    let read = RedPayload::parse(&again).expect("what was written is well-formed");
    assert_eq!(read.primary().bytes(&again), red.primary().bytes(payload));
    for (block, (offset, bytes)) in read.redundant().iter().zip(blocks) {
        assert_eq!((block.offset, block.bytes(&again)), (offset, bytes));
    }
});
