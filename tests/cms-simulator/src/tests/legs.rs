//! Calls, legs, participants, dialing (cms-protocol.md section 7).

use std::time::Duration;

use reqwest::Method;

use super::{Bench, SOON};
use crate::{DialOutcome, Direction, EndpointScript, JoinError, LegState};

const MOMENT: Duration = Duration::from_millis(1);

/// A bench with one open slot and a call on it.
async fn started() -> (Bench, String, String) {
    let bench = Bench::quick().await;
    let slot = bench.slots(1, 1).await.remove(0);
    bench.open(&slot, "Meeting", "s").await;
    let call = bench.make("calls", &format!("coSpace={slot}")).await;
    (bench, slot, call)
}

async fn outcome(bench: &Bench, call: &str, party: &str, script: EndpointScript) -> crate::Dial {
    bench.sim.script_endpoint(party, script);
    bench.make(&format!("calls/{call}/callLegs"), &format!("remoteParty={party}")).await;
    let party = party.to_owned();
    let decided =
        |sim: &crate::Handle| sim.dials().iter().any(|d| d.remote_party == party && d.outcome != DialOutcome::Pending);
    bench.sim.await_state(decided, SOON).await.unwrap();
    bench.sim.dials().into_iter().rfind(|d| d.remote_party == party).unwrap()
}

#[tokio::test]
async fn a_leg_is_initial_then_rings_then_connects() {
    let (bench, slot, call) = started().await;
    const HOUR: Duration = Duration::from_secs(3600);
    let legs = format!("calls/{call}/callLegs");
    let body = "remoteParty=desk%40x.test&ownerId=mine&bandwidth=64";
    bench.sim.update_switches(|s| s.leg_initial_ms = 3_600_000);
    // The answer comes before anything rings (2.3).
    let first = bench.make(&legs, body).await;
    let got = bench.get(&format!("callLegs/{first}")).await;
    assert_eq!((got.text("state").as_deref(), got.text("name").as_deref()), (Some("initial"), Some("")));
    assert_eq!(got.text("ownerId").as_deref(), Some("mine"));
    assert_eq!(bench.get(&legs).await.ids(), std::slice::from_ref(&first));
    bench.delete(&format!("callLegs/{first}")).await;
    bench.sim.update_switches(|s| s.leg_initial_ms = 1);
    let mut leg = String::new();
    for (after, state) in [(HOUR, LegState::Ringing), (MOMENT, LegState::Connected)] {
        if !leg.is_empty() {
            bench.delete(&format!("callLegs/{leg}")).await;
        }
        bench.sim.script_endpoint("desk@x.test", EndpointScript::Answers { after });
        leg = bench.make(&legs, body).await;
        bench.sim.await_state(|sim| sim.legs()[0].state == state, SOON).await.unwrap();
        assert_eq!(bench.get(&format!("callLegs/{leg}")).await.text("state").as_deref(), Some(state.word()));
    }
    let got = bench.get(&format!("callLegs/{leg}")).await;
    assert_eq!(
        (got.text("name").as_deref(), got.text("direction").as_deref()),
        (Some("desk@x.test"), Some("outgoing"))
    );
    assert_eq!(got.text("originalRemoteParty").as_deref(), Some("desk@x.test"));
    let status = bench.get("system/status").await;
    assert_eq!(status.text("callLegsActive").as_deref(), Some("1"));
    assert_ne!(status.text("videoBitRateIncoming").as_deref(), Some("0"));
    assert_eq!(bench.get("system/load").await.text("mediaProcessingLoad").as_deref(), Some("200"));
    let dials = bench.sim.dials();
    assert_eq!(dials[1].reason, Some("apiInitiatedTeardown"));
    let dial = &dials[2];
    assert_eq!((dial.space.as_deref(), dial.outcome, dial.ended), (Some(&*slot), DialOutcome::Answered, None));
    assert_eq!(bench.get("callLegs?filter=DESK").await.total(), 1);
    assert_eq!(bench.get("callLegs?ownerIdSet=false").await.total(), 0);
    assert_eq!(bench.get("callLegs?alarms=all").await.total(), 0);
}

