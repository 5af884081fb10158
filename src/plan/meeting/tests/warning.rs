//! The warning before the end: in every call of the meeting, once, at its minute or not at all, and never in anybody's way.

use proptest::prelude::*;

use super::*;
use crate::api::Condition;
use crate::plan::faults::any_fault;

const FIVE: &str = "warn of the end in 5 min";
const ONE: &str = "warn of the end in 1 min";
const AWAY: &str = "take the warning of the end away";

/// A meeting with a call that runs until `at(3600)` and warns of its end five minutes and one minute before, settled.
fn warned() -> (Model, Player) {
    let mut model = Model::new(Some(opened()), at(1000)).with_call("c", &[]);
    let mut player = Player::new(&[], Start::running(Some("c")));
    player.warning = Some(serde_json::from_value(serde_json::json!({})).unwrap());
    player.told = Some(at(3600));
    assert_eq!((player.run(&mut model), player.take_log()), (End::Settled, vec![]));
    (model, player)
}

/// What is done at this moment.
fn done_at(secs: i64, player: &mut Player, model: &mut Model) -> Vec<String> {
    model.clock = at(secs);
    assert_eq!(player.run(model), End::Settled);
    player.take_log()
}

fn told(player: &Player) -> &Condition {
    crate::api::find(&player.stored.conditions, "EndWarned").unwrap()
}

fn is_ready(player: &Player) -> bool {
    crate::api::is_true(&player.stored.conditions, "Ready")
}

#[test]
fn everybody_is_warned_once_at_each_minute() {
    let (mut model, mut player) = warned();
    assert_eq!((told(&player).status.as_str(), told(&player).reason.as_str()), ("False", "NotYet"));
    let next = |player: &Player, secs| player.progress(at(secs)).next_instant(at(secs));
    assert_eq!(next(&player, 1000), Some(at(3300)), "it wakes for that");
    assert_eq!(done_at(3299, &mut player, &mut model), [""; 0]);
    assert_eq!(done_at(3300, &mut player, &mut model), [FIVE]);
    assert_eq!(next(&player, 3301), Some(at(3540)));
    assert_eq!((told(&player).status.as_str(), told(&player).reason.as_str()), ("True", "Shown"));
    assert_eq!(done_at(3301, &mut player, &mut model), [""; 0]);
    assert_eq!(done_at(3540, &mut player, &mut model), [ONE]);
    assert_eq!(done_at(3545, &mut player, &mut model), [""; 0]);
    let calls: Vec<_> = model.told.iter().map(|call| call.id.as_str().to_owned()).collect();
    assert_eq!(calls, ["c", "c"]);
}

#[test]
fn a_meeting_that_warns_nobody_does_nothing_more() {
    let (mut model, mut player) = warned();
    for off in [None, serde_json::from_value(serde_json::json!({ "minutesBefore": [] })).unwrap()] {
        player.warning = off;
        assert_eq!(done_at(3300, &mut player, &mut model), [""; 0]);
        assert!(crate::api::find(&player.stored.conditions, "EndWarned").is_none());
    }
}

#[test]
fn one_that_comes_late_is_shown_as_long_as_it_is_true_and_else_that_is_told() {
    let (mut model, mut player) = warned();
    assert_eq!(done_at(3315, &mut player, &mut model), [FIVE], "the controller was away for a moment");
    let (mut model, mut player) = warned();
    assert_eq!(done_at(3330, &mut player, &mut model), [""; 0]);
    assert_eq!((told(&player).status.as_str(), told(&player).reason.as_str()), ("False", "WarningNotShown"));
    assert!(told(&player).message.contains("5 min before"), "{}", told(&player).message);
    assert!(is_ready(&player));
    assert_eq!(done_at(3540, &mut player, &mut model), [ONE], "the next one is shown all the same");
    assert_eq!(told(&player).reason, "Shown");
    // Away until after the end: that nobody was warned is told then.
    let (mut model, mut player) = warned();
    model.clock = at(3610);
    assert_eq!(player.run(&mut model), End::Released);
    assert_eq!((told(&player).reason.as_str(), player.stored.phase), ("WarningNotShown", Some(Phase::Ended)));
}

#[test]
fn each_call_of_a_distributed_meeting_is_told() {
    let (mut model, mut player) = warned();
    let there = |name: &str, began: Option<i64>| PlacedCall {
        call_bridge: format!("{name}.test:445").parse().unwrap(),
        call: model.seen_calls()[0].call.clone(),
        began: began.map(at),
    };
    player.elsewhere = Some(vec![there("b", None), there("c", Some(60)), there("d", Some(-4000))]);
    assert_eq!(
        done_at(3300, &mut player, &mut model),
        ["look Elsewhere", FIVE, FIVE, FIVE],
        "one is of another meeting"
    );
    let mut places: Vec<_> = model.told.iter().map(|call| call.call_bridge.to_string()).collect();
    places.sort();
    assert_eq!(places, ["b.test:445", "c.test:445", "cms.test:445"]);
    assert_eq!(done_at(3301, &mut player, &mut model), [""; 0]);
}

