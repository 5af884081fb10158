//! A small model of a bridge that carries the steps out, and the shipped loop over it; `rules` are table tests for each
//! rule, `properties` run it through every fault.

mod lists;
mod properties;
mod rules;
mod settings;

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::*;
use crate::api::bridge::{ClusterStatus, DeletionPolicy, ParameterSet, SlotsStatus};
use crate::api::marks::Marks;
use crate::api::repairs::Contest;
use crate::api::settings::{ProfileKind, SettingsProfile};
use crate::api::{MeetingBridge, MeetingBridgeStatus};
use crate::cms::{AccessMethodId, Call, CmsError, Fields, Space, SpaceId, SyncFailure, SyncStatus};
use crate::drive::{Reach, drive};
use crate::facts::calls::PlacedCall;
use crate::plan::faults::Fault;
use crate::plan::settings::Demand;
use crate::plan::verdict::{Pause, Verdict};

const PREFIX: &str = "TMS_Scheduled_Meeting_";
const MARK: &str = "meeting-controller:ns/standup";

fn spec(base: u32, quantity: u32) -> MeetingBridgeSpec {
    serde_json::from_value(serde_json::json!({
        "displayName": "lab", "address": "cms.example.com", "credentialsSecretRef": { "name": "cms" },
        "slots": { "domain": "meet.example.com", "base": base, "quantity": quantity }
    }))
    .unwrap()
}

fn slot(id: &str, number: u32) -> Space {
    Space {
        id: id.into(),
        name: format!("{PREFIX}{number}"),
        uri: Some(number.to_string()),
        secondary_uri: None,
        call_id: Some(number.to_string()),
        tenant: None,
        non_member_access: Some(false),
        passcode: None,
        secret: None,
        cdr_tag: None,
        call_profile: None,
        call_leg_profile: None,
        access_methods: None,
    }
}

/// Opened by somebody who is not us.
fn taken(id: &str, number: u32) -> Space {
    Space { name: "Party".to_owned(), non_member_access: Some(true), ..slot(id, number) }
}

/// Open for a meeting of ours.
fn running(id: &str, number: u32) -> Space {
    Space {
        name: "Standup".to_owned(),
        non_member_access: Some(true),
        cdr_tag: Some(MARK.to_owned()),
        ..slot(id, number)
    }
}

/// A list shows names and numbers only.
fn listed(space: &Space) -> Space {
    Space { non_member_access: None, cdr_tag: None, ..space.clone() }
}

fn is_mine(space: &Space) -> bool {
    space.cdr_tag.as_deref().is_some_and(crate::api::marks::is_mark)
}

/// Somebody else's, whichever way: no slot at all, or a slot that was opened or renamed.
fn is_strange(space: &Space) -> bool {
    let number = space.uri.as_deref().and_then(|uri| uri.parse::<u32>().ok());
    let placeholder = number.map(|number| format!("{PREFIX}{number}"));
    !is_mine(space) && (space.call_id != space.uri || Some(&space.name) != placeholder.as_ref())
}

#[derive(Clone, Debug)]
struct Sync {
    set: String,
    looks: u32,
    outcome: SyncStatus,
}

