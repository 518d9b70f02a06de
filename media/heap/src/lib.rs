//! The allocator of the extension module: what participants are remembered by lies close together
//! and in huge pages.
//!
//! What one packet needs lies in some sixty pages of memory, and those of a thousand participants are
//! far more than the processor has translations for (2,048 of 4 KiB each, 8 MiB). Looking one up costs
//! as much as fetching the memory itself, twice as much in a virtual machine. With pages of 2 MiB
//! all translations fit. The C library's allocator does not get there: the heaps of its threads grow a
//! few pages at a time, so the kernel makes hardly any of it huge.
//!
//! Python and C libraries go on using theirs.

use libmimalloc_sys::{mi_option_large_os_pages, mi_option_set_enabled};
use mimalloc::MiMalloc;

#[global_allocator]
static HEAP: MiMalloc = MiMalloc;

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
        for (size, (before, after)) in (0..).zip(before.iter().zip(&after)) {
            assert!(before.iter().chain(after).all(|value| *value == size));
        }
    }
}
