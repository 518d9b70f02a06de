//! The file system, as far as a recorder needs it: tests put a worse one in its place.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// A segment being written.
pub trait SegmentFile: Send {
    /// Appends some of the bytes; returns how many.
    ///
    /// # Errors
    ///
    /// What the system says.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize>;

    /// Cuts the file to `len` bytes and goes on from there.
    ///
    /// # Errors
    ///
    /// What the system says.
    fn cut(&mut self, len: u64) -> io::Result<()>;

    /// Brings the content to the disk (`fdatasync`).
    ///
    /// # Errors
    ///
    /// What the system says.
    fn sync(&mut self) -> io::Result<()>;
}

/// Where segments are made.
pub trait Disk: Send + Sync {
    /// Makes a new file in a directory; the directory exists.
    ///
    /// # Errors
    ///
    /// What the system says; an existing file is one.
    fn create(&self, path: &Path) -> io::Result<Box<dyn SegmentFile>>;

    /// Whether a file that is being written can still be found under its name.
    ///
    /// # Errors
    ///
    /// What the system says.
    fn check(&self, path: &Path) -> io::Result<()>;

    /// Removes a file nothing was written to.
    ///
    /// # Errors
    ///
    /// What the system says.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Gives a finished file its name, for good.
    ///
    /// # Errors
    ///
    /// What the system says; an existing file is one.
    fn finish(&self, from: &Path, to: &Path) -> io::Result<()>;
}

/// A directory of this machine. Another file system in its place (a mount that vanished leaves an
/// empty directory of the one below) is an error, not a place to write to.
#[derive(Debug)]
pub struct LocalDisk {
    root: PathBuf,
    device: u64,
}

impl LocalDisk {
    /// Files lie below `root`, which exists.
    ///
    /// # Errors
    ///
    /// What the system says of `root`.
    pub fn new(root: PathBuf) -> io::Result<LocalDisk> {
        let device = fs::metadata(&root)?.dev();
        Ok(LocalDisk { root, device })
    }

    fn check_mount(&self) -> io::Result<()> {
        match fs::metadata(&self.root)?.dev() == self.device {
            true => Ok(()),
            false => Err(io::Error::other("another file system is mounted there now")),
        }
    }
}

impl Disk for LocalDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn SegmentFile>> {
        self.check_mount()?;
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        Ok(Box::new(LocalFile(file)))
    }

    fn check(&self, path: &Path) -> io::Result<()> {
        self.check_mount()?;
        fs::symlink_metadata(path).map(drop)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn finish(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.check_mount()?;
        // A link refuses to replace what is there already; a rename would do it silently.
        match fs::hard_link(from, to) {
            Ok(()) => fs::remove_file(from)?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(error),
            // Not every file system has links.
            Err(_) if to.exists() => return Err(io::ErrorKind::AlreadyExists.into()),
            Err(_) => fs::rename(from, to)?,
        }
        let directory = to.parent().ok_or(io::ErrorKind::NotFound)?;
        File::open(directory)?.sync_all()
    }
}

struct LocalFile(File);

impl SegmentFile for LocalFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn cut(&mut self, len: u64) -> io::Result<()> {
        use std::io::Seek;
        self.0.set_len(len)?;
        self.0.seek(io::SeekFrom::Start(len)).map(drop)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.sync_data()
    }
}
