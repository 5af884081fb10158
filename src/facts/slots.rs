//! The slots of a bridge as lists and single looks show them: which exist, which are foreign, which are missing (R23, R57).

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

pub use super::shown::ShownFields;
pub use super::stuck::{Stuck, StuckBy, StuckSlots};
use crate::api::bridge::ProfileIds;
use crate::api::marks::{Marks, is_mark};
use crate::cms::{Space, SpaceId};

/// Whose the space of a slot is, as a look at it alone shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Shut, with its placeholder name, of no tenant: nobody uses it.
    Free,
    /// It carries a mark of ours, whichever meeting that names: a slot of a meeting that ended while the bridge was away is
    /// shut by the bridge's own pass (R78).
    Marked,
    /// Somebody else's, or not proven to be free (R57).
    Foreign,
}

/// The one rule of ownership. A reply without `nonMemberAccess` proves nothing: the bridge's own default is open to all.
pub fn standing(space: &Space, placeholder: &str, marks: &Marks) -> Standing {
    if space.cdr_tag.as_deref().is_some_and(|tag| marks.is_ours(tag)) {
        return Standing::Marked;
    }
    let is_free = space.non_member_access == Some(false) && space.name == placeholder && space.tenant.is_none();
    if is_free { Standing::Free } else { Standing::Foreign }
}

/// Is this space, as a look at it alone shows it, somebody else's?
pub fn is_foreign(space: &Space, placeholder: &str, marks: &Marks) -> bool {
    standing(space, placeholder, marks) == Standing::Foreign
}

/// How a slot came to be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum View {
    /// By a list, which shows names and numbers only.
    Listed,
    /// A list contradicts what was known.
    Doubted,
    /// By a look at the space alone, or by our own write.
    Looked,
}

#[derive(Clone, Debug)]
struct Slot {
    space: Space,
    view: View,
}

/// The slots known on the bridge, by number, whether inside the wanted range or not.
#[derive(Clone, Debug, Default)]
pub struct SlotSpaces {
    prefix: String,
    marks: Marks,
    /// Numbers whose spaces a bulk sync of ours made, and told to be shut.
    pub made: Vec<RangeInclusive<u32>>,
    slots: BTreeMap<u32, Slot>,
    by_space: BTreeMap<SpaceId, u32>,
    /// Numbers that something else has, so that there is no slot: the space, if a list shows it (an IVR, a user or an
    /// access method does not show).
    taken: BTreeMap<u32, Option<Space>>,
    /// Spaces that a look found gone.
    gone: BTreeSet<SpaceId>,
    /// Spaces with which nothing can be done for a while.
    pub stuck: StuckSlots,
    /// What looks have shown.
    pub shown_fields: ShownFields,
    /// Every space was listed, not only those that carry the placeholder name. So what is missing is missing.
    pub complete: bool,
    /// Every space was listed again and again, and each list was known to be incomplete: it is gone on with what they show.
    pub exhausted: bool,
}

/// The slot number of a space: its user part and its call id, which are the same number without padding. A list that shows
/// no call id is believed.
fn number_of(space: &Space) -> Option<u32> {
    let number = plain(space.uri.as_deref()?)?;
    let same_call_id = space.call_id.as_deref().is_none_or(|call_id| plain(call_id) == Some(number));
    same_call_id.then_some(number)
}

/// Does this space show other numbers than those of the slot that it is taken for?
pub fn is_renumbered(space: &Space, number: u32) -> bool {
    space.uri.is_some() && number_of(space) != Some(number)
}

/// Does an item of a list show something else than the look before? Lists of a CMS carry names and numbers only, others
/// may show more.
fn contradicts(listed: &Space, known: &Space) -> bool {
    let tag = |space: &Space| space.cdr_tag.clone().filter(|tag| !tag.is_empty());
    let is_otherwise = listed.non_member_access.is_some() && listed.non_member_access != known.non_member_access;
    is_otherwise || (listed.cdr_tag.is_some() && tag(listed) != tag(known))
}

/// A number as a slot has it.
fn plain(text: &str) -> Option<u32> {
    text.parse().ok().filter(|number: &u32| number.to_string() == text)
}

/// Every number that this space keeps from others.
fn numbers_of(space: &Space) -> impl Iterator<Item = u32> {
    [&space.uri, &space.secondary_uri, &space.call_id].into_iter().filter_map(|text| plain(text.as_deref()?))
}

