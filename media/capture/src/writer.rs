//! The three threads of a recorder: one makes files of packets, one hashes them, one brings them to
//! the disk.

use std::collections::HashMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{
    Receiver, RecvTimeoutError, SyncSender, TrySendError, channel, sync_channel,
};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_queue::ArrayQueue;
use media_core::capture::CaptureId;

use crate::clock::MonotonicAnchor;
use crate::disk::Disk;
use crate::event::{CaptureEvent, Cause, Gap};
use crate::hash;
use crate::intake::{BLOCK, Exchange, Intake};
use crate::record::{Kind, records};
use crate::seal::MasterKey;
use crate::stats::{RecorderStats, add};
use crate::track::{Common, Done, Incoming, Track, TrackSpec};

pub use crate::hash::HASHING;

/// Finished segments and reports between hashing and closing. A disk that syncs slowly must not stop
/// writing when hundreds of tracks end at once; each segment keeps a file open.
pub const CLOSING: usize = 2_048;
/// Events kept until they are drained.
pub const EVENTS: usize = 16_384;
/// Tracks announced and not yet seen by the writer.
const ANNOUNCED: usize = 4_096;
/// Between two looks for filled blocks when there were none. Polling spares the media thread a
/// system call.
const POLL: Duration = Duration::from_millis(20);
/// Between two looks at what is due.
const TICK: Duration = Duration::from_millis(100);
/// Waits before a finished file's name is tried again.
const NAME_RETRIES: [Duration; 3] =
    [Duration::from_millis(50), Duration::from_millis(200), Duration::from_millis(750)];
/// How long [`Recorder::join`] waits for a disk on which nothing moves.
pub const STUCK: Duration = Duration::from_secs(10);
/// How long it waits for one that is slow: hundreds of files may have to be synced.
pub const JOIN_TIMEOUT: Duration = Duration::from_secs(60);
/// A track announced for so long without being captured is forgotten when it closes; this bounds how
/// many are known.
const MAX_TRACKS: usize = 16_384;

/// Settings of a recorder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecorderConfig {
    /// Where sessions are recorded; it exists.
    pub directory: PathBuf,
    /// Length of a segment.
    pub segment: Duration,
    /// Memory between the media thread and the writer: what it can hold, a disk may be late.
    pub buffer_bytes: usize,
    /// Files are encrypted under keys of their own, which are wrapped with this one.
    pub key: Option<MasterKey>,
}

impl RecorderConfig {
    /// Bounds of [`RecorderConfig::buffer_bytes`].
    pub const BUFFER_BYTES: std::ops::RangeInclusive<usize> = (1 << 20)..=(4 << 30);
    /// Bounds of [`RecorderConfig::segment`].
    pub const SEGMENT: std::ops::RangeInclusive<Duration> =
        Duration::from_secs(1)..=Duration::from_secs(600);
}

/// Why a recorder cannot start, or a track not be added.
#[derive(Debug)]
pub enum RecorderError {
    /// A setting is out of range; the text names it.
    Config(String),
    /// The system refuses what is needed.
    Io(std::io::Error),
    /// Too many tracks wait to be seen.
    Busy,
    /// The recorder has ended.
    Closed,
}

impl fmt::Display for RecorderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecorderError::Config(text) => f.write_str(text),
            RecorderError::Io(error) => error.fmt(f),
            RecorderError::Busy => f.write_str("too many tracks wait to be recorded"),
            RecorderError::Closed => f.write_str("the recorder has ended"),
        }
    }
}

impl std::error::Error for RecorderError {}

/// Called when there are events.
pub type Notify = Arc<dyn Fn() + Send + Sync>;

/// What the control side holds of a recorder. Cheap to clone.
#[derive(Clone)]
pub struct RecorderControl {
    exchange: Arc<Exchange>,
    events: Arc<ArrayQueue<CaptureEvent>>,
    announce: SyncSender<TrackSpec>,
}

impl RecorderControl {
    /// Announces a track. Do so before the plane is told to capture it.
    ///
    /// # Errors
    ///
    /// [`RecorderError::Busy`] and [`RecorderError::Closed`].
    pub fn open(&self, spec: TrackSpec) -> Result<(), RecorderError> {
        self.announce.try_send(spec).map_err(|error| match error {
            TrySendError::Full(_) => RecorderError::Busy,
            TrySendError::Disconnected(_) => RecorderError::Closed,
        })
    }