/// A bridge: it does what it is told, and notes what must never happen.
#[derive(Clone, Debug, Default)]
struct Server {
    version: String,
    cluster: ClusterStatus,
    spaces: Vec<Space>,
    /// Space -> the set that made it.
    made: BTreeMap<SpaceId, String>,
    call_profiles: BTreeMap<String, Fields>,
    leg_profiles: BTreeMap<String, Fields>,
    /// Profiles for settings, by id.
    settings: BTreeMap<String, SettingsProfile>,
    /// Words of profiles for settings that it refuses.
    refuses: BTreeSet<String>,
    /// Whatever is asked about profiles for settings is answered with a bare 404.
    is_mute: bool,
    /// Spaces that it does not show, and those that it does not let be shut.
    unreadable: BTreeSet<SpaceId>,
    unshuttable: BTreeSet<SpaceId>,
    /// Spaces that do not take profiles.
    unattachable: BTreeSet<SpaceId>,
    /// It answers whoever deletes an access method with an error of its own.
    keeps_methods_oddly: bool,
    /// It answers nothing but an error of its own.
    is_ill: bool,
    /// Fields of profiles that it does not show.
    hidden_fields: BTreeSet<String>,
    /// Fields of profiles that it takes and drops.
    dropped_fields: BTreeSet<String>,
    /// What was made is not found by so many looks.
    shows_late: u32,
    /// What was made for settings is never found again.
    shows_no_settings: bool,
    /// A sync removes nothing, and ends so.
    keeps_spaces: Option<SyncStatus>,
    /// It does not delete single spaces either.
    refuses_deletes: bool,
    /// A sync makes its spaces and does not end.
    never_ends: bool,
    sets: BTreeMap<String, RangeInclusive<u32>>,
    /// The ranges of all sets that ever were.
    ranges: BTreeMap<String, RangeInclusive<u32>>,
    syncs: BTreeMap<String, Sync>,
    calls: Vec<Call>,
    /// Access methods of spaces, and whether they are ours.
    methods: BTreeMap<SpaceId, Vec<(AccessMethodId, bool)>>,
    /// It keeps them, whatever it is told.
    keeps_methods: bool,
    /// A failed sync leaves what it had made until then.
    leaves_half: bool,
    /// Numbers that something has which no list shows: an IVR, a user, an access method.
    invisible: BTreeSet<u32>,
    /// Not even a look at a single space shows `nonMemberAccess`.
    hides_access: bool,
    /// Spaces that its lists do not show, for now.
    keeps_back: BTreeSet<SpaceId>,
    /// Its lists move while they are read.
    is_restless: bool,
    /// It counts so many more spaces than there are.
    overcount: u64,
    /// Profiles that it does not take in a set.
    untaken: BTreeSet<ProfileKind>,
    /// Of this space each look shows another id than was asked for.
    fickle: Option<SpaceId>,
    next_id: u32,
    wrongs: Vec<String>,
}

impl Server {
    fn new(spaces: Vec<Space>) -> Self {
        Self { version: "2.0(RC)".to_owned(), spaces, ..Self::default() }
    }

    fn id(&mut self, kind: &str) -> String {
        self.next_id += 1;
        format!("{kind}-{}", self.next_id)
    }

    fn numbers(&self) -> Vec<u32> {
        let mut numbers: Vec<u32> = self.spaces.iter().filter_map(|space| space.uri.as_deref()?.parse().ok()).collect();
        numbers.sort_unstable();
        numbers
    }

    fn space_of(&mut self, number: u32) -> Option<&mut Space> {
        let uri = number.to_string();
        self.spaces.iter_mut().find(|space| space.uri.as_deref() == Some(&uri))
    }

    /// Has anything this number, in whichever way?
    fn is_taken(&self, number: u32) -> bool {
        let plain = Some(number.to_string());
        let has = |space: &Space| [&space.uri, &space.secondary_uri, &space.call_id].contains(&&plain);
        self.invisible.contains(&number) || self.spaces.iter().any(has)
    }

    /// A slot of this number that is as we want it to be.
    fn has_slot(&self, number: u32) -> bool {
        let mut slots = self.spaces.iter().filter(|space| space.uri.as_deref() == Some(&number.to_string()));
        slots.any(|space| space.call_id == space.uri)
    }

    fn shown(&self, id: &SpaceId) -> Option<Space> {
        if let Some(fickle) = self.fickle.as_ref().filter(|fickle| id.as_str().trim_end_matches('x') == fickle.as_str())
        {
            let space = self.spaces.iter().find(|space| space.id == *fickle)?.clone();
            return Some(Space { id: format!("{id}x").as_str().into(), ..space });
        }
        let space = self.spaces.iter().find(|space| space.id == *id)?.clone();
        let non_member_access = space.non_member_access.filter(|_| !self.hides_access);
        let count = self.methods.get(id).map(|methods| u32::try_from(methods.len()).unwrap());
        Some(Space { non_member_access, access_methods: count.filter(|count| *count > 0), ..space })
    }

