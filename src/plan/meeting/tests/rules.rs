//! Table tests: what is done next, rule by rule.

use super::*;

// ---------------------------------------------------------------------------------------------------------- opening

#[test]
fn opening_goes_door_call_legs_with_a_look_before_each_post() {
    let mut model = Model::new(Some(free()), at(0));
    let mut player = Player::new(&["a@x", "b@x"], Start::booked());
    assert_eq!(player.run(&mut model), End::Settled);
    assert_eq!(
        player.take_log(),
        ["look Space", "open the space", "look Calls", "create the call", "dial a@x", "dial b@x"],
        "no look at the legs of a call that is brand new"
    );
    assert!(model.space.as_ref().unwrap().has_secret(&player.secret));
    assert_eq!(player.run(&mut model), End::Settled);
    assert!(player.take_log().is_empty(), "a settled meeting costs nothing");
}

#[test]
fn before_the_window_nothing_is_asked() {
    let mut player = Player::new(&["a@x"], Start::booked());
    let mut model = Model::new(None, at(-311));
    assert_eq!(player.run(&mut model), End::Settled);
    assert!(player.take_log().is_empty());
}

/// The installation was given a name while the meeting ran: its space still has the mark from before.
#[test]
fn a_meeting_that_was_opened_before_the_installation_had_a_name_is_shut_all_the_same() {
    for (tag, end, is_open) in [
        (Marks::default().of("ns", "standup"), End::Released, false),
        (Marks::default().of("ns", "another"), End::TakenOver, true),
        (Marks::of_installation("theirs").unwrap().of("ns", "standup"), End::TakenOver, true),
    ] {
        let mut player = Player::new(&[], Start::running(None));
        player.marks = Marks::of_installation("x").unwrap();
        let mut model = Model::new(Some(space("Board", Some(true), Some(&tag))), at(3600));
        assert_eq!(player.run(&mut model), end, "{tag}");
        assert_eq!(model.space.as_ref().unwrap().non_member_access, Some(is_open), "{tag}");
    }
}

#[test]
fn preparing_finds_out_what_can_go_wrong() {
    let foreign = space("Party", Some(false), None);
    let open = space(PLACEHOLDER, Some(true), None);
    let table: [(&str, Option<Space>, End); 6] = [
        ("missing", None, End::Blocked(Obstacle::SpaceMissing)),
        ("renamed", Some(foreign), End::Blocked(Obstacle::Foreign)),
        ("opened", Some(open), End::Blocked(Obstacle::Foreign)),
        ("free", Some(free()), End::Settled),
        ("not told whether it is open", Some(space(PLACEHOLDER, None, None)), End::Blocked(Obstacle::Foreign)),
        ("ours already", Some(opened()), End::Settled),
    ];
    for (case, shown, wanted) in table {
        let mut player = Player::new(&["a@x"], Start::booked());
        assert_eq!(player.run(&mut Model::new(shown, at(-305))), wanted, "{case}");
        assert_eq!(player.take_log(), ["look Space"], "{case}: nothing is written before the instant");
    }
    let mut player = Player::new(&[], Start::booked());
    player.passcode = None;
    assert_eq!(player.run(&mut Model::new(Some(free()), at(-305))), End::Blocked(Obstacle::PasscodeUnavailable));
    let mut next_one = Player::new(&[], Start::booked());
    next_one.around.slot_busy = true;
    let taken = Model::new(Some(space("Still running", Some(true), None)), at(-305));
    assert_eq!(next_one.run(&mut taken.clone()), End::Settled, "the meeting before is not foreign");
}

#[test]
fn the_door_stays_shut_while_something_is_missing() {
    let mut player = Player::new(&["a@x"], Start::booked());
    player.passcode = None;
    let mut model = Model::new(Some(free()), at(0));
    assert_eq!(player.run(&mut model), End::Blocked(Obstacle::PasscodeUnavailable));
    player.passcode = Some(PASSCODE.to_owned().into());
    player.around.slot_busy = true;
    assert_eq!(player.run(&mut model), End::Blocked(Obstacle::SlotBusy));
    player.around.slot_busy = false;
    player.suspended = true;
    assert_eq!(player.run(&mut model), End::Blocked(Obstacle::Suspended));
    assert!(player.take_log().is_empty(), "not even a look");
    player.suspended = false;
    assert_eq!(player.run(&mut Model::new(None, at(0))), End::Blocked(Obstacle::SpaceMissing));
    assert_eq!(player.take_log(), ["look Space"]);
}

#[test]
fn an_open_door_does_not_need_the_passcode_any_more() {
    let mut player = Player::new(&["a@x"], Start::running(None));
    player.passcode = None;
    let mut model = Model::new(Some(opened()), at(0));
    assert_eq!(player.run(&mut model), End::Settled);
    assert_eq!(player.take_log(), ["look Calls", "create the call", "dial a@x"], "and the meeting goes on");
}

#[test]
fn a_foreign_slot_is_never_taken() {
    for shown in [
        space("Party", Some(true), None),
        space("Party", Some(false), Some("tms")),
        space(PLACEHOLDER, Some(true), None),
    ] {
        let mut player = Player::new(&["a@x"], Start::booked());
        assert_eq!(player.run(&mut Model::new(Some(shown), at(0))), End::Blocked(Obstacle::Foreign));
        assert_eq!(player.take_log(), ["look Space"]);
    }
}

#[test]
fn dialling_begins_at_the_start_and_not_with_the_door() {
    let mut player = Player::new(&["a@x"], Start::booked());
    let mut model = Model::new(Some(free()), at(-60));
    assert_eq!(player.run(&mut model), End::Settled);
    assert_eq!(player.take_log(), ["look Space", "open the space", "look Calls", "create the call"]);
    model.clock = at(0);
    assert_eq!(player.run(&mut model), End::Settled);
    assert_eq!(player.take_log(), ["look Legs", "dial a@x"], "somebody may have got them in since");
}

#[test]
fn nobody_is_dialled_where_the_bridge_does_not_allow_it() {
    let mut player = Player::new(&["a@x"], Start::booked());
    player.outgoing = false;
    let mut model = Model::new(Some(free()), at(0));
    player.run(&mut model);
    assert_eq!(player.take_log(), ["look Space", "open the space", "look Calls", "create the call"]);
}

/// A passcode that is too short, or a title that the bridge does not take, is told; who is to be rung does not wait for it.
#[test]
fn an_edit_that_the_bridge_refuses_keeps_nobody_from_being_rung() {
    let (mut model, mut player) = (Model::new(Some(free()), at(0)), Player::new(&[], Start::booked()));
    player.run(&mut model);
    player.told = Some(at(60));
    player.spec.participants = spec(&["a@x"]).participants;
    model.denies = Some(("mark the extension", CmsError::PasscodeTooShort));
    player.take_log();
    player.pass(&mut model, false, &mut std::iter::empty());
    assert!(player.log.contains(&"dial a@x".to_owned()), "{:?}", player.log);
    let told = crate::api::find(&player.stored.conditions, "Ready").unwrap();
    assert_eq!(&*told.reason, "PasscodeRejected");
    // A call that is gone is made again as well, and the edit is tried again.
    model.calls.clear();
    player.take_log();
    player.pass(&mut model, true, &mut std::iter::empty());
    assert!(player.log.contains(&"create the call".to_owned()), "{:?}", player.log);
    model.denies = None;
    player.pass(&mut model, true, &mut std::iter::empty());
    assert_eq!(player.told, Some(at(3600)));
}

#[test]
fn an_edit_that_waits_for_the_database_keeps_nobody_from_being_rung() {
    let (mut model, mut player) = (Model::new(Some(free()), at(0)), Player::new(&[], Start::booked()));
    player.run(&mut model);
    player.around.database_lost = true;
    player.told = Some(at(60));
    player.spec.participants = spec(&["a@x"]).participants;
    player.take_log();
    player.pass(&mut model, false, &mut std::iter::empty());
    assert!(player.log.contains(&"dial a@x".to_owned()), "{:?}", player.log);
    assert!(!player.log.iter().any(|line| line.starts_with("mark")), "{:?}", player.log);
    player.around.database_lost = false;
    player.run(&mut model);
    assert_eq!(player.told, Some(at(3600)));
}

#[test]
fn who_cannot_be_disconnected_keeps_nobody_from_being_rung() {
    let (mut model, mut player) = (Model::new(Some(free()), at(0)), Player::new(&["gone@x"], Start::booked()));
    player.run(&mut model);
    player.spec.removed_participants = crate::api::meeting::RemovedParticipants::Disconnect;
    player.spec.participants = spec(&["a@x"]).participants;
    let refused = CmsError::Rejected { element: "callLegCannotBeDeleted".to_owned(), status: 400 };
    model.denies = Some(("end the leg", refused));
    player.take_log();
    player.pass(&mut model, false, &mut std::iter::empty());
    assert!(player.log.contains(&"dial a@x".to_owned()), "{:?}", player.log);
}