    /// Takes the events there are, at most as many as are kept.
    pub fn drain(&self) -> Vec<CaptureEvent> {
        std::iter::from_fn(|| self.events.pop()).take(EVENTS).collect()
    }

    /// What was done so far.
    pub fn stats(&self) -> RecorderStats {
        self.exchange.counters.stats()
    }
}

/// The threads, and the news of their end.
struct Running {
    ended: Receiver<()>,
    threads: [JoinHandle<bool>; 3],
}

/// A running recorder.
pub struct Recorder {
    control: RecorderControl,
    running: Mutex<Option<Running>>,
    is_abandoned: Arc<AtomicBool>,
}

impl Recorder {
    /// Starts the threads. They end, with all files closed, when the [`Intake`] is dropped.
    ///
    /// # Errors
    ///
    /// A setting is out of range, or threads are refused.
    pub fn start(
        config: RecorderConfig,
        disk: Arc<dyn Disk>,
        notify: Notify,
    ) -> Result<(Recorder, Intake), RecorderError> {
        check(&config)?;
        let exchange = Exchange::new(config.buffer_bytes.div_ceil(BLOCK).max(4));
        let anchor = MonotonicAnchor::now();
        let intake = Intake::new(Arc::clone(&exchange), anchor);
        let events = Arc::new(ArrayQueue::new(EVENTS));
        let (announce, announced) = sync_channel(ANNOUNCED);
        let (done, written) = sync_channel(HASHING);
        let (hashed, finished) = sync_channel(CLOSING);
        let is_abandoned = Arc::new(AtomicBool::new(false));
        let (end, ended) = channel::<()>();
        let closer = Closer {
            exchange: Arc::clone(&exchange),
            events: Arc::clone(&events),
            is_abandoned: Arc::clone(&is_abandoned),
            notify,
        };
        let mut writer = Writer {
            common: Common { disk, key: config.key, segment_us: config.segment.as_micros() as u64 },
            exchange: Arc::clone(&exchange),
            announced,
            tracks: HashMap::new(),
            out: Vec::new(),
        };
        let io = RecorderError::Io;
        let closing = thread::Builder::new()
            .name("recorder-close".into())
            .spawn(move || {
                let _end = end;
                lower_priority();
                let done = catch_unwind(AssertUnwindSafe(|| closer.run(&finished)));
                if done.is_err() {
                    closer.exchange.end();
                }
                done.is_ok()
            })
            .map_err(io)?;
        let over = Arc::clone(&exchange);
        let hashing = thread::Builder::new()
            .name("recorder-hash".into())
            .spawn(move || {
                lower_priority();
                let ran = catch_unwind(AssertUnwindSafe(|| hash::run(&written, &hashed)));
                if ran.is_err() {
                    over.end();
                }
                ran.is_ok()
            })
            .map_err(io)?;
        let writing = thread::Builder::new()
            .name("recorder-write".into())
            .spawn(move || {
                lower_priority();
                let ran = catch_unwind(AssertUnwindSafe(|| writer.run(anchor, &done)));
                if ran.is_err() {
                    writer.die(anchor.ns(Instant::now()), &done);
                }
                ran.is_ok()
            })
            .map_err(io)?;
        let control = RecorderControl { exchange, events, announce };
        let running = Mutex::new(Some(Running { ended, threads: [writing, hashing, closing] }));
        Ok((Recorder { control, running, is_abandoned }, intake))
    }

    /// For the control side.
    pub fn control(&self) -> RecorderControl {
        self.control.clone()
    }

    /// Waits until all files are closed; call it after the [`Intake`] was dropped. Events can be
    /// drained afterwards. A disk that takes one file after the other is waited for up to
    /// [`JOIN_TIMEOUT`], one that takes none for [`STUCK`].
    ///
    /// # Errors
    ///
    /// Files are still open: what the system has of them is finished by the next start.
    pub fn join(&self) -> Result<(), Unfinished> {
        self.join_within(STUCK, JOIN_TIMEOUT)
    }

