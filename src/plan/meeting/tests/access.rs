//! Host and guest: access methods come right after the door and go right after it, whatever fails.

use proptest::prelude::*;

use super::*;
use crate::api::settings::ProfileKind;
use crate::plan::faults::any_fault;
use crate::plan::settings::{owner_of, wanted};

const HOST: &str = "meeting-controller:ns/standup/host";
const GUEST: &str = "meeting-controller:ns/standup/guest";

/// A bridge of this version on which every wanted profile is there, or none.
fn bridge(player: &Player, version: &str, is_made: bool) -> MeetingBridge {
    let mut bridge: MeetingBridge = serde_json::from_value(serde_json::json!({
        "apiVersion": "meeting-controller.dev/v1alpha1", "kind": "MeetingBridge",
        "metadata": { "name": "b", "namespace": "ns" },
        "spec": { "address": "cms.test:445", "credentialsSecretRef": { "name": "s" }, "slots": {} },
        "status": { "system": { "softwareVersion": version }, "profiles": { "call": "own-call", "callLeg": "own-leg" },
            "slots": { "parameterSets": [{ "startIndex": 1, "endIndex": 5, "id": "set", "synced": true }] } }
    }))
    .unwrap();
    let (settings, methods) = (player.spec.settings.clone().unwrap_or_default(), &player.spec.access_methods);
    let made = wanted(&settings, methods, &bridge.spec.profiles, &owner_of(&bridge), version).all_with(&[]);
    let made = made.into_iter().map(|mut profile| {
        let waits = profile.fields.get("needsActivation").map_or("", String::as_str);
        profile.id = is_made.then(|| format!("p-{waits}-{}", profile.fields["name"].split(' ').next_back().unwrap()));
        profile
    });
    let made: BTreeMap<String, _> = made.map(|profile| (profile.name.clone(), profile)).collect();
    assert!(made.values().all(|profile| profile.kind == ProfileKind::CallLeg));
    bridge.status.as_mut().unwrap().settings_profiles = made.into_values().collect();
    bridge
}

fn method(name: &str, role: &str) -> serde_json::Value {
    serde_json::json!({ "name": name, "role": role, "passcodeSecretRef": { "name": name } })
}

fn tell(player: &mut Player, methods: &[(&str, &str, &str)]) {
    let specs = methods.iter().map(|(name, role, _)| method(name, role)).collect();
    player.spec.access_methods = serde_json::from_value(serde_json::Value::Array(specs)).unwrap();
    let secrets = |(name, _, passcode): &(&str, &str, &str)| {
        let passcode =
            Some(SecretString::from((*passcode).to_owned())).filter(|passcode| !passcode.expose_secret().is_empty());
        ((*name).to_owned(), MethodSecrets { secret: format!("secret of {name}").into(), passcode })
    };
    player.methods = methods.iter().map(secrets).collect();
}

/// A meeting with these ways in, on a bridge that has every profile.
fn world(methods: &[(&str, &str, &str)]) -> (Model, Player) {
    let mut player = Player::new(&[], Start::booked());
    tell(&mut player, methods);
    let mut model = Model::new(Some(free()), at(0));
    have_profiles(&mut model, &mut player);
    (model, player)
}

/// Everything that is wanted now is on the bridge.
fn have_profiles(model: &mut Model, player: &mut Player) {
    let known = bridge(player, "3.0", true);
    let made = known.status.as_ref().unwrap().settings_profiles.iter().filter_map(|profile| profile.id.clone());
    model.profiles.extend(made.chain(["own-call", "own-leg"].map(str::to_owned)));
    player.bridge = Some(known);
}

const BOTH: [(&str, &str, &str); 2] = [("host", "Host", "1111"), ("guest", "Guest", "2222")];

/// Name, passcode, and whether who comes in by it waits.
fn ways_in(model: &Model) -> Vec<(String, String, Option<bool>)> {
    let waits = |id: &str| id.strip_prefix("p-").and_then(|rest| rest.split('-').next()?.parse().ok());
    let mut ways: Vec<_> = model
        .methods
        .iter()
        .map(|method| {
            let passcode = method.passcode.as_ref().unwrap().expose_secret().to_owned();
            let profile = method.call_leg_profile.as_ref().map(|id| id.as_str()).and_then(waits);
            (method.name.clone().unwrap(), passcode, profile)
        })
        .collect();
    ways.sort();
    ways
}

