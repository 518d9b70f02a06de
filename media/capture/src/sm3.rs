//! SM3 (GB/T 32905-2016) of several messages at once: one in each lane of the vector registers.
//!
//! A message cannot be hashed faster than its rounds follow each other, but sixteen take hardly longer than
//! one. Without AVX-512 or AVX2 messages are hashed one after the other.

use std::cmp::Reverse;

/// Bytes of a block.
const BLOCK: usize = 64;
/// Lanes of the widest registers.
const MAX_LANES: usize = 16;
/// With so few messages left, one after the other is as fast.
const FEW: usize = 2;

const START: [u32; 8] = [
    0x7380_166f,
    0x4914_b2b9,
    0x1724_42d7,
    0xda8a_0600,
    0xa96f_30bc,
    0x1631_38aa,
    0xe38d_ee4d,
    0xb0fb_0e4e,
];

/// The rounds' constants, rotated as they are used.
const TURNS: [u32; 64] = {
    let mut turns = [0; 64];
    let mut round = 0;
    while round < 64 {
        let word: u32 = if round < 16 { 0x79cc_4519 } else { 0x7a87_9d8a };
        turns[round] = word.rotate_left(round as u32 % 32);
        round += 1;
    }
    turns
};

/// A digest under way.
#[derive(Debug, Clone)]
pub struct Sm3 {
    state: [u32; 8],
    bytes: u64,
    /// What does not fill a block yet: the first `bytes % 64`.
    rest: [u8; BLOCK],
}

impl Default for Sm3 {
    fn default() -> Sm3 {
        Sm3 { state: START, bytes: 0, rest: [0; BLOCK] }
    }
}

impl Sm3 {
    /// Takes the next bytes.
    pub fn update(&mut self, data: &[u8]) {
        let whole = self.begin(data);
        for block in whole.chunks_exact(BLOCK) {
            compress(&mut self.state, block.first_chunk().expect("whole blocks"));
        }
    }

    /// The digest of all that was taken.
    pub fn finish(mut self) -> [u8; 32] {
        let bits = self.bytes * 8;
        let used = (self.bytes % BLOCK as u64) as usize;
        let mut end = [0; BLOCK];
        end[0] = 0x80;
        let zeros = if used < 56 { 56 - used } else { 120 - used };
        self.update(&end[..zeros]);
        self.update(&bits.to_be_bytes());
        let mut out = [0; 32];
        for (bytes, word) in out.chunks_exact_mut(4).zip(self.state) {
            bytes.copy_from_slice(&word.to_be_bytes());
        }
        out
    }

    /// Fills up a block that was begun and keeps what begins another; returns the whole blocks
    /// between, which are to be compressed now.
    fn begin<'a>(&mut self, data: &'a [u8]) -> &'a [u8] {
        let used = (self.bytes % BLOCK as u64) as usize;
        self.bytes += data.len() as u64;
        let mut data = data;
        if used > 0 {
            let (now, later) = data.split_at(data.len().min(BLOCK - used));
            self.rest[used..used + now.len()].copy_from_slice(now);
            if used + now.len() < BLOCK {
                return &[];
            }
            let block = self.rest;
            compress(&mut self.state, &block);
            data = later;
        }
        let (whole, rest) = data.split_at(data.len() - data.len() % BLOCK);
        self.rest[..rest.len()].copy_from_slice(rest);
        whole
    }
}

