//! Settings of a meeting: its space is told their profiles and given back what it had, whatever fails.

use proptest::prelude::*;

use super::*;
use crate::api::names::ObjectKey;
use crate::api::settings::{ProfileKind, SettingsProfile};
use crate::plan::faults::any_fault;
use crate::plan::settings::{owner_of, wanted};

/// Which profiles for the settings are on the bridge, and whether the slot is of its own making.
#[derive(Clone, Copy, Debug)]
struct World {
    call: bool,
    leg: bool,
    is_made: bool,
}

const ALL: World = World { call: true, leg: true, is_made: true };

/// A bridge whose status tells of these profiles.
fn bridge(player: &Player, world: World) -> MeetingBridge {
    let mut bridge: MeetingBridge = serde_json::from_value(serde_json::json!({
        "apiVersion": "meeting-controller.dev/v1alpha1", "kind": "MeetingBridge",
        "metadata": { "name": "b", "namespace": "ns" },
        "spec": { "address": "cms.test:445", "credentialsSecretRef": { "name": "s" }, "slots": {} },
        "status": { "system": { "softwareVersion": "3.0" }, "profiles": { "call": "own-call", "callLeg": "own-leg" } }
    }))
    .unwrap();
    let settings = player.spec.settings.clone().unwrap_or_default();
    let mut profiles =
        wanted(&settings, &player.spec.access_methods, &bridge.spec.profiles, &owner_of(&bridge), "3.0").profiles;
    for profile in &mut profiles {
        let (is_there, id) = match profile.kind {
            ProfileKind::Call => (world.call, "p-call"),
            ProfileKind::CallLeg => (world.leg, "p-leg"),
        };
        profile.id = is_there.then(|| id.to_owned());
    }
    let status = bridge.status.as_mut().unwrap();
    status.settings_profiles = profiles;
    if world.is_made {
        let sets =
            serde_json::json!({ "parameterSets": [{ "startIndex": 1, "endIndex": 5, "id": "set", "synced": true }] });
        status.slots = Some(serde_json::from_value(sets).unwrap());
    }
    bridge
}

/// A slot with profiles of its own: those of the bridge, or of somebody before us.
fn slot(world: World) -> Space {
    let (call, leg) = if world.is_made { ("own-call", "own-leg") } else { ("their-call", "their-leg") };
    Space { call_profile: Some(call.into()), call_leg_profile: Some(leg.into()), ..free() }
}

fn world(world: World, settings: serde_json::Value) -> (Model, Player) {
    let mut model = Model::new(Some(slot(world)), at(0));
    model.profiles = ["own-call", "own-leg", "their-call", "their-leg", "p-call", "p-leg"].map(str::to_owned).into();
    let mut player = Player::new(&[], Start::booked());
    player.spec.settings = serde_json::from_value(settings).unwrap();
    player.bridge = Some(bridge(&player, world));
    (model, player)
}

fn required() -> serde_json::Value {
    serde_json::json!({ "participantLimit": 7, "encryption": "Required" })
}

fn shown(model: &Model) -> (String, String) {
    let space = model.space.as_ref().unwrap();
    let text = |id: Option<String>| id.unwrap_or_default();
    (
        text(space.call_profile.as_ref().map(ToString::to_string)),
        text(space.call_leg_profile.as_ref().map(ToString::to_string)),
    )
}

fn pair(call: &str, leg: &str) -> (String, String) {
    (call.to_owned(), leg.to_owned())
}

fn end(player: &mut Player, model: &mut Model) {
    model.clock = at(3600);
    for _ in 0..4 {
        player.pass(model, false, &mut std::iter::empty());
    }
    assert_eq!(player.door, Door::Released, "{:?}", player.log);
}

#[test]
fn the_space_is_told_the_profiles_with_its_door_and_given_back_what_it_had() {
    for is_made in [true, false] {
        let (mut model, mut player) = world(World { is_made, ..ALL }, required());
        let before = shown(&model);
        assert_eq!(player.run(&mut model), End::Settled);
        assert_eq!(shown(&model), pair("p-call", "p-leg"));
        assert_eq!(player.log, ["look Space", "open the space", "look Calls", "create the call"], "no further write");
        end(&mut player, &mut model);
        assert_eq!(shown(&model), before);
        assert_eq!(player.stored.settings, None, "and it is forgotten");
    }
}

