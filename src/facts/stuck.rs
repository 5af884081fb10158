//! Slots with which the bridge would not do something: they are given to nobody for a while, and tried again.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::cms::{Space, SpaceId};

/// What the bridge would not do with a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StuckBy {
    /// Delete an access method that a meeting of ours left there: the next one could not open there either.
    Method,
    /// Show its space.
    Unread,
    /// Shut it, although a meeting of ours left it open.
    Open,
    /// End a call that was left there.
    Call,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stuck {
    pub by: StuckBy,
    /// What the bridge said last, and when.
    pub words: String,
    at: Timestamp,
    /// How often in a row.
    pub times: u32,
    /// It is time to try again.
    is_due: bool,
}

/// All of them.
#[derive(Clone, Debug, Default)]
pub struct StuckSlots(BTreeMap<(SpaceId, StuckBy), Stuck>);

impl StuckSlots {
    fn of(&self, id: &SpaceId, by: StuckBy) -> Option<&Stuck> {
        self.0.get(&(id.clone(), by))
    }

    /// The bridge would not do this.
    pub fn set(&mut self, id: &SpaceId, by: StuckBy, words: String, at: Timestamp) {
        let times = self.of(id, by).map_or(0, |before| before.times).saturating_add(1);
        self.0.insert((id.clone(), by), Stuck { by, words, at, times, is_due: false });
    }

    /// Nothing of the kind is in the way any more.
    pub fn free(&mut self, id: &SpaceId, by: StuckBy) {
        self.0.remove(&(id.clone(), by));
    }

    /// Is it of no use to ask again now?
    pub fn rests(&self, id: &SpaceId, by: StuckBy) -> bool {
        self.of(id, by).is_some_and(|stuck| !stuck.is_due)
    }

    /// Was it refused more than once, with a pause between?
    pub fn is_lasting(&self, id: &SpaceId, by: StuckBy) -> bool {
        self.of(id, by).is_some_and(|stuck| stuck.times > 1)
    }

    /// Each space, and what is the matter with it.
    pub fn iter(&self) -> impl Iterator<Item = (&SpaceId, &Stuck)> {
        self.0.iter().map(|((id, _), stuck)| (id, stuck))
    }

    /// Those that have rested for as long as `rest` says are due. Returns them.
    pub fn end_rests(&mut self, now: Timestamp, rest: impl Fn(&Stuck) -> SignedDuration) -> Vec<(SpaceId, StuckBy)> {
        let mut rested = Vec::new();
        for ((id, by), stuck) in &mut self.0 {
            if now.duration_since(stuck.at) >= rest(stuck) {
                stuck.is_due = true;
                rested.push((id.clone(), *by));
            }
        }
        rested
    }

    /// A look showed the space, or that it is gone. `is_ours`: it carries a mark of ours.
    pub fn look(&mut self, id: &SpaceId, shown: Option<&Space>, is_ours: bool) {
        let stays = |by: StuckBy, space: &Space| match by {
            StuckBy::Method => space.access_methods.unwrap_or_default() > 0,
            StuckBy::Open => is_ours,
            StuckBy::Unread | StuckBy::Call => false,
        };
        self.0.retain(|(known, by), _| known != id || shown.is_some_and(|space| stays(*by, space)));
    }
}
