//! Every switch does what it says, in its non-default position.

use std::time::Duration;

use reqwest::Method;

use super::{Bench, SOON, slot_body};
use crate::*;

async fn with(change: impl FnOnce(&mut Switches)) -> Bench {
    let bench = Bench::quick().await;
    bench.sim.update_switches(change);
    bench
}

/// A bench with a switch changed and an open slot with a call.
async fn started(change: impl FnOnce(&mut Switches)) -> (Bench, String, String) {
    let bench = with(change).await;
    let slot = bench.slots(1, 1).await.remove(0);
    bench.open(&slot, "Meeting", "s").await;
    let call = bench.make("calls", &format!("coSpace={slot}")).await;
    (bench, slot, call)
}

#[tokio::test]
async fn pages_and_order() {
    let bench = with(|s| {
        s.page_ceiling = 2;
        s.page_ceiling_calls = 1;
        s.page_ceilings.insert("tenants".to_owned(), 3);
    })
    .await;
    let slots = bench.slots(1, 5).await;
    for n in 0..4 {
        bench.make("tenants", &format!("name={n}")).await;
        bench.make("calls", &format!("name={n}")).await;
    }
    let sizes = [("coSpaces", 2), ("calls", 1), ("tenants", 3)];
    for (path, size) in sizes {
        assert_eq!(bench.get(&format!("{path}?limit=50")).await.ids().len(), size, "{path}");
    }
    bench.sim.update_switches(|s| {
        s.page_ceiling = 50;
        s.list_order = ListOrder::Shuffled;
    });
    let shuffled = bench.get("coSpaces").await.ids();
    assert_ne!(shuffled, slots);
    assert_eq!(bench.get("coSpaces").await.ids(), shuffled);
}

#[tokio::test]
async fn not_found_and_spelling() {
    let bench = with(|s| {
        s.not_found_status = 404;
        s.unrecognised_spelling = UnrecognisedSpelling::Z;
    })
    .await;
    assert_eq!(bench.get("calls/x").await.status, 404);
    let got = bench.get("nothing").await;
    assert!(got.status == 404 && got.body.contains("<unrecognizedObject />"));
}

#[tokio::test]
async fn unknown_parameters() {
    let bench = with(|s| s.unknown_parameter = UnknownParameter::Refused).await;
    let bad = "parameterError parameter=\"wish\" error=\"invalidValue\"";
    bench.refused(Method::POST, "coSpaces", Some("name=a&wish=1"), bad).await;
    assert!(bench.sim.spaces().is_empty());
}

#[tokio::test]
async fn forms_of_documents() {
    let bench = with(|s| {
        s.empty_tags = EmptyTags::SelfClosed;
        s.missing_declaration = MissingDeclaration::None;
        s.show_unset = true;
    })
    .await;
    assert_eq!(bench.get("calls").await.body, "<?xml version=\"1.0\"?><calls total=\"0\"/>");
    let space = bench.make("coSpaces", "name=a").await;
    assert!(bench.get(&format!("coSpaces/{space}")).await.body.contains("<passcode/>"));
    bench.sim.update_switches(|s| s.missing_declaration = MissingDeclaration::All);
    assert_eq!(bench.get("participants").await.body, "<participants total=\"0\"/>");
    assert_eq!(bench.get("calls/x").await.body, "<failureDetails><callDoesNotExist /></failureDetails>");
}

#[tokio::test]
async fn second_call_on_a_space() {
    let (bench, slot, call) = started(|_| {}).await;
    let body = format!("coSpace={slot}");
    assert_eq!(bench.make("calls", &body).await, call);
    assert!(!bench.sim.journal().last().unwrap().effect);
    bench.sim.update_switches(|s| s.second_call = SecondCall::NewId);
    assert_ne!(bench.make("calls", &body).await, call);
    assert_eq!(bench.sim.calls().len(), 2);
}

#[tokio::test]
async fn closing_with_people() {
    for (on_close, left) in [(OnClose::Stay, 2), (OnClose::Drop, 1)] {
        let (bench, slot, call) = started(|s| s.on_close = on_close).await;
        bench.sim.join(&slot, "anna", 0).unwrap();
        bench.make(&format!("calls/{call}/callLegs"), "remoteParty=desk@x").await;
        bench.close(&slot).await;
        assert_eq!(bench.sim.legs().len(), left, "{on_close:?}");
    }
}