#[test]
fn a_meeting_without_settings_tells_and_records_nothing() {
    let (mut model, mut player) = world(ALL, serde_json::Value::Null);
    player.run(&mut model);
    assert_eq!((shown(&model), &player.stored.settings), (pair("own-call", "own-leg"), &None));
    let progress = player.progress(at(10));
    assert_eq!((progress.profiles_to_open(), progress.profiles_to_close()), Default::default());
}

#[test]
fn a_door_opens_in_time_without_a_setting_that_keeps_nobody_out_and_gets_it_later() {
    let (mut model, mut player) = world(
        World { leg: false, ..ALL },
        serde_json::json!({
            "participantLimit": 7, "layout": "stacked"
        }),
    );
    assert_eq!(player.run(&mut model), End::Settled);
    assert!(player.is_open());
    assert_eq!(shown(&model), pair("p-call", "own-leg"));
    player.bridge = Some(bridge(&player, ALL));
    assert_eq!(player.run(&mut model), End::Settled);
    assert_eq!(shown(&model), pair("p-call", "p-leg"));
    player.take_log();
    player.run(&mut model);
    assert_eq!(player.log, Vec::<String>::new(), "told once");
}

#[test]
fn a_door_stays_shut_without_a_setting_that_keeps_people_out() {
    let (mut model, mut player) = world(World { leg: false, ..ALL }, required());
    assert_eq!(player.run(&mut model), End::Blocked(Obstacle::SettingsMissing));
    assert!(!player.is_open());
    assert_eq!(model.space.as_ref().unwrap().non_member_access, Some(false));
    player.bridge = Some(bridge(&player, ALL));
    assert_eq!(player.run(&mut model), End::Settled);
    assert!(player.is_open());
}

/// After a restart the bridge writes its ids in capitals, in lists and looks, and so does the status of the MeetingBridge.
#[test]
fn profiles_whose_ids_come_in_another_case_are_the_same_ones() {
    let (mut model, mut player) = world(ALL, required());
    player.run(&mut model);
    let status = player.bridge.as_mut().unwrap().status.as_mut().unwrap();
    for profile in &mut status.settings_profiles {
        profile.id = profile.id.as_ref().map(|id| id.to_ascii_uppercase());
    }
    let space = model.space.as_mut().unwrap();
    (space.call_profile, space.call_leg_profile) = (Some("P-CALL".into()), Some("P-LEG".into()));
    player.take_log();
    player.pass(&mut model, true, &mut std::iter::empty());
    assert_eq!(player.log, Vec::<String>::new());
    assert!(player.progress(at(10)).has_settings_applied());
    // The status of the meeting is lost, too: what the space shows was made for settings.
    player.stored.settings = None;
    end(&mut player, &mut model);
    assert_eq!(shown(&model), pair("own-call", "own-leg"));
}

#[test]
fn settings_that_are_taken_out_are_given_back_while_the_meeting_runs() {
    let (mut model, mut player) = world(ALL, required());
    player.run(&mut model);
    player.spec.settings = None;
    player.bridge = Some(bridge(&player, ALL));
    player.run(&mut model);
    assert_eq!(shown(&model), pair("own-call", "own-leg"));
    end(&mut player, &mut model);
    assert_eq!(shown(&model), pair("own-call", "own-leg"));
}

#[test]
fn settings_that_are_put_in_later_are_recorded_before_they_are_told() {
    let (mut model, mut player) = world(World { is_made: false, ..ALL }, serde_json::Value::Null);
    player.run(&mut model);
    player.spec.settings = serde_json::from_value(required()).unwrap();
    player.bridge = Some(bridge(&player, World { is_made: false, ..ALL }));
    player.take_log();
    player.pass(&mut model, false, &mut [Fault::Crash].into_iter());
    assert_eq!(shown(&model), pair("p-call", "p-leg"), "it was told, and then we died");
    end(&mut player, &mut model);
    assert_eq!(shown(&model), pair("their-call", "their-leg"));
}

