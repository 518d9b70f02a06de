//! The file system, as far as a recorder needs it: tests put a worse one in its place.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
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
    /// Makes a new file; its directory is made, too, if it and the one above are missing at most.
    ///
    /// # Errors
    ///
    /// What the system says; an existing file is one, also one of the name it will have.
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

    /// Gives a finished file its name, for good. May be called again after an error.
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

/// Whether two names are of one file.
fn is_same(one: &Path, other: &Path) -> bool {
    let place = |path| fs::symlink_metadata(path).map(|data| (data.dev(), data.ino()));
    matches!((place(one), place(other)), (Ok(one), Ok(other)) if one == other)
}

/// Brings a directory's entries to the disk.
fn sync(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

impl LocalDisk {
    fn make_directory(&self, path: &Path) -> io::Result<()> {
        let above = path.parent().ok_or(io::ErrorKind::NotFound)?;
        if !above.starts_with(&self.root) {
            return Err(io::ErrorKind::NotFound.into());
        }
        // Synced by who announced the track: hundreds begin at once, and writing must not wait.
        for place in [above, path] {
            // What was begun at the same time elsewhere is as good.
            match fs::DirBuilder::new().mode(0o700).create(place) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

impl Disk for LocalDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn SegmentFile>> {
        self.check_mount()?;
        if path.extension() == Some("part".as_ref()) && path.with_extension("").exists() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        let file = match options.open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.make_directory(path.parent().ok_or(error)?)?;
                options.open(path)
            }
            done => done,
        };
        Ok(Box::new(LocalFile(file?)))
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
        let is_gone = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
        match fs::hard_link(from, to) {
            Ok(()) => fs::remove_file(from)?,
            // An earlier attempt came so far, or further.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && is_same(from, to) => {
                fs::remove_file(from)?;
            }
            Err(error) if is_gone(&error) && to.exists() => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(error),
            // Not every file system has links.
            Err(_) if to.exists() => return Err(io::ErrorKind::AlreadyExists.into()),
            Err(_) => fs::rename(from, to)?,
        }
        sync(to.parent().ok_or(io::ErrorKind::NotFound)?)
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory that is removed in the end.
    struct Place(PathBuf);

    impl Place {
        fn new(name: &str) -> Place {
            let path = std::env::temp_dir().join(format!("witness-{}-{name}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Place(path)
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn kind<T>(done: io::Result<T>) -> Option<io::ErrorKind> {
        done.err().map(|error| error.kind())
    }

    #[test]
    fn a_directory_that_could_not_be_made_before_is_made_now() {
        let place = Place::new("made");
        let disk = LocalDisk::new(place.0.clone()).unwrap();
        let path = place.0.join("s/tracks/t/000001.pcapng.part");
        // A session that is gone is not begun again.
        assert_eq!(kind(disk.create(&path)), Some(io::ErrorKind::NotFound));
        fs::create_dir(place.0.join("s")).unwrap();
        disk.create(&path).unwrap().write(b"x").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"x");
        let mode = fs::metadata(path.parent().unwrap()).unwrap().mode();
        assert_eq!(mode & 0o777, 0o700);
        let outside = Path::new("/nowhere/tracks/t/1.part");
        assert_eq!(kind(disk.create(outside)), Some(io::ErrorKind::NotFound));
    }

    #[test]
    fn a_name_is_given_once_however_often_it_is_tried() {
        let place = Place::new("named");
        let disk = LocalDisk::new(place.0.clone()).unwrap();
        let (part, path) = (place.0.join("1.pcapng.part"), place.0.join("1.pcapng"));
        disk.create(&part).unwrap().write(b"one").unwrap();
        // Killed between link and unlink.
        fs::hard_link(&part, &path).unwrap();
        for _ in 0..2 {
            disk.finish(&part, &path).unwrap();
            assert!(!part.exists());
        }
        assert_eq!(kind(disk.create(&part)), Some(io::ErrorKind::AlreadyExists));
        fs::write(&part, b"another").unwrap();
        assert_eq!(kind(disk.finish(&part, &path)), Some(io::ErrorKind::AlreadyExists));
        assert_eq!(fs::read(&path).unwrap(), b"one");
    }
}
