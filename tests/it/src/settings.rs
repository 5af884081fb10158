//! Settings of single meetings: profiles that are made on demand, shared, told to the space with its door, given back with
//! it, and removed when nobody uses them (decision 0025).

use std::time::Duration;

use cms_simulator::check::{Expectation, check};
use cms_simulator::{Config, Fault, FaultKind, JournalEntry, SpaceView, UnknownParameter};
use meeting_controller::api::meeting::{ParticipantState, Phase};
use meeting_controller::api::{MeetingBridge, ScheduledMeeting};
use meeting_controller::config::settings::Settings;
use reqwest::Method;
use serde_json::{Value, json};

use crate::bridge_kit::*;
use crate::kit::*;
use crate::meetings::*;

const KINDS: [&str; 2] = ["callProfiles", "callLegProfiles"];

fn profiles_of(space: &SpaceView) -> (Option<String>, Option<String>) {
    (space.fields.get("callProfile").cloned(), space.fields.get("callLegProfile").cloned())
}

/// How many profiles of each kind there are.
async fn totals(arena: &Arena) -> [usize; 2] {
    let mut totals = [0; 2];
    for (total, kind) in totals.iter_mut().zip(KINDS) {
        *total = arena.total(kind).await;
    }
    totals
}

/// Waits until nothing is left but the bridge's own profiles, and lets the checker look.
async fn all_given_back(arena: &Arena, foreign: &[String]) {
    arena.bridge("core", "no profiles for settings", |b| b.status.as_ref().unwrap().settings_profiles.is_empty()).await;
    let expected = Expectation {
        no_idle_profiles: true,
        foreign_profiles: foreign.iter().cloned().collect(),
        ..Expectation::default()
    };
    let broken: Vec<_> = check(&arena.sim, &expected)
        .into_iter()
        .filter(|v| v.rule != cms_simulator::check::Rule::NeedlessWrite)
        .collect();
    assert!(broken.is_empty(), "{broken:#?}");
}

async fn shown(arena: &Arena, kind: &str, id: &Option<String>) -> String {
    arena.ask(Method::GET, &format!("{kind}/{}", id.as_deref().unwrap()), "").await
}

