use super::*;
use crate::cms::LegState;

fn at(secs: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + secs).unwrap()
}

fn spec() -> ScheduledMeetingSpec {
    serde_json::from_value(serde_json::json!({
        "title": "t", "start": at(0).to_string(), "duration": "1h",
        "participants": [{ "remoteParty": "desk@x", "retry": { "limit": 1, "backoff": "20s" } }]
    }))
    .unwrap()
}

fn leg(state: Option<LegState>) -> SeenLeg {
    SeenLeg {
        id: "leg-1".into(),
        remote_party: "sip:Desk@x;transport=tls".into(),
        original_remote_party: None,
        state,
        direction: None,
        is_named: false,
        was_answered: false,
    }
}

fn dialled(at_secs: i64, attempts: u32, state: ParticipantState) -> Vec<ParticipantStatus> {
    vec![ParticipantStatus {
        remote_party: "desk@x".into(),
        state,
        attempts,
        vain_tries: 0,
        leg_id: Some("leg-1".into()),
        reason: None,
        last_attempt_at: Some(Instant(at(at_secs))),
        call_bridge: None,
    }]
}

fn seen(at_secs: i64, legs: Vec<SeenLeg>) -> SeenLegs {
    SeenLegs { at: at(at_secs), legs }
}

fn state_after(old: &[ParticipantStatus], look: &SeenLegs) -> ParticipantState {
    update(&spec(), old, Some(look), None, true)[0].state
}

#[test]
fn a_leg_that_never_connected_is_tried_again_and_then_failed() {
    use ParticipantState::*;
    assert_eq!(state_after(&dialled(0, 1, Ringing), &seen(1, vec![leg(Some(LegState::Ringing))])), Ringing);
    assert_eq!(state_after(&dialled(0, 1, Ringing), &seen(1, vec![])), Waiting);
    assert_eq!(state_after(&dialled(0, 2, Ringing), &seen(1, vec![])), Failed);
}

/// The leg that the status names, in other letters, and with an address that tells nothing.
#[test]
fn a_leg_whose_id_comes_in_another_case_is_the_same_one() {
    use ParticipantState::*;
    let shouted = SeenLeg { id: "LEG-1".into(), remote_party: "somebody".into(), ..leg(Some(LegState::Connected)) };
    assert_eq!(state_after(&dialled(0, 1, Ringing), &seen(1, vec![shouted])), Connected);
}

#[test]
fn who_was_connected_and_left_is_left_alone() {
    use ParticipantState::*;
    let connected =
        update(&spec(), &dialled(0, 1, Ringing), Some(&seen(1, vec![leg(Some(LegState::Connected))])), None, true);
    assert_eq!(connected[0].state, Connected);
    let gone = update(&spec(), &connected, Some(&seen(2, vec![])), None, true);
    assert_eq!(gone[0].state, Left);
    assert_eq!(to_dial(&spec(), &gone, at(0), at(9999)), None);
}

#[test]
fn a_look_from_before_the_dialling_proves_nothing() {
    assert_eq!(state_after(&dialled(5, 1, ParticipantState::Ringing), &seen(4, vec![])), ParticipantState::Ringing);
}

#[test]
fn a_leg_of_which_nobody_knows_whether_it_was_answered_rings_however_long_it_is_there() {
    use ParticipantState::*;
    for seconds in [3, 60, 80, 600] {
        assert_eq!(state_after(&dialled(0, 1, Ringing), &seen(seconds, vec![leg(None)])), Ringing, "{seconds}");
    }
    let gone = update(&spec(), &dialled(0, 1, Ringing), Some(&seen(130, vec![])), None, true);
    assert!(to_dial(&spec(), &gone, at(0), at(131)).is_some(), "unknown is not Connected: the second try comes");
    let answered = SeenLeg { was_answered: true, ..leg(None) };
    assert_eq!(state_after(&dialled(0, 1, Ringing), &seen(3, vec![answered])), Connected);
}

#[test]
fn a_name_that_comes_with_the_ringing_is_no_answer() {
    use ParticipantState::*;
    for (state, wanted) in
        [(LegState::Ringing, Ringing), (LegState::Initial, Ringing), (LegState::Connected, Connected)]
    {
        let named = SeenLeg { was_answered: true, is_named: true, ..leg(Some(state.clone())) };
        assert_eq!(state_after(&dialled(0, 1, Ringing), &seen(1, vec![named])), wanted, "{state:?}");
    }
}

