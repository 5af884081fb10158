//! Properties: whatever fails and whoever interferes, the end is as wanted.

use proptest::prelude::*;

use super::*;
use crate::facts::slots::is_foreign;
use crate::plan::faults::any_fault;

fn any_space() -> impl Strategy<Value = Option<Space>> {
    let name = prop::sample::select(vec![PLACEHOLDER, "Standup", "Party"]);
    let tag = prop::sample::select(vec![None, Some(MARK), Some(OTHER_MARK), Some(STRANGE_MARK), Some("tms")]);
    let secret = prop::sample::select(vec![SECRET, "x"]);
    let passcode = prop::sample::select(vec![None, Some(PASSCODE), Some("1")]);
    prop::option::weighted(
        0.9,
        (name, any::<bool>(), tag, secret, passcode).prop_map(|(name, open, tag, secret, passcode)| Space {
            secret: Some(secret.to_owned().into()),
            passcode: passcode.map(|passcode| passcode.to_owned().into()),
            ..space(name, Some(open), tag)
        }),
    )
}

/// What others do while nobody of us looks.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant)] // Few are made, in tests only.
enum Event {
    Answer(usize),
    HangUp(usize),
    CallEnds,
    HandEdit(Option<Space>),
    Wait(i64),
}

fn any_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        (0_usize..3).prop_map(Event::Answer),
        (0_usize..3).prop_map(Event::HangUp),
        Just(Event::CallEnds),
        any_space().prop_filter("the space stays", Option::is_some).prop_map(Event::HandEdit),
        (1_i64..60).prop_map(Event::Wait),
    ]
}

fn happen(event: Event, model: &mut Model, may_edit: bool) {
    let legs = || ["a@x", "b@x", "c@x"];
    match event {
        Event::Answer(index) => {
            for leg in model.calls.values_mut().flatten().filter(|leg| leg.1 == legs()[index]) {
                leg.2 = true;
            }
        }
        Event::HangUp(index) => {
            for call in model.calls.values_mut() {
                call.retain(|leg| leg.1 != legs()[index]);
            }
        }
        Event::CallEnds => model.calls.clear(),
        Event::HandEdit(space) if may_edit => model.space = space,
        Event::HandEdit(_) => {}
        Event::Wait(secs) => model.clock = model.clock.checked_add(SignedDuration::from_secs(secs)).unwrap(),
    }
}

fn is_as_wanted(model: &Model) -> bool {
    let Some(shown) = &model.space else { return false };
    shown.non_member_access == Some(true)
        && shown.name == "Standup"
        && shown.cdr_tag.as_deref() == Some(MARK)
        && shown.has_secret(&SECRET.to_owned().into())
        && shown.has_passcode(&PASSCODE.to_owned().into())
}

fn is_shut(model: &Model) -> bool {
    let shut = |shown: &Space| {
        shown.non_member_access == Some(false)
            && shown.name == PLACEHOLDER
            && shown.cdr_tag.is_none()
            && !shown.has_secret(&SECRET.to_owned().into())
    };
    model.calls.is_empty() && model.space.as_ref().is_none_or(shut)
}

