//! Table tests: what is done next, rule by rule.

use super::*;
use crate::plan::{Attempt, Flow, Subject};

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
    assert!(player.writes().is_empty(), "nothing is written");
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
    (server.call_profiles, server.leg_profiles) = Default::default();
    player.facts.read_anew();
    // The process dies when it has made one: it is found.
    assert_eq!(player.pass(&mut server, &mut [Fault::Crash].into_iter()), None);
    player.facts.read_anew();
    assert_eq!(player.settle(&mut server), End::Settled);
    let writes = player.writes();
    let (first, rest) = writes.split_first().unwrap();
    assert_eq!(first, "create the call profile");
    assert_eq!(rest, ["create the call leg profile", "attach the profiles to slot 1"]);
    player.settle(&mut server);
    player.take_log();
    player.spec.profiles.call.participant_limit = Some(20);
    player.run(&mut server);
    assert_eq!(player.take_log(), ["repair the call profile"], "a change of the spec is one, too");
}

#[test]
fn profiles_that_were_made_for_another_spec_are_looked_at_after_a_restart() {
    let mut server = Server::new(Vec::new());
    let mut player = Player::settled(&mut server, 1, 1);
    player.restart();
    player.edited = true;
    player.spec.profiles.call.participant_limit = Some(20);
    assert_eq!(player.run(&mut server), End::Settled);
    assert_eq!(player.writes(), ["repair the call profile"], "the controller was away when the spec was edited");
}

