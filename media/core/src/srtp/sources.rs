//! Packet indices of every source of one direction, those that ended included.
//!
//! Without its replay window a source's recorded packets would authenticate once more, so none
//! is forgotten while the keys live. A source that ended shrinks to its SSRC and newest index.

use std::mem::size_of;

use media_prefetch::{prefetch, prefetch_all};

use super::index::ReplayWindow;
use super::{MAX_SSRCS_PER_LIFE, SrtpError};

/// For which sources a window is kept after an authentic packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keep {
    /// For any, one that had ended included: it goes on.
    Any,
    /// For new ones. One that had ended stays so: what it still sends must come in order.
    New,
    /// For none: nothing is stored about a stranger.
    Known,
}

/// Replay windows by SSRC.
///
/// A transport has a handful of live sources, all at work all the time: a list in order of
/// appearance, searched from its end, is found in one or two cache lines, where a hash table would
/// need as many and a hash.
///
/// Fields lie in memory as they stand here: what is needed together lies together.
#[derive(Debug)]
#[repr(C)]
pub(super) struct SourceTable {
    ssrcs: Vec<u32>,
    /// In the order of `ssrcs`.
    windows: Vec<ReplayWindow>,
    /// SSRC and newest index of sources that ended, ordered by SSRC.
    ended: Vec<(u32, u64)>,
    max_live: usize,
}

impl SourceTable {
    pub(super) fn new(max_live: usize) -> SourceTable {
        SourceTable { ssrcs: Vec::new(), windows: Vec::new(), ended: Vec::new(), max_live }
    }

    /// Changes how many windows are kept at a time. Known ones stay.
    pub(super) fn set_max_live(&mut self, max_live: usize) {
        self.max_live = max_live;
    }

    pub(super) fn live(&self) -> usize {
        self.ssrcs.len()
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.ssrcs.is_empty() && self.ended.is_empty()
    }

    /// Whether packets of the source are told from replays.
    pub(super) fn knows(&self, ssrc: u32) -> bool {
        self.position(ssrc).is_some() || self.place(ssrc).is_ok()
    }

    /// Runs `action` on the window of a source. What it changes is kept only if it succeeds.
    #[inline]
    pub(super) fn with<T>(
        &mut self,
        ssrc: u32,
        keep: Keep,
        action: impl FnOnce(&mut ReplayWindow) -> Result<T, SrtpError>,
    ) -> Result<T, SrtpError> {
        match self.position(ssrc) {
            Some(index) => action(&mut self.windows[index]),
            None => self.with_other(ssrc, keep, action),
        }
    }

    fn with_other<T>(
        &mut self,
        ssrc: u32,
        keep: Keep,
        action: impl FnOnce(&mut ReplayWindow) -> Result<T, SrtpError>,
    ) -> Result<T, SrtpError> {
        let place = self.place(ssrc);
        let becomes_live = match place {
            Ok(_) => keep == Keep::Any,
            Err(_) => keep != Keep::Known,
        };
        if becomes_live && !self.has_room(place.is_err()) {
            return Err(SrtpError::LimitReached);
        }
        let mut window = place
            .map_or_else(|_| ReplayWindow::default(), |at| ReplayWindow::ended(self.ended[at].1));
        let result = action(&mut window)?;
        match (place, becomes_live) {
            (Ok(at), false) => self.ended[at].1 = window.newest().unwrap_or(self.ended[at].1),
            (Ok(at), true) => {
                self.ended.remove(at);
                self.add(ssrc, window);
            }
            (Err(_), true) => {
                self.add(ssrc, window);
            }
            (Err(_), false) => {}
        }
        Ok(result)
    }

    /// Whether another window may be kept, of a source never heard of or of one that had ended.
    fn has_room(&self, is_new: bool) -> bool {
        let all = self.live() + self.ended.len();
        self.live() < self.max_live && !(is_new && all >= MAX_SSRCS_PER_LIFE)
    }

    /// Shrinks a source that ended.
    pub(super) fn end(&mut self, ssrc: u32) {
        let Some(index) = self.position(ssrc) else { return };
        self.ssrcs.remove(index);
        let Some(newest) = self.windows.remove(index).newest() else { return };
        if let Err(at) = self.place(ssrc) {
            self.ended.insert(at, (ssrc, newest));
        }
    }

    fn add(&mut self, ssrc: u32, window: ReplayWindow) {
        self.ssrcs.push(ssrc);
        self.windows.push(window);
    }

    /// Has fetched which sources there are.
    #[inline]
    pub(super) fn prefetch(&self) {
        prefetch(&self.ssrcs[..]);
    }

    /// Has fetched the window of one, a moment later.
    #[inline]
    pub(super) fn prefetch_window(&self, ssrc: u32) {
        let window = self.position(ssrc).and_then(|index| self.windows.get(index));
        window.into_iter().for_each(prefetch_all);
    }

    #[inline]
    fn position(&self, ssrc: u32) -> Option<usize> {
        self.ssrcs.iter().rposition(|known| *known == ssrc)
    }

    fn place(&self, ssrc: u32) -> Result<usize, usize> {
        self.ended.binary_search_by_key(&ssrc, |(ended, _)| *ended)
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.ssrcs.capacity() * size_of::<u32>()
            + self.windows.capacity() * size_of::<ReplayWindow>()
            + self.ended.capacity() * size_of::<(u32, u64)>()
    }
}
