use super::*;
use crate::cms::{Client, Credentials, Gate, LegState, Limits, NoObserver, TlsOptions};

fn call_bridge() -> CallBridge {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let credentials = Credentials { username: "u".into(), password: "p".to_owned().into() };
    let (gate, observer) = (Arc::new(Gate::new(8, 1)), Arc::new(NoObserver));
    let address = "cms.test:445".parse().unwrap();
    let (tls, limits) = (TlsOptions::default(), Limits::default());
    let client = Client::new(address, credentials, tls, limits, Arc::default(), gate, observer);
    CallBridge::new(client.unwrap(), String::new(), String::new())
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn listed(id: &str) -> CallLeg {
    CallLeg {
        id: id.into(),
        name: String::new(),
        remote_party: format!("{id}@x"),
        original_remote_party: None,
        call: Some("call".into()),
        state: None,
        direction: None,
        sub_type: None,
    }
}

/// As a sweep does it, without the bridge.
fn look(at_bridge: &CallBridge, state: LegState, second: i64) -> String {
    let calls = ["call".into()];
    let id = at_bridge.unsure_legs(&calls.iter().collect()).first().unwrap().clone();
    let mut local = at_bridge.local();
    local.leg_read_at.insert(id.clone(), at(second));
    let (_, legs) = local.legs.as_mut().unwrap();
    legs.values_mut().flatten().find(|leg| leg.id == id).unwrap().state = Some(state);
    id.to_string()
}

/// One that rings for minutes came first in every sweep, and whether the others had answered was never looked at.
#[test]
fn who_rings_on_and_on_keeps_nobody_from_being_looked_at() {
    let bridge = call_bridge();
    let all = || ["a", "b", "c"].map(listed).to_vec();
    bridge.take_legs(all(), at(0));
    let looks: Vec<String> = (1..=6)
        .map(|second| {
            let looked = look(&bridge, LegState::Ringing, second);
            bridge.take_legs(all(), at(second));
            looked
        })
        .collect();
    assert_eq!(looks, ["a", "b", "c", "a", "b", "c"]);
    assert_eq!(look(&bridge, LegState::Connected, 7), "a");
    assert_eq!(look(&bridge, LegState::Ringing, 8), "b");
    bridge.take_legs(vec![listed("c")], at(9));
    assert_eq!(bridge.local().leg_read_at.len(), 1, "who is gone is forgotten");
}

#[test]
fn every_space_of_a_live_meeting_has_its_turn_whatever_turns_of_the_sweep_are_left_for_it() {
    let target = |id: &str| SweepTarget { space: id.into(), call: None, on_lost_bridge: false };
    let live: Vec<SweepTarget> = ["a", "b", "c", "d"].map(target).to_vec();
    let (one, other) = (call_bridge(), call_bridge());
    // As if only every fourth sweep had a look left for them: a remainder of the number of the sweep would always be the
    // same one.
    let looked: Vec<String> =
        (0..5).flat_map(|n| one.take_turns(&live, 1, 4 * n + 1)).map(ToString::to_string).collect();
    assert_eq!(looked, ["a", "b", "c", "d", "a"]);
    let left = [target("d"), target("new")];
    assert_eq!(one.take_turns(&left, 3, 30), [&SpaceId::from("new"), &SpaceId::from("d")]);
    assert_eq!(one.local().space_turns.len(), 2, "who is gone is forgotten");
    // Meetings on another call bridge, whose sweeps come in between, have turns of their own.
    let (here, there) = ([target("a"), target("b")], [target("c"), target("d")]);
    let both =
        |turn: u64| [one.take_turns(&here, 1, turn)[0].to_string(), other.take_turns(&there, 1, turn)[0].to_string()];
    assert_eq!([both(31), both(37)], [["a", "c"], ["b", "d"]]);
}