    fn join_within(&self, stuck: Duration, most: Duration) -> Result<(), Unfinished> {
        let mut slot = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(running) = slot.take() else { return Ok(()) };
        let counters = &self.control.exchange.counters;
        let began = Instant::now();
        let (mut moved, mut done) = (began, counters.progress());
        loop {
            match running.ended.recv_timeout(POLL) {
                Err(RecvTimeoutError::Timeout) => {
                    let now = Instant::now();
                    let so_far = counters.progress();
                    if so_far != done {
                        (moved, done) = (now, so_far);
                    }
                    if now - moved >= stuck || now - began >= most {
                        self.is_abandoned.store(true, Ordering::Relaxed);
                        *slot = Some(running);
                        return Err(Unfinished::Disk);
                    }
                }
                Ok(()) | Err(RecvTimeoutError::Disconnected) => {
                    // All are waited for.
                    let ended = running.threads.map(|thread| thread.join().unwrap_or(false));
                    return if ended == [true; 3] { Ok(()) } else { Err(Unfinished::Died) };
                }
            }
        }
    }
}

/// Why a recorder did not close all its files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unfinished {
    /// The disk is too slow, or hangs.
    Disk,
    /// One of the threads has died.
    Died,
}

fn check(config: &RecorderConfig) -> Result<(), RecorderError> {
    let refuse = |text: String| Err(RecorderError::Config(text));
    if !RecorderConfig::BUFFER_BYTES.contains(&config.buffer_bytes) {
        return refuse(format!(
            "capture_buffer_bytes: must be {} to {}, not {}",
            RecorderConfig::BUFFER_BYTES.start(),
            RecorderConfig::BUFFER_BYTES.end(),
            config.buffer_bytes
        ));
    }
    if !RecorderConfig::SEGMENT.contains(&config.segment) {
        return refuse("segment_seconds: must be 1 to 600".into());
    }
    Ok(())
}

/// By how much the recorder's threads are nicer than the process.
const NICER: i32 = 5;

/// Media comes first where processors are short. Not by more than that: what is not written in time
/// is missing.
#[allow(unsafe_code, reason = "the standard library has no priorities")]
fn lower_priority() {
    // SAFETY: both look at and change a number of the calling thread (0), no pointer is passed.
    unsafe {
        let usual = libc::getpriority(libc::PRIO_PROCESS, 0);
        libc::setpriority(libc::PRIO_PROCESS, 0, usual + NICER);
    }
}

/// Makes files of packets.
struct Writer {
    common: Common,
    exchange: Arc<Exchange>,
    announced: Receiver<TrackSpec>,
    tracks: HashMap<CaptureId, Track>,
    out: Vec<Done>,
}

impl Writer {
    fn run(&mut self, anchor: MonotonicAnchor, done: &SyncSender<Done>) {
        let mut ticked = Instant::now();
        loop {
            // Looked at before the blocks: what is there then is the last.
            let is_last = self.exchange.is_over();
            let found = self.take_blocks(anchor, done);
            let now = Instant::now();
            if now >= ticked + TICK {
                ticked = now;
                self.tick(anchor.ns(now));
                self.hand_on(done);
            }
            if is_last {
                let rest = self.exchange.take_rest();
                self.process(&rest);
                break;
            }
            if !found {
                thread::sleep(POLL);
            }
        }
        self.finish(anchor.ns(Instant::now()));
        self.hand_on(done);
    }

    /// It has died: nothing more is taken, and every track says so.
    fn die(&mut self, now_ns: u64, done: &SyncSender<Done>) {
        self.exchange.end();
        self.welcome();
        let counters = &self.exchange.counters;
        for track in self.tracks.values_mut() {
            add(&counters.failures[Cause::Crash as usize], 1);
            let now_us = track.us(now_ns);
            track.on_dead(now_us, "the recorder has died: see the log", &mut self.out);
        }
        // Its open files keep what the system has of them: the next start finishes them.
        self.tracks.clear();
        counters.tracks.store(0, Ordering::Relaxed);
        self.hand_on(done);
    }