/// Who looked in before the start and left has not left the meeting.
#[test]
fn who_looks_in_early_and_leaves_is_rung_at_the_start() {
    let (mut model, mut player) = (Model::new(Some(free()), at(-200)), Player::new(&["room@x"], Start::booked()));
    player.run(&mut model);
    let call = model.calls.keys().next().unwrap().clone();
    model.calls.insert(call.clone(), vec![("leg-in".to_owned(), "room@x".to_owned(), true)]);
    player.pass(&mut model, true, &mut std::iter::empty());
    assert_eq!(player.stored.participants[0].state, ParticipantState::Connected);
    model.calls.insert(call, Vec::new());
    player.pass(&mut model, true, &mut std::iter::empty());
    player.pass(&mut model, true, &mut std::iter::empty());
    assert_eq!(player.stored.participants[0].state, ParticipantState::Waiting);
    model.clock = at(0);
    player.take_log();
    player.pass(&mut model, false, &mut std::iter::empty());
    assert!(player.log.contains(&"dial room@x".to_owned()), "{:?}", player.log);
    // Who was rung and has left is left alone, also if the start is moved later afterwards.
    let call = model.calls.keys().next().unwrap().clone();
    model.calls.insert(call, Vec::new());
    player.stored.participants[0].state = ParticipantState::Left;
    player.stored.window.as_mut().unwrap().starts_at = crate::api::values::Instant(at(600));
    player.spec.start = crate::api::values::Instant(at(600));
    player.pass(&mut model, true, &mut std::iter::empty());
    assert_eq!(player.stored.participants[0].state, ParticipantState::Left);
}

#[test]
fn a_call_that_is_there_is_adopted_with_the_legs_it_has() {
    let mut model = Model::new(Some(free()), at(0)).with_call("joined", &["a@x"]);
    let mut player = Player::new(&["a@x", "b@x"], Start::booked());
    assert_eq!(player.run(&mut model), End::Settled);
    assert_eq!(player.take_log(), ["look Space", "open the space", "look Calls", "look Legs", "dial b@x"]);
    assert_eq!(player.call(), Some(here("joined")));
    assert!(model.wrongs.is_empty());
}

#[test]
fn the_recorded_call_wins_and_else_the_first() {
    let calls = Model::new(None, at(0)).with_call("b", &[]).with_call("a", &[]).seen_calls();
    let calls: Vec<_> = calls.into_iter().rev().collect();
    assert_eq!(pick_call(&calls, Some(&here("b")), at(0)).unwrap().call.id, "b".into());
    assert_eq!(pick_call(&calls, Some(&here("gone")), at(0)).unwrap().call.id, "a".into());
    assert!(pick_call(&[], Some(&here("b")), at(0)).is_none());
}

#[test]
fn a_further_try_is_preceded_by_a_look_as_well() {
    let mut player = Player::new(&["a@x"], Start::running(Some("call")));
    player.stored.participants = participants::update(&player.spec, &[], None, None, true);
    let first = &mut player.stored.participants[0];
    (first.attempts, first.last_attempt_at) = (1, Some(Instant(at(0))));
    // The second try was made, but the process died before it was noted.
    let mut model = Model::new(Some(opened()), at(30)).with_call("call", &["a@x"]);
    assert_eq!(player.run(&mut model), End::Settled);
    assert_eq!(player.take_log(), ["look Legs"]);
    assert!(model.wrongs.is_empty());
}

#[test]
fn a_call_that_vanished_is_made_again_and_who_was_cut_off_is_dialled_again() {
    let mut model = Model::new(Some(free()), at(0));
    let mut player = Player::new(&["a@x", "b@x"], Start::booked());
    player.run(&mut model);
    for legs in model.calls.values_mut() {
        legs.iter_mut().for_each(|leg| leg.2 = true);
    }
    player.pass(&mut model, true, &mut std::iter::empty());
    for legs in model.calls.values_mut() {
        legs.retain(|(_, party, _)| party != "b@x");
    }
    player.pass(&mut model, true, &mut std::iter::empty());
    assert_eq!(player.stored.participants[1].state, ParticipantState::Left);
    player.take_log();
    model.calls.clear();
    player.pass(&mut model, true, &mut std::iter::empty());
    assert_eq!(player.take_log(), ["look Boot", "create the call", "dial a@x"], "who had left is left alone");
}

/// A list may be a moment older than a call.
#[test]
fn a_call_that_a_list_leaves_out_and_a_look_shows_goes_on() {
    let mut model = Model::new(Some(free()), at(0));
    let mut player = Player::new(&["a@x"], Start::booked());
    player.run(&mut model);
    let call = player.call().unwrap();
    model.unlisted.insert(call.id.clone());
    player.take_log();
    player.pass(&mut model, true, &mut std::iter::empty());
    assert_eq!((player.take_log(), player.call()), (vec!["look Boot".to_owned()], Some(call)));
    assert_eq!((model.calls_made, player.stored.calls_ended), (1, 0));
}

/// A call with many legs takes its bridge seconds to end, and a change may show late.
#[test]
fn what_is_shown_as_it_was_is_shut_and_deleted_once_in_a_pass() {
    let mut model = Model::new(Some(opened()), at(3600)).with_call("call", &["a@x"]);
    model.lingers = true;
    let mut player = Player::new(&["a@x"], Start::running(Some("call")));
    let shutting = [
        "look Mark",
        "shut the space and give it a new secret",
        "look RecordedCall",
        "delete the call",
        "look Release",
    ];
    assert_eq!(player.run(&mut model), End::Unproven);
    assert_eq!(player.take_log(), shutting);
    assert_ne!(player.stored.phase, Some(Phase::Ended));
    model.lingers = false;
    assert_eq!(player.run(&mut model), End::Released);
}

/// Another scheduler, or a controller that did not know the meeting, ends a call and shuts its room.
#[test]
fn before_a_call_that_somebody_ended_is_made_again_the_door_is_looked_at() {
    for space in [free(), opened()] {
        let was_shut = space.non_member_access == Some(false);
        let mut model = Model::new(Some(space), at(20));
        let mut player = Player::new(&["a@x"], Start::running(Some("gone")));
        player.run(&mut model);
        let log = player.take_log();
        let place = |wanted: &str| log.iter().position(|line| line == wanted);
        assert!(place("look Space") < place("create the call") && place("look Space").is_some(), "{log:?}");
        assert_eq!(place("open the space"), place("look Space").filter(|_| was_shut).map(|place| place + 1), "{log:?}");
        assert_eq!(log.iter().filter(|line| *line == "look Space").count(), 1, "{log:?}");
    }
}

#[test]
fn a_running_meeting_whose_slot_a_list_shows_as_free_is_looked_at() {
    let mut player = Player::new(&["a@x"], Start::running(Some("call")));
    player.stored.participants = participants::update(&player.spec, &[], None, None, false);
    let mut model = Model::new(Some(free()), at(20)).with_call("call", &["a@x"]);
    player.run(&mut model);
    assert!(!player.take_log().contains(&"look Space".to_owned()), "what nothing contradicts costs no request");
    player.listed_as_free = true;
    player.run(&mut model);
    let log = player.take_log();
    assert_eq!(log.first().map(String::as_str), Some("look Space"), "{log:?}");
    assert!(log.contains(&"open the space".to_owned()), "{log:?}");
    assert_eq!(model.space.as_ref().unwrap().non_member_access, Some(true));
}

/// Host keys have a button "end for all", and who presses it means it.
#[test]
fn a_call_that_somebody_ends_again_and_again_is_made_again_twice() {
    let mut model = Model::new(Some(free()), at(0));
    let mut player = Player::new(&["a@x"], Start::booked());
    player.spec.participants[0].retry.limit = 0;
    let mut rings = 0;
    for _ in 0..6 {
        player.pass(&mut model, true, &mut std::iter::empty());
        model.calls.values_mut().flatten().for_each(|leg| leg.2 = true);
        player.pass(&mut model, true, &mut std::iter::empty());
        rings += player.take_log().iter().filter(|line| line.starts_with("dial")).count();
        model.calls.clear();
    }
    assert_eq!((rings, model.calls_made), (3, 3), "once for the meeting, and once for each of two losses");
    assert_eq!(player.run(&mut model), End::Blocked(Obstacle::CallUnwanted));
    assert_eq!((player.stored.calls_ended, player.stored.participants[0].state), (3, ParticipantState::Left));
    assert!(player.take_log().is_empty(), "nobody looks for a call any more");
    // An edit of the spec wants it back. As for whoever was let go, he is left alone.
    player.stored.observed_generation = Some(0);
    assert_eq!(player.run(&mut model), End::Settled);
    assert_eq!(player.take_log(), ["look Calls", "create the call"]);
    assert_eq!(player.stored.calls_ended, 0);
}

