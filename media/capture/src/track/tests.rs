use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use super::*;
use crate::disk::SegmentFile;
use crate::event::ClosedSegment;

/// A disk in memory that fails as it is told.
#[derive(Default)]
struct FakeDisk {
    files: Mutex<HashMap<PathBuf, Vec<u8>>>,
    faults: Mutex<Faults>,
}

#[derive(Default, Clone, Copy)]
struct Faults {
    create: Option<io::ErrorKind>,
    /// Bytes all files together may have.
    space: Option<usize>,
    gone: bool,
    finish: Option<io::ErrorKind>,
}

struct FakeFile(Arc<FakeDisk>, PathBuf);

impl FakeDisk {
    fn set(&self, faults: Faults) {
        *self.faults.lock().unwrap() = faults;
    }

    fn faults(&self) -> Faults {
        *self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> =
            self.files.lock().unwrap().keys().map(|path| path.display().to_string()).collect();
        names.sort();
        names
    }
}

impl SegmentFile for FakeFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut files = self.0.files.lock().unwrap();
        let used: usize = files.values().map(Vec::len).sum();
        let left = self.0.faults().space.map_or(usize::MAX, |space| space.saturating_sub(used));
        if left == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        // Never all at once: callers must go on.
        let count = bytes.len().min(left).min(1_000);
        files.get_mut(&self.1).unwrap().extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn cut(&mut self, len: u64) -> io::Result<()> {
        self.0.files.lock().unwrap().get_mut(&self.1).unwrap().truncate(len as usize);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Disk for Arc<FakeDisk> {
    fn create(&self, path: &Path) -> io::Result<Box<dyn SegmentFile>> {
        if let Some(kind) = self.faults().create {
            return Err(kind.into());
        }
        let mut files = self.files.lock().unwrap();
        if files.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        files.insert(path.into(), Vec::new());
        Ok(Box::new(FakeFile(Arc::clone(self), path.into())))
    }

    fn check(&self, _: &Path) -> io::Result<()> {
        if self.faults().gone { Err(io::ErrorKind::NotFound.into()) } else { Ok(()) }
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.files.lock().unwrap().remove(path).map(drop).ok_or(io::ErrorKind::NotFound.into())
    }

    fn finish(&self, from: &Path, to: &Path) -> io::Result<()> {
        if let Some(kind) = self.faults().finish {
            return Err(kind.into());
        }
        let mut files = self.files.lock().unwrap();
        let content = files.remove(from).unwrap();
        files.insert(to.into(), content);
        Ok(())
    }
}

const SECOND: u64 = 1_000_000;

struct Scene {
    disk: Arc<FakeDisk>,
    track: Track,
    counters: Counters,
    out: Vec<Done>,
    next: u64,
}

impl Scene {
    fn new() -> Scene {
        Scene::with_key(None)
    }

    fn with_key(key: Option<MasterKey>) -> Scene {
        let disk = Arc::new(FakeDisk::default());
        let spec = TrackSpec {
            capture: 1,
            directory: "/t".into(),
            name: "t_1".into(),
            description: "camera".into(),
            about: "{}".into(),
            clock: SessionClock { zero_ns: 0, wall_us: 1_700_000_000_000_000 },
            first_segment: 1,
        };
        let shared: Arc<dyn Disk> = Arc::new(Arc::clone(&disk));
        let common = Common { disk: shared, key, segment_us: 10 * SECOND };
        let track = Track::new(spec, common);
        Scene { disk, track, counters: Counters::default(), out: Vec::new(), next: 0 }
    }

    fn packet(&mut self, at_us: u64, ext_seq: u64) {
        let bytes = &[0x80; 100];
        let packet = Incoming { encoding: 0, instance: 0, ext_seq, how: How::Original, bytes };
        self.track.on_packet(at_us, &packet, &self.counters, &mut self.out);
    }

    /// A packet every 20 ms and a look at what is due.
    fn talk(&mut self, from_us: u64, to_us: u64) {
        for at_us in (from_us..to_us).step_by(20_000) {
            self.packet(at_us, self.next);
            self.next += 1;
            self.track.tick(at_us, &self.counters, &mut self.out);
        }
    }

    fn mark(&mut self, at_us: u64, mark: Mark) {
        self.track.on_mark(at_us, mark, &self.counters, &mut self.out);
    }

    /// Everything that happened: segments are finished as the other thread would.
    fn happened(&mut self) -> (Vec<ClosedSegment>, Vec<Gap>, Vec<String>) {
        let (mut segments, mut gaps, mut others) = (Vec::new(), Vec::new(), Vec::new());
        for done in crate::hash::hash(self.out.drain(..).collect()) {
            match done {
                Done::Written(_) => unreachable!("was hashed"),
                Done::Segment { segment, to_us, .. } => {
                    segments.push(segment.finish(to_us, || false).unwrap())
                }
                Done::Event(CaptureEvent::GapDeclared { gap, .. }) => gaps.push(gap),
                Done::Event(event) => {
                    let text = format!("{event:?}");
                    others.push(text.split(' ').next().unwrap_or_default().to_owned());
                }
            }
        }
        (segments, gaps, others)
    }
}

fn ranges(segments: &[ClosedSegment]) -> Vec<(u64, u64)> {
    segments.iter().map(|segment| (segment.from_us, segment.to_us)).collect()
}

#[test]
fn segments_follow_on_each_other_without_a_hole() {
    let mut scene = Scene::new();
    scene.talk(0, 25 * SECOND);
    scene.mark(25 * SECOND, Mark::Close);
    let (segments, gaps, others) = scene.happened();
    let second = SECOND;
    assert_eq!(
        ranges(&segments),
        [(0, 10 * second), (10 * second, 20 * second), (20 * second, 25 * second)]
    );
    assert_eq!(gaps, []);
    assert_eq!(others, ["Opened", "Closed"]);
    assert_eq!(segments.iter().map(|segment| segment.packets).sum::<u64>(), 1_250);
    assert_eq!(scene.disk.names(), ["/t/000001.pcapng", "/t/000002.pcapng", "/t/000003.pcapng"]);
    for segment in &segments {
        let files = scene.disk.files.lock().unwrap();
        let file = &files[&PathBuf::from("/t").join(&segment.file)];
        assert_eq!(file.len() as u64, segment.bytes);
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, file);
        assert_eq!(digest.as_ref(), segment.sha256);
        let sm3: [u8; 32] = <sm3::Sm3 as sm3::Digest>::digest(file).into();
        assert_eq!(sm3, segment.sm3);
    }
}

