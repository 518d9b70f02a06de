//! One file being written: buffer and encryption.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use crate::disk::{Disk, SegmentFile};
use crate::event::ClosedSegment;
use crate::hash::{Digests, Written, locked};
use crate::seal::{MasterKey, Sealer};

/// Bytes a buffer may grow by without moving.
const ROOM: usize = 4 << 10;
/// Suffix of a file that is being written.
pub(crate) const PART: &str = ".part";

/// A file that grows. Whatever fails, its content is a whole number of blocks.
pub(crate) struct Segment {
    disk: Arc<dyn Disk>,
    file: Box<dyn SegmentFile>,
    part: PathBuf,
    number: u32,
    sealer: Option<Sealer>,
    /// Frames in the file.
    frames: u32,
    /// Something could not be written: nothing more is, but the end.
    is_broken: bool,
    /// Blocks that are not in the file yet.
    pub(crate) buffer: Vec<u8>,
    /// Packets among them.
    pub(crate) buffered_packets: u64,
    pub(crate) buffered_since_us: Option<u64>,
    digests: Arc<Mutex<Digests>>,
    /// In the file, and not yet handed on to be hashed.
    unhashed: Vec<Written>,
    bytes: u64,
    packets: u64,
    pub(crate) from_us: u64,
    /// Time of the last packet that is in the file.
    pub(crate) written_us: u64,
    newest_us: u64,
}

/// The name of a segment.
pub(crate) fn file_name(number: u32, is_sealed: bool) -> String {
    format!("{number:06}.pcapng{}", if is_sealed { ".enc" } else { "" })
}

impl Segment {
    /// Makes the file; `header` is what it begins with.
    pub(crate) fn create(
        disk: &Arc<dyn Disk>,
        (directory, number): (&Path, u32),
        key: Option<&MasterKey>,
        header: &[u8],
        from_us: u64,
    ) -> io::Result<Segment> {
        let name = file_name(number, key.is_some());
        let place = crate::seal::place(directory, &name);
        let part = directory.join(name + PART);
        let file = disk.create(&part)?;
        let mut segment = Segment {
            disk: Arc::clone(disk),
            file,
            part,
            number,
            sealer: None,
            frames: 0,
            is_broken: false,
            buffer: Vec::with_capacity(ROOM),
            buffered_packets: 0,
            buffered_since_us: None,
            digests: Digests::shared(),
            unhashed: Vec::new(),
            bytes: 0,
            packets: 0,
            from_us,
            written_us: from_us,
            newest_us: from_us,
        };
        if let Some(key) = key {
            let sealer = Sealer::new(key, &place);
            if let Err(error) = segment.append(sealer.header().to_vec()) {
                // Where it stays, the next one gets another number.
                let _ = segment.discard();
                return Err(error);
            }
            segment.sealer = Some(sealer);
        }
        segment.buffer.extend_from_slice(header);
        Ok(segment)
    }

    /// A packet was put into the buffer.
    pub(crate) fn on_packet(&mut self, at_us: u64) {
        self.buffered_packets += 1;
        self.buffered_since_us.get_or_insert(at_us);
        self.newest_us = self.newest_us.max(at_us);
    }

    /// Packets in the file.
    pub(crate) fn packets(&self) -> u64 {
        self.packets
    }

    /// Bytes of the file.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Hands the buffer to the system. After an error the file holds what it held before, or
    /// could not even be cut to that.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() || self.is_broken {
            return Ok(());
        }
        let bytes = match &mut self.sealer {
            // The memory goes along to be hashed; the next buffer will need about as much.
            None => {
                let next = Vec::with_capacity(self.buffer.len() + ROOM);
                std::mem::replace(&mut self.buffer, next)
            }
            Some(sealer) => {
                let mut sealed = Vec::with_capacity(self.buffer.len() + ROOM);
                sealer.seal(&self.buffer, false, &mut sealed);
                self.buffer.clear();
                sealed
            }
        };
        let done = self.append(bytes);
        self.is_broken = done.is_err();
        done?;
        self.frames = self.sealer.as_ref().map_or(0, Sealer::frames);
        self.packets += std::mem::take(&mut self.buffered_packets);
        self.buffered_since_us = None;
        self.written_us = self.newest_us;
        Ok(())
    }

    /// Writes all of it or nothing.
    fn append(&mut self, bytes: Vec<u8>) -> io::Result<()> {
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            match self.file.write(rest) {
                Ok(0) => return self.cut_back(io::ErrorKind::WriteZero.into()),
                Ok(count) => rest = &rest[count..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return self.cut_back(error),
            }
        }
        self.bytes += bytes.len() as u64;
        self.unhashed.push(Written { digests: Arc::clone(&self.digests), bytes });
        Ok(())
    }

    fn cut_back(&mut self, error: io::Error) -> io::Result<()> {
        // Where even that fails, the next start finds the torn end and cuts it.
        let _ = self.file.cut(self.bytes);
        Err(error)
    }

    /// What was written since the last call, to be hashed in this order.
    pub(crate) fn take_unhashed(&mut self) -> impl Iterator<Item = Written> + '_ {
        self.unhashed.drain(..)
    }

    /// Whether the file can still be found.
    pub(crate) fn check(&self) -> io::Result<()> {
        self.disk.check(&self.part)
    }

    /// The file as it is becomes final: nothing more is written.
    pub(crate) fn end(&mut self) -> io::Result<()> {
        self.flush()?;
        if let Some(sealer) = self.sealer.take() {
            let mut last = Vec::new();
            sealer.end_after(self.frames, &mut last);
            self.append(last)?;
        }
        Ok(())
    }

    /// Removes the file: nothing is in it.
    pub(crate) fn discard(self) -> io::Result<()> {
        self.disk.remove(&self.part)
    }

    /// Gives memory back that only writing needs.
    pub(crate) fn free(&mut self) {
        self.buffer = Vec::new();
    }

    /// Brings the ended file, of which all was hashed, to the disk and gives it its name. What fails after the content is on
    /// the disk is tried again as long as `may_retry` says so.
    pub(crate) fn finish(
        mut self,
        to_us: u64,
        mut may_retry: impl FnMut() -> bool,
    ) -> io::Result<ClosedSegment> {
        // An error of this is final: the system may have thrown the content away, and would say
        // that all is well the next time.
        self.file.sync()?;
        let name = self.part.file_name().unwrap_or_default().to_string_lossy();
        let file = name.strip_suffix(PART).unwrap_or(&name).to_owned();
        let path = self.part.with_file_name(&file);
        while let Err(error) = self.disk.finish(&self.part, &path) {
            if error.kind() == io::ErrorKind::AlreadyExists || !may_retry() {
                return Err(error);
            }
        }
        let (sha256, sm3) = locked(&self.digests).finish();
        Ok(ClosedSegment {
            number: self.number,
            file,
            bytes: self.bytes,
            packets: self.packets,
            from_us: self.from_us,
            to_us,
            sha256,
            sm3,
        })
    }
}
