//! Host and guest: access methods of the slot's space, which go with the meeting (decision 0026). PURE.

mod record;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};

use super::Next;
use super::progress::Progress;
use super::settings::Made;
use super::step::{End, Intent, Look, Obstacle, Step};
use crate::api::access::{AccessMethodSpec, AccessMethodStatus};
use crate::api::bridge::ProfileIds;
use crate::api::repairs::Repairs;
use crate::cms::{AccessMethod, AccessMethodId, NewAccessMethod, Space, is_same_id};
use crate::facts::Seen;
use crate::facts::meeting::{MeetingFacts, SeenMethods};
use crate::plan::contest::QUIET;
use crate::plan::settings::waits_for_host;

/// What this process knows of the access methods on the bridge.
#[derive(Clone, Debug, Default)]
pub struct WrittenMethods {
    /// As they were last written or seen, by their name in the spec.
    methods: BTreeMap<String, WrittenMethod>,
    /// A look at the space showed fewer than there are, and a look at each found them all the same.
    excused: Option<u32>,
    /// Those that somebody deleted, which are to be made again.
    deleted: BTreeSet<String>,
    /// Those that were made again because somebody deleted them. What keeps people out lets nobody in, so a tug-of-war is
    /// given up (decision 0022).
    remade: BTreeMap<String, Repairs>,
}

#[derive(Clone, Debug)]
struct WrittenMethod {
    passcode: SecretString,
    secret: SecretString,
    profile: Option<String>,
}

/// What one access method is to be.
pub struct WantedMethod<'a> {
    spec: &'a AccessMethodSpec,
    on_bridge: String,
    passcode: &'a SecretString,
    secret: &'a SecretString,
    /// Its profile; None: that of the space.
    profile: Option<String>,
}

impl WantedMethod<'_> {
    fn is_written(&self, written: &WrittenMethods) -> bool {
        written.methods.get(&self.spec.name).is_some_and(|known| {
            is_same(&known.passcode, self.passcode)
                && is_same(&known.secret, self.secret)
                && is_same_id(known.profile.as_deref(), self.profile.as_deref())
        })
    }

    /// Does a look at it show what is wanted? What a bridge leaves out of a reply proves nothing, but for a passcode.
    fn is_shown(&self, method: &AccessMethod, number: &str) -> bool {
        method.passcode.as_ref().is_some_and(|shown| is_same(shown, self.passcode))
            && method.secret.as_ref().is_none_or(|shown| is_same(shown, self.secret))
            && method.call_id.as_deref().is_none_or(|shown| shown == number)
            && is_same_id(method.call_leg_profile.as_ref().map(|id| id.as_str()), self.profile.as_deref())
    }

    fn written(&self) -> WrittenMethod {
        let (passcode, secret) = (self.passcode.clone(), self.secret.clone());
        WrittenMethod { passcode, secret, profile: self.profile.clone() }
    }
}

fn is_same(one: &SecretString, other: &SecretString) -> bool {
    one.expose_secret() == other.expose_secret()
}

/// How many access methods a space shows. Where there is none, bridges say nothing.
fn count(space: &Space) -> u32 {
    space.access_methods.unwrap_or_default()
}

/// Before the door is written: what an earlier meeting left would let its people in with this one, and one of ours that
/// still has the passcode which the space is to have would have the write refused.
pub(super) fn before_door(progress: &Progress, facts: &MeetingFacts) -> Option<Next> {
    let is_wanted = match (progress.draft.opened_at, &facts.space) {
        (None, Seen::Known(Some(space))) => count(space) > 0,
        (None, _) => false,
        // What failed once in a pass holds up no open door.
        (Some(_), _) if progress.tried.gave_up_methods => false,
        (Some(_), _) => !progress.draft.access_methods.is_empty() && progress.has_new_passcode(),
    };
    if !is_wanted {
        return None;
    }
    let Seen::Known(seen) = &facts.methods else { return Some(Next::Look(Look::Methods)) };
    if let Some(id) = progress.to_remove(seen) {
        return Some(remove(id));
    }
    let may_have_opened = facts.space.known().and_then(Option::as_ref).is_some_and(|space| progress.is_ours(space));
    let is_in_the_way = !may_have_opened && progress.minds_other_ways_in(seen);
    is_in_the_way.then_some(Next::Rest(End::Blocked(Obstacle::Foreign)))
}

fn remove(id: AccessMethodId) -> Next {
    Next::Do(Step::DeleteMethod(id))
}

