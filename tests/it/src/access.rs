//! Host and guest: further ways into a meeting, which are there with its door and gone with it (decision 0026).

use cms_simulator::check::{Expectation, Rule, check};
use cms_simulator::{AccessMethodView, Config, Fault, FaultKind, JoinError, Joined, UnknownParameter};
use k8s_openapi::api::core::v1::Secret;
use meeting_controller::api::meeting::Phase;
use meeting_controller::api::{MeetingBridge, ScheduledMeeting};
use meeting_controller::config::settings::Settings;
use reqwest::Method;
use serde_json::{Value, json};

use crate::bridge_kit::*;
use crate::cluster::*;
use crate::kit::*;
use crate::meetings::*;

const METHODS: &str = "coSpaces/{id}/accessMethods";
const ONE: &str = "coSpaces/{id}/accessMethods/{id}";

/// A passcode of the meeting for guests, and one for hosts.
fn host_and_guest() -> Value {
    json!({ "passcodeSecretRef": { "name": "codes", "key": "guest" }, "accessMethods": [method("host", "Host")] })
}

pub fn method(name: &str, role: &str) -> Value {
    json!({ "name": name, "role": role, "passcodeSecretRef": { "name": "codes", "key": name } })
}

impl Arena {
    async fn with_codes(prefix: &str) -> Self {
        let arena = Self::with(prefix, lone(), quick()).await;
        arena.ready_bridge(json!({ "webBridgeURI": "https://join.meet.test" })).await;
        arena.codes().await;
        arena
    }

    /// Passcodes of all kinds of people.
    pub async fn codes(&self) {
        self.create_secret("codes", json!({ "guest": "1111", "host": "90909090", "press": "3333" })).await;
    }

    /// Somebody else makes an access method in a slot.
    async fn has_board_in(&self, slot: u32) {
        let theirs = format!("coSpaces/{}/accessMethods", space_id(self, slot));
        self.ask(Method::POST, &theirs, &format!("uri={slot}&callId={slot}&passcode=777&name=Board")).await;
    }

    /// The access methods of slot 1 by what their name ends with, foreign ones by what they are called.
    fn ways_in(&self) -> Vec<String> {
        let mut names: Vec<_> =
            self.slot(1).access_methods.into_iter().map(|method| method.name.unwrap_or_default()).collect();
        names.sort();
        names
    }

    fn way_in(&self, name: &str) -> AccessMethodView {
        let methods = self.slot(1).access_methods;
        methods.into_iter().find(|method| method.name.as_deref().is_some_and(|full| full.ends_with(name))).expect(name)
    }

    fn comes(&self, who: &str, passcode: &str) -> Result<Joined, JoinError> {
        self.sim.join_with_passcode("1", who, 0, passcode)
    }

    /// Does somebody wait for a host?
    fn waits(&self, who: &str) -> bool {
        self.sim.legs().into_iter().find(|leg| leg.name == who).expect(who).deactivated
    }

    /// No profile and no access method is left that we made.
    async fn gave_all_back(&self) {
        self.bridge("core", "no profiles", |b| b.status.as_ref().unwrap().settings_profiles.is_empty()).await;
        let found = check(&self.sim, &Expectation { no_idle_profiles: true, ..Expectation::default() });
        let broken: Vec<_> = found.into_iter().filter(|v| v.rule != Rule::NeedlessWrite).collect();
        assert!(broken.is_empty(), "{broken:#?}");
        self.assert_rules(1..=5);
    }
}