impl SlotSpaces {
    /// No slots yet; they carry `prefix` while they are free, and one of `marks` while a meeting of ours is in them.
    pub fn new(prefix: &str, marks: &Marks) -> Self {
        Self { prefix: prefix.to_owned(), marks: marks.clone(), ..Self::default() }
    }

    /// Name of the slot's space while no meeting holds it.
    pub fn placeholder(&self, number: u32) -> String {
        format!("{}{number}", self.prefix)
    }

    /// Takes in a list. Only numbers of the bridge's slots are slots; whatever else carries a placeholder name is another
    /// scheduler's, who uses the same prefix, and a tenant's space is the tenant's. What was known of the same space from
    /// a look stands unless the list contradicts it; one that the list should show and does not is in doubt. What a list
    /// of everything does not show does not exist.
    pub fn take_list(&mut self, items: Vec<Space>, is_slot: impl Fn(u32) -> bool, complete: bool) {
        self.complete = complete;
        let listed: BTreeSet<SpaceId> = items.iter().map(|item| item.id.clone()).collect();
        if complete {
            self.slots.retain(|_, slot| listed.contains(&slot.space.id));
            self.by_space.retain(|id, _| listed.contains(id));
            self.taken.retain(|_, by| by.is_none());
            // What a look found gone stays so when the next list, which may be one by name, says nothing of it.
            self.gone.retain(|id| !listed.contains(id));
        }
        let prefix = &self.prefix;
        for (number, slot) in &mut self.slots {
            if !listed.contains(&slot.space.id) && slot.space.name == format!("{prefix}{number}") {
                slot.view = View::Doubted;
            }
        }
        let mut by_number: BTreeMap<u32, Vec<Space>> = BTreeMap::new();
        for item in items {
            // Somebody gave the space of a slot another number, or to a tenant.
            if let Some(number) = self.by_space.get(&item.id).copied()
                && (item.tenant.is_some() || is_renumbered(&item, number))
            {
                self.doubt(number);
            }
            match number_of(&item).filter(|number| item.tenant.is_none() && is_slot(*number)) {
                Some(number) => by_number.entry(number).or_default().push(item),
                None => self.take_number(&item, &is_slot),
            }
        }
        for (number, rivals) in by_number {
            self.take_listed(number, rivals);
        }
        self.taken.retain(|number, _| !self.slots.contains_key(number));
    }

    /// What a list shows for one number. The space that is known beats every other one with that number, until a look
    /// finds it gone; else one that is called as a slot is.
    fn take_listed(&mut self, number: u32, mut rivals: Vec<Space>) {
        let placeholder = self.placeholder(number);
        let Some(known) = self.slots.get_mut(&number) else {
            let best = rivals.iter().position(|space| space.name == placeholder).unwrap_or_default();
            let view = if rivals.len() > 1 { View::Doubted } else { View::Listed };
            self.insert(number, rivals.swap_remove(best), view);
            return;
        };
        match rivals.into_iter().find(|space| space.id == known.space.id) {
            None => known.view = View::Doubted,
            Some(space) if space.name != known.space.name => (known.space, known.view) = (space, View::Doubted),
            Some(space) if known.view == View::Listed => known.space = space,
            Some(space) if contradicts(&space, &known.space) => known.view = View::Doubted,
            Some(_) => {}
        }
    }

    /// Something that is no slot has numbers that slots would have.
    fn take_number(&mut self, by: &Space, is_slot: impl Fn(u32) -> bool) {
        for number in numbers_of(by).filter(|number| is_slot(*number)) {
            self.taken.insert(number, Some(by.clone()));
        }
    }

    /// The bridge refused to make this slot, although no list shows who has its number.
    pub fn block(&mut self, number: u32) {
        if !self.slots.contains_key(&number) {
            self.taken.entry(number).or_default();
        }
    }

