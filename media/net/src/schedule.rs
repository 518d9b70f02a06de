//! What a media thread asks of the scheduler. All of it may be refused: then it is only a wish.

/// Time a media thread wants at a stretch, in nanoseconds.
const SLICE: u64 = 200_000;

/// By how much a media thread wants to come before the others of its process (`sched(7)`).
const NICER: i32 = 10;

/// The best niceness there is.
const NICEST: i32 = -20;

/// How late a sleep may end, in nanoseconds; 50 µs by default.
const TIMER_SLACK: libc::c_ulong = 1_000;

/// `struct sched_attr` in its first version (`sched_setattr(2)`).
#[repr(C)]
struct Attributes {
    size: u32,
    policy: u32,
    flags: u64,
    nice: i32,
    priority: u32,
    runtime: u64,
    deadline: u64,
    period: u64,
}

/// Asks for short slices of time and to come before other threads.
///
/// Since Linux 6.12 a thread that wakes up with work for a short while gets the processor before
/// one in the middle of a long slice, while its share of the time stays the same; no privilege is
/// needed, and older kernels ignore it. A better niceness makes the share larger and needs
/// `CAP_SYS_NICE` or a limit that allows it; without, the slices are asked for alone.
pub(crate) fn come_first() {
    // SAFETY: the size is that of the structure, which consists of integers, for which zero is
    // valid; the kernel writes and reads within it. Zero stands for the calling thread.
    unsafe {
        let mut attributes: Attributes = std::mem::zeroed();
        let size = size_of::<Attributes>() as u32;
        if libc::syscall(libc::SYS_sched_getattr, 0, &raw mut attributes, size, 0) == 0 {
            let usual = attributes.nice;
            attributes.size = size;
            attributes.runtime = SLICE;
            attributes.nice = (usual - NICER).max(NICEST);
            if libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) != 0 {
                attributes.nice = usual;
                libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0);
            }
        }
    }
}

/// Lets the thread sleep for short times.
pub(crate) fn shorten_timer_slack() {
    // SAFETY: changes a number of the calling thread; no pointer is passed.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, TIMER_SLACK) };
}