#[tokio::test]
async fn far_ends_follow_their_scripts() {
    let (bench, _, call) = started().await;
    for (party, script, expected, reason) in [
        ("busy@x", EndpointScript::Busy { after: MOMENT }, DialOutcome::Busy, Some("remoteBusy")),
        ("away@x", EndpointScript::NoAnswer { after: MOMENT }, DialOutcome::NoAnswer, Some("ringingTimeout")),
        ("no@x", EndpointScript::Rejects { after: MOMENT }, DialOutcome::Rejected, Some("remoteRejected")),
        ("ghost@x", EndpointScript::Unknown, DialOutcome::Unknown, Some("unknownDestination")),
        ("desk@x", EndpointScript::Answers { after: MOMENT }, DialOutcome::Answered, None),
    ] {
        let dial = outcome(&bench, &call, party, script).await;
        assert_eq!((dial.outcome, dial.reason), (expected, reason), "{party}");
    }
    // Failed legs are simply gone.
    assert_eq!(bench.sim.legs().len(), 1);
    let script = EndpointScript::HangsUp { answer_after: MOMENT, after: MOMENT };
    outcome(&bench, &call, "brief@x", script).await;
    bench.sim.await_state(|sim| sim.legs().len() == 1, SOON).await.unwrap();
    let dial = bench.sim.dials().pop().unwrap();
    assert_eq!((dial.outcome, dial.reason), (DialOutcome::Answered, Some("remoteTeardown")));
    assert_eq!(bench.get("system/status").await.text("callLegsCompleted").as_deref(), Some("5"));
    assert_eq!(bench.sim.calls().len(), 1);
}

#[tokio::test]
async fn keys_are_pressed_once_the_far_end_has_answered() {
    let (bench, _, call) = started().await;
    bench.sim.script_endpoint("pin@x.test", EndpointScript::Answers { after: Duration::from_secs(3600) });
    let leg = bench.make(&format!("calls/{call}/callLegs"), "remoteParty=pin@x.test&dtmfSequence=1%2C23%23").await;
    assert_eq!(bench.sim.dials()[0].dtmf, Vec::<String>::new(), "nobody has answered yet");
    bench.delete(&format!("callLegs/{leg}")).await;
    bench.sim.script_endpoint("pin@x.test", EndpointScript::Answers { after: MOMENT });
    let leg = bench.make(&format!("calls/{call}/callLegs"), "remoteParty=pin@x.test&dtmfSequence=1%2C23%23").await;
    bench.sim.await_state(|sim| sim.legs()[0].state == LegState::Connected, SOON).await.unwrap();
    bench.put(&format!("callLegs/{leg}"), "dtmfSequence=9").await;
    assert_eq!(bench.sim.dials()[1].dtmf, ["1,23#", "9"]);
    let got = bench.get(&format!("callLegs/{leg}")).await;
    assert_eq!(got.text("dtmfSequence"), None, "they are never shown");
}

#[tokio::test]
async fn outbound_rules_decide_the_way() {
    let (bench, _, call) = started().await;
    let own = bench.sim.call_bridge_id(1);
    bench.make("outboundDialPlanRules", "domain=*.good.test&priority=3").await;
    bench.make("outboundDialPlanRules", "domain=exact.test").await;
    bench.make("outboundDialPlanRules", &format!("domain=other.test&scope=callBridge&callBridge={own}")).await;
    let answers = EndpointScript::Answers { after: MOMENT };
    for (party, expected) in [
        ("a@room.good.test", DialOutcome::Answered),
        ("a@exact.test", DialOutcome::Answered),
        ("a@sub.exact.test", DialOutcome::Unknown),
        ("a@other.test", DialOutcome::Unknown),
        ("12345", DialOutcome::Unknown),
    ] {
        assert_eq!(outcome(&bench, &call, party, answers).await.outcome, expected, "{party}");
    }
}

