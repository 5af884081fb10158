//! How much one pass may do about one thing: a space that is never as it should be, however often it is looked at and
//! written, costs the others nothing, however many there are. PURE.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::{Around, Look, Next, Step};
use crate::facts::bridge::BridgeFacts;

/// Turns that a slot may need in one pass: looks, and each of its writes.
pub(super) const TURNS_OF_A_SLOT: usize = 8;

/// How often any other look may be wanted in one pass.
const TURNS_OF_A_LOOK: usize = 16;

/// What went into each thing in this pass.
#[derive(Clone, Debug, Default)]
pub(super) struct Turns {
    slots: BTreeMap<u32, usize>,
    /// Slots with which the bridge would not do something.
    aside: BTreeSet<u32>,
    looks: Vec<(Look, usize)>,
}

/// Whether there is a turn left.
pub(super) enum Turn {
    Granted,
    /// This slot has had all of its turns.
    SlotIsSpent,
    /// The same look was wanted too often, or what is about that slot all the same (two slots that a bridge shows under one
    /// id): nothing else can be done before it.
    Spent,
}

impl Turns {
    /// Counts what is to be done next.
    pub(super) fn count(&mut self, next: &Next, facts: &BridgeFacts) -> Turn {
        if let Some(number) = slot_of(next, facts) {
            let turns = self.slots.entry(number).or_default();
            *turns = turns.saturating_add(1);
            return match turns.checked_sub(TURNS_OF_A_SLOT) {
                None | Some(0) => Turn::Granted,
                Some(1) => Turn::SlotIsSpent,
                Some(_) => Turn::Spent,
            };
        }
        let Next::Look(look) = next else { return Turn::Granted };
        match self.looks.iter_mut().find(|(known, _)| known == look) {
            Some((_, turns)) if *turns >= TURNS_OF_A_LOOK => return Turn::Spent,
            Some((_, turns)) => *turns = turns.saturating_add(1),
            None => self.looks.push((look.clone(), 1)),
        }
        Turn::Granted
    }

    /// Slots that have used up their turns.
    fn spent(&self) -> impl Iterator<Item = u32> {
        self.slots.iter().filter(|(_, turns)| **turns > TURNS_OF_A_SLOT).map(|(number, _)| *number)
    }

    /// Is anything left for the next pass?
    pub(super) fn is_anything_spent(&self) -> bool {
        self.spent().any(|number| !self.aside.contains(&number))
    }

    /// Nothing can be done with this slot, in this pass.
    pub(super) fn set_aside(&mut self, number: u32) {
        self.slots.insert(number, TURNS_OF_A_SLOT.saturating_add(1));
        self.aside.insert(number);
    }

    /// What the plan sees: slots that are spent are as little its business as those that meetings hold.
    pub(super) fn without_spent<'a>(&self, around: &'a Around) -> Cow<'a, Around> {
        let mut around = Cow::Borrowed(around);
        for number in self.spent() {
            around.to_mut().held.entry(number).or_default();
        }
        around
    }
}

/// The slot that this is about, if it is about one.
fn slot_of(next: &Next, facts: &BridgeFacts) -> Option<u32> {
    let slots = facts.slots.known()?;
    match next {
        Next::Look(Look::Space(space)) => slots.number(space),
        Next::Do(Step::DeleteCall(call)) => {
            let placed = facts.calls.known()?.iter().find(|placed| placed.at() == *call)?;
            slots.number(placed.call.space.as_ref()?)
        }
        Next::Do(step) => slots.number(step.space()?),
        _ => None,
    }
}