/// Not every bridge shows each field: one that is new in the spec is written all the same, once.
#[test]
fn a_field_that_the_spec_has_got_is_written_where_the_bridge_does_not_show_it() {
    for is_restarted in [false, true] {
        let mut server = Server::new(Vec::new());
        let mut player = Player::settled(&mut server, 1, 1);
        server.hidden_fields.insert("participantLimit".to_owned());
        let looked_at = |player: &mut Player, server: &Server| {
            player.facts.call_profile = Seen::Known(server.shown_fields(server.call_profiles.values().next()));
        };
        looked_at(&mut player, &server);
        player.run(&mut server);
        assert!(player.writes().is_empty(), "what is not shown is believed");
        player.edited = true;
        player.spec.profiles.call.participant_limit = Some(20);
        if is_restarted {
            player.restart();
        }
        player.run(&mut server);
        assert_eq!(player.writes(), ["repair the call profile"], "restarted: {is_restarted}");
        looked_at(&mut player, &server);
        player.run(&mut server);
        assert!(player.writes().is_empty());
    }
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
    let look = format!("look Space({:?})", server.space_of(3).unwrap().id);
    assert_eq!(
        player.take_log(),
        [look, "attach the profiles to slot 3".to_owned()],
        "one that shows none is believed"
    );
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
            "look Slots".to_owned(),
            format!("look Space({id:?})"),
            "look Profile(Call, \"call-profile-1\")".to_owned(),
            "look LostProfile(Call)".to_owned(),
            "create the call profile".to_owned(),
            "look Profile(CallLeg, \"leg-profile-2\")".to_owned(),
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
        let lost = ["look LostProfile(Call)", "look LostProfile(CallLeg)", "look LostSet(1..=5)"][index];
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
    assert_eq!(player.settle(&mut server), End::Settled);
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
fn what_a_sync_made_goes_with_a_smaller_range_although_its_reply_was_lost() {
    for forgets_syncs in [false, true] {
        let mut server = Server::new(Vec::new());
        let mut player = Player::new(1, 3);
        let mut faults = std::iter::repeat_n(Fault::None, 3).chain([Fault::Crash]);
        assert_eq!(player.pass(&mut server, &mut faults), None);
        if forgets_syncs {
            server.syncs.clear();
        }
        assert_eq!(player.settle(&mut server), End::Settled);
        player.resize(1, 2);
        assert_eq!(player.settle(&mut server), End::Settled);
        assert!(server.wrongs.is_empty(), "{:?}", server.wrongs);
        if !forgets_syncs {
            assert_eq!(server.numbers(), [1, 2], "the sync tells that they are of our making");
            continue;
        }
        assert_eq!(server.numbers(), [1, 2, 3], "nobody can tell who made them");
        player.take_log();
        player.look_at_all(&server);
        assert_eq!(player.settle(&mut server), End::Settled);
        assert!(!player.take_log().iter().any(|line| line.contains("LostSync")), "looked for once");
    }
}

#[test]
fn a_set_is_synced_once_in_its_life() {
    // The third number cannot be made, so a sync fails halfway.
    let mut server = Server { leaves_half: true, invisible: [3].into(), ..Server::new(Vec::new()) };
    let mut player = Player::new(1, 3);
    let [done, broken, lost] = [Fault::None, Fault::BrokenBefore, Fault::LostReply];
    assert_eq!(player.pass(&mut server, &mut [done, done, done, broken, done, done, lost].into_iter()), None);
    // What came of the first try is not known. So it is looked for, and another set takes the place of the first.
    assert_eq!(
        player.writes()[3..],
        [
            "delete a bulk parameter set",
            "create a bulk parameter set for 1..3",
            "start the bulk sync that makes its spaces"
        ]
    );
    // Somebody opens one slot that was made, and gives another one a number of his own.
    *server.space_of(1).unwrap() = taken("somebody's", 1);
    let id = server.space_of(2).unwrap().id.clone();
    *server.space_of(2).unwrap() = taken(id.as_str(), 77);
    player.settle(&mut server);
    assert!(server.wrongs.is_empty(), "{:?}", server.wrongs);
    assert_eq!(server.numbers(), [1, 2, 77]);
    assert!(server.spaces.iter().any(|space| space.id == id), "it is his");
}

#[test]
fn a_write_that_ceased_to_be_wanted_while_it_waited_is_decided_anew() {
    let mut server = Server::new(Vec::new());
    let mut player = Player::settled(&mut server, 1, 3);
    server.space_of(2).unwrap().cdr_tag = Some(MARK.to_owned());
    player.look_at_all(&server);
    let mut progress = player.progress();
    let id = server.space_of(2).unwrap().id.clone();
    let shut = Step::ShutSlot { number: 2, space: id.clone() };
    let superseded = Verdict::Retry(CmsError::Superseded);
    let flow = progress.failed(&mut player.facts, Attempt::Do(&shut), superseded, Timestamp::UNIX_EPOCH);
    assert_eq!(
        (flow, progress.is_well(), &progress.pause),
        (Flow::Stop, true, &Some(Pause::None)),
        "no trouble, and at once"
    );
    // A meeting has come into it: it is its own now.
    player.held.insert(2, Some(id));
    assert_eq!(player.run(&mut server), End::Settled);
    assert!(player.writes().is_empty());
}

#[test]
fn refused_configuration_holds_back_nothing_but_configuration() {
    let mut server = Server::new(Vec::new());
    let mut player = Player::settled(&mut server, 1, 3);
    let mut progress = player.progress();
    let update = Step::UpdateProfile(ProfileKind::Call, "call-profile-1".to_owned(), Vec::new());
    let refused = || Verdict::Answered(CmsError::PasscodeTooShort);
    progress.failed(&mut player.facts, Attempt::Do(&update), refused(), Timestamp::UNIX_EPOCH);
    assert!(progress.is_refused);
    progress.is_refused = false;
    let shut = Step::ShutSlot { number: 2, space: "space-6".into() };
    progress.failed(&mut player.facts, Attempt::Do(&shut), refused(), Timestamp::UNIX_EPOCH);
    assert!(!progress.is_refused, "no configuration");
    // A profile that cannot be found again is made ever less often; a lost reply is another matter.
    let create = Step::CreateProfile(ProfileKind::Call, Vec::new());
    for (error, is_held) in [(CmsError::AmbiguousCreate, true), (CmsError::ConnectionLost, false)] {
        progress.failed(&mut player.facts, Attempt::Do(&create), Verdict::Retry(error), Timestamp::UNIX_EPOCH);
        assert_eq!(progress.is_refused, is_held);
    }
    player.wait(120);
    // While it is held back, a slot that was left open is shut, and nothing is made.
    server.space_of(2).unwrap().cdr_tag = Some(MARK.to_owned());
    player.look_at_all(&server);
    player.resize(1, 9);
    player.is_refused = true;
    player.run(&mut server);
    assert_eq!(player.writes(), ["shut slot 2"]);
    player.is_refused = false;
    player.settle(&mut server);
    assert_eq!(server.numbers(), [1, 2, 3, 4, 5, 6, 7, 8, 9]);
}

#[test]
fn a_refused_sync_is_tried_again_without_another_set() {
    let mut server = Server::new(Vec::new());
    let mut player = Player::new(1, 3);
    let mut progress = player.progress();
    let sync = Step::StartSync { set: "set-3".to_owned() };
    let verdicts = [
        (Verdict::Answered(CmsError::Busy), true),
        (Verdict::Retry(CmsError::Timeout), false),
        (Verdict::DatabaseDown { may_have_taken_effect: false }, true),
        (Verdict::DatabaseDown { may_have_taken_effect: true }, false),
        (Verdict::Moved, false),
    ];
    for (verdict, is_unsynced) in verdicts {
        player.facts.unsynced.clear();
        progress.failed(&mut player.facts, Attempt::Do(&sync), verdict.clone(), Timestamp::UNIX_EPOCH);
        assert_eq!(player.facts.unsynced.contains("set-3"), is_unsynced, "{verdict:?}");
    }
    assert_eq!(player.settle(&mut server), End::Settled);
}

/// Somebody else's room that has the number 3, though it is no slot.
fn room() -> Space {
    Space { call_id: Some("77".to_owned()), name: "Party".to_owned(), ..slot("x", 3) }
}

#[test]
fn one_foreign_number_costs_that_number_until_it_is_free() {
    let by_call_id = Space { uri: Some("lobby".to_owned()), call_id: Some("3".to_owned()), ..room() };
    let second = Space { uri: Some("lobby".to_owned()), secondary_uri: Some("3".to_owned()), ..room() };
    let tenants = Space { call_id: Some("3".to_owned()), tenant: Some("t".to_owned()), ..slot("x", 3) };
    for (other, leaves_half) in
        [(room(), false), (room(), true), (taken("x", 3), true), (by_call_id, false), (second, true), (tenants, false)]
    {
        let mut server = Server { leaves_half, ..Server::new(vec![other]) };
        let mut player = Player::new(1, 5);
        assert_eq!(player.settle(&mut server), End::Settled, "{:?}", player.log);
        assert!([1, 2, 4, 5].iter().all(|number| server.has_slot(*number)), "{:?}", server.numbers());
        assert!(server.sets.len() <= 2, "{:?}", server.sets);
        let foreign = |player: &Player| player.facts.slots.known().unwrap().foreign(&BTreeSet::new());
        assert_eq!(foreign(&player), BTreeSet::from([3]));
        player.take_log();
        assert_eq!(player.run(&mut server), End::Settled);
        assert!(player.take_log().is_empty(), "it is left alone");
        // The other one is gone, and a look tells.
        server.spaces.retain(|space| space.id.as_str() != "x");
        let Seen::Known(pool) = &mut player.facts.slots else { panic!() };
        pool.take_space(&"x".into(), None);
        assert_eq!(player.settle(&mut server), End::Settled);
        assert!(server.has_slot(3) && foreign(&player).is_empty());
        assert!(server.wrongs.is_empty(), "{:?}", server.wrongs);
    }
}

#[test]
fn a_conflict_that_no_list_explains_costs_the_numbers_that_have_it() {
    for quantity in [1, 5, 500] {
        let invisible = if quantity == 1 { BTreeSet::from([1]) } else { BTreeSet::from([2, 4]) };
        let mut server = Server { invisible: invisible.clone(), ..Server::new(Vec::new()) };
        let mut player = Player::new(1, quantity);
        // The first time it may be over by the next try.
        assert_eq!(player.settle(&mut server), End::Blocked(Obstacle::Sync(SyncFailure::UriConflict)));
        assert!(server.sets.len() == 1 && server.spaces.is_empty());
        let mut end = End::AwaitSync;
        for _ in 0..3 {
            end = player.settle(&mut server);
        }
        if quantity == 1 {
            assert_eq!(end, End::Blocked(Obstacle::Sync(SyncFailure::UriConflict)), "there is no slot at all");
        } else {
            assert_eq!(end, End::Settled);
        }
        assert_eq!(server.numbers().len(), quantity as usize - invisible.len());
        assert_eq!(player.facts.slots.known().unwrap().foreign(&BTreeSet::new()), invisible);
        let tries = player.log.iter().filter(|line| line.starts_with("start the bulk sync")).count();
        assert!(tries <= 30, "{tries} tries for {quantity}");
        assert!(server.sets.len() <= 24, "{:?}", server.sets);
        // Each pause is followed by one more try, and one of them succeeds.
        player.take_log();
        player.settle(&mut server);
        assert!(player.writes().len() <= 3 * invisible.len(), "{:?}", player.log);
        server.invisible.clear();
        for _ in 0..3 {
            end = player.settle(&mut server);
        }
        assert_eq!(end, End::Settled);
        assert_eq!(server.numbers().len(), quantity as usize);
        assert!(player.facts.blocked.is_empty());
    }
}

#[test]
fn a_failed_set_that_is_not_wanted_any_more_is_deleted() {
    let mut server = Server { invisible: BTreeSet::from([3]), ..Server::new(Vec::new()) };
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

#[test]
fn sets_do_not_pile_up() {
    // Every second slot is deleted by hand.
    let mut server = Server::new(Vec::new());
    let mut player = Player::settled(&mut server, 1, 150);
    let gone: Vec<SpaceId> = (1..=75).map(|n| server.space_of(2 * n).unwrap().id.clone()).collect();
    server.drop_spaces(&gone, "by hand");
    player.look_at_all(&server);
    for _ in 0..10 {
        player.settle(&mut server);
    }
    assert_eq!(server.numbers().len(), 150);
    assert!(player.stored.sets.len() <= 20 && server.sets.len() <= 20, "{:?}", player.stored.sets);
    // Up and down.
    for turn in 0..70 {
        player.resize(1, 150 + turn % 2 * 10);
        player.settle(&mut server);
    }
    assert!(server.sets.len() <= 20);
    // What was merged is removed all the same.
    player.deleting = true;
    assert_eq!(player.settle(&mut server), End::Settled);
    assert!(server.spaces.is_empty() && server.sets.is_empty());
    assert!(server.wrongs.is_empty(), "{:?}", server.wrongs);
}

/// Each gap costs a parameter set, and not the numbers behind it.
#[test]
fn seventy_numbers_of_others_in_a_range_cost_those_numbers_only() {
    let mut server = Server::new((1..=70).map(|n| taken(&format!("x-{n}"), 2 * n)).collect());
    let mut player = Player::new(1, 140);
    assert_eq!(player.settle(&mut server), End::Settled);
    assert_eq!(server.spaces.iter().filter(|space| !is_strange(space)).count(), 70);
    assert_eq!(player.stored.sets.len(), 70);
    assert!(server.wrongs.is_empty(), "{:?}", server.wrongs);
}

#[test]
fn numbers_that_lie_too_scattered_are_told() {
    let mut server = Server::new(Vec::new());
    let mut player = Player::settled(&mut server, 1, 1);
    let most = u32::try_from(crate::api::bridge::MOST_SETS).unwrap();
    let (set, space) = (player.stored.sets[0].clone(), server.spaces[0].clone());
    player.stored.sets.clear();
    for number in (1..=most).map(|n| 2 * n - 1) {
        let id = format!("set-of-{number}");
        server.sets.insert(id.clone(), number..=number);
        server
            .spaces
            .push(Space { id: format!("of-{number}").as_str().into(), ..server.with_profiles(slot("s", number)) });
        player.stored.sets.push(ParameterSet { start_index: number, end_index: number, id: Some(id), ..set.clone() });
    }
    server.spaces.retain(|known| known.id != space.id);
    let strangers = (1..=most).map(|n| taken(&format!("x-{n}"), 2 * n));
    server.spaces.extend(strangers);
    player.resize(1, 2 * most + 1);
    player.restart();
    assert_eq!(player.settle(&mut server), End::Blocked(Obstacle::Scattered));
    assert_eq!(player.stored.sets.len(), crate::api::bridge::MOST_SETS);
}

/// A look at one space leaves a doubt each time; the others have their turn all the same, in the same pass.
#[test]
fn a_space_that_is_never_clear_costs_the_others_nothing() {
    let mut server = Server::new(Vec::new());
    let mut player = Player::settled(&mut server, 1, 200);
    for number in [3, 5] {
        let id = server.space_of(number).unwrap().id.clone();
        *server.space_of(number).unwrap() = running(id.as_str(), number);
    }
    server.fickle = server.space_of(3).map(|space| space.id.clone());
    player.restart();
    let mut progress = player.progress();
    let mut none = std::iter::empty();
    let mut reach =
        ServerReach { server: &mut server, player: &mut player, faults: &mut none, died: false, lost: false };
    futures::executor::block_on(drive(&mut progress, &mut reach)).unwrap();
    assert_eq!(progress.pause, Some(Pause::TooManyTurns), "it is looked at again in a while");
    let log = player.take_log();
    assert!(log.contains(&"shut slot 5".to_owned()) && !log.contains(&"shut slot 3".to_owned()), "{log:?}");
    let looks = log.iter().filter(|line| line.starts_with("look Space")).count();
    assert!(looks <= 16, "bounded for each space, not for all 200 together: {looks}");
}

/// A list does not show that a slot was opened under its placeholder name, and what was looked at was on another night.
#[test]
fn after_a_rollback_each_free_slot_is_looked_at() {
    let mut server = Server::new(Vec::new());
    let mut player = Player::settled(&mut server, 1, 4);
    player.look_at_all(&server);
    let id = server.space_of(3).unwrap().id.clone();
    *server.space_of(3).unwrap() = Space { name: format!("{PREFIX}3"), ..running(id.as_str(), 3) };
    assert_eq!(player.run(&mut server), End::Settled);
    assert!(player.writes().is_empty(), "nothing tells of it");
    player.facts.read_anew();
    assert_eq!(player.run(&mut server), End::Settled);
    let log = player.take_log();
    assert!(log.contains(&"shut slot 3".to_owned()), "{log:?}");
    let looks = log.iter().filter(|line| line.starts_with("look Space")).count();
    assert_eq!(looks, 4 + 1, "and the one that was shut is read back: {log:?}");
    player.run(&mut server);
    assert!(player.take_log().iter().all(|line| !line.starts_with("look Space")), "once");
    // Of many so many at a time: a pass is also the watch of the meetings that run.
    player.resize(1, 120);
    player.settle(&mut server);
    player.facts.read_anew();
    let looks = [(); 4].map(|()| {
        player.take_log();
        player.run(&mut server);
        player.take_log().iter().filter(|line| line.starts_with("look Space")).count()
    });
    assert_eq!(looks, [50, 50, 20, 0]);
}

#[test]
fn what_a_complete_sync_left_out_is_listed_again_before_it_is_made_again() {
    let mut server = Server::new(Vec::new());
    let mut player = Player::new(1, 3);
    player.settle(&mut server);
    let hidden = server.spaces.pop().unwrap();
    player.facts.slots = Seen::Unknown;
    player.facts.awaited = Some((1..=3, 2));
    assert_eq!(player.run(&mut server), End::AwaitSync, "it may only show late");
    server.spaces.push(hidden);
    player.facts.slots = Seen::Unknown;
    player.take_log();
    assert_eq!(player.run(&mut server), End::Settled);
    assert!(player.writes().is_empty());
}

#[test]
fn a_sync_that_does_not_end_is_told_and_what_it_made_counts() {
    let mut server = Server { never_ends: true, ..Server::new(Vec::new()) };
    let mut player = Player::new(1, 3);
    for _ in 0..3 {
        assert_eq!(player.run(&mut server), End::AwaitSync);
        player.wait(299);
    }
    player.writes();
    assert_eq!(player.run(&mut server), End::Blocked(Obstacle::SyncHangs));
    assert_eq!(player.facts.slots.known().unwrap().missing(&(1..=3)), Vec::<u32>::new());
    // One that it shows later is seen later.
    let late = server.spaces.pop().unwrap();
    player.run(&mut server);
    assert_eq!(player.facts.slots.known().unwrap().missing(&(1..=3)), Vec::<u32>::new(), "listed now and then only");
    player.wait(301);
    player.run(&mut server);
    assert_eq!(player.facts.slots.known().unwrap().missing(&(1..=3)), [3]);
    server.spaces.push(late);
    player.wait(301);
    assert_eq!(player.run(&mut server), End::Blocked(Obstacle::SyncHangs));
    assert_eq!(player.writes(), Vec::<String>::new(), "no other one is begun");
    server.syncs.values_mut().for_each(|sync| sync.looks = 0);
    assert_eq!(player.settle(&mut server), End::Settled);
    assert!(player.stored.sets.iter().all(|set| set.synced) && server.wrongs.is_empty(), "{:?}", server.wrongs);
}

#[test]
fn a_profile_that_was_made_and_not_looked_at_yet_follows_the_spec() {
    let mut server = Server::new(Vec::new());
    let mut player = Player::settled(&mut server, 1, 2);
    player.edited = true;
    player.spec.profiles.call.participant_limit = Some(20);
    player.spec.profiles.call_leg.mute_self_allowed = Some(false);
    assert_eq!(player.run(&mut server), End::Settled);
    assert_eq!(player.writes(), ["repair the call profile", "repair the call leg profile"]);
}

#[test]
fn a_field_of_a_shared_profile_that_was_shown_and_is_gone_is_put_back() {
    let mut server = Server::new(Vec::new());
    let mut player = Player::settled(&mut server, 1, 2);
    let look = |player: &mut Player, server: &mut Server| {
        (player.facts.call_profile, player.facts.wants_profiles) = (Seen::Unknown, true);
        player.run(server);
        player.writes()
    };
    server.hidden_fields.insert("messageBoardEnabled".to_owned());
    assert_eq!(look(&mut player, &mut server), Vec::<String>::new(), "what is not shown is believed");
    server.call_profiles.values_mut().for_each(|fields| fields.retain(|name, _| name != "participantLimit"));
    assert_eq!(look(&mut player, &mut server), ["repair the call profile"]);
    assert!(server.call_profiles.values().all(|fields| fields.contains_key("participantLimit")));
    assert_eq!(look(&mut player, &mut server), Vec::<String>::new());
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
    let look = |number: u32, server: &mut Server| format!("look Space({:?})", server.space_of(number).unwrap().id);
    let (one, four) = (look(1, &mut server), look(4, &mut server));
    let call = "delete a call on a free slot";
    assert_eq!(player.take_log(), [&one, "shut slot 1", &one, call, &four, call], "looked at before and after");
    assert_eq!(server.calls.len(), 2, "those of the meeting in slot 2 and of the stranger in slot 3 go on");
    assert!(server.wrongs.is_empty(), "{:?}", server.wrongs);
    player.run(&mut server);
    assert!(player.take_log().is_empty());
}

/// A meeting that is gone left its slot open with ways in for its people: those go first, because the mark of the slot tells
/// of them after a crash.
#[test]
fn access_methods_that_a_meeting_left_go_with_its_door_and_those_of_others_stay() {
    let mut server = Server::new(Vec::new());
    let mut player = Player::settled(&mut server, 1, 4);
    for number in [1, 2] {
        player.open_meeting(&mut server, number);
    }
    let method = |id: &str, is_ours: bool| (id.into(), is_ours);
    for number in [1, 2, 3, 4] {
        let id = server.space_of(number).unwrap().id.clone();
        let ours = if number == 4 { vec![] } else { vec![method("ours", true)] };
        server.methods.insert(id, ours.into_iter().chain([method("theirs", false)]).collect());
    }
    // The meeting in slot 1 is gone without having shut it; in slot 3 the process died after it had shut the door.
    player.held.remove(&1);
    player.look_at_all(&server);
    let free = server.clone();
    for keeps_methods in [false, true] {
        let (mut server, mut player) = (Server { keeps_methods, ..free.clone() }, player.clone());
        assert_eq!(player.run(&mut server), End::Settled);
        let left = |number: u32| format!("delete an access method that a meeting left on slot {number}");
        let call = "delete a call on a free slot".to_owned();
        assert_eq!(player.writes(), [left(1), left(3), "shut slot 1".to_owned(), call]);
        let kept: Vec<usize> = server.methods.values().map(Vec::len).collect();
        assert_eq!(kept.iter().sum::<usize>(), if keeps_methods { 7 } else { 5 }, "that of slot 2 is in use");
        assert!(server.wrongs.is_empty(), "{:?}", server.wrongs);
        player.take_log();
        player.run(&mut server);
        assert_eq!(player.take_log(), Vec::<String>::new(), "those of others are looked at once");
    }
}

/// The next meeting in that slot could not get rid of it either.
#[test]
fn a_slot_in_which_the_bridge_keeps_an_access_method_is_given_to_nobody() {
    let mut server = Server::new(Vec::new());
    let mut player = Player::settled(&mut server, 1, 3);
    let id = server.space_of(2).unwrap().id.clone();
    server.methods.insert(id, vec![("first".into(), true), ("second".into(), true)]);
    server.keeps_methods = true;
    player.look_at_all(&server);
    player.run(&mut server);
    let stuck = |player: &Player| -> Vec<(u32, String)> {
        let slots = player.facts.slots.known().unwrap();
        slots.stuck(&BTreeSet::new()).map(|(number, stuck)| (number, stuck.words.clone())).collect()
    };
    let told = stuck(&player);
    assert!(matches!(told.as_slice(), [(2, why)] if why.contains("rejected the request (no")), "{told:?}");
    assert!(player.facts.slots.known().unwrap().stuck(&[2].into()).next().is_none(), "its meeting sees to it");
    player.writes();
    player.wait(599);
    player.run(&mut server);
    assert_eq!(player.writes(), Vec::<String>::new());
    player.wait(1);
    player.run(&mut server);
    assert_eq!(player.writes().len(), 2, "both are tried again");
    assert_eq!(stuck(&player).len(), 1);
    server.keeps_methods = false;
    player.wait(600);
    player.run(&mut server);
    assert_eq!((player.writes().len(), stuck(&player)), (2, Vec::new()), "the slot is free");
}

#[test]
fn what_a_second_meeting_left_in_a_slot_goes_as_well() {
    let mut server = Server::new(Vec::new());
    let mut player = Player::settled(&mut server, 1, 2);
    let id = server.space_of(1).unwrap().id.clone();
    for method in ["first", "second"] {
        server.methods.insert(id.clone(), vec![(method.into(), true)]);
        player.look_at_all(&server);
        player.run(&mut server);
        assert!(server.methods[&id].is_empty(), "{method}: {:?}", player.log);
    }
}

/// Another installation opens its meeting in a slot that is free here, whatever we do.
#[test]
fn a_free_slot_that_others_open_again_and_again_is_shut_less_often_but_always() {
    let mut server = Server::new(Vec::new());
    let mut player = Player::settled(&mut server, 1, 3);
    let id = server.space_of(2).unwrap().id.clone();
    let mut shut = Vec::new();
    for second in (0..600).step_by(5) {
        player.clock = Timestamp::from_second(second).unwrap();
        *server.space_of(2).unwrap() = running(id.as_str(), 2);
        player.look_at_all(&server);
        assert_eq!(player.run(&mut server), End::Settled);
        shut.extend(player.writes().into_iter().map(|_| second));
    }
    assert_eq!(&shut[..4], [0, 5, 10, 70], "each was read back, so it counts");
    assert!(shut.windows(2).skip(2).all(|pair| pair[1] - pair[0] == 60), "{shut:?}");
    assert_eq!(player.contests.len(), 1);
    // Nobody opens it any more: it stays shut, and in the end that is forgotten.
    player.clock = Timestamp::from_second(4 * 3600).unwrap();
    *server.space_of(2).unwrap() = slot(id.as_str(), 2);
    player.look_at_all(&server);
    player.run(&mut server);
    assert_eq!((player.writes().len(), player.contests.len()), (0, 0));
}

#[test]
fn a_profile_that_others_change_again_and_again_is_left_to_them_until_it_was_quiet_or_the_spec_is_edited() {
    let mut server = Server::new(Vec::new());
    let mut player = Player::settled(&mut server, 1, 1);
    let drifted = Fields::from([("participantLimit".to_owned(), "7".to_owned())]);
    let mut repaired = Vec::new();
    for minute in 0..60 {
        player.clock = Timestamp::from_second(minute * 60).unwrap();
        player.facts.call_profile = Seen::Known(Some(drifted.clone()));
        assert_eq!(player.run(&mut server), End::Settled);
        repaired.extend(player.writes().into_iter().map(|_| minute));
    }
    assert_eq!(repaired, [0, 1, 2, 32]);
    player.edited = true;
    player.run(&mut server);
    assert_eq!(player.take_log(), ["repair the call profile", "look Profile(Call, \"call-profile-1\")"]);
}

#[test]
fn slots_that_others_delete_again_and_again_are_made_again_less_often() {
    let mut server = Server::new(Vec::new());
    let mut player = Player::settled(&mut server, 1, 3);
    let mut made = Vec::new();
    for minute in 0..20 {
        player.clock = Timestamp::from_second(minute * 60).unwrap();
        // Two gaps are two sets, but one repair.
        server.spaces.retain(|space| space.uri.as_deref() == Some("2"));
        player.facts.read_anew();
        let end = player.settle(&mut server);
        let count = player.writes().iter().filter(|line| line.starts_with("create a bulk")).count();
        if count > 0 {
            made.push((minute, count));
        } else {
            assert_eq!(end, End::Blocked(Obstacle::SlotsContested));
        }
    }
    assert_eq!(&made[..2], [(0, 2), (1, 2)], "{made:?}");
    assert!(made.len() <= 6, "{made:?}");
    player.clock = Timestamp::from_second(3600).unwrap();
    player.edited = true;
    player.settle(&mut server);
    assert_eq!(server.numbers(), [1, 2, 3]);
}

#[test]
fn a_slot_that_another_scheduler_opened_between_two_looks_keeps_its_meeting() {
    let mut server = Server::new(Vec::new());
    let mut player = Player::settled(&mut server, 1, 3);
    player.look_at_all(&server);
    let id = server.space_of(3).unwrap().id.clone();
    // The list of calls shows it, the space was last seen free.
    *server.space_of(3).unwrap() = taken(id.as_str(), 3);
    server.call_on(id.as_str());
    let place =
        |call: &Call| PlacedCall { call_bridge: "cms.test:445".parse().unwrap(), call: call.clone(), began: None };
    player.facts.calls = Seen::Known(server.calls.iter().map(place).collect());
    assert_eq!(player.run(&mut server), End::Settled);
    assert_eq!(player.take_log(), [format!("look Space({id:?})")]);
    assert_eq!(player.facts.slots.known().unwrap().foreign(&BTreeSet::new()), BTreeSet::from([3]));
    // Nothing is asked about it again, until a look finds it free.
    assert_eq!(player.run(&mut server), End::Settled);
    assert!(player.take_log().is_empty());
    *server.space_of(3).unwrap() = slot(id.as_str(), 3);
    player.look_at_all(&server);
    assert_eq!(player.run(&mut server), End::Settled);
    assert_eq!(player.writes(), ["delete a call on a free slot"]);
    assert!(player.facts.slots.known().unwrap().foreign(&BTreeSet::new()).is_empty());
}

#[test]
fn a_bridge_that_never_shows_the_door_is_set_up_and_asked_once_about_each_room() {
    let mut server = Server { hides_access: true, ..Server::new(vec![taken("x", 3), slot("tms-4", 4)]) };
    let mut player = Player::new(1, 5);
    assert_eq!(player.settle(&mut server), End::Settled);
    let rooms = player.log.iter().filter(|line| line.starts_with("look Space")).count();
    assert!(rooms <= 1, "{:?}", player.log);
    player.look_at_all(&server);
    assert_eq!(player.facts.slots.known().unwrap().foreign(&BTreeSet::new()), BTreeSet::from([3, 4]));
    player.take_log();
    assert_eq!(player.run(&mut server), End::Settled);
    assert!(player.take_log().is_empty());
    // A slot of our own making that a meeting left open is shut, too.
    player.open_meeting(&mut server, 1);
    player.held.clear();
    player.look_at_all(&server);
    assert_eq!(player.run(&mut server), End::Settled);
    assert_eq!(player.writes(), ["shut slot 1", "delete a call on a free slot"]);
}

#[test]
fn free_slots_are_kept_shut_whatever_else_is_wrong() {
    let mut server = Server::new(Vec::new());
    let mut settled = Player::settled(&mut server, 1, 3);
    settled.open_meeting(&mut server, 2);
    settled.held.clear();
    type Trouble = fn(&mut Player, &mut Server);
    let troubles: [(&str, Trouble); 4] = [
        ("the profile drifted", |player, _| player.spec.profiles.call.participant_limit = Some(7)),
        ("a growth meets a conflict", |player, server| {
            server.invisible.insert(5);
            player.resize(1, 6);
        }),
        ("the quantity is gone", |player, _| player.spec.slots.quantity = None),
        ("the spec is another range", |player, _| player.resize(11, 3)),
    ];
    for (trouble, make) in troubles {
        let (mut server, mut player) = (server.clone(), Player::new(1, 3));
        player.stored = settled.stored.clone();
        make(&mut player, &mut server);
        player.run(&mut server);
        assert_eq!(player.writes().first().map(String::as_str), Some("shut slot 2"), "{trouble}");
    }
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
        ["look Slots".to_owned(), "look AllSpaces".to_owned(), look.clone(), "shut slot 1".to_owned(), look]
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

/// Objects were deleted and come back while the controller runs: the bridge first, its meetings a few seconds later.
#[test]
fn what_seems_to_be_left_open_waits_for_the_meetings_of_a_bridge_that_is_new() {
    let mut server = Server::new(Vec::new());
    let mut player = Player::settled(&mut server, 1, 4);
    player.open_meeting(&mut server, 4);
    player.held.clear();
    player.restart();
    player.is_new = true;
    assert_eq!(player.run(&mut server), End::Settled);
    assert!(player.writes().is_empty() && server.wrongs.is_empty());
    player.is_new = false;
    assert_eq!(player.run(&mut server), End::Settled);
    assert_eq!(player.writes(), ["shut slot 4"], "nobody came");
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

/// A sync that is to remove spaces proves nothing by its end.
#[test]
fn what_the_removal_leaves_goes_one_by_one_or_stays_in_the_record() {
    for ended in [SyncStatus::Failed(SyncFailure::Unspecified), SyncStatus::Complete] {
        let mut server = Server::new(Vec::new());
        let mut player = Player::settled(&mut server, 1, 3);
        server.keeps_spaces = Some(ended.clone());
        server.refuses_deletes = true;
        player.deleting = true;
        let mut progress = player.progress();
        for _ in 0..8 {
            progress = player.progress();
            progress.revisit_sync(&mut player.facts, true);
            let mut none = std::iter::empty();
            let mut reach =
                ServerReach { server: &mut server, player: &mut player, faults: &mut none, died: false, lost: false };
            futures::executor::block_on(drive(&mut progress, &mut reach)).unwrap();
            player.stored = progress.record.clone();
        }
        assert!(progress.failure.is_some() && !progress.is_removed, "{ended:?}: {:?}", player.log);
        assert_eq!((server.numbers().len(), player.stored.sets.len()), (3, 1), "nothing is forgotten");
        server.refuses_deletes = false;
        assert_eq!(player.settle(&mut server), End::Settled);
        assert_eq!((server.numbers(), player.stored.sets.len()), (Vec::new(), 0), "{ended:?}: {:?}", player.log);
        assert!(server.sets.is_empty() && server.wrongs.is_empty(), "{:?}", server.wrongs);
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
    let mut server = Server { leaves_half: true, ..Server::new(vec![room()]) };
    let mut player = Player::new(1, 4);
    player.run(&mut server);
    player.deleting = true;
    assert_eq!(player.settle(&mut server), End::Settled);
    assert_eq!(server.numbers(), [3], "{:?}", player.log);
}

fn cluster(address: &str, id: Option<&str>) -> ClusterStatus {
    let (address, cluster_id) = (Some(address.to_owned()), id.map(str::to_owned));
    ClusterStatus { address, cluster_id, members: Vec::new() }
}

/// `spec.address` is edited to the CMS of another scheduler, who has what looks like the slots that were made before.
#[test]
fn what_was_made_on_another_cms_is_no_claim() {
    let (here, there) = (("cms.test", Some("one")), ("other.test", Some("two")));
    for (deleting, now) in
        [(false, there), (true, there), (false, ("other.test", None)), (false, ("cms.test", there.1))]
    {
        let mut server = Server::new(Vec::new());
        server.cluster = cluster(here.0, here.1);
        let mut player = Player::new(1, 5);
        player.spec.address = here.0.to_owned();
        assert_eq!(player.settle(&mut server), End::Settled);
        let mut theirs = Server::new((1..=5).map(|n| slot(&format!("tms-{n}"), n)).collect());
        theirs.cluster = cluster(now.0, now.1);
        player.spec.address = now.0.to_owned();
        player.spec.slots.base = Some(11);
        player.deleting = deleting;
        player.restart();
        // What a restart of the bridge, or its other members, give rise to.
        player.facts.full_recheck = here.0 == now.0;
        player.take_log();
        let before: Vec<_> = theirs.spaces.iter().map(|space| format!("{space:?}")).collect();
        assert_eq!(player.settle(&mut theirs), End::Settled, "{now:?}");
        let after: Vec<_> = theirs.spaces.iter().take(5).map(|space| format!("{space:?}")).collect();
        assert_eq!(before, after, "{now:?}");
        assert_eq!(theirs.spaces.len(), if deleting { 5 } else { 10 });
    }
}

#[test]
fn another_address_of_the_same_cluster_changes_nothing() {
    let mut server = Server::new(Vec::new());
    server.cluster = cluster("cms.test", Some("one"));
    let mut player = Player::new(1, 5);
    player.spec.address = "cms.test".to_owned();
    assert_eq!(player.settle(&mut server), End::Settled);
    player.spec.address = "other.test".to_owned();
    server.cluster = cluster("other.test", Some("one"));
    player.restart();
    player.take_log();
    assert_eq!(player.settle(&mut server), End::Settled);
    assert_eq!(player.writes(), Vec::<String>::new());
}

/// A restored database, or a page that was read while something changed: the pass ends all the same.
#[test]
fn two_slots_under_one_id_end_no_pass_in_a_loop() {
    let mut server = Server::new(vec![slot("twice", 1), Space { id: "twice".into(), ..taken("x", 2) }, slot("c", 3)]);
    let mut player = Player::new(1, 3);
    let mut progress = player.progress();
    let mut none = std::iter::empty();
    let mut reach =
        ServerReach { server: &mut server, player: &mut player, faults: &mut none, died: false, lost: false };
    futures::executor::block_on(drive(&mut progress, &mut reach)).unwrap();
    assert!(server.spaces.iter().any(|space| space.name == "Party" && space.non_member_access == Some(true)));
}

/// The process dies between the new profile and the slots that are to have it.
#[test]
fn slots_that_were_not_ready_are_told_their_profile_by_the_next_process() {
    for is_ready in [true, false] {
        let mut server = Server::new(Vec::new());
        let mut player = Player::settled(&mut server, 1, 3);
        server.call_profiles.clear();
        player.facts.read_anew();
        assert_eq!(player.pass(&mut server, &mut [Fault::None, Fault::CrashBefore].into_iter()), None);
        player.is_ready = is_ready;
        assert_eq!(player.settle(&mut server), End::Settled);
        let made = server.call_profiles.keys().next().cloned();
        let shown = server.spaces.iter().map(|space| space.call_profile.as_ref().map(|id| id.as_str().to_owned()));
        let have_it = shown.filter(|shown| *shown == made).count();
        assert_eq!(have_it, if is_ready { 0 } else { 3 });
    }
}

/// A process that was asked to stop wrote down that it had seen the edit, and not what came of it.
#[test]
fn a_generation_that_was_seen_but_not_ready_is_not_believed_by_the_next_process() {
    for is_ready in [true, false] {
        let mut server = Server::new(Vec::new());
        let mut player = Player::settled(&mut server, 1, 3);
        player.spec.profiles.call.participant_limit = Some(77);
        player.is_ready = is_ready;
        player.restart();
        assert_eq!(player.settle(&mut server), End::Settled);
        assert_eq!(player.writes().is_empty(), is_ready, "{:?}", player.log);
    }
}

// ----------------------------------------------------------------------------------- one slot that cannot be had

/// Who cannot be shut, by number.
fn stuck(player: &Player) -> Vec<u32> {
    let slots = player.facts.slots.known().unwrap();
    let mut stuck: Vec<u32> = slots.stuck(&BTreeSet::new()).map(|(number, _)| number).collect();
    stuck.sort_unstable();
    stuck
}

#[test]
fn a_slot_that_cannot_be_shut_holds_up_no_other() {
    let mut server = Server::new(vec![running("a", 1), running("b", 2), slot("c", 3)]);
    server.unshuttable.insert("a".into());
    let mut player = Player::new(1, 4);
    assert_eq!(player.settle(&mut server), End::Settled);
    let is_open = |server: &Server, id: &str| {
        server.spaces.iter().any(|space| space.id.as_str() == id && space.non_member_access == Some(true))
    };
    assert!(is_open(&server, "a") && !is_open(&server, "b"), "{:?}", player.log);
    assert_eq!((stuck(&player), server.numbers()), (vec![1], vec![1, 2, 3, 4]), "what was missing is made");
    // It is not asked in every pass, but it is not given up.
    player.take_log();
    player.run(&mut server);
    assert_eq!(player.writes(), Vec::<String>::new());
    player.wait(120);
    player.run(&mut server);
    assert_eq!(player.writes().len(), 1);
    server.unshuttable.clear();
    player.wait(120);
    player.run(&mut server);
    assert!(!is_open(&server, "a"));
    assert_eq!(stuck(&player), Vec::<u32>::new());
}

#[test]
fn a_space_that_cannot_be_read_holds_up_no_other() {
    let mut server = Server::new(vec![taken("a", 1), running("b", 2)]);
    server.unreadable.insert("a".into());
    let mut player = Player::new(1, 4);
    assert_eq!(player.settle(&mut server), End::Settled);
    assert!(server.spaces.iter().all(|space| space.id.as_str() == "a" || space.non_member_access == Some(false)));
    assert_eq!((stuck(&player), server.numbers()), (vec![1], vec![1, 2, 3, 4]));
    // Once may be chance: whoever may be in there is waited for until it was tried again.
    let is_read = |player: &Player| player.facts.slots.known().unwrap().is_read(&(1..=4), &BTreeSet::new());
    assert!(!is_read(&player));
    player.wait(5);
    player.run(&mut server);
    assert!(is_read(&player) && stuck(&player) == [1]);
    player.take_log();
    player.run(&mut server);
    assert_eq!(player.take_log(), Vec::<String>::new(), "it is not asked in every pass");
    server.unreadable.clear();
    player.wait(120);
    player.run(&mut server);
    assert_eq!((stuck(&player), server.wrongs.clone()), (vec![], vec![]));
}

/// One answer tells of one slot only if the bridge is well otherwise.
#[test]
fn a_bridge_that_is_ill_sets_no_slot_aside() {
    let mut server = Server::new(vec![running("a", 1), running("b", 2)]);
    let mut player = Player::settled(&mut server, 1, 2);
    player.facts.wants_looks = true;
    if let Seen::Known(slots) = &mut player.facts.slots {
        slots.forget_looks();
    }
    server.is_ill = true;
    let mut progress = player.progress();
    let mut none = std::iter::empty();
    let mut reach =
        ServerReach { server: &mut server, player: &mut player, faults: &mut none, died: false, lost: false };
    futures::executor::block_on(drive(&mut progress, &mut reach)).unwrap();
    assert!(progress.failure.is_some());
    assert_eq!(player.take_log().len(), 2, "the second answer says so");
    assert_eq!(stuck(&player), Vec::<u32>::new());
}

/// A method that is answered oddly, and a space that does not take its profiles, cost their slot as well.
#[test]
fn whatever_one_slot_does_not_take_holds_up_no_other() {
    let mut server = Server::new(Vec::new());
    let mut player = Player::settled(&mut server, 1, 3);
    let id = server.space_of(1).unwrap().id.clone();
    server.methods.insert(id.clone(), vec![("first".into(), true)]);
    server.keeps_methods_oddly = true;
    server.space_of(2).unwrap().cdr_tag = Some(MARK.to_owned());
    server.space_of(3).unwrap().call_leg_profile = Some("another".into());
    let third = server.space_of(3).unwrap().id.clone();
    server.unattachable.insert(third);
    player.look_at_all(&server);
    player.run(&mut server);
    assert!(server.space_of(2).unwrap().cdr_tag.is_none(), "{:?}", player.log);
    assert_eq!(stuck(&player), [1]);
    assert!(!player.is_refused);
    player.take_log();
    player.run(&mut server);
    assert_eq!(player.writes(), Vec::<String>::new(), "neither is tried in every pass");
    // What else is in the way there does not make it forgotten.
    let slots = |player: &mut Player| player.facts.slots.known().cloned().unwrap();
    let mut known = slots(&mut player);
    known.stuck.set(&id, crate::facts::slots::StuckBy::Call, "no".to_owned(), player.clock);
    player.facts.slots = Seen::Known(known);
    player.wait(120);
    player.run(&mut server);
    assert!(stuck(&player).contains(&1));
    server.keeps_methods_oddly = false;
    player.wait(600);
    player.run(&mut server);
    assert!(server.methods[&id].is_empty());
}