/// Goes on with several digests at once, each with its own bytes.
pub fn update_all(jobs: &mut [(&mut Sm3, &[u8])]) {
    let mut waiting: Vec<(usize, &[u8])> = Vec::with_capacity(jobs.len());
    for (index, (digest, data)) in jobs.iter_mut().enumerate() {
        let whole = digest.begin(data);
        if !whole.is_empty() {
            waiting.push((index, whole));
        }
    }
    // The longest begin first: popped from the end, so that few are left over alone.
    waiting.sort_by_key(|(_, data)| data.len());
    let lanes = lanes();
    let mut running: Vec<(usize, &[u8])> = Vec::with_capacity(lanes);
    loop {
        while running.len() < lanes
            && let Some(next) = waiting.pop()
        {
            running.push(next);
        }
        if running.len() <= FEW {
            break;
        }
        let blocks = running.iter().map(|(_, data)| data.len() / BLOCK).min().unwrap_or(0);
        run(jobs, &running, blocks);
        running.retain_mut(|(_, data)| {
            *data = &data[blocks * BLOCK..];
            !data.is_empty()
        });
    }
    running.sort_by_key(|(_, data)| Reverse(data.len()));
    for (index, data) in running {
        for block in data.chunks_exact(BLOCK) {
            compress(&mut jobs[index].0.state, block.first_chunk().expect("whole blocks"));
        }
    }
}

/// Compresses so many blocks of each running message.
fn run(jobs: &mut [(&mut Sm3, &[u8])], running: &[(usize, &[u8])], blocks: usize) {
    // A word of all lanes, eight times. Lanes that are not needed count along with the first.
    let mut states = [[0; MAX_LANES]; 8];
    for lane in 0..MAX_LANES {
        let (index, _) = running.get(lane).unwrap_or(&running[0]);
        for (word, of) in states.iter_mut().zip(jobs[*index].0.state) {
            word[lane] = of;
        }
    }
    let mut data: [&[u8]; MAX_LANES] = [running[0].1; MAX_LANES];
    for (lane, (_, bytes)) in data.iter_mut().zip(running) {
        *lane = bytes;
    }
    compress_lanes(&mut states, &data, blocks);
    for (lane, (index, _)) in running.iter().enumerate() {
        for (word, of) in states.iter().zip(&mut jobs[*index].0.state) {
            *of = word[lane];
        }
    }
}

#[inline]
fn maj(x: u32, y: u32, z: u32) -> u32 {
    (x & y) | ((x | y) & z)
}

/// One block of one message (GB/T 32905, 5.3).
fn compress(state: &mut [u32; 8], block: &[u8; BLOCK]) {
    let mut words = [0u32; 68];
    for (word, bytes) in words.iter_mut().zip(block.chunks_exact(4)) {
        *word = u32::from_be_bytes(*bytes.first_chunk().expect("four bytes"));
    }
    for at in 16..68 {
        let mixed = words[at - 16] ^ words[at - 9] ^ words[at - 3].rotate_left(15);
        let spread = mixed ^ mixed.rotate_left(15) ^ mixed.rotate_left(23);
        words[at] = spread ^ words[at - 13].rotate_left(7) ^ words[at - 6];
    }
    let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = *state;
    for round in 0..64 {
        let turned = a.rotate_left(12);
        let first = turned.wrapping_add(e).wrapping_add(TURNS[round]).rotate_left(7);
        let (left, right) =
            if round < 16 { (a ^ b ^ c, e ^ f ^ g) } else { (maj(a, b, c), (e & f) | (!e & g)) };
        let one = left
            .wrapping_add(d)
            .wrapping_add(first ^ turned)
            .wrapping_add(words[round] ^ words[round + 4]);
        let two = right.wrapping_add(h).wrapping_add(first).wrapping_add(words[round]);
        (d, c, b, a) = (c, b.rotate_left(9), a, one);
        (h, g, f, e) = (g, f.rotate_left(19), e, two ^ two.rotate_left(9) ^ two.rotate_left(17));
    }
    for (word, new) in state.iter_mut().zip([a, b, c, d, e, f, g, h]) {
        *word ^= new;
    }
}

/// How many messages are compressed at once here.
fn lanes() -> usize {
    #[cfg(target_arch = "x86_64")]
    {
        if std::arch::is_x86_feature_detected!("avx512f") {
            return 16;
        }
        if std::arch::is_x86_feature_detected!("avx2") {
            return 8;
        }
    }
    1
}

