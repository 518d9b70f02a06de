//! What a media thread asks of the scheduler. All of it may be refused: then it is only a wish.

/// Time a media thread wants at a stretch, in nanoseconds.
const SLICE: u64 = 200_000;

/// By how much a media thread wants to come before the others of its process (`sched(7)`).
const NICER: i32 = 10;

/// The best niceness there is.
const NICEST: i32 = -20;

/// The lowest of the real-time class.
const REAL_TIME_PRIORITY: i32 = 1;

/// How late a sleep may end, in nanoseconds; 50 µs by default.
const TIMER_SLACK: libc::c_ulong = 1_000;

/// `struct sched_attr` in its first version (`sched_setattr(2)`).
#[repr(C)]
#[derive(Clone, Copy)]
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

/// How a media thread is scheduled, best first. All but the last two need `CAP_SYS_NICE` or a limit
/// that allows them (`RLIMIT_RTPRIO`, `RLIMIT_NICE`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheduling {
    /// `SCHED_RR` with the lowest priority there: whatever isn't real-time waits for it. The kernel
    /// keeps some of each second for the others all the same (`sched_rt_runtime_us`).
    RealTime,
    /// Short slices and a better niceness than the process has.
    Nicer,
    /// Short slices: since Linux 6.12 a thread that wakes up with work for a short while gets the
    /// processor before one in the middle of a long slice. Older kernels ignore it.
    ShortSlices,
    /// As all others.
    Usual,
}

/// Asks to come before other threads, in the best way that is granted.
pub(crate) fn come_first(realtime: bool) -> Scheduling {
    if realtime && ask_for_real_time() {
        return Scheduling::RealTime;
    }
    // SAFETY: the size is that of the structure, which consists of integers, for which zero is
    // valid; the kernel writes within it. Zero stands for the calling thread.
    let usual = unsafe {
        let mut attributes: Attributes = std::mem::zeroed();
        let size = size_of::<Attributes>() as u32;
        if libc::syscall(libc::SYS_sched_getattr, 0, &raw mut attributes, size, 0) != 0 {
            return Scheduling::Usual;
        }
        Attributes { size, runtime: SLICE, ..attributes }
    };
    let nicer = Attributes { nice: (usual.nice - NICER).max(NICEST), ..usual };
    if ask_for(&nicer) {
        Scheduling::Nicer
    } else if ask_for(&usual) {
        Scheduling::ShortSlices
    } else {
        Scheduling::Usual
    }
}

fn ask_for_real_time() -> bool {
    let parameters = libc::sched_param { sched_priority: REAL_TIME_PRIORITY };
    // SAFETY: the kernel reads the structure; zero stands for the calling thread.
    unsafe { libc::sched_setscheduler(0, libc::SCHED_RR, &raw const parameters) == 0 }
}

fn ask_for(attributes: &Attributes) -> bool {
    // SAFETY: the kernel reads as many bytes as the structure says it has, which is its size.
    unsafe { libc::syscall(libc::SYS_sched_setattr, 0, attributes, 0) == 0 }
}

/// Lets the thread sleep for short times.
pub(crate) fn shorten_timer_slack() {
    // SAFETY: changes a number of the calling thread; no pointer is passed.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, TIMER_SLACK) };
}