#[test]
fn a_profile_that_is_gone_keeps_no_door_from_opening_or_shutting() {
    let (mut model, mut player) = world(ALL, serde_json::json!({ "participantLimit": 7, "layout": "stacked" }));
    model.profiles.remove("p-leg");
    assert_eq!(player.run(&mut model), End::Settled);
    assert!(player.is_open());
    let (mut model, mut player) = world(ALL, required());
    player.run(&mut model);
    // Somebody deleted the bridge's own profiles.
    model.profiles.clear();
    end(&mut player, &mut model);
    let shut = model.space.as_ref().unwrap();
    assert_eq!((shut.non_member_access, shut.name.as_str()), (Some(false), PLACEHOLDER));
    let (mut model, mut player) = world(ALL, required());
    model.profiles.remove("p-leg");
    assert_eq!(player.run(&mut model), End::Blocked(Obstacle::SettingsMissing));
    assert!(!player.is_open(), "but for one that keeps people out");
}

/// A bridge that was put back to the backup of last night: the space is shut, and the profile of today is not there.
#[test]
fn a_door_that_somebody_shut_is_not_opened_again_without_what_keeps_people_out() {
    for is_extended in [false, true] {
        let (mut model, mut player) = world(ALL, required());
        player.run(&mut model);
        model.space = Some(slot(ALL));
        model.profiles.remove("p-leg");
        if is_extended {
            player.bridge = Some(bridge(&player, World { leg: false, ..ALL }));
            player.spec.duration = Some(crate::api::values::Span::from_secs(7200));
            assert_eq!(player.run(&mut model), End::Blocked(Obstacle::SettingsMissing), "{:?}", player.log);
        } else {
            player.pass(&mut model, true, &mut std::iter::empty());
        }
        assert_eq!(model.space.as_ref().unwrap().non_member_access, Some(false), "{:?}", player.log);
        assert!(!player.progress(at(10)).has_settings_applied() || !is_extended);
        model.profiles.insert("p-leg".to_owned());
        player.bridge = Some(bridge(&player, ALL));
        player.pass(&mut model, true, &mut std::iter::empty());
        assert_eq!(shown(&model), pair("p-call", "p-leg"));
        assert_eq!(model.space.as_ref().unwrap().non_member_access, Some(true));
    }
}

/// What the bridge's spec says is not what the space of somebody before us has.
#[test]
fn protection_has_a_profile_of_its_own_even_if_the_bridges_says_the_same() {
    for is_made in [true, false] {
        let here = World { is_made, ..ALL };
        let (mut model, mut player) = world(here, serde_json::json!({ "encryption": "Required" }));
        let with_own = |player: &Player| {
            let mut own = bridge(player, here);
            own.spec.profiles.call_leg.sip_media_encryption = Some("required".to_owned());
            let settings = player.spec.settings.clone().unwrap();
            let mut profiles = wanted(&settings, &[], &own.spec.profiles, &owner_of(&own), "3.0").profiles;
            assert_eq!(profiles.len(), 1);
            profiles[0].id = Some("p-leg".to_owned());
            own.status.as_mut().unwrap().settings_profiles = profiles;
            own
        };
        player.bridge = Some(with_own(&player));
        player.run(&mut model);
        assert!(player.is_open());
        assert_eq!(shown(&model).1, "p-leg");
    }
}

/// A bridge whose own call leg profile is to keep people out, and what it says of that.
fn guarded(player: &Player, here: World, status: &str) -> MeetingBridge {
    let mut bridge = bridge(player, here);
    if status == "True" {
        bridge.status.as_mut().unwrap().proven_protection =
            vec!["call leg profile: sipMediaEncryption=required".to_owned()];
    }
    bridge.spec.profiles.call_leg.sip_media_encryption = Some("required".to_owned());
    bridge.metadata.generation = Some(3);
    let told = serde_json::json!([{ "type": "SettingsApplied", "status": status, "reason": "R", "message": "it says why",
        "lastTransitionTime": "2030-01-01T00:00:00Z", "observedGeneration": 3 }]);
    bridge.status.as_mut().unwrap().conditions = serde_json::from_value(told).unwrap();
    bridge
}