#[test]
fn a_call_that_went_with_its_call_bridge_is_not_counted_as_ended_by_others() {
    // One that does not tell when it was started is not taken for one that has just been.
    for (is_adopted, booted) in [(false, Some(at(20))), (false, Some(at(5))), (true, Some(at(20))), (false, None)] {
        let mut model = Model::new(Some(opened()), at(10));
        if is_adopted {
            model = model.with_call("theirs", &["a@x"]);
        }
        let mut player = Player::new(&["a@x"], Start::running(None));
        player.pass(&mut model, false, &mut std::iter::empty());
        player.pass(&mut model, true, &mut std::iter::empty());
        player.take_log();
        model.calls.clear();
        (model.clock, model.booted) = (at(30), booted);
        player.pass(&mut model, true, &mut std::iter::empty());
        let was_restarted = booted > Some(at(10));
        assert_eq!(player.stored.calls_ended, u32::from(!was_restarted));
        assert_eq!(player.take_log(), ["look Boot", "create the call", "dial a@x"], "whoever was cut off is dialled");
    }
}

/// A call that somebody made by joining ends with its last leg.
#[test]
fn a_call_that_ended_because_the_last_one_left_rings_nobody() {
    for (others, dialled) in [(0, false), (1, true)] {
        let mut model = Model::new(Some(opened()), at(10)).with_call("theirs", &["a@x"]);
        for other in 0..others {
            let leg = (format!("leg-{other}"), format!("other-{other}@x"), true);
            model.calls.get_mut(&"theirs".into()).unwrap().push(leg);
        }
        let mut player = Player::new(&["a@x"], Start::running(None));
        player.pass(&mut model, false, &mut std::iter::empty());
        player.pass(&mut model, true, &mut std::iter::empty());
        assert_eq!(player.stored.participants[0].state, ParticipantState::Connected);
        player.take_log();
        model.calls.clear();
        player.pass(&mut model, true, &mut std::iter::empty());
        assert_eq!(player.take_log().contains(&"dial a@x".to_owned()), dialled, "{others} others were in");
        assert_eq!(player.stored.calls_ended, others, "only that of two was ended for all");
    }
}

// ---------------------------------------------------------------------------------------------- tries in vain

fn refusal(element: &str) -> CmsError {
    CmsError::LimitReached { element: element.to_owned() }
}

#[test]
fn who_is_refused_for_now_blocks_nobody_and_is_tried_again_ever_less_often() {
    let mut model = Model::new(Some(free()), at(0));
    model.refused.insert("a@x".to_owned(), refusal("callBridgeUnavailable"));
    let mut player = Player::new(&["a@x", "b@x"], Start::booked());
    player.spec.participants[0].retry.limit = 0;
    assert_eq!(player.run(&mut model), End::Settled);
    let first = &player.stored.participants[0];
    assert_eq!((first.state, first.attempts, first.vain_tries), (ParticipantState::Waiting, 0, 1));
    assert_eq!(first.reason.as_deref(), Some("callBridgeUnavailable"));
    assert_eq!(player.stored.participants[1].state, ParticipantState::Ringing);
    let dialing = crate::api::find(&player.stored.conditions, "ParticipantsDialed").unwrap();
    assert!(dialing.message.contains("a@x (callBridgeUnavailable)"), "{}", dialing.message);
    // Within an hour: after 20 s, then after 40 s, ..., then every five minutes; it never fails for good.
    player.take_log();
    for _ in 0..350 {
        model.clock = model.clock.checked_add(SignedDuration::from_secs(10)).unwrap();
        player.pass(&mut model, true, &mut std::iter::empty());
    }
    let tries = player.take_log().iter().filter(|line| *line == "dial a@x").count();
    assert!((12..=22).contains(&tries), "{tries} tries");
    model.refused.clear();
    model.clock = at(3590);
    player.stored.participants[0].last_attempt_at = Some(Instant(at(3200)));
    player.pass(&mut model, true, &mut std::iter::empty());
    let first = &player.stored.participants[0];
    assert_eq!((first.state, first.attempts, first.vain_tries), (ParticipantState::Ringing, 1, 0));
}

/// How it looks on a screen is no reason to leave somebody out.
#[test]
fn who_has_a_layout_that_the_bridge_does_not_take_is_dialled_without() {
    let mut model = Model::new(Some(opened()), at(10)).with_call("call", &[]);
    model.refuses_layouts = true;
    let mut player = Player::new(&["a@x", "b@x", "c@x"], Start::running(Some("call")));
    for participant in player.spec.participants.iter_mut().take(2) {
        participant.layout = Some(crate::api::settings::Layout::OnePlusN);
    }
    player.run(&mut model);
    let dials =
        |player: &mut Player| player.take_log().into_iter().filter(|step| step.starts_with("dial")).collect::<Vec<_>>();
    assert_eq!(
        dials(&mut player),
        ["dial a@x", "dial a@x", "dial b@x", "dial c@x"],
        "asked once for all with that layout"
    );
    let states = |player: &Player| player.stored.participants.iter().map(|p| (p.state, p.attempts)).collect::<Vec<_>>();
    assert_eq!(states(&player), [(ParticipantState::Ringing, 1); 3]);
    let told = |player: &Player| {
        let told = crate::api::find(&player.stored.conditions, "SettingsApplied")?;
        Some((told.reason.to_string(), told.message.contains("participants.layout")))
    };
    assert_eq!(told(&player), Some(("UnsupportedSetting".to_owned(), true)));
    // It is told as long as they are there, and forgotten with an edit.
    player.pass(&mut model, true, &mut std::iter::empty());
    assert_eq!(told(&player), Some(("UnsupportedSetting".to_owned(), true)));
    assert_eq!(player.stored.participants[0].reason.as_deref(), Some(participants::LAYOUT_REFUSED));
    let mut progress = player.progress(at(10));
    progress.forget_refused_layouts();
    assert!(!progress.is_any_layout_refused());
    // Whatever else the bridge minds fails them as before.
    let mut player = Player::new(&["a@x"], Start::running(Some("call")));
    player.spec.participants[0].layout = Some(crate::api::settings::Layout::OnePlusN);
    let other = CmsError::ParameterError { parameter: "remoteParty".to_owned(), error: "invalidValue".to_owned() };
    let mut model = Model::new(Some(opened()), at(10)).with_call("call", &[]);
    model.refused.insert("a@x".to_owned(), other);
    player.run(&mut model);
    assert_eq!(states(&player), [(ParticipantState::Failed, 1)]);
}

#[test]
fn who_meets_a_busy_bridge_again_and_again_holds_up_nobody() {
    let mut model = Model::new(Some(opened()), at(10)).with_call("call", &[]);
    model.refused.insert("a@x".to_owned(), CmsError::Busy);
    let mut player = Player::new(&["a@x", "b@x"], Start::running(Some("call")));
    for _ in 0..2 {
        player.pass(&mut model, false, &mut std::iter::empty());
        assert_eq!(player.take_log(), ["look Legs", "dial a@x"], "the bridge may be busy for all");
    }
    player.pass(&mut model, false, &mut std::iter::empty());
    player.pass(&mut model, false, &mut std::iter::empty());
    assert_eq!(player.take_log(), ["look Legs", "dial a@x", "look Legs", "dial b@x"]);
    assert_eq!(player.stored.participants[0].attempts, 0);
}

#[test]
fn a_dial_that_was_lost_before_it_rang_is_no_attempt_and_is_sent_again_at_once() {
    let mut model = Model::new(Some(opened()), at(10)).with_call("call", &[]);
    let mut player = Player::new(&["a@x"], Start::running(Some("call")));
    player.spec.participants[0].retry.limit = 0;
    player.pass(&mut model, false, &mut [Fault::BrokenBefore].into_iter());
    assert_eq!(player.take_log(), ["look Legs", "look Legs", "dial a@x"]);
    let party = &player.stored.participants[0];
    assert_eq!((party.state, party.attempts, party.vain_tries), (ParticipantState::Ringing, 1, 0));
}

#[test]
fn a_dial_that_was_not_answered_counts_also_if_the_database_is_to_blame() {
    let mut model = Model { database_down: true, ..Model::new(Some(opened()), at(10)).with_call("call", &[]) };
    let mut player = Player::new(&["a@x"], Start::running(Some("call")));
    player.pass(&mut model, false, &mut [Fault::LostReply].into_iter());
    assert_eq!(player.stored.participants[0].attempts, 1);
}

#[test]
fn a_dial_that_waited_until_the_meeting_was_over_is_no_attempt_and_no_trouble() {
    let mut model = Model::new(Some(opened()), at(10)).with_call("call", &[]);
    let mut player = Player::new(&["a@x"], Start::running(Some("call")));
    player.pass(&mut model, false, &mut [Fault::Superseded].into_iter());
    let party = &player.stored.participants[0];
    assert_eq!((party.state, party.attempts, party.vain_tries), (ParticipantState::Waiting, 0, 0));
    player.take_log();
    model.clock = at(3600);
    assert_eq!(player.run(&mut model), End::Released);
    assert!(!player.take_log().iter().any(|line| line.starts_with("dial")));
}