#[test]
fn packets_reach_the_system_within_a_quarter_of_a_second() {
    let mut scene = Scene::new();
    scene.packet(0, 0);
    scene.track.tick(FLUSH_US - 1, &scene.counters, &mut scene.out);
    assert_eq!(scene.disk.files.lock().unwrap()[Path::new("/t/000001.pcapng.part")].len(), 0);
    scene.track.tick(FLUSH_US, &scene.counters, &mut scene.out);
    assert!(scene.disk.files.lock().unwrap()[Path::new("/t/000001.pcapng.part")].len() > 200);
    assert_eq!(scene.counters.stats().written_packets, 1);
}

#[test]
fn a_full_disk_is_one_gap_until_there_is_space_again() {
    let mut scene = Scene::new();
    scene.talk(0, 3 * SECOND);
    let used = scene.disk.files.lock().unwrap().values().map(Vec::len).sum::<usize>();
    scene.disk.set(Faults { space: Some(used + 1_000), ..Faults::default() });
    scene.talk(3 * SECOND, 9 * SECOND);
    assert!(scene.track.is_failing());
    scene.disk.set(Faults::default());
    scene.talk(9 * SECOND, 20 * SECOND);
    scene.mark(20 * SECOND, Mark::Close);
    let (segments, gaps, others) = scene.happened();
    assert_eq!(others, ["Opened", "WriteFailed", "WriteRestored", "Closed"]);
    assert_eq!(gaps.len(), 1);
    let gap = &gaps[0];
    assert_eq!(gap.cause, Cause::DiskFull);
    // Retries after 1, 2 and 4 s.
    assert!(gap.from_us >= 2_700_000 && gap.from_us <= 3_300_000, "{gap:?}");
    assert!(gap.to_us > 9 * SECOND && gap.to_us < 14 * SECOND, "{gap:?}");
    let written: u64 = segments.iter().map(|segment| segment.packets).sum();
    assert_eq!(written + gap.packets.unwrap(), 1_000, "every packet is somewhere");
    assert!(ranges(&segments).iter().all(|(from, to)| *to <= gap.from_us || *from >= gap.to_us));
}