/// `blocks` blocks of every lane; lanes beyond [`lanes`] are left alone.
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code, reason = "the features are looked for first")]
fn compress_lanes(states: &mut [[u32; MAX_LANES]; 8], data: &[&[u8]; MAX_LANES], blocks: usize) {
    match lanes() {
        // SAFETY: the processor has AVX-512F.
        16 => unsafe { x86::compress_16(states, data, blocks) },
        // SAFETY: the processor has AVX2.
        8 => unsafe { x86::compress_8(states, data, blocks) },
        _ => compress_portable(states, data, blocks),
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn compress_lanes(states: &mut [[u32; MAX_LANES]; 8], data: &[&[u8]; MAX_LANES], blocks: usize) {
    compress_portable(states, data, blocks);
}

/// The first lane only.
fn compress_portable(states: &mut [[u32; MAX_LANES]; 8], data: &[&[u8]; MAX_LANES], blocks: usize) {
    let mut state = states.map(|word| word[0]);
    for block in data[0].chunks_exact(BLOCK).take(blocks) {
        compress(&mut state, block.first_chunk().expect("whole blocks"));
    }
    for (word, new) in states.iter_mut().zip(state) {
        word[0] = new;
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{BLOCK, MAX_LANES, TURNS};

    /// The words of one block of each lane, by word.
    #[inline(always)]
    fn transposed<const N: usize>(data: &[&[u8]; MAX_LANES], at: usize) -> [[u32; N]; 16] {
        let mut words = [[0; N]; 16];
        for (lane, bytes) in data.iter().take(N).enumerate() {
            let block: &[u8; BLOCK] = bytes[at..].first_chunk().expect("every lane has a block");
            for (word, bytes) in words.iter_mut().zip(block.chunks_exact(4)) {
                word[lane] = u32::from_be_bytes(*bytes.first_chunk().expect("four bytes"));
            }
        }
        words
    }

    /// The compression of several messages, word by word as [`super::compress`] does it.
    macro_rules! compress {
        ($name:ident, $feature:literal, $lanes:literal, $vector:ty, $add:ident, $xor:ident,
         $rol:ident, $xor3:ident, $maj:ident, $choose:ident, $all:ident, $load:ident, $store:ident) => {
            #[target_feature(enable = $feature)]
            pub(super) fn $name(
                states: &mut [[u32; MAX_LANES]; 8],
                data: &[&[u8]; MAX_LANES],
                blocks: usize,
            ) {
                let mut state: [$vector; 8] =
                    states.map(|word| $load(word.first_chunk().expect("enough lanes")));
                for number in 0..blocks {
                    let words = transposed::<$lanes>(data, number * BLOCK);
                    let mut w = [$all(0); 68];
                    for (word, of) in w.iter_mut().zip(&words) {
                        *word = $load(of);
                    }
                    for at in 16..68 {
                        let mixed = $xor3(w[at - 16], w[at - 9], $rol!(w[at - 3], 15));
                        let spread = $xor3(mixed, $rol!(mixed, 15), $rol!(mixed, 23));
                        w[at] = $xor3(spread, $rol!(w[at - 13], 7), w[at - 6]);
                    }
                    let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = state;
                    macro_rules! round {
                        ($round:expr, $left:expr, $right:expr) => {
                            let round = $round;
                            let turned = $rol!(a, 12);
                            let sum = $add($add(turned, e), $all(TURNS[round] as i32));
                            let first = $rol!(sum, 7);
                            let one = $add(
                                $add($left(a, b, c), d),
                                $add($xor(first, turned), $xor(w[round], w[round + 4])),
                            );
                            let two = $add($add($right(e, f, g), h), $add(first, w[round]));
                            (d, c, b, a) = (c, $rol!(b, 9), a, one);
                            (h, g, f) = (g, $rol!(f, 19), e);
                            e = $xor3(two, $rol!(two, 9), $rol!(two, 17));
                        };
                    }
                    for round in 0..16 {
                        round!(round, $xor3, $xor3);
                    }
                    for round in 16..64 {
                        round!(round, $maj, $choose);
                    }
                    for (word, new) in state.iter_mut().zip([a, b, c, d, e, f, g, h]) {
                        *word = $xor(*word, new);
                    }
                }
                for (word, new) in states.iter_mut().zip(state) {
                    let lanes = word.first_chunk_mut().expect("enough lanes");
                    *lanes = $store(new);
                }
            }
        };
    }

    macro_rules! rol_16 {
        ($x:expr, $bits:literal) => {
            _mm512_rol_epi32::<$bits>($x)
        };
    }
    macro_rules! rol_8 {
        ($x:expr, $bits:literal) => {{
            let x = $x;
            _mm256_or_si256(_mm256_slli_epi32::<$bits>(x), _mm256_srli_epi32::<{ 32 - $bits }>(x))
        }};
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn xor3_16(x: __m512i, y: __m512i, z: __m512i) -> __m512i {
        _mm512_ternarylogic_epi32::<0x96>(x, y, z)
    }
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn maj_16(x: __m512i, y: __m512i, z: __m512i) -> __m512i {
        _mm512_ternarylogic_epi32::<0xe8>(x, y, z)
    }
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn choose_16(x: __m512i, y: __m512i, z: __m512i) -> __m512i {
        _mm512_ternarylogic_epi32::<0xca>(x, y, z)
    }
    #[inline]
    #[target_feature(enable = "avx512f")]
    #[allow(unsafe_code, reason = "both are 64 bytes without meaning of their own")]
    fn load_16(words: &[u32; 16]) -> __m512i {
        // SAFETY: 64 bytes of integers either way.
        unsafe { std::mem::transmute(*words) }
    }
    #[inline]
    #[target_feature(enable = "avx512f")]
    #[allow(unsafe_code, reason = "both are 64 bytes without meaning of their own")]
    fn store_16(vector: __m512i) -> [u32; 16] {
        // SAFETY: 64 bytes of integers either way.
        unsafe { std::mem::transmute(vector) }
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn xor3_8(x: __m256i, y: __m256i, z: __m256i) -> __m256i {
        _mm256_xor_si256(_mm256_xor_si256(x, y), z)
    }
    #[inline]
    #[target_feature(enable = "avx2")]
    fn maj_8(x: __m256i, y: __m256i, z: __m256i) -> __m256i {
        let (both, either) = (_mm256_and_si256(x, y), _mm256_or_si256(x, y));
        _mm256_or_si256(both, _mm256_and_si256(either, z))
    }
    #[inline]
    #[target_feature(enable = "avx2")]
    fn choose_8(x: __m256i, y: __m256i, z: __m256i) -> __m256i {
        // y where x is set, z where it is not.
        _mm256_xor_si256(z, _mm256_and_si256(x, _mm256_xor_si256(y, z)))
    }
    #[inline]
    #[target_feature(enable = "avx2")]
    #[allow(unsafe_code, reason = "both are 32 bytes without meaning of their own")]
    fn load_8(words: &[u32; 8]) -> __m256i {
        // SAFETY: 32 bytes of integers either way.
        unsafe { std::mem::transmute(*words) }
    }
    #[inline]
    #[target_feature(enable = "avx2")]
    #[allow(unsafe_code, reason = "both are 32 bytes without meaning of their own")]
    fn store_8(vector: __m256i) -> [u32; 8] {
        // SAFETY: 32 bytes of integers either way.
        unsafe { std::mem::transmute(vector) }
    }

    compress!(
        compress_16,
        "avx512f",
        16,
        __m512i,
        _mm512_add_epi32,
        _mm512_xor_si512,
        rol_16,
        xor3_16,
        maj_16,
        choose_16,
        _mm512_set1_epi32,
        load_16,
        store_16
    );
    compress!(
        compress_8,
        "avx2",
        8,
        __m256i,
        _mm256_add_epi32,
        _mm256_xor_si256,
        rol_8,
        xor3_8,
        maj_8,
        choose_8,
        _mm256_set1_epi32,
        load_8,
        store_8
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expected(data: &[u8]) -> [u8; 32] {
        <sm3::Sm3 as sm3::Digest>::digest(data).into()
    }

    /// Bytes that repeat after long.
    fn bytes(seed: u32, len: usize) -> Vec<u8> {
        let mut word = seed.wrapping_mul(2_654_435_761) | 1;
        (0..len)
            .map(|_| {
                word = word.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (word >> 24) as u8
            })
            .collect()
    }

    #[test]
    fn the_standard_s_examples() {
        let hex = |digest: [u8; 32]| digest.map(|byte| format!("{byte:02x}")).concat();
        for (text, digest) in [
            ("abc".to_owned(), "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"),
            ("abcd".repeat(16), "debe9ff92275b8a138604889c18e5a4d6fdb70e5387e5765293dcba39c0c5732"),
        ] {
            let mut sm3 = Sm3::default();
            sm3.update(text.as_bytes());
            assert_eq!(hex(sm3.finish()), digest);
        }
    }

    #[test]
    fn any_length_in_any_pieces() {
        for len in (0..300).chain([4_096, 65_537]) {
            let data = bytes(len as u32, len);
            for piece in [1, 7, 55, 56, 64, 65, 1_000] {
                let mut sm3 = Sm3::default();
                data.chunks(piece).for_each(|part| sm3.update(part));
                assert_eq!(sm3.finish(), expected(&data), "{len} in pieces of {piece}");
            }
        }
    }

    #[test]
    fn many_at_once_are_what_each_is_alone() {
        for count in [0, 1, 2, 3, 8, 15, 16, 17, 40] {
            let whole: Vec<Vec<u8>> =
                (0..count).map(|seed| bytes(seed, (seed as usize * 977) % 5_000)).collect();
            let mut digests = vec![Sm3::default(); count as usize];
            // In pieces that begin anywhere in a block.
            for (from, to) in [(0, 3), (3, 64), (64, 1_000), (1_000, 5_000)] {
                let parts =
                    whole.iter().map(|data| &data[from.min(data.len())..to.min(data.len())]);
                let mut jobs: Vec<(&mut Sm3, &[u8])> = digests.iter_mut().zip(parts).collect();
                update_all(&mut jobs);
            }
            for (digest, data) in digests.into_iter().zip(&whole) {
                assert_eq!(digest.finish(), expected(data), "{count} at once");
            }
        }
    }

    /// Every way there is on this machine, not only the one that is taken.
    #[test]
    #[cfg(target_arch = "x86_64")]
    #[allow(unsafe_code, reason = "the features are looked for first")]
    fn all_widths_agree() {
        let data: Vec<Vec<u8>> = (0..MAX_LANES as u32).map(|seed| bytes(seed, 5 * BLOCK)).collect();
        let data: [&[u8]; MAX_LANES] = std::array::from_fn(|lane| data[lane].as_slice());
        let states = START.map(|word| std::array::from_fn(|lane| word ^ lane as u32));
        let one = |lane: usize| {
            let mut state = states.map(|word: [u32; MAX_LANES]| word[lane]);
            for block in data[lane].chunks_exact(BLOCK) {
                compress(&mut state, block.first_chunk().unwrap());
            }
            state
        };
        let check = |found: [[u32; MAX_LANES]; 8], lanes: usize| {
            for lane in 0..lanes {
                assert_eq!(found.map(|word| word[lane]), one(lane), "lane {lane} of {lanes}");
            }
        };
        let mut found = states;
        compress_portable(&mut found, &data, 5);
        check(found, 1);
        if std::arch::is_x86_feature_detected!("avx2") {
            let mut found = states;
            // SAFETY: the processor has AVX2.
            unsafe { x86::compress_8(&mut found, &data, 5) };
            check(found, 8);
        }
        if std::arch::is_x86_feature_detected!("avx512f") {
            let mut found = states;
            // SAFETY: the processor has AVX-512F.
            unsafe { x86::compress_16(&mut found, &data, 5) };
            check(found, 16);
        }
    }
}