    fn kept(&self, pairs: &[(String, String)]) -> Fields {
        pairs.iter().filter(|(name, _)| !self.dropped_fields.contains(name)).cloned().collect()
    }

    fn shown_fields(&self, fields: Option<&Fields>) -> Option<Fields> {
        let mut shown = fields?.clone();
        shown.retain(|name, _| !self.hidden_fields.contains(name));
        Some(shown)
    }

    fn call_on(&mut self, space: &str) {
        let id = self.id("call");
        self.calls.push(Call { id: id.as_str().into(), space: Some(space.into()), correlator: None, duration: None });
    }

    fn made_by(&self, set: &str) -> Vec<SpaceId> {
        self.made.iter().filter(|(_, by)| *by == set).map(|(id, _)| id.clone()).collect()
    }

    fn drop_spaces(&mut self, ids: &[SpaceId], why: &str) {
        for space in self.spaces.iter().filter(|space| ids.contains(&space.id)) {
            if is_strange(space) || is_mine(space) {
                self.wrongs.push(format!("{why}: {} is in use", space.name));
            }
        }
        self.spaces.retain(|space| !ids.contains(&space.id));
        self.made.retain(|id, _| !ids.contains(id));
        self.calls.retain(|call| call.space.as_ref().is_none_or(|space| !ids.contains(space)));
    }

    fn sync(&mut self, set: &str, remove: bool) -> String {
        let old = self.made_by(set);
        let mut outcome = SyncStatus::Complete;
        match self.keeps_spaces.clone().filter(|_| remove) {
            Some(ended) => outcome = ended,
            None => self.drop_spaces(&old, "a sync"),
        }
        let range = self.sets[set].clone();
        let mut half = Vec::new();
        for number in range.filter(|_| !remove) {
            if self.is_taken(number) {
                outcome = SyncStatus::Failed(SyncFailure::UriConflict);
                break;
            }
            let id = self.id("space");
            half.push(id.as_str().into());
            self.made.insert(id.as_str().into(), set.to_owned());
            let mut made = self.with_profiles(slot(&id, number));
            made.call_profile.take_if(|_| self.untaken.contains(&ProfileKind::Call));
            made.call_leg_profile.take_if(|_| self.untaken.contains(&ProfileKind::CallLeg));
            self.spaces.push(made);
        }
        if outcome != SyncStatus::Complete && !self.leaves_half {
            self.drop_spaces(&half, "a sync");
        }
        let id = self.id("sync");
        let looks = if self.never_ends { u32::MAX } else { 2 };
        self.syncs.insert(id.clone(), Sync { set: set.to_owned(), looks, outcome });
        id
    }

    /// The space with the newest profiles: those that a sync gives it, and that it is told.
    fn with_profiles(&self, space: Space) -> Space {
        let newest = |ids: Vec<&String>| {
            ids.into_iter().max_by_key(|id| id.rsplit('-').next().and_then(|n| n.parse::<u32>().ok())).cloned()
        };
        Space {
            call_profile: newest(self.call_profiles.keys().collect()).map(Into::into),
            call_leg_profile: newest(self.leg_profiles.keys().collect()).map(Into::into),
            ..space
        }
    }