#[test]
fn a_bridge_that_breaks_off_every_dial_is_not_dialled_for_ever() {
    let mut model = Model::new(Some(opened()), at(10)).with_call("call", &[]);
    let mut player = Player::new(&["a@x"], Start::running(Some("call")));
    for _ in 0..6 {
        player.pass(&mut model, false, &mut std::iter::repeat(Fault::BrokenBefore));
    }
    let party = &player.stored.participants[0];
    assert_eq!((party.state, party.attempts, party.vain_tries), (ParticipantState::Waiting, 0, 3), "then the back-off");
    assert_eq!(party.reason.as_deref(), Some("ConnectionLost"));
    model.clock = at(120);
    player.run(&mut model);
    assert_eq!(player.stored.participants[0].state, ParticipantState::Ringing);
}

#[test]
fn a_write_whose_connection_broke_is_sent_again_in_the_same_pass() {
    for index in 0..2 {
        for fault in [Fault::BrokenBefore, Fault::BrokenReply] {
            let mut model = Model::new(Some(free()), at(0));
            let mut player = Player::new(&[], Start::booked());
            let mut faults = std::iter::repeat_n(Fault::None, index).chain([fault]);
            assert_eq!(player.pass(&mut model, false, &mut faults), Some(End::Settled), "{fault:?} at {index}");
            assert!(player.is_open() && model.calls_made == 1 && model.wrongs.is_empty(), "{:?}", player.log);
        }
    }
}

#[test]
fn a_reply_that_something_is_missing_ends_no_call() {
    for element in ["callLegProfileDoesNotExist", "callDoesNotExist", "404"] {
        let mut model = Model::new(Some(opened()), at(10)).with_call("call", &["a@x"]);
        model.refused.insert("b@x".to_owned(), CmsError::NotFound { element: element.to_owned() });
        let mut player = Player::new(&["a@x", "b@x", "c@x"], Start::running(Some("call")));
        assert_eq!(player.run(&mut model), End::Settled, "{element}");
        assert_eq!(
            player.take_log(),
            ["look Legs", "dial b@x", "look Calls", "look Legs", "dial b@x", "dial c@x"],
            "the call is there: nobody else is rung for it"
        );
        let states: Vec<_> = player.stored.participants.iter().map(|party| party.state).collect();
        use ParticipantState::{Connected, Ringing, Waiting};
        assert_eq!(states, [Connected, Waiting, Ringing]);
        assert_eq!(player.stored.participants[1].reason.as_deref(), Some(element));
    }
}

// ---------------------------------------------------------------------------------------------- drift and extension

#[test]
fn every_change_by_hand_on_our_space_is_put_back() {
    type Change = fn(&mut Space);
    let table: [(&str, Change); 5] = [
        ("shut", |space| space.non_member_access = Some(false)),
        ("renamed", |space| space.name = "Party".to_owned()),
        ("passcode", |space| space.passcode = None),
        ("secret", |space| space.secret = Some("x".to_owned().into())),
        ("mark", |space| space.cdr_tag = None),
    ];
    for (case, change) in table {
        let mut model = Model::new(Some(opened()), at(10)).with_call("call", &[]);
        change(model.space.as_mut().unwrap());
        let mut player = Player::new(&[], Start::running(Some("call")));
        assert_eq!(player.pass(&mut model, true, &mut std::iter::empty()), Some(End::Settled));
        assert_eq!(player.take_log(), ["open the space"], "{case}");
        player.pass(&mut model, true, &mut std::iter::empty());
        assert!(player.take_log().is_empty(), "{case}: once is enough");
    }
}

/// Each look shows the same change again; the seconds at which it was put back.
fn tug(player: &mut Player, seconds: std::ops::Range<usize>, change: fn(&mut Space)) -> Vec<usize> {
    let mut put_back = Vec::new();
    for second in seconds {
        let mut model = Model::new(Some(opened()), at(second.try_into().unwrap())).with_call("call", &[]);
        player.pass(&mut model, true, &mut std::iter::empty());
        assert!(player.take_log().is_empty(), "as wanted: nothing is written");
        change(model.space.as_mut().unwrap());
        player.pass(&mut model, true, &mut std::iter::empty());
        put_back.extend(player.take_log().into_iter().map(|_| second));
    }
    put_back
}

#[test]
fn a_door_that_others_shut_again_and_again_is_left_to_them_and_told() {
    let mut player = Player::new(&[], Start::running(Some("call")));
    let shut: fn(&mut Space) = |space| space.non_member_access = Some(false);
    assert_eq!(tug(&mut player, 10..60, shut), [10, 11, 12]);
    let told = |player: &Player| crate::api::find(&player.stored.conditions, "SpaceOpen").map(|c| c.reason.to_string());
    assert_eq!(told(&player).as_deref(), Some("TugOfWar"));
    assert_eq!(tug(&mut player, 1810..1815, shut), [1813], "once more after half an hour");
    // Whoever asks for it wants it put right.
    player.asked = Some("again".to_owned());
    assert_eq!(tug(&mut player, 1820..1830, shut), [1820, 1821, 1822]);
    assert_eq!(tug(&mut player, 1830..1831, |_| ()), [0; 0]);
    assert_eq!(told(&player).as_deref(), Some("Open"), "the others gave up");
}

#[test]
fn other_keys_to_an_open_door_are_never_left() {
    let changes: [fn(&mut Space); 2] =
        [|space| space.passcode = None, |space| space.secret = Some("x".to_owned().into())];
    for change in changes {
        let mut player = Player::new(&[], Start::running(Some("call")));
        assert_eq!(tug(&mut player, 10..200, change), [10, 11, 12, 73, 134, 195]);
    }
}

/// Somebody took it away again and again, and the controller was restarted: that is no bridge which shows none.
#[test]
fn what_an_earlier_process_put_back_does_not_prove_that_a_bridge_shows_no_passcodes() {
    let mut player = Player::new(&[], Start::running(Some("call")));
    player.shown_fields = crate::facts::slots::ShownFields::default();
    let repairs = serde_json::json!({ "count": 3, "lastAt": at(0).to_string(), "shown": "OtherKeys", "by": "Unknown" });
    player.stored.door_repairs = serde_json::from_value(repairs).unwrap();
    let mut model = Model::new(Some(Space { passcode: None, ..opened() }), at(70)).with_call("call", &[]);
    player.pass(&mut model, true, &mut std::iter::empty());
    assert!(model.space.unwrap().has_passcode(&PASSCODE.to_owned().into()), "put back");
}

#[test]
fn a_list_item_says_nothing_about_an_open_door() {
    let mut model = Model::new(Some(space("Standup", None, None)), at(10)).with_call("call", &[]);
    let mut player = Player::new(&[], Start::running(Some("call")));
    assert_eq!(player.pass(&mut model, true, &mut std::iter::empty()), Some(End::Settled));
    assert!(player.take_log().is_empty());
}

/// Unless the bridge shows of others that they are shut: then what it leaves out is that this one is open.
#[test]
fn an_open_door_that_is_not_shown_to_be_open_is_put_back_as_well() {
    let mut player = Player::new(&[], Start::running(Some("call")));
    player.shown_fields.shut = true;
    let without = |passcode: Option<&str>| Space {
        non_member_access: None,
        passcode: passcode.map(|passcode| passcode.to_owned().into()),
        ..opened()
    };
    let mut model = Model::new(Some(without(Some(PASSCODE))), at(10)).with_call("call", &[]);
    player.pass(&mut model, true, &mut std::iter::empty());
    assert!(player.take_log().is_empty(), "as wanted");
    model.space = Some(without(None));
    player.pass(&mut model, true, &mut std::iter::empty());
    assert!(model.space.unwrap().has_passcode(&PASSCODE.to_owned().into()), "put back");
}

#[test]
fn a_space_that_vanished_from_a_running_meeting_is_told() {
    let mut player = Player::new(&["a@x"], Start::running(Some("call")));
    let mut model = Model::new(None, at(10)).with_call("call", &[]);
    assert_eq!(player.pass(&mut model, true, &mut std::iter::empty()), Some(End::Blocked(Obstacle::SpaceMissing)));
}

#[test]
fn an_extension_is_one_write() {
    let mut model = Model::new(Some(free()), at(0));
    let mut player = Player::new(&["a@x"], Start::booked());
    player.run(&mut model);
    let before = (model.space.clone().unwrap().secret, model.calls.clone());
    player.take_log();
    player.spec = ScheduledMeetingSpec { duration: None, end: Some(Instant(at(5400))), ..player.spec };
    for swept in [false, true] {
        assert_eq!(player.pass(&mut model, swept, &mut std::iter::empty()), Some(End::Settled));
    }
    assert_eq!(player.take_log(), ["mark the extension on the space"]);
    let secret = |secret: &Option<SecretString>| {
        use secrecy::ExposeSecret;
        secret.as_ref().map(|secret| secret.expose_secret().to_owned())
    };
    assert_eq!(secret(&model.space.unwrap().secret), secret(&before.0));
    assert_eq!(model.calls, before.1);
    model_is_over_at_the_new_end(&mut player);
}

fn model_is_over_at_the_new_end(player: &mut Player) {
    let mut model = Model::new(Some(opened()), at(5399)).with_call("call-1", &["a@x"]);
    player.run(&mut model);
    assert!(player.take_log().is_empty());
    model.clock = at(5400);
    player.run(&mut model);
    assert_eq!(player.take_log()[..2], ["look Mark", "shut the space and give it a new secret"]);
}