fn way(name: &str, passcode: &str, waits: Option<bool>) -> (String, String, Option<bool>) {
    (name.to_owned(), passcode.to_owned(), waits)
}

fn somebodys(id: &str, name: Option<&str>, passcode: &str) -> AccessMethod {
    AccessMethod {
        id: id.into(),
        name: name.map(str::to_owned),
        call_id: Some("1".to_owned()),
        passcode: Some(passcode.to_owned().into()),
        secret: None,
        call_leg_profile: None,
    }
}

fn is_open(model: &Model) -> bool {
    model.space.as_ref().unwrap().non_member_access == Some(true)
}

/// Does whoever comes in by the space itself wait?
fn space_waits(model: &Model) -> bool {
    let profile = model.space.as_ref().unwrap().call_leg_profile.as_ref();
    profile.is_some_and(|id| id.as_str().starts_with("p-true"))
}

fn end(player: &mut Player, model: &mut Model) {
    model.clock = at(3600);
    for _ in 0..4 {
        player.pass(model, false, &mut std::iter::empty());
    }
    assert_eq!(player.door, Door::Released, "{:?}", player.log);
}

#[test]
fn access_methods_come_after_the_door_and_before_the_call_and_go_in_the_same_order() {
    let (mut model, mut player) = world(&BOTH);
    assert_eq!(player.run(&mut model), End::Settled);
    let opening = [
        "look Space",
        "open the space",
        "look Methods",
        "create the access method host",
        "create the access method guest",
        "look Calls",
        "create the call",
    ];
    assert_eq!(player.take_log(), opening);
    assert!(space_waits(&model), "who knows the passcode of the meeting is a guest");
    assert_eq!(ways_in(&model), [way(GUEST, "2222", None), way(HOST, "1111", Some(false))]);
    let told: Vec<_> =
        player.stored.access_methods.iter().map(|entry| (entry.name.as_str(), entry.id.is_some())).collect();
    assert_eq!(told, [("host", true), ("guest", true)]);
    player.run(&mut model);
    assert_eq!(player.take_log(), Vec::<String>::new(), "and then they cost nothing");
    end(&mut player, &mut model);
    let ending = [
        "look Mark",
        "shut the space and give it a new secret",
        "delete an access method",
        "delete an access method",
        "look RecordedCall",
        "delete the call",
        "look Release",
        "look Methods",
    ];
    assert_eq!(player.take_log(), ending);
    assert!(model.methods.is_empty() && player.stored.access_methods.is_empty() && model.wrongs.is_empty());
}

#[test]
fn a_meeting_without_access_methods_costs_nothing_and_leaves_those_of_others() {
    let (mut model, mut player) = world(&[]);
    model.methods.push(somebodys("theirs", None, "9"));
    player.run(&mut model);
    assert_eq!(player.take_log(), ["look Space", "look Methods", "open the space", "look Calls", "create the call"]);
    end(&mut player, &mut model);
    assert_eq!(model.methods.len(), 1);
    let (mut model, mut player) = world(&[]);
    player.run(&mut model);
    end(&mut player, &mut model);
    assert!(!player.log.iter().any(|line| line.contains("Methods")), "{:?}", player.log);
}

#[test]
fn those_of_an_earlier_meeting_go_before_the_door_and_those_of_others_stay() {
    let (mut model, mut player) = world(&[("press", "Guest", "2222")]);
    model.methods.push(somebodys("old", Some("meeting-controller:ns/yesterday/host"), PASSCODE));
    model.methods.push(somebodys("theirs", Some("Board"), "9"));
    model.methods.push(somebodys("other", Some("meeting-controller[other]:ns/standup/host"), "8"));
    player.run(&mut model);
    let log = player.take_log();
    assert_eq!(
        log.iter().take(4).collect::<Vec<_>>(),
        ["look Space", "look Methods", "delete an access method", "open the space"]
    );
    end(&mut player, &mut model);
    let left: Vec<_> = model.methods.iter().map(|method| method.id.as_str()).collect();
    assert_eq!((left, &model.wrongs), (vec!["theirs", "other"], &vec![]));
}