    fn act(&mut self, step: &Step) -> Option<String> {
        match step {
            Step::AttachProfiles { space, .. } => {
                let position = self.spaces.iter().position(|shown| shown.id == *space).unwrap();
                if is_strange(&self.spaces[position]) || is_mine(&self.spaces[position]) {
                    self.wrongs.push(format!("{} got profiles", self.spaces[position].name));
                }
                self.spaces[position] = self.with_profiles(self.spaces[position].clone());
                None
            }
            Step::CreateProfile(ProfileKind::Call, pairs) => {
                let id = self.id("call-profile");
                self.call_profiles.insert(id.clone(), self.kept(pairs));
                Some(id)
            }
            Step::CreateProfile(ProfileKind::CallLeg, pairs) => {
                let id = self.id("leg-profile");
                self.leg_profiles.insert(id.clone(), self.kept(pairs));
                Some(id)
            }
            Step::UpdateProfile(ProfileKind::Call, id, pairs) => {
                let kept = self.kept(pairs);
                self.call_profiles.get_mut(id).unwrap().extend(kept);
                None
            }
            Step::UpdateProfile(ProfileKind::CallLeg, id, pairs) => {
                let kept = self.kept(pairs);
                self.leg_profiles.get_mut(id).unwrap().extend(kept);
                None
            }
            Step::CreateSet(range) => {
                let id = self.id("set");
                self.sets.insert(id.clone(), range.clone());
                self.ranges.insert(id.clone(), range.clone());
                Some(id)
            }
            Step::StartSync { set } => Some(self.sync(set, false)),
            Step::StartRemoval { set } => Some(self.sync(set, true)),
            Step::ShutSlot { number, space } => {
                let shown = self.spaces.iter_mut().find(|shown| shown.id == *space).unwrap();
                if is_strange(shown) {
                    self.wrongs.push(format!("{} was shut", shown.name));
                }
                let (call_profile, call_leg_profile) = (shown.call_profile.clone(), shown.call_leg_profile.clone());
                *shown = Space { call_profile, call_leg_profile, ..slot(space.as_str(), *number) };
                None
            }
            Step::DeleteAccessMethod { space, method, .. } => {
                let shown = self.spaces.iter().find(|shown| shown.id == *space).unwrap();
                let methods = self.methods.get_mut(space).unwrap();
                let is_ours = methods.iter().any(|(id, is_ours)| id == method && *is_ours);
                if is_strange(shown) || !is_ours {
                    self.wrongs.push(format!("an access method of {} was deleted", shown.name));
                }
                methods.retain(|(id, _)| id != method);
                None
            }
            Step::DeleteCall(id) => {
                let on = self.calls.iter().find(|call| call.id == id.id).and_then(|call| call.space.clone());
                if self
                    .spaces
                    .iter()
                    .any(|space| Some(&space.id) == on.as_ref() && (is_strange(space) || is_mine(space)))
                {
                    self.wrongs.push("a call in use was deleted".to_owned());
                }
                self.calls.retain(|call| call.id != id.id);
                None
            }
            Step::DeleteSpace { space, .. } => {
                if !self.made.contains_key(space) && self.spaces.iter().any(|shown| shown.id == *space) {
                    self.wrongs.push("a space that we did not make was deleted".to_owned());
                }
                self.drop_spaces(std::slice::from_ref(space), "a removal");
                None
            }
            Step::DeleteSet(id) | Step::MergeSet { set: id, .. } => {
                self.sets.remove(id);
                None
            }
            Step::DeleteProfile(ProfileKind::Call, id) => {
                self.call_profiles.remove(id);
                None
            }
            Step::DeleteProfile(ProfileKind::CallLeg, id) => {
                self.leg_profiles.remove(id);
                None
            }
            Step::CreateSettingsProfile(profile) => {
                if self.settings.values().any(|known| (known.kind, &known.name) == (profile.kind, &profile.name)) {
                    self.wrongs.push(format!("{} was made twice", profile.name));
                }
                let id = self.id("settings");
                self.settings.insert(id.clone(), profile.clone());
                Some(id)
            }
            Step::UpdateSettingsProfile(profile) => {
                let known = self.settings.get_mut(profile.id.as_ref().unwrap()).unwrap();
                known.fields = profile.fields.clone();
                None
            }
            Step::DeleteSettingsProfile(profile) => {
                let id = profile.id.clone().unwrap();
                if self.spaces.iter().any(|space| shows(space, &id)) {
                    self.wrongs.push(format!("{} was deleted while a space has it", profile.name));
                }
                self.settings.remove(&id);
                None
            }
        }
    }
}