/// Is it somebody else's, as far as it shows? What has our secret was opened by us.
fn is_strangers(shown: &Space) -> bool {
    let has_our_secret = shown.cdr_tag.is_none() && shown.has_secret(&SECRET.to_owned().into());
    is_foreign(shown, PLACEHOLDER, &Marks::default()) && !has_our_secret
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    /// Whatever crashes and whichever reply is lost, whoever answers, hangs up or edits: door, call and legs come to be
    /// as wanted, without a second call and without a second ring; then nothing more is done.
    #[test]
    fn a_meeting_opens_once_whatever_fails(
        faults in prop::collection::vec(any_fault(1), 0..12),
        passes in prop::collection::vec((any::<bool>(), prop::option::of(any_event())), 0..12),
    ) {
        let mut model = Model::new(Some(free()), at(0));
        let mut player = Player::new(&["a@x", "b@x", "c@x"], Start::booked());
        let mut faults = faults.into_iter();
        // More ends of the call are taken at their word.
        let mut ends = 2;
        for (swept, event) in passes {
            player.pass(&mut model, swept, &mut faults);
            if matches!(event, Some(Event::CallEnds)) {
                ends -= 1;
            }
            if let Some(event) = event.filter(|event| ends >= 0 || !matches!(event, Event::CallEnds)) {
                let may_edit = player.is_open();
                happen(event, &mut model, may_edit);
            }
        }
        // What others change again and again is left to them until somebody asks for it.
        player.asked = Some("now".to_owned());
        for _ in 0..3 {
            prop_assert_eq!(player.pass(&mut model, true, &mut std::iter::empty()), Some(End::Settled));
        }
        prop_assert!(model.wrongs.is_empty(), "{:?}", model.wrongs);
        prop_assert!(is_as_wanted(&model), "{:?}", model.space);
        prop_assert_eq!(model.calls.len(), 1);
        prop_assert!(player.is_open() && player.call().is_some_and(|call| model.calls.contains_key(&call.id)));
        for status in &player.stored.participants {
            let there = model.calls.values().flatten().any(|leg| leg.1 == status.remote_party);
            let wanted = match status.state {
                // Without an answer so far, and the bridge has a few seconds.
                ParticipantState::Ringing if status.leg_id.is_none() && status.reason.is_some() => true,
                ParticipantState::Ringing | ParticipantState::Connected => there,
                // Rang in vain; the next try waits for its back-off.
                ParticipantState::Waiting => !there && status.attempts + status.vain_tries > 0,
                ParticipantState::Left | ParticipantState::Failed => !there,
                ParticipantState::NotDialed | ParticipantState::Removed => false,
            };
            prop_assert!(wanted, "{status:?}");
        }
        player.take_log();
        player.pass(&mut model, true, &mut std::iter::empty());
        prop_assert!(player.log.is_empty(), "a settled meeting wants {:?}", player.log);
    }

    /// Without events from outside there is exactly one call and one ring for each, at whichever writes it crashes.
    #[test]
    fn each_call_and_each_ring_happens_once(
        faults in prop::collection::vec(any_fault(1), 0..12),
        swept in prop::collection::vec(any::<bool>(), 16),
    ) {
        let mut model = Model::new(Some(free()), at(0));
        let mut player = Player::new(&["a@x", "b@x"], Start::booked());
        let mut faults = faults.into_iter();
        for swept in swept {
            player.pass(&mut model, swept, &mut faults);
            // Longer than any back-off: what was broken off again and again is tried once more.
            model.clock = model.clock.checked_add(SignedDuration::from_secs(90)).unwrap();
        }
        prop_assert!(model.wrongs.is_empty(), "{:?}", model.wrongs);
        prop_assert_eq!(model.calls_made, 1);
        prop_assert_eq!(model.calls.values().flatten().count(), 2);
        prop_assert!(player.stored.participants.iter().all(|status| status.attempts == 1));
    }

    /// From any state of the slot: a foreign one is not touched, any other is opened, and nobody of an earlier meeting
    /// is in the new one.
    #[test]
    fn any_slot_is_opened_or_left_alone(
        shown in any_space(), old_call in any::<bool>(), swept in any::<bool>(),
        fault in any_fault(1), index in 0_usize..6,
    ) {
        let stale = shown.as_ref().is_some_and(|shown| shown.cdr_tag.as_deref() == Some(OTHER_MARK));
        let foreign = shown.as_ref().is_some_and(is_strangers);
        let mut model = Model::new(shown.clone(), at(0));
        if old_call {
            model = model.with_call("old", &["stranger@x"]);
        }
        let mut player = Player::new(&["a@x"], Start::booked());
        let mut faults = std::iter::repeat_n(Fault::None, index).chain([fault]);
        player.pass(&mut model, swept, &mut faults);
        let end = player.pass(&mut model, swept, &mut std::iter::empty());
        if shown.is_none() {
            prop_assert_eq!(end, Some(End::Blocked(Obstacle::SpaceMissing)));
        } else if foreign {
            prop_assert_eq!(end, Some(End::Blocked(Obstacle::Foreign)));
            prop_assert!(player.log.iter().all(|line| line.starts_with("look")), "{:?}", player.log);
        } else {
            prop_assert_eq!(end, Some(End::Settled));
            prop_assert!(is_as_wanted(&model) && model.wrongs.is_empty(), "{:?}", model);
            prop_assert_eq!(model.calls.len(), 1);
            prop_assert!(!stale || !model.calls.contains_key(&"old".into()), "a stranger is in the meeting");
        }
    }

    /// From any state, at whichever writes it crashes: a meeting that may have been open ends shut, without a call. What
    /// somebody else made of the slot before anything of ours was in it stays as it is.
    #[test]
    fn a_meeting_ends_shut_whatever_fails(
        shown in any_space(),
        facts in prop_oneof![Just(Start::running(None)), Just(Start::running(Some("call"))),
                             Just(Start::intended())],
        calls in prop::sample::subsequence(vec!["call", "other", "third"], 0..=3),
        faults in prop::collection::vec(any_fault(1), 0..6),
        leaving in any::<bool>(),
        reopened in any::<bool>(),
    ) {
        let mut model = Model::new(shown, if leaving { at(10) } else { at(3600) });
        for call in calls {
            model = model.with_call(call, &["a@x"]);
        }
        let tag = model.space.as_ref().and_then(|shown| shown.cdr_tag.clone());
        let is_marked = tag.as_deref().is_some_and(|tag| [OTHER_MARK, STRANGE_MARK].contains(&tag));
        let was_opened = facts.0.opened_at.is_some();
        let is_taken = |shown: &Space| {
            let is_open = shown.non_member_access == Some(true) && shown.name == "Party";
            is_strangers(shown) && !shown.has_secret(&SECRET.to_owned().into()) && (!was_opened || is_open)
        };
        let other = is_marked || model.space.as_ref().is_some_and(is_taken);
        let before = model.calls.clone();
        if model.space.is_none() {
            return Ok(()); // The write says so, and the controller takes that for the end.
        }
        let mut player = Player::new(&["a@x"], facts);
        player.leaving = leaving;
        let mut faults = faults.into_iter();
        for turn in 0..8 {
            player.pass(&mut model, turn % 2 == 0, &mut faults);
            if turn == 0 && reopened && !(player.door == Door::Released) {
                model.space = Some(opened());
            }
        }
        prop_assert!(player.door == Door::Released, "{:?}", model);
        if other {
            prop_assert_eq!(&model.space.as_ref().unwrap().cdr_tag, &tag);
            prop_assert_eq!(&model.calls, &before, "the next meeting has them");
        } else {
            prop_assert!(is_shut(&model), "{:?}", model);
        }
        prop_assert!(!player.log.iter().any(|line| line.starts_with("dial") || line.starts_with("create")));
        player.take_log();
        player.pass(&mut model, true, &mut std::iter::empty());
        prop_assert!(player.log.is_empty());
    }

    /// Never do more ring at one time than may, whatever fails; and in the end everybody was rung once.
    #[test]
    fn no_more_ring_than_may_whatever_fails(
        faults in prop::collection::vec(any_fault(2), 0..12),
        passes in prop::collection::vec((any::<bool>(), prop::option::of(0_usize..6)), 0..12),
        at_once in 1_u32..4,
    ) {
        let parties = ["a@x", "b@x", "c@x", "d@x", "e@x", "f@x"];
        let mut model = Model::new(Some(free()), at(0));
        let mut player = Player::new(&parties, Start::booked());
        player.spec.rings_at_once = at_once;
        let mut faults = faults.into_iter();
        let unanswered = |model: &Model| model.calls.values().flatten().filter(|leg| !leg.2).count();
        for (swept, answers) in passes {
            player.pass(&mut model, swept, &mut faults);
            prop_assert!(unanswered(&model) <= usize::try_from(at_once).unwrap(), "{:?}", model.calls);
            for leg in model.calls.values_mut().flatten().filter(|leg| answers.is_some_and(|who| leg.1 == parties[who])) {
                leg.2 = true;
            }
        }
        for _ in 0..12 {
            player.pass(&mut model, true, &mut std::iter::empty());
            prop_assert!(unanswered(&model) <= usize::try_from(at_once).unwrap(), "{:?}", model.calls);
            model.calls.values_mut().flatten().for_each(|leg| leg.2 = true);
            // Whose try was lost waits for the back-off.
            model.clock = model.clock.checked_add(SignedDuration::from_secs(60)).unwrap();
        }
        prop_assert!(model.wrongs.is_empty(), "{:?}", model.wrongs);
        prop_assert_eq!(model.calls.values().flatten().count(), parties.len());
    }

    /// Whoever is taken out of the list is disconnected if the spec says so, and nobody else, whatever fails; who is put
    /// in is dialled.
    #[test]
    fn who_is_taken_out_goes_and_nobody_else(
        faults in prop::collection::vec(any_fault(2), 0..12),
        before in prop::collection::vec(any::<bool>(), 1..4),
        left in prop::sample::subsequence(vec!["a@x", "b@x", "c@x"], 0..=3),
        answered in any::<bool>(),
        disconnects in any::<bool>(),
    ) {
        let mut model = Model::new(Some(free()), at(0));
        let mut player = Player::new(&["a@x", "b@x", "c@x"], Start::booked());
        if disconnects {
            player.spec.removed_participants = crate::api::meeting::RemovedParticipants::Disconnect;
        }
        let mut faults = faults.into_iter();
        for swept in before {
            player.pass(&mut model, swept, &mut faults);
        }
        let reached: Vec<String> = model.calls.values().flatten().map(|leg| leg.1.clone()).collect();
        let is_known = |party: &str| {
            let state = player.stored.participants.iter().find(|p| p.remote_party == party).map(|p| p.state);
            matches!(state, Some(ParticipantState::Ringing | ParticipantState::Connected))
        };
        // A leg of which nobody knew when its party was taken out is nobody's of the list: it may be a guest's.
        let known: Vec<&str> = ["a@x", "b@x", "c@x"].into_iter().filter(|party| is_known(party)).collect();
        model.calls.values_mut().flatten().for_each(|leg| leg.2 |= answered);
        let retry = player.spec.participants[0].clone();
        let party = |name: &str| crate::api::meeting::ParticipantSpec { remote_party: name.to_owned(), ..retry.clone() };
        player.spec.participants = left.iter().copied().chain(["new@x"]).map(party).collect();
        for turn in 0..6 {
            player.pass(&mut model, turn % 2 == 1, &mut faults);
            model.clock = model.clock.checked_add(SignedDuration::from_secs(30)).unwrap();
        }
        for swept in [true, true, true] {
            player.pass(&mut model, swept, &mut std::iter::empty());
            model.clock = model.clock.checked_add(SignedDuration::from_secs(30)).unwrap();
        }
        prop_assert!(model.wrongs.is_empty(), "{:?}", model.wrongs);
        let is_in = |party: &str| model.calls.values().flatten().any(|leg| leg.1 == party);
        for party in ["a@x", "b@x", "c@x"] {
            let (is_left, was_in) = (left.contains(&party), reached.iter().any(|name| name == party));
            if is_left {
                prop_assert!(is_in(party), "{party} is still wanted");
            } else if known.contains(&party) {
                prop_assert_eq!(is_in(party), was_in && !disconnects, "{}", party);
            }
        }
        prop_assert!(is_in("new@x"), "who was put in is dialled");
        prop_assert!(player.stored.participants.iter().all(|p| p.state != ParticipantState::Removed));
    }
}
