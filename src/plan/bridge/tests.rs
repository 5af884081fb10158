//! Table tests for each rule, and properties over a small model of a bridge that carries the steps out.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use proptest::prelude::*;

use super::*;
use crate::api::bridge::{ClusterStatus, DeletionPolicy, SlotsStatus};
use crate::api::{MeetingBridge, MeetingBridgeStatus};
use crate::cms::{Call, CmsError, Fields, Space, SpaceId, SyncStatus};
use crate::drive::{Reach, drive};
use crate::facts::calls::PlacedCall;
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
        non_member_access: Some(false),
        passcode: None,
        secret: None,
        cdr_tag: None,
        call_profile: None,
        call_leg_profile: None,
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
    space.cdr_tag.as_deref().is_some_and(crate::api::names::is_mark)
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
    spaces: Vec<Space>,
    /// Space -> the set that made it.
    made: BTreeMap<SpaceId, String>,
    call_profiles: BTreeMap<String, Fields>,
    leg_profiles: BTreeMap<String, Fields>,
    sets: BTreeMap<String, RangeInclusive<u32>>,
    /// The ranges of all sets that ever were.
    ranges: BTreeMap<String, RangeInclusive<u32>>,
    syncs: BTreeMap<String, Sync>,
    calls: Vec<Call>,
    /// A failed sync leaves what it had made until then.
    leaves_half: bool,
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

    fn call_on(&mut self, space: &str) {
        let id = self.id("call");
        self.calls.push(Call {
            id: id.as_str().into(),
            name: String::new(),
            space: Some(space.into()),
            correlator: None,
            duration: None,
        });
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
        self.drop_spaces(&old, "a sync");
        let range = self.sets[set].clone();
        let mut outcome = SyncStatus::Complete;
        let mut half = Vec::new();
        for number in range.filter(|_| !remove) {
            if self.numbers().contains(&number) {
                outcome = SyncStatus::Failed(SyncFailure::UriConflict);
                break;
            }
            let id = self.id("space");
            half.push(id.as_str().into());
            self.made.insert(id.as_str().into(), set.to_owned());
            self.spaces.push(self.with_profiles(slot(&id, number)));
        }
        if outcome != SyncStatus::Complete && !self.leaves_half {
            self.drop_spaces(&half, "a sync");
        }
        let id = self.id("sync");
        self.syncs.insert(id.clone(), Sync { set: set.to_owned(), looks: 2, outcome });
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
            Step::CreateCallProfile(pairs) => {
                let id = self.id("call-profile");
                self.call_profiles.insert(id.clone(), pairs.iter().cloned().collect());
                Some(id)
            }
            Step::CreateCallLegProfile(pairs) => {
                let id = self.id("leg-profile");
                self.leg_profiles.insert(id.clone(), pairs.iter().cloned().collect());
                Some(id)
            }
            Step::UpdateCallProfile(id, pairs) => {
                self.call_profiles.get_mut(id).unwrap().extend(pairs.iter().cloned());
                None
            }
            Step::UpdateCallLegProfile(id, pairs) => {
                self.leg_profiles.get_mut(id).unwrap().extend(pairs.iter().cloned());
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
            Step::DeleteSet(id) => {
                self.sets.remove(id);
                None
            }
            Step::DeleteCallProfile(id) => {
                self.call_profiles.remove(id);
                None
            }
            Step::DeleteCallLegProfile(id) => {
                self.leg_profiles.remove(id);
                None
            }
        }
    }
}