#[tokio::test]
async fn sync_switches() {
    let bench = with(|s| s.unknown_set = UnknownSet::Refused).await;
    let element = "cospaceBulkParameterSetDoesNotExist";
    bench.refused(Method::POST, "cospaceBulkSyncs", Some("cospaceBulkParameterSet=x"), element).await;

    let bench = with(|s| {
        s.bulk_call_leg_profile = false;
        s.delete_set_removes_spaces = true;
    })
    .await;
    let profile = bench.make("callLegProfiles", "").await;
    let set = bench.make("cospaceBulkParameterSets", &format!("{}&callLegProfile={profile}", slot_body(1, 2))).await;
    assert_eq!(bench.sync(&format!("cospaceBulkParameterSet={set}")).await, "complete");
    assert!(bench.sim.spaces().iter().all(|s| !s.fields.contains_key("callLegProfile")));
    bench.delete(&format!("cospaceBulkParameterSets/{set}")).await;
    assert!(bench.sim.spaces().is_empty());

    let bench = with(|s| s.sync_removes_first = true).await;
    let set = bench.make("cospaceBulkParameterSets", &slot_body(1, 2)).await;
    let body = format!("cospaceBulkParameterSet={set}");
    assert_eq!(bench.sync(&body).await, "complete");
    // 2 spaces at 10 ms and the whole second for the last state.
    bench.sim.update_switches(|s| s.sync_running_ms = 60_000);
    bench.make("cospaceBulkSyncs", &body).await;
    bench.sim.await_state(|sim| sim.spaces().is_empty(), SOON).await.unwrap();
    bench.sim.update_switches(|s| {
        s.sync_running_ms = 1;
        s.sync_per_space_us = 100_000;
    });
    let begun = std::time::Instant::now();
    assert_eq!(bench.sync(&body).await, "complete");
    assert!(begun.elapsed() >= Duration::from_millis(100));
}

#[tokio::test]
async fn rules_for_passcodes_and_names() {
    let bench = with(|s| {
        s.passcode_rule = PasscodeRule::DigitsOnly;
        s.passcode_length = 6;
        s.name_length = 64;
        s.name_required = true;
    })
    .await;
    let bad = |name: &str| format!("parameterError parameter=\"{name}\" error=\"invalidValue\"");
    for (body, parameter) in [
        ("name=a&passcode=12x".to_owned(), "passcode"),
        ("name=a&passcode=1234567".to_owned(), "passcode"),
        (format!("name={}", "x".repeat(65)), "name"),
        ("uri=u".to_owned(), "name"),
    ] {
        bench.refused(Method::POST, "coSpaces", Some(&body), &bad(parameter)).await;
    }
    bench.make("coSpaces", &format!("passcode=123456&name={}", "ä".repeat(64))).await;
}

#[tokio::test]
async fn renaming_deleting_and_secrets() {
    let (bench, slot, call) = started(|s| {
        s.rename_reaches_call = true;
        s.delete_space_ends_call = false;
        s.secret_and_regenerate = SecretAndRegenerate::RegenerateWins;
    })
    .await;
    bench.put(&format!("coSpaces/{slot}"), "name=New&secret=mine&regenerateSecret=true").await;
    assert_eq!(bench.get(&format!("calls/{call}")).await.text("name").as_deref(), Some("New"));
    assert_eq!(bench.sim.spaces()[0].secret.as_ref().unwrap().len(), 22);
    bench.delete(&format!("coSpaces/{slot}")).await;
    assert_eq!(bench.sim.calls().len(), 1);
    let (bench, slot, call) = started(|_| {}).await;
    bench.put(&format!("coSpaces/{slot}"), "name=New&secret=mine&regenerateSecret=true").await;
    assert_eq!(bench.get(&format!("calls/{call}")).await.text("name").as_deref(), Some("Meeting"));
    assert_eq!(bench.sim.spaces()[0].secret.as_deref(), Some("mine"));
    bench.delete(&format!("coSpaces/{slot}")).await;
    assert!(bench.sim.calls().is_empty());
}