/// A time-out, a page of a proxy, a broken connection: a try that rang nobody is no try, but a slow bridge has its time.
#[test]
fn a_try_that_was_left_without_an_answer_counts_only_if_there_is_a_leg() {
    use ParticipantState::*;
    for why in ["Timeout", "HTTPError", "NotACMS", "DatabaseNotReady", "ConnectionLost"] {
        let mut tried = dialled(0, 2, Ringing);
        (tried[0].leg_id, tried[0].reason) = (None, Some(why.to_owned()));
        if why != "ConnectionLost" {
            let soon = update(&spec(), &tried, Some(&seen(2, vec![])), None, true);
            assert_eq!((soon[0].state, soon[0].attempts), (Ringing, 2), "{why}: it may still come");
            assert!(!is_any_unsure(&soon, Some(&seen(2, vec![])), at(3)), "{why}: no look follows the other");
            assert_eq!(next_dial(&spec(), &soon, at(0), at(3)), Some(at(10)), "{why}: then it is looked after");
            assert!(is_any_unsure(&soon, Some(&seen(2, vec![])), at(10)), "{why}: by a look of then");
        }
        let later = update(&spec(), &tried, Some(&seen(10, vec![])), None, true);
        assert_eq!((later[0].state, later[0].attempts, later[0].vain_tries), (Waiting, 1, 1), "{why}");
        assert!(to_dial(&spec(), &later, at(0), at(10)).is_some(), "{why}: at once");
        let mut plain = tried.clone();
        plain[0].reason = Some(LAYOUT_REFUSED.to_owned());
        assert_eq!(state_after(&plain, &seen(12, vec![])), Failed, "answered, and rung in vain");
        let rings = update(&spec(), &tried, Some(&seen(12, vec![leg(Some(LegState::Ringing))])), None, true);
        assert_eq!((rings[0].state, rings[0].attempts, rings[0].reason.clone()), (Ringing, 2, None), "{why}");
    }
}

/// A gateway that hides a reply hides that somebody declined, too: nobody is rung for ever.
#[test]
fn tries_that_are_lost_again_and_again_count() {
    use ParticipantState::*;
    let mut party = dialled(0, 1, Ringing);
    let mut now = 0;
    for (attempts, state) in [(0, Waiting), (0, Waiting), (1, Waiting), (2, Failed)] {
        (party[0].state, party[0].leg_id) = (Ringing, None);
        (party[0].reason, party[0].last_attempt_at) = (Some("HTTPError".to_owned()), Some(Instant(at(now))));
        now += 100;
        party = update(&spec(), &party, Some(&seen(now, vec![])), None, true);
        assert_eq!((party[0].attempts, party[0].state), (attempts, state), "{now}");
        party[0].attempts += 1;
    }
}

#[test]
fn a_leg_of_a_lost_reply_is_adopted() {
    let adopted = update(&spec(), &[], Some(&seen(3, vec![leg(Some(LegState::Ringing))])), None, true);
    assert_eq!((adopted[0].attempts, adopted[0].state), (1, ParticipantState::Ringing));
    assert_eq!(to_dial(&spec(), &adopted, at(0), at(9999)), None, "no second ring");
}

#[test]
fn dialling_waits_for_the_start_and_for_the_backoff() {
    let fresh = update(&spec(), &[], None, None, true);
    assert_eq!(to_dial(&spec(), &fresh, at(0), at(-1)), None);
    assert_eq!(next_dial(&spec(), &fresh, at(0), at(-1)), Some(at(0)));
    assert!(to_dial(&spec(), &fresh, at(0), at(0)).is_some());
    let waiting = update(&spec(), &dialled(0, 1, ParticipantState::Ringing), Some(&seen(2, vec![])), None, true);
    assert_eq!(to_dial(&spec(), &waiting, at(0), at(19)), None);
    assert!(to_dial(&spec(), &waiting, at(0), at(20)).is_some());
}

#[test]
fn the_switch_of_the_bridge_is_obeyed_both_ways() {
    let off = update(&spec(), &[], None, None, false);
    assert_eq!(off[0].state, ParticipantState::NotDialed);
    assert_eq!(update(&spec(), &off, None, None, true)[0].state, ParticipantState::Waiting);
}

#[test]
fn who_was_in_an_old_call_that_is_empty_has_left() {
    let mut statuses = dialled(0, 2, ParticipantState::Connected);
    after_call_lost(&mut statuses, Some("b:445"));
    after_orphan_gone(&mut statuses, &"c:445".parse().unwrap(), false);
    assert_eq!(statuses[0].call_bridge.as_deref(), Some("b:445"), "another call bridge");
    after_orphan_gone(&mut statuses, &"b:445".parse().unwrap(), false);
    assert_eq!((statuses[0].state, &statuses[0].call_bridge), (ParticipantState::Left, &None));
    assert!(to_dial(&spec(), &statuses, at(0), at(9999)).is_none(), "not rung again");
    let mut rang = dialled(0, 1, ParticipantState::Ringing);
    after_call_lost(&mut rang, Some("b:445"));
    after_orphan_gone(&mut rang, &"b:445".parse().unwrap(), false);
    assert!(to_dial(&spec(), &rang, at(0), at(9999)).is_some());
    // It was not empty but evacuated: who was in is called from the other call bridge, and it is a first try.
    let mut moved = dialled(0, 2, ParticipantState::Connected);
    after_call_lost(&mut moved, Some("b:445"));
    after_orphan_gone(&mut moved, &"b:445".parse().unwrap(), true);
    assert_eq!((moved[0].state, moved[0].attempts), (ParticipantState::Waiting, 0));
    assert!(to_dial(&spec(), &moved, at(0), at(9999)).is_some());
}