#[test]
fn a_directory_that_refuses_is_a_gap_from_the_first_packet() {
    let mut scene = Scene::new();
    let create = Some(io::ErrorKind::PermissionDenied);
    scene.disk.set(Faults { create, ..Faults::default() });
    scene.talk(0, 5 * SECOND);
    scene.mark(5 * SECOND, Mark::Close);
    let (segments, gaps, others) = scene.happened();
    assert_eq!(segments, []);
    let whole = Gap {
        from_us: 0,
        to_us: 5 * SECOND,
        cause: Cause::DiskError,
        packets: Some(250),
        encoding: None,
    };
    assert_eq!(gaps, [whole]);
    assert_eq!(others, ["Opened", "WriteFailed", "Closed"]);
    assert_eq!(scene.counters.stats().failures[Cause::DiskError as usize], 3);
}

#[test]
fn a_file_that_vanished_is_lost_from_its_beginning() {
    let mut scene = Scene::new();
    scene.talk(0, 4 * SECOND);
    scene.disk.set(Faults { gone: true, ..Faults::default() });
    scene.talk(4 * SECOND, 5 * SECOND + 40_000);
    scene.disk.set(Faults::default());
    scene.talk(5 * SECOND + 40_000, 8 * SECOND);
    scene.mark(8 * SECOND, Mark::Close);
    let (segments, gaps, _) = scene.happened();
    assert_eq!((gaps.len(), gaps[0].from_us, gaps[0].cause), (1, 0, Cause::DiskError));
    let written: u64 = segments.iter().map(|segment| segment.packets).sum();
    assert_eq!(written + gaps[0].packets.unwrap(), 400);
    assert_eq!(segments[0].number, 2, "the name of the lost one is not used again");
}

#[test]
fn lost_packets_are_a_gap_of_the_network_when_they_do_not_come() {
    let mut scene = Scene::new();
    scene.talk(0, SECOND);
    scene.next += 50;
    scene.talk(2 * SECOND, 3 * SECOND);
    scene.packet(3 * SECOND, 60);
    scene.talk(3 * SECOND, 9 * SECOND);
    let (_, gaps, _) = scene.happened();
    let kinds: Vec<_> = gaps.iter().map(|g| (g.from_us, g.to_us, g.cause, g.packets)).collect();
    assert_eq!(kinds, [(980_000, 2 * SECOND, Cause::Network, Some(49))]);
    assert_eq!(gaps[0].encoding, Some(0));
}

#[test]
fn a_pause_is_a_gap_of_its_own_and_not_one_of_the_network() {
    let mut scene = Scene::new();
    scene.talk(0, 2 * SECOND);
    scene.mark(2 * SECOND, Mark::Pause);
    scene.next += 1_000;
    scene.mark(5 * SECOND, Mark::Resume);
    scene.talk(5 * SECOND, 12 * SECOND);
    scene.mark(12 * SECOND, Mark::Close);
    let (segments, gaps, _) = scene.happened();
    let second = SECOND;
    assert_eq!(ranges(&segments), [(0, 2 * second), (5 * second, 12 * second)]);
    assert_eq!((gaps.len(), gaps[0].cause), (1, Cause::Paused));
    assert_eq!((gaps[0].from_us, gaps[0].to_us), (2 * SECOND, 5 * SECOND));
}

