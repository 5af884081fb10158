//! The slots of a bridge as lists and single looks show them: which exist, which are foreign, which are missing (R23, R57).

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use crate::api::names::is_mark;
use crate::cms::{Space, SpaceId};

/// The slots known on the bridge, by number, whether inside the wanted range or not.
#[derive(Clone, Debug, Default)]
pub struct SlotSpaces {
    prefix: String,
    slots: BTreeMap<u32, Space>,
    by_space: BTreeMap<SpaceId, u32>,
    /// Spaces that a look found gone.
    gone: BTreeSet<SpaceId>,
    /// Every space was listed, not only those that carry the placeholder name. So what is missing is missing.
    pub complete: bool,
}

/// Is this space, as a list or a single look shows it, somebody else's?
///
/// A space with our own mark is never foreign, whichever meeting it names: a slot of a meeting that ended while the
/// bridge was away is shut by the sweep. Otherwise a changed name, or an open door, is somebody else's doing (R57).
pub fn is_foreign(space: &Space, placeholder: &str) -> bool {
    if space.cdr_tag.as_deref().is_some_and(is_mark) {
        return false;
    }
    let has_detail = space.non_member_access.is_some();
    let is_open = space.non_member_access == Some(true);
    // A list carries no mark: a changed name alone is only suspicious, and the caller looks at the space itself.
    is_open || (has_detail && space.name != placeholder)
}

/// Does the look at this space leave open whose it is? Then the single object must be looked at.
pub fn is_doubtful(space: &Space, placeholder: &str) -> bool {
    space.non_member_access.is_none() && space.name != placeholder
}

/// The slot number of a space: its user part and its call id, which are the same number without padding. A list that shows
/// no call id is believed.
fn number_of(space: &Space) -> Option<u32> {
    let uri = space.uri.as_deref()?;
    let number: u32 = uri.parse().ok()?;
    let plain = number.to_string();
    let same_call_id = space.call_id.as_deref().is_none_or(|call_id| call_id == plain);
    (uri == plain && same_call_id).then_some(number)
}

impl SlotSpaces {
    /// No slots yet; they slots carry `prefix` while they are free.
    pub fn new(prefix: &str) -> Self {
        Self { prefix: prefix.to_owned(), ..Self::default() }
    }

    /// What the names of free slots begin with.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Name of the slot's space while no meeting holds it.
    pub fn placeholder(&self, number: u32) -> String {
        format!("{}{number}", self.prefix)
    }

    /// Takes in a list. Only numbers of the bridge's slots are slots; whatever else carries a placeholder name is another
    /// scheduler's, who uses the same prefix. Details known of the same space from a single look are kept only if the
    /// list does not contradict them. What a list of everything does not show does not exist.
    pub fn take_list(&mut self, items: Vec<Space>, is_slot: impl Fn(u32) -> bool, complete: bool) {
        self.complete = complete;
        if complete {
            let listed: BTreeSet<&SpaceId> = items.iter().map(|item| &item.id).collect();
            self.slots.retain(|_, space| listed.contains(&space.id));
            self.by_space.retain(|id, _| listed.contains(id));
            self.gone.clear();
        }
        for item in items {
            let Some(number) = number_of(&item) else { continue };
            if !is_slot(number) {
                continue;
            }
            let keep = self.slots.get(&number).is_some_and(|known| {
                known.id == item.id && known.name == item.name && known.non_member_access.is_some()
            });
            if !keep {
                self.insert(number, item);
            }
        }
    }

    /// Takes in a look at one space; None: it does not exist any more.
    pub fn take_space(&mut self, id: &SpaceId, space: Option<Space>) {
        let number = self.by_space.get(id).copied();
        match space {
            Some(space) => {
                if let Some(number) = number.or_else(|| number_of(&space)) {
                    self.insert(number, space);
                }
            }
            None => {
                if let Some(number) = number {
                    self.slots.remove(&number);
                    self.by_space.remove(id);
                }
                self.gone.insert(id.clone());
                // Its number may have got another space since (a foreign bulk sync): list again before making one.
                self.complete = false;
            }
        }
    }

