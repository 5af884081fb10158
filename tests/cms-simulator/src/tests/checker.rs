//! Every rule of the checker: silent in a clean scenario, heard when broken on purpose.

use std::time::Duration;

use reqwest::Method;

use super::{Bench, SOON, slot_body};
use crate::check::{Expectation, Rule, Severity, Violation, check};
use crate::{DialOutcome, EndpointScript, Handle, OnClose, SecondCall};

fn errors(bench: &Bench, expected: &Expectation) -> Vec<Rule> {
    let found = check(&bench.sim, expected);
    found.iter().filter(|v| v.severity == Severity::Error).map(|v| v.rule).collect()
}

fn broken(bench: &Bench) -> Vec<Rule> {
    errors(bench, &Expectation::default())
}

async fn started() -> (Bench, String, String) {
    let bench = Bench::quick().await;
    let slot = bench.slots(1, 1).await.remove(0);
    bench.open(&slot, "Meeting", "s").await;
    let call = bench.make("calls", &format!("coSpace={slot}")).await;
    (bench, slot, call)
}

#[tokio::test]
async fn a_clean_meeting_breaks_nothing() {
    let (bench, slot, call) = started().await;
    let legs = format!("calls/{call}/callLegs");
    for party in ["a@x", "b@x"] {
        bench.make(&legs, &format!("remoteParty={party}")).await;
    }
    bench.close(&slot).await;
    bench.delete(&format!("calls/{call}")).await;
    bench.open(&slot, "Next", "t").await;
    let again = bench.make("calls", &format!("coSpace={slot}")).await;
    bench.make(&format!("calls/{again}/callLegs"), "remoteParty=a@x").await;
    bench.close(&slot).await;
    bench.delete(&format!("calls/{again}")).await;
    let expected = Expectation {
        own_prefixes: vec!["1".to_owned()],
        call_within: Some(Duration::from_secs(5)),
        end_within: Some(Duration::from_secs(5)),
        ..Expectation::default()
    };
    let found: Vec<Violation> = check(&bench.sim, &expected);
    assert!(found.is_empty(), "{found:?}");
}

#[tokio::test]
async fn double_rings() {
    let (bench, slot, call) = started().await;
    bench.make(&format!("calls/{call}/callLegs"), "remoteParty=desk@x").await;
    bench.make(&format!("calls/{call}/callLegs"), "remoteParty=other@x").await;
    assert!(broken(&bench).is_empty());
    // The same far end in other words, on the other bridge.
    let there = bench.send(1, Method::POST, "calls", Some(&format!("coSpace={slot}"))).await.id();
    bench.send(1, Method::POST, &format!("calls/{there}/callLegs"), Some("remoteParty=sip:DESK@x")).await;
    assert_eq!(broken(&bench), [Rule::DoubleRing]);
}

/// A far end is free again the moment its bridge is gone, whether it rang or talked; a bridge that only clients lost
/// still has it.
#[tokio::test]
async fn rings_after_the_loss_of_a_bridge() {
    for (lose, expected) in [
        (Handle::stop_bridge as fn(&Handle, usize), vec![]),
        (Handle::restart_bridge, vec![]),
        (Handle::cut_bridge, vec![Rule::DoubleRing; 2]),
        (Handle::blackhole_bridge, vec![Rule::DoubleRing; 2]),
    ] {
        let (bench, slot, call) = started().await;
        let away = EndpointScript::NoAnswer { after: Duration::from_secs(3600) };
        bench.sim.script_endpoint("away@x", away);
        for party in ["away@x", "desk@x"] {
            bench.make(&format!("calls/{call}/callLegs"), &format!("remoteParty={party}")).await;
        }
        let decided = |sim: &Handle| sim.dials().iter().any(|d| d.outcome == DialOutcome::Answered);
        bench.sim.await_state(decided, SOON).await.unwrap();
        lose(&bench.sim, 0);
        let there = bench.send(1, Method::POST, "calls", Some(&format!("coSpace={slot}"))).await.id();
        for party in ["away@x", "desk@x"] {
            bench
                .send(1, Method::POST, &format!("calls/{there}/callLegs"), Some(&format!("remoteParty={party}")))
                .await;
        }
        assert_eq!(bench.sim.dials().len(), 4);
        assert_eq!(broken(&bench), expected);
    }
}