// ---------------------------------------------------------------------------------------------- crashes while opening

#[test]
fn an_opening_whose_record_was_lost_is_recorded_by_the_same_write() {
    for fault in [Fault::Crash, Fault::LostReply] {
        let mut model = Model::new(Some(free()), at(0));
        let mut player = Player::new(&[], Start::booked());
        assert_eq!(player.pass(&mut model, false, &mut [fault].into_iter()), None);
        assert!(!player.is_open(), "the door is open, but nobody noted it");
        player.run(&mut model);
        assert!(player.is_open(), "{fault:?}");
    }
}

#[test]
fn what_a_meeting_that_is_gone_left_open_is_cleaned_before_the_next_one_opens() {
    let left = Space { passcode: None, ..space("Yesterday", Some(true), Some(OTHER_MARK)) };
    let mut model = Model::new(Some(left), at(0)).with_call("old", &["stranger@x"]);
    let mut player = Player::new(&["a@x"], Start::booked());
    assert_eq!(player.run(&mut model), End::Settled);
    assert_eq!(
        player.take_log(),
        [
            "look Space",
            "look Calls",
            "delete the call",
            "look Calls",
            "shut the space and give it a new secret",
            "look Space",
            "look Calls",
            "open the space",
            "create the call",
            "dial a@x"
        ]
    );
    assert!(!model.calls.contains_key(&"old".into()), "no stranger gets into the new meeting");
}

// ---------------------------------------------------------------------------------------------------------- closing

/// A status that was restored from elsewhere, or edited by hand, may name any call.
#[test]
fn a_recorded_call_that_is_on_another_space_is_not_ended() {
    let mut model = Model::new(Some(opened()), at(3600)).with_call("call", &["a@x"]);
    let mut player = Player::new(&["a@x"], Start::running(Some("strangers")));
    assert_eq!(player.run(&mut model), End::Released);
    let log = player.take_log();
    assert_eq!(log.iter().filter(|line| *line == "delete the call").count(), 1, "the one on its space: {log:?}");
    assert!(model.calls.is_empty());
}

#[test]
fn where_a_call_is_not_told_by_itself_the_list_of_those_on_the_space_tells() {
    let mut model = Model::new(Some(opened()), at(3600)).with_call("call", &["a@x"]);
    model.tells_no_call = true;
    let mut player = Player::new(&["a@x"], Start::running(Some("call")));
    assert_eq!(player.run(&mut model), End::Released);
    let log = player.take_log();
    assert_eq!(log.iter().filter(|line| *line == "look RecordedCall").count(), 1, "{log:?}");
    assert!(model.calls.is_empty());
}

/// A call that was seen on the space in this pass costs no look more.
#[test]
fn a_call_that_a_sweep_showed_is_ended_at_once() {
    let mut model = Model::new(Some(opened()), at(3600)).with_call("call", &["a@x"]);
    let mut player = Player::new(&["a@x"], Start::running(Some("call")));
    player.pass(&mut model, true, &mut std::iter::empty());
    let log = player.take_log();
    assert!(log.contains(&"delete the call".to_owned()) && !log.contains(&"look RecordedCall".to_owned()), "{log:?}");
}

#[test]
fn closing_shuts_deletes_and_proves() {
    let mut model = Model::new(Some(opened()), at(3600)).with_call("call", &["a@x"]).with_call("late", &["c@x"]);
    let mut player = Player::new(&["a@x"], Start::running(Some("call")));
    assert_eq!(player.run(&mut model), End::Released);
    assert_eq!(
        player.take_log(),
        [
            "look Mark",
            "shut the space and give it a new secret",
            "look RecordedCall",
            "delete the call",
            "look Release",
            "delete the call",
            "look Release"
        ],
        "whose it is, the door, the call that is recorded, then whatever else shows up"
    );
    assert!((player.door == Door::Released) && model.calls.is_empty());
    assert_eq!(player.run(&mut model), End::Released);
    assert!(player.take_log().is_empty());
}

#[test]
fn a_door_that_reads_back_open_is_shut_again() {
    let player = Player::new(&[], Start::running(None));
    let calls = Seen::Known(Vec::new());
    let table: [(&str, Option<Space>, Next); 6] = [
        ("the next meeting's", Some(space("Next", Some(true), Some(OTHER_MARK))), Next::Rest(End::TakenOver)),
        ("still open", Some(opened()), Next::Do(Step::CloseDoor)),
        ("renamed", Some(space("Party", Some(false), None)), Next::Do(Step::CloseDoor)),
        ("listed as renamed", Some(space("Party", None, None)), Next::Do(Step::CloseDoor)),
        ("shut", Some(free()), Next::Rest(End::Released)),
        ("gone", None, Next::Rest(End::Released)),
    ];
    for (case, shown, wanted) in table {
        let facts = MeetingFacts { space: Seen::Known(shown), calls: calls.clone(), ..MeetingFacts::default() };
        let mut shut = player.progress(at(3600));
        (shut.door, shut.tried.mark_seen) = (Door::Shut, true);
        assert_eq!(next(&shut, &facts, &Around::default(), at(3600)), wanted, "{case}");
    }
    let seen_shut = MeetingFacts { space: Seen::Known(Some(free())), calls, ..MeetingFacts::default() };
    assert_eq!(player.ask(&seen_shut, at(3600)), Next::Look(Look::Mark), "what a sweep showed is too old");
    let mut looked = player.progress(at(3600));
    looked.tried.mark_seen = true;
    let shut_anew = next(&looked, &seen_shut, &Around::default(), at(3600));
    assert_eq!(shut_anew, Next::Do(Step::CloseDoor), "a look is no proof of a new secret");
}

/// The controller was away while another one shut the slot and opened the next meeting in it (two controllers), or the
/// meeting is deleted in its last seconds before its opening, while the one before is still in the slot.
#[test]
fn a_slot_that_another_meeting_has_is_not_shut() {
    for start in [Start::running(Some("call")), Start::running(None), Start::intended()] {
        for (leaving, swept) in [(false, false), (false, true), (true, false), (true, true)] {
            let theirs = Space { passcode: None, ..space("Next", Some(true), Some(OTHER_MARK)) };
            let mut model =
                Model::new(Some(theirs), at(3600)).with_call("call", &["c@x"]).with_call("theirs", &["b@x"]);
            let mut player = Player::new(&["a@x"], start.clone());
            player.leaving = leaving;
            assert_eq!(player.pass(&mut model, swept, &mut std::iter::empty()), Some(End::TakenOver));
            assert_eq!(player.take_log(), ["look Mark"]);
            assert_eq!(player.stored.call, None);
            player.pass(&mut model, swept, &mut std::iter::empty());
            assert!(player.take_log().is_empty(), "once and for all");
        }
    }
}

/// Its intent was stored and its door stayed shut (its protection or its passcode was missing, the database was down), so
/// another scheduler took the slot.
#[test]
fn a_stranger_in_the_slot_of_a_meeting_that_never_opened_is_left_alone() {
    let theirs = [
        space("Party", Some(true), None),
        space("Party", Some(false), Some("tms")),
        space("Standup", Some(true), None),
        Space { secret: None, ..space("Party", Some(true), None) },
    ];
    for shown in theirs {
        for (leaving, now) in [(false, at(3600)), (true, at(10))] {
            let mut player = Player::new(&[], Start::intended());
            player.leaving = leaving;
            let mut model = Model::new(Some(shown.clone()), now).with_call("theirs", &["b@x"]);
            assert_eq!(player.run(&mut model), End::TakenOver, "{shown:?}");
            assert_eq!(player.take_log(), ["look Mark"]);
            let left = model.space.unwrap();
            assert_eq!((left.name, left.non_member_access), (shown.name.clone(), shown.non_member_access));
            assert_eq!(model.calls.len(), 1, "nobody is thrown out");
        }
    }
    // What our own write may have left is shut, whether the bridge shows marks or not.
    for ours in [opened(), Space { cdr_tag: None, ..opened() }] {
        let mut player = Player::new(&[], Start::intended());
        let mut model = Model::new(Some(ours), at(3600));
        assert_eq!(player.run(&mut model), End::Released);
        assert_eq!(model.space.unwrap().non_member_access, Some(false));
    }
    // After a restart the secret is not at hand; then the title tells.
    let player = Player::new(&[], Start::intended());
    let mut progress = player.progress(at(3600));
    (progress.secrets, progress.tried.mark_seen) = (None, true);
    let open = Seen::Known(Some(Space { cdr_tag: None, ..opened() }));
    let facts = MeetingFacts { space: open, ..MeetingFacts::default() };
    assert_eq!(next(&progress, &facts, &Around::default(), at(3600)), Next::Do(Step::CloseDoor));
}

