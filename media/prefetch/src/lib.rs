//! Tells the processor which memory will be needed soon.
//!
//! A packet needs some hundred places in memory, each of which leads to the next. Where they are
//! not in the cache, waiting for one after the other is most of what forwarding costs; asked for
//! ahead, many come at once. A crate of its own, so that `media/core` can forbid unsafe code.

/// Bytes the cache fetches at a time.
const LINE: usize = 64;

/// Has the beginning of `place` fetched. Nothing waits for it.
#[inline(always)]
pub fn prefetch<T: ?Sized>(place: &T) {
    line(std::ptr::from_ref(place).cast());
}

/// Has all of `place` fetched, behind no pointer in it.
#[inline(always)]
pub fn prefetch_all<T: ?Sized>(place: &T) {
    prefetch_first(place, size_of_val(place));
}

/// Has the first `bytes` of `place` fetched, or all of it if it is smaller.
#[inline(always)]
pub fn prefetch_first<T: ?Sized>(place: &T, bytes: usize) {
    lines(std::ptr::from_ref(place).cast(), bytes.min(size_of_val(place)));
}

/// Has fetched what lies from the beginning of `first` to the end of `last`: two fields of a structure
/// whose fields have an order. Nothing if they have another one.
#[inline(always)]
pub fn prefetch_span<A: ?Sized, B: ?Sized>(first: &A, last: &B) {
    let start: *const u8 = std::ptr::from_ref(first).cast();
    let end = std::ptr::from_ref(last).cast::<u8>().addr() + size_of_val(last);
    lines(start, end.saturating_sub(start.addr()));
}

#[inline(always)]
fn lines(start: *const u8, len: usize) {
    for offset in (0..len).step_by(LINE) {
        line(start.wrapping_add(offset));
    }
    if len > 0 {
        // Places seldom begin where a line does.
        line(start.wrapping_add(len - 1));
    }
}

#[inline(always)]
#[cfg_attr(not(any(target_arch = "x86_64", target_arch = "aarch64")), allow(unused_variables))]
fn line(at: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch is a hint; it neither reads nor writes for the program, nor can it fault.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(at.cast());
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: as above.
    unsafe {
        std::arch::asm!(
            "prfm pldl1keep, [{at}]",
            at = in(reg) at,
            options(nostack, preserves_flags, readonly)
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_place_may_be_fetched() {
        let bytes = vec![7_u8; 1_000];
        for len in [0, 1, 63, 64, 65, 1_000] {
            prefetch(&bytes[..len]);
            prefetch_all(&bytes[1_000 - len..]);
            prefetch_first(&bytes[..len], 300);
            prefetch_span(&bytes[..10], &bytes[len..]);
            prefetch_span(&bytes[len..], &bytes[..10]);
        }
        prefetch(&());
        prefetch_all(&[0_u64; 0]);
        assert!(bytes.iter().all(|byte| *byte == 7));
    }
}