/// What happens to one write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    Crash,
    CrashBefore,
    LostReply,
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
        Timestamp::UNIX_EPOCH
    }

    fn survey(&mut self, _: &BridgeProgress, _: Timestamp) {}

    fn around(&mut self, _: &BridgeProgress, _: Timestamp) -> Around {
        Around { held: self.player.held.clone(), owner: None }
    }

    fn with_facts<T>(&mut self, use_facts: impl FnOnce(&mut BridgeFacts) -> T) -> T {
        use_facts(&mut self.player.facts)
    }

    async fn look(&mut self, progress: &BridgeProgress, look: &Look, _: Timestamp) -> Result<Found, Verdict> {
        self.player.log.push(format!("look {look:?}"));
        let server = &mut *self.server;
        let first = |profiles: &BTreeMap<String, Fields>| {
            Found::LostProfile(profiles.iter().next().map(|(id, fields)| (id.clone(), fields.clone())))
        };
        Ok(match look {
            Look::System => Found::System(server.version.clone()),
            Look::Cluster => Found::Cluster(ClusterStatus::default()),
            Look::LostCallProfile => first(&server.call_profiles),
            Look::LostCallLegProfile => first(&server.leg_profiles),
            Look::CallProfile(id) => Found::Profile(server.call_profiles.get(id).cloned()),
            Look::CallLegProfile(id) => Found::Profile(server.leg_profiles.get(id).cloned()),
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
                Found::Spaces(server.spaces.iter().filter(is_listed).map(listed).collect())
            }
            Look::Space(id) => Found::Space(server.spaces.iter().find(|space| space.id == *id).cloned()),
            Look::Sync(id) => Found::Sync(server.syncs.get_mut(id).map_or(SyncStatus::Complete, |sync| {
                sync.looks = sync.looks.saturating_sub(1);
                if sync.looks > 0 { SyncStatus::Running } else { sync.outcome.clone() }
            })),
            Look::Offender => Found::Offender("the space Party".to_owned()),
        })
    }

    async fn act(
        &mut self,
        progress: &BridgeProgress,
        step: &Step,
        now: Timestamp,
    ) -> Result<(Option<String>, Timestamp), Verdict> {
        let fault = self.faults.next().unwrap_or(Fault::None);
        self.died = matches!(fault, Fault::Crash | Fault::CrashBefore);
        if fault == Fault::CrashBefore {
            return Err(Verdict::Retry(CmsError::Cancelled));
        }
        self.player.log.push(step.to_string());
        let is_synced =
            |set: &String| progress.record.sets.iter().any(|known| known.id.as_ref() == Some(set) && known.synced);
        if matches!(step, Step::StartSync { set } if is_synced(set)) {
            self.server.wrongs.push("a set was synced again".to_owned());
        }
        if matches!(step, Step::StartSync { set } | Step::StartRemoval { set } if !self.server.sets.contains_key(set)) {
            return Err(not_found());
        }
        if matches!(step, Step::ShutSlot { space, .. } if !self.server.spaces.iter().any(|shown| shown.id == *space)) {
            return Err(not_found());
        }
        let made = self.server.act(step);
        if fault != Fault::None {
            self.lost = true;
            return Err(Verdict::Retry(CmsError::Timeout));
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
struct Player {
    spec: MeetingBridgeSpec,
    /// As the apiserver has it.
    stored: Record,
    members: Option<ClusterStatus>,
    /// What this process has seen.
    facts: BridgeFacts,
    held: BTreeMap<u32, Option<SpaceId>>,
    deleting: bool,
    /// A sync is asked about, or tried again, after a pause.
    had_pause: bool,
    log: Vec<String>,
}

impl Player {
    fn new(base: u32, quantity: u32) -> Self {
        Self {
            spec: spec(base, quantity),
            stored: Record::default(),
            members: None,
            facts: BridgeFacts::default(),
            held: BTreeMap::new(),
            deleting: false,
            had_pause: false,
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
            slots: Some(SlotsStatus { parameter_sets: self.stored.sets.clone(), ..SlotsStatus::default() }),
            ..MeetingBridgeStatus::default()
        });
        if self.deleting {
            bridge.metadata.deletion_timestamp = Some(Time(Timestamp::UNIX_EPOCH));
        }
        BridgeProgress::resume(&bridge)
    }

    /// One pass. None: it ended early, by a crash or a lost reply.
    fn pass(&mut self, server: &mut Server, faults: &mut (dyn Iterator<Item = Fault> + Send)) -> Option<End> {
        let mut progress = self.progress();
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
        self.had_pause = progress.sync_pause.is_some();
        if lost {
            return None;
        }
        if progress.failure.is_some() {
            // "There is no such object": the next pass goes on from there.
            return self.pass(server, faults);
        }
        Some(match (progress.obstacle, progress.sync_pause) {
            (Some(obstacle), _) => End::Blocked(obstacle),
            (None, Some(_)) => End::AwaitSync,
            (None, None) => End::Settled,
        })
    }

    fn run(&mut self, server: &mut Server) -> End {
        self.pass(server, &mut std::iter::empty()).unwrap()
    }

    /// Pass after pass until no sync is under way.
    fn settle(&mut self, server: &mut Server) -> End {
        for _ in 0..40 {
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

    fn look_at_all(&mut self, server: &Server) {
        let Seen::Known(pool) = &mut self.facts.slots else { return };
        let ids: Vec<SpaceId> = pool.iter().map(|(_, space)| space.id.clone()).collect();
        for id in ids {
            pool.take_space(&id, server.spaces.iter().find(|space| space.id == id).cloned());
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

// ---------------------------------------------------------------------------------------------------- first contact

#[test]
fn first_contact_goes_in_the_order_of_the_guide() {
    let mut server = Server::new(Vec::new());
    let mut player = Player::new(1, 5);
    assert_eq!(player.settle(&mut server), End::Settled);
    assert_eq!(
        player.take_log(),
        [
            "look System",
            "look Cluster",
            "record Profiles",
            "create the call profile",
            "create the call leg profile",
            "look Slots",
            "record Set(1..=5)",
            "create a bulk parameter set for 1..5",
            "start the bulk sync that makes its spaces",
            "look Sync(\"sync-9\")",
            "look Sync(\"sync-9\")",
            "look Slots"
        ]
    );
    assert_eq!(server.numbers(), [1, 2, 3, 4, 5]);
    assert_eq!(player.run(&mut server), End::Settled);
    assert!(player.take_log().is_empty(), "a settled bridge costs nothing");
}

#[test]
fn a_settled_bridge_is_only_read_after_a_restart() {
    let mut server = Server::new(Vec::new());
    let mut player = Player::settled(&mut server, 1, 5);
    player.restart();
    assert_eq!(player.run(&mut server), End::Settled);
    assert_eq!(player.take_log(), ["look System", "look Slots"]);
}

#[test]
fn spaces_that_are_there_are_adopted_and_nothing_is_made() {
    let mut server = Server::new((1..=3).map(|n| slot(&format!("tms-{n}"), n)).collect());
    let mut player = Player::new(1, 3);
    assert_eq!(player.run(&mut server), End::Settled);
    assert_eq!(player.writes(), ["create the call profile", "create the call leg profile"]);
}

#[test]
fn the_message_board_is_left_out_from_version_3_on() {
    for (version, has_it) in [("2.0(RC)", true), ("2.9.5", true), ("3.0", false), ("3.10.1", false)] {
        let mut server = Server { version: version.to_owned(), ..Server::new(Vec::new()) };
        Player::settled(&mut server, 1, 1);
        let fields = server.call_profiles.values().next().unwrap();
        assert_eq!(fields.contains_key("messageBoardEnabled"), has_it, "{version}");
        assert_eq!(fields["participantLimit"], "1000", "{version}");
    }
}

#[test]
fn an_old_version_and_missing_numbers_stop_everything_else() {
    let mut server = Server { version: "1.9".to_owned(), ..Server::new(Vec::new()) };
    let mut player = Player::new(1, 5);
    assert_eq!(player.run(&mut server), End::Blocked(Obstacle::VersionTooOld));
    assert_eq!(player.take_log(), ["look System"]);

    let mut server = Server::new(Vec::new());
    player = Player::new(1, 5);
    player.spec.slots.domain = Some(String::new());
    player.spec.slots.base = None;
    let blocked = End::Blocked(Obstacle::DialNumbers(vec!["slots.domain", "slots.base"]));
    assert_eq!(player.run(&mut server), blocked);
    assert_eq!(player.writes(), ["create the call profile", "create the call leg profile"], "the profiles can be made");
}

#[test]
fn the_last_number_does_not_overflow() {
    assert_eq!(numbers(&spec(5, 1)), Ok(5..=5));
    assert_eq!(numbers(&spec(u32::MAX, 3)), Ok(u32::MAX..=u32::MAX));
}

// --------------------------------------------------------------------------------------------------------- profiles

#[test]
fn a_profile_that_drifted_is_repaired_and_one_that_vanished_is_made_again() {
    let mut server = Server::new(Vec::new());
    let mut player = Player::settled(&mut server, 1, 1);
    let drifted = Fields::from([("participantLimit".to_owned(), "7".to_owned())]);
    player.facts.call_profile = Seen::Known(Some(drifted));
    player.run(&mut server);
    assert_eq!(player.take_log(), ["repair the call profile"]);
    player.facts.call_leg_profile =
        Seen::Known(Some(Fields::from([("MUTESELFALLOWED".to_owned(), "false".to_owned())])));
    player.run(&mut server);
    assert_eq!(player.take_log(), ["repair the call leg profile"]);
    player.facts.call_profile = Seen::Known(None);
    player.facts.call_leg_profile = Seen::Known(None);
    assert_eq!(player.run(&mut server), End::Settled);
    let slot = server.space_of(1).unwrap().id.clone();
    assert_eq!(
        player.take_log(),
        [
            "create the call profile".to_owned(),
            "create the call leg profile".to_owned(),
            format!("look Space({slot:?})"),
            "attach the profiles to slot 1".to_owned()
        ]
    );
    player.spec.profiles.call.participant_limit = Some(20);
    player.run(&mut server);
    assert_eq!(player.take_log(), ["repair the call profile"], "a change of the spec is one, too");
}

#[test]
fn a_slot_of_ours_is_told_its_profiles_once_and_only_while_nobody_uses_it() {
    let mut server = Server::new(vec![slot("adopted", 1)]);
    let mut player = Player::settled(&mut server, 1, 4);
    player.open_meeting(&mut server, 2);
    for number in 1..=4 {
        server.space_of(number).unwrap().call_profile = (number != 4).then(|| "theirs".into());
    }
    let seen: Vec<Space> = (1..=4).map(|number| server.space_of(number).unwrap().clone()).collect();
    let Seen::Known(pool) = &mut player.facts.slots else { panic!() };
    for space in seen {
        pool.take_space(&space.id.clone(), Some(space));
    }
    assert_eq!(player.run(&mut server), End::Settled);
    assert_eq!(player.take_log(), ["attach the profiles to slot 3"], "one that shows none is believed");
    assert_eq!(player.run(&mut server), End::Settled);
    assert!(player.take_log().is_empty(), "what it shows has not changed, but it was told");
    assert!(server.wrongs.is_empty(), "{:?}", server.wrongs);
}

#[test]
fn a_full_look_asks_for_the_profiles_and_every_free_slot() {
    let mut server = Server::new(Vec::new());
    let mut player = Player::settled(&mut server, 1, 2);
    player.open_meeting(&mut server, 1);
    let id = server.space_of(2).unwrap().id.clone();
    // Opened without a new name: a list cannot tell.
    server.space_of(2).unwrap().non_member_access = Some(true);
    server.call_profiles.clear();
    player.facts = BridgeFacts::to_recheck();
    assert_eq!(player.run(&mut server), End::Settled);
    assert_eq!(
        player.take_log(),
        [
            "look System".to_owned(),
            "look Cluster".to_owned(),
            "look CallProfile(\"call-profile-1\")".to_owned(),
            "create the call profile".to_owned(),
            "look CallLegProfile(\"leg-profile-2\")".to_owned(),
            "look Slots".to_owned(),
            format!("look Space({id:?})"),
        ],
        "a slot in use is its meeting's business"
    );
    assert_eq!(player.facts.slots.known().unwrap().foreign(&player.held_numbers()), BTreeSet::from([2]));
}

#[test]
fn profiles_are_compared_with_tolerance() {
    let want = [("muteSelfAllowed".to_owned(), "true".to_owned())];
    for (name, value, same) in [
        ("muteSelfAllowed", "true", true),
        ("MuteSelfAllowed", " TRUE ", true),
        ("muteSelfAllowed", "false", false),
        ("somethingElse", "x", true),
    ] {
        assert_eq!(
            profile_matches(&want, &Fields::from([(name.to_owned(), value.to_owned())])),
            same,
            "{name}={value}"
        );
    }
}

#[test]
fn a_creation_whose_reply_was_lost_is_looked_up_and_not_repeated() {
    for fault in [Fault::Crash, Fault::LostReply] {
        for index in 0..3 {
            let mut server = Server::new(Vec::new());
            let mut player = Player::new(1, 5);
            let mut faults = std::iter::repeat_n(Fault::None, index).chain([fault]);
            assert_eq!(player.pass(&mut server, &mut faults), None);
            assert_eq!(player.settle(&mut server), End::Settled);
            let made = (server.call_profiles.len(), server.leg_profiles.len(), server.sets.len());
            assert_eq!(made, (1, 1, 1), "{fault:?} at write {index}: {:?}", player.log);
        }
    }
}

#[test]
fn a_creation_that_was_never_sent_is_looked_up_and_then_made() {
    for index in 0..3 {
        let mut server = Server::new(Vec::new());
        let mut player = Player::new(1, 5);
        let mut faults = std::iter::repeat_n(Fault::None, index).chain([Fault::CrashBefore]);
        assert_eq!(player.pass(&mut server, &mut faults), None);
        player.take_log();
        assert_eq!(player.settle(&mut server), End::Settled);
        let lost = ["look LostCallProfile", "look LostCallLegProfile", "look LostSet(1..=5)"][index];
        assert!(player.log.iter().any(|line| line == lost), "{:?}", player.log);
    }
}

// ----------------------------------------------------------------------------------------------------- provisioning

#[test]
fn only_what_is_missing_is_made_and_by_a_further_set() {
    let mut server = Server::new(Vec::new());
    let mut player = Player::settled(&mut server, 1, 5);
    let before = server.spaces.clone();
    player.resize(1, 8);
    assert_eq!(player.settle(&mut server), End::Settled);
    assert_eq!(player.writes(), ["create a bulk parameter set for 6..8", "start the bulk sync that makes its spaces"]);
    assert!(before.iter().all(|old| server.spaces.iter().any(|new| new.id == old.id)), "the ids of the first are kept");

    let gone: Vec<SpaceId> = [2, 7].iter().map(|n| server.space_of(*n).unwrap().id.clone()).collect();
    server.drop_spaces(&gone, "by hand");
    player.look_at_all(&server);
    assert_eq!(player.settle(&mut server), End::Settled);
    let made = player.writes();
    assert_eq!(made[0], "create a bulk parameter set for 2..2");
    assert_eq!(made[2], "create a bulk parameter set for 7..7");
    assert_eq!(server.numbers(), [1, 2, 3, 4, 5, 6, 7, 8]);
    assert!(server.wrongs.is_empty(), "{:?}", server.wrongs);
}

#[test]
fn everything_is_listed_before_a_missing_number_is_believed() {
    let mut renamed = Server::new((1..=3).map(|n| slot(&format!("s-{n}"), n)).collect());
    renamed.spaces[1] = taken("s-2", 2);
    let mut player = Player::new(1, 3);
    assert_eq!(player.run(&mut renamed), End::Settled);
    let log = player.take_log();
    assert!(
        log.contains(&"look AllSpaces".to_owned()) && log.contains(&"look Space(SpaceId(\"s-2\"))".to_owned()),
        "{log:?}"
    );
    assert!(renamed.sets.is_empty());
}

#[test]
fn a_slot_in_use_is_not_missing_only_because_it_has_another_name() {
    let mut server = Server::new(Vec::new());
    let mut player = Player::settled(&mut server, 1, 3);
    player.open_meeting(&mut server, 2);
    player.restart();
    assert_eq!(player.run(&mut server), End::Settled);
    assert_eq!(player.take_log(), ["look System", "look Slots"]);
}

#[test]
fn a_space_that_was_deleted_under_a_meeting_is_made_again() {
    let mut server = Server::new(Vec::new());
    let mut player = Player::settled(&mut server, 1, 3);
    player.open_meeting(&mut server, 2);
    let id = server.space_of(2).unwrap().id.clone();
    server.spaces.retain(|space| space.id != id);
    player.restart();
    player.run(&mut server);
    player.take_log();
    let Seen::Known(pool) = &mut player.facts.slots else { panic!("no pool") };
    pool.take_space(&id, None);
    assert_eq!(player.settle(&mut server), End::Settled);
    assert_eq!(player.log[0], "look AllSpaces");
    assert_eq!(player.writes()[0], "create a bulk parameter set for 2..2");
    assert_eq!(server.numbers(), [1, 2, 3]);
}

#[test]
fn spaces_that_somebody_made_anew_are_found_by_their_numbers() {
    let mut server = Server::new(Vec::new());
    let mut player = Player::settled(&mut server, 1, 3);
    let before = player.facts.slots.known().unwrap().space(1).unwrap().id.clone();
    player.open_meeting(&mut server, 1);
    server.spaces = (1..=3).map(|n| slot(&format!("new-{n}"), n)).collect();
    let Seen::Known(pool) = &mut player.facts.slots else { panic!("no pool") };
    pool.take_space(&before, None);
    assert_eq!(player.settle(&mut server), End::Settled);
    assert!(player.writes().is_empty(), "nothing has to be made");
    let pool = player.facts.slots.known().unwrap();
    assert!((1..=3).all(|n| pool.space(n).unwrap().id.as_str() == format!("new-{n}")), "none of the old ones is left");
}

#[test]
fn a_sync_whose_reply_was_lost_is_not_repeated_over_its_slots() {
    let mut server = Server::new(Vec::new());
    let mut player = Player::new(1, 3);
    let mut faults = std::iter::repeat_n(Fault::None, 3).chain([Fault::Crash]);
    assert_eq!(player.pass(&mut server, &mut faults), None);
    assert_eq!(server.numbers(), [1, 2, 3], "made, but nobody noted the sync");
    player.take_log();
    assert_eq!(player.run(&mut server), End::Settled);
    assert!(player.writes().is_empty());
    // Later a meeting runs in one of them, and another one is lost.
    player.open_meeting(&mut server, 1);
    let gone = server.space_of(3).unwrap().id.clone();
    server.drop_spaces(&[gone], "by hand");
    player.look_at_all(&server);
    assert_eq!(player.settle(&mut server), End::Settled);
    assert_eq!(player.writes()[0], "create a bulk parameter set for 3..3");
    assert!(server.wrongs.is_empty(), "{:?}", server.wrongs);
}

#[test]
fn a_failed_sync_names_the_offender_and_is_tried_again() {
    for leaves_half in [false, true] {
        let other = Space { call_id: Some("77".to_owned()), name: "Party".to_owned(), ..slot("x", 3) };
        let mut server = Server { leaves_half, ..Server::new(vec![other]) };
        let mut player = Player::new(1, 4);
        let failed = End::Blocked(Obstacle::Sync(SyncFailure::UriConflict));
        assert_eq!(player.settle(&mut server), failed);
        assert_eq!(player.log.last().unwrap(), "look Offender");
        for _ in 0..5 {
            assert_eq!(player.settle(&mut server), failed, "while the offender is there");
        }
        assert!(server.sets.len() <= 2, "sets do not pile up: {:?}", server.sets);
        server.spaces.retain(|space| space.id.as_str() != "x");
        assert_eq!(player.settle(&mut server), End::Settled);
        assert_eq!(server.numbers(), [1, 2, 3, 4], "{leaves_half}");
        assert!(server.wrongs.is_empty());
    }
}

#[test]
fn a_failed_set_that_is_not_wanted_any_more_is_deleted() {
    let other = Space { call_id: Some("77".to_owned()), name: "Party".to_owned(), ..slot("x", 3) };
    let mut server = Server::new(vec![other]);
    let mut player = Player::new(1, 4);
    player.settle(&mut server);
    player.take_log();
    // The failure is known, and the user reads the message.
    player.resize(11, 2);
    let asked = next(&player.progress(), &player.facts, &Around::default());
    let Next::Do(step) = asked else { panic!("{asked:?}") };
    assert_eq!(step.to_string(), "delete a bulk parameter set");
    assert_eq!(player.settle(&mut server), End::Settled);
    assert!(server.numbers().ends_with(&[11, 12]));
}

// -------------------------------------------------------------------------------------------------- keep shut, shrink

#[test]
fn a_free_slot_that_is_open_is_shut_and_its_call_deleted() {
    let mut server = Server::new(Vec::new());
    let mut player = Player::settled(&mut server, 1, 5);
    for number in [1, 2] {
        player.open_meeting(&mut server, number);
    }
    // The meeting in slot 1 is gone without having shut it.
    player.held.remove(&1);
    let id = server.space_of(3).unwrap().id.clone();
    *server.space_of(3).unwrap() = taken(id.as_str(), 3);
    server.call_on(id.as_str());
    let id = server.space_of(4).unwrap().id.clone();
    server.call_on(id.as_str());
    player.look_at_all(&server);
    assert_eq!(player.run(&mut server), End::Settled);
    assert_eq!(player.take_log(), ["shut slot 1", "delete a call on a free slot", "delete a call on a free slot"]);
    assert_eq!(server.calls.len(), 2, "those of the meeting in slot 2 and of the stranger in slot 3 go on");
    assert!(server.wrongs.is_empty(), "{:?}", server.wrongs);
    player.run(&mut server);
    assert!(player.take_log().is_empty());
}

#[test]
fn a_slot_with_another_name_is_looked_at_before_it_is_judged() {
    let mut server = Server::new(Vec::new());
    let mut player = Player::settled(&mut server, 1, 2);
    let id = server.space_of(1).unwrap().id.clone();
    *server.space_of(1).unwrap() = running(id.as_str(), 1);
    player.restart();
    assert_eq!(player.run(&mut server), End::Settled);
    let look = format!("look Space({id:?})");
    assert_eq!(
        player.take_log()[1..],
        ["look Slots".to_owned(), "look AllSpaces".to_owned(), look, "shut slot 1".to_owned()]
    );
}

#[test]
fn a_smaller_range_drains_what_is_held_and_removes_the_rest() {
    let mut server = Server::new(vec![slot("tms-9", 9)]);
    let mut player = Player::settled(&mut server, 1, 6);
    player.open_meeting(&mut server, 5);
    player.resize(1, 3);
    assert_eq!(player.run(&mut server), End::Blocked(Obstacle::Draining));
    assert_eq!(
        player.writes(),
        ["remove the space of slot 4, which is out of range", "remove the space of slot 6, which is out of range"]
    );
    player.close_meeting(&mut server, 5);
    assert_eq!(player.run(&mut server), End::Settled);
    assert_eq!(server.numbers(), [1, 2, 3, 9], "number 9 has a placeholder name, but we did not make it");
    assert!(server.wrongs.is_empty(), "{:?}", server.wrongs);
}

#[test]
fn what_an_earlier_range_left_open_is_found_after_a_restart() {
    let mut server = Server::new(Vec::new());
    let mut player = Player::settled(&mut server, 1, 4);
    player.open_meeting(&mut server, 4);
    player.resize(1, 3);
    player.run(&mut server);
    // The meeting is gone without having shut its slot, and so is our memory.
    player.held.clear();
    player.restart();
    player.take_log();
    assert_eq!(player.run(&mut server), End::Settled);
    assert_eq!(player.writes(), ["shut slot 4", "remove the space of slot 4, which is out of range"]);
    assert_eq!(server.numbers(), [1, 2, 3]);
}

#[test]
fn a_foreign_slot_out_of_range_is_left_alone() {
    let mut server = Server::new(Vec::new());
    let mut player = Player::settled(&mut server, 1, 3);
    let id = server.space_of(3).unwrap().id.clone();
    *server.space_of(3).unwrap() = taken(id.as_str(), 3);
    player.look_at_all(&server);
    player.resize(1, 2);
    assert_eq!(player.run(&mut server), End::Blocked(Obstacle::Draining));
    assert!(player.writes().is_empty() && server.wrongs.is_empty());
}

// ---------------------------------------------------------------------------------------------------------- removal

#[test]
fn removal_takes_away_what_we_made_in_reverse_order() {
    let mut server = Server::new(vec![slot("tms-2", 2)]);
    let mut player = Player::new(1, 3);
    player.settle(&mut server);
    player.take_log();
    player.deleting = true;
    assert_eq!(player.settle(&mut server), End::Settled);
    assert_eq!(
        player.writes(),
        [
            "start the bulk sync that removes the spaces of a set",
            "delete a bulk parameter set",
            "start the bulk sync that removes the spaces of a set",
            "delete a bulk parameter set",
            "delete the call profile",
            "delete the call leg profile"
        ]
    );
    assert_eq!(server.numbers(), [2], "the adopted space stays");
    assert!(server.sets.is_empty() && server.call_profiles.is_empty() && server.leg_profiles.is_empty());
}

#[test]
fn removal_waits_for_the_meetings_and_shuts_what_they_left() {
    let mut server = Server::new(vec![slot("tms-1", 1)]);
    let mut player = Player::settled(&mut server, 1, 2);
    player.open_meeting(&mut server, 1);
    player.deleting = true;
    assert_eq!(player.run(&mut server), End::AwaitSync);
    assert!(player.writes().is_empty());
    // The wait is over, and the meeting has not managed to shut its slot.
    player.held.clear();
    player.restart();
    assert_eq!(player.settle(&mut server), End::Settled);
    assert!(player.writes().contains(&"shut slot 1".to_owned()));
    assert_eq!(server.numbers(), [1]);
    assert!(server.wrongs.is_empty(), "{:?}", server.wrongs);
}

#[test]
fn orphaned_and_untouched_bridges_are_left_without_a_request() {
    let mut server = Server::new(Vec::new());
    let mut player = Player::settled(&mut server, 1, 2);
    (player.deleting, player.spec.deletion_policy) = (true, DeletionPolicy::Orphan);
    player.restart();
    assert_eq!(player.run(&mut server), End::Settled);
    let mut never = Player::new(1, 2);
    never.deleting = true;
    assert_eq!(never.run(&mut server), End::Settled);
    assert!(player.take_log().is_empty() && never.take_log().is_empty());
    assert_eq!(server.numbers(), [1, 2]);
}

#[test]
fn removal_goes_around_a_slot_that_is_somebody_elses_now() {
    let mut server = Server::new(Vec::new());
    let mut player = Player::settled(&mut server, 1, 3);
    let id = server.space_of(2).unwrap().id.clone();
    *server.space_of(2).unwrap() = taken(id.as_str(), 2);
    player.restart();
    player.deleting = true;
    // Outside the range it is not even listed as a slot.
    for base in [1, 11] {
        let (mut server, mut record) = (server.clone(), player.stored.clone());
        player.resize(base, 3);
        assert_eq!(player.settle(&mut server), End::Settled);
        assert_eq!(server.numbers(), [2]);
        assert!(server.sets.is_empty() && server.wrongs.is_empty(), "{:?}", server.wrongs);
        std::mem::swap(&mut player.stored, &mut record);
        player.restart();
    }
}

#[test]
fn removal_finds_creations_that_were_lost_and_halves_that_failed() {
    for index in 2..4 {
        let mut server = Server::new(Vec::new());
        let mut player = Player::new(1, 3);
        player.pass(&mut server, &mut std::iter::repeat_n(Fault::None, index).chain([Fault::Crash]));
        player.deleting = true;
        assert_eq!(player.settle(&mut server), End::Settled);
        assert!(server.sets.is_empty() && server.spaces.is_empty(), "{index}: {:?}", player.log);
    }
    let other = Space { call_id: Some("77".to_owned()), name: "Party".to_owned(), ..slot("x", 3) };
    let mut server = Server { leaves_half: true, ..Server::new(vec![other]) };
    let mut player = Player::new(1, 4);
    player.run(&mut server);
    player.deleting = true;
    assert_eq!(player.settle(&mut server), End::Settled);
    assert_eq!(server.numbers(), [3], "{:?}", player.log);
}

// ------------------------------------------------------------------------------------------------------- properties

fn any_fault() -> impl Strategy<Value = Fault> {
    prop_oneof![3 => Just(Fault::None), 1 => Just(Fault::Crash), 1 => Just(Fault::CrashBefore), 1 => Just(Fault::LostReply)]
}

/// Spaces that stand on the bridge before we come.
fn any_spaces() -> impl Strategy<Value = Vec<Space>> {
    prop::collection::btree_map(1_u32..12, 0_u8..4, 0..6).prop_map(|kinds| {
        let space = |(number, kind): (u32, u8)| {
            let id = format!("old-{number}");
            match kind {
                0 => slot(&id, number),
                1 => taken(&id, number),
                2 => running(&id, number),
                // No slot: out of the way of every range.
                _ => Space { call_id: Some("77".to_owned()), ..taken(&id, number + 900) },
            }
        };
        kinds.into_iter().map(space).collect()
    })
}

#[derive(Clone, Debug)]
enum Event {
    Opens(u32),
    Closes(u32),
    /// The meeting is gone, its slot is left open.
    Forgotten(u32),
    Deleted(u32),
    Taken(u32),
    Resized(u32, u32),
    Restart,
    LookedAt,
}

fn any_event() -> impl Strategy<Value = Event> {
    let number = 1_u32..12;
    prop_oneof![
        3 => number.clone().prop_map(Event::Opens),
        1 => number.clone().prop_map(Event::Closes),
        1 => number.clone().prop_map(Event::Forgotten),
        1 => number.clone().prop_map(Event::Deleted),
        1 => number.prop_map(Event::Taken),
        1 => (1_u32..4, 1_u32..9).prop_map(|(base, quantity)| Event::Resized(base, quantity)),
        1 => Just(Event::Restart),
        1 => Just(Event::LookedAt),
    ]
}

fn happen(event: Event, player: &mut Player, server: &mut Server) {
    match event {
        Event::Opens(number) => player.open_meeting(server, number),
        Event::Closes(number) => player.close_meeting(server, number),
        Event::Forgotten(number) => {
            player.held.remove(&number);
        }
        Event::Deleted(number) => {
            if let Some(id) =
                server.space_of(number).filter(|space| !is_mine(space) && !is_strange(space)).map(|s| s.id.clone())
            {
                server.drop_spaces(&[id], "by hand");
            }
        }
        Event::Taken(number) => {
            if let Some(space) = server.space_of(number).filter(|space| !is_mine(space)) {
                *space = taken(space.id.as_ref(), number);
                // Otherwise nobody could tell.
                player.look_at_all(server);
            }
        }
        Event::Resized(base, quantity) => player.resize(base, quantity),
        Event::Restart => player.restart(),
        Event::LookedAt => player.look_at_all(server),
    }
}

fn strangers(server: &Server) -> Vec<String> {
    server.spaces.iter().filter(|space| is_strange(space)).map(|space| format!("{space:?}")).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    /// Whatever stands on the bridge, happens there, and fails: the range comes to be complete, left-open slots are
    /// shut, nothing is made twice, nothing in use and nothing foreign is touched; then nothing more is done.
    #[test]
    fn a_bridge_is_made_as_wanted_whatever_fails(
        spaces in any_spaces(),
        rounds in prop::collection::vec((prop::option::of(any_event()), prop::collection::vec(any_fault(), 0..6)), 0..10),
        leaves_half in any::<bool>(),
    ) {
        let mut server = Server { leaves_half, ..Server::new(spaces) };
        let mut player = Player::new(1, 5);
        for (event, faults) in rounds {
            player.pass(&mut server, &mut faults.into_iter());
            if let Some(event) = event {
                happen(event, &mut player, &mut server);
            }
        }
        let before = strangers(&server);
        player.look_at_all(&server);
        let mut end = End::AwaitSync;
        for _ in 0..12 {
            end = player.settle(&mut server);
            player.look_at_all(&server);
        }
        prop_assert!(matches!(end, End::Settled | End::Blocked(Obstacle::Draining)), "{end:?}: {:?}", player.log);
        prop_assert!(server.wrongs.is_empty(), "{:?}: {:?}", server.wrongs, player.log);
        prop_assert_eq!(strangers(&server), before);
        prop_assert_eq!((server.call_profiles.len(), server.leg_profiles.len()), (1, 1));
        for number in numbers(&player.spec).unwrap() {
            prop_assert_eq!(server.numbers().iter().filter(|have| **have == number).count(), 1, "slot {}", number);
        }
        let pool = player.facts.slots.known().unwrap().clone();
        for space in server.spaces.iter().filter(|space| is_mine(space)) {
            let held = player.held.values().any(|held| held.as_ref() == Some(&space.id));
            prop_assert!(held || pool.number(&space.id).is_none(), "{space:?} was left open");
        }
        // Without a set of ours and with strangers only, the next contact is a first one: its sync fails harmlessly.
        let range = numbers(&player.spec).unwrap();
        if player.stored.sets.is_empty() && range.clone().all(|n| server.space_of(n).is_some_and(|space| is_strange(space))) {
            return Ok(());
        }
        player.take_log();
        player.restart();
        player.run(&mut server);
        let log = player.log.clone();
        prop_assert!(player.writes().is_empty(), "a settled bridge is only read: {log:?}");
    }

    /// Whatever stands there, and whichever write fails: what we made is gone in the end, and nothing else.
    #[test]
    fn removal_leaves_only_what_is_not_ours(
        spaces in any_spaces(),
        events in prop::collection::vec(any_event(), 0..4),
        early in prop::collection::vec(any_fault(), 0..8),
        late in prop::collection::vec(prop::collection::vec(any_fault(), 0..4), 0..6),
    ) {
        let mut server = Server::new(spaces);
        let mut player = Player::new(1, 5);
        player.pass(&mut server, &mut early.into_iter());
        for event in events {
            happen(event, &mut player, &mut server);
            player.pass(&mut server, &mut std::iter::empty());
        }
        player.deleting = true;
        for number in 1..12 {
            player.close_meeting(&mut server, number);
        }
        let before = strangers(&server);
        for faults in late {
            player.pass(&mut server, &mut faults.into_iter());
        }
        prop_assert_eq!(player.settle(&mut server), End::Settled);
        prop_assert!(server.wrongs.is_empty(), "{:?}: {:?}", server.wrongs, player.log);
        prop_assert_eq!(strangers(&server), before);
        prop_assert!(server.sets.is_empty(), "{:?}", server.sets);
        // Where a stranger sits among spaces of a sync that was never seen to succeed, nobody can tell which are ours.
        let with_stranger = |set: &String| {
            let number = |space: &Space| space.uri.as_deref().and_then(|uri| uri.parse().ok());
            let within = |space: &Space| number(space).is_some_and(|number| server.ranges[set].contains(&number));
            server.spaces.iter().any(|space| is_strange(space) && within(space))
        };
        let left: Vec<_> = server
            .spaces
            .iter()
            .filter(|space| !is_strange(space))
            .filter(|space| server.made.get(&space.id).is_some_and(|set| !with_stranger(set)))
            .collect();
        prop_assert!(left.is_empty(), "{left:?}: {:?}", player.log);
        prop_assert!(player.stored.sets.is_empty());
    }
}

#[test]
fn what_a_complete_sync_left_out_is_listed_again_before_it_is_made_again() {
    let mut server = Server::new(Vec::new());
    let mut player = Player::new(1, 3);
    player.settle(&mut server);
    let hidden = server.spaces.pop().unwrap();
    player.facts.slots = Seen::Unknown;
    player.facts.relists_left = 2;
    assert_eq!(player.run(&mut server), End::AwaitSync, "it may only show late");
    server.spaces.push(hidden);
    player.facts.slots = Seen::Unknown;
    player.take_log();
    assert_eq!(player.run(&mut server), End::Settled);
    assert!(player.writes().is_empty());
}