fn shows(space: &Space, id: &str) -> bool {
    let call = space.call_profile.as_ref().map(|id| id.as_str());
    call == Some(id) || space.call_leg_profile.as_ref().map(|id| id.as_str()) == Some(id)
}

/// The reach of the shipped loop in these tests: the server, and a record instead of an apiserver.
struct ServerReach<'a> {
    server: &'a mut Server,
    player: &'a mut Player,
    faults: &'a mut (dyn Iterator<Item = Fault> + Send),
    died: bool,
    /// The last reply was lost.
    lost: bool,
}

fn not_found() -> Verdict {
    Verdict::Answered(CmsError::NotFound { element: "it".to_owned() })
}

impl Reach<BridgeProgress> for ServerReach<'_> {
    type Abort = ();

    fn now(&self) -> Timestamp {
        self.player.clock
    }

    fn survey(&mut self, _: &BridgeProgress, _: Timestamp) {}

    fn around(&mut self, _: &BridgeProgress, _: Timestamp) -> Around {
        Around {
            held: self.player.held.clone(),
            owner: None,
            settings: self.player.demand.clone(),
            may_be_restored: self.player.is_new,
        }
    }

    fn with_facts<T>(&mut self, use_facts: impl FnOnce(&mut BridgeFacts) -> T) -> T {
        use_facts(&mut self.player.facts)
    }

    async fn look(&mut self, progress: &BridgeProgress, look: &Look, _: Timestamp) -> Result<Found, Verdict> {
        self.player.log.push(format!("look {look:?}"));
        let server = &mut *self.server;
        if server.is_ill || matches!(look, Look::Space(id) if server.unreadable.contains(id)) {
            return Err(Verdict::Retry(CmsError::HttpError { status: 500 }));
        }
        let first = |profiles: &BTreeMap<String, Fields>| {
            Found::LostProfile(profiles.iter().next().map(|(id, fields)| (id.clone(), fields.clone())))
        };
        Ok(match look {
            Look::System => Found::System(server.version.clone()),
            Look::Cluster => Found::Cluster(server.cluster.clone()),
            Look::LostProfile(ProfileKind::Call) => first(&server.call_profiles),
            Look::LostProfile(ProfileKind::CallLeg) => first(&server.leg_profiles),
            Look::Profile(..) if server.shows_late > 0 => {
                server.shows_late -= 1;
                Found::Profile(None)
            }
            Look::Profile(ProfileKind::Call, id) => Found::Profile(server.shown_fields(server.call_profiles.get(id))),
            Look::Profile(ProfileKind::CallLeg, id) => Found::Profile(server.shown_fields(server.leg_profiles.get(id))),
            Look::LostSettingsProfile(_) if server.shows_no_settings => Found::Lost(None),
            Look::LostSettingsProfile(wanted) => {
                let known = progress.record.profile_ids();
                let is_it = |id: &str, it: &SettingsProfile| {
                    (it.kind, &it.name) == (wanted.kind, &wanted.name) && !known.contains(&id.into())
                };
                let mut lost = server.settings.iter().filter(|(id, it)| is_it(id, it));
                Found::Lost(lost.next().map(|(id, _)| id.clone()))
            }
            Look::SettingsProfile(_) if server.shows_no_settings => Found::Profile(None),
            Look::SettingsProfile(profile) => {
                let found = profile.id.as_ref().and_then(|id| server.settings.get(id));
                Found::Profile(server.shown_fields(found.map(|profile| &profile.fields)))
            }
            Look::LostSet(range) => {
                // One that is recorded already is not the lost one.
                let is_recorded = |id: &String| progress.record.sets.iter().any(|set| set.id.as_ref() == Some(id));
                let mut lost = server.sets.iter().filter(|(id, known)| *known == range && !is_recorded(id));
                Found::Lost(lost.next().map(|(id, _)| id.clone()))
            }
            Look::LostSync(set) => {
                let is_it = |sync: &Sync| sync.set == *set && !matches!(sync.outcome, SyncStatus::Failed(_));
                Found::Lost(server.syncs.iter().find(|(_, sync)| is_it(sync)).map(|(id, _)| id.clone()))
            }
            Look::Slots | Look::AllSpaces => {
                let is_listed = |space: &&Space| *look == Look::AllSpaces || space.name.starts_with(PREFIX);
                let is_shown = |space: &&Space| !server.keeps_back.contains(&space.id);
                let all: Vec<_> = server.spaces.iter().filter(is_listed).collect();
                let items: Vec<_> = all.iter().copied().filter(is_shown).map(listed).collect();
                let unshown = u64::try_from(all.len() - items.len()).unwrap() + server.overcount;
                Found::Spaces { items, unshown: (!server.is_restless).then_some(unshown) }
            }
            Look::Space(id) => Found::Space(server.shown(id).map(Box::new)),
            Look::AccessMethods(id) => {
                let methods = server.methods.get(id).into_iter().flatten();
                Found::AccessMethods(methods.filter(|(_, is_ours)| *is_ours).map(|(id, _)| id.clone()).collect())
            }
            Look::Sync(id) => Found::Sync(server.syncs.get_mut(id).map_or(SyncStatus::Complete, |sync| {
                sync.looks = sync.looks.saturating_sub(1);
                if sync.looks > 0 { SyncStatus::Running } else { sync.outcome.clone() }
            })),
        })
    }

    async fn act(
        &mut self,
        _: &BridgeProgress,
        step: &Step,
        now: Timestamp,
    ) -> Result<(Option<String>, Timestamp), Verdict> {
        let fault = self.faults.next().unwrap_or(Fault::None);
        self.died = fault.kills();
        if let Some(error) = fault.before() {
            return Err(Verdict::Retry(error));
        }
        self.player.log.push(step.to_string());
        let rejected = || Verdict::Answered(CmsError::Rejected { element: "no".to_owned(), status: 400 });
        if matches!(step, Step::AttachProfiles { space, .. } if self.server.unattachable.contains(space)) {
            return Err(rejected());
        }
        if self.server.keeps_methods_oddly && matches!(step, Step::DeleteAccessMethod { .. }) {
            return Err(Verdict::Retry(CmsError::HttpError { status: 500 }));
        }
        if self.server.keeps_methods && matches!(step, Step::DeleteAccessMethod { .. }) {
            return Err(rejected());
        }
        if self.server.refuses_deletes && matches!(step, Step::DeleteSpace { .. }) {
            return Err(rejected());
        }
        if self.server.is_mute && step.settings_profile().is_some() {
            return Err(not_found());
        }
        let is_synced = |set: &String| self.server.syncs.values().any(|sync| sync.set == *set);
        if matches!(step, Step::StartSync { set } if is_synced(set)) {
            self.server.wrongs.push("a set was synced again".to_owned());
        }
        if matches!(step, Step::StartSync { set } | Step::StartRemoval { set } if !self.server.sets.contains_key(set))
            || matches!(step, Step::UpdateProfile(ProfileKind::Call, id, _) if !self.server.call_profiles.contains_key(id))
        {
            return Err(not_found());
        }
        if matches!(step, Step::ShutSlot { space, .. } if self.server.unshuttable.contains(space)) {
            return Err(rejected());
        }
        if matches!(step, Step::ShutSlot { space, .. } if !self.server.spaces.iter().any(|shown| shown.id == *space)) {
            return Err(not_found());
        }
        if matches!(step, Step::CreateSettingsProfile(profile) | Step::DeleteSettingsProfile(profile)
            if self.server.refuses.contains(&profile.name))
        {
            let error = CmsError::ParameterError { parameter: "it".to_owned(), error: "invalidValue".to_owned() };
            return Err(Verdict::Answered(error));
        }
        let mut sent = self.server.untaken.difference(&self.player.facts.untaken_profiles);
        if let (Step::CreateSet(_), Some(kind)) = (step, sent.next()) {
            let parameter = if *kind == ProfileKind::Call { "callProfile" } else { "calllegprofile" }.to_owned();
            return Err(Verdict::Answered(CmsError::ParameterError { parameter, error: "invalidValue".to_owned() }));
        }
        let made = self.server.act(step);
        if let Some(error) = fault.after() {
            self.lost = true;
            return Err(Verdict::Retry(error));
        }
        Ok((made, now))
    }

    async fn record(&mut self, progress: &BridgeProgress) -> Result<(), ()> {
        if self.player.stored != progress.record {
            self.player.log.extend(intents(&self.player.stored, &progress.record));
        }
        self.player.stored = progress.record.clone();
        Ok(())
    }
}