#[tokio::test]
async fn legs_and_participants_can_be_changed_and_dropped() {
    let (bench, _, call) = started().await;
    let legs = format!("calls/{call}/callLegs");
    let missing = "parameterError parameter=\"remoteParty\" error=\"invalidValue\"";
    bench.refused(Method::POST, &legs, Some("ownerId=a"), missing).await;
    bench.refused(Method::POST, "calls/x/callLegs", Some("remoteParty=a"), "callDoesNotExist").await;
    let leg = bench.make(&legs, "remoteParty=a@x&layout=stacked&rxAudioMute=true").await;
    let path = format!("callLegs/{leg}");
    assert_eq!(bench.get(&path).await.text("defaultLayout").as_deref(), Some("stacked"));
    bench.put(&path, "layout=allEqual").await;
    let got = bench.get(&path).await;
    assert_eq!((got.text("defaultLayout").as_deref(), got.text("chosenLayout")), (Some("allEqual"), None));
    for body in ["defaultLayout=stacked&layout=allEqual", "layout=allEqual&defaultLayout=stacked"] {
        bench.put(&path, "defaultLayout=").await;
        bench.put(&path, body).await;
        assert_eq!(bench.get(&path).await.text("defaultLayout").as_deref(), Some("stacked"), "{body}");
        let both = bench.make(&legs, &format!("remoteParty=b@x&{body}")).await;
        let got = bench.get(&format!("callLegs/{both}")).await;
        assert_eq!(got.text("defaultLayout").as_deref(), Some("stacked"), "{body}");
        bench.delete(&format!("callLegs/{both}")).await;
    }
    let bad = "parameterError parameter=\"dtmfSequence\" error=\"invalidValue\"";
    bench.refused(Method::PUT, &path, Some("dtmfSequence=hello"), bad).await;
    bench.put(&path, "rxAudioMute=false&nameLabelOverride=Desk&remoteParty=b@x&dtmfSequence=1,2").await;
    let got = bench.get(&path).await;
    assert_eq!((got.text("rxAudioMute").as_deref(), got.text("name").as_deref()), (Some("false"), Some("Desk")));
    assert_eq!(got.text("remoteParty").as_deref(), Some("a@x"));
    let long = format!("nameLabelOverride={}", "ä".repeat(26));
    let bad = "parameterError parameter=\"nameLabelOverride\" error=\"invalidValue\"";
    bench.refused(Method::PUT, &path, Some(&long), bad).await;
    assert_eq!(bench.post(&format!("{path}/generateKeyframe"), "").await.status, 200);
    assert_eq!(bench.put(&format!("{path}/cameraControl"), "pan=left").await.status, 200);
    let participant = bench.get(&format!("calls/{call}/participants")).await.ids().remove(0);
    let path = format!("participants/{participant}");
    bench.put(&path, "importance=5").await;
    let got = bench.get(&path).await;
    assert_eq!(got.text("importance").as_deref(), Some("5"));
    let order = format!("><call>{call}</call><numCallLegs>1</numCallLegs><name>Desk</name><uri>a@x</uri>");
    assert!(got.body.contains(&order) && got.text("canMove").as_deref() == Some("false"), "{got:?}");
    assert_eq!(bench.get(&format!("{path}/callLegs")).await.ids(), std::slice::from_ref(&leg));
    assert_eq!(bench.put(&format!("calls/{call}/participants/*"), "txAudioMute=true").await.status, 200);
    assert_eq!(bench.sim.legs()[0].fields["txAudioMute"], "true");
    let other = format!("txAudioMute=false&mode=exclude&filterIds={participant}");
    bench.put(&format!("calls/{call}/participants/*"), &other).await;
    assert_eq!(bench.sim.legs()[0].fields["txAudioMute"], "true");
    assert_eq!(bench.delete(&path).await.status, 200);
    bench.refused(Method::GET, &format!("callLegs/{leg}"), None, "callLegDoesNotExist").await;
    bench.refused(Method::GET, &path, None, "participantDoesNotExist").await;
    let got = bench.post(&format!("calls/{call}/participants"), "remoteParty=c@x").await;
    assert_eq!(got.location, Some(format!("/api/v1/participants/{}", got.id())));
    assert_eq!(bench.sim.dials().last().unwrap().remote_party, "c@x");
}

