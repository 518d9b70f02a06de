//! The allocator of the extension module: what participants are remembered by lies close together
//! and in huge pages.
//!
//! What one packet needs lies in some sixty pages of memory, and those of a thousand participants are
//! far more than the processor has translations for (2,048 of 4 KiB each, 8 MiB). Looking one up costs
//! as much as fetching the memory itself, twice as much in a virtual machine. With pages of 2 MiB
//! all translations fit. The C library's allocator does not get there: the heaps of its threads grow a
//! few pages at a time, so the kernel makes hardly any of it huge.
//!
//! Rings of packets are left to the C library: they are used bit by bit, and a huge page is there as a
//! whole as soon as one byte of it is.
//!
//! Python and C libraries go on using theirs.

use std::alloc::{GlobalAlloc, Layout, System};

use libmimalloc_sys::{mi_option_large_os_pages, mi_option_set_enabled};
use mimalloc::MiMalloc;

/// Bytes from which the C library is asked.
const LARGE: usize = 32 * 1_024;

#[global_allocator]
static HEAP: Heap = Heap;

/// Small things from [`MiMalloc`], large ones from [`System`]: by the size they have, which whoever
/// frees them says again.
struct Heap;

// SAFETY: both allocators fulfil the contract, and memory goes back to the one it came from, because its
// size decides and a layout names the size memory was last given.
unsafe impl GlobalAlloc for Heap {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promises are passed on.
        unsafe {
            match layout.size() < LARGE {
                true => MiMalloc.alloc(layout),
                false => System.alloc(layout),
            }
        }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        unsafe {
            match layout.size() < LARGE {
                true => MiMalloc.alloc_zeroed(layout),
                false => System.alloc_zeroed(layout),
            }
        }
    }

    #[inline]
    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: as above; the layout says whose the memory is.
        unsafe {
            match layout.size() < LARGE {
                true => MiMalloc.dealloc(memory, layout),
                false => System.dealloc(memory, layout),
            }
        }
    }

    #[inline]
    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as above. The new layout is valid, as the caller promises; both pieces of memory
        // hold what is copied and are apart, because the old one is not yet free.
        unsafe {
            match (layout.size() < LARGE, size < LARGE) {
                (true, true) => MiMalloc.realloc(memory, layout, size),
                (false, false) => System.realloc(memory, layout, size),
                _ => {
                    let new_layout = Layout::from_size_align_unchecked(size, layout.align());
                    let new = self.alloc(new_layout);
                    if !new.is_null() {
                        new.copy_from_nonoverlapping(memory, layout.size().min(size));
                        self.dealloc(memory, layout);
                    }
                    new
                }
            }
        }
    }
}

/// Asks the kernel for huge pages from now on. Where it has none to give, or is told not to
/// (`/sys/kernel/mm/transparent_hugepage/enabled`), everything works, only slower.
pub fn ask_for_huge_pages() {
    // SAFETY: sets an integer the allocator reads when it asks the kernel for memory.
    unsafe { mi_option_set_enabled(mi_option_large_os_pages, true) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_whole_before_and_after() {
        let before: Vec<Vec<u64>> = (0..100).map(|size| vec![size; size as usize * 50]).collect();
        ask_for_huge_pages();
        let after: Vec<Vec<u64>> = (0..100).map(|size| vec![size; size as usize * 5_000]).collect();
        let mut grows = Vec::new();
        for value in 0..100_000_u32 {
            grows.push(value);
        }
        grows.truncate(10);
        grows.shrink_to_fit();
        assert!(grows.iter().copied().eq(0..10), "what grew past the limit and shrank again");
        assert!(vec![0_u8; LARGE - 1].iter().chain(&vec![0; LARGE]).all(|byte| *byte == 0));
        for (size, (before, after)) in (0..).zip(before.iter().zip(&after)) {
            assert!(before.iter().chain(after).all(|value| *value == size));
        }
    }
}