    /// Takes in a look at one space, and hands out what it means; None: it does not exist any more.
    pub fn take_space(&mut self, id: &SpaceId, space: Option<Space>) -> Option<Space> {
        let number = self.by_space.get(id).copied();
        let kept: Vec<u32> =
            self.taken.iter().filter(|(_, by)| by.as_ref().is_some_and(|by| by.id == *id)).map(|(n, _)| *n).collect();
        if let Some(space) = &space {
            self.shown_fields.see(space);
        }
        let shown = space.map(|space| self.understood(space));
        let is_ours = |space: &Space| space.cdr_tag.as_deref().is_some_and(|tag| self.marks.is_ours(tag));
        self.stuck.look(id, shown.as_ref(), shown.as_ref().is_some_and(is_ours));
        match (&shown, number) {
            (Some(space), _) if !kept.is_empty() => {
                self.taken.retain(|number, _| !kept.contains(number));
                self.take_number(space, |number| kept.contains(&number));
                // Numbers that it has given up may be somebody else's by now: list again before making a slot.
                self.complete &= kept.iter().all(|number| self.taken.contains_key(number));
            }
            (Some(space), Some(number)) if is_renumbered(space, number) => {
                self.remove(number);
                self.take_number(space, |taken| taken == number);
                self.complete &= self.taken.contains_key(&number);
            }
            (Some(space), _) => {
                if let Some(number) = number.or_else(|| number_of(space)) {
                    self.insert(number, space.clone(), View::Looked);
                }
            }
            (None, _) => {
                if let Some(number) = number {
                    self.remove(number);
                }
                self.taken.retain(|number, _| !kept.contains(number));
                self.gone.insert(id.clone());
                // Its number may have got another space since (a foreign bulk sync): list again before making one.
                self.complete = false;
            }
        }
        shown
    }

    /// A reply shows `nonMemberAccess` where somebody set it, and some bridges never do. Of a space that a bulk sync of
    /// ours made it was set, to false: nobody has changed it there since, as long as the name and the mark tell of nobody. A
    /// bridge that shows of others that they are shut would show it.
    fn understood(&self, mut space: Space) -> Space {
        let made = |number: &u32| self.made.iter().any(|range| range.contains(number));
        let is_silent = space.non_member_access.is_none() && !space.cdr_tag.as_deref().is_some_and(is_mark);
        if is_silent
            && !self.shown_fields.shut
            && number_of(&space).filter(made).is_some_and(|number| space.name == self.placeholder(number))
        {
            space.non_member_access = Some(false);
        }
        space
    }

    /// Did a look find that this space does not exist any more? One that is only not listed is not known to be gone: a
    /// list by name does not show busy slots.
    pub fn is_gone(&self, id: &SpaceId) -> bool {
        self.gone.contains(id)
    }

    fn insert(&mut self, number: u32, space: Space, view: View) {
        self.remove(number);
        self.taken.remove(&number);
        self.gone.remove(&space.id);
        // One space is one slot, also where a list shows it twice.
        if let Some(other) = self.by_space.insert(space.id.clone(), number).filter(|other| *other != number) {
            self.slots.remove(&other);
        }
        self.slots.insert(number, Slot { space, view });
    }

    /// Forgets one slot (its space was removed).
    pub fn remove(&mut self, number: u32) {
        if let Some(old) = self.slots.remove(&number) {
            self.by_space.remove(&old.space.id);
        }
    }

    /// The space of a slot.
    pub fn space(&self, number: u32) -> Option<&Space> {
        self.slots.get(&number).map(|slot| &slot.space)
    }

    /// The space of a slot whose meeting recorded one: the recorded one beats whatever a list shows for its number, until
    /// it is known to be gone.
    pub fn space_for(&self, number: u32, recorded: Option<&SpaceId>) -> Option<SpaceId> {
        let stands = |id: &&SpaceId| !self.gone.contains(*id) && (!self.complete || self.by_space.contains_key(*id));
        recorded.filter(stands).or_else(|| self.space(number).map(|space| &space.id)).cloned()
    }

    /// A space as the last look at it alone showed it, if nothing contradicts that since.
    pub fn looked(&self, id: &SpaceId) -> Option<&Space> {
        let slot = self.slots.get(self.by_space.get(id)?)?;
        (slot.view == View::Looked).then_some(&slot.space)
    }

    /// Does only a list show this space, under its placeholder name?
    pub fn is_listed_as_free(&self, id: &SpaceId) -> bool {
        let known = self.by_space.get(id).and_then(|number| Some((*number, self.slots.get(number)?)));
        known.is_some_and(|(number, slot)| slot.view != View::Looked && slot.space.name == self.placeholder(number))
    }

