//! How far apart the turns of a media thread are in dense traffic.

use std::time::Duration;

/// What waking up costs is shared by all packets of that time. It is also the most a packet waits
/// for that reason.
const USUAL: Duration = Duration::from_micros(200);
/// The same for a thread that has much to do: there packets wait for each other, not for turns, and
/// twice as many at a time cost a tenth less.
const BUSY: Duration = Duration::from_micros(400);
const BUSY_FROM: f64 = 0.7;
/// The longer turns make the thread less busy; that must not bring back the shorter ones.
const BUSY_UNTIL: f64 = 0.6;

/// Follows the load of the thread.
#[derive(Debug)]
pub(crate) struct TurnPeriod(Duration);

impl Default for TurnPeriod {
    fn default() -> TurnPeriod {
        TurnPeriod(USUAL)
    }
}

impl TurnPeriod {
    /// From the start of a turn to that of the next, at least.
    pub(crate) fn get(&self) -> Duration {
        self.0
    }

    /// Takes over what share of the last second the thread was busy.
    pub(crate) fn update(&mut self, load: f64) {
        if load >= BUSY_FROM {
            self.0 = BUSY;
        } else if load < BUSY_UNTIL {
            self.0 = USUAL;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_are_longer_from_a_high_load_until_a_low_one() {
        let mut period = TurnPeriod::default();
        let table =
            [(0.0, USUAL), (0.69, USUAL), (0.7, BUSY), (0.61, BUSY), (0.59, USUAL), (0.65, USUAL)];
        for (load, expected) in table {
            period.update(load);
            assert_eq!(period.get(), expected, "{load}");
        }
    }
}