/// The intents by which a record differs from the one before.
fn intents(before: &Record, after: &Record) -> Vec<String> {
    let profiles = (before.profiles.is_none() && after.profiles.is_some()).then(|| "record Profiles".to_owned());
    let new = after.sets.iter().filter(|set| set.id.is_none() && !before.sets.contains(set));
    let sets = new.map(|set| format!("record Set({}..={})", set.start_index, set.end_index));
    profiles.into_iter().chain(sets).collect()
}

/// A bridge and what is known of it, from pass to pass. The loop is the shipped one.
#[derive(Clone)]
struct Player {
    spec: MeetingBridgeSpec,
    /// As the apiserver has it.
    stored: Record,
    members: Option<ClusterStatus>,
    contests: Vec<Contest>,
    clock: Timestamp,
    /// What this process has seen.
    facts: BridgeFacts,
    held: BTreeMap<u32, Option<SpaceId>>,
    /// What meetings want for their settings.
    demand: Demand,
    deleting: bool,
    /// The object is new, so that its meetings may still come.
    is_new: bool,
    /// The generation is not the one that the status judged.
    edited: bool,
    /// The status says Ready.
    is_ready: bool,
    /// A sync is asked about, or tried again, after a pause.
    had_pause: bool,
    /// Configuration is held back.
    is_refused: bool,
    log: Vec<String>,
}