/// Whoever knows that passcode would not wait for a host.
#[test]
fn where_somebody_else_has_a_way_in_no_meeting_opens_that_waits_for_its_host() {
    let (mut model, mut player) = world(&BOTH);
    model.methods.push(somebodys("theirs", Some("Board"), "9"));
    assert_eq!(player.run(&mut model), End::Blocked(Obstacle::Foreign));
    assert!(!is_open(&model) && model.methods.len() == 1);
    // One that comes while the meeting runs throws nobody out.
    let (mut model, mut player) = world(&BOTH);
    assert_eq!(player.run(&mut model), End::Settled);
    model.methods.push(somebodys("theirs", Some("Board"), "9"));
    player.pass(&mut model, true, &mut std::iter::empty());
    assert!(is_open(&model));
}

#[test]
fn without_the_profile_for_which_guests_wait_nobody_is_let_in() {
    let (mut model, mut player) = world(&BOTH);
    player.bridge = Some(bridge(&player, "3.0", false));
    assert_eq!(player.run(&mut model), End::Blocked(Obstacle::SettingsMissing));
    assert!(!is_open(&model));
    have_profiles(&mut model, &mut player);
    assert_eq!(player.run(&mut model), End::Settled);
    assert!(is_open(&model) && space_waits(&model) && model.methods.len() == 2);
}

#[test]
fn equal_and_missing_passcodes_open_no_door_and_write_nothing() {
    let same = |one, other| world(&[("host", "Host", one), ("guest", "Guest", other)]);
    for ((mut model, mut player), obstacle) in [
        (same("1111", "1111"), Obstacle::PasscodesEqual),
        (same("1111", PASSCODE), Obstacle::PasscodesEqual),
        (same("", "2222"), Obstacle::PasscodeUnavailable),
    ] {
        assert_eq!(player.run(&mut model), End::Blocked(obstacle));
        assert_eq!(player.take_log(), Vec::<String>::new());
        assert!(!is_open(&model));
        // A door that is open stays as it is, and so do its access methods.
        let (mut model, mut player) = world(&BOTH);
        player.run(&mut model);
        let before = ways_in(&model);
        for passcode in ["2222", PASSCODE, ""] {
            player.methods.get_mut("host").unwrap().passcode =
                Some(SecretString::from(passcode)).filter(|passcode| !passcode.expose_secret().is_empty());
            player.take_log();
            player.pass(&mut model, true, &mut std::iter::empty());
            assert_eq!((player.take_log(), ways_in(&model)), (vec![], before.clone()));
        }
        end(&mut player, &mut model);
        assert!(model.methods.is_empty() && model.wrongs.is_empty());
    }
}

#[test]
fn on_an_old_bridge_nothing_is_sent_and_guests_are_not_let_in_without_a_host() {
    for version in ["2.8", "2.0(RC)", "unknown"] {
        let (mut model, mut player) = world(&BOTH);
        player.bridge = Some(bridge(&player, version, true));
        assert_eq!(player.run(&mut model), End::Blocked(Obstacle::AccessUnsupported), "{version}");
        assert!(!is_open(&model));
        let (mut model, mut player) = world(&BOTH[1..]);
        player.bridge = Some(bridge(&player, version, true));
        assert_eq!(player.run(&mut model), End::Settled, "nobody waits for anybody");
        assert!(is_open(&model) && model.methods.is_empty());
        end(&mut player, &mut model);
        assert!(!player.log.iter().any(|line| line.contains("Methods")), "{:?}", player.log);
    }
}

#[test]
fn passcodes_can_be_changed_and_swapped_while_the_meeting_runs() {
    let (mut model, mut player) = world(&BOTH);
    player.run(&mut model);
    for (host, guest) in [("3333", "2222"), ("2222", "3333"), ("4444", "5555"), ("5555", "4444")] {
        tell(&mut player, &[("host", "Host", host), ("guest", "Guest", guest)]);
        player.pass(&mut model, false, &mut std::iter::empty());
        assert_eq!(ways_in(&model), [way(GUEST, guest, None), way(HOST, host, Some(false))]);
    }
    // The meeting gets the passcode of its hosts, and they get another one.
    tell(&mut player, &[("host", "Host", PASSCODE), ("guest", "Guest", "4444")]);
    player.passcode = Some("9999".to_owned().into());
    model.space.as_mut().unwrap().passcode = Some("9999".to_owned().into());
    player.pass(&mut model, false, &mut std::iter::empty());
    assert_eq!((ways_in(&model)[1].1.as_str(), &model.wrongs), (PASSCODE, &vec![]));
}