#[test]
fn a_lost_call_brings_back_those_who_were_cut_off() {
    let mut statuses = dialled(0, 2, ParticipantState::Connected);
    after_call_lost(&mut statuses, None);
    assert!(to_dial(&spec(), &statuses, at(0), at(1)).is_some());
    let mut left = dialled(0, 1, ParticipantState::Left);
    after_call_lost(&mut left, None);
    assert_eq!(left[0].state, ParticipantState::Left);
}

/// Hunt groups and phones behind gateways ring for two minutes.
#[test]
fn who_is_seen_ringing_rings_however_long_it_takes() {
    use ParticipantState::*;
    let rings = || leg(Some(LegState::Ringing));
    assert_eq!(state_after(&dialled(0, 1, Ringing), &seen(110, vec![rings()])), Ringing);
    let after = update(&spec(), &dialled(0, 1, Ringing), Some(&seen(130, vec![])), None, true);
    assert_eq!(after[0].state, Waiting, "and the second try comes");
}

#[test]
fn a_back_off_that_is_too_short_counts_as_five_seconds() {
    let mut spec = spec();
    spec.participants[0].retry.backoff = crate::api::values::Span::from_secs(0);
    let waiting = update(&spec, &dialled(0, 1, ParticipantState::Ringing), Some(&seen(1, vec![])), None, true);
    assert_eq!(next_dial(&spec, &waiting, at(0), at(1)), Some(at(5)));
}

/// Bridges before 2.3 show a number with the domain they completed it to, and not what was dialled.
#[test]
fn a_leg_is_recognised_although_the_bridge_completed_its_address() {
    let leg_to = |shown: &str| SeenLeg { remote_party: shown.to_owned(), ..leg(None) };
    let mut spec = spec();
    let mut taken = |party: &str, shown: &str| {
        spec.participants[0].remote_party = party.to_owned();
        update(&spec, &[], Some(&seen(1, vec![leg_to(shown)])), None, true)[0].leg_id.is_some()
    };
    for (party, shown) in [
        ("2001", "2001@10.0.0.9"),
        ("2001", "sip:2001@10.0.0.9:5060;transport=tcp"),
        ("SIP:Room@x", "room@x"),
        ("room@x", "sip:room@x:5061"),
    ] {
        assert!(taken(party, shown), "{party} shown as {shown}");
    }
    for (party, shown) in [("2001", "12001@x"), ("2001", "20019@x"), ("room@x", "room@y"), ("room@x:5060", "room@x")] {
        assert!(!taken(party, shown), "{party} is not {shown}");
    }
    // What is exactly somebody else's is nobody's by half.
    let other = serde_json::from_value(serde_json::json!({ "remoteParty": "2001@y" })).unwrap();
    spec.participants[0].remote_party = "2001".to_owned();
    spec.participants.push(other);
    let both = update(&spec, &[], Some(&seen(1, vec![leg_to("2001@y")])), None, true);
    assert_eq!((both[0].leg_id.is_some(), both[1].leg_id.is_some()), (false, true));
    // Where the bridge shows what was dialled, that counts.
    let original = SeenLeg { original_remote_party: Some("9@y".into()), ..leg_to("2001@x") };
    assert!(update(&spec, &[], Some(&seen(1, vec![original])), None, true)[0].leg_id.is_none());
}

fn many(count: usize, at_once: u32) -> ScheduledMeetingSpec {
    let parties: Vec<_> = (0..count).map(|n| serde_json::json!({ "remoteParty": format!("room{n}@x") })).collect();
    serde_json::from_value(serde_json::json!({
        "title": "t", "start": at(0).to_string(), "duration": "1h", "ringsAtOnce": at_once, "participants": parties
    }))
    .unwrap()
}

fn ring(status: &mut ParticipantStatus, secs: i64) {
    status.attempts += 1;
    (status.state, status.last_attempt_at) = (ParticipantState::Ringing, Some(Instant(at(secs))));
}

