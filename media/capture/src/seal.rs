//! Encryption at rest: a file of frames, each AES-256-GCM, under a key of the file's own.
//!
//! | bytes | what |
//! |---|---|
//! | 8 | `WITNESS\x02` |
//! | 8 | which master key: the first bytes of its SHA-256 |
//! | 12, 48 | nonce, and the file's key under the master key (AES-256-GCM) |
//! | 7 | the first bytes of every frame's nonce |
//! | 2, … | length (big-endian), and where the file belongs: `<session>/<track>/<file>`, UTF-8 |
//! | … | frames: length of what follows (4, big-endian, bit 31: the last one), ciphertext, tag (16) |
//!
//! What is authenticated beside the wrapped key is the first 16 bytes and where the file belongs: in
//! another's place it cannot be opened. (Files that begin with `WITNESS\x01` say nothing of their place;
//! beside their key the first 8 bytes are authenticated.)
//!
//! A frame's nonce ends with its number (4) and a byte that is 1 for the last frame; what is
//! authenticated beside it is the header of the file. So frames can neither be cut off at the end,
//! nor moved within a file or to another (the STREAM construction of Hoang, Reyhanitabar,
//! Rogaway and Vizár). A file that was cut by a crash has no last frame, and a reader says so.

use std::fmt;
use std::path::Path;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand;

/// First bytes of a sealed file.
pub const MAGIC: [u8; 8] = *b"WITNESS\x02";
/// Bytes before where the file belongs.
pub const FIXED_LEN: usize = 8 + 8 + 12 + 48 + 7 + 2;
/// Largest content of a frame.
pub const MAX_FRAME: usize = 1 << 20;
const KEY_LEN: usize = 32;
const TAG_LEN: usize = 16;
const LAST: u32 = 1 << 31;

/// Why bytes are no master key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MasterKeyError;

impl fmt::Display for MasterKeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a master key has 32 bytes")
    }
}

impl std::error::Error for MasterKeyError {}

/// The key keys of files are wrapped with. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct MasterKey {
    bytes: [u8; KEY_LEN],
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(..)")
    }
}

impl MasterKey {
    /// # Errors
    ///
    /// [`MasterKeyError`] unless there are 32 bytes.
    pub fn new(bytes: &[u8]) -> Result<MasterKey, MasterKeyError> {
        Ok(MasterKey { bytes: bytes.try_into().map_err(|_| MasterKeyError)? })
    }

    fn id(&self) -> [u8; 8] {
        *digest(&SHA256, &self.bytes).as_ref().first_chunk().expect("a digest has 32 bytes")
    }
}

/// Encrypts one file.
pub(crate) struct Sealer {
    key: LessSafeKey,
    header: Vec<u8>,
    prefix: [u8; 7],
    frames: u32,
}

fn key_of(bytes: &[u8; KEY_LEN]) -> LessSafeKey {
    LessSafeKey::new(
        UnboundKey::new(&AES_256_GCM, bytes).expect("the length is that of the cipher"),
    )
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).expect("the operating system has random numbers");
    bytes
}

/// Where a file belongs: `<session>/<track>/<file>`, of a track's directory
/// `…/<session>/tracks/<track>`.
pub(crate) fn place(directory: &Path, file: &str) -> String {
    let name = |path: Option<&Path>| {
        path.and_then(Path::file_name).unwrap_or_default().to_string_lossy().into_owned()
    };
    let session = directory.parent().and_then(Path::parent);
    format!("{}/{}/{file}", name(session), name(Some(directory)))
}

impl Sealer {
    /// Makes a key for the file of this [`place`].
    pub(crate) fn new(master: &MasterKey, place: &str) -> Sealer {
        Sealer::with(master, place, random(), random(), random())
    }

    fn with(
        master: &MasterKey,
        place: &str,
        key: [u8; 32],
        wrap_nonce: [u8; 12],
        prefix: [u8; 7],
    ) -> Sealer {
        let place = &place.as_bytes()[..place.len().min(usize::from(u16::MAX))];
        let mut header = Vec::with_capacity(FIXED_LEN + place.len());
        header.extend_from_slice(&MAGIC);
        header.extend_from_slice(&master.id());
        let bound = [header.as_slice(), place].concat();
        header.extend_from_slice(&wrap_nonce);
        let mut wrapped = key.to_vec();
        let nonce = Nonce::assume_unique_for_key(wrap_nonce);
        key_of(&master.bytes)
            .seal_in_place_append_tag(nonce, Aad::from(bound), &mut wrapped)
            .expect("a key is not too long");
        header.extend_from_slice(&wrapped);
        header.extend_from_slice(&prefix);
        header.extend_from_slice(&(place.len() as u16).to_be_bytes());
        header.extend_from_slice(place);
        Sealer { key: key_of(&key), header, prefix, frames: 0 }
    }

    /// What the file begins with.
    pub(crate) fn header(&self) -> &[u8] {
        &self.header
    }

    /// How many frames there are.
    pub(crate) fn frames(&self) -> u32 {
        self.frames
    }

    /// The last frame, in place of those after the first `frames`, which are not in the file.
    /// Their numbers must not be sealed again; the last frame's nonce differs by its flag.
    pub(crate) fn end_after(mut self, frames: u32, out: &mut Vec<u8>) {
        self.frames = frames;
        self.seal(&[], true, out);
    }

