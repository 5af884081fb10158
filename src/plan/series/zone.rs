//! Which moment a local time is. The zone data are in the binary, so that no image lacks them and all processes agree.

use std::sync::LazyLock;

use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone, TimeZoneDatabase};
use jiff::{SignedDuration, Timestamp};

static ZONES: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

/// The zone of this IANA name, if there is one.
pub fn zone(name: &str) -> Option<TimeZone> {
    ZONES.get(name).ok()
}

/// The moment of a local time (RFC 5545, section 3.3.5).
///
/// If clocks go forward over it, it is taken with the offset from before: at 2:30 in a night in which 2:00 becomes 3:00
/// clocks show 3:30. If they go back and show it twice, it is the first of the two. None: the zone leaves out that whole
/// day (Samoa, 30 December 2011), and with it what was to be on it.
pub fn moment(zone: &TimeZone, at: DateTime) -> Option<Timestamp> {
    let ambiguous = zone.to_ambiguous_timestamp(at);
    if let AmbiguousOffset::Gap { before, after } = ambiguous.offset() {
        let gap = SignedDuration::from_secs(i64::from(after.seconds()) - i64::from(before.seconds()));
        if gap >= SignedDuration::from_hours(24) {
            return None;
        }
    }
    ambiguous.compatible().ok()
}

/// What clocks in the zone show at a moment.
pub fn local(zone: &TimeZone, at: Timestamp) -> DateTime {
    zone.to_datetime(at)
}

#[cfg(test)]
mod tests;