/// Our closing write was done, and the controller died, or the call could not be deleted; or the status came from a backup.
/// Meanwhile another scheduler took the free slot.
#[test]
fn a_stranger_in_the_slot_that_was_shut_before_is_left_alone() {
    for theirs in [space("Theirs", Some(true), None), space("Theirs", Some(true), Some("tms"))] {
        for secrets_at_hand in [true, false] {
            let player = Player::new(&[], Start::running(Some("call")));
            for door in [Door::Open, Door::Shut] {
                let mut progress = player.progress(at(3600));
                (progress.door, progress.tried.mark_seen, progress.is_edited) = (door, true, false);
                if !secrets_at_hand {
                    progress.secrets = None;
                }
                let (id, space) = ("theirs".into(), Some("space-1".into()));
                let call = Call { id, space, correlator: None, duration: None };
                let calls = Seen::Known(vec![PlacedCall { call_bridge: here("").call_bridge, call, began: None }]);
                let facts = MeetingFacts { space: Seen::Known(Some(theirs.clone())), calls, ..MeetingFacts::default() };
                let wanted = Next::Rest(End::TakenOver);
                assert_eq!(next(&progress, &facts, &Around::default(), at(3600)), wanted, "{theirs:?} {door:?}");
            }
        }
    }
    // The deletion of the call fails, and TMS comes into the slot before the next pass.
    let mut player = Player::new(&[], Start::running(Some("call")));
    let mut model = Model::new(Some(opened()), at(3600)).with_call("call", &["a@x"]);
    model.denies = Some(("delete the call", CmsError::Busy));
    player.pass(&mut model, false, &mut std::iter::empty());
    assert_eq!(player.stored.phase, Some(Phase::Closing));
    model.denies = None;
    model.space = Some(space("Theirs", Some(true), None));
    let mut model = model.with_call("theirs", &["b@x"]);
    assert_eq!(player.run(&mut model), End::TakenOver);
    assert_eq!(model.space.as_ref().unwrap().non_member_access, Some(true));
    assert!(model.calls.contains_key(&"theirs".into()), "nobody is thrown out");
    // What a hand changed of ours is still ours.
    let by_hand = [
        space("Party", Some(true), Some(MARK)),
        space("Standup", Some(true), None),
        // As it was shut, and opened again: nobody else's name is on it.
        space(PLACEHOLDER, Some(true), None),
        // Cut off, and without the blank at its end, as a bridge may show it that shows no marks.
        Space { secret: None, ..space("Stand", Some(true), None) },
        Space { secret: Some(SECRET.to_owned().into()), ..space("Party", Some(true), None) },
    ];
    for shown in by_hand {
        let mut player = Player::new(&[], Start::running(None));
        let mut model = Model::new(Some(shown.clone()), at(3600));
        assert_eq!(player.run(&mut model), End::Released, "{shown:?}");
        assert_eq!(model.space.unwrap().non_member_access, Some(false), "{shown:?}");
    }
}

/// Title and end were edited together, the controller was restarted, and the bridge shows neither marks nor secrets.
#[test]
fn a_door_under_its_old_title_is_shut_after_an_edit() {
    let player = Player::new(&[], Start::running(None));
    let mut progress = player.progress(at(3600));
    (progress.secrets, progress.tried.mark_seen, progress.is_edited) = (None, true, true);
    let open = Seen::Known(Some(Space { secret: None, ..space("Before the edit", Some(true), None) }));
    let facts = MeetingFacts { space: open, ..MeetingFacts::default() };
    assert_eq!(next(&progress, &facts, &Around::default(), at(3600)), Next::Do(Step::CloseDoor));
}

/// Some bridges show no marks.
#[test]
fn an_opening_whose_reply_was_lost_is_recognised_by_its_secret() {
    let mut player = Player::new(&[], Start::intended());
    let mut model = Model::new(Some(Space { cdr_tag: None, ..opened() }), at(0));
    assert_eq!(player.run(&mut model), End::Settled);
    assert_eq!(player.stored.phase, Some(Phase::Active));
}

#[test]
fn a_reply_that_there_is_nothing_to_shut_proves_nothing() {
    let gone = || CmsError::NotFound { element: "404".to_owned() };
    let mut player = Player::new(&[], Start::running(None));
    let mut model = Model::new(Some(opened()), at(3600));
    model.denies = Some(("shut", gone()));
    player.pass(&mut model, false, &mut std::iter::empty());
    assert_eq!(player.stored.phase, Some(Phase::Closing), "it is still open");
    assert!(crate::api::find(&player.stored.conditions, "SlotReleased").is_none_or(|told| told.status != "True"));
    model.denies = None;
    assert_eq!(player.run(&mut model), End::Released);
    assert_eq!(model.space.unwrap().non_member_access, Some(false));
    let mut model = Model::new(None, at(3600));
    let mut player = Player::new(&[], Start::running(None));
    assert_eq!(player.run(&mut model), End::Released, "a look shows that it is gone");
}

/// A bare status, or a failure of the server: nobody said what is wrong with the participant.
#[test]
fn a_refusal_without_a_word_is_one_try() {
    let inner = CmsError::Rejected { element: "internalError".to_owned(), status: 500 };
    let empty = CmsError::Rejected { element: "failureDetails".to_owned(), status: 400 };
    for error in [CmsError::HttpError { status: 400 }, empty, inner] {
        let mut player = Player::new(&["a@x"], Start::running(Some("call")));
        let mut model = Model::new(Some(opened()), at(10)).with_call("call", &[]);
        model.denies = Some(("dial", error.clone()));
        player.pass(&mut model, true, &mut std::iter::empty());
        let told = player.stored.participants[0].clone();
        assert_eq!((told.state, told.attempts), (ParticipantState::Waiting, 1), "{error}");
        model.clock = at(31);
        player.pass(&mut model, true, &mut std::iter::empty());
        model.clock = at(52);
        player.pass(&mut model, true, &mut std::iter::empty());
        assert_eq!(player.stored.participants[0].state, ParticipantState::Failed, "{error}: two more, and no end");
        assert_eq!(player.take_log().iter().filter(|line| line.starts_with("dial")).count(), 3, "{error}");
    }
    // What the bridge does not accept, it does not accept.
    let mut player = Player::new(&["a@x"], Start::running(Some("call")));
    let mut model = Model::new(Some(opened()), at(10)).with_call("call", &[]);
    model.denies =
        Some(("dial", CmsError::ParameterError { parameter: "remoteParty".to_owned(), error: "invalid".to_owned() }));
    player.pass(&mut model, true, &mut std::iter::empty());
    assert_eq!(player.stored.participants[0].state, ParticipantState::Failed);
}

/// A sweep reads legs and calls one after the other, and a space that is deleted takes both: the legs may be seen gone first.
#[test]
fn who_is_gone_with_the_call_has_not_left() {
    let party = serde_json::json!([{ "remoteParty": "a@x", "state": "Connected", "attempts": 1, "legID": "leg" }]);
    for (is_there, wanted) in [(true, ParticipantState::Left), (false, ParticipantState::Waiting)] {
        let mut player = Player::new(&["a@x"], Start::running(Some("call")));
        player.stored.participants = serde_json::from_value(party.clone()).unwrap();
        let mut progress = player.progress(at(60));
        progress.call_bridge = Some(here("").call_bridge);
        let (id, space) = ("call".into(), Some("space-1".into()));
        let call = Call { id, space, correlator: None, duration: None };
        let calls = vec![PlacedCall { call_bridge: here("").call_bridge, call, began: None }];
        let legs = Seen::Known(SeenLegs { at: at(59), legs: Vec::new() });
        let mut facts = MeetingFacts { calls: Seen::Known(calls.clone()), legs, ..MeetingFacts::default() };
        let ask = |progress: &mut Progress, facts: &mut MeetingFacts| {
            crate::plan::Subject::next(progress, facts, &Around::default(), at(60))
        };
        assert_eq!(ask(&mut progress, &mut facts), Next::Look(Look::Calls));
        assert_eq!(progress.draft.participants[0].state, ParticipantState::Connected);
        facts.calls = Seen::Known(if is_there { calls } else { Vec::new() });
        facts.booted = Seen::Known(None);
        ask(&mut progress, &mut facts);
        assert_eq!(progress.draft.participants[0].state, wanted);
    }
}

/// The call ended with its last leg or with the door, and the bridge says whatever it likes to its deletion.
#[test]
fn a_call_that_is_gone_holds_back_no_slot_whatever_is_said_to_its_deletion() {
    let invalid = CmsError::ParameterError { parameter: "call".to_owned(), error: "invalidValue".to_owned() };
    for error in [invalid, CmsError::NotFound { element: "404".to_owned() }] {
        let mut player = Player::new(&[], Start::running(Some("call")));
        let mut model = Model::new(Some(opened()), at(3600));
        model.denies = Some(("delete the call", error.clone()));
        assert_eq!(player.run(&mut model), End::Released, "{error}");
        let mut player = Player::new(&[], Start::running(Some("call")));
        let mut model = Model::new(Some(opened()), at(3600)).with_call("call", &["a@x"]);
        model.denies = Some(("delete the call", error.clone()));
        player.pass(&mut model, false, &mut std::iter::empty());
        assert_eq!(player.stored.phase, Some(Phase::Closing), "{error}: it is still there");
        assert_eq!(player.take_log().iter().filter(|step| step.starts_with("delete the call")).count(), 2, "{error}");
    }
}