    fn take_blocks(&mut self, anchor: MonotonicAnchor, done: &SyncSender<Done>) -> bool {
        let mut found = false;
        // Bounded by what there is: other work gets its turn.
        for _ in 0..self.exchange.full.capacity() {
            let Some(mut block) = self.exchange.full.pop() else { break };
            found = true;
            let newest_ns = self.process(&block);
            block.clear();
            let _ = self.exchange.empty.push(block);
            self.hand_on(done);
            let lag_us = anchor.ns(Instant::now()).saturating_sub(newest_ns) / 1_000;
            self.exchange.counters.lag_us.store(lag_us, Ordering::Relaxed);
        }
        found
    }

    /// Takes the records of a block; returns the time of the last.
    fn process(&mut self, block: &[u8]) -> u64 {
        self.welcome();
        let counters = &self.exchange.counters;
        let mut newest_ns = 0;
        for record in records(block) {
            newest_ns = record.at_ns;
            let Some(track) = self.tracks.get_mut(&record.capture) else { continue };
            let at_us = track.us(record.at_ns);
            match record.kind {
                Kind::Packet { encoding, instance, ext_seq, how, bytes } => {
                    let packet = Incoming { encoding, instance, ext_seq, how, bytes };
                    track.on_packet(at_us, &packet, counters, &mut self.out);
                }
                Kind::Mark(mark) => track.on_mark(at_us, mark, counters, &mut self.out),
                Kind::Lost { packets, since_ns } => {
                    let since_us = track.us(since_ns);
                    track.on_lost((since_us, at_us), packets, counters, &mut self.out);
                }
            }
            if track.is_closed {
                self.tracks.remove(&record.capture);
            }
        }
        newest_ns
    }

    /// Takes over tracks that were announced.
    fn welcome(&mut self) {
        while self.tracks.len() < MAX_TRACKS
            && let Ok(spec) = self.announced.try_recv()
        {
            self.tracks.insert(spec.capture, Track::new(spec, self.common.clone()));
        }
    }

    fn tick(&mut self, now_ns: u64) {
        let counters = &self.exchange.counters;
        let mut failing = 0;
        for track in self.tracks.values_mut() {
            let now_us = track.us(now_ns);
            track.tick(now_us, counters, &mut self.out);
            failing += i64::from(track.is_failing());
        }
        counters.failing.store(failing, Ordering::Relaxed);
        counters.tracks.store(self.tracks.len() as i64, Ordering::Relaxed);
    }

    /// Nothing more comes: everything is closed.
    fn finish(&mut self, now_ns: u64) {
        self.welcome();
        for track in self.tracks.values_mut() {
            let now_us = track.us(now_ns);
            let close = media_core::capture::Mark::Close;
            track.on_mark(now_us, close, &self.exchange.counters, &mut self.out);
        }
        self.tracks.clear();
        self.exchange.counters.tracks.store(0, Ordering::Relaxed);
    }

    fn hand_on(&mut self, done: &SyncSender<Done>) {
        for item in self.out.drain(..) {
            // Fails only when another thread has died; then nothing can be reported.
            let _ = done.send(item);
        }
    }
}

/// Brings finished segments to the disk and reports.
struct Closer {
    exchange: Arc<Exchange>,
    events: Arc<ArrayQueue<CaptureEvent>>,
    is_abandoned: Arc<AtomicBool>,
    notify: Notify,
}

impl Closer {
    fn run(&self, finished: &Receiver<Done>) {
        // While the disk fails all the time, the next files need not wait for it, too.
        let mut is_failing = false;
        while let Ok(done) = finished.recv() {
            match done {
                Done::Event(event) => self.report(event),
                // Was hashed on the way.
                Done::Written(_) => {}
                Done::Segment { capture, segment, to_us } => {
                    let (from_us, packets) = (segment.from_us, segment.packets());
                    let mut waits = NAME_RETRIES.iter();
                    let may_retry = || {
                        let wait = waits.next().filter(|_| !is_failing);
                        wait.inspect(|wait| thread::sleep(**wait)).is_some()
                    };
                    let ended = segment.finish(to_us, may_retry);
                    is_failing = ended.is_err();
                    match ended {
                        Ok(segment) => {
                            add(&self.exchange.counters.segments, 1);
                            self.report(CaptureEvent::SegmentClosed { capture, segment });
                        }
                        Err(error) => self.lose(capture, (from_us, to_us), packets, &error),
                    }
                }
            }
        }
    }

