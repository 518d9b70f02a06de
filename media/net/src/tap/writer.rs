//! The thread that hands blocks to the reader.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{SendFlags, send};

use super::{Block, Ring, TapDrop, TapStats};

/// A reader that took nothing for so long gets what is newer then.
const STALLED_AFTER: Duration = Duration::from_millis(500);
/// Between two looks for blocks where nobody tells of any.
const IDLE: Duration = Duration::from_millis(500);
/// Between two looks whether all is over, while the reader takes nothing.
const TICK: Duration = Duration::from_millis(100);

/// What the control side holds of a tap.
#[derive(Clone)]
pub struct TapControl {
    ring: Arc<Ring>,
    reader: Arc<Mutex<Option<Arc<OwnedFd>>>>,
}

impl TapControl {
    /// Where packets go from now on: a connected `SOCK_SEQPACKET` socket. `None`: nowhere.
    pub fn set_reader(&self, socket: Option<OwnedFd>) {
        *self.reader.lock().unwrap_or_else(PoisonError::into_inner) = socket.map(Arc::new);
    }

    /// What was done so far.
    pub fn stats(&self) -> TapStats {
        self.ring.stats()
    }

    fn reader(&self) -> Option<Arc<OwnedFd>> {
        self.reader.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Nobody is at the other end of this one.
    fn lose(&self, gone: &Arc<OwnedFd>) {
        let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        if reader.as_ref().is_some_and(|present| Arc::ptr_eq(present, gone)) {
            *reader = None;
        }
    }
}

/// The writer thread. Ends when the plane does.
pub struct TapWriter {
    control: TapControl,
    thread: Option<JoinHandle<()>>,
}

impl TapWriter {
    pub(super) fn start(ring: Arc<Ring>, name: &str) -> std::io::Result<TapWriter> {
        let control = TapControl { ring: Arc::clone(&ring), reader: Arc::default() };
        let for_thread = control.clone();
        let thread = thread::Builder::new().name(name.into()).spawn(move || run(&for_thread))?;
        // There is one writer, made here.
        let _ = ring.writer.set(thread.thread().clone());
        Ok(TapWriter { control, thread: Some(thread) })
    }

    /// For the control side.
    pub fn control(&self) -> TapControl {
        self.control.clone()
    }

    /// Waits for the thread: the plane has ended, so it does soon.
    pub fn join(&mut self) {
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn run(control: &TapControl) {
    let ring = &control.ring;
    loop {
        match ring.full.pop() {
            Some(block) => {
                let bytes = deliver(control, block);
                let _ = ring.empty.push(bytes);
            }
            None if ring.is_over.load(Ordering::Acquire) => return,
            // Woken with every block but those handed over before this thread was known.
            None => thread::park_timeout(IDLE),
        }
    }
}

/// Gives the reader a block, or drops it. Returns its memory.
fn deliver(control: &TapControl, block: Block) -> Vec<u8> {
    let ring = &control.ring;
    let Some(reader) = control.reader() else { return ring.drop_block(block, TapDrop::NoReader) };
    let until = Instant::now() + STALLED_AFTER;
    loop {
        match send(&reader, &block.bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
            Ok(_) => {
                ring.delivered.fetch_add(block.packets, Ordering::Relaxed);
                let Block { mut bytes, .. } = block;
                bytes.clear();
                return bytes;
            }
            Err(Errno::AGAIN) => {}
            Err(Errno::INTR) => continue,
            Err(Errno::PIPE | Errno::CONNRESET | Errno::NOTCONN | Errno::BADF) => {
                control.lose(&reader);
                return ring.drop_block(block, TapDrop::NoReader);
            }
            // The kernel had no room for this one; the reader is there, and may get the next.
            Err(_) => return ring.drop_block(block, TapDrop::Stalled),
        }
        if Instant::now() >= until || ring.is_over.load(Ordering::Acquire) {
            return ring.drop_block(block, TapDrop::Stalled);
        }
        let mut fds = [PollFd::from_borrowed_fd(reader.as_fd(), PollFlags::OUT)];
        let timeout = Timespec { tv_sec: 0, tv_nsec: TICK.as_nanos() as _ };
        let _ = poll(&mut fds, Some(&timeout));
    }
}

#[cfg(test)]
mod tests {
    use media_core::api::Codec;
    use media_core::tap::{TapSink, Tapped};
    use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, recv, socketpair};

    use super::*;
    use crate::tap::{RECORD_HEAD, TapIntake, start};

    const PACKET: Tapped<'static> = Tapped {
        tap: 3,
        zero_ns: 0,
        codec: Codec::Opus,
        encoding: 0,
        instance: 0,
        ext_seq: 1,
        rotation: None,
        head: &[0x80; 100],
        payload: &[],
    };

