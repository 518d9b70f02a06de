//! A file descriptor that becomes readable when another thread says so (`eventfd`).

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::event::{EventfdFlags, eventfd};

/// Wakes whoever polls the descriptor; many wakes before a [`clear`](Wake::clear) are one.
#[derive(Debug)]
pub(crate) struct Wake {
    fd: OwnedFd,
    /// True from the first wake until the next clear: saves the system call for the others.
    raised: AtomicBool,
}

impl Wake {
    pub(crate) fn new() -> io::Result<Wake> {
        let fd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Wake { fd, raised: AtomicBool::new(false) })
    }

    /// Makes the descriptor readable. Call it after what it announces is visible.
    pub(crate) fn raise(&self) {
        if !self.raised.swap(true, Ordering::AcqRel) {
            // Fails only when the counter is at its maximum, and then it is readable already.
            let _ = rustix::io::write(&self.fd, &1u64.to_ne_bytes());
        }
    }

    /// Whether it is readable, without a system call. A wake that is just being raised may be
    /// seen with the next look.
    pub(crate) fn is_raised(&self) -> bool {
        self.raised.load(Ordering::Acquire)
    }

    /// Makes the descriptor unreadable. Call it before looking for what was announced.
    pub(crate) fn clear(&self) {
        // The descriptor first: the other order could leave `raised` set with nothing to read,
        // and every later wake would be lost.
        let mut counter = [0; 8];
        // Fails only when it was not readable.
        let _ = rustix::io::read(&self.fd, &mut counter);
        self.raised.swap(false, Ordering::AcqRel);
    }
}

impl AsFd for Wake {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    use super::*;

    fn readable(wake: &Wake) -> bool {
        let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut [PollFd::new(wake, PollFlags::IN)], Some(&zero)).unwrap() == 1
    }

    #[test]
    fn is_readable_from_raise_until_clear() {
        let wake = Wake::new().unwrap();
        assert!(!readable(&wake));
        wake.raise();
        wake.raise();
        assert!(readable(&wake));
        wake.clear();
        assert!(!readable(&wake));
        wake.clear();
        wake.raise();
        assert!(readable(&wake));
    }
}