/// Whoever is in a call of a call bridge that did not tell of it may not have been warned.
#[test]
fn it_is_not_said_that_all_were_warned_if_a_call_bridge_did_not_tell_of_its_calls() {
    let (mut model, mut player) = warned();
    player.elsewhere = Some(Vec::new());
    player.silent = vec!["b.test:445".parse().unwrap()];
    assert_eq!(done_at(3300, &mut player, &mut model), ["look Elsewhere", FIVE]);
    assert_eq!((told(&player).status.as_str(), told(&player).reason.as_str()), ("False", "WarningNotShown"));
    assert!(told(&player).message.contains("b.test:445 did not tell"), "{}", told(&player).message);
    player.silent.clear();
    assert_eq!(done_at(3540, &mut player, &mut model), ["look Elsewhere", ONE]);
    assert_eq!(told(&player).reason, "Shown");
}

#[test]
fn what_could_not_be_taken_away_is_taken_away_by_the_next_pass() {
    let (mut model, mut player) = warned();
    assert_eq!(done_at(3300, &mut player, &mut model), [FIVE]);
    player.spec = ScheduledMeetingSpec { duration: None, end: Some(Instant(at(4200))), ..player.spec };
    model.untold = Some(CmsError::Busy);
    assert_eq!(done_at(3310, &mut player, &mut model), ["mark the extension on the space", AWAY]);
    model.untold = None;
    assert_eq!(done_at(3312, &mut player, &mut model), [AWAY]);
    assert_eq!(done_at(3314, &mut player, &mut model), [""; 0]);
    assert_eq!(told(&player).reason, "NotYet");
}

/// Nor is it forgotten what is on the screens of a call bridge that would not take it away.
#[test]
fn what_was_taken_away_in_one_call_only_stays_in_mind() {
    let (mut model, mut player) = warned();
    let there = PlacedCall {
        call_bridge: "b.test:445".parse().unwrap(),
        call: model.seen_calls()[0].call.clone(),
        began: None,
    };
    player.elsewhere = Some(vec![there]);
    assert_eq!(done_at(3300, &mut player, &mut model), ["look Elsewhere", FIVE, FIVE]);
    player.spec = ScheduledMeetingSpec { duration: None, end: Some(Instant(at(4200))), ..player.spec };
    (model.untold, model.untold_on) = (Some(CmsError::Busy), Some("b.test"));
    let log = done_at(3310, &mut player, &mut model);
    assert_eq!(log, ["mark the extension on the space", "look Elsewhere", AWAY, AWAY]);
    model.untold = None;
    assert_eq!(done_at(3312, &mut player, &mut model), ["look Elsewhere", AWAY, AWAY]);
    assert_eq!(done_at(3314, &mut player, &mut model), [""; 0]);
}

#[test]
fn a_bridge_with_more_urgent_things_to_do_is_asked_again_and_nobody_waits_for_that() {
    let (mut model, mut player) = warned();
    player.spec.participants = spec(&["a@x"]).participants;
    (model.puts_off, model.clock) = (true, at(3300));
    player.pass(&mut model, false, &mut std::iter::empty());
    assert_eq!(player.take_log(), [FIVE, "look Legs", "dial a@x"]);
    assert_ne!(told(&player).reason, "WarningNotShown");
    model.puts_off = false;
    assert_eq!(done_at(3306, &mut player, &mut model), [FIVE]);
    assert_eq!(told(&player).reason, "Shown");
}

#[test]
fn a_bridge_that_refuses_it_is_told_once_and_everything_else_goes_on() {
    let (mut model, mut player) = warned();
    model.untold = Some(CmsError::Busy);
    player.spec.participants = spec(&["a@x"]).participants;
    assert_eq!(done_at(3300, &mut player, &mut model), [FIVE, "look Legs", "dial a@x"]);
    assert_eq!((told(&player).status.as_str(), told(&player).reason.as_str()), ("False", "WarningNotShown"));
    assert!(is_ready(&player), "{:#?}", player.stored.conditions);
    assert_eq!(done_at(3301, &mut player, &mut model), [""; 0], "it is not tried again");
}

#[test]
fn if_the_call_is_gone_the_new_one_is_told() {
    let (mut model, mut player) = warned();
    model.calls.clear();
    let log = done_at(3300, &mut player, &mut model);
    assert_eq!(log, [FIVE, "look Calls", "look Boot", "look Space", "create the call", "look Calls", FIVE]);
    assert_eq!((told(&player).reason.as_str(), model.told.len()), ("Shown", 1));
}

#[test]
fn a_bridge_that_is_too_old_is_asked_for_nothing() {
    let (mut model, mut player) = warned();
    player.version = Some("2.0".to_owned());
    assert_eq!(done_at(3300, &mut player, &mut model), [""; 0]);
    assert_eq!((told(&player).reason.as_str(), is_ready(&player)), ("UnsupportedSetting", true));
    assert_eq!(told(&player).message, "CMS 2.0 does not know: endWarning");
}