#[test]
fn no_more_ring_at_one_time_than_may() {
    let spec = many(4, 2);
    let mut statuses = update(&spec, &[], None, None, true);
    for party in ["room0@x", "room1@x"] {
        assert_eq!(to_dial(&spec, &statuses, at(0), at(0)).unwrap().remote_party, party);
        let index = statuses.iter().position(|status| status.remote_party == party).unwrap();
        ring(&mut statuses[index], 0);
    }
    assert_eq!(to_dial(&spec, &statuses, at(0), at(1)), None);
    assert_eq!(next_dial(&spec, &statuses, at(0), at(1)), Some(at(75)), "one that rings on is waited for so long");
    assert!(to_dial(&spec, &statuses, at(0), at(75)).is_some());
    statuses[0].state = ParticipantState::Connected;
    assert_eq!(to_dial(&spec, &statuses, at(0), at(1)).unwrap().remote_party, "room2@x");
}

#[test]
fn who_was_never_dialled_comes_before_further_tries() {
    let spec = many(2, 50);
    let mut statuses = update(&spec, &[], None, None, true);
    ring(&mut statuses[0], 0);
    statuses[0].state = ParticipantState::Waiting;
    assert_eq!(to_dial(&spec, &statuses, at(0), at(60)).unwrap().remote_party, "room1@x");
    ring(&mut statuses[1], 60);
    assert_eq!(to_dial(&spec, &statuses, at(0), at(60)).unwrap().remote_party, "room0@x");
}

#[test]
fn who_is_taken_out_is_remembered_until_the_leg_is_gone() {
    let gone = |policy: &str| ScheduledMeetingSpec {
        removed_participants: serde_json::from_value(policy.into()).unwrap(),
        participants: Vec::new(),
        ..spec()
    };
    let (leave, disconnect) = (gone("Leave"), gone("Disconnect"));
    let old = dialled(0, 1, ParticipantState::Connected);
    assert_eq!(update(&leave, &old, None, None, true), []);
    let kept = update(&disconnect, &old, None, None, true);
    assert_eq!(to_disconnect(&kept).and_then(|status| status.leg_id.as_deref()), Some("leg-1"));
    let kept = update(&disconnect, &kept, Some(&seen(1, vec![leg(None)])), None, true);
    assert!(to_disconnect(&kept).is_some());
    assert_eq!(update(&disconnect, &kept, Some(&seen(2, vec![])), None, true), []);
    let back = update(&spec(), &kept, None, None, true);
    assert_eq!(back.len(), 1, "who is put into the list again stays");
    let elsewhere = ParticipantStatus { call_bridge: Some("cms:445".to_owned()), ..old[0].clone() };
    assert_eq!(update(&disconnect, &[elsewhere], None, None, true), [], "nobody can say which leg is theirs");
}

fn twice(first: &str, second: &str) -> ScheduledMeetingSpec {
    let party = |address: &str| serde_json::json!({ "remoteParty": address, "retry": { "limit": 0 } });
    serde_json::from_value(serde_json::json!({
        "title": "t", "start": at(0).to_string(), "duration": "1h", "participants": [party(first), party(second)]
    }))
    .unwrap()
}

/// Two overlays, or a portal, name one room in two ways.
#[test]
fn one_endpoint_in_two_spellings_is_rung_once() {
    use ParticipantState::*;
    for (first, second) in [("desk@x", "sip:Desk@x"), ("SIP:desk@x;transport=tls", "desk@x")] {
        let spec = twice(first, second);
        let new = update(&spec, &[], None, None, true);
        assert_eq!(to_dial(&spec, &new, at(0), at(0)).map(|party| party.remote_party.as_str()), Some(first));
        let mut rung = new.clone();
        rung[0] = ParticipantStatus { remote_party: first.to_owned(), ..dialled(0, 1, Ringing).remove(0) };
        let rung = update(&spec, &rung, None, None, true);
        assert_eq!(rung[1], ParticipantStatus { remote_party: second.to_owned(), ..rung[0].clone() });
        assert_eq!(to_dial(&spec, &rung, at(0), at(1)), None);
        let gone = update(&spec, &rung, Some(&seen(1, vec![])), None, true);
        assert_eq!([gone[0].state, gone[1].state], [Failed, Failed]);
        assert_eq!(to_dial(&spec, &gone, at(0), at(999)), None);
    }
}

#[test]
fn who_is_only_spelt_otherwise_is_not_rung_again_unless_he_was_not_reached() {
    use ParticipantState::*;
    let mut spec = spec();
    spec.participants[0].remote_party = "sip:desk@x;transport=tcp".to_owned();
    for (state, is_new) in [(Connected, false), (Left, false), (Ringing, false), (Failed, true)] {
        let now = update(&spec, &dialled(0, 2, state), None, None, true);
        assert_eq!(now[0].remote_party, spec.participants[0].remote_party);
        assert_eq!(to_dial(&spec, &now, at(0), at(1)).is_some(), is_new, "{state:?}");
    }
}
