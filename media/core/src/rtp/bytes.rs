//! Checked big-endian reads: `None` instead of a panic when the bytes are not there.

/// Reads one byte at `at`.
pub(crate) fn u8_at(data: &[u8], at: usize) -> Option<u8> {
    data.get(at).copied()
}

/// Reads a big-endian `u16` at `at`.
pub(crate) fn u16_at(data: &[u8], at: usize) -> Option<u16> {
    data.get(at..)?.first_chunk().map(|bytes| u16::from_be_bytes(*bytes))
}

/// Reads a big-endian 24-bit number at `at`.
pub(crate) fn u24_at(data: &[u8], at: usize) -> Option<u32> {
    let [a, b, c] = *data.get(at..)?.first_chunk()?;
    Some(u32::from_be_bytes([0, a, b, c]))
}

/// Reads a big-endian `u32` at `at`.
pub(crate) fn u32_at(data: &[u8], at: usize) -> Option<u32> {
    data.get(at..)?.first_chunk().map(|bytes| u32::from_be_bytes(*bytes))
}

/// Reads a big-endian `u64` at `at`.
pub(crate) fn u64_at(data: &[u8], at: usize) -> Option<u64> {
    data.get(at..)?.first_chunk().map(|bytes| u64::from_be_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_end_with_the_slice() {
        let data = [1, 2, 3, 4, 5, 6, 7, 8];
        assert_eq!(u8_at(&data, 7), Some(8));
        assert_eq!(u8_at(&data, 8), None);
        assert_eq!(u16_at(&data, 6), Some(0x0708));
        assert_eq!(u16_at(&data, 7), None);
        assert_eq!(u24_at(&data, 5), Some(0x06_07_08));
        assert_eq!(u24_at(&data, 6), None);
        assert_eq!(u32_at(&data, 4), Some(0x0506_0708));
        assert_eq!(u32_at(&data, 5), None);
        assert_eq!(u64_at(&data, 0), Some(0x0102_0304_0506_0708));
        assert_eq!(u64_at(&data, 1), None);
        assert_eq!(u32_at(&data, usize::MAX), None);
    }
}
