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

#[derive(Debug)]
struct Claim {
    co_space: Id,
    holder: Id,
    passcode: String,
}

/// A name that is taken, as the error element of 3.4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken(pub &'static str);

/// The index of all names.
#[derive(Debug, Default)]
pub struct Names {
    claims: HashMap<(Space, String), Vec<Claim>>,
    held: HashMap<Id, Vec<(Space, String)>>,
}

impl Names {
    /// Checks wishes of a holder (the space itself or one of its access methods) against everybody else.
    pub fn check(&self, co_space: &Id, holder: &Id, passcode: &str, wishes: &[Wish]) -> Result<(), Taken> {
        for (position, wish) in wishes.iter().enumerate() {
            let own = wishes.iter().take(position).any(|w| w.space == wish.space && w.name == wish.name);
            if own {
                return Err(Taken(plain(wish.space)));
            }
            for claim in self.claims.get(&(wish.space, wish.name.clone())).into_iter().flatten() {
                if claim.holder == *holder {
                    continue;
                }
                if claim.co_space != *co_space {
                    return Err(Taken(plain(wish.space)));
                }
                if claim.passcode == passcode {
                    return Err(Taken(match wish.space {
                        Space::Uri => "duplicateCoSpaceUriPasscode",
                        Space::CallId => "duplicateCoSpaceIdPasscode",
                    }));
                }
            }
        }
        Ok(())
    }

    /// Replaces everything a holder holds.
    pub fn claim(&mut self, co_space: &Id, holder: &Id, passcode: &str, wishes: Vec<Wish>) {
        self.release(holder);
        let keys: Vec<_> = wishes.into_iter().map(|wish| (wish.space, wish.name)).collect();
        for key in &keys {
            self.claims.entry(key.clone()).or_default().push(Claim {
                co_space: co_space.clone(),
                holder: holder.clone(),
                passcode: passcode.to_owned(),
            });
        }
        self.held.insert(holder.clone(), keys);
    }

    /// Gives up everything a holder holds.
    pub fn release(&mut self, holder: &Id) {
        for key in self.held.remove(holder).unwrap_or_default() {
            if let Some(claims) = self.claims.get_mut(&key) {
                claims.retain(|claim| claim.holder != *holder);
                if claims.is_empty() {
                    self.claims.remove(&key);
                }
            }
        }
    }

    /// Every way in by an address or call id: the space, who holds it (the space itself or an access method), its passcode.
    pub fn ways_in(&self, wish: &Wish) -> impl Iterator<Item = (&Id, &Id, &str)> {
        let claims = self.claims.get(&(wish.space, wish.name.clone())).into_iter().flatten();
        claims.map(|claim| (&claim.co_space, &claim.holder, claim.passcode.as_str()))
    }

    /// The space behind an address or call id, and the passcode of the access path that was found.
    pub fn find(&self, wish: &Wish) -> impl Iterator<Item = (&Id, &str)> {
        self.claims
            .get(&(wish.space, wish.name.clone()))
            .into_iter()
            .flatten()
            .map(|claim| (&claim.co_space, claim.passcode.as_str()))
    }
}

fn plain(space: Space) -> &'static str {
    match space {
        Space::Uri => "duplicateCoSpaceUri",
        Space::CallId => "duplicateCoSpaceId",
    }
}