#[test]
fn who_has_come_in_by_himself_is_not_rung() {
    let mut player = Player::new(&["A@x", "b@x"], Start::running(Some("call")));
    let leg = SeenLeg {
        direction: Some(crate::cms::Direction::Incoming),
        ..in_at("sip:a@x;transport=tls", LegState::Connected)
    };
    let seen = SeenLegs { at: at(9), legs: vec![leg] };
    let outgoing = true;
    player.stored.participants = participants::update(&player.spec, &[], Some(&seen), None, outgoing);
    let states: Vec<_> = player.stored.participants.iter().map(|status| status.state).collect();
    assert_eq!(states, [ParticipantState::Connected, ParticipantState::Waiting]);
    let due = participants::to_dial(&player.spec, &player.stored.participants, at(0), at(10));
    assert_eq!(due.map(|party| party.remote_party.as_str()), Some("b@x"));
}

#[test]
fn a_meeting_that_never_opened_costs_nothing() {
    for (leaving, now) in [(true, at(-9999)), (true, at(0)), (false, at(3600))] {
        let mut player = Player::new(&["a@x"], Start::booked());
        player.leaving = leaving;
        assert_eq!(player.run(&mut Model::new(Some(free()), now)), End::Released);
        assert!(player.take_log().is_empty());
    }
}

#[test]
fn leaving_closes_at_any_time_even_when_suspended() {
    for now in [at(-300), at(10), at(9999)] {
        let mut player = Player::new(&[], Start::running(Some("call")));
        (player.leaving, player.suspended) = (true, true);
        let mut model = Model::new(Some(opened()), now).with_call("call", &[]);
        assert_eq!(player.run(&mut model), End::Released);
        assert!((player.door == Door::Released) && model.calls.is_empty());
    }
}

#[test]
fn suspended_meetings_are_left_as_they_are() {
    for (facts, now, wanted) in [
        (Start::running(Some("call")), at(10), End::Blocked(Obstacle::Suspended)),
        (Start::running(Some("call")), at(3600), End::Blocked(Obstacle::Suspended)),
        (Start::booked(), at(0), End::Blocked(Obstacle::Suspended)),
        (Start::booked(), at(3600), End::Released),
        (Start::released(), at(3600), End::Released),
    ] {
        let mut player = Player::new(&["a@x"], facts);
        player.suspended = true;
        assert_eq!(player.run(&mut Model::new(Some(space("Party", Some(true), None)), now)), wanted);
        assert!(player.take_log().is_empty());
    }
}

/// The reach of a bridge that has nothing to do, with a clock that goes on whenever it is asked.
struct Ticking {
    times: std::vec::IntoIter<Timestamp>,
    facts: MeetingFacts,
}

impl Reach<Progress> for Ticking {
    type Abort = ();

    fn now(&self) -> Timestamp {
        self.times.as_slice()[0]
    }
    fn survey(&mut self, _: &Progress, _: Timestamp) -> Survey {
        Survey { call_bridge: here("").call_bridge, lost: None, is_evacuated: false, facts: self.facts.clone() }
    }
    fn around(&mut self, _: &Progress, _: Timestamp) -> Around {
        // The decision is about to be made, and the clock goes on.
        self.times.next();
        Around::default()
    }
    fn with_facts<T>(&mut self, use_facts: impl FnOnce(&mut MeetingFacts) -> T) -> T {
        use_facts(&mut self.facts)
    }
    async fn look(&mut self, _: &Progress, look: &Look, _: Timestamp) -> Result<Found, Verdict> {
        panic!("{look:?}")
    }
    async fn act(&mut self, _: &Progress, step: &Step, _: Timestamp) -> Result<(Effect, Timestamp), Verdict> {
        panic!("{step}")
    }
    async fn record(&mut self, _: &Progress) -> Result<(), ()> {
        Ok(())
    }
}

#[test]
fn the_end_that_falls_within_a_turn_is_not_taken_for_proof() {
    let player = Player::new(&[], Start::running(Some("call")));
    let model = Model::new(Some(opened()), at(3599)).with_call("call", &[]);
    let mut progress = player.progress(at(3599));
    let facts = MeetingFacts {
        space: Seen::Known(model.space.clone()),
        calls: Seen::Known(model.seen_calls()),
        ..MeetingFacts::default()
    };
    // Open and settled at the reading for the decision; every later reading is after the end.
    let mut reach = Ticking { times: vec![at(3599), at(3600)].into_iter(), facts };
    futures::executor::block_on(drive(&mut progress, &mut reach)).unwrap();
    assert_eq!(progress.door, Door::Open, "nobody shut it");
    let status = crate::status::meeting::build(&progress, &player.stored, Some(1), at(3600));
    assert_eq!(status.phase, Some(Phase::Closing));
}

// ------------------------------------------------------------------------------------------------ a lost call bridge

fn in_at(party: &str, state: LegState) -> SeenLeg {
    SeenLeg {
        id: "participant-1".into(),
        remote_party: party.to_owned(),
        original_remote_party: None,
        state: Some(state),
        direction: None,
        is_named: true,
        was_answered: false,
    }
}

/// A running meeting whose call bridge was just lost: its call is given up, `parties` were connected through it.
fn bereft(parties: &[&str]) -> Player {
    let mut player = Player::new(parties, Start::running(None));
    player.stored.participants = participants::update(&player.spec, &[], None, None, true);
    for status in &mut player.stored.participants {
        (status.state, status.attempts, status.leg_id) = (ParticipantState::Connected, 1, Some("old".to_owned()));
    }
    participants::after_call_lost(&mut player.stored.participants, Some("lost.test:445"));
    player
}

#[test]
fn who_is_still_in_through_a_lost_bridge_is_not_dialled_again() {
    let mut model = Model::new(Some(opened()), at(10));
    let mut player = bereft(&["a@x", "b@x"]);
    player.on_lost_bridge.legs = vec![in_at("sip:A@x", LegState::Connected)];
    assert_eq!(player.run(&mut model), End::Settled);
    assert_eq!(player.take_log(), ["look Calls", "create the call", "look OnLostBridge", "dial b@x"]);
    let states: Vec<_> = player.stored.participants.iter().map(|p| (p.state, p.call_bridge.is_some())).collect();
    assert_eq!(states, [(ParticipantState::Connected, true), (ParticipantState::Ringing, false)]);
    // As long as they are, each pass that could dial asks again; then they are dialled.
    player.on_lost_bridge.legs.clear();
    assert_eq!(player.run(&mut model), End::Settled);
    assert_eq!(player.take_log(), ["look OnLostBridge", "look Legs", "dial a@x"]);
}

#[test]
fn who_still_rings_there_is_not_rung_here() {
    let mut model = Model::new(Some(opened()), at(10));
    let mut player = bereft(&["a@x"]);
    player.on_lost_bridge.legs = vec![in_at("a@x", LegState::Ringing)];
    assert_eq!(player.run(&mut model), End::Settled);
    assert_eq!(player.take_log(), ["look Calls", "create the call", "look OnLostBridge"]);
    assert_eq!(player.stored.participants[0].state, ParticipantState::Ringing);
}

#[test]
fn who_leaves_a_call_bridge_that_is_back_is_left_alone() {
    let mut model = Model::new(Some(opened()), at(10)).with_call("call-2", &[]);
    let mut player = bereft(&["a@x"]);
    player.stored.call = Start::running(Some("call-2")).0.call;
    player.on_lost_bridge.recovered_with_call = vec!["lost.test:445".parse().unwrap()];
    assert_eq!(player.run(&mut model), End::Settled);
    assert_eq!(player.take_log(), ["look OnLostBridge"]);
    assert_eq!(player.stored.participants[0].state, ParticipantState::Left);
}

#[test]
fn a_crash_before_the_question_does_not_lose_it() {
    let mut model = Model::new(Some(opened()), at(10));
    let mut player = bereft(&["a@x"]);
    player.on_lost_bridge.legs = vec![in_at("a@x", LegState::Connected)];
    assert!(player.pass(&mut model, false, &mut [Fault::Crash].into_iter()).is_none());
    player.take_log();
    assert_eq!(player.run(&mut model), End::Settled);
    assert_eq!(player.take_log(), ["look Calls", "look OnLostBridge"], "the call is adopted, nobody is dialled");
}

#[test]
fn a_meeting_that_is_to_be_left_alone_is_blocked() {
    let mut model = Model::new(Some(opened()), at(10));
    let mut player = Player::new(&["a@x"], Start::running(Some("call-1")));
    player.left_alone = true;
    assert_eq!(player.run(&mut model), End::Blocked(Obstacle::CallBridgeLost));
    assert!(player.take_log().is_empty());
    player.leaving = true;
    player.stored.call = None;
    assert_eq!(player.run(&mut model), End::Released, "the end is the end all the same");
}