#[test]
fn a_later_end_takes_the_warning_away_and_has_its_own() {
    let (mut model, mut player) = warned();
    assert_eq!(done_at(3300, &mut player, &mut model), [FIVE]);
    player.spec = ScheduledMeetingSpec { duration: None, end: Some(Instant(at(4200))), ..player.spec };
    assert_eq!(done_at(3310, &mut player, &mut model), ["mark the extension on the space", AWAY]);
    assert_eq!(done_at(3540, &mut player, &mut model), [""; 0]);
    assert_eq!(done_at(3900, &mut player, &mut model), [FIVE]);
    // Nobody sees it any more.
    player.spec.end = Some(Instant(at(4800)));
    assert_eq!(done_at(3931, &mut player, &mut model), ["mark the extension on the space"]);
    // The end comes nearer than the first warning: nobody could have been warned, so nobody is blamed.
    player.spec.end = Some(Instant(at(4110)));
    assert_eq!(done_at(3932, &mut player, &mut model), [""; 0]);
    assert_eq!((told(&player).reason.as_str(), is_ready(&player)), ("NotYet", true));
    assert_eq!(done_at(4050, &mut player, &mut model), [ONE]);
}

#[test]
fn a_crash_shows_it_once_more_and_a_lost_reply_is_told() {
    let (mut model, mut player) = warned();
    model.clock = at(3300);
    player.pass(&mut model, false, &mut std::iter::once(Fault::Crash));
    player.take_log();
    player.told = Some(at(3600));
    assert_eq!(done_at(3302, &mut player, &mut model), [FIVE]);
    assert_eq!((model.told.len(), told(&player).reason.as_str()), (2, "Shown"));
    let (mut model, mut player) = warned();
    model.clock = at(3300);
    player.pass(&mut model, false, &mut std::iter::once(Fault::LostReply));
    assert_eq!((told(&player).reason.as_str(), is_ready(&player)), ("WarningNotShown", true));
    let (mut model, mut player) = warned();
    model.clock = at(3300);
    player.pass(&mut model, false, &mut std::iter::once(Fault::BrokenReply));
    assert_eq!((told(&player).reason.as_str(), model.told.len()), ("Shown", 2), "sent again on a new connection");
}

#[test]
fn it_stands_behind_every_door_call_and_leg_and_is_not_sent_when_it_is_not_true_any_more() {
    let tell = Step::Tell { call: here("c"), notice: Notice::Left(5) };
    let others = [
        Step::OpenDoor,
        Step::CloseDoor,
        Step::CreateCall,
        Step::DeleteCall(here("c")),
        Step::Dial("a@x".to_owned()),
        Step::HangUp { party: "a@x".to_owned(), leg: "l".to_owned() },
    ];
    assert!(others.iter().all(|other| other.class() < tell.class()));
    assert!(tell.class() > crate::cms::Class::Close && !tell.needs_database() && !tell.lets_in());
    let (_, player) = warned();
    let window = player.progress(at(3300)).window;
    assert_eq!(tell.is_worth_it_until(&window), at(3320));
    assert_eq!(Step::CreateCall.is_worth_it_until(&window), at(3600), "nobody is let in after the end");
    assert_eq!(Step::CloseDoor.is_worth_it_until(&window), Timestamp::MAX);
}

proptest! {
    /// Whatever fails, and however late anybody looks: nobody reads what is not true, and door and call end as they do
    /// without a warning.
    #[test]
    fn nobody_is_told_what_is_not_true_and_the_end_comes_as_ever(
        faults in prop::collection::vec(any_fault(1), 0..6),
        waits in prop::collection::vec((1_i64..70, any::<bool>()), 0..16),
    ) {
        let (mut model, mut player) = warned();
        model.clock = at(3280);
        let mut faults = faults.into_iter();
        for (wait, swept) in waits {
            if model.clock >= at(3590) {
                break;
            }
            player.pass(&mut model, swept, &mut faults);
            player.told = player.told.or(Some(at(3600)));
            model.clock = model.clock.checked_add(SignedDuration::from_secs(wait)).unwrap();
        }
        for (notice, told) in &model.notices {
            let Notice::Left(minutes) = notice else { panic!("no other end: {notice:?}") };
            let late = told.duration_since(at(3600 - i64::from(*minutes) * 60));
            prop_assert!((SignedDuration::ZERO..=SignedDuration::from_secs(21)).contains(&late), "{notice:?} {late:?}");
        }
        model.clock = at(3601);
        prop_assert_eq!(player.pass(&mut model, false, &mut std::iter::empty()), Some(End::Released));
        prop_assert!(model.calls.is_empty() && model.wrongs.is_empty());
        prop_assert!(model.space.as_ref().is_some_and(|space| space.non_member_access == Some(false)));
        prop_assert!(player.stored.end_warning.is_some(), "each minute is shown, or told to have passed");
    }
}