#[tokio::test]
async fn deleting_calls() {
    let (bench, slot, call) = started(|s| {
        s.delete_call = DeleteCall::AllInstances;
        s.delete_reason = DeleteReason::ApiInitiatedTeardown;
        s.distribution_links = false;
    })
    .await;
    bench.make(&format!("calls/{call}/callLegs"), "remoteParty=a@x").await;
    bench.sim.join(&slot, "anna", 1).unwrap();
    assert_eq!(bench.sim.legs().len(), 2);
    bench.delete(&format!("calls/{call}")).await;
    assert!(bench.sim.calls().is_empty());
    assert_eq!(bench.sim.dials()[0].reason, Some("apiInitiatedTeardown"));
}

#[tokio::test]
async fn database_switches() {
    let (bench, slot, _) = started(|s| s.write_without_primary = WriteWithoutPrimary::DatabaseNotReady).await;
    bench.sim.set_database_primary(false);
    bench.refused(Method::PUT, &format!("coSpaces/{slot}"), Some("name=a"), "databaseNotReady").await;
    bench.sim.update_switches(|s| {
        s.write_without_primary = WriteWithoutPrimary::Hang;
        s.read_without_primary = ReadWithoutPrimary::Hang;
    });
    for method in [Method::GET, Method::PUT] {
        let url = format!("https://{}/api/v1/coSpaces/{slot}", bench.sim.address(0));
        let request = bench.client.request(method, url).basic_auth("admin", Some("cisco"));
        assert!(request.timeout(Duration::from_millis(100)).send().await.unwrap_err().is_timeout());
    }
}

#[tokio::test]
async fn writes_reach_peers_late() {
    let bench = Bench::quick().await;
    let old = bench.make("coSpaces", "name=old").await;
    let gone = bench.make("coSpaces", "name=gone").await;
    bench.sim.update_switches(|s| s.propagation_ms = 3_600_000);
    bench.put(&format!("coSpaces/{old}"), "name=new").await;
    bench.delete(&format!("coSpaces/{gone}")).await;
    let fresh = bench.make("coSpaces", "name=fresh").await;
    assert_eq!(bench.get("coSpaces").await.ids(), [old.clone(), fresh.clone()]);
    let there = bench.get_on(1, "coSpaces").await;
    assert_eq!(there.ids(), [old.clone(), gone.clone()]);
    assert_eq!(there.text("name").as_deref(), Some("old"));
    assert_eq!(bench.get_on(1, &format!("coSpaces/{fresh}")).await.status, 400);
    assert_eq!(bench.get_on(1, &format!("coSpaces/{gone}")).await.status, 200);
    bench.sim.update_switches(|s| s.propagation_ms = 50);
    bench.put(&format!("coSpaces/{old}"), "name=newer").await;
    tokio::time::sleep(Duration::from_millis(60)).await;
    assert_eq!(bench.get_on(1, &format!("coSpaces/{old}")).await.text("name").as_deref(), Some("newer"));
}

#[tokio::test]
async fn lost_replies() {
    let bench = with(|s| s.lose_reply_every = 2).await;
    assert_eq!(bench.post("coSpaces", "name=a").await.status, 200);
    assert!(bench.try_send(0, Method::POST, "coSpaces", Some("name=b")).await.is_err());
    assert_eq!(bench.get("coSpaces").await.total(), 2);
    assert_eq!(bench.post("coSpaces", "name=c").await.status, 200);
}

#[tokio::test]
async fn lockout() {
    let bench = with(|s| {
        s.lockout_after = 2;
        s.lockout_ms = 3_600_000;
    })
    .await;
    let url = format!("https://{}/api/v1/calls", bench.sim.address(0));
    for _ in 0..2 {
        let got = bench.client.get(&url).basic_auth("admin", Some("wrong")).send().await.unwrap();
        assert_eq!(got.status(), 401);
    }
    assert_eq!(bench.get("calls").await.status, 401);
    bench.sim.update_switches(|s| s.lockout_after = 0);
    assert_eq!(bench.get("calls").await.status, 200, "no lock without lockout");
    bench.sim.set_password("other");
    assert_eq!(bench.get("calls").await.status, 200);
}