    /// Did a look find that this space does not exist any more? One that is only not listed is not known to be gone: a
    /// list by name does not show busy slots.
    pub fn is_gone(&self, id: &SpaceId) -> bool {
        self.gone.contains(id)
    }

    fn insert(&mut self, number: u32, space: Space) {
        if let Some(old) = self.slots.remove(&number) {
            self.by_space.remove(&old.id);
        }
        self.gone.remove(&space.id);
        self.by_space.insert(space.id.clone(), number);
        self.slots.insert(number, space);
    }

    /// Forgets one slot (its space was removed).
    pub fn remove(&mut self, number: u32) {
        if let Some(old) = self.slots.remove(&number) {
            self.by_space.remove(&old.id);
        }
    }

    /// The space of a slot.
    pub fn space(&self, number: u32) -> Option<&Space> {
        self.slots.get(&number)
    }

    /// The slot of a space.
    pub fn number(&self, id: &SpaceId) -> Option<u32> {
        self.by_space.get(id).copied()
    }

    /// Every known slot, by number.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &Space)> {
        self.slots.iter().map(|(number, space)| (*number, space))
    }

    /// Numbers of the range that no space has.
    pub fn missing(&self, range: &RangeInclusive<u32>) -> Vec<u32> {
        range.clone().filter(|number| !self.slots.contains_key(number)).collect()
    }

    /// Is anything of the range there?
    pub fn is_empty_in(&self, range: &RangeInclusive<u32>) -> bool {
        self.slots.range(range.clone()).next().is_none()
    }

    /// Slots that are somebody else's; `held` are those that our meetings hold.
    pub fn foreign(&self, held: &BTreeSet<u32>) -> BTreeSet<u32> {
        self.iter()
            .filter(|(number, space)| !held.contains(number) && is_foreign(space, &self.placeholder(*number)))
            .map(|(number, _)| number)
            .collect()
    }

    /// A slot that nobody of ours holds and whose list entry leaves open whose it is.
    pub fn doubtful(&self, held: &BTreeSet<u32>) -> Option<(u32, &Space)> {
        self.iter().find(|(number, space)| !held.contains(number) && is_doubtful(space, &self.placeholder(*number)))
    }

    /// A slot that nobody of ours holds and that only a list showed: whether it is open is not known.
    pub fn unseen(&self, held: &BTreeSet<u32>) -> Option<(u32, &Space)> {
        self.iter().find(|(number, space)| !held.contains(number) && space.non_member_access.is_none())
    }

    /// Is it known of every slot of the range whose it is, or that it does not exist?
    pub fn is_read(&self, range: &RangeInclusive<u32>, held: &BTreeSet<u32>) -> bool {
        (self.complete || self.missing(range).is_empty()) && self.doubtful(held).is_none()
    }

    /// A slot that carries our mark although no meeting of ours holds it: it was left open and must be shut (R78).
    pub fn left_open(&self, held: &BTreeSet<u32>) -> Option<(u32, &Space)> {
        self.iter().find(|(number, space)| !held.contains(number) && space.cdr_tag.as_deref().is_some_and(is_mark))
    }

    /// What a write did to a slot: shut, with its placeholder name and without mark.
    pub fn set_shut(&mut self, number: u32) {
        let name = self.placeholder(number);
        if let Some(space) = self.slots.get_mut(&number) {
            space.name = name;
            space.non_member_access = Some(false);
            space.passcode = None;
            space.secret = None;
            space.cdr_tag = None;
        }
    }
}

/// Splits sorted numbers into contiguous ranges.
pub fn ranges(numbers: &[u32]) -> Vec<RangeInclusive<u32>> {
    let mut ranges: Vec<RangeInclusive<u32>> = Vec::new();
    for number in numbers {
        match ranges.last_mut() {
            Some(last) if last.end().checked_add(1) == Some(*number) => *last = *last.start()..=*number,
            _ => ranges.push(*number..=*number),
        }
    }
    ranges
}

#[cfg(test)]
mod tests;
