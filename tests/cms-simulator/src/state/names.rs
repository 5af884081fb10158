//! Who holds which address and which call id (cms-protocol.md 6.1, quirk 10 of section 13): uri and secondaryUri share one
//! name space, call ids are another, access methods take part in both; inside one space a name may be used twice if
//! the passcodes differ.

use std::collections::HashMap;

use crate::ids::Id;

/// Which of the two name spaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Space {
    /// uri and secondaryUri.
    Uri,
    /// callId, per tenant group.
    CallId,
}

/// A name that a space or access method wants to hold.
#[derive(Debug, Clone)]
pub struct Wish {
    /// The name space.
    pub space: Space,
    /// The name; for a call id with its tenant group in front.
    pub name: String,
}

impl Wish {
    /// An address; SIP user parts are compared without regard to case.
    pub fn uri(uri: &str) -> Self {
        Self { space: Space::Uri, name: uri.to_lowercase() }
    }

    /// A call id, unique in its tenant group (the empty group if there is none).
    pub fn call_id(group: &str, call_id: &str) -> Self {
        Self { space: Space::CallId, name: format!("{group}/{call_id}") }
    }
}

/// What one holder, a space itself or one of its access methods, has or wants.
#[derive(Debug, Clone)]
pub struct Holding {
    pub co_space: Id,
    pub holder: Id,
    pub passcode: String,
    pub wishes: Vec<Wish>,
}

/// A name that is taken, as the error element of 3.4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken(pub &'static str);

/// The index of all names.
#[derive(Debug, Default)]
pub struct Names {
    holders: HashMap<(Space, String), Vec<Id>>,
    held: HashMap<Id, Holding>,
}

impl Names {
    /// Checks the wishes of a holder against everybody else.
    fn check(&self, wanted: &Holding) -> Result<(), Taken> {
        for (position, wish) in wanted.wishes.iter().enumerate() {
            let own = wanted.wishes.iter().take(position).any(|w| w.space == wish.space && w.name == wish.name);
            if own {
                return Err(Taken(plain(wish.space)));
            }
            for (co_space, holder, passcode) in self.ways_in(wish) {
                if *holder == wanted.holder {
                    continue;
                }
                if *co_space != wanted.co_space {
                    return Err(Taken(plain(wish.space)));
                }
                if passcode == wanted.passcode {
                    return Err(Taken(match wish.space {
                        Space::Uri => "duplicateCoSpaceUriPasscode",
                        Space::CallId => "duplicateCoSpaceIdPasscode",
                    }));
                }
            }
        }
        Ok(())
    }

    /// Replaces everything that these holders hold; if one of the names is taken, nothing.
    pub fn claim(&mut self, wanted: Vec<Holding>) -> Result<(), Taken> {
        let before: Vec<Holding> = wanted.iter().filter_map(|one| self.release(&one.holder)).collect();
        let holders: Vec<Id> = wanted.iter().map(|one| one.holder.clone()).collect();
        for one in wanted {
            if let Err(taken) = self.check(&one) {
                for holder in &holders {
                    self.release(holder);
                }
                for one in before {
                    self.take(one);
                }
                return Err(taken);
            }
            self.take(one);
        }
        Ok(())
    }

    fn take(&mut self, one: Holding) {
        for wish in &one.wishes {
            self.holders.entry((wish.space, wish.name.clone())).or_default().push(one.holder.clone());
        }
        self.held.insert(one.holder.clone(), one);
    }

    /// Gives up everything a holder holds, and tells what it was.
    pub fn release(&mut self, holder: &Id) -> Option<Holding> {
        let held = self.held.remove(holder)?;
        for wish in &held.wishes {
            let key = (wish.space, wish.name.clone());
            if let Some(holders) = self.holders.get_mut(&key) {
                holders.retain(|other| other != holder);
                if holders.is_empty() {
                    self.holders.remove(&key);
                }
            }
        }
        Some(held)
    }

    /// Every way in by an address or call id: the space, who holds it (the space itself or an access method), its passcode.
    pub fn ways_in(&self, wish: &Wish) -> impl Iterator<Item = (&Id, &Id, &str)> {
        let holders = self.holders.get(&(wish.space, wish.name.clone())).into_iter().flatten();
        let held = holders.filter_map(|holder| self.held.get(holder));
        held.map(|held| (&held.co_space, &held.holder, held.passcode.as_str()))
    }
}

fn plain(space: Space) -> &'static str {
    match space {
        Space::Uri => "duplicateCoSpaceUri",
        Space::CallId => "duplicateCoSpaceId",
    }
}