#[test]
fn packets_without_memory_are_a_gap_of_the_disk() {
    let mut scene = Scene::new();
    scene.talk(0, 2 * SECOND);
    scene.next += 50;
    let lost = (2 * SECOND, 3 * SECOND);
    scene.track.on_lost(lost, 50, &scene.counters, &mut scene.out);
    scene.talk(3 * SECOND, 9 * SECOND);
    scene.mark(9 * SECOND, Mark::Close);
    let (segments, gaps, _) = scene.happened();
    assert_eq!((gaps.len(), gaps[0].cause, gaps[0].packets), (1, Cause::DiskSlow, Some(50)));
    assert_eq!(ranges(&segments), [(0, 2 * SECOND), (3 * SECOND, 9 * SECOND)]);
}

#[test]
fn a_track_that_comes_back_with_another_producer_goes_on() {
    let mut scene = Scene::new();
    scene.mark(0, Mark::Begin);
    scene.talk(0, 2 * SECOND);
    scene.mark(2 * SECOND, Mark::Stop);
    scene.mark(4 * SECOND, Mark::Begin);
    scene.next = 7;
    scene.talk(4 * SECOND, 6 * SECOND);
    scene.mark(6 * SECOND, Mark::Stop);
    scene.mark(6 * SECOND, Mark::Close);
    let (segments, gaps, others) = scene.happened();
    assert_eq!(ranges(&segments), [(0, 2 * SECOND), (4 * SECOND, 6 * SECOND)]);
    let kinds: Vec<_> = gaps.iter().map(|g| (g.from_us, g.to_us, g.cause, g.packets)).collect();
    assert_eq!(kinds, [(2 * SECOND, 4 * SECOND, Cause::Network, None)]);
    assert_eq!(others, ["Opened", "Closed"]);
}

#[test]
fn a_track_that_fell_silent_says_so_when_it_ends() {
    let mut scene = Scene::new();
    scene.talk(0, 2 * SECOND);
    for at_us in (2 * SECOND..14 * SECOND).step_by(100_000) {
        scene.track.tick(at_us, &scene.counters, &mut scene.out);
    }
    scene.mark(14 * SECOND, Mark::Close);
    let (segments, gaps, _) = scene.happened();
    assert_eq!(ranges(&segments), [(0, 1_980_000)]);
    assert_eq!((gaps[0].from_us, gaps[0].to_us), (1_980_000, 14 * SECOND));
    assert_eq!((gaps[0].cause, gaps[0].packets), (Cause::Network, None));
}

#[test]
fn sealed_segments_have_another_name_and_no_plain_text() {
    let mut scene = Scene::with_key(Some(MasterKey::new(&[1; 32]).unwrap()));
    scene.talk(0, 2 * SECOND);
    scene.mark(2 * SECOND, Mark::Close);
    let (segments, _, _) = scene.happened();
    assert_eq!(segments[0].file, "000001.pcapng.enc");
    let files = scene.disk.files.lock().unwrap();
    let file = &files[Path::new("/t/000001.pcapng.enc")];
    assert_eq!(file[..8], crate::seal::MAGIC);
    assert!(!file.windows(7).any(|window| window == b"Witness"));
}

#[test]
fn a_closed_track_says_so_once() {
    let mut scene = Scene::new();
    scene.mark(0, Mark::Close);
    scene.mark(0, Mark::Close);
    assert_eq!(scene.happened().2, ["Closed"]);
    assert!(scene.track.is_closed);
}

#[test]
fn a_sealed_file_can_be_opened_to_its_end_although_the_disk_was_full() {
    let mut scene = Scene::with_key(Some(MasterKey::new(&[7; 32]).unwrap()));
    scene.talk(0, 3 * SECOND);
    let used = scene.disk.files.lock().unwrap().values().map(Vec::len).sum::<usize>();
    scene.disk.set(Faults { space: Some(used + 1_000), ..Faults::default() });
    scene.talk(3 * SECOND, 9 * SECOND);
    let (segments, _, _) = scene.happened();
    let files = scene.disk.files.lock().unwrap();
    let file = &files[Path::new("/t/000001.pcapng.enc")];
    assert_eq!(segments[0].bytes, file.len() as u64);
    let content = crate::seal::tests::open(file).expect("it ends with a last frame");
    assert!(content.len() > 150 * 100, "{}", content.len());
}