/// Right after the door: what is not wanted goes, then what is there is put right, then what is missing is made.
pub(super) fn next(progress: &Progress, facts: &MeetingFacts, now: Timestamp) -> Option<Next> {
    if progress.tried.gave_up_methods || !progress.may_have_methods() {
        return None;
    }
    let Seen::Known(seen) = &facts.methods else {
        return progress.wants_look_at_methods(facts, now).then_some(Next::Look(Look::Methods));
    };
    if let Some(id) = progress.to_remove(seen) {
        return Some(remove(id));
    }
    if progress.access_obstacle().is_some() {
        return None;
    }
    let number = progress.number();
    let wanted = progress.wanted_methods();
    let is_taken = |wanted: &&WantedMethod<'_>| progress.is_taken(seen, wanted);
    let changed = wanted.iter().filter(|wanted| !is_taken(wanted)).find_map(|wanted| {
        let shown = progress.chosen(seen, &wanted.on_bridge)?;
        (!wanted.is_shown(shown, &number) && !progress.is_written(wanted))
            .then(|| Step::UpdateMethod { name: wanted.spec.name.clone(), id: shown.id.clone() })
    });
    if let Some(step) = changed {
        return Some(Next::Do(step));
    }
    let missing = |wanted: &&WantedMethod<'_>| {
        progress.chosen(seen, &wanted.on_bridge).is_none() && !progress.is_given_up(&wanted.spec.name, now)
    };
    let missing = wanted.iter().filter(missing).find(|wanted| !is_taken(wanted))?;
    if progress.entry(&missing.spec.name).is_none() {
        return Some(Next::Record(Intent::Methods));
    }
    Some(Next::Do(Step::CreateMethod(missing.spec.name.clone())))
}

/// The door is shut: those that are known go at once.
pub(super) fn closing(progress: &Progress) -> Option<Next> {
    if progress.tried.gave_up_methods {
        return None;
    }
    let known = progress.draft.access_methods.iter().find_map(|entry| entry.id.as_deref());
    known.map(|id| remove(id.into()))
}

/// The last question of an end: is none of ours left? Only a look tells, newer than our own writes.
pub(super) fn proof(progress: &Progress, facts: &MeetingFacts, space: &Space) -> Next {
    if !progress.had_methods && !progress.may_have_methods() && count(space) == 0 {
        return Next::Rest(End::Released);
    }
    if progress.tried.gave_up_methods {
        // The pause is set: what is left is tried again.
        return Next::Rest(End::Settled);
    }
    match &facts.methods {
        Seen::Unknown => Next::Look(Look::Methods),
        Seen::Known(seen) => seen.ours.first().map_or(Next::Rest(End::Released), |method| remove(method.id.clone())),
    }
}

impl Progress {
    /// The bridge cannot tell our access methods from others.
    pub fn lacks_access_methods(&self) -> bool {
        self.terms.settings.as_ref().is_some_and(|terms| terms.lacks_access_methods)
    }

    /// Is there a way in for hosts, so that everybody else waits?
    pub fn waits_for_host(&self) -> bool {
        waits_for_host(&self.terms.spec.access_methods)
    }

    /// Somebody else's way in would lead past the host for whom everybody is to wait.
    pub fn minds_other_ways_in(&self, seen: &SeenMethods) -> bool {
        self.draft.opened_at.is_none() && self.waits_for_host() && !seen.others.is_empty()
    }

    /// Access methods may be on the bridge, or be put there.
    pub(super) fn may_have_methods(&self) -> bool {
        let is_asked = !self.terms.spec.access_methods.is_empty() && !self.lacks_access_methods();
        is_asked || !self.draft.access_methods.is_empty()
    }

    /// What keeps access methods from being written, and a door shut that is not open yet. The first that cannot be mended
    /// by a Secret comes first.
    pub fn access_obstacle(&self) -> Option<Obstacle> {
        let asked = &self.terms.spec.access_methods;
        if self.lacks_access_methods() {
            return self.waits_for_host().then_some(Obstacle::AccessUnsupported);
        }
        let secrets = self.secrets.as_ref().filter(|_| !asked.is_empty())?;
        let mut known: Vec<&str> = vec![secrets.passcode.as_ref()?.expose_secret()];
        for method in asked {
            let passcode = secrets.methods.get(&method.name).and_then(|known| known.passcode.as_ref());
            let Some(passcode) = passcode.map(ExposeSecret::expose_secret) else {
                return Some(Obstacle::PasscodeUnavailable);
            };
            if known.contains(&passcode) {
                return Some(Obstacle::PasscodesEqual);
            }
            known.push(passcode);
        }
        None
    }

    /// The access method whose passcode is not available.
    pub fn without_passcode(&self) -> Option<&str> {
        let secrets = self.secrets.as_ref()?;
        let has = |name: &str| secrets.methods.get(name).is_some_and(|known| known.passcode.is_some());
        let mut asked = self.terms.spec.access_methods.iter().map(|method| method.name.as_str());
        asked.find(|name| !has(name))
    }

    fn entry(&self, name: &str) -> Option<&AccessMethodStatus> {
        self.draft.access_methods.iter().find(|entry| entry.name == name)
    }

