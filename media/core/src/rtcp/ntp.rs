//! NTP time as RTCP carries it (RFC 3550, section 4).

use std::time::Duration;

/// Seconds from the NTP epoch, 1900, to the Unix epoch, 1970.
const UNIX_EPOCH_S: u64 = 2_208_988_800;
const NANOS_PER_S: u64 = 1_000_000_000;

/// Wall clock: 32 bits of seconds since 1900, 32 bits of fraction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct NtpTime(pub u64);

impl NtpTime {
    /// From the time since the Unix epoch. Wraps with era 0 in 2036, as NTP does.
    pub fn from_unix(since_epoch: Duration) -> NtpTime {
        let seconds = since_epoch.as_secs().wrapping_add(UNIX_EPOCH_S);
        // Rounded up, so that converting back and forth keeps the nanosecond.
        let nanos = u64::from(since_epoch.subsec_nanos());
        NtpTime(seconds << 32 | (nanos << 32).div_ceil(NANOS_PER_S))
    }

    /// The time since the Unix epoch. Times before 1970 are taken to be of era 1, from 2036.
    pub fn to_unix(self) -> Duration {
        let seconds = self.0 >> 32;
        let era = if seconds < UNIX_EPOCH_S { 1 << 32 } else { 0 };
        let nanos = ((self.0 & 0xffff_ffff) * NANOS_PER_S) >> 32;
        Duration::new(seconds + era - UNIX_EPOCH_S, nanos as u32)
    }

    /// The middle 32 bits, in units of 1/65536 s: LSR and LRR of reports.
    pub fn middle(self) -> u32 {
        (self.0 >> 16) as u32
    }
}

/// A delay in units of 1/65536 s, as DLSR; more than 18 hours saturate.
pub fn duration_to_short(delay: Duration) -> u32 {
    let units = (delay.as_nanos() << 16) / u128::from(NANOS_PER_S);
    u32::try_from(units).unwrap_or(u32::MAX)
}

/// A delay from units of 1/65536 s.
pub fn short_to_duration(units: u32) -> Duration {
    Duration::from_nanos((u64::from(units) * NANOS_PER_S) >> 16)
}

/// Round-trip time from a report block that arrived at `now`: `None` before the first sender
/// report reached the other side, and if the clocks make it negative.
///
/// Spec: RFC 3550, section 6.4.1, figure 2.
pub fn round_trip(now: NtpTime, last_sr: u32, delay_since_last_sr: u32) -> Option<Duration> {
    if last_sr == 0 {
        return None;
    }
    let units = now.middle().wrapping_sub(last_sr).wrapping_sub(delay_since_last_sr);
    (units < 1 << 31).then(|| short_to_duration(units))
}