#[test]
fn a_full_disk_is_the_cause_and_keeps_no_empty_files_when_they_are_sealed() {
    let mut scene = Scene::with_key(Some(MasterKey::new(&[1; 32]).unwrap()));
    scene.disk.set(Faults { space: Some(0), ..Faults::default() });
    scene.talk(0, 40 * SECOND);
    scene.mark(40 * SECOND, Mark::Close);
    let (_, gaps, _) = scene.happened();
    assert_eq!(gaps.iter().map(|gap| gap.cause).collect::<Vec<_>>(), [Cause::DiskFull]);
    assert_eq!(scene.disk.names(), [""; 0]);
}

#[test]
fn names_that_are_taken_are_passed_over_at_once() {
    let mut scene = Scene::new();
    for number in 1..=5 {
        let path = format!("/t/{number:06}.pcapng.part");
        scene.disk.files.lock().unwrap().insert(path.into(), Vec::new());
    }
    scene.talk(0, SECOND);
    scene.mark(SECOND, Mark::Close);
    let (segments, gaps, _) = scene.happened();
    assert_eq!((segments[0].number, segments[0].packets, gaps), (6, 50, vec![]));
}

#[test]
fn a_name_that_is_refused_is_tried_again() {
    for (retries, is_named) in [(0, false), (1, false), (2, true)] {
        let mut scene = Scene::new();
        scene.talk(0, SECOND);
        scene.mark(SECOND, Mark::Close);
        let finish = Some(io::ErrorKind::Other);
        scene.disk.set(Faults { finish, ..Faults::default() });
        let mut left = retries;
        for done in scene.out.drain(..) {
            let Done::Segment { segment, to_us, .. } = done else { continue };
            let may_retry = || {
                left -= 1;
                if left == 0 && is_named {
                    scene.disk.set(Faults::default());
                }
                left >= 0
            };
            assert_eq!(segment.finish(to_us, may_retry).is_ok(), is_named, "{retries} retries");
        }
    }
}

#[test]
fn a_track_whose_writer_died_says_so() {
    let mut scene = Scene::new();
    scene.talk(0, SECOND);
    scene.track.on_dead(3 * SECOND, "died", &mut scene.out);
    let (_, gaps, others) = scene.happened();
    let found: Vec<_> = gaps.iter().map(|g| (g.cause, g.from_us, g.to_us)).collect();
    assert_eq!(found, [(Cause::Crash, 980_000, 3 * SECOND)]);
    assert_eq!(others, ["Opened", "WriteFailed", "Closed"]);
}

#[test]
fn a_late_packet_after_a_lost_stretch_makes_no_gap() {
    let mut scene = Scene::new();
    for number in (0..100).filter(|number| *number != 50) {
        scene.packet(number * 20_000, number);
    }
    scene.track.on_lost((2_000_000, 2_100_000), 5, &scene.counters, &mut scene.out);
    // 50 comes by retransmission first, then the stream goes on.
    scene.packet(2_110_000, 50);
    scene.packet(2_120_000, 106);
    scene.mark(2_200_000, Mark::Close);
    let (_, gaps, _) = scene.happened();
    assert_eq!(gaps.iter().map(|gap| gap.cause).collect::<Vec<_>>(), [Cause::DiskSlow]);
}

