//! Datagrams on a stream: each behind its length in two bytes (RFC 4571, as RFC 6544 uses it).

use std::fmt;

/// Bytes of the length in front of a frame.
pub const PREFIX_LEN: usize = 2;

/// Longest frame accepted: what is received over UDP is no longer either.
pub const MAX_FRAME: usize = 2_047;

/// The stream cannot be followed any further.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameError {
    /// A frame announces more than [`MAX_FRAME`] bytes.
    TooLong(usize),
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FrameError::TooLong(len) => write!(f, "a frame of {len} bytes exceeds {MAX_FRAME}"),
        }
    }
}

impl std::error::Error for FrameError {}

/// The prefix of a frame, or `None` if it is longer than the format can say.
pub fn prefix(len: usize) -> Option<[u8; PREFIX_LEN]> {
    u16::try_from(len).ok().map(u16::to_be_bytes)
}

/// Cuts a stream into frames. Holds at most one incomplete frame.
#[derive(Debug, Default)]
pub struct Deframer {
    partial: Vec<u8>,
}

impl Deframer {
    /// Takes the next bytes of the stream and calls `on_frame` for every frame they complete.
    /// Frames without content are passed over.
    ///
    /// # Errors
    ///
    /// [`FrameError`]: frames before were delivered, and the stream must be given up.
    pub fn push(
        &mut self,
        input: &mut [u8],
        mut on_frame: impl FnMut(&mut [u8]),
    ) -> Result<(), FrameError> {
        let mut at = 0;
        while at < input.len() {
            if self.partial.is_empty()
                && let Some(len) = frame_len(&input[at..])?
                && let Some(frame) = input.get_mut(at + PREFIX_LEN..at + PREFIX_LEN + len)
            {
                // A whole frame needs no copy.
                deliver(frame, &mut on_frame);
                at += PREFIX_LEN + len;
                continue;
            }
            let wanted = frame_len(&self.partial)?.map_or(PREFIX_LEN, |len| PREFIX_LEN + len);
            let next = input.len().min(at + wanted - self.partial.len());
            self.partial.extend_from_slice(&input[at..next]);
            at = next;
            if frame_len(&self.partial)?.is_some_and(|len| self.partial.len() == PREFIX_LEN + len) {
                deliver(&mut self.partial[PREFIX_LEN..], &mut on_frame);
                self.partial.clear();
            }
        }
        Ok(())
    }

    /// Bytes of an incomplete frame.
    pub fn pending(&self) -> usize {
        self.partial.len()
    }
}

/// The length a frame announces; `None` before that is known.
fn frame_len(bytes: &[u8]) -> Result<Option<usize>, FrameError> {
    let Some(prefix) = bytes.first_chunk() else { return Ok(None) };
    match usize::from(u16::from_be_bytes(*prefix)) {
        len if len > MAX_FRAME => Err(FrameError::TooLong(len)),
        len => Ok(Some(len)),
    }
}

fn deliver(frame: &mut [u8], on_frame: &mut impl FnMut(&mut [u8])) {
    if !frame.is_empty() {
        on_frame(frame);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(frames: &[Vec<u8>]) -> Vec<u8> {
        frames
            .iter()
            .flat_map(|frame| [&prefix(frame.len()).unwrap(), &frame[..]].concat())
            .collect()
    }

    /// What comes out when the stream arrives in pieces of `step` bytes.
    fn cut(stream: &[u8], step: usize) -> (Vec<Vec<u8>>, Result<(), FrameError>) {
        let (mut deframer, mut frames) = (Deframer::default(), Vec::new());
        for piece in stream.to_vec().chunks_mut(step) {
            let result = deframer.push(piece, |frame| frames.push(frame.to_vec()));
            assert!(deframer.pending() < PREFIX_LEN + MAX_FRAME);
            if result.is_err() {
                return (frames, result);
            }
        }
        (frames, Ok(()))
    }

    #[test]
    fn frames_come_out_however_the_stream_is_cut() {
        let frames: Vec<Vec<u8>> =
            [1, 2, 20, 255, 256, 257, 1_472, MAX_FRAME, 3].map(|len| vec![len as u8; len]).into();
        let stream = framed(&frames);
        for step in [1, 2, 3, 5, 7, 100, 256, 1_460, 2_048, stream.len()] {
            assert_eq!(cut(&stream, step), (frames.clone(), Ok(())), "pieces of {step}");
        }
    }

    #[test]
    fn malformed_and_incomplete_streams_yield_what_came_before() {
        let good = || framed(&[vec![7; 30]]);
        let table = [
            ("nothing", Vec::new(), 0, Ok(())),
            ("half a prefix", vec![0], 0, Ok(())),
            ("no content", vec![0, 0, 0, 0, 0, 0], 0, Ok(())),
            ("no content, then some", [vec![0, 0], good()].concat(), 1, Ok(())),
            ("cut off", [good(), vec![0, 9, 1, 2]].concat(), 1, Ok(())),
            ("one byte too long", vec![0x08, 0x00], 0, Err(FrameError::TooLong(2_048))),
            (
                "longest",
                [good(), vec![0xff, 0xff, 1]].concat(),
                1,
                Err(FrameError::TooLong(65_535)),
            ),
            ("text", b"GET / HTTP/1.1\r\n".to_vec(), 0, Err(FrameError::TooLong(0x4745))),
        ];
        for (what, stream, count, expected) in table {
            for step in [1, 2, 3, 64] {
                let (frames, result) = cut(&stream, step);
                assert_eq!((frames.len(), result), (count, expected), "{what}, pieces of {step}");
            }
        }
    }

    #[test]
    fn a_prefix_says_up_to_two_bytes() {
        assert_eq!(prefix(0x1234), Some([0x12, 0x34]));
        assert_eq!(prefix(65_536), None);
    }
}