#[tokio::test]
async fn double_calls() {
    let (bench, slot, _) = started().await;
    bench.send(1, Method::POST, "calls", Some(&format!("coSpace={slot}"))).await;
    assert!(broken(&bench).is_empty());
    bench.sim.update_switches(|s| s.second_call = SecondCall::NewId);
    bench.make("calls", &format!("coSpace={slot}")).await;
    assert_eq!(broken(&bench), [Rule::DoubleCall]);
}

#[tokio::test]
async fn access_methods_that_are_left() {
    let (bench, slot, call) = started().await;
    let methods = format!("coSpaces/{slot}/accessMethods");
    bench.make(&methods, "callId=1&passcode=9&name=somebody%27s").await;
    let ours = bench.make(&methods, "callId=1&passcode=7&name=meeting-controller:ns/m/host").await;
    assert!(broken(&bench).is_empty(), "while it is open");
    bench.close(&slot).await;
    bench.delete(&format!("calls/{call}")).await;
    assert_eq!(broken(&bench), [Rule::AccessMethodLeft]);
    bench.delete(&format!("{methods}/{ours}")).await;
    assert!(broken(&bench).is_empty());
}

#[tokio::test]
async fn foreign_writes() {
    let (bench, slot, _) = started().await;
    let foreign = bench.sim.add_space("Board", "board", "900").unwrap();
    bench.put(&format!("coSpaces/{foreign}"), "name=Board").await;
    let by_number = Expectation { own_numbers: ["1".to_owned()].into(), ..Expectation::default() };
    let by_id = Expectation { own_spaces: [slot].into(), ..Expectation::default() };
    for expected in [&by_number, &by_id] {
        assert!(errors(&bench, expected).is_empty());
    }
    bench.sim.edit_space(&foreign, &[("name", "Board room")]).unwrap();
    bench.put(&format!("coSpaces/{foreign}"), "name=Taken").await;
    let call = bench.make("calls", &format!("coSpace={foreign}")).await;
    bench.delete(&format!("calls/{call}")).await;
    for expected in [&by_number, &by_id] {
        assert_eq!(errors(&bench, expected), [Rule::ForeignWrite; 3]);
    }
    assert!(broken(&bench).is_empty());
}

#[tokio::test]
async fn busy_syncs() {
    let bench = Bench::quick().await;
    let set = bench.make("cospaceBulkParameterSets", &slot_body(1, 2)).await;
    let body = format!("cospaceBulkParameterSet={set}");
    bench.sync(&body).await;
    bench.sync(&body).await;
    assert!(broken(&bench).is_empty());
    let slot = bench.sim.spaces()[1].id.clone();
    bench.open(&slot, "Meeting", "s").await;
    bench.make("calls", &format!("coSpace={slot}")).await;
    bench.sync(&body).await;
    // Open, and with a call.
    assert_eq!(broken(&bench), [Rule::BusySync; 2]);
}

#[tokio::test]
async fn secrets_that_are_not_rotated() {
    let (bench, slot, _) = started().await;
    // Shut by a hand and put right again: the same meeting, the same secret.
    bench.sim.edit_space(&slot, &[("nonMemberAccess", "false")]).unwrap();
    bench.open(&slot, "Meeting", "s").await;
    assert!(broken(&bench).is_empty());
    bench.close(&slot).await;
    bench.open(&slot, "Next", "t").await;
    assert!(broken(&bench).is_empty());
    bench.close(&slot).await;
    bench.open(&slot, "Next", "t").await;
    assert_eq!(broken(&bench), [Rule::SecretNotRotated]);
}

