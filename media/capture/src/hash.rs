//! Digests of what was written, made by a thread of their own for many files at once.

use std::collections::HashMap;
use std::sync::mpsc::{Receiver, SyncSender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};

use crate::sm3::{Sm3, update_all};
use crate::track::Done;

/// Pieces of files that may wait to be hashed, and as many more that are being hashed; each has
/// about 48 KiB at most.
pub const HASHING: usize = 256;
/// With fewer pieces at hand it is waited for more: together they cost less.
const WORTHWHILE: usize = 32;
const GATHER: Duration = Duration::from_millis(20);

/// Both digests of a file, as far as it was hashed.
pub(crate) struct Digests {
    sha256: Context,
    sm3: Sm3,
}

impl Digests {
    pub(crate) fn shared() -> Arc<Mutex<Digests>> {
        Arc::new(Mutex::new(Digests { sha256: Context::new(&SHA256), sm3: Sm3::default() }))
    }

    /// SHA-256 and SM3 of all that was hashed.
    pub(crate) fn finish(&self) -> ([u8; 32], [u8; 32]) {
        let sha256 = self.sha256.clone().finish();
        (sha256.as_ref().try_into().expect("SHA-256 has 32 bytes"), self.sm3.clone().finish())
    }
}

/// Bytes that are in a file and not yet in its digests.
pub(crate) struct Written {
    pub(crate) digests: Arc<Mutex<Digests>>,
    pub(crate) bytes: Vec<u8>,
}

pub(crate) fn locked(digests: &Mutex<Digests>) -> MutexGuard<'_, Digests> {
    digests.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Hashes what comes and hands on the rest, in order; ends when its sender does.
pub(crate) fn run(from: &Receiver<Done>, to: &SyncSender<Done>) {
    while let Ok(first) = from.recv() {
        let mut batch = vec![first];
        batch.extend(from.try_iter().take(HASHING));
        if batch.len() < WORTHWHILE {
            std::thread::sleep(GATHER);
            batch.extend(from.try_iter().take(HASHING));
        }
        for done in hash(batch) {
            // Fails only when the other thread has died; then nothing can be reported.
            let _ = to.send(done);
        }
    }
}

/// What is to be hashed of one file, in order.
struct File {
    digests: Arc<Mutex<Digests>>,
    pieces: Vec<Vec<u8>>,
}

/// Enters written bytes into their files' digests; returns the rest.
pub(crate) fn hash(batch: Vec<Done>) -> Vec<Done> {
    let mut rest = Vec::new();
    let mut files: Vec<File> = Vec::new();
    let mut known = HashMap::new();
    for done in batch {
        match done {
            Done::Written(Written { digests, bytes }) => {
                let at = *known.entry(Arc::as_ptr(&digests)).or_insert(files.len());
                if at == files.len() {
                    files.push(File { digests, pieces: Vec::new() });
                }
                files[at].pieces.push(bytes);
            }
            other => rest.push(other),
        }
    }
    let mut open: Vec<_> = files.iter().map(|file| locked(&file.digests)).collect();
    let longest = files.iter().map(|file| file.pieces.len()).max().unwrap_or(0);
    for turn in 0..longest {
        let mut jobs: Vec<(&mut Sm3, &[u8])> = Vec::with_capacity(files.len());
        for (digests, file) in open.iter_mut().zip(&files) {
            let Some(bytes) = file.pieces.get(turn) else { continue };
            digests.sha256.update(bytes);
            jobs.push((&mut digests.sm3, bytes));
        }
        update_all(&mut jobs);
    }
    rest
}