#[test]
fn an_edit_makes_changes_and_removes_them() {
    let (mut model, mut player) = world(&BOTH);
    player.run(&mut model);
    tell(&mut player, &[("host", "Host", "1111"), ("press", "Guest", "7777")]);
    have_profiles(&mut model, &mut player);
    player.run(&mut model);
    let press = "meeting-controller:ns/standup/press";
    assert_eq!(ways_in(&model), [way(HOST, "1111", Some(false)), way(press, "7777", None)]);
    // Without a way in for hosts nobody waits any more.
    tell(&mut player, &[("press", "Guest", "7777")]);
    have_profiles(&mut model, &mut player);
    player.run(&mut model);
    assert_eq!(ways_in(&model), [way(press, "7777", None)]);
    assert!(!space_waits(&model));
    tell(&mut player, &[]);
    player.run(&mut model);
    assert!(model.methods.is_empty() && player.stored.access_methods.is_empty());
    end(&mut player, &mut model);
}

#[test]
fn one_that_is_deleted_by_hand_is_made_again_and_a_bridge_that_tells_no_number_is_asked_once() {
    let (mut model, mut player) = world(&BOTH);
    player.run(&mut model);
    for _ in 0..3 {
        model.methods.remove(0);
        player.pass(&mut model, true, &mut std::iter::empty());
        assert_eq!(model.methods.len(), 2);
    }
    model.counts_methods = false;
    player.take_log();
    for _ in 0..5 {
        player.pass(&mut model, true, &mut std::iter::empty());
    }
    assert_eq!(player.take_log(), ["look Methods"]);
}

/// Who deletes one whenever it is made wins in the end, and that is told; an edit asks for it again.
#[test]
fn one_that_is_deleted_again_and_again_is_given_up_for_a_while() {
    let (mut model, mut player) = world(&BOTH);
    assert_eq!(player.run(&mut model), End::Settled);
    for times in 1..=4 {
        model.methods.retain(|method| method.name.as_deref() != Some(GUEST));
        for _ in 0..2 {
            player.pass(&mut model, true, &mut std::iter::empty());
        }
        model.clock = model.clock.checked_add(SignedDuration::from_secs(20)).unwrap();
        assert_eq!(model.methods.len(), if times < 4 { 2 } else { 1 }, "{times}");
    }
    let told = crate::api::find(&player.stored.conditions, "AccessMethodsApplied").unwrap();
    assert_eq!((told.status.as_str(), told.reason.as_str()), ("False", "TugOfWar"), "{}", told.message);
    assert!(told.message.contains("access method guest"), "{}", told.message);
    player.take_log();
    player.pass(&mut model, true, &mut std::iter::empty());
    assert!(player.take_log().is_empty(), "it rests");
    player.asked = Some("again".to_owned());
    player.pass(&mut model, true, &mut std::iter::empty());
    assert_eq!(model.methods.len(), 2, "somebody asks for it");
    for _ in 0..4 {
        model.methods.retain(|method| method.name.as_deref() != Some(GUEST));
        for _ in 0..2 {
            player.pass(&mut model, true, &mut std::iter::empty());
        }
        model.clock = model.clock.checked_add(SignedDuration::from_secs(20)).unwrap();
    }
    assert_eq!(model.methods.len(), 1, "it rests again");
    model.clock = model.clock.checked_add(SignedDuration::from_mins(30)).unwrap();
    player.pass(&mut model, true, &mut std::iter::empty());
    assert_eq!(model.methods.len(), 2, "tried again after a while");
}

#[test]
fn one_that_the_bridge_refuses_keeps_nobody_from_the_meeting() {
    let (mut model, mut player) = world(&BOTH);
    player.refuses_methods = Some(CmsError::Rejected { element: "no".to_owned(), status: 400 });
    assert_eq!(player.pass(&mut model, false, &mut std::iter::empty()), None, "it is told");
    assert!(is_open(&model) && model.calls.len() == 1 && player.call().is_some());
    player.refuses_methods = None;
    player.run(&mut model);
    assert_eq!(ways_in(&model).len(), 2);
    // One of somebody else that has its passcode: nothing is sent that would be refused.
    let (mut model, mut player) = world(&[("press", "Guest", "1111"), ("guest", "Guest", "2222")]);
    model.methods.push(somebodys("theirs", None, "1111"));
    player.run(&mut model);
    assert_eq!((model.methods.len(), model.calls.len(), &model.wrongs), (2, 1, &vec![]));
    assert!(!player.stored.access_methods.iter().any(|entry| entry.name == "press" && entry.id.is_some()));
}

