//! Trouble with credentials, certificates, the network and the bridge: each has its reason, and ends by itself (R6, R12, R39).

use std::time::Duration;

use cms_simulator::{Config, Fault, FaultKind, JournalEntry, WriteWithoutPrimary};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use meeting_controller::api::MeetingBridge;
use meeting_controller::config::settings::Settings;
use reqwest::Method;
use serde_json::json;

use crate::bridge_kit::*;
use crate::kit::*;
use crate::meetings::{lone, slot_of};

/// One request a second at most is patience enough for a simulator in this process.
fn hasty() -> Settings {
    let mut settings = brisk();
    settings.limits.connect = Duration::from_secs(1);
    settings.limits.request = Duration::from_secs(1);
    settings
}

async fn set_password(arena: &Arena, password: &str) {
    arena.patch::<Secret>("cms", json!({ "stringData": { "password": password } })).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_is_tried_once_and_mended_without_a_restart() {
    let arena = Arena::with("bad-password", lone(), brisk()).await;
    arena.connect().await;
    set_password(&arena, "wrong").await;
    arena.create_bridge("core", json!({})).await;
    let bridge = arena.reason("core", "CredentialsValid", "Unauthorized").await;
    assert_eq!(condition(&bridge, "Ready"), ("False", "Unauthorized"));
    assert_eq!(condition(&bridge, "Stalled"), ("True", "Unauthorized"), "only the user can mend it");
    assert_eq!(condition(&bridge, "Reachable").0, "True", "the network is not to blame");
    assert_eq!(condition(&bridge, "Recognized").0, "Unknown");
    // Several probes and passes later it still is the only request.
    let reason = |bridge: &MeetingBridge| condition(bridge, "CredentialsValid").1.to_owned();
    for token in ["a", "b", "c"] {
        arena.patch::<MeetingBridge>("core", json!({ "spec": { "displayName": token } })).await;
        let seen = arena.bridge("core", "judged again", |b| b.observed() == b.metadata.generation).await;
        assert_eq!(reason(&seen), "Unauthorized");
    }
    assert_eq!(arena.journal_lines(), ["GET system/status 401"]);
    // Another wrong one is tried once, too.
    set_password(&arena, "wrong again").await;
    arena.answered(2).await;
    set_password(&arena, &arena.sim.password()).await;
    arena.ready("core").await;
    let refused = arena.requests().iter().filter(|entry| entry.status == Some(401)).count();
    assert_eq!(refused, 2, "{:?}", arena.journal_lines());
    arena.assert_rules(1..=5);
    arena.finish().await;
}

/// The Secret is changed before the bridge: one request tells that the new password is refused, and nobody loses a meeting.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_that_is_ahead_of_the_bridge_costs_one_refusal_and_no_meeting() {
    let arena = Arena::with("ahead", lone(), brisk()).await;
    arena.ready_bridge(json!({})).await;
    arena.open_now("m", 120, json!({})).await;
    arena.says("m", "Ready", "True", "Active").await;
    arena.sim.clear_journal();
    set_password(&arena, "renewed").await;
    let bridge = arena.reason("core", "CredentialsValid", "NewCredentialsRefused").await;
    assert_eq!(condition(&bridge, "Ready").0, "True", "what works goes on");
    // A meeting that begins meanwhile does.
    arena.open_now("n", 120, json!({})).await;
    arena.says("n", "Ready", "True", "Active").await;
    arena.says("m", "Ready", "True", "Active").await;
    assert_eq!(arena.refusals(), 1, "{:#?}", arena.journal_lines());
    // Another edit of the Secret is another try.
    set_password(&arena, "renewed once more").await;
    arena.await_requests("tried", |all| all.iter().filter(|e| e.status == Some(401)).count() == 2).await;
    arena.sim.set_password("renewed once more");
    arena.bridge("core", "taken", |bridge| condition(bridge, "CredentialsValid").0 == "True").await;
    arena.ready("core").await;
    arena.says("m", "Ready", "True", "Active").await;
    assert!(arena.refusals() <= 4, "{:#?}", arena.journal_lines());
    // And what the bridge has at once is taken without a word.
    arena.sim.clear_journal();
    arena.sim.set_password("the third");
    set_password(&arena, "the third").await;
    let is_used =
        |all: &[JournalEntry]| all.iter().rev().take(3).all(|entry| entry.status == Some(200)) && all.len() > 3;
    arena.await_requests("used", |all| is_used(all)).await;
    arena.ready("core").await;
    assert!(arena.refusals() <= 2, "{:#?}", arena.journal_lines());
    arena.assert_rules(1..=5);
    arena.finish().await;
}