    fn pair() -> (OwnedFd, OwnedFd) {
        socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap()
    }

    fn hand_over(intake: &mut TapIntake, packets: u64) {
        let now = Instant::now();
        for ext_seq in 0..packets {
            intake.packet(now, &Tapped { ext_seq, ..PACKET });
        }
        intake.handle_timeout(now + Duration::from_secs(1));
    }

    #[test]
    fn a_block_is_a_message() {
        let (mut writer, mut intake) = start("test-tap").unwrap();
        let (reader, given) = pair();
        writer.control().set_reader(Some(given));
        hand_over(&mut intake, 3);
        let mut message = vec![0; 70_000];
        let (len, _) = recv(&reader, &mut message[..], RecvFlags::empty()).unwrap();
        assert_eq!(len, 3 * (RECORD_HEAD + 100));
        drop(intake);
        writer.join();
        let stats = writer.control().stats();
        assert_eq!((stats.packets, stats.delivered, stats.waiting), (3, 3, 0));
    }

    #[test]
    fn without_a_reader_or_with_one_that_left_packets_are_dropped_and_counted() {
        let (mut writer, mut intake) = start("test-tap").unwrap();
        hand_over(&mut intake, 2);
        while writer.control().stats().waiting > 0 {
            thread::yield_now();
        }
        let (reader, given) = pair();
        drop(reader);
        writer.control().set_reader(Some(given));
        hand_over(&mut intake, 5);
        drop(intake);
        writer.join();
        let stats = writer.control().stats();
        assert_eq!(stats.dropped[TapDrop::NoReader as usize], 7);
        assert!(writer.control().reader().is_none());
    }

    #[test]
    fn a_block_that_can_not_be_sent_costs_no_more_than_itself() {
        let (mut writer, mut intake) = start("test-tap").unwrap();
        let (reader, given) = pair();
        // The smallest there is: no whole block fits.
        rustix::net::sockopt::set_socket_send_buffer_size(&given, 1).unwrap();
        writer.control().set_reader(Some(given));
        hand_over(&mut intake, 200);
        while writer.control().stats().waiting > 0 {
            thread::yield_now();
        }
        hand_over(&mut intake, 1);
        let mut message = vec![0; 70_000];
        let (len, _) = recv(&reader, &mut message[..], RecvFlags::empty()).unwrap();
        assert_eq!(len, RECORD_HEAD + 100);
        drop(intake);
        writer.join();
        let stats = writer.control().stats();
        assert_eq!((stats.delivered, stats.dropped[TapDrop::Stalled as usize]), (1, 200));
        assert!(writer.control().reader().is_some());
    }

    #[test]
    fn a_reader_that_takes_nothing_stops_nobody() {
        let (mut writer, mut intake) = start("test-tap").unwrap();
        let (reader, given) = pair();
        writer.control().set_reader(Some(given));
        for _ in 0..300 {
            hand_over(&mut intake, 200);
        }
        drop(intake);
        writer.join();
        let stats = writer.control().stats();
        assert_eq!(stats.packets, 60_000);
        assert_eq!(stats.delivered + stats.dropped.iter().sum::<u64>(), 60_000);
        assert!(stats.delivered > 0 && stats.dropped[TapDrop::RingFull as usize] > 0);
        drop(reader);
    }
}