#[tokio::test]
async fn secrets_with_dots() {
    let bench = with(|s| s.dotted_secrets = true).await;
    let space = bench.make("coSpaces", "callId=1").await;
    let secret = bench.get(&format!("coSpaces/{space}")).await.text("secret").unwrap();
    assert!(secret.len() == 22 && secret[5..].starts_with('.'), "{secret}");
    assert!(secret.chars().all(|c| c.is_ascii_alphanumeric() || c == '.'), "{secret}");
}

#[tokio::test]
async fn connections_and_tokens() {
    let bench = with(|s| {
        s.keep_alive = false;
        s.token_life_ms = 300_000;
        s.token_single_use = false;
    })
    .await;
    assert_eq!(bench.get("calls").await.headers["connection"], "close");
    let token = bench.post("authTokens", "").await.headers["x-cisco-cms-auth-token"].to_str().unwrap().to_owned();
    let events = format!("https://{}/events/v1?authToken=", bench.sim.address(0));
    let status =
        async |token: &str| bench.client.get(format!("{events}{token}")).send().await.unwrap().status().as_u16();
    assert_eq!(status("wrong").await, 401);
    assert_eq!((status(&token).await, status(&token).await), (501, 501));
    bench.sim.update_switches(|s| s.token_single_use = true);
    assert_eq!((status(&token).await, status(&token).await), (501, 401));
    bench.sim.update_switches(|s| s.token_life_ms = 0);
    let late = bench.post("authTokens", "").await.headers["x-cisco-cms-auth-token"].to_str().unwrap().to_owned();
    assert_eq!(status(&late).await, 401);
}

#[tokio::test]
async fn participants_of_the_whole_cluster() {
    let (bench, slot, _) = started(|_| {}).await;
    bench.sim.join(&slot, "anna", 0).unwrap();
    assert_eq!(bench.get_on(1, "participants").await.total(), 0);
    bench.sim.update_switches(|s| s.participant_scope = ParticipantScope::WholeCluster);
    let list = bench.get_on(1, "participants").await;
    assert_eq!((list.total(), list.text("callBridge")), (1, Some(bench.sim.call_bridge_id(0))));
}

#[tokio::test]
async fn dialing_without_rules_and_filters_with_case() {
    let (bench, _, call) = started(|s| {
        s.outbound_rule_required = true;
        s.filter_ignores_case = false;
        s.load_per_leg = 7;
        s.activated = false;
    })
    .await;
    bench.make(&format!("calls/{call}/callLegs"), "remoteParty=a@x").await;
    bench.sim.await_state(|sim| sim.dials()[0].outcome == DialOutcome::Unknown, SOON).await.unwrap();
    assert_eq!(bench.get("coSpaces?filter=MEETING").await.total(), 0);
    assert_eq!(bench.get("coSpaces?filter=Meeting").await.total(), 1);
    bench.sim.join("1", "anna", 0).unwrap();
    assert_eq!(bench.get("system/load").await.text("mediaProcessingLoad").as_deref(), Some("7"));
    assert_eq!(bench.get("system/status").await.text("activated").as_deref(), Some("false"));
}