#[tokio::test]
async fn doors_and_calls_out_of_step() {
    let bench = Bench::quick().await;
    let slot = bench.slots(1, 1).await.remove(0);
    let strict = Expectation {
        call_within: Some(Duration::from_millis(50)),
        end_within: Some(Duration::from_millis(50)),
        ..Expectation::default()
    };
    bench.open(&slot, "Meeting", "s").await;
    assert!(errors(&bench, &Expectation { call_within: Some(SOON), ..strict.clone() }).is_empty());
    tokio::time::sleep(Duration::from_millis(60)).await;
    assert_eq!(errors(&bench, &strict), [Rule::OpenWithoutCall]);
    let call = bench.make("calls", &format!("coSpace={slot}")).await;
    tokio::time::sleep(Duration::from_millis(60)).await;
    assert_eq!(errors(&bench, &strict), [Rule::OpenWithoutCall]);
    // A second gap, in the middle of the meeting.
    bench.delete(&format!("calls/{call}")).await;
    tokio::time::sleep(Duration::from_millis(60)).await;
    bench.make("calls", &format!("coSpace={slot}")).await;
    assert_eq!(errors(&bench, &strict), [Rule::OpenWithoutCall; 2]);
    bench.sim.update_switches(|s| s.on_close = OnClose::Stay);
    bench.close(&slot).await;
    tokio::time::sleep(Duration::from_millis(60)).await;
    assert!(errors(&bench, &strict).contains(&Rule::ShutWithCall));
}

#[tokio::test]
async fn hammering() {
    let bench = Bench::quick().await;
    let url = format!("https://{}/api/v1/calls", bench.sim.address(0));
    for attempt in 0..5 {
        bench.client.get(&url).basic_auth("admin", Some("wrong")).send().await.unwrap();
        let found = if attempt < 3 { vec![] } else { vec![Rule::Hammering401] };
        assert_eq!(broken(&bench), found, "{attempt}");
    }
    bench.sim.clear_journal();
    for _ in 0..4 {
        bench.client.get(&url).send().await.unwrap();
        bench.get("calls").await;
    }
    assert!(broken(&bench).is_empty());
}

#[tokio::test]
async fn needless_writes_are_worth_knowing() {
    let (bench, slot, _) = started().await;
    bench.open(&slot, "Meeting", "s").await;
    let found = check(&bench.sim, &Expectation::default());
    assert_eq!(found.iter().map(|v| (v.rule, v.severity)).collect::<Vec<_>>(), [(Rule::NeedlessWrite, Severity::Info)]);
    assert_eq!(found[0].entries.len(), 1);
    let expected = Expectation { needless_writes: false, ..Expectation::default() };
    assert!(check(&bench.sim, &expected).is_empty());
}

#[tokio::test]
async fn profiles_that_are_foreign_or_left_behind() {
    let bench = Bench::quick().await;
    let slot = bench.slots(1, 1).await.remove(0);
    let theirs = bench.make("callLegProfiles", "name=theirs").await;
    bench.sim.clear_journal();
    let expected =
        || Expectation { foreign_profiles: [theirs.clone()].into(), no_idle_profiles: true, ..Expectation::default() };
    let own = bench.make("callProfiles", "participantLimit=7").await;
    assert_eq!(errors(&bench, &expected()), [Rule::ProfileLeft]);
    bench.put(&format!("coSpaces/{slot}"), &format!("callProfile={own}")).await;
    assert_eq!(errors(&bench, &expected()), [], "a space has it");
    bench.put(&format!("callLegProfiles/{theirs}"), "name=ours").await;
    assert_eq!(errors(&bench, &expected()), [Rule::ForeignProfile]);
    bench.delete(&format!("callLegProfiles/{theirs}")).await;
    assert_eq!(errors(&bench, &expected()), [Rule::ForeignProfile, Rule::ForeignProfile]);
    bench.put(&format!("coSpaces/{slot}"), "callProfile=").await;
    bench.delete(&format!("callProfiles/{own}")).await;
    assert!(!errors(&bench, &expected()).contains(&Rule::ProfileLeft), "it is gone");
}