/// Each call bridge has its own users: the new password was set on one of the two. Nobody loses a meeting by it, the other
/// one is named, and asked once. (Were it the primary that had the new one first, a probe before the Secret is changed would
/// rightly move the requests.)
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_password_that_one_of_two_call_bridges_refuses_costs_no_meeting() {
    let refusing = 0;
    let config = Config { bridges: 2, ..Config::default() };
    let arena = Arena::with("half", config, brisk()).await;
    let alternate = json!({ "alternates": [{ "address": arena.sim.address(1) }] });
    arena.ready_bridge(json!({ "failover": alternate })).await;
    arena.bridge("core", "both are known", |b| reachable(b) == 2).await;
    arena.open_now("m", 600, json!({})).await;
    arena.says("m", "Ready", "True", "Active").await;
    let calls = arena.sim.calls();
    arena.sim.clear_journal();
    arena.sim.set_password_on(1 - refusing, "renewed");
    set_password(&arena, "renewed").await;
    let told = arena.reason("core", "CredentialsValid", "NewCredentialsRefused").await;
    let (named, other) = (arena.sim.address(refusing), arena.sim.address(1 - refusing));
    let words = message(&told, "CredentialsValid");
    assert!(words.contains(&named) && !words.contains(&other), "{words}");
    assert_eq!(condition(&told, "Ready").0, "True", "what works goes on");
    // Passes and probes later nothing more was tried, not for another version of the same words either, and meetings begin and
    // go on.
    arena.patch::<Secret>("cms", json!({ "metadata": { "annotations": { "touched": "once" } } })).await;
    arena.open_now("n", 600, json!({})).await;
    arena.says("n", "Ready", "True", "Active").await;
    arena.patch::<MeetingBridge>("core", json!({ "spec": { "displayName": "look" } })).await;
    let is_seen = |b: &MeetingBridge| b.observed() == b.metadata.generation && reachable(b) == 2;
    let seen = arena.bridge("core", "looked at, and both answer", is_seen).await;
    assert_eq!(condition(&seen, "FailedOver"), ("", ""), "{words}");
    let refusals = |of: usize| arena.requests().iter().filter(|e| e.bridge == of && e.status == Some(401)).count();
    assert_eq!(refusals(refusing), 1, "{:#?}", arena.journal_lines());
    assert!(refusals(1 - refusing) <= 1, "{:#?}", arena.journal_lines());
    assert_eq!(arena.sim.calls().iter().filter(|call| calls.contains(call)).count(), calls.len());
    // Whoever asks for a look asks for another try.
    ask_full_look(&arena, "look").await;
    let tries = |all: &[JournalEntry]| all.iter().filter(|e| e.bridge == refusing && e.status == Some(401)).count();
    arena.await_requests("tried once more", |all| tries(all) == 2).await;
    // It gets the password as well.
    arena.sim.set_password_on(refusing, "renewed");
    arena.bridge("core", "taken", |b| condition(b, "CredentialsValid").0 == "True" && reachable(b) == 2).await;
    for name in ["m", "n"] {
        arena.says(name, "Ready", "True", "Active").await;
    }
    arena.assert_rules(1..=5);
    arena.finish().await;
}

/// How many call bridges answer.
fn reachable(bridge: &MeetingBridge) -> usize {
    let call_bridges = bridge.status.iter().flat_map(|status| &status.call_bridges);
    call_bridges.filter(|known| known.reachable == Some(true) && known.reason.is_none()).count()
}