fn mark(arena: &Arena, name: &str) -> String {
    format!("meeting-controller:{}/m/{name}", arena.namespace)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guests_wait_until_a_host_is_in_and_the_end_leaves_nothing() {
    let arena = Arena::with_codes("acc-life").await;
    arena.sim.clear_journal();
    let mut spec = host_and_guest();
    merge(&mut spec, json!({ "start": in_ms(4_000), "duration": "8s", "settings": { "layout": "stacked" } }));
    arena.create_meeting("m", spec).await;
    let active = arena.says("m", "AccessMethodsApplied", "True", "Applied").await;
    let latency: f64 = status_of(&active).open_latency.unwrap().trim_end_matches('s').parse().unwrap();
    assert!(latency < 1.0, "the door opens on time: {latency}");
    arena.says("m", "Ready", "True", "Active").await;
    arena.has_board_in(1).await;
    assert_eq!(arena.ways_in(), ["Board".to_owned(), mark(&arena, "host")]);
    let host = arena.way_in("host");
    assert_eq!((host.uri.as_deref(), host.call_id.as_deref()), (Some("1"), Some("1")));
    let shown = arena.ask(Method::GET, &format!("callLegProfiles/{}", host.call_leg_profile.unwrap()), "").await;
    for wanted in ["<needsActivation>false<", "<defaultLayout>stacked<", "<muteSelfAllowed>true<"] {
        assert!(shown.contains(wanted), "{shown}");
    }

    assert_eq!(arena.comes("Eve", "0000"), Err(JoinError::WrongPasscode));
    arena.comes("Gus", "1111").unwrap();
    assert!(arena.waits("Gus"), "by the passcode of the meeting");
    arena.comes("Hal", "90909090").unwrap();
    assert!(!arena.waits("Hal") && !arena.waits("Gus"), "a host is in");
    arena.sim.leave("Hal");
    assert!(arena.waits("Gus"));

    let join = arena.join_secret("m").await.unwrap();
    let said = |key: &str| entry(&join, key).unwrap_or_default();
    assert_eq!((said("passcode").as_str(), said("access.host.passcode").as_str()), ("1111", "90909090"));
    assert_eq!(Some(said("access.host.secret")), host.secret);
    assert!(said("access.host.link").ends_with(&said("access.host.secret")), "{}", said("access.host.link"));
    assert_ne!(said("access.host.secret"), said("secret"));
    for invitation in ["invite.ics", "invite.txt"] {
        assert!(!said(invitation).contains("90909090") && !said(invitation).contains(&said("access.host.secret")));
        assert!(said(invitation).contains("1111"));
    }

    let ended = arena.phase("m", Phase::Ended).await;
    assert_eq!(condition(&ended, "AccessMethodsApplied"), ("False", "Closed"));
    assert_eq!((arena.ways_in(), status_of(&ended).access_methods), (vec!["Board".to_owned()], vec![]));
    let order: Vec<_> = arena.sim.journal().iter().filter(|e| e.effect && e.route.starts_with('c')).map(line).collect();
    println!("{order:#?}");
    let effects: Vec<_> = arena
        .sim
        .journal()
        .iter()
        .filter(|e| e.effect && !e.route.contains("rofile") && field(e, "name") != Some("Board"))
        .map(|e| (e.method.clone(), e.route.clone()))
        .collect();
    let wanted = [
        ("PUT", "coSpaces/{id}"),
        ("POST", METHODS),
        ("POST", "calls"),
        ("PUT", "coSpaces/{id}"),
        ("DELETE", ONE),
        ("DELETE", "calls/{id}"),
    ];
    assert_eq!(effects, wanted.map(|(method, route)| (method.to_owned(), route.to_owned())));
    arena.gave_all_back().await;
    arena.finish().await;
}

/// Who knows that passcode would not wait for a host.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beside_somebody_elses_way_in_no_meeting_opens_that_waits_for_its_host() {
    let arena = Arena::with_codes("acc-beside").await;
    arena.has_board_in(1).await;
    arena.has_board_in(2).await;
    arena.open_now("m", 600, host_and_guest()).await;
    let active = arena.says("m", "Ready", "True", "Active").await;
    assert_eq!(number_of(&active), 3);
    assert!(!arena.slot(1).open && !arena.slot(2).open);
    assert_eq!(arena.ways_in(), ["Board"]);
    arena.end_now("m").await;
    arena.phase("m", Phase::Ended).await;
    arena.gave_all_back().await;
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_passcode_that_changes_while_the_meeting_runs_reaches_the_bridge() {
    let arena = Arena::with_codes("acc-code").await;
    arena.open_now("m", 600, host_and_guest()).await;
    arena.says("m", "Ready", "True", "Active").await;
    let before = arena.way_in("host");
    arena.patch::<Secret>("codes", json!({ "stringData": { "host": "4444" } })).await;
    arena.await_sim("the new one", |sim| slot_of(sim, 1).access_methods[0].passcode.as_deref() == Some("4444")).await;
    assert_eq!(
        (arena.way_in("host").id, arena.way_in("host").secret),
        (before.id, before.secret),
        "the link stays good"
    );
    // That of the meeting for that of its hosts, and the other way round.
    arena.patch::<Secret>("codes", json!({ "stringData": { "host": "1111", "guest": "4444" } })).await;
    arena
        .await_sim("swapped", |sim| {
            let slot = slot_of(sim, 1);
            let of_host = slot.access_methods.first().and_then(|method| method.passcode.as_deref());
            slot.passcode.as_deref() == Some("4444") && of_host == Some("1111")
        })
        .await;
    arena.says("m", "AccessMethodsApplied", "True", "Applied").await;
    // Two that are equal change nothing, and are told.
    arena.patch::<Secret>("codes", json!({ "stringData": { "guest": "1111" } })).await;
    let told = arena.says("m", "AccessMethodsApplied", "False", "PasscodesEqual").await;
    assert_eq!((condition(&told, "SpaceOpen"), condition(&told, "Ready").0), (("True", "Open"), "False"));
    arena.sim.clear_journal();
    arena.await_requests("time", |all| all.len() >= 3).await;
    assert_eq!((writes(&arena.sim.journal()), arena.slot(1).passcode.as_deref()), (0, Some("4444")));
    arena.patch::<Secret>("codes", json!({ "stringData": { "guest": "5555" } })).await;
    arena.says("m", "Ready", "True", "Active").await;
    arena.end_now("m").await;
    arena.phase("m", Phase::Ended).await;
    arena.gave_all_back().await;
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn equal_and_missing_passcodes_keep_the_door_shut_and_say_why() {
    let arena = Arena::with_codes("acc-equal").await;
    arena.patch::<Secret>("codes", json!({ "stringData": { "host": "1111" } })).await;
    arena.open_now("m", 600, host_and_guest()).await;
    let told = arena.says("m", "SpaceOpen", "False", "PasscodesEqual").await;
    assert_eq!(condition(&told, "Ready"), ("False", "PasscodesEqual"));
    assert!(message(&told, "Ready").contains("give each access method"), "{}", message(&told, "Ready"));
    arena.patch::<Secret>("codes", json!({ "stringData": { "host": " " } })).await;
    let told = arena.says("m", "SpaceOpen", "False", "PasscodeUnavailable").await;
    assert!(message(&told, "SpaceOpen").contains("access method host"), "{}", message(&told, "SpaceOpen"));
    assert!(!arena.slot(1).open && arena.slot(1).access_methods.is_empty());
    assert!(doors(&arena.sim.journal(), &arena.slot(1).id).is_empty(), "nothing was tried");
    arena.patch::<Secret>("codes", json!({ "stringData": { "host": "2222" } })).await;
    arena.says("m", "Ready", "True", "Active").await;
    arena.assert_rules(1..=5);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_an_old_bridge_nothing_is_sent_and_no_guest_is_let_in_alone() {
    let config = Config { software_version: "2.8".to_owned(), ..lone() };
    let arena = Arena::with("acc-old", config, quick()).await;
    arena.sim.update_switches(|s| s.unknown_parameter = UnknownParameter::Refused);
    arena.ready_bridge(json!({})).await;
    arena.codes().await;
    arena
        .create_meeting(
            "later",
            json!({ "start": in_ms(3_600_000), "duration": "1h", "accessMethods": [method("host", "Host")] }),
        )
        .await;
    let told = arena.says("later", "Ready", "False", "AccessUnsupported").await;
    assert!(message(&told, "Ready").starts_with("CMS 2.8 has no names"), "told in time: {}", message(&told, "Ready"));
    arena.open_now("m", 600, host_and_guest()).await;
    arena.says("m", "SpaceOpen", "False", "AccessUnsupported").await;
    arena.open_now("press", 600, json!({ "accessMethods": [method("press", "Guest")] })).await;
    let told = arena.says("press", "SpaceOpen", "True", "Open").await;
    assert_eq!(condition(&told, "AccessMethodsApplied"), ("False", "AccessUnsupported"));
    arena.says("press", "CallPresent", "True", "Created").await;
    let open = arena.sim.spaces().into_iter().filter(|space| space.open).count();
    assert_eq!((open, arena.effects("POST", METHODS).len()), (1, 0), "nobody waits for anybody there");
    assert!(arena.requests().iter().all(|entry| entry.route != METHODS));
    arena.assert_rules(1..=5);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_reply_makes_nothing_twice() {
    for (name, kind) in [("cut", FaultKind::ResetAfter), ("hang", FaultKind::HangAfter)] {
        let mut settings = quick();
        settings.limits.request = std::time::Duration::from_secs(1);
        let arena = Arena::with(&format!("acc-{name}"), lone(), settings).await;
        arena.ready_bridge(json!({})).await;
        arena.codes().await;
        let fault = arena.sim.add_fault(Fault::new(kind).method("POST").route(METHODS).once());
        let methods = json!({ "accessMethods": [method("host", "Host"), method("press", "Guest")] });
        arena.open_now("m", 600, methods).await;
        arena.says("m", "Ready", "True", "Active").await;
        let struck = arena.sim.faults().into_iter().find(|active| active.id == fault).unwrap().struck;
        assert_eq!((struck, arena.ways_in()), (1, vec![mark(&arena, "host"), mark(&arena, "press")]));
        assert_eq!(arena.effects("POST", METHODS).len(), 2);
        arena.delete::<ScheduledMeeting>("m").await;
        arena.gone::<ScheduledMeeting>("m").await;
        arena.gave_all_back().await;
        arena.finish().await;
    }
}

/// A bridge that refuses them keeps nobody from the rest of the meeting, and what cannot be removed is not forgotten.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_hold_back_nothing_else() {
    let arena = Arena::with_codes("acc-refuse").await;
    let refusal = || FaultKind::Failure { status: 400, element: "invalidOperation".to_owned() };
    let post = arena.sim.add_fault(Fault::new(refusal()).method("POST").route(METHODS));
    let mut spec = host_and_guest();
    merge(&mut spec, json!({ "participants": [{ "remoteParty": "desk@rooms.test" }] }));
    arena.open_now("m", 600, spec).await;
    let told = arena.says("m", "AccessMethodsApplied", "False", "AccessRefused").await;
    assert_eq!(condition(&told, "SpaceOpen"), ("True", "Open"));
    arena.says("m", "CallPresent", "True", "Created").await;
    arena.party("m", meeting_controller::api::meeting::ParticipantState::Connected).await;
    arena.sim.remove_fault(post);
    ask_again(&arena).await;
    arena.says("m", "Ready", "True", "Active").await;
    let delete = arena.sim.add_fault(Fault::new(refusal()).method("DELETE").route(ONE));
    arena.end_now("m").await;
    arena.await_sim("shut, without call", |sim| !slot_of(sim, 1).open && sim.calls().is_empty()).await;
    let closing = arena.says("m", "SlotReleased", "False", "ResetPending").await;
    assert_eq!(phase_of(&closing), Phase::Closing);
    arena.sim.remove_fault(delete);
    arena.phase("m", Phase::Ended).await;
    arena.gave_all_back().await;
    arena.finish().await;
}

async fn ask_again(arena: &Arena) {
    let again = json!({ "metadata": { "annotations": { "meeting-controller.dev/reconcile-requested-at": "again" } } });
    arena.patch::<ScheduledMeeting>("m", again).await;
}

/// Its object goes while the bridge is away: the pass of the bridge that shuts the slot takes them away.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_meeting_that_is_gone_left_is_removed_with_its_door() {
    let settings = Settings { deletion_deadline: std::time::Duration::from_secs(2), ..quick() };
    let arena = Arena::with("acc-orphan", lone(), settings).await;
    arena.ready_bridge(json!({})).await;
    arena.codes().await;
    arena.open_now("m", 600, host_and_guest()).await;
    arena.says("m", "Ready", "True", "Active").await;
    let theirs = format!("coSpaces/{}/accessMethods", space_id(&arena, 1));
    arena.ask(Method::POST, &theirs, "uri=1&callId=1&passcode=777&name=Board").await;
    arena.sim.cut_bridge(0);
    arena.delete::<ScheduledMeeting>("m").await;
    arena.gone::<ScheduledMeeting>("m").await;
    assert_eq!(arena.ways_in().len(), 2);
    assert!(arena.sim.start_bridge(0));
    arena.await_sim("shut", |sim| !slot_of(sim, 1).open && sim.calls().is_empty()).await;
    assert_eq!(arena.ways_in(), ["Board"]);
    arena.gave_all_back().await;
    arena.finish().await;
}

/// One that is in the slot all the same, with its door shut, does not let its people into the next meeting.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_left_in_a_slot_goes_before_the_next_door() {
    let arena = Arena::with_codes("acc-next").await;
    let left = format!("coSpaces/{}/accessMethods", space_id(&arena, 1));
    arena.ask(Method::POST, &left, "uri=1&callId=1&passcode=888&name=meeting-controller:ns/gone/host").await;
    arena.sim.clear_journal();
    arena.open_now("m", 600, json!({})).await;
    arena.says("m", "Ready", "True", "Active").await;
    assert_eq!((arena.ways_in(), arena.comes("Eve", "888")), (vec![], Err(JoinError::WrongPasscode)));
    let writes: Vec<_> = arena.requests().into_iter().filter(|e| e.effect).map(|e| e.route).collect();
    assert_eq!(writes.iter().take(2).collect::<Vec<_>>(), [ONE, "coSpaces/{id}"]);
    arena.assert_rules(1..=5);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn they_can_be_put_in_changed_and_taken_out_while_the_meeting_runs() {
    let arena = Arena::with_codes("acc-edit").await;
    arena.open_now("m", 600, json!({})).await;
    arena.says("m", "Ready", "True", "Active").await;
    let (secret, calls) = (arena.slot(1).secret, arena.sim.calls());
    let edit = async |methods: Value| {
        arena.patch::<ScheduledMeeting>("m", json!({ "spec": { "accessMethods": methods } })).await;
    };
    edit(json!([method("host", "Host"), method("press", "Guest")])).await;
    arena.says("m", "AccessMethodsApplied", "True", "Applied").await;
    assert_eq!(arena.ways_in(), [mark(&arena, "host"), mark(&arena, "press")]);
    // Somebody deletes one by hand.
    let host = arena.way_in("host").id;
    arena.ask(Method::DELETE, &format!("coSpaces/{}/accessMethods/{host}", space_id(&arena, 1)), "").await;
    arena.await_sim("made again", |sim| slot_of(sim, 1).access_methods.len() == 2).await;
    let mut muted = method("press", "Guest");
    merge(&mut muted, json!({ "settings": { "joinMuted": { "audio": true } } }));
    edit(json!([muted])).await;
    arena
        .await_sim("changed", |sim| {
            let methods = slot_of(sim, 1).access_methods;
            methods.len() == 1 && methods[0].call_leg_profile.is_some()
        })
        .await;
    let shown = arena
        .ask(Method::GET, &format!("callLegProfiles/{}", arena.way_in("press").call_leg_profile.unwrap()), "")
        .await;
    assert!(shown.contains("<rxAudioMute>true<") && !shown.contains("needsActivation"), "{shown}");
    edit(Value::Null).await;
    arena.await_sim("gone", |sim| slot_of(sim, 1).access_methods.is_empty()).await;
    arena.says("m", "Ready", "True", "Active").await;
    assert_eq!((arena.slot(1).secret, arena.sim.calls()), (secret, calls), "nobody notices");
    arena.gave_all_back().await;
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bridge_that_goes_ends_its_meetings_and_takes_everything_with_it() {
    let arena = Arena::with_codes("acc-gone").await;
    arena.open_now("m", 600, host_and_guest()).await;
    arena.says("m", "Ready", "True", "Active").await;
    arena.delete::<MeetingBridge>("core").await;
    arena.gone::<MeetingBridge>("core").await;
    for collection in ["callProfiles", "callLegProfiles", "coSpaces"] {
        assert_eq!(arena.total(collection).await, 0, "{collection}");
    }
    assert_eq!(arena.effects("DELETE", ONE).len(), 1, "not with its space, but right after the door");
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slot_that_is_made_again_gets_them_again() {
    let arena = Arena::with_codes("acc-again").await;
    arena.open_now("m", 600, host_and_guest()).await;
    arena.says("m", "Ready", "True", "Active").await;
    let before = space_id(&arena, 1);
    assert!(arena.sim.delete_space(&before));
    let is_again = |space: &cms_simulator::SpaceView| {
        space.call_id.as_deref() == Some("1") && space.open && space.access_methods.len() == 1
    };
    arena.await_sim("open again, with its way in", |sim| sim.spaces().iter().any(is_again)).await;
    assert_ne!(space_id(&arena, 1), before);
    arena.says("m", "AccessMethodsApplied", "True", "Applied").await;
    arena.says("m", "Ready", "True", "Active").await;
    arena.end_now("m").await;
    arena.phase("m", Phase::Ended).await;
    arena.gave_all_back().await;
    arena.finish().await;
}

/// As after a restore from git: no status, no join Secret, and the meeting runs on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn links_of_hosts_outlive_a_restore() {
    let mut arena = Arena::with_codes("acc-restore").await;
    let made = arena.open_now("m", 600, host_and_guest()).await;
    arena.says("m", "Ready", "True", "Active").await;
    let (space, host) = (arena.slot(1), arena.way_in("host"));
    let link = entry(&arena.join_secret("m").await.expect("made"), "access.host.link");
    arena.controller.take().unwrap().kill().await;
    arena.patch::<ScheduledMeeting>("m", json!({ "metadata": { "finalizers": null } })).await;
    arena.delete::<ScheduledMeeting>("m").await;
    arena.gone::<ScheduledMeeting>("m").await;
    arena.gone::<Secret>("m-join").await;
    arena.create_meeting("m", serde_json::to_value(&made.spec).unwrap()).await;
    arena.start().await;
    arena.says("m", "AccessMethodsApplied", "True", "Applied").await;
    arena.says("m", "Ready", "True", "Active").await;
    assert_eq!(arena.way_in("host"), host, "nothing was made anew, its profile included");
    assert_eq!(arena.slot(1).secret, space.secret);
    assert_eq!(entry(&arena.join_secret("m").await.expect("made again"), "access.host.link"), link);
    arena.end_now("m").await;
    arena.phase("m", Phase::Ended).await;
    arena.gave_all_back().await;
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_call_bridge_changes_nothing_of_them_and_another_one_ends_them() {
    let arena = Arena::with("acc-over", three(), quick()).await;
    arena.ready_bridge(json!({ "failover": arena.alternates() })).await;
    arena.all_reachable().await;
    arena.codes().await;
    arena.open_now("m", 600, host_and_guest()).await;
    arena.says("m", "Ready", "True", "Active").await;
    let before = arena.slot(1).access_methods;
    arena.sim.stop_bridge(0);
    arena.call_on("m", 1).await;
    arena.says("m", "Ready", "True", "Active").await;
    assert_eq!(arena.slot(1).access_methods, before);
    arena.end_now("m").await;
    arena.phase("m", Phase::Ended).await;
    assert!(arena.ways_in().is_empty());
    arena.gave_all_back().await;
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_that_is_moved_away_takes_them_along() {
    let arena = Arena::with_codes("acc-move").await;
    arena.open_now("m", 600, host_and_guest()).await;
    arena.says("m", "Ready", "True", "Active").await;
    let secret = arena.way_in("host").secret;
    arena.patch::<ScheduledMeeting>("m", json!({ "spec": { "start": in_ms(3_600_000) } })).await;
    arena.phase("m", Phase::Scheduled).await;
    assert!(!arena.slot(1).open && arena.ways_in().is_empty());
    arena.patch::<ScheduledMeeting>("m", json!({ "spec": { "start": in_ms(-100) } })).await;
    arena.says("m", "AccessMethodsApplied", "True", "Applied").await;
    assert_ne!(arena.way_in("host").secret, secret, "the old link is dead");
    arena.assert_rules(1..=5);
    arena.finish().await;
}