#[tokio::test]
async fn people_join_and_leave() {
    let bench = Bench::quick().await;
    let slot = bench.slots(1, 1).await.remove(0);
    assert_eq!(bench.sim.join("1", "anna", 0), Err(JoinError::Shut));
    assert_eq!(bench.sim.join("nope", "anna", 0), Err(JoinError::NoSuchSpace));
    bench.sim.edit_space("1", &[("nonMemberAccess", "true"), ("passcode", "77")]).unwrap();
    assert_eq!(bench.sim.join_with_passcode("1", "anna", 0, "78"), Err(JoinError::WrongPasscode));
    let joined = bench.sim.join_with_passcode("1@cms.test", "anna", 0, "77").unwrap();
    let calls = bench.sim.calls();
    assert_eq!((calls[0].space.as_deref(), calls[0].created_by_api, &calls[0].id), (Some(&*slot), false, &joined.call));
    assert_eq!(bench.sim.legs()[0].direction, Direction::Incoming);
    // A call of people ends with the last of them.
    assert!(bench.sim.leave("anna"));
    assert!(!bench.sim.leave("anna"));
    assert!(bench.sim.calls().is_empty());
    // A call of a POST does not.
    let call = bench.make("calls", &format!("coSpace={slot}")).await;
    let joined = bench.sim.join(&slot, "bob", 0).unwrap();
    assert_eq!(joined.call, call);
    assert!(bench.sim.leave(&joined.leg));
    assert_eq!(bench.sim.calls().len(), 1);
    bench.put(&format!("calls/{call}"), "locked=true").await;
    assert_eq!(bench.sim.join(&slot, "carl", 0), Err(JoinError::Locked));
    // A lock is not for members, unless the call profile has it for all.
    bench.make(&format!("coSpaces/{slot}/coSpaceUsers"), "userJid=mia").await;
    assert!(bench.sim.join(&slot, "mia", 0).is_ok());
    assert!(bench.sim.leave("mia"));
    for (mode, joins) in [("all", false), ("needsActivation", true)] {
        let profile = bench.make("callProfiles", &format!("lockMode={mode}")).await;
        bench.put(&format!("coSpaces/{slot}"), &format!("callProfile={profile}")).await;
        assert_eq!(bench.sim.join(&slot, "mia", 0).is_ok(), joins, "{mode}");
    }
    assert!(bench.sim.leave("mia"));
    let got = bench.get(&format!("calls/{call}")).await;
    assert_eq!((got.text("locked").as_deref(), got.text("maxCallLegs").as_deref()), (Some("true"), Some("1")));
    assert_eq!(got.text("callType").as_deref(), Some("coSpace"));
}

#[tokio::test]
async fn limits() {
    let (bench, slot, call) = started().await;
    let profile = bench.make("callProfiles", "participantLimit=1").await;
    bench.put(&format!("coSpaces/{slot}"), &format!("callProfile={profile}")).await;
    let legs = format!("calls/{call}/callLegs");
    bench.make(&legs, "remoteParty=a@x").await;
    bench.refused(Method::POST, &legs, Some("remoteParty=b@x"), "participantLimitReached").await;
    assert_eq!(bench.sim.join(&slot, "anna", 0), Err(JoinError::LimitReached));
    assert_eq!(bench.sim.join(&slot, "anna", 1), Err(JoinError::LimitReached));
    let tenant = bench.make("tenants", "name=t&participantLimit=1").await;
    bench.put(&format!("coSpaces/{slot}"), &format!("callProfile=&tenant={tenant}")).await;
    bench.refused(Method::POST, &legs, Some("remoteParty=b@x"), "tenantParticipantLimitReached").await;
    bench.put(&format!("coSpaces/{slot}"), "tenant=").await;
    bench.put("system/configuration/cluster", "participantLimit=1").await;
    bench.refused(Method::POST, &legs, Some("remoteParty=b@x"), "participantLimitReached").await;
}