/// API passwords expire after six months: one more request confirms it, and then there is silence.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_that_expires_is_confirmed_once() {
    let arena = Arena::with("expired", lone(), brisk()).await;
    arena.ready_bridge(json!({})).await;
    arena.sim.clear_journal();
    arena.sim.set_password("renewed");
    arena.patch::<MeetingBridge>("core", json!({ "spec": { "displayName": "look" } })).await;
    ask_full_look(&arena, "now").await;
    arena.reason("core", "CredentialsValid", "Unauthorized").await;
    let refused = arena.requests().iter().filter(|entry| entry.status == Some(401)).count();
    assert_eq!(refused, 2, "{:?}", arena.journal_lines());
    set_password(&arena, "renewed").await;
    arena.ready("core").await;
    arena.assert_rules(1..=5);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_secret_or_key_is_named_and_waited_for() {
    let arena = Arena::with("no-secret", lone(), patient()).await;
    arena.connect().await;
    arena.delete::<Secret>("cms").await;
    arena.create_bridge("core", json!({})).await;
    let bridge = arena.reason("core", "CredentialsValid", "SecretNotFound").await;
    assert!(message(&bridge, "Ready").contains("cms"), "{}", message(&bridge, "Ready"));
    assert_eq!(condition(&bridge, "Stalled"), ("True", "SecretNotFound"));
    let secret: Secret = serde_json::from_value(json!({
        "metadata": { "name": "cms" }, "stringData": { "username": arena.sim.username() }
    }))
    .unwrap();
    arena.api::<Secret>().create(&Default::default(), &secret).await.unwrap();
    let bridge = arena.reason("core", "CredentialsValid", "KeyMissing").await;
    assert!(message(&bridge, "Ready").contains("password"), "{}", message(&bridge, "Ready"));
    assert_eq!(arena.journal_lines(), Vec::<String>::new());
    // As an editor and `kubectl create secret --from-file` leave it.
    set_password(&arena, &format!("\u{feff}{}\n", arena.sim.password())).await;
    arena.ready("core").await;
    arena.assert_rules(1..=5);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_ca_is_a_tls_failure_until_the_config_map_is_mended() {
    let arena = Arena::with("bad-ca", lone(), brisk()).await;
    let other = cms_simulator::Simulator::start(lone()).await.unwrap();
    arena.connect().await;
    arena.patch::<ConfigMap>("cms-ca", json!({ "data": { "ca.crt": other.ca_pem() } })).await;
    arena.create_bridge("core", json!({})).await;
    let bridge = arena.reason("core", "Reachable", "TLSFailure").await;
    assert_eq!(condition(&bridge, "Ready"), ("False", "TLSFailure"));
    assert_eq!(arena.journal_lines(), Vec::<String>::new(), "no password goes to a stranger");
    arena.patch::<ConfigMap>("cms-ca", json!({ "data": { "ca.crt": "no certificate" } })).await;
    let unusable = |b: &MeetingBridge| message(b, "Reachable") != message(&bridge, "Reachable");
    let bridge = arena.bridge("core", "told otherwise", unusable).await;
    assert_eq!(condition(&bridge, "Reachable"), ("False", "TLSFailure"));
    arena.patch::<ConfigMap>("cms-ca", json!({ "data": { "ca.crt": arena.sim.ca_pem() } })).await;
    arena.ready("core").await;
    arena.assert_rules(1..=5);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_name_in_the_certificate_can_be_given() {
    let arena = Arena::with("tls-name", lone(), brisk()).await;
    arena.connect().await;
    arena.create_bridge("core", json!({ "tls": { "serverName": "other.cms.test" } })).await;
    let bridge = arena.reason("core", "Reachable", "TLSFailure").await;
    assert_eq!(condition(&bridge, "InsecureTLS"), ("", ""));
    arena.patch::<MeetingBridge>("core", json!({ "spec": { "tls": { "serverName": "bridge-1.cms.test" } } })).await;
    arena.ready("core").await;
    arena.assert_rules(1..=5);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn skipping_the_verification_shows() {
    let arena = Arena::with("tls-insecure", lone(), brisk()).await;
    arena.connect().await;
    let other = cms_simulator::Simulator::start(lone()).await.unwrap();
    arena.patch::<ConfigMap>("cms-ca", json!({ "data": { "ca.crt": other.ca_pem() } })).await;
    arena.create_bridge("core", json!({ "tls": { "insecureSkipVerify": true } })).await;
    let bridge = arena.ready("core").await;
    assert_eq!(condition(&bridge, "InsecureTLS"), ("True", "VerificationOff"));
    arena.patch::<MeetingBridge>("core", json!({ "spec": { "tls": { "insecureSkipVerify": false } } })).await;
    let bridge = arena.reason("core", "Reachable", "TLSFailure").await;
    assert_eq!(condition(&bridge, "InsecureTLS"), ("", ""));
    arena.assert_rules(1..=5);
    arena.finish().await;
}

/// A bridge that is not there, or not this one: the reason, then the mended address.
async fn wrong_address(address: &str, kind: &str, reason: &str) {
    let arena = Arena::with(&format!("addr-{}", reason.to_lowercase()), lone(), hasty()).await;
    arena.connect().await;
    arena.create_bridge("core", json!({ "address": address, "tls": { "insecureSkipVerify": true } })).await;
    let bridge = arena.reason("core", kind, reason).await;
    assert_eq!(condition(&bridge, "Ready"), ("False", reason));
    assert_eq!(bridge.status.as_ref().unwrap().call_bridges[0].reachable, Some(kind != "Reachable"), "{reason}");
    arena.patch::<MeetingBridge>("core", json!({ "spec": { "address": arena.sim.address(0) } })).await;
    arena.ready("core").await;
    arena.assert_rules(1..=5);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_address_is_told_apart() {
    let page = crate::stranger::start("text/html", "<!DOCTYPE html><html><body>Hello</body></html>").await;
    let xml = crate::stranger::start("text/xml", "<?xml version=\"1.0\"?><rss><channel></channel></rss>").await;
    let endless = crate::stranger::endless().await;
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let never_accepts = silent.local_addr().unwrap().to_string();
    tokio::join!(
        wrong_address("no-such-host.invalid:445", "Reachable", "DNSFailure"),
        wrong_address("127.0.0.1:1", "Reachable", "ConnectionRefused"),
        wrong_address(&never_accepts, "Reachable", "ConnectTimeout"),
        wrong_address(&page, "Recognized", "NotACMS"),
        wrong_address(&xml, "Recognized", "MalformedReply"),
        wrong_address(&endless, "Recognized", "MalformedReply"),
    );
}

/// Neither by the spec, nor by what the bridge itself says of its cluster.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_that_no_bridge_may_have_is_sent_nothing() {
    let arena = Arena::with("addr-refused", Config { bridges: 2, ..Config::default() }, hasty()).await;
    arena.connect().await;
    arena.create_bridge("core", json!({ "address": "169.254.169.254" })).await;
    let bridge = arena.reason("core", "Reachable", "AddressRefused").await;
    assert_eq!(condition(&bridge, "Stalled"), ("True", "AddressRefused"));
    // Another address of this host than the one that is allowed, on which the simulator would be found as well.
    let port = arena.sim.address(1).rsplit_once(':').expect("a port").1.to_owned();
    let aside = format!("127.0.0.2:{port}");
    let other = format!("callBridges/{}", arena.sim.call_bridge_id(1));
    arena.ask(Method::PUT, &other, &format!("address=https://{aside}")).await;
    let good = json!({ "spec": { "address": arena.sim.address(0), "failover": { "discover": true } } });
    arena.patch::<MeetingBridge>("core", good).await;
    arena.ready("core").await;
    arena
        .bridge("core", "refuses the other call bridge", |bridge| {
            let shown = bridge.status.iter().flat_map(|status| &status.call_bridges);
            shown.clone().any(|one| one.address == aside && one.reason.as_deref() == Some("AddressRefused"))
        })
        .await;
    assert!(arena.sim.journal().iter().all(|entry| entry.bridge == 0), "nothing was sent to the other one");
    arena.assert_rules(1..=5);
    arena.finish().await;
}

/// Something goes wrong with every request of a settled bridge, and then no more.
async fn passing(kind: FaultKind, condition_kind: &str, reason: &str) {
    let what = kind.name();
    let arena = Arena::with(&format!("fault-{}", what.to_lowercase()), lone(), hasty()).await;
    let before = arena.ready_bridge(json!({})).await;
    arena.sim.add_fault(Fault::new(kind.clone()));
    let bridge = arena.reason("core", condition_kind, reason).await;
    assert_eq!(condition(&bridge, "Ready"), ("False", reason), "{what}");
    assert_eq!(condition(&bridge, "Reconciling"), ("True", "Retrying"), "{what}");
    assert_eq!(condition(&bridge, "SlotsProvisioned").0, "True", "{what}: the slots are still there");
    assert_eq!(slots_of(&bridge), slots_of(&before), "{what}");
    arena.sim.clear_faults();
    arena.ready("core").await;
    assert_eq!(arena.effects("POST", "callProfiles").len(), 1, "{what}");
    assert_eq!(arena.effects("POST", "cospaceBulkSyncs").len(), 1, "{what}");
    arena.assert_rules(1..=5);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replies_that_are_none_pass() {
    tokio::join!(
        passing(FaultKind::Unavailable, "Reachable", "HTTPError"),
        passing(FaultKind::HtmlError, "Reachable", "HTTPError"),
        passing(FaultKind::CutBody, "Reachable", "HTTPError"),
        passing(FaultKind::ResetBefore, "Reachable", "HTTPError"),
        passing(FaultKind::HangBefore, "Reachable", "HTTPError"),
        passing(FaultKind::TruncatedXml, "Recognized", "MalformedReply"),
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rejected_request_is_no_trouble_of_the_connection() {
    let mut arena = Arena::quiet("rejected", lone(), brisk()).await;
    let element = "parameterError".to_owned();
    arena.sim.add_fault(Fault::new(FaultKind::Failure { status: 400, element }).method("POST").route("callProfiles"));
    arena.start().await;
    arena.connect().await;
    arena.create_bridge("core", json!({})).await;
    let bridge = arena.reason("core", "Ready", "Rejected").await;
    assert_eq!(condition(&bridge, "Reconciling"), ("True", "Retrying"));
    for kind in ["Reachable", "CredentialsValid", "Recognized"] {
        assert_eq!(condition(&bridge, kind).0, "True", "{kind}: the bridge answered as itself");
    }
    let status = bridge.status.as_ref().unwrap();
    assert_eq!((status.phase.as_deref(), status.call_bridges[0].reachable), (Some("Degraded"), Some(true)));
    assert!(message(&bridge, "Ready").contains("does not accept the value"), "{}", message(&bridge, "Ready"));
    arena.sim.clear_faults();
    arena.ready("core").await;
    assert_eq!(arena.effects("POST", "callProfiles").len(), 1);
    arena.assert_rules(1..=5);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unknown_elements_and_short_pages_are_no_trouble() {
    let mut arena = Arena::quiet("odd-replies", lone(), brisk()).await;
    arena.sim.add_fault(Fault::new(FaultKind::UnknownElements));
    arena.sim.add_fault(Fault::new(FaultKind::ShortPages { items: 2 }));
    arena.start().await;
    let bridge = arena.ready_bridge(json!({})).await;
    assert_eq!(slots_of(&bridge).free, 5);
    arena.assert_rules(1..=5);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bridge_that_is_cut_off_comes_back() {
    let arena = Arena::with("cut-off", lone(), hasty()).await;
    arena.ready_bridge(json!({})).await;
    arena.sim.cut_bridge(0);
    let bridge = arena.reason("core", "Reachable", "ConnectionRefused").await;
    let status = bridge.status.as_ref().unwrap();
    assert_eq!(status.phase.as_deref(), Some("Unreachable"));
    assert_eq!(status.call_bridges[0].reachable, Some(false));
    assert!(arena.sim.start_bridge(0));
    let bridge = arena.ready("core").await;
    assert_eq!(bridge.status.unwrap().phase.as_deref(), Some("Idle"));
    arena.assert_rules(1..=5);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bridge_that_hangs_delays_no_other_one() {
    let arena = Arena::with("hang-two", lone(), brisk()).await;
    arena.sim.add_fault(Fault::new(FaultKind::HangBefore));
    arena.connect().await;
    arena.create_bridge("core", json!({})).await;
    arena.await_requests("the first hangs", |journal| !journal.is_empty()).await;
    // Its request has ten seconds; the other one is made within them.
    let other = arena.further_bridge("second", json!({}), json!({})).await;
    let hangs = arena.requests();
    assert!(hangs.len() == 1 && hangs[0].finished.is_none(), "{:?}", arena.journal_lines());
    assert_eq!(other.spaces().len(), 5);
    arena.sim.clear_faults();
    arena.sim.restart_bridge(0);
    arena.ready("core").await;
    arena.assert_rules(1..=5);
    arena.finish().await;
}

async fn without_primary(write: WriteWithoutPrimary) {
    let prefix = format!("no-primary-{write:?}").to_lowercase();
    let mut arena = Arena::quiet(&prefix, Config { bridges: 2, ..Config::default() }, hasty()).await;
    arena.sim.update_switches(|switches| switches.write_without_primary = write);
    arena.sim.set_database_primary(false);
    arena.start().await;
    arena.connect().await;
    arena.create_bridge("core", json!({})).await;
    let bridge = arena.reason("core", "DatabaseWritable", "NoDatabasePrimary").await;
    assert_eq!(condition(&bridge, "Ready"), ("False", "NoDatabasePrimary"), "{write:?}");
    assert_eq!(condition(&bridge, "Reachable").0, "True", "{write:?}: the call bridge is not to blame");
    arena.sim.set_database_primary(true);
    let bridge = arena.ready("core").await;
    assert_eq!(condition(&bridge, "DatabaseWritable").0, "True");
    assert_eq!(slot_numbers(&arena), [1, 2, 3, 4, 5]);
    assert_eq!(arena.total("callProfiles").await, 1, "{write:?}");
    arena.assert_rules(1..=5);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_without_primary_is_told_apart_and_waited_for() {
    tokio::join!(
        without_primary(WriteWithoutPrimary::Unavailable),
        without_primary(WriteWithoutPrimary::DatabaseNotReady),
        without_primary(WriteWithoutPrimary::Hang),
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_off_is_a_warning() {
    let arena = Arena::with("clock", lone(), brisk()).await;
    arena.ready_bridge(json!({})).await;
    arena.sim.set_clock_skew(0, 4);
    arena.sim.clear_journal();
    arena.await_requests("a look", |j| j.iter().any(|e| e.route == "system/status" && e.finished.is_some())).await;
    let bridge = arena.bridge("core", "there", |_| true).await;
    assert_eq!(condition(&bridge, "ClockInSync").0, "True", "seconds are normal");
    arena.sim.set_clock_skew(0, -120);
    let bridge = arena.reason("core", "ClockInSync", "Skew").await;
    assert_eq!(condition(&bridge, "Ready"), ("True", "Ready"), "nothing is blocked");
    arena.sim.set_clock_skew(0, 0);
    arena.bridge("core", "in sync", |b| condition(b, "ClockInSync").0 == "True").await;
    arena.assert_rules(1..=5);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bridge_without_licence_is_told() {
    let arena = Arena::with("licence", lone(), brisk()).await;
    arena.sim.update_switches(|switches| switches.activated = false);
    let bridge = arena.ready_bridge(json!({})).await;
    assert_eq!(bridge.status.unwrap().system.unwrap().activated, Some(false), "it is provisioned all the same");
    assert!(arena.event_about("core", "NotActivated").await.contains("licence"));
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn software_that_is_too_old_is_refused() {
    let arena = Arena::with("too-old", Config { software_version: "1.9".to_owned(), ..lone() }, brisk()).await;
    arena.connect().await;
    arena.create_bridge("core", json!({})).await;
    let bridge = arena.reason("core", "Recognized", "VersionTooOld").await;
    assert_eq!(condition(&bridge, "Stalled"), ("True", "VersionTooOld"));
    assert_eq!(arena.writes(), Vec::<String>::new());
    arena.finish().await;
}

impl Arena {
    fn refusals(&self) -> usize {
        self.requests().iter().filter(|entry| entry.status == Some(401)).count()
    }
}

/// Credentials that had worked are confirmed once, whichever process they worked for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_stray_401_after_a_restart_of_the_controller_costs_two_seconds() {
    let mut arena = Arena::with("stray-restart", lone(), brisk()).await;
    arena.ready_bridge(json!({})).await;
    arena.controller.take().unwrap().kill().await;
    arena.sim.clear_journal();
    arena.sim.add_fault(Fault::new(FaultKind::Unauthorized).once());
    arena.start().await;
    arena.open_now("m", 120, json!({})).await;
    arena.says("m", "Ready", "True", "Active").await;
    arena.ready("core").await;
    assert_eq!((arena.sim.faults()[0].struck, arena.refusals()), (1, 1), "{:#?}", arena.journal_lines());
    arena.assert_rules(1..=5);
    arena.finish().await;
}

/// Twice after the first restart, because they had worked; once after the next one, because it is known that they do not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_that_expired_while_nobody_looked_is_confirmed_once_and_remembered() {
    let mut arena = Arena::with("expired-restart", lone(), brisk()).await;
    let accepted = |bridge: &MeetingBridge| {
        bridge.status.as_ref().and_then(|status| status.call_bridges.first()?.accepted_credentials.clone())
    };
    let ready = arena.ready_bridge(json!({})).await;
    assert!(accepted(&ready).is_some_and(|accepted| accepted.starts_with("cms/")), "{:?}", accepted(&ready));
    for tries in [2, 1] {
        arena.controller.take().unwrap().kill().await;
        arena.sim.set_password("renewed");
        arena.sim.clear_journal();
        arena.start().await;
        arena.answered(tries).await;
        let refused = |bridge: &MeetingBridge| {
            condition(bridge, "CredentialsValid") == ("False", "Unauthorized") && accepted(bridge).is_none()
        };
        arena.bridge("core", "refused", refused).await;
        arena.patch::<MeetingBridge>("core", json!({ "spec": { "displayName": format!("{tries}") } })).await;
        arena.bridge("core", "judged again", |b| b.observed() == b.metadata.generation).await;
        assert_eq!((arena.requests().len(), arena.refusals()), (tries, tries), "{:#?}", arena.journal_lines());
    }
    set_password(&arena, "renewed").await;
    arena.ready("core").await;
    arena.assert_rules(1..=5);
    arena.finish().await;
}

/// While nobody else could be asked an end and a start have come, and a slot was left open.
async fn recovers(kind: FaultKind) {
    let what = kind.name();
    let arena = Arena::with(&format!("recovers-{}", what.to_lowercase()), lone(), brisk()).await;
    arena.ready_bridge(json!({})).await;
    arena.open_now("over", 6, json!({})).await;
    arena.says("over", "Ready", "True", "Active").await;
    arena.create_meeting("next", json!({ "start": in_ms(8_000), "duration": "10m" })).await;
    arena.booked("next").await;
    arena.sim.add_fault(Fault::new(kind.clone()));
    let ms = |ms| std::time::Duration::from_millis(ms);
    // Nobody tells that nothing is done, and the pauses have to grow.
    tokio::time::sleep(ms(16_000)).await;
    assert!(arena.slot(1).open, "{what}: nobody could shut it");
    let mark = ("cdrTag", "meeting-controller:x/gone");
    arena.sim.edit_space("4", &[("nonMemberAccess", "true"), ("name", "Last night"), mark]).unwrap();
    arena.sim.clear_faults();
    let back = std::time::Instant::now();
    arena.await_sim("shut", |sim| !slot_of(sim, 1).open).await;
    let shut = back.elapsed();
    arena.says("next", "Ready", "True", "Active").await;
    let opened = back.elapsed();
    arena.await_sim("left open, and shut", |sim| !slot_of(sim, 4).open).await;
    println!("{what}: shut {shut:?}, opened {opened:?}, cleared {:?} after it was back", back.elapsed());
    assert!(shut.max(opened) < ms(7_000), "{what}: shut {shut:?}, opened {opened:?}");
    assert!(back.elapsed() < ms(20_000), "{what}: {:?}", back.elapsed());
    arena.phase("over", meeting_controller::api::meeting::Phase::Ended).await;
    arena.assert_rules(1..=5);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_lone_bridges_recovery_makes_possible_is_done_at_that_moment() {
    let limit = FaultKind::Failure { status: 400, element: "callBridgeUnavailable".to_owned() };
    tokio::join!(recovers(FaultKind::Unavailable), recovers(FaultKind::HtmlError), recovers(limit));
}
