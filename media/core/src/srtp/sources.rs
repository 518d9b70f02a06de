//! The replay windows of one direction, by SSRC.

use std::mem::size_of;

use super::SrtpError;
use super::index::ReplayWindow;

/// Windows of the sources that were authenticated. A transport has a handful of them, all at work
/// all the time: a list in order of appearance, searched from its end, is found in one or two
/// cache lines, where a hash table would need as many and a hash.
#[derive(Debug, Default)]
pub(super) struct Sources {
    ssrcs: Vec<u32>,
    windows: Vec<ReplayWindow>,
}

impl Sources {
    /// Runs `action` on the window of a source; a new source is kept only if it succeeds.
    ///
    /// # Errors
    ///
    /// What `action` says, and [`SrtpError::LimitReached`] for one source too many.
    pub(super) fn with<T>(
        &mut self,
        max_ssrcs: usize,
        ssrc: u32,
        action: impl FnOnce(&mut ReplayWindow) -> Result<T, SrtpError>,
    ) -> Result<T, SrtpError> {
        if let Some(index) = self.position(ssrc) {
            return action(&mut self.windows[index]);
        }
        if self.ssrcs.len() >= max_ssrcs {
            return Err(SrtpError::LimitReached);
        }
        let mut window = ReplayWindow::default();
        let result = action(&mut window)?;
        self.ssrcs.push(ssrc);
        self.windows.push(window);
        Ok(result)
    }

    /// Forgets a source.
    pub(super) fn remove(&mut self, ssrc: u32) {
        if let Some(index) = self.position(ssrc) {
            self.ssrcs.remove(index);
            self.windows.remove(index);
        }
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.ssrcs.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.ssrcs.len()
    }

    /// Bytes on the heap.
    pub(super) fn memory_bytes(&self) -> usize {
        self.ssrcs.capacity() * size_of::<u32>()
            + self.windows.capacity() * size_of::<ReplayWindow>()
    }

    #[inline]
    fn position(&self, ssrc: u32) -> Option<usize> {
        self.ssrcs.iter().rposition(|known| *known == ssrc)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_kept_only_if_its_first_packet_succeeds() {
        let mut sources = Sources::default();
        let failed: Result<(), _> = sources.with(2, 7, |_| Err(SrtpError::Authentication));
        assert_eq!(failed, Err(SrtpError::Authentication));
        assert!(sources.is_empty());
        for ssrc in [7, 8] {
            sources
                .with(2, ssrc, |window| {
                    window.accept(u64::from(ssrc));
                    Ok(())
                })
                .unwrap();
        }
        assert_eq!(sources.with(2, 9, |_| Ok(())), Err(SrtpError::LimitReached));
        assert_eq!(sources.with(2, 7, |window| Ok(window.newest())), Ok(Some(7)));
        sources.remove(7);
        assert_eq!(sources.with(2, 8, |window| Ok(window.newest())), Ok(Some(8)));
        assert_eq!(sources.with(2, 7, |window| Ok(window.newest())), Ok(None));
        assert_eq!(sources.len(), 2);
    }
}