/// 7.2: a refusal changes nothing, on no bridge; what is placed is placed where it was asked for, space or not.
#[tokio::test]
async fn participants_are_placed_where_it_is_asked_or_nowhere() {
    let (bench, slot, call) = started().await;
    let profile = bench.make("callProfiles", "participantLimit=1").await;
    bench.put(&format!("coSpaces/{slot}"), &format!("callProfile={profile}")).await;
    let other = bench.sim.call_bridge_id(1);
    let people = format!("calls/{call}/participants");
    bench.make(&people, "remoteParty=one@x").await;
    let two = format!("remoteParty=two@x&callBridge={other}");
    bench.refused(Method::POST, &people, Some(&two), "participantLimitReached").await;
    assert_eq!(bench.get_on(1, "calls").await.total(), 0);
    bench.delete(&format!("calls/{call}")).await;
    let call = bench.make("calls", "name=Ad hoc").await;
    bench.make(&format!("calls/{call}/participants"), &two).await;
    let (here, there) = (bench.sim.calls()[0].clone(), bench.sim.calls()[1].clone());
    assert_eq!((there.bridge, &there.correlator, there.legs), (1, &here.correlator, 1));
    // The other one sees it; the link between two bridges is no leg of the counters.
    assert_eq!(bench.get(&format!("calls/{call}/participants")).await.text("callBridge"), Some(other));
    bench.make(&format!("calls/{call}/callLegs"), "remoteParty=three@x").await;
    bench
        .sim
        .await_state(|sim| sim.dials().iter().filter(|dial| dial.answered.is_some()).count() >= 2, SOON)
        .await
        .unwrap();
    assert_eq!(bench.get("callLegs").await.total(), 2, "one is the link");
    let status = bench.get("system/status").await;
    for name in ["callLegsActive", "callLegsMaxActive"] {
        assert_eq!(status.text(name).as_deref(), Some("1"), "{name}");
    }
}

#[tokio::test]
async fn a_leg_ends_at_its_longest_duration() {
    let (bench, slot, call) = started().await;
    let profile = bench.make("callLegProfiles", "maxCallDurationTime=0").await;
    bench.put(&format!("coSpaces/{slot}"), &format!("callLegProfile={profile}")).await;
    let leg = bench.make(&format!("calls/{call}/callLegs"), "remoteParty=a@x").await;
    let trace = bench.get(&format!("callLegs/{leg}/callLegProfileTrace")).await;
    assert!(trace.body.contains(&profile) || trace.status == 400, "{trace:?}");
    bench.sim.await_state(|sim| sim.dials()[0].reason == Some("timeout"), SOON).await.unwrap();
}

#[tokio::test]
async fn a_deleted_profile_is_named_by_no_leg() {
    let (bench, _, call) = started().await;
    let profile = bench.make("callLegProfiles", "needsActivation=true").await;
    let leg = format!("remoteParty=a@x&callLegProfile={profile}");
    let leg = format!("callLegs/{}", bench.make(&format!("calls/{call}/callLegs"), &leg).await);
    let got = bench.get(&leg).await;
    assert_eq!(got.text("callLegProfile"), Some(profile.clone()));
    assert_eq!(
        (got.text("localAddress").as_deref(), got.text("canMove").as_deref()),
        (Some("1@cms.test"), Some("false"))
    );
    bench.delete(&format!("callLegProfiles/{profile}")).await;
    assert_eq!(bench.get(&leg).await.text("callLegProfile"), None);
}

#[tokio::test]
async fn ad_hoc_calls_and_delete_with_people() {
    let bench = Bench::quick().await;
    let call = bench.make("calls", "name=Ad hoc").await;
    let got = bench.get(&format!("calls/{call}")).await;
    assert_eq!((got.text("callType").as_deref(), got.text("coSpace")), (Some("adHoc"), None));
    bench.make(&format!("calls/{call}/callLegs"), "remoteParty=a@x").await;
    let gone = bench.delete(&format!("calls/{call}")).await;
    assert_eq!((gone.status, gone.body.as_str()), (200, ""));
    let dial = &bench.sim.dials()[0];
    assert_eq!(dial.reason, Some("callEnded"));
    assert!(bench.sim.legs().is_empty());
}