    /// A whole segment did not reach the disk.
    fn lose(
        &self,
        capture: CaptureId,
        (from_us, to_us): (u64, u64),
        packets: u64,
        error: &std::io::Error,
    ) {
        let cause = Cause::of(error);
        let counters = &self.exchange.counters;
        add(&counters.failures[cause as usize], 1);
        add(&counters.gaps[cause as usize], 1);
        add(&counters.missing[cause as usize], packets);
        let message = error.to_string();
        self.report(CaptureEvent::WriteFailed { capture, cause, message });
        let gap = Gap { from_us, to_us, cause, packets: Some(packets), encoding: None };
        self.report(CaptureEvent::GapDeclared { capture, gap });
        self.report(CaptureEvent::WriteRestored { capture });
    }

    /// Reports; waits while nobody takes reports, unless nobody ever will.
    fn report(&self, mut event: CaptureEvent) {
        while let Err(back) = self.events.push(event) {
            if self.is_abandoned.load(Ordering::Relaxed) {
                return;
            }
            event = back;
            (self.notify)();
            thread::sleep(POLL);
        }
        (self.notify)();
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Condvar;

    use media_core::capture::{CaptureSink, Captured, How};

    use super::*;
    use crate::clock::SessionClock;
    use crate::disk::SegmentFile;

    /// A disk whose files are only given their names once it is let go.
    #[derive(Default)]
    struct Gate {
        is_open: Mutex<bool>,
        opened: Condvar,
    }

    impl Gate {
        fn open(&self) {
            *self.is_open.lock().unwrap() = true;
            self.opened.notify_all();
        }
    }

    struct Nowhere;

    impl SegmentFile for Nowhere {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            Ok(bytes.len())
        }

        fn cut(&mut self, _len: u64) -> std::io::Result<()> {
            Ok(())
        }

        fn sync(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl Disk for Arc<Gate> {
        fn create(&self, _path: &Path) -> std::io::Result<Box<dyn SegmentFile>> {
            Ok(Box::new(Nowhere))
        }

        fn check(&self, _path: &Path) -> std::io::Result<()> {
            Ok(())
        }

        fn remove(&self, _path: &Path) -> std::io::Result<()> {
            Ok(())
        }

        fn finish(&self, _from: &Path, _to: &Path) -> std::io::Result<()> {
            let mut is_open = self.is_open.lock().unwrap();
            while !*is_open {
                is_open = self.opened.wait(is_open).unwrap();
            }
            Ok(())
        }
    }

    fn packet() -> [u8; 40] {
        let mut packet = [0; 40];
        packet[0] = 0x80;
        packet
    }

    #[test]
    fn a_disk_that_hangs_is_left_alone_and_may_be_waited_for_again() {
        let gate = Arc::new(Gate::default());
        let config = RecorderConfig {
            directory: PathBuf::from("/nowhere"),
            segment: Duration::from_secs(10),
            buffer_bytes: *RecorderConfig::BUFFER_BYTES.start(),
            key: None,
        };
        let disk: Arc<dyn Disk> = Arc::new(Arc::clone(&gate));
        let (recorder, mut intake) = Recorder::start(config, disk, Arc::new(|| {})).unwrap();
        let track = TrackSpec {
            capture: 1,
            directory: PathBuf::from("/nowhere/s1/tracks/t1"),
            name: "t1".into(),
            description: String::new(),
            about: "{}".into(),
            clock: SessionClock { zero_ns: 0, wall_us: 0 },
            first_segment: 1,
        };
        recorder.control().open(track).unwrap();
        let captured = Captured {
            capture: 1,
            encoding: 0,
            instance: 0,
            ext_seq: 1,
            how: How::Original,
            head: &packet(),
            payload: &[],
        };
        intake.packet(Instant::now(), &captured);
        drop(intake);
        let most = Duration::from_secs(600);
        assert_eq!(recorder.join_within(Duration::from_millis(300), most), Err(Unfinished::Disk));
        assert_eq!(recorder.join_within(most, Duration::ZERO), Err(Unfinished::Disk));
        gate.open();
        assert_eq!(recorder.join_within(most, most), Ok(()));
        assert_eq!(recorder.join(), Ok(()));
        assert_eq!(recorder.control().stats().segments, 1);
    }
}
