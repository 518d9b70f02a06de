//! Divides what a subscriber's link can carry among its tracks.

use crate::api::{Layer, MediaKind};

/// A layer a track can be sent at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rung {
    /// The layer.
    pub layer: Layer,
    /// What it costs, all layers below it included.
    pub bps: u64,
}

/// One track of a subscriber.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Track<'a> {
    /// Audio is served before all video, and whatever the budget is.
    pub kind: MediaKind,
    /// Class; 0 is served first.
    pub priority: u8,
    /// What can be sent and is wanted, both layers and costs rising. Empty: nothing.
    pub ladder: &'a [Rung],
    /// What was chosen last.
    pub current: Option<Layer>,
    /// Whether a layer above `current` may be chosen.
    pub may_rise: bool,
}

/// Share of what is used that has to be left over before anything rises: the estimate of the
/// link and the costs of the layers both waver by less.
const HEADROOM: u64 = 10;

/// Chooses an index into the ladder of each track, `None` for nothing.
///
/// Audio first. Then class by class: the lowest layer for every track of the class, then one
/// layer more for each in turn, until nothing more fits; what is left goes to the next class. A
/// track whose next layer does not fit stays where it is, and others of its class go on.
///
/// Against flapping, a layer above the current one is chosen only if a tenth of what is used
/// would be left over, and not at all while `may_rise` is false.
///
/// Of the result: the sum never exceeds the budget unless audio alone does; if a larger budget
/// gives a track less, another track of its class or a better one gets more.
pub fn allocate(tracks: &[Track<'_>], budget_bps: u64, chosen: &mut Vec<Option<usize>>) {
    chosen.clear();
    chosen.resize(tracks.len(), None);
    let mut used = 0_u64;
    for (track, choice) in tracks.iter().zip(chosen.iter_mut()) {
        if track.kind == MediaKind::Audio
            && let Some(top) = track.ladder.len().checked_sub(1)
        {
            *choice = Some(top);
            used = used.saturating_add(track.ladder[top].bps);
        }
    }
    let mut class = Some(0);
    while let Some(priority) = class {
        let is_member =
            |track: &Track<'_>| track.kind == MediaKind::Video && track.priority == priority;
        serve(tracks, is_member, budget_bps, &mut used, chosen);
        let later = tracks.iter().map(|track| track.priority).filter(|other| *other > priority);
        class = later.min();
    }
}

/// Serves one class, a layer for each track in turn.
fn serve(
    tracks: &[Track<'_>],
    is_member: impl Fn(&Track<'_>) -> bool,
    budget_bps: u64,
    used: &mut u64,
    chosen: &mut [Option<usize>],
) {
    let longest = tracks.iter().map(|track| track.ladder.len()).max().unwrap_or(0);
    for round in 0..longest {
        for (track, choice) in tracks.iter().zip(chosen.iter_mut()) {
            // Tracks that stopped rising are below this round.
            let is_next = *choice == round.checked_sub(1);
            let Some(rung) = track.ladder.get(round).filter(|_| is_next && is_member(track)) else {
                continue;
            };
            let before = choice.map_or(0, |index| track.ladder[index].bps);
            let after = used.saturating_sub(before).saturating_add(rung.bps);
            let rises = Some(rung.layer) > track.current;
            let needed = if rises { after.saturating_add(after / HEADROOM) } else { after };
            if needed <= budget_bps && (track.may_rise || !rises) {
                *choice = Some(round);
                *used = after;
            }
        }
    }
}

/// Sorts a ladder's costs: of two layers where the better one costs no more, only that one stays.
pub fn prune(ladder: &mut Vec<Rung>) {
    let mut least = u64::MAX;
    for index in (0..ladder.len()).rev() {
        if ladder[index].bps >= least {
            ladder.remove(index);
        } else {
            least = ladder[index].bps;
        }
    }
}

#[cfg(test)]
mod tests;