fn everything() -> Value {
    json!({ "layout": "speakerOnly", "joinMuted": { "audio": true }, "recording": "Automatic", "encryption": "Required",
            "participantLimit": 7, "presentation": false })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_meeting_has_its_settings_from_the_first_moment_and_gives_them_back() {
    let arena = Arena::with("set-life", lone(), quick()).await;
    arena.ready_bridge(json!({})).await;
    let foreign = arena.foreign_profile().await;
    let said = arena.history::<MeetingBridge>("core", "Ready");
    let own = profiles_of(&arena.slot(1));
    arena.sim.clear_journal();
    let spec = json!({ "start": in_ms(4_000), "duration": "5s", "settings": everything() });
    arena.create_meeting("m", spec).await;
    let active = arena.says("m", "SettingsApplied", "True", "Applied").await;
    let latency: f64 = status_of(&active).open_latency.unwrap().trim_end_matches('s').parse().unwrap();
    assert!(latency < 1.0, "the door opens on time: {latency}");
    let slot = arena.slot(1);
    let (call, leg) = profiles_of(&slot);
    assert!(slot.open && call != own.0 && leg != own.1);
    let puts = arena.effects("PUT", "coSpaces/{id}");
    assert_eq!(puts.len(), 1, "one write opens it and tells it: {:#?}", arena.journal_lines());
    let text = shown(&arena, "callProfiles", &call).await;
    for wanted in ["<participantLimit>7<", "<recordingMode>automatic<"] {
        assert!(text.contains(wanted), "{text}");
    }
    let text = shown(&arena, "callLegProfiles", &leg).await;
    for wanted in [
        "<defaultLayout>speakerOnly<",
        "<rxAudioMute>true<",
        "<sipMediaEncryption>required<",
        "<presentationContributionAllowed>false<",
        "<muteSelfAllowed>true<",
    ] {
        assert!(text.contains(wanted), "{text}");
    }
    let ended = arena.phase("m", Phase::Ended).await;
    assert_eq!(condition(&ended, "SettingsApplied"), ("False", "Closed"));
    assert_eq!((profiles_of(&arena.slot(1)), status_of(&ended).settings), (own, None));
    all_given_back(&arena, &[foreign]).await;
    assert_eq!(totals(&arena).await, [1, 2], "the bridge's own, and the foreign one");
    arena.assert_rules(1..=5);
    // While profiles came and went the bridge stayed ready: Flux and Argo CD saw no blink. The last word shows that the
    // watch has caught up.
    arena.patch::<MeetingBridge>("core", json!({ "spec": { "slots": { "domain": null } } })).await;
    let told = said.until("False").await;
    let (last, before) = told.split_last().unwrap();
    assert_eq!(last.1, "DialNumberConfigurationError", "{told:?}");
    assert!(before.iter().all(|(status, _)| status == "True"), "{told:?}");
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn meetings_that_ask_for_the_same_share_profiles_until_the_last_one_ends() {
    let arena = Arena::with("set-share", lone(), quick()).await;
    arena.ready_bridge(json!({})).await;
    for name in ["a", "b"] {
        arena.open_now(name, 600, json!({ "settings": everything() })).await;
    }
    for name in ["a", "b"] {
        arena.says(name, "SettingsApplied", "True", "Applied").await;
    }
    assert_eq!(profiles_of(&arena.slot(1)), profiles_of(&arena.slot(2)));
    assert_eq!(totals(&arena).await, [2, 2]);
    arena.end_now("a").await;
    arena.phase("a", Phase::Ended).await;
    arena.says("b", "SettingsApplied", "True", "Applied").await;
    assert_eq!(totals(&arena).await, [2, 2], "the other one has them still");
    arena.end_now("b").await;
    arena.phase("b", Phase::Ended).await;
    all_given_back(&arena, &[]).await;
    assert_eq!(totals(&arena).await, [1, 1]);
    arena.assert_rules(1..=5);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_version_of_the_bridge_does_not_know_is_told_and_not_sent() {
    let config = Config { software_version: "2.0".to_owned(), ..lone() };
    let arena = Arena::with("set-old", config, quick()).await;
    arena.sim.update_switches(|s| s.unknown_parameter = UnknownParameter::Refused);
    arena.ready_bridge(json!({})).await;
    let own = profiles_of(&arena.slot(1));
    let asked = json!({ "settings": { "streaming": "Off", "chat": true }, "participants": [
        { "remoteParty": "desk@rooms.test", "name": "Desk", "importance": 7 },
        { "remoteParty": "ada@rooms.test", "name": "Ada", "dial": "In" }
    ] });
    arena.open_now("m", 600, asked).await;
    let told = arena.says("m", "SettingsApplied", "False", "UnsupportedSetting").await;
    let unknown = "CMS 2.0 does not know: streaming, participants.name, participants.importance";
    assert_eq!(message(&told, "SettingsApplied"), unknown);
    arena.await_requests("dialled all the same", |all| count(all, "POST", "calls/{id}/callLegs") == 1).await;
    arena.says("m", "SpaceOpen", "True", "Open").await;
    arena.await_sim("its profile", |sim| profiles_of(&slot_of(sim, 1)) != own).await;
    let text = shown(&arena, "callProfiles", &profiles_of(&arena.slot(1)).0).await;
    assert!(text.contains("<messageBoardEnabled>true<"), "{text}");
    arena.assert_rules(1..=5);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_meeting_is_recorded_from_the_first_one_on_or_never_as_it_asks() {
    let arena = Arena::with("set-record", lone(), quick()).await;
    arena.ready_bridge(json!({})).await;
    for (name, mode) in [("auto", "Automatic"), ("never", "Off"), ("manual", "Manual")] {
        arena.open_now(name, 600, json!({ "settings": { "recording": mode, "streaming": mode } })).await;
        arena.phase(name, Phase::Active).await;
        // What the bridge does anyway needs no profile.
        arena.says(name, "SettingsApplied", "True", "Applied").await;
    }
    let runs = |name: &str| {
        let call = arena.sim.calls().into_iter().find(|call| call.name == format!("Meeting {name}")).expect("its call");
        ((call.recorded, call.streamed), format!("calls/{}", call.id))
    };
    assert_eq!(runs("auto").0, (false, false), "nobody is in");
    let numbers = ["auto", "never", "manual"].map(|name| runs(name).1);
    for number in ["1", "2", "3"] {
        arena.sim.join(number, "Ada", 0).expect("she is in");
    }
    assert_eq!(["auto", "never", "manual"].map(|name| runs(name).0), [(true, true), (false, false), (false, false)]);
    // Nobody can do otherwise but where it is meant to be done by hand.
    let told = async |call: &str| arena.send(Method::PUT, call, "recording=true").await;
    let (status, why) = told(&numbers[1]).await;
    assert!(status == 400 && why.contains("callRecordingCannotBeModified"), "{status} {why}");
    assert_eq!(told(&numbers[2]).await.0, 200);
    assert_eq!(["never", "manual"].map(|name| runs(name).0.0), [false, true]);
    arena.assert_rules(1..=5);
    arena.finish().await;
}

fn refuses(kind: &str) -> Fault {
    let failure = FaultKind::Failure { status: 400, element: "parameterError".to_owned() };
    Fault::new(failure).method("POST").route(kind)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_door_stays_shut_until_its_encryption_is_there_and_opens_without_a_layout() {
    let arena = Arena::with("set-shut", lone(), quick()).await;
    arena.ready_bridge(json!({})).await;
    arena.sim.add_fault(refuses("callLegProfiles"));
    arena.open_now("safe", 600, json!({ "settings": { "encryption": "Required" } })).await;
    arena.open_now("plain", 600, json!({ "settings": { "layout": "stacked" } })).await;
    let plain = arena.says("plain", "SettingsApplied", "False", "SettingsRefused").await;
    arena.says("plain", "SpaceOpen", "True", "Open").await;
    assert!(message(&plain, "SettingsApplied").contains("refuses"), "{}", message(&plain, "SettingsApplied"));
    let safe = arena.says("safe", "SpaceOpen", "False", "SettingsMissing").await;
    assert_eq!(condition(&safe, "Ready"), ("False", "SettingsMissing"));
    assert!(arena.sim.spaces().iter().filter(|space| space.open).count() == 1);
    arena.sim.clear_faults();
    ask_full_look(&arena, "again").await;
    for name in ["safe", "plain"] {
        arena.says(name, "SettingsApplied", "True", "Applied").await;
        arena.says(name, "SpaceOpen", "True", "Open").await;
    }
    arena.assert_rules(1..=5);
    arena.finish().await;
}

/// Late 2.x versions know `onePlusN`; which ones nobody wrote down.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_layout_that_the_bridge_does_not_know_keeps_neither_people_nor_protection_away() {
    let arena = Arena::with("set-words", lone(), quick()).await;
    arena.sim.update_switches(|switches| switches.unknown_words = ["onePlusN".to_owned()].into());
    arena.ready_bridge(json!({})).await;
    let own = profiles_of(&arena.slot(1));
    let parties = ["a@rooms.test", "b@rooms.test"].map(|party| json!({ "remoteParty": party, "layout": "onePlusN" }));
    let settings = json!({ "encryption": "Required", "layout": "onePlusN" });
    arena.open_now("m", 600, json!({ "settings": settings, "participants": parties })).await;
    let told = arena.says("m", "SettingsApplied", "False", "SettingsRefused").await;
    arena.says("m", "SpaceOpen", "True", "Open").await;
    assert!(message(&told, "SettingsApplied").contains("defaultLayout"), "{}", message(&told, "SettingsApplied"));
    let leg = profiles_of(&arena.slot(1)).1;
    assert_ne!(leg, own.1);
    let text = shown(&arena, "callLegProfiles", &leg).await;
    assert!(text.contains("<sipMediaEncryption>required<") && !text.contains("onePlusN"), "{text}");
    let all_in = |m: &ScheduledMeeting| {
        let parties = status_of(m).participants;
        parties.len() == 2
            && parties.iter().all(|party| party.state == ParticipantState::Connected && party.attempts == 1)
    };
    let joined = arena.meeting("m", "both in", all_in).await;
    assert_eq!(status_of(&joined).participants[0].reason.as_deref(), Some("LayoutRefused"));
    assert_eq!(count(&arena.sim.journal(), "POST", "calls/{id}/callLegs"), 3, "{:#?}", arena.journal_lines());
    // Without that wish for the profile the one of the participants is left to tell of.
    arena.patch::<ScheduledMeeting>("m", json!({ "spec": { "settings": { "layout": null } } })).await;
    arena.says("m", "SettingsApplied", "True", "Applied").await;
    arena.end_now("m").await;
    arena.phase("m", Phase::Ended).await;
    arena.bridge("core", "tidy", |b| b.status.as_ref().unwrap().settings_profiles.is_empty()).await;
    arena.finish().await;
}

/// A bridge may take what keeps people out and drop it: nobody is let in by that, whether one meeting asks for it or the
/// bridge's own profiles say so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bridge_that_drops_what_keeps_people_out_lets_nobody_in_by_it() {
    let arena = Arena::with("set-drop", lone(), quick()).await;
    arena.sim.update_switches(|switches| switches.profile_drops = ["sipMediaEncryption".to_owned()].into());
    arena.ready_bridge(json!({})).await;
    let own = profiles_of(&arena.slot(5)).1;
    arena.open_now("asks", 600, json!({ "settings": { "encryption": "Required" } })).await;
    let asks = arena.says("asks", "SettingsApplied", "False", "SettingsRefused").await;
    assert!(message(&asks, "SettingsApplied").contains("sipMediaEncryption"), "{}", message(&asks, "SettingsApplied"));
    arena.says("asks", "SpaceOpen", "False", "SettingsMissing").await;
    arena.open_now("runs", 600, json!({})).await;
    let runs = number_of(&arena.phase("runs", Phase::Active).await);
    let calls = arena.sim.calls();
    let encryption = |mode: Value| json!({ "spec": { "profiles": { "callLeg": { "sipMediaEncryption": mode } } } });
    arena.sim.clear_journal();
    arena.patch::<MeetingBridge>("core", encryption(json!("required"))).await;
    arena.bridge("core", "refused", |b| condition(b, "SettingsApplied") == ("False", "SettingsRefused")).await;
    let told = arena.bridge("core", "not ready", |b| condition(b, "Ready") == ("False", "SettingsRefused")).await;
    let told = message(&told, "SettingsApplied").to_owned();
    assert!(told.contains("sipMediaEncryption of the call leg profile"), "{told}");
    let read = |verb: &str| count(&arena.sim.journal(), verb, "callLegProfiles/{id}");
    // And one at what was refused, since the spec is another one now.
    assert!(read("GET") <= read("PUT") + 1, "one look for each write: {:#?}", arena.journal_lines());
    arena.open_now("late", 600, json!({})).await;
    arena.says("late", "SpaceOpen", "False", "SettingsMissing").await;
    assert!(arena.slot(runs).open && arena.sim.calls() == calls, "who is in stays in");
    assert_eq!(arena.sim.spaces().iter().filter(|space| space.open).count(), 1);
    // The bridge was mended.
    arena.sim.update_switches(|switches| switches.profile_drops.clear());
    ask_full_look(&arena, "mended").await;
    arena.bridge("core", "applied", |b| condition(b, "SettingsApplied") == ("True", "Applied")).await;
    for name in ["late", "asks"] {
        arena.says(name, "SpaceOpen", "True", "Open").await;
    }
    assert!(shown(&arena, "callLegProfiles", &own).await.contains("<sipMediaEncryption>required<"));
    assert_eq!(arena.sim.calls().iter().filter(|call| calls.contains(call)).count(), calls.len());
    arena.assert_rules(1..=5);
    arena.finish().await;
}

/// Whatever a setting says, it is what the bridge is told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn video_is_muted_and_encryption_is_as_each_meeting_asks() {
    let arena = Arena::with("set-values", lone(), quick()).await;
    arena.ready_bridge(json!({})).await;
    let rows = [
        ("video", json!({ "joinMuted": { "video": true } }), "<rxVideoMute>true<"),
        ("seen", json!({ "joinMuted": { "audio": true, "video": false } }), "<rxVideoMute>false<"),
        ("optional", json!({ "encryption": "Optional" }), "<sipMediaEncryption>optional<"),
        ("off", json!({ "encryption": "Off" }), "<sipMediaEncryption>prohibited<"),
    ];
    for (name, settings, _) in &rows {
        arena.open_now(name, 600, json!({ "settings": settings })).await;
    }
    for (name, _, wanted) in &rows {
        let number = number_of(&arena.says(name, "SettingsApplied", "True", "Applied").await);
        let text = shown(&arena, "callLegProfiles", &profiles_of(&arena.slot(number)).1).await;
        assert!(text.contains(wanted), "{name}: {text}");
    }
    arena.assert_rules(1..=5);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_can_be_put_in_changed_and_taken_out_while_the_meeting_runs() {
    let arena = Arena::with("set-edit", lone(), quick()).await;
    arena.ready_bridge(json!({})).await;
    let own = profiles_of(&arena.slot(1));
    arena.open_now("m", 600, json!({})).await;
    arena.phase("m", Phase::Active).await;
    let (secret, calls) = (arena.slot(1).secret, arena.sim.calls());
    let mut before = own.clone();
    for layout in ["stacked", "allEqual"] {
        let patch = json!({ "spec": { "settings": { "layout": layout } } });
        arena.patch::<ScheduledMeeting>("m", patch).await;
        let last = before.1.clone();
        arena.await_sim("another profile", |sim| profiles_of(&slot_of(sim, 1)).1 != last).await;
        arena.says("m", "SettingsApplied", "True", "Applied").await;
        before = profiles_of(&arena.slot(1));
        let text = shown(&arena, "callLegProfiles", &before.1).await;
        assert!(text.contains(&format!("<defaultLayout>{layout}<")), "{text}");
    }
    arena.patch::<ScheduledMeeting>("m", json!({ "spec": { "settings": null } })).await;
    arena.await_sim("the own profiles", |sim| profiles_of(&slot_of(sim, 1)) == own).await;
    all_given_back(&arena, &[]).await;
    assert_eq!((arena.slot(1).secret, arena.sim.calls()), (secret, calls), "nobody notices");
    arena.assert_rules(1..=5);
    arena.finish().await;
}

/// In business hours no bridge is idle; what is only looked at on an idle one would stay as others left it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn profiles_that_somebody_changes_while_meetings_run_are_put_back() {
    let arena = Arena::with("set-hand", lone(), quick()).await;
    arena.ready_bridge(json!({})).await;
    let own = profiles_of(&arena.slot(2)).0.unwrap();
    arena.open_now("m", 600, json!({ "settings": { "encryption": "Required" } })).await;
    arena.says("m", "SettingsApplied", "True", "Applied").await;
    let mine = profiles_of(&arena.slot(1)).1.unwrap();
    let was = [format!("callProfiles/{own}"), format!("callLegProfiles/{mine}")];
    for (path, change) in was.iter().zip(["participantLimit=3", "sipMediaEncryption=prohibited"]) {
        let before = arena.ask(Method::GET, path, "").await;
        arena.ask(Method::PUT, path, change).await;
        assert_ne!(arena.ask(Method::GET, path, "").await, before);
        let is_repair = |e: &&JournalEntry| e.method == "PUT" && path.starts_with(e.route.trim_end_matches("/{id}"));
        arena.await_requests("put back", |all| all.iter().filter(is_repair).count() == 2).await;
        // The request is in the journal before it is done.
        let is_back = async {
            while arena.ask(Method::GET, path, "").await != before {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, is_back).await.expect("as it was");
    }
    arena.assert_rules(1..=5);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bridge_that_goes_takes_the_profiles_of_settings_with_it() {
    let arena = Arena::with("set-gone", lone(), quick()).await;
    arena.ready_bridge(json!({})).await;
    let foreign = arena.foreign_profile().await;
    arena.open_now("m", 600, json!({ "settings": everything() })).await;
    arena.says("m", "SettingsApplied", "True", "Applied").await;
    arena.delete::<MeetingBridge>("core").await;
    arena.gone::<MeetingBridge>("core").await;
    assert_eq!(totals(&arena).await, [0, 1], "the foreign one stays");
    shown(&arena, "callLegProfiles", &Some(foreign)).await;
    arena.finish().await;
}

impl Arena {
    /// A call leg profile that is somebody else's, and that looks like one for settings.
    async fn foreign_profile(&self) -> String {
        self.ask(Method::POST, "callLegProfiles", "name=meeting-controller+0123456789abcdef&defaultLayout=stacked")
            .await;
        let mut ids = self.sim.journal().into_iter().filter(|e| e.method == "POST" && e.route == "callLegProfiles");
        ids.next_back().and_then(|entry| entry.object_id).expect("made")
    }
}

/// Somebody deletes the bridge's own profile that keeps people out, a moment before a start. The door does not open without it,
/// and it is made anew at once, not at the next idle look.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_profile_that_keeps_people_out_and_is_gone_is_made_anew_before_the_door_opens() {
    let arena = Arena::with("set-gone", lone(), Settings { idle_read: Duration::from_secs(600), ..quick() }).await;
    arena.ready_bridge(json!({ "profiles": { "callLeg": { "sipMediaEncryption": "required" } } })).await;
    let bridge = arena.bridge("core", "applied", |b| condition(b, "SettingsApplied") == ("True", "Applied")).await;
    let status = bridge.status.unwrap();
    assert_eq!(status.proven_protection, ["call leg profile: sipMediaEncryption=required"]);
    let own = status.profiles.unwrap().call_leg.unwrap();
    arena.ask(Method::DELETE, &format!("callLegProfiles/{own}"), "").await;
    arena.open_now("m", 600, json!({})).await;
    let running = arena.says("m", "Ready", "True", "Active").await;
    let shown = profiles_of(&arena.slot(number_of(&running))).1.expect("a profile");
    assert_ne!(shown, own);
    let profile = arena.ask(Method::GET, &format!("callLegProfiles/{shown}"), "").await;
    assert!(profile.contains("<sipMediaEncryption>required<"), "{profile}");
    arena.assert_rules(1..=5);
    arena.finish().await;
}