#[test]
fn numbers_without_content_are_not_missing_and_what_is_lost_around_a_pause_is() {
    let mut scene = Scene::new();
    let empty = |ext_seq| Mark::Empty { encoding: 0, instance: 0, ext_seq };
    scene.talk(0, SECOND);
    scene.mark(SECOND, empty(50));
    scene.mark(SECOND, empty(51));
    scene.next += 2;
    scene.talk(SECOND, 2 * SECOND);
    // 10 packets are lost just before the pause, 5 just after it; it spans 100 packets.
    scene.next += 10;
    scene.mark(2 * SECOND, Mark::Pause);
    scene.mark(2 * SECOND + 20_000, empty(scene.next));
    scene.next += 100;
    scene.mark(4 * SECOND, Mark::Resume);
    scene.mark(4 * SECOND, empty(scene.next - 1));
    scene.next += 5;
    scene.talk(4 * SECOND + 100_000, 5 * SECOND);
    scene.mark(5 * SECOND, Mark::Close);
    let (_, gaps, _) = scene.happened();
    let found: Vec<_> = gaps.iter().map(|g| (g.cause, g.from_us, g.to_us, g.packets)).collect();
    let expected = [
        (Cause::Paused, 2 * SECOND, 4 * SECOND, None),
        (Cause::Network, 1_980_000, 2 * SECOND, Some(10)),
        (Cause::Network, 4 * SECOND, 4_100_000, Some(5)),
    ];
    assert_eq!(found, expected);
}

#[test]
fn what_comes_late_in_a_pause_is_of_the_time_before() {
    let mut scene = Scene::new();
    scene.talk(0, SECOND);
    scene.next += 1;
    scene.talk(SECOND, 2 * SECOND);
    scene.mark(2 * SECOND, Mark::Pause);
    scene.packet(3 * SECOND, 50);
    scene.track.tick(4 * SECOND, &scene.counters, &mut scene.out);
    scene.mark(20 * SECOND, Mark::Resume);
    scene.talk(20 * SECOND, 21 * SECOND);
    scene.mark(21 * SECOND, Mark::Close);
    let (segments, gaps, _) = scene.happened();
    let second = SECOND;
    assert_eq!(
        ranges(&segments),
        [(0, 2 * second), (2 * second, 2 * second), (20 * second, 21 * second)]
    );
    assert_eq!(gaps.iter().map(|gap| gap.cause).collect::<Vec<_>>(), [Cause::Paused]);
}

/// Prints µs per packet of 1,100 bytes of each stage. Run with `--ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
fn cost_of_the_stages() {
    use crate::sm3::{Sm3, update_all};
    const PACKETS: u32 = 50_000;
    let chunk = vec![0x5a; 40 * 1_184];
    let report = |name: &str, mut stage: Box<dyn FnMut()>| {
        let began = std::time::Instant::now();
        (0..PACKETS / 40).for_each(|_| stage());
        println!(
            "{name}: {:.2} us a packet",
            began.elapsed().as_secs_f64() * 1e6 / f64::from(PACKETS)
        );
    };
    let mut sha256 = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
    let content = chunk.clone();
    report("SHA-256", Box::new(move || sha256.update(&content)));
    let (mut sm3, content) = (Sm3::default(), chunk.clone());
    report("SM3, one file", Box::new(move || sm3.update(&content)));
    for files in [4, 8, 16, 64] {
        // One piece in all, so that the figure is of a packet again.
        let content = chunk[..chunk.len() / files].to_vec();
        let mut digests = vec![Sm3::default(); files];
        let hash = move || {
            let mut jobs: Vec<(&mut Sm3, &[u8])> =
                digests.iter_mut().map(|sm3| (sm3, content.as_slice())).collect();
            update_all(&mut jobs);
        };
        report(&format!("SM3, {files} files"), Box::new(hash));
    }
    let mut sealer = crate::seal::Sealer::new(&MasterKey::new(&[1; 32]).unwrap(), "s/t/1");
    let (mut out, content) = (Vec::new(), chunk.clone());
    report(
        "AES-256-GCM",
        Box::new(move || {
            out.clear();
            sealer.seal(&content, false, &mut out);
        }),
    );
    let mut buffer = Vec::with_capacity(1 << 20);
    report(
        "pcapng",
        Box::new(move || {
            buffer.clear();
            for ext_seq in 0..40 {
                let info =
                    PacketInfo { at_us: 5, encoding: 0, stream: 0, ext_seq, how: How::Original };
                pcapng::push_rtp(&mut buffer, &info, &[0x80; 1_100]);
            }
        }),
    );
}