#[test]
fn nobody_is_let_in_by_profiles_of_the_bridge_that_are_not_proven_to_keep_people_out() {
    for (status, is_let_in) in [("True", true), ("False", false), ("Unknown", false)] {
        let (mut model, mut player) = world(ALL, serde_json::Value::Null);
        player.bridge = Some(guarded(&player, ALL, status));
        player.run(&mut model);
        assert_eq!(player.is_open(), is_let_in, "{status}: {:?}", player.log);
    }
    let (mut model, mut player) = world(ALL, serde_json::Value::Null);
    let mut edited = guarded(&player, ALL, "True");
    edited.metadata.generation = Some(4);
    edited.spec.profiles.call.recording_mode = Some("disabled".to_owned());
    player.bridge = Some(edited);
    assert_eq!(player.run(&mut model), End::Blocked(Obstacle::SettingsMissing), "of this nothing is proven yet");
    let told = crate::api::find(&player.stored.conditions, "SpaceOpen").unwrap();
    assert_eq!(&*told.reason, "SettingsMissing");
    player.bridge = Some(guarded(&player, ALL, "False"));
    player.run(&mut model);
    let told = crate::api::find(&player.stored.conditions, "SpaceOpen").unwrap();
    assert!(told.message.contains("profiles of the MeetingBridge: it says why"), "{}", told.message);
    player.bridge = Some(guarded(&player, ALL, "True"));
    player.run(&mut model);
    assert!(player.is_open());
    // It runs, and goes on.
    player.bridge = Some(guarded(&player, ALL, "False"));
    player.spec.duration = Some(crate::api::values::Span::from_secs(7200));
    player.take_log();
    assert_eq!(player.run(&mut model), End::Settled);
    assert_eq!(model.space.as_ref().unwrap().non_member_access, Some(true));
    model.space.as_mut().unwrap().non_member_access = Some(false);
    player.pass(&mut model, true, &mut std::iter::empty());
    assert_eq!(model.space.as_ref().unwrap().non_member_access, Some(false), "what somebody shut stays so");
}

#[test]
fn what_was_proven_stands_when_something_else_of_the_bridge_is_edited() {
    let (mut model, mut player) = world(ALL, serde_json::Value::Null);
    let mut edited = guarded(&player, ALL, "True");
    edited.metadata.generation = Some(4);
    player.bridge = Some(edited);
    assert_eq!(player.run(&mut model), End::Settled);
    assert!(player.is_open());
}

/// That a profile keeps people out is proven of the profile. That the space refers to it is written with the door.
#[test]
fn the_door_is_opened_with_the_bridges_own_profile_that_keeps_people_out() {
    let (mut model, mut player) = world(ALL, serde_json::Value::Null);
    model.space.as_mut().unwrap().call_leg_profile = None;
    player.bridge = Some(guarded(&player, ALL, "True"));
    assert_eq!(player.run(&mut model), End::Settled);
    assert_eq!(shown(&model), pair("own-call", "own-leg"));
    assert_eq!(player.stored.settings, None, "it is the space's own");
    // It was made anew, or somebody took it away, while people are in.
    model.space.as_mut().unwrap().call_leg_profile = Some("their-leg".into());
    player.pass(&mut model, true, &mut std::iter::empty());
    assert_eq!(shown(&model), pair("own-call", "own-leg"));
    // Nobody is let in where the bridge does not take it.
    let (mut model, mut player) = world(ALL, serde_json::Value::Null);
    model.profiles.remove("own-leg");
    player.bridge = Some(guarded(&player, ALL, "True"));
    assert_eq!(player.run(&mut model), End::Blocked(Obstacle::SettingsMissing));
    assert!(!player.is_open());
    let told = crate::api::find(&player.stored.conditions, "SpaceOpen").unwrap();
    assert!(told.message.contains("does not take them in its space"), "{}", told.message);
}

#[test]
fn a_slot_with_profiles_of_somebody_else_does_not_wait_for_the_bridges() {
    let here = World { is_made: false, ..ALL };
    let (mut model, mut player) = world(here, serde_json::Value::Null);
    player.bridge = Some(guarded(&player, here, "False"));
    player.run(&mut model);
    assert!(player.is_open());
}

/// A profile for a layout carries the encryption of the bridge's own as well.
#[test]
fn a_profile_that_carries_the_protection_of_the_bridge_is_read_back_too() {
    let (_, player) = world(ALL, serde_json::json!({ "layout": "stacked" }));
    let made = |refused: Option<&str>| {
        let mut bridge = guarded(&player, ALL, "True");
        let settings = player.spec.settings.clone().unwrap();
        let mut profiles = wanted(&settings, &[], &bridge.spec.profiles, &owner_of(&bridge), "3.0").profiles;
        for profile in &mut profiles {
            (profile.id, profile.refused) = (Some("p-leg".to_owned()), refused.map(str::to_owned));
        }
        bridge.status.as_mut().unwrap().settings_profiles = profiles;
        SettingsTerms::new(&player.spec, &bridge, 1).call_leg
    };
    assert_eq!(made(None), Made::There("p-leg".to_owned()));
    assert_eq!(made(Some("it drops it")), Made::Refused("it drops it".to_owned()));
}