#[test]
fn switches_read_from_json() {
    let switches: Switches = serde_json::from_str(r#"{"notFoundStatus":404,"secondCall":"newId"}"#).unwrap();
    assert_eq!((switches.not_found_status, switches.second_call), (404, SecondCall::NewId));
    assert!(serde_json::from_str::<Switches>(r#"{"noSuchSwitch":1}"#).is_err());
}

#[tokio::test]
async fn far_ends_gain_parameters() {
    let (bench, _, call) = started(|s| s.remote_party_gains = ";x-cisco-number=1".to_owned()).await;
    let leg = bench.make(&format!("calls/{call}/callLegs"), "remoteParty=a@x").await;
    bench.sim.await_state(|sim| sim.dials()[0].outcome == DialOutcome::Answered, SOON).await.unwrap();
    let got = bench.get(&format!("callLegs/{leg}")).await;
    assert_eq!(got.text("remoteParty").as_deref(), Some("a@x;x-cisco-number=1"));
    assert_eq!(got.text("originalRemoteParty").as_deref(), Some("a@x"));
    assert!(bench.sim.leave("a@x"));
}

#[tokio::test]
async fn errors_without_words() {
    let bench = with(|s| {
        s.failure_details = false;
        s.bodiless_type = "text/html".to_owned();
        s.challenge_realm = "CMS".to_owned();
        s.not_found_status = 404;
    })
    .await;
    for (path, status) in [("calls/x", 404), ("coSpaces?limit=x", 400)] {
        let got = bench.get(path).await;
        assert_eq!((got.status, got.body.as_str()), (status, ""), "{path}");
        assert_eq!(got.headers["content-type"], "text/html");
    }
    let made = bench.post("coSpaces", "name=a").await;
    assert_eq!((made.status, made.headers["content-type"].to_str().unwrap()), (200, "text/html"));
    assert_eq!(bench.get("coSpaces").await.headers["content-type"], "text/xml");
    let url = format!("https://{}/api/v1/coSpaces", bench.sim.address(0));
    let refused = bench.client.get(url).send().await.unwrap();
    assert_eq!(refused.headers()["www-authenticate"], "Basic realm=\"CMS\"");
}

#[tokio::test]
async fn errors_in_the_words_of_a_framework() {
    let bench = with(|s| {
        s.failure_details = false;
        s.plain_errors = "{\"detail\":\"Not Found\"}".to_owned();
        s.bodiless_type = "application/json".to_owned();
        s.not_found_status = 404;
        s.indented = true;
    })
    .await;
    for (path, status) in [("calls/x", 404), ("nowhere", 404), ("coSpaces?limit=x", 400)] {
        let got = bench.get(path).await;
        assert_eq!((got.status, got.body.as_str()), (status, "{\"detail\":\"Not Found\"}"), "{path}");
        assert_eq!(got.headers["content-type"], "application/json");
    }
    assert_eq!(bench.get("coSpaces").await.headers["content-type"], "text/xml");
    bench.sim.set_database_primary(false);
    let busy = bench.get("coSpaces").await;
    assert_eq!((busy.status, busy.body.as_str()), (503, ""), "that is no word of a framework");
}

/// The guide spells it so in two places.
#[tokio::test]
async fn the_guides_spelling_of_call_legs() {
    let (bench, _, call) = started(|_| {}).await;
    let made = bench.post(&format!("calls/{call}/callegs"), "remoteParty=a@x").await;
    assert_eq!(made.location.as_deref(), Some(format!("/api/v1/callLegs/{}", made.id()).as_str()));
    assert_eq!(bench.get("callegs").await.ids(), [made.id()]);
    assert_eq!(bench.sim.journal().last().unwrap().route, "callLegs");
    let odd = check::check(&bench.sim, &check::Expectation::default());
    let told: Vec<_> = odd.iter().filter(|v| v.rule == check::Rule::Oddity).collect();
    assert_eq!((told.len(), told[0].severity), (2, check::Severity::Info), "{odd:?}");
    bench.sim.update_switches(|s| s.guides_spelling = false);
    bench.refused(Method::GET, "callegs", None, "unrecognisedObject").await;
}

#[tokio::test]
async fn a_set_that_says_the_same_of_each_space_is_odd() {
    let bench = Bench::quick().await;
    let odd = |bench: &Bench| {
        let found = check::check(&bench.sim, &check::Expectation::default());
        found.into_iter().filter(|v| v.rule == check::Rule::Oddity).map(|v| v.message).collect::<Vec<_>>()
    };
    bench.make("cospaceBulkParameterSets", &slot_body(1, 5)).await;
    bench.make("cospaceBulkParameterSets", "startIndex=7&endIndex=7&coSpaceUriMapping=7").await;
    assert!(odd(&bench).is_empty());
    bench.make("cospaceBulkParameterSets", &slot_body(1, 5).replace("$index$", "")).await;
    let told = odd(&bench);
    assert!(told.len() == 1 && told[0].contains("coSpaceNameMapping without $index$"), "{told:?}");
}

#[tokio::test]
async fn the_number_of_access_methods_can_be_kept_back() {
    let bench = Bench::quick().await;
    let space = bench.make("coSpaces", "name=a").await;
    bench.make(&format!("coSpaces/{space}/accessMethods"), "callId=7").await;
    let shown = async || bench.get(&format!("coSpaces/{space}")).await.text("numAccessMethods");
    assert_eq!(shown().await.as_deref(), Some("1"));
    bench.sim.update_switches(|s| s.space_hides = ["numAccessMethods".to_owned()].into());
    assert_eq!(shown().await, None);
}

#[tokio::test]
async fn a_parameter_of_a_profile_can_be_taken_and_dropped() {
    let bench = with(|s| s.profile_drops = ["sipMediaEncryption".to_owned()].into()).await;
    let body = "sipMediaEncryption=required&rxAudioMute=true";
    let profile = format!("callLegProfiles/{}", bench.make("callLegProfiles", body).await);
    let shown = async || bench.get(&profile).await.text("sipMediaEncryption").filter(|shown| !shown.is_empty());
    bench.put(&profile, body).await;
    assert_eq!((shown().await, bench.get(&profile).await.text("rxAudioMute").as_deref()), (None, Some("true")));
    bench.sim.update_switches(|s| s.profile_drops.clear());
    bench.put(&profile, body).await;
    assert_eq!(shown().await.as_deref(), Some("required"));
}

#[tokio::test]
async fn a_body_that_ends_with_its_connection() {
    let bench = with(|s| s.ends_by_closing = true).await;
    let url = format!("https://{}/api/v1/system/status", bench.sim.address(0));
    let request = bench.client.get(url).basic_auth(bench.sim.username(), Some(bench.sim.password()));
    let mut got = request.send().await.unwrap();
    assert!(!got.headers().contains_key("content-length") && !got.headers().contains_key("transfer-encoding"));
    let mut body = Vec::new();
    let end = loop {
        match got.chunk().await {
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            end => break end,
        }
    };
    assert!(end.is_err(), "no goodbye: {end:?}");
    assert!(String::from_utf8(body).unwrap().ends_with("</status>"));
    let made = bench.post("coSpaces", "name=a").await;
    assert_eq!((made.status, made.body.as_str()), (200, ""), "what has no body is measured");
}

#[tokio::test]
async fn what_not_every_bridge_knows() {
    let bench = with(|s| {
        s.cluster_configuration = false;
        s.bulk_refused = vec!["callLegProfile".to_owned()];
        s.unknown_words = ["onePlusN".to_owned()].into();
    })
    .await;
    let bad = "parameterError parameter=\"defaultLayout\" error=\"invalidValue\"";
    bench.refused(Method::POST, "callLegProfiles", Some("defaultLayout=onePlusN"), bad).await;
    let node = "system/configuration/cluster";
    bench.refused(Method::GET, node, None, "unrecognisedObject").await;
    bench.refused(Method::PUT, node, Some("uniqueName=x"), "unrecognisedObject").await;
    let profile = bench.make("callLegProfiles", "").await;
    let body = format!("{}&calllegprofile={profile}", slot_body(1, 2));
    let refused = "parameterError parameter=\"callLegProfile\" error=\"invalidValue\"";
    bench.refused(Method::POST, "cospaceBulkParameterSets", Some(&body), refused).await;
    bench.make("cospaceBulkParameterSets", &slot_body(1, 2)).await;
    let unused = || async { bench.get("callLegProfiles?usageFilter=referenced").await.ids() };
    assert!(unused().await.is_empty());
    bench.sim.update_switches(|s| s.usage_filter = UsageFilter::Ignored);
    assert_eq!(unused().await, [profile]);
    bench.sim.update_switches(|s| s.usage_filter = UsageFilter::Refused);
    let refused = "parameterError parameter=\"usageFilter\" error=\"invalidValue\"";
    bench.refused(Method::GET, "callLegProfiles?usageFilter=unreferenced", None, refused).await;
    assert_eq!(bench.get("callLegProfiles").await.total(), 1);
}
