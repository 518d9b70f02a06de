//! Streams of frames in any pieces: no panic, bounded memory, and the pieces change nothing.

#![no_main]

use libfuzzer_sys::fuzz_target;
use media_core::framing::{Deframer, FrameError, MAX_FRAME, PREFIX_LEN};

fn cut(stream: &[u8], step: usize) -> (Vec<Vec<u8>>, Result<(), FrameError>) {
    let (mut deframer, mut frames) = (Deframer::default(), Vec::new());
    for piece in stream.to_vec().chunks_mut(step) {
        let result = deframer.push(piece, |frame| {
            assert!(!frame.is_empty() && frame.len() <= MAX_FRAME);
            frames.push(frame.to_vec());
        });
        assert!(deframer.pending() < PREFIX_LEN + MAX_FRAME);
        if result.is_err() {
            return (frames, result);
        }
    }
    (frames, Ok(()))
}

fuzz_target!(|data: &[u8]| {
    let Some((step, stream)) = data.split_first() else { return };
    assert_eq!(cut(stream, usize::from(*step) + 1), cut(stream, stream.len().max(1)));
});