#[test]
fn other_profiles_that_somebody_gives_an_open_space_are_put_back() {
    let (mut model, mut player) = world(ALL, required());
    player.run(&mut model);
    model.space.as_mut().unwrap().call_leg_profile = Some("their-leg".into());
    player.pass(&mut model, true, &mut std::iter::empty());
    assert_eq!(shown(&model), pair("p-call", "p-leg"));
    // A bridge that shows none is believed.
    model.space.as_mut().unwrap().call_leg_profile = None;
    player.take_log();
    player.pass(&mut model, true, &mut std::iter::empty());
    assert_eq!(player.log, Vec::<String>::new());
}

#[test]
fn an_open_space_without_profiles_is_put_right_where_the_bridge_shows_them() {
    let (mut model, mut player) = world(ALL, required());
    player.run(&mut model);
    for (call, call_leg, writes) in [(true, false, 0), (false, true, 1)] {
        model.space.as_mut().unwrap().call_leg_profile = None;
        player.shown_fields =
            crate::facts::slots::ShownFields { call_profile: call, call_leg_profile: call_leg, ..Default::default() };
        player.take_log();
        player.pass(&mut model, true, &mut std::iter::empty());
        let opened = player.log.iter().filter(|line| *line == "open the space").count();
        assert_eq!(opened, writes, "{:?}", player.log);
    }
    assert_eq!(shown(&model), pair("p-call", "p-leg"));
}

#[test]
fn a_bridge_that_has_as_many_profiles_as_it_may_have_has_no_room_for_another_one() {
    let (_, player) = world(ALL, serde_json::json!({ "participantLimit": 7, "encryption": "Required" }));
    let lacks = |others: usize, is_known: bool| {
        let mut bridge = player.bridge.clone().unwrap();
        let known = &mut bridge.status.as_mut().unwrap().settings_profiles;
        known.retain(|profile| is_known && profile.kind == ProfileKind::Call);
        known.extend((0..others).map(|n| crate::api::settings::SettingsProfile {
            kind: ProfileKind::Call,
            name: format!("other{n}"),
            fields: BTreeMap::new(),
            id: None,
            refused: None,
            unread: false,
        }));
        SettingsTerms::new(&player.spec, &bridge, 1).lacks_room
    };
    assert!(!lacks(47, false) && lacks(48, false), "the limit of participants is cosmetic");
    assert!(!lacks(62, true) && lacks(63, true), "encryption is not");
}

/// It was about to be opened in one slot, then its start was moved, and it got another one.
#[test]
fn what_one_slot_had_is_not_given_to_another_one() {
    let (mut model, mut player) = world(World { is_made: false, ..ALL }, required());
    model.clock = at(-305);
    player.run(&mut model);
    assert!(player.stored.settings.is_some(), "the intent is stored");
    let mut progress = player.progress(at(-305));
    let bridge = ObjectKey { namespace: "ns".to_owned(), name: "b".to_owned() };
    let window = progress.window;
    let slot = |slot| booking::Booking { bridge: bridge.clone(), slot, window };
    progress.bind(&slot(1), None, None);
    assert!(progress.draft.settings.is_some());
    progress.bind(&slot(2), None, None);
    assert_eq!(progress.draft.settings, None);
}