    fn on_bridge(&self, name: &str) -> String {
        self.terms.marks.of_access_method(&self.terms.mark, name)
    }

    fn number(&self) -> String {
        self.draft.slot.as_ref().map(|slot| slot.number.to_string()).unwrap_or_default()
    }

    /// The call leg profile that one is to have. None: it is not there yet. What it has stands until another one is there.
    fn profile_of(&self, name: &str) -> Option<Option<String>> {
        match self.terms.settings.as_ref()?.methods.get(name)? {
            Made::NotWanted => Some(None),
            Made::There(id) => Some(Some(id.clone())),
            Made::Pending | Made::Refused(_) => {
                self.entry(name).filter(|entry| entry.id.is_some()).map(|entry| entry.call_leg_profile.clone())
            }
        }
    }

    /// Those that can be written: passcode and profile are there.
    fn wanted_methods(&self) -> Vec<WantedMethod<'_>> {
        let wanted = |spec| self.wanted(spec);
        self.terms.spec.access_methods.iter().filter_map(wanted).collect()
    }

    fn wanted<'a>(&'a self, spec: &'a AccessMethodSpec) -> Option<WantedMethod<'a>> {
        let secrets = self.secrets.as_ref()?.methods.get(&spec.name)?;
        let (passcode, secret) = (secrets.passcode.as_ref()?, &secrets.secret);
        Some(WantedMethod {
            spec,
            on_bridge: self.on_bridge(&spec.name),
            passcode,
            secret,
            profile: self.profile_of(&spec.name)?,
        })
    }

    fn wanted_named(&self, name: &str) -> Option<WantedMethod<'_>> {
        self.terms.spec.access_methods.iter().find(|spec| spec.name == name).and_then(|spec| self.wanted(spec))
    }

    /// What a write of this access method carries.
    pub fn method_to_write(&self, name: &str) -> Option<NewAccessMethod> {
        let wanted = self.wanted_named(name)?;
        Some(NewAccessMethod {
            name: wanted.on_bridge,
            number: self.number(),
            passcode: wanted.passcode.clone(),
            secret: wanted.secret.clone(),
            call_leg_profile: wanted.profile,
        })
    }

    fn is_written(&self, wanted: &WantedMethod<'_>) -> bool {
        self.written_methods.as_ref().is_some_and(|written| wanted.is_written(written))
    }

    /// The one of ours with this name: the recorded one, else the first by id. A lost reply may have left a second one.
    fn chosen<'a>(&self, seen: &'a SeenMethods, on_bridge: &str) -> Option<&'a AccessMethod> {
        let mut named = seen.ours.iter().filter(|method| method.name.as_deref() == Some(on_bridge));
        let is_recorded = |method: &&AccessMethod| {
            self.draft
                .access_methods
                .iter()
                .any(|entry| entry.id.as_deref().is_some_and(|id| method.id.as_str().eq_ignore_ascii_case(id)))
        };
        named.clone().find(is_recorded).or_else(|| named.next())
    }

    /// One of ours that is to go: of an earlier meeting, taken out of the spec, there twice, or with a passcode that the
    /// space or another one is to have now.
    fn to_remove(&self, seen: &SeenMethods) -> Option<AccessMethodId> {
        let is_asked = |method: &AccessMethod| {
            let mut names = self.terms.spec.access_methods.iter().map(|spec| self.on_bridge(&spec.name));
            let name = names.find(|name| method.name.as_deref() == Some(name));
            name.and_then(|name| self.chosen(seen, &name)).is_some_and(|chosen| chosen.id == method.id)
        };
        let wanted = if self.access_obstacle().is_none() { self.wanted_methods() } else { Vec::new() };
        let of_space = self.passcode().filter(|_| self.access_obstacle().is_none());
        let is_in_the_way = |method: &AccessMethod| {
            let Some(shown) = &method.passcode else { return false };
            let is_anothers = |wanted: &WantedMethod<'_>| {
                method.name.as_deref() != Some(&wanted.on_bridge) && is_same(wanted.passcode, shown)
            };
            of_space.is_some_and(|passcode| is_same(passcode, shown)) || wanted.iter().any(is_anothers)
        };
        seen.ours.iter().find(|method| !is_asked(method) || is_in_the_way(method)).map(|method| method.id.clone())
    }

    /// Does an access method of somebody else in this slot have the passcode? The bridge would refuse ours.
    fn is_taken(&self, seen: &SeenMethods, wanted: &WantedMethod<'_>) -> bool {
        let number = self.number();
        seen.others.iter().any(|other| {
            other.call_id.as_deref().is_none_or(|call_id| call_id == number)
                && other.passcode.as_ref().is_some_and(|shown| is_same(shown, wanted.passcode))
        })
    }

    /// The space is to be told another passcode than it was told by this process.
    pub(super) fn has_new_passcode(&self) -> bool {
        match (&self.written, self.passcode()) {
            (Some(written), Some(passcode)) => !is_same(&written.passcode, passcode),
            _ => true,
        }
    }

    /// Is this one deleted whenever it is made?
    fn is_given_up(&self, name: &str, now: Timestamp) -> bool {
        let remade = self.written_methods.as_ref().and_then(|written| written.remade.get(name));
        remade.is_some_and(|repairs| repairs.rests(QUIET, now))
    }

    /// The access method that somebody deletes whenever it is made.
    pub fn given_up_method(&self, now: Timestamp) -> Option<&str> {
        let mut missing = self.draft.access_methods.iter().filter(|entry| entry.id.is_none());
        missing.find(|entry| self.is_given_up(&entry.name, now)).map(|entry| entry.name.as_str())
    }

    /// When one that was given up is made again.
    pub(super) fn method_due_at(&self, now: Timestamp) -> Option<Timestamp> {
        let remade = self.written_methods.as_ref()?.remade.values();
        remade.filter(|repairs| repairs.rests(QUIET, now)).filter_map(|repairs| repairs.due_at(QUIET)).min()
    }

    /// Is there anything to be done that a look must come before?
    fn wants_look_at_methods(&self, facts: &MeetingFacts, now: Timestamp) -> bool {
        let is_asked = |name: &str| self.terms.spec.access_methods.iter().any(|spec| spec.name == name);
        if self.draft.access_methods.iter().any(|entry| !is_asked(&entry.name)) {
            return true;
        }
        let Some(written) = &self.written_methods else {
            // This process has not looked yet. Before anything can be written there is nothing to look for.
            return self.access_obstacle().is_none() && !self.wanted_methods().is_empty();
        };
        if self.access_obstacle().is_some() {
            return false;
        }
        let is_new = |wanted: &WantedMethod<'_>| {
            let has_id = self.entry(&wanted.spec.name).is_some_and(|entry| entry.id.is_some());
            let is_to_be_made =
                !self.taken_methods.contains(&wanted.spec.name) && !self.is_given_up(&wanted.spec.name, now);
            (!has_id && is_to_be_made) || (has_id && !wanted.is_written(written))
        };
        self.wanted_methods().iter().any(is_new)
            || self.are_fewer(facts).is_some_and(|shown| written.excused != Some(shown))
    }

    /// Fewer than those that we made: somebody deleted one.
    fn are_fewer(&self, facts: &MeetingFacts) -> Option<u32> {
        let Seen::Known(Some(space)) = &facts.space else { return None };
        let made = self.draft.access_methods.iter().filter(|entry| entry.id.is_some()).count();
        Some(count(space)).filter(|shown| usize::try_from(*shown).unwrap_or_default() < made)
    }

    /// The call leg profiles that access methods are to have.
    pub fn method_profiles(&self) -> Vec<ProfileIds> {
        let made = self.terms.settings.iter().flat_map(|terms| terms.methods.values());
        let ids = made.filter_map(|made| if let Made::There(id) = made { Some(id.clone()) } else { None });
        ids.map(|id| ProfileIds { call: None, call_leg: Some(id) }).collect()
    }

    /// Does whoever comes in by the space itself wait for a host, as far as this process knows?
    fn has_space_waiting(&self) -> bool {
        let made = self.terms.settings.as_ref().map(|terms| &terms.call_leg);
        let told = self.draft.settings.as_ref().and_then(|settings| settings.applied.call_leg.as_ref());
        let is_told = matches!((made, told), (Some(Made::There(id)), Some(told)) if is_same_id(Some(id), Some(told)));
        is_told && !self.tried.without_profiles
    }

    /// Is every access method on the bridge as it is to be, and nothing else of ours?
    pub fn has_methods_applied(&self) -> bool {
        let asked = &self.terms.spec.access_methods;
        let is_applied = |spec: &AccessMethodSpec| {
            let Some(entry) = self.entry(&spec.name).filter(|entry| entry.id.is_some()) else { return false };
            let made = self.terms.settings.as_ref().and_then(|terms| terms.methods.get(&spec.name));
            match made {
                Some(Made::NotWanted) => entry.call_leg_profile.is_none(),
                Some(Made::There(id)) => is_same_id(entry.call_leg_profile.as_deref(), Some(id)),
                Some(Made::Pending | Made::Refused(_)) | None => false,
            }
        };
        // What this process knows to be otherwise than it is to be: a new passcode that is not written yet.
        let is_stale =
            |written: &WrittenMethods| self.wanted_methods().iter().any(|wanted| !wanted.is_written(written));
        self.draft.access_methods.len() == asked.len()
            && (!self.waits_for_host() || self.has_space_waiting())
            && asked.iter().all(is_applied)
            && !self.written_methods.as_ref().is_some_and(is_stale)
    }
}
