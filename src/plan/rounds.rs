//! What is read when, so that everything is looked at in turn and the bridge is asked seldom: at most one request a minute
//! when it is idle, and two for each page of legs in a sweep (requirements.md section 3).

/// One read of an idle bridge; each is one request, or one for each page of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdleRead {
    /// The status of this call bridge, counted among those that can be asked.
    System {
        call_bridge: usize,
    },
    /// The calls on this call bridge.
    Calls {
        call_bridge: usize,
    },
    /// This slot, counted among those that are known.
    Slot {
        index: usize,
    },
    CallProfile,
    CallLegProfile,
    /// The table of call bridges.
    Members,
}

fn modulo(number: u64, count: usize) -> usize {
    let count = u64::try_from(count.max(1)).unwrap_or(u64::MAX);
    usize::try_from(number % count).unwrap_or(0)
}

/// What an idle bridge is asked in its n-th read. Of four reads two are slots and one is a list of calls; the fourth is
/// the status, or in its place, once in 32 reads, one of those that seldom change. Status and calls go round the call
/// bridges.
pub fn idle_read(turn: u64, call_bridges: usize, slots: usize) -> IdleRead {
    let four = turn / 4;
    match (turn % 4, four % 8) {
        (0, 1) => IdleRead::CallProfile,
        (0, 3) => IdleRead::CallLegProfile,
        (0, 5) => IdleRead::Members,
        (0, _) => IdleRead::System { call_bridge: modulo(four / 2, call_bridges) },
        (1, _) => IdleRead::Calls { call_bridge: modulo(four, call_bridges) },
        _ => IdleRead::Slot { index: modulo(four * 2 + turn % 2, slots) },
    }
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
    /// Who is in through other call bridges.
    Remote,
    /// Single objects: so many unsure legs, and the spaces of these meetings.
    Singles {
        legs: usize,
        spaces: Vec<usize>,
    },
}

/// What a sweep reads after the list of legs: as many single objects as that list had pages, or one further list.
pub fn sweep_read(turn: u64, signs: SweepSigns) -> SweepRead {
    if signs.lost_witness || (turn.is_multiple_of(2) && signs.unwitnessed) {
        return SweepRead::Calls;
    }
    if signs.unsure_legs == 0 && turn % 4 == 1 && signs.is_clustered {
        return SweepRead::Remote;
    }
    let budget = signs.pages.max(1);
    let legs = signs.unsure_legs.min(budget);
    let rest = budget.saturating_sub(legs);
    let start = (turn / 2).wrapping_mul(u64::try_from(rest.max(1)).unwrap_or(1));
    let index = |offset: usize| modulo(start.wrapping_add(u64::try_from(offset).unwrap_or(0)), signs.live);
    SweepRead::Singles { legs, spaces: (0..rest.min(signs.live)).map(index).collect() }
}

#[cfg(test)]
mod tests;