#[test]
fn an_empty_call_that_was_left_behind_is_removed_once_the_meeting_has_its_own() {
    let mut player = Player::new(&[], Start::running(Some("call-1")));
    let call = Call { id: "call-0".into(), space: None, correlator: None, duration: None };
    let placed = PlacedCall { call_bridge: "lost.test:445".parse().unwrap(), call, began: Some(at(1)) };
    let orphan = |is_empty, began, is_evacuated| {
        let orphan = OrphanCall { call: PlacedCall { began, ..placed.clone() }, is_empty, is_evacuated };
        MeetingFacts { orphan_calls: vec![orphan], ..MeetingFacts::default() }
    };
    let left = |is_empty, began| orphan(is_empty, began, false);
    let gone = Next::Do(Step::DeleteCall(placed.at()));
    assert_eq!(player.ask(&left(true, Some(at(1))), at(10)), gone);
    assert_eq!(player.ask(&left(false, Some(at(1))), at(10)), Next::Rest(End::Settled), "its people stay");
    assert_eq!(player.ask(&left(false, None), at(10)), Next::Rest(End::Settled));
    assert_eq!(player.ask(&left(false, Some(at(-6000))), at(10)), gone, "people of an earlier meeting");
    assert_eq!(player.ask(&orphan(false, Some(at(1)), true), at(10)), gone, "its people are called from here");
    player.stored.call = None;
    assert_eq!(player.ask(&left(true, None), at(10)), Next::Look(Look::Calls));
}

#[test]
fn a_call_that_an_earlier_meeting_left_is_not_adopted() {
    let mut model = Model::new(Some(free()), at(0)).with_call("old", &["stranger@x"]);
    model.began = Some(at(-600));
    let mut player = Player::new(&[], Start::booked());
    assert!(player.pass(&mut model, false, &mut std::iter::empty()).is_some());
    let log = player.take_log();
    assert_eq!(log[..4], ["look Space", "open the space", "look Calls", "delete the call"]);
    assert!(!model.calls.contains_key(&CallId::from("old")));
    // One that began with this meeting is: its reply was lost, or somebody was quick.
    let mut model = Model::new(Some(free()), at(0)).with_call("quick", &[]);
    model.began = Some(at(0));
    let mut player = Player::new(&[], Start::booked());
    assert_eq!(player.run(&mut model), End::Settled);
    assert_eq!(player.call(), Some(here("quick")));
}

#[test]
fn the_door_stays_shut_until_the_join_details_are_written() {
    for now in [at(-305), at(0)] {
        let mut player = Player::new(&["a@x"], Start::booked());
        player.unwritten = Some(Problem {
            part: Part::Door,
            reason: reason::JOIN_SECRET_REFUSED,
            message: "m".into(),
            is_permanent: true,
        });
        let mut model = Model::new(Some(free()), now);
        assert_eq!(player.run(&mut model), End::Blocked(Obstacle::DetailsUnwritten));
        assert!(player.take_log().is_empty(), "not even a look");
        let mut lucky = Model::new(Some(free()), now);
        player.secrets_stored = true;
        assert_eq!(player.run(&mut lucky), End::Settled, "an old invitation keeps nobody out");
        player.secrets_stored = false;
        player.unwritten = None;
        assert_eq!(player.run(&mut model), End::Settled);
    }
}

// ------------------------------------------------------------------------------------------ moved starts, odd clocks

#[test]
fn a_moved_start_shuts_the_door_once_nobody_is_seen_in() {
    let shut = ["look Mark", "shut the space and give it a new secret", "delete the call", "look Release"];
    let mut player = Player::new(&["a@x", "b@x"], Start::running(Some("call")));
    player.spec.start = Instant(at(86_400));
    let mut model = Model::new(Some(opened()), at(600)).with_call("call", &["c@x"]);
    assert_eq!(player.run(&mut model), End::Settled);
    assert_eq!(player.take_log(), ["look Legs"], "somebody is in, and nobody is rung for another time");
    assert_eq!(player.stored.phase, Some(Phase::Active));
    let shown = crate::api::find(&player.stored.conditions, "Ready").map(|ready| ready.reason.to_string());
    assert_eq!(shown.as_deref(), Some("StartMoved"));

    let mut back = Player::new(&["a@x"], Start(player.stored.clone()));
    assert_eq!(back.run(&mut model.clone()), End::Settled);
    assert_eq!(back.take_log(), ["look Legs", "dial a@x"], "moved back: as if nothing had been");

    // A sweep shows who is in; that nobody is must be seen now.
    player.pass(&mut model, true, &mut std::iter::empty());
    assert!(player.take_log().is_empty());
    model.calls.values_mut().for_each(Vec::clear);
    player.pass(&mut model, true, &mut std::iter::empty());
    let log = player.take_log();
    assert_eq!(log[0], "look Legs");
    assert!(log.ends_with(&shut.map(str::to_owned)), "{log:?}");
    assert_eq!(player.door, Door::Released);
}

#[test]
fn whoever_waits_for_the_moved_start_stays_in() {
    let mut player = Player::new(&[], Start::running(Some("call")));
    (player.spec.start, player.spec.early_join) = (Instant(at(1200)), None);
    let mut model = Model::new(Some(opened()), at(600)).with_call("call", &["c@x"]);
    player.pass(&mut model, true, &mut std::iter::empty());
    assert_eq!(player.progress(at(600)).next_instant(at(600)), Some(at(1200)), "then the end may move");
    model.clock = at(1200);
    player.pass(&mut model, true, &mut std::iter::empty());
    assert_eq!(player.stored.window.map(|window| window.closes_at.0), Some(at(4800)));
    assert_eq!(player.take_log(), ["mark the extension on the space"]);
}

#[test]
fn a_clock_that_steps_back_throws_nobody_out() {
    for now in [at(-301), at(-100_000)] {
        let mut player = Player::new(&["a@x"], Start::running(Some("call")));
        let mut model = Model::new(Some(opened()), now).with_call("call", &["c@x"]);
        player.pass(&mut model, true, &mut std::iter::empty());
        assert_eq!(player.stored.phase, Some(Phase::Active));
        assert!(player.take_log().is_empty(), "and nobody is dialled before the start");
    }
}

/// The clock was a day ahead for a moment, and put back: nobody ever waited for that door.
#[test]
fn what_was_missed_while_the_clock_was_ahead_is_still_to_come() {
    for (phase, opened, wanted) in [("Missed", None, true), ("Ended", None, true), ("Ended", Some(at(-300)), false)] {
        let status = serde_json::json!({ "phase": phase, "openedAt": opened, "endedAt": at(86_400) });
        let player = Player::new(&[], Start::with(status));
        assert_eq!(player.progress(at(-3600)).door == Door::Untouched, wanted, "{phase} {opened:?}");
    }
    let late = Player::new(&[], Start::with(serde_json::json!({ "phase": "Missed", "endedAt": at(3600) })));
    assert_eq!(late.progress(at(3599)).door, Door::Released, "a second is no leap");
}

#[test]
fn only_an_edit_gives_a_new_life() {
    let hour = |status: serde_json::Value| Player::new(&[], Start::with(status));
    let ended = || hour(serde_json::json!({ "phase": "Ended", "openedAt": at(-300), "endedAt": at(3600) }));
    let mut unbooked = hour(serde_json::json!({ "phase": "Missed", "observedGeneration": 1 }));
    unbooked.stored.window = None;
    let mut edited = unbooked.stored.clone();
    edited.observed_generation = Some(0);
    let longer = |mut player: Player| {
        player.spec.duration = Some(crate::api::values::Span::from_secs(7200));
        player
    };
    let cut = hour(serde_json::json!({ "phase": "Ended", "openedAt": at(-300), "endedAt": at(60) }));
    let refused = |until: i64| {
        let mut player = longer(ended());
        let until = crate::plan::window::Window { closes_at: at(until), ..player.progress(at(0)).window };
        player.stored.refused_window = Some(until.into());
        player
    };
    let table = [
        ("the clock is behind", ended(), false),
        ("never booked, the clock is behind", unbooked, false),
        ("never booked, edited", Player::new(&[], Start(edited)), true),
        ("a later end", longer(ended()), true),
        ("its bridge went", cut, true),
        ("the end that was refused", refused(7200), false),
        ("another end than the one refused", refused(5000), true),
    ];
    for (case, player, wanted) in table {
        let progress = player.progress(at(120));
        assert_eq!(progress.door == Door::Untouched, wanted, "{case}");
        assert_eq!(progress.is_closing(at(120)), !wanted, "{case}");
        assert!(player.progress(at(7200)).is_closing(at(7200)), "{case}");
    }
}

/// Whoever dials the slot's number would not get there.
#[test]
fn a_slot_that_got_another_number_is_not_opened() {
    let other = Space { uri: Some("9".to_owned()), call_id: Some("9".to_owned()), ..free() };
    for (now, start) in [(at(-305), Start::booked()), (at(0), Start::booked()), (at(0), Start::intended())] {
        let mut model = Model::new(Some(other.clone()), now);
        let mut player = Player::new(&["a@x"], start);
        assert_eq!(player.run(&mut model), End::Blocked(Obstacle::Foreign));
        assert_eq!(model.space.as_ref().and_then(|space| space.non_member_access), Some(false));
    }
}