#[test]
fn a_slot_that_an_earlier_meeting_left_with_its_profiles_is_given_the_bridges_own() {
    // The status was lost while the meeting ran: nobody knows what the space had before.
    let (mut model, mut player) = world(ALL, required());
    player.run(&mut model);
    player.stored.settings = None;
    end(&mut player, &mut model);
    assert_eq!(shown(&model), pair("own-call", "own-leg"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    /// Whatever fails and whenever the profiles are made: nobody is let in without what keeps people out, in the end the
    /// space has the profiles, and after the end those that it had before.
    #[test]
    fn settings_come_and_go_whatever_fails(
        faults in prop::collection::vec(any_fault(1), 0..10),
        passes in prop::collection::vec((any::<bool>(), any::<bool>(), any::<bool>()), 0..8),
        late in prop::collection::vec(any_fault(1), 0..6),
        is_made in any::<bool>(),
        protects in any::<bool>(),
    ) {
        let encryption = if protects { "Required" } else { "Optional" };
        let nothing = World { call: false, leg: false, is_made };
        let (mut model, mut player) =
            world(nothing, serde_json::json!({ "participantLimit": 7, "encryption": encryption }));
        let before = shown(&model);
        let mut faults = faults.into_iter();
        let (mut call, mut leg) = (false, false);
        for (swept, makes_call, makes_leg) in passes {
            player.pass(&mut model, swept, &mut faults);
            let is_open = model.space.as_ref().unwrap().non_member_access == Some(true);
            prop_assert!(!protects || !is_open || shown(&model).1 == "p-leg", "let in without protection");
            (call, leg) = (call || makes_call, leg || makes_leg);
            player.bridge = Some(bridge(&player, World { call, leg, is_made }));
        }
        player.bridge = Some(bridge(&player, World { is_made, ..ALL }));
        for _ in 0..3 {
            player.pass(&mut model, true, &mut std::iter::empty());
        }
        prop_assert_eq!(shown(&model), pair("p-call", "p-leg"));
        prop_assert!(player.is_open());
        player.take_log();
        player.pass(&mut model, true, &mut std::iter::empty());
        prop_assert!(player.log.is_empty(), "a settled meeting wants {:?}", player.log);
        model.clock = at(3600);
        let mut late = late.into_iter();
        for turn in 0..8 {
            player.pass(&mut model, turn % 2 == 0, &mut late);
        }
        prop_assert!(player.door == Door::Released, "{:?}", player.log);
        prop_assert_eq!(shown(&model), before);
    }

    /// At whichever write it dies on the way in, an end that comes right after gives the space back what it had.
    #[test]
    fn an_end_right_after_a_crash_gives_back_what_was(
        faults in prop::collection::vec(any_fault(1), 1..4), is_made in any::<bool>(), leaving in any::<bool>(),
    ) {
        let (mut model, mut player) = world(World { is_made, ..ALL }, required());
        let before = shown(&model);
        player.pass(&mut model, false, &mut faults.into_iter());
        if leaving {
            player.leaving = true;
        } else {
            model.clock = at(3600);
        }
        for _ in 0..6 {
            player.pass(&mut model, false, &mut std::iter::empty());
        }
        prop_assert_eq!(shown(&model), before);
    }
}

/// A layout that an old bridge does not know must not keep a meeting from being held, or let people in unprotected.
#[test]
fn a_door_opens_with_what_protects_if_the_bridge_refuses_the_rest() {
    let asked = serde_json::json!({ "encryption": "Required", "layout": "onePlusN" });
    let (mut model, mut player) = world(World { leg: false, ..ALL }, asked);
    let refused = |player: &Player, bare: Option<&str>| {
        let mut refused = bridge(player, World { leg: false, ..ALL });
        let settings = player.spec.settings.clone().unwrap();
        let wanted = wanted(&settings, &[], &refused.spec.profiles, &owner_of(&refused), "3.0");
        let known = &mut refused.status.as_mut().unwrap().settings_profiles;
        known.iter_mut().for_each(|profile| profile.refused = Some("no such layout".to_owned()));
        known.extend(
            wanted.bare.into_values().map(|stand_in| SettingsProfile { id: bare.map(str::to_owned), ..stand_in }),
        );
        refused
    };
    player.bridge = Some(refused(&player, None));
    assert_eq!(player.run(&mut model), End::Blocked(Obstacle::SettingsMissing), "it is being made");
    player.bridge = Some(refused(&player, Some("p-leg")));
    assert_eq!(player.run(&mut model), End::Settled);
    assert!(player.is_open());
    assert_eq!(shown(&model).1, "p-leg");
    let told = crate::api::find(&player.stored.conditions, "SettingsApplied").unwrap();
    assert_eq!((told.status.as_str(), &*told.reason), ("False", "SettingsRefused"));
    assert!(told.message.contains("no such layout; what keeps people out is applied"), "{}", told.message);
}