impl Player {
    fn new(base: u32, quantity: u32) -> Self {
        Self {
            spec: spec(base, quantity),
            stored: Record::default(),
            members: None,
            contests: Vec::new(),
            clock: Timestamp::UNIX_EPOCH,
            facts: BridgeFacts::default(),
            held: BTreeMap::new(),
            demand: Demand::default(),
            deleting: false,
            is_new: false,
            edited: false,
            is_ready: true,
            had_pause: false,
            is_refused: false,
            log: Vec::new(),
        }
    }

    /// Set up, with nothing in the log.
    fn settled(server: &mut Server, base: u32, quantity: u32) -> Self {
        let mut player = Self::new(base, quantity);
        assert_eq!(player.settle(server), End::Settled);
        player.log.clear();
        player
    }

    fn resize(&mut self, base: u32, quantity: u32) {
        self.spec = spec(base, quantity);
    }

    fn restart(&mut self) {
        (self.facts, self.had_pause) = (BridgeFacts::default(), false);
    }

    fn progress(&self) -> BridgeProgress {
        let mut bridge = MeetingBridge::new("b", self.spec.clone());
        bridge.status = Some(MeetingBridgeStatus {
            cluster: self.members.clone(),
            profiles: self.stored.profiles.clone(),
            settings_profiles: self.stored.settings.clone(),
            contests: self.contests.clone(),
            slots: Some(SlotsStatus { parameter_sets: self.stored.sets.clone(), ..SlotsStatus::default() }),
            ..MeetingBridgeStatus::default()
        });
        bridge.metadata.generation = self.edited.then_some(2);
        if self.deleting {
            bridge.metadata.deletion_timestamp = Some(Time(Timestamp::UNIX_EPOCH));
        }
        let mut progress = BridgeProgress::resume(&bridge, &Marks::default());
        (progress.was_ready, progress.was_provisioned) = (self.is_ready, self.is_ready);
        progress
    }

