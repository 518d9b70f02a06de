//! One file being written: buffer, digests, encryption.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};
use sm3::{Digest, Sm3};

use crate::disk::{Disk, SegmentFile};
use crate::event::ClosedSegment;
use crate::seal::{MasterKey, Sealer};

/// Suffix of a file that is being written.
pub(crate) const PART: &str = ".part";

/// A file that grows. Whatever fails, its content is a whole number of blocks.
pub(crate) struct Segment {
    disk: Arc<dyn Disk>,
    file: Box<dyn SegmentFile>,
    part: PathBuf,
    number: u32,
    sealer: Option<Sealer>,
    /// Blocks that are not in the file yet.
    pub(crate) buffer: Vec<u8>,
    /// Packets among them.
    pub(crate) buffered_packets: u64,
    pub(crate) buffered_since_us: Option<u64>,
    sealed: Vec<u8>,
    sha256: Context,
    sm3: Sm3,
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
        let part = directory.join(name + PART);
        let file = disk.create(&part)?;
        let mut segment = Segment {
            disk: Arc::clone(disk),
            file,
            part,
            number,
            sealer: None,
            buffer: Vec::with_capacity(64 << 10),
            buffered_packets: 0,
            buffered_since_us: None,
            sealed: Vec::new(),
            sha256: Context::new(&SHA256),
            sm3: Sm3::new(),
            bytes: 0,
            packets: 0,
            from_us,
            written_us: from_us,
            newest_us: from_us,
        };
        if let Some(key) = key {
            let sealer = Sealer::new(key);
            segment.append(sealer.header())?;
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
        if self.buffer.is_empty() {
            return Ok(());
        }
        let buffer = std::mem::take(&mut self.buffer);
        let done = match &mut self.sealer {
            None => self.append(&buffer),
            Some(sealer) => {
                let mut sealed = std::mem::take(&mut self.sealed);
                sealed.clear();
                sealer.seal(&buffer, false, &mut sealed);
                let done = self.append(&sealed);
                self.sealed = sealed;
                done
            }
        };
        self.buffer = buffer;
        self.buffer.clear();
        done?;
        self.packets += std::mem::take(&mut self.buffered_packets);
        self.buffered_since_us = None;
        self.written_us = self.newest_us;
        Ok(())
    }

    /// Writes all of it or nothing.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut rest = bytes;
        while !rest.is_empty() {
            match self.file.write(rest) {
                Ok(0) => return self.cut_back(io::ErrorKind::WriteZero.into()),
                Ok(count) => rest = &rest[count..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return self.cut_back(error),
            }
        }
        self.sha256.update(bytes);
        self.sm3.update(bytes);
        self.bytes += bytes.len() as u64;
        Ok(())
    }

    fn cut_back(&mut self, error: io::Error) -> io::Result<()> {
        // Where even that fails, the next start finds the torn end and cuts it.
        let _ = self.file.cut(self.bytes);
        Err(error)
    }

    /// Whether the file can still be found.
    pub(crate) fn check(&self) -> io::Result<()> {
        self.disk.check(&self.part)
    }

    /// The file as it is becomes final: nothing more is written.
    pub(crate) fn end(&mut self) -> io::Result<()> {
        self.flush()?;
        if let Some(mut sealer) = self.sealer.take() {
            let mut last = Vec::new();
            sealer.seal(&[], true, &mut last);
            self.append(&last)?;
        }
        Ok(())
    }

    /// Removes the file: nothing is in it.
    pub(crate) fn discard(self) -> io::Result<()> {
        self.disk.remove(&self.part)
    }

    /// Brings the ended file to the disk and gives it its name.
    pub(crate) fn finish(mut self, to_us: u64) -> io::Result<ClosedSegment> {
        self.file.sync()?;
        let name = self.part.file_name().unwrap_or_default().to_string_lossy();
        let file = name.strip_suffix(PART).unwrap_or(&name).to_owned();
        self.disk.finish(&self.part, &self.part.with_file_name(&file))?;
        Ok(ClosedSegment {
            number: self.number,
            file,
            bytes: self.bytes,
            packets: self.packets,
            from_us: self.from_us,
            to_us,
            sha256: self.sha256.finish().as_ref().try_into().expect("SHA-256 has 32 bytes"),
            sm3: self.sm3.finalize().into(),
        })
    }
}