    /// Appends frames with `content` to `out`. Without `is_last` nothing comes of no content.
    pub(crate) fn seal(&mut self, content: &[u8], is_last: bool, out: &mut Vec<u8>) {
        let mut rest = content;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(MAX_FRAME));
            rest = later;
            self.push_frame(now, is_last && rest.is_empty(), out);
        }
        if is_last && content.is_empty() {
            self.push_frame(&[], true, out);
        }
    }

    fn push_frame(&mut self, content: &[u8], is_last: bool, out: &mut Vec<u8>) {
        let mut nonce = [0; 12];
        nonce[..7].copy_from_slice(&self.prefix);
        nonce[7..11].copy_from_slice(&self.frames.to_be_bytes());
        nonce[11] = u8::from(is_last);
        // A segment ends after seconds; four thousand million frames never come together.
        self.frames = self.frames.checked_add(1).expect("too many frames under one key");
        let flag = if is_last { LAST } else { 0 };
        out.extend_from_slice(&((content.len() + TAG_LEN) as u32 | flag).to_be_bytes());
        let start = out.len();
        out.extend_from_slice(content);
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = self
            .key
            .seal_in_place_separate_tag(nonce, Aad::from(self.header.as_slice()), &mut out[start..])
            .expect("a frame is not too long");
        out.extend_from_slice(tag.as_ref());
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    const PLACE: &str = "s-1/t_1/000001.pcapng.enc";

    fn sealed(parts: &[&[u8]]) -> Vec<u8> {
        let master = MasterKey::new(&[7; 32]).unwrap();
        let mut sealer = Sealer::with(&master, PLACE, [1; 32], [2; 12], [3; 7]);
        let mut out = sealer.header().to_vec();
        for part in parts {
            sealer.seal(part, false, &mut out);
        }
        sealer.seal(&[], true, &mut out);
        out
    }

    /// The content of a file under the master key of these tests.
    pub(crate) fn open(file: &[u8]) -> Option<Vec<u8>> {
        let len = usize::from(u16::from_be_bytes(*file.get(83..)?.first_chunk()?));
        let (header, mut rest) = file.split_at_checked(FIXED_LEN + len)?;
        let mut key: [u8; 48] = header[28..76].try_into().ok()?;
        let nonce = Nonce::assume_unique_for_key(header[16..28].try_into().ok()?);
        let bound = Aad::from([&header[..16], &header[FIXED_LEN..]].concat());
        let key = key_of(&[7; 32]).open_in_place(nonce, bound, &mut key).ok()?.to_vec();
        let key = key_of(key.as_slice().try_into().ok()?);
        let (mut content, mut number) = (Vec::new(), 0u32);
        loop {
            let (head, tail) = rest.split_first_chunk::<4>()?;
            let head = u32::from_be_bytes(*head);
            let (frame, tail) = tail.split_at_checked((head & !LAST) as usize)?;
            let mut nonce = [0; 12];
            nonce[..7].copy_from_slice(&header[76..83]);
            nonce[7..11].copy_from_slice(&number.to_be_bytes());
            nonce[11] = u8::from(head & LAST != 0);
            let mut frame = frame.to_vec();
            let nonce = Nonce::assume_unique_for_key(nonce);
            content
                .extend_from_slice(key.open_in_place(nonce, Aad::from(header), &mut frame).ok()?);
            if head & LAST != 0 {
                return tail.is_empty().then_some(content);
            }
            (rest, number) = (tail, number + 1);
        }
    }

    #[test]
    fn what_was_sealed_can_be_opened() {
        let long = vec![9; MAX_FRAME + 1];
        let short: [&[u8]; 3] = [b"a", b"", b"bc"];
        for parts in [&[][..], &short, &[&long]] {
            assert_eq!(open(&sealed(parts)), Some(parts.concat()));
        }
    }

    #[test]
    fn frames_that_could_not_be_written_leave_a_file_that_ends() {
        let master = MasterKey::new(&[7; 32]).unwrap();
        let mut sealer = Sealer::new(&master, PLACE);
        let mut file = sealer.header().to_vec();
        sealer.seal(b"written", false, &mut file);
        let frames = sealer.frames();
        sealer.seal(b"lost", false, &mut Vec::new());
        sealer.end_after(frames, &mut file);
        assert_eq!(open(&file).as_deref(), Some(b"written".as_slice()));
    }

    #[test]
    fn any_change_is_noticed() {
        let file = sealed(&[b"one".as_slice(), b"two"]);
        for at in 0..file.len() {
            let mut changed = file.clone();
            changed[at] ^= 1;
            // Which master key it was is a hint for people, but it is authenticated, too.
            assert_eq!(open(&changed), None, "byte {at}");
            assert_eq!(open(&file[..at]), None, "cut at {at}");
        }
        let (start, frame) = (FIXED_LEN + PLACE.len(), 4 + 3 + TAG_LEN);
        let mut swapped = file.clone();
        swapped[start..start + 2 * frame].rotate_left(frame);
        assert_eq!(open(&swapped), None);
    }

    #[test]
    fn a_file_says_where_it_belongs() {
        let directory = Path::new("/data/s-1/tracks/t_1");
        assert_eq!(place(directory, "000001.pcapng.enc"), PLACE);
        assert_eq!(place(Path::new("/t"), "1"), "/t/1");
    }

    #[test]
    fn a_master_key_has_32_bytes() {
        for len in [0, 16, 31, 33] {
            assert_eq!(MasterKey::new(&vec![0; len]).unwrap_err(), MasterKeyError);
        }
    }
}