    /// One pass. None: it ended early, by a crash or a lost reply.
    fn pass(&mut self, server: &mut Server, faults: &mut (dyn Iterator<Item = Fault> + Send)) -> Option<End> {
        let mut progress = self.progress();
        progress.is_refused = self.is_refused;
        progress.revisit_sync(&mut self.facts, std::mem::take(&mut self.had_pause));
        let mut reach = ServerReach { server, player: self, faults, died: false, lost: false };
        futures::executor::block_on(drive(&mut progress, &mut reach)).unwrap();
        let (died, lost) = (reach.died, reach.lost);
        assert_ne!(progress.pause, Some(Pause::TooManyTurns), "no end: {:?}", &self.log[..self.log.len().min(60)]);
        if died {
            self.restart();
            return None;
        }
        self.stored = progress.record.clone();
        self.members = progress.cluster.clone();
        self.contests = progress.contests.to_vec();
        self.had_pause = progress.sync_pause.is_some();
        if lost {
            return None;
        }
        if progress.failure.is_some() || progress.pause == Some(Pause::None) {
            // "There is no such object": the next pass goes on from there.
            return self.pass(server, faults);
        }
        Some(match (progress.obstacle, progress.sync_pause) {
            (Some(obstacle), _) => End::Blocked(obstacle),
            (None, Some(SyncPause::Blocked) | None) => End::Settled,
            (None, Some(_)) => End::AwaitSync,
        })
    }

    fn run(&mut self, server: &mut Server) -> End {
        self.pass(server, &mut std::iter::empty()).unwrap()
    }

    /// Pass after pass until no sync is under way.
    fn settle(&mut self, server: &mut Server) -> End {
        for _ in 0..600 {
            let end = self.run(server);
            if end != End::AwaitSync {
                return end;
            }
        }
        panic!("never settled: {:?}", self.log);
    }

    fn held_numbers(&self) -> BTreeSet<u32> {
        self.held.keys().copied().collect()
    }

    fn take_log(&mut self) -> Vec<String> {
        std::mem::take(&mut self.log)
    }

    fn writes(&mut self) -> Vec<String> {
        let mut log = self.take_log();
        log.retain(|line| !line.starts_with("look") && !line.starts_with("record"));
        log
    }

    fn wait(&mut self, secs: i64) {
        self.clock += jiff::SignedDuration::from_secs(secs);
    }

    fn look_at_all(&mut self, server: &Server) {
        let Seen::Known(pool) = &mut self.facts.slots else { return };
        let ids: Vec<SpaceId> = pool.iter().map(|(_, space)| space.id.clone()).collect();
        for id in ids {
            pool.take_space(&id, server.shown(&id));
        }
        let place =
            |call: &Call| PlacedCall { call_bridge: "cms.test:445".parse().unwrap(), call: call.clone(), began: None };
        self.facts.calls = Seen::Known(server.calls.iter().map(place).collect());
    }

    /// A meeting opens in a slot that is known, and that is noted.
    fn open_meeting(&mut self, server: &mut Server, number: u32) {
        let known = self.facts.slots.known().and_then(|pool| pool.space(number)).map(|space| space.id.clone());
        let Some(id) = known else { return };
        let Some(space) = server.spaces.iter_mut().find(|space| space.id == id) else { return };
        if is_strange(space) {
            return;
        }
        *space = running(id.as_str(), number);
        server.call_on(id.as_str());
        self.held.insert(number, Some(id));
    }

    fn close_meeting(&mut self, server: &mut Server, number: u32) {
        let Some(Some(id)) = self.held.remove(&number) else { return };
        server.calls.retain(|call| call.space.as_ref() != Some(&id));
        if let Some(space) = server.spaces.iter_mut().find(|space| space.id == id) {
            *space = slot(id.as_str(), number);
        }
        if let Seen::Known(pool) = &mut self.facts.slots {
            pool.set_shut(number);
        }
    }
}