#[test]
fn a_status_that_was_lost_is_found_again_by_the_names() {
    let (mut model, mut player) = world(&BOTH);
    player.run(&mut model);
    player.stored.access_methods.clear();
    player.written_methods = None;
    player.run(&mut model);
    assert!(player.stored.access_methods.iter().all(|entry| entry.id.is_some()) && model.wrongs.is_empty());
    player.stored.access_methods.clear();
    player.written_methods = None;
    end(&mut player, &mut model);
    assert!(model.methods.is_empty());
}

/// Its reply was lost with the process, and the spec does not name it any more: only the intent tells that it may be there.
#[test]
fn one_that_no_spec_names_any_more_is_known_by_the_intent() {
    let (mut model, mut player) = world(&BOTH);
    model.counts_methods = false;
    player.pass(&mut model, false, &mut [Fault::None, Fault::Crash].into_iter());
    assert_eq!((model.methods.len(), player.stored.access_methods.len()), (1, 2));
    tell(&mut player, &[]);
    have_profiles(&mut model, &mut player);
    end(&mut player, &mut model);
    assert!(model.methods.is_empty(), "{:?}", player.log);
    // Those that are known are deleted by their ids, and the proof is asked for all the same.
    let (mut model, mut player) = world(&BOTH);
    player.run(&mut model);
    tell(&mut player, &[]);
    end(&mut player, &mut model);
    assert_eq!(player.log.last().map(String::as_str), Some("look Methods"));
}

/// The installation was given a name while the meeting ran: its ways in have the mark from before.
#[test]
fn what_was_made_before_the_installation_had_a_name_is_ours_as_well() {
    for is_recorded in [true, false] {
        let (mut model, mut player) = world(&BOTH);
        player.run(&mut model);
        player.marks = Marks::of_installation("x").unwrap();
        (player.written_methods, player.told) = (None, None);
        if !is_recorded {
            player.stored.access_methods.iter_mut().for_each(|entry| entry.id = None);
        }
        player.take_log();
        player.pass(&mut model, true, &mut std::iter::empty());
        assert!(!player.take_log().iter().any(|line| line.contains("create the access")), "{:?}", player.log);
        assert_eq!(model.methods.len(), 2);
        assert!(player.stored.access_methods.iter().all(|entry| entry.id.is_some()));
        end(&mut player, &mut model);
        assert!(model.methods.is_empty() && model.wrongs.is_empty(), "{:?}", model.wrongs);
    }
}

/// Only the profile of the hosts is there: who comes in by the space itself does not wait.
#[test]
fn it_is_not_said_to_be_ready_while_guests_do_not_wait() {
    let (mut model, mut player) = world(&[]);
    player.run(&mut model);
    tell(&mut player, &BOTH[..1]);
    have_profiles(&mut model, &mut player);
    let known = &mut player.bridge.as_mut().unwrap().status.as_mut().unwrap().settings_profiles;
    known
        .iter_mut()
        .filter(|profile| profile.fields["needsActivation"] == "true")
        .for_each(|profile| profile.id = None);
    player.run(&mut model);
    assert_eq!((model.methods.len(), space_waits(&model)), (1, false));
    let says = |player: &Player, kind: &str| crate::api::is_true(&player.stored.conditions, kind);
    assert!(!says(&player, "Ready") && !says(&player, "AccessMethodsApplied"), "{:#?}", player.stored.conditions);
    have_profiles(&mut model, &mut player);
    player.run(&mut model);
    assert!(space_waits(&model) && says(&player, "Ready") && says(&player, "AccessMethodsApplied"));
}

#[test]
fn a_way_in_without_passcode_keeps_no_open_door_from_being_looked_after() {
    for passcode in ["", "2222"] {
        let (mut model, mut player) = world(&BOTH);
        player.run(&mut model);
        player.told = Some(at(3600));
        player.methods.get_mut("host").unwrap().passcode =
            Some(SecretString::from(passcode)).filter(|passcode| !passcode.expose_secret().is_empty());
        model.space.as_mut().unwrap().passcode = Some("9999".to_owned().into());
        player.take_log();
        player.pass(&mut model, true, &mut std::iter::empty());
        assert!(player.log.contains(&"open the space".to_owned()), "{passcode}: {:?}", player.log);
        assert!(model.space.as_ref().unwrap().has_passcode(&PASSCODE.to_owned().into()));
        assert_eq!(model.methods.len(), 2);
    }
}

