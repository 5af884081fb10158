//! What is read when, so that everything is looked at in turn and the bridge is asked seldom: two requests a minute when it
//! is idle and a list of its slots every three, and two for each page of legs in a sweep (requirements.md section 3).

use crate::cms::ProfileKind;

/// One read of an idle bridge; each is one request, or one for each page of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdleRead {
    /// The status of the active call bridge: whether it was restarted.
    System,
    /// The status of another call bridge, counted among them.
    OtherSystem { index: usize },
    /// The calls on every call bridge: one request to each.
    Calls,
    /// The slots that carry their placeholder name: what is not among them was renamed, opened under a name, or deleted.
    Slots,
    /// This slot, counted among those that are known: only this shows that one was opened and kept its name.
    Slot { index: usize },
    /// One of the two profiles that every slot uses.
    Profile(ProfileKind),
    /// This profile for settings of meetings, counted among those that are known.
    SettingsProfile { index: usize },
    /// Spaces that are somebody else's: whether they still are.
    Foreign,
    /// The table of call bridges.
    Members,
}

fn modulo(number: u64, count: usize) -> usize {
    let count = u64::try_from(count.max(1)).unwrap_or(u64::MAX);
    usize::try_from(number % count).unwrap_or(0)
}

/// Idle reads until everything has had its turn, but for what seldom changes.
const ROUND: u64 = 6;

/// What an idle bridge is asked in its n-th read. Every second read is the status, so that a restart shows within two of
/// them; the others are calls and slots, and the two profiles. Once in five rounds the table of call bridges, or one slot,
/// takes the place of one status.
pub fn idle_reads(turn: u64, call_bridges: usize, slots: usize) -> Vec<IdleRead> {
    let round = turn / ROUND;
    match turn % ROUND {
        1 => vec![IdleRead::Calls, IdleRead::Slots],
        3 if call_bridges > 1 => {
            let index = modulo(round, call_bridges.saturating_sub(1));
            vec![IdleRead::Profile(ProfileKind::Call), IdleRead::OtherSystem { index }]
        }
        3 => vec![IdleRead::Profile(ProfileKind::Call)],
        4 if round % 10 == 4 => vec![IdleRead::Slot { index: modulo(round / 10, slots) }],
        4 if round % 10 == 9 => vec![IdleRead::Members],
        5 => vec![IdleRead::Profile(ProfileKind::CallLeg)],
        _ => vec![IdleRead::System],
    }
}

/// What a bridge with live meetings is asked after a sweep that is kept for it ([`SweepRead::Rest`], but for people of whom
/// it is open whether they were answered): what only an idle one would be asked otherwise, and in business hours none is idle. Everything has its turn within nine minutes.
pub fn busy_read(turn: u64, call_bridges: usize, slots: usize, profiles: usize) -> Option<IdleRead> {
    if !is_for_rest(turn) {
        return None;
    }
    let n = turn / REST_EVERY;
    let (round, place) = (n / 6, n % 6);
    let second = round.wrapping_mul(2).wrapping_add(place / 2);
    Some(match place {
        0 => IdleRead::Profile(ProfileKind::Call),
        1 | 3 if profiles > 0 => IdleRead::SettingsProfile { index: modulo(second, profiles) },
        1 | 3 => IdleRead::Slot { index: modulo(second, slots) },
        2 => IdleRead::Profile(ProfileKind::CallLeg),
        4 if call_bridges > 1 && !round.is_multiple_of(4) => {
            IdleRead::OtherSystem { index: modulo(round.saturating_sub(round / 4), call_bridges.saturating_sub(1)) }
        }
        4 => IdleRead::Members,
        _ if round.is_multiple_of(2) => IdleRead::Foreign,
        _ => IdleRead::Slot { index: modulo(round / 2, slots) },
    })
}

/// One sweep in so many is kept for the rest.
const REST_EVERY: u64 = 6;

fn is_for_rest(turn: u64) -> bool {
    turn % REST_EVERY == 4
}

/// What the list of legs, with which every sweep begins, told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SweepSigns {
    /// A call that had legs has none any more: it may be gone (the bridge may have been restarted).
    pub lost_witness: bool,
    /// Some calls have no legs, so that only the list of calls shows them.
    pub unwitnessed: bool,
    /// Legs of which nobody knows yet whether they were answered.
    pub unsure_legs: usize,
    /// Pages that the list of legs needed.
    pub pages: usize,
    /// The bridge is one of a cluster.
    pub is_clustered: bool,
    /// Meetings whose spaces are looked at by turns.
    pub live: usize,
}

/// The second half of a sweep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SweepRead {
    Calls,
    /// The status: whether it was restarted.
    System,
    /// The free slots.
    Slots,
    /// Something else than a list or object of this sweep ([`busy_read`]).
    Rest,
    /// Who is in through other call bridges.
    Remote,
    /// Single objects: so many unsure legs, and the spaces of so many meetings. Of both, those come first that were looked
    /// at longest ago.
    Singles {
        legs: usize,
        spaces: usize,
    },
}

/// What a sweep reads after the list of legs: as many single objects as that list had pages, or one further list. People
/// come first, but nothing is kept from its turn for ever: a leg may ring on and on, and a call may stay without one.
pub fn sweep_read(turn: u64, signs: SweepSigns) -> SweepRead {
    let place = turn % 12;
    match place {
        _ if signs.lost_witness => SweepRead::Calls,
        // What an idle bridge is read for as well.
        3 => SweepRead::System,
        11 => SweepRead::Slots,
        // Whether somebody was answered is not left open for two sweeps.
        7 if signs.unsure_legs > 0 => singles(signs, 1),
        _ if signs.unsure_legs > 0 => singles(signs, 0),
        7 => SweepRead::System,
        _ if is_for_rest(turn) => SweepRead::Rest,
        _ if place.is_multiple_of(2) && signs.unwitnessed => SweepRead::Calls,
        1 | 9 if signs.is_clustered => SweepRead::Remote,
        9 => SweepRead::Calls,
        _ => singles(signs, 0),
    }
}

/// Unsure legs, and spaces with what is left; `least` is kept for spaces.
fn singles(signs: SweepSigns, least: usize) -> SweepRead {
    let budget = signs.pages.max(1);
    let legs = signs.unsure_legs.min(budget.saturating_sub(least.min(signs.live)));
    SweepRead::Singles { legs, spaces: budget.saturating_sub(legs).min(signs.live) }
}

#[cfg(test)]
mod tests;