    /// Whose the space of a slot is, as far as is known. What no look has proven is foreign, but for a slot that a list
    /// shows with its placeholder name: nothing is written there without a look anyway.
    pub fn standing(&self, number: u32) -> Option<Standing> {
        let slot = self.slots.get(&number)?;
        let placeholder = self.placeholder(number);
        Some(match slot.view {
            View::Looked => standing(&slot.space, &placeholder, &self.marks),
            View::Listed if slot.space.name == placeholder => Standing::Free,
            View::Listed | View::Doubted => Standing::Foreign,
        })
    }

    /// The spaces of these slots.
    pub fn spaces_in(&self, numbers: &RangeInclusive<u32>) -> BTreeSet<SpaceId> {
        self.slots.range(numbers.clone()).map(|(_, slot)| slot.space.id.clone()).collect()
    }

    /// The slot of a space.
    pub fn number(&self, id: &SpaceId) -> Option<u32> {
        self.by_space.get(id).copied()
    }

    /// Every known slot, by number.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &Space)> {
        self.slots.iter().map(|(number, slot)| (*number, &slot.space))
    }

    /// Numbers that something else has, so that there is no slot, and the space that has each, if it is known.
    pub fn taken(&self) -> impl Iterator<Item = (u32, Option<&Space>)> {
        self.taken.iter().map(|(number, by)| (*number, by.as_ref()))
    }

    /// Has something else this number?
    pub fn is_taken(&self, number: u32) -> bool {
        self.taken.contains_key(&number)
    }

    /// Numbers of the range that no space has.
    pub fn missing(&self, range: &RangeInclusive<u32>) -> Vec<u32> {
        range.clone().filter(|number| !self.slots.contains_key(number) && !self.taken.contains_key(number)).collect()
    }

    /// Does no list show a space with one of these numbers?
    pub fn is_free_of_spaces(&self, range: &RangeInclusive<u32>) -> bool {
        self.slots.range(range.clone()).next().is_none() && !self.taken.range(range.clone()).any(|(_, by)| by.is_some())
    }

    /// Is it known of this number only that it cannot be made?
    pub fn has_only_blocked(&self, number: u32) -> bool {
        matches!(self.taken.get(&number), Some(None))
    }

    /// Is anything known of the range?
    pub fn is_empty_in(&self, range: &RangeInclusive<u32>) -> bool {
        self.slots.range(range.clone()).next().is_none() && self.taken.range(range.clone()).next().is_none()
    }

    /// Numbers that are somebody else's; `held` are those that our meetings hold.
    pub fn foreign(&self, held: &BTreeSet<u32>) -> BTreeSet<u32> {
        let slots = self.slots.keys().filter(|number| self.standing(**number) == Some(Standing::Foreign));
        slots.chain(self.taken.keys()).filter(|number| !held.contains(number)).copied().collect()
    }

    /// Spaces that have to be looked at now and then, because only that tells whether they are still somebody else's.
    pub fn foreign_spaces(&self, held: &BTreeSet<u32>) -> Vec<SpaceId> {
        let foreign = self.foreign(held);
        let slots = self.iter().filter(|(number, _)| foreign.contains(number)).map(|(_, space)| space.id.clone());
        let others = self.taken.values().flatten().map(|space| space.id.clone());
        slots.chain(others).collect()
    }

    /// Does only a look settle whose this slot is?
    fn is_doubtful(&self, number: u32, slot: &Slot) -> bool {
        match slot.view {
            View::Looked => false,
            View::Doubted => true,
            View::Listed => slot.space.name != self.placeholder(number),
        }
    }

    /// A look at a space that the bridge would not show a while ago tells nothing.
    fn is_readable(&self, slot: &Slot) -> bool {
        !self.stuck.rests(&slot.space.id, StuckBy::Unread)
    }

    /// A slot that nobody of ours holds and of which a list leaves open whose it is. A look settles that.
    pub fn doubtful(&self, held: &BTreeSet<u32>) -> Option<(u32, &Space)> {
        let mut slots = self.slots.iter().filter(|(number, slot)| !held.contains(number) && self.is_readable(slot));
        slots.find(|(number, slot)| self.is_doubtful(**number, slot)).map(|(number, slot)| (*number, &slot.space))
    }

    /// A slot that nobody of ours holds and that only a list showed: whether it is open is not known.
    pub fn unseen(&self, held: &BTreeSet<u32>) -> Option<(u32, &Space)> {
        let mut slots = self.slots.iter().filter(|(number, slot)| !held.contains(number) && self.is_readable(slot));
        slots.find(|(_, slot)| slot.view != View::Looked).map(|(number, slot)| (*number, &slot.space))
    }

    /// Is it known of every slot of the range whose it is, or that it does not exist, as well as it can be? What the bridge
    /// did not show once may be somebody's whose objects are being restored; what it does not show twice is not waited for.
    pub fn is_read(&self, range: &RangeInclusive<u32>, held: &BTreeSet<u32>) -> bool {
        let is_waited_for = |slot: &Slot| !self.stuck.is_lasting(&slot.space.id, StuckBy::Unread);
        let mut slots = self.slots.iter().filter(|(number, slot)| !held.contains(number) && is_waited_for(slot));
        (self.complete || self.exhausted || self.missing(range).is_empty())
            && !slots.any(|(number, slot)| self.is_doubtful(*number, slot))
    }

    /// Slots that carry our mark although no meeting of ours holds them: they were left open and must be shut (R78).
    pub fn left_open(&self, held: &BTreeSet<u32>) -> impl Iterator<Item = u32> {
        let slots = self.slots.keys().copied().filter(|number| !held.contains(number));
        slots.filter(|number| self.standing(*number) == Some(Standing::Marked))
    }

    /// What single looks told may be as it was some night: it is looked at again, as soon as one is wanted. What is somebody
    /// else's stays so until then.
    pub fn forget_looks(&mut self) {
        let free = self.slots.keys().filter(|number| self.standing(**number) != Some(Standing::Foreign));
        for number in free.copied().collect::<Vec<_>>() {
            if let Some(slot) = self.slots.get_mut(&number) {
                slot.view = View::Listed;
            }
        }
    }

    /// What is known of a slot is to be seen by a look.
    pub fn doubt(&mut self, number: u32) {
        if let Some(slot) = self.slots.get_mut(&number) {
            slot.view = View::Doubted;
        }
    }

    /// Our own write: a slot has these profiles now.
    pub fn set_profiles(&mut self, number: u32, ids: Option<&ProfileIds>) {
        if let (Some(slot), Some(ids)) = (self.slots.get_mut(&number), ids) {
            slot.space.call_profile = ids.call.as_deref().map(Into::into);
            slot.space.call_leg_profile = ids.call_leg.as_deref().map(Into::into);
        }
    }

    /// What a write did to a slot: it has this name, so that a list which shows its placeholder contradicts that. What the
    /// bridge made of the rest a look will show.
    pub fn set_opened(&mut self, id: &SpaceId, name: &str) {
        let number = self.by_space.get(id);
        if let Some(Slot { space, view }) = number.and_then(|number| self.slots.get_mut(number)) {
            (space.name, *view) = (name.to_owned(), View::Doubted);
        }
    }

    /// What a write did to a slot: shut, with its placeholder name and without mark.
    pub fn set_shut(&mut self, number: u32) {
        let name = self.placeholder(number);
        if let Some(Slot { space, view }) = self.slots.get_mut(&number) {
            *view = View::Looked;
            space.name = name;
            space.non_member_access = Some(false);
            space.passcode = None;
            space.secret = None;
            space.cdr_tag = None;
        }
    }

    /// Slots that no meeting of ours holds and that are of no use.
    pub fn stuck(&self, held: &BTreeSet<u32>) -> impl Iterator<Item = (u32, &Stuck)> {
        let known = self.stuck.iter().filter_map(|(id, stuck)| Some((self.number(id)?, stuck)));
        known.filter(|(number, _)| !held.contains(number))
    }

    /// Slots of which a look shows access methods, and how many, whosever they are.
    pub fn with_access_methods(&self, held: &BTreeSet<u32>) -> impl Iterator<Item = (u32, u32)> {
        let slots = self.slots.iter().filter(|(number, slot)| !held.contains(number) && slot.view == View::Looked);
        let counted = slots.filter_map(|(number, slot)| Some((*number, slot.space.access_methods?)));
        counted.filter(|(_, count)| *count > 0)
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