#[test]
fn what_the_database_cannot_take_holds_up_no_dial() {
    let (mut model, mut player) = world(&BOTH);
    player.run(&mut model);
    player.around.database_lost = true;
    player.methods.get_mut("host").unwrap().passcode = Some("7777".to_owned().into());
    player.spec.participants = spec(&["a@x"]).participants;
    player.take_log();
    player.run(&mut model);
    assert!(player.log.contains(&"dial a@x".to_owned()), "{:?}", player.log);
    player.around.database_lost = false;
    player.run(&mut model);
    assert_eq!(ways_in(&model)[1].1, "7777");
}

/// A bridge that has not told its version, because its status was lost.
#[test]
fn while_the_version_is_not_known_nobody_is_let_in_without_a_host() {
    let (mut model, mut player) = world(&BOTH);
    player.bridge.as_mut().unwrap().status.as_mut().unwrap().system = None;
    assert_eq!(player.run(&mut model), End::Blocked(Obstacle::SettingsMissing));
    assert!(!is_open(&model));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    /// Whatever fails: nobody is let in where guests would not wait, no access method is there twice or with a passcode
    /// that is taken, in the end each is as it is to be, and after the end none of ours is left and those of others are.
    #[test]
    fn access_methods_come_and_go_whatever_fails(
        faults in prop::collection::vec(any_fault(1), 0..14),
        passes in prop::collection::vec((any::<bool>(), any::<bool>()), 0..8),
        late in prop::collection::vec(any_fault(1), 0..10),
        counts in any::<bool>(), leaving in any::<bool>(), edits in any::<bool>(),
    ) {
        let (mut model, mut player) = world(&BOTH);
        model.counts_methods = counts;
        player.bridge = Some(bridge(&player, "3.0", false));
        let mut faults = faults.into_iter();
        let mut is_made = false;
        for (swept, makes) in passes {
            player.pass(&mut model, swept, &mut faults);
            prop_assert!(!is_open(&model) || space_waits(&model), "let in without a host");
            if player.is_open() && model.methods.iter().all(|method| method.id.as_str() != "theirs") {
                model.methods.push(somebodys("theirs", Some("Board"), "9"));
            }
            if makes && !is_made {
                is_made = true;
                have_profiles(&mut model, &mut player);
            }
        }
        if edits {
            tell(&mut player, &[("host", "Host", "2222"), ("guest", "Guest", "1111")]);
        }
        have_profiles(&mut model, &mut player);
        for _ in 0..4 {
            player.pass(&mut model, true, &mut std::iter::empty());
        }
        if model.methods.iter().all(|method| method.id.as_str() != "theirs") {
            model.methods.push(somebodys("theirs", Some("Board"), "9"));
            player.pass(&mut model, true, &mut std::iter::empty());
        }
        let (host, guest) = if edits { ("2222", "1111") } else { ("1111", "2222") };
        let all = [way("Board", "9", None), way(GUEST, guest, None), way(HOST, host, Some(false))];
        prop_assert_eq!(ways_in(&model), all);
        prop_assert!(player.is_open() && space_waits(&model));
        player.take_log();
        player.pass(&mut model, true, &mut std::iter::empty());
        prop_assert!(player.log.is_empty(), "a settled meeting wants {:?}", player.log);
        if leaving {
            player.leaving = true;
        } else {
            model.clock = at(3600);
        }
        let mut late = late.into_iter();
        for turn in 0..12 {
            player.pass(&mut model, turn % 2 == 0, &mut late);
        }
        prop_assert!(player.door == Door::Released, "{:?}", player.log);
        prop_assert_eq!(ways_in(&model), [way("Board", "9", None)]);
        prop_assert!(model.wrongs.is_empty(), "{:?}", model.wrongs);
    }

    /// At whichever write it dies on the way in, an end that comes right after leaves none of ours.
    #[test]
    fn an_end_right_after_a_crash_leaves_none(
        faults in prop::collection::vec(any_fault(2), 1..8), leaving in any::<bool>(),
    ) {
        let (mut model, mut player) = world(&BOTH);
        player.pass(&mut model, false, &mut faults.into_iter());
        if leaving {
            player.leaving = true;
        } else {
            model.clock = at(3600);
        }
        for _ in 0..8 {
            player.pass(&mut model, false, &mut std::iter::empty());
        }
        prop_assert!(player.door == Door::Released, "{:?}", player.log);
        prop_assert!(model.methods.is_empty() && model.wrongs.is_empty(), "{:?} {:?}", model.wrongs, player.log);
    }
}
