//! The warning before the end: everybody in a meeting reads it, in every call of it, once; and what cannot be shown is told
//! and costs nothing.

use cms_simulator::{CallView, Config, Fault, FaultKind, JournalEntry, UnknownParameter};
use jiff::SignedDuration;
use meeting_controller::api::ScheduledMeeting;
use meeting_controller::api::meeting::Phase;
use meeting_controller::clock::Clock as _;
use serde_json::json;

use crate::kit::*;
use crate::meetings::*;

impl Arena {
    /// Sets the clock so that a meeting lasts for so many seconds more, and up to one.
    async fn lasts(&self, name: &str, seconds: i64) -> ScheduledMeeting {
        let meeting = self.phase(name, Phase::Active).await;
        let ends = status_of(&meeting).window.unwrap().closes_at.0;
        self.clock.step(ends.duration_since(self.clock.now()).as_secs() - seconds);
        meeting
    }

    /// Waits until every call that there is shows this.
    async fn reads(&self, text: Option<&str>) -> Vec<CallView> {
        let all = |calls: &[CallView]| !calls.is_empty() && calls.iter().all(|call| call.message.as_deref() == text);
        self.await_sim(&format!("{text:?}"), |sim| all(&sim.calls())).await;
        self.sim.calls()
    }

    /// What calls were told.
    fn told_to_calls(&self) -> Vec<JournalEntry> {
        self.requests_of("PUT", "calls/{id}")
    }

    fn requests_of(&self, method: &str, route: &str) -> Vec<JournalEntry> {
        self.sim
            .journal()
            .into_iter()
            .filter(|entry| (entry.method.as_str(), entry.route.as_str()) == (method, route))
            .collect()
    }
}

const FIVE: &str = "This meeting ends in 5 min.";
const ONE: &str = "This meeting ends in 1 min.";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everybody_reads_five_minutes_and_one_minute_before_that_it_ends() {
    let arena = Arena::with("warn", lone(), quick()).await;
    arena.ready_bridge(json!({ "endWarning": {} })).await;
    arena.open_now("board", 3_600, json!({})).await;
    arena.says("board", "EndWarned", "False", "NotYet").await;
    let meeting = arena.lasts("board", 302).await;
    arena.reads(Some(FIVE)).await;
    let ends = status_of(&meeting).window.unwrap().closes_at.0;
    let late = arena.clock.now().duration_since(ends - SignedDuration::from_mins(5));
    assert!((SignedDuration::ZERO..SignedDuration::from_secs(1)).contains(&late), "{late:?} after its minute");
    let told = arena.says("board", "EndWarned", "True", "Shown").await;
    assert_eq!(condition(&told, "Ready"), ("True", "Active"));
    assert_eq!(message(&told, "EndWarned"), format!("warned 5 min before the end at {ends}"));
    let puts = arena.told_to_calls();
    assert_eq!(fields(&puts[0]), ["messageText", "messagePosition", "messageDuration"]);
    arena.lasts("board", 62).await;
    arena.reads(Some(ONE)).await;
    arena.lasts("board", 1).await;
    let ended = arena.phase("board", Phase::Ended).await;
    assert_eq!((condition(&ended, "EndWarned"), condition(&ended, "Ready")), (("True", "Shown"), ("True", "Ended")));
    assert_eq!(arena.told_to_calls().len(), 2, "{:#?}", arena.journal_lines());
    arena.assert_rules(1..=5);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_meeting_warns_in_its_own_words_or_not_at_all_and_a_later_end_takes_the_words_away() {
    let arena = Arena::with("warn-own", lone(), quick()).await;
    arena.ready_bridge(json!({ "endWarning": { "minutesBefore": [5] } })).await;
    let own = json!({ "endWarning": { "minutesBefore": [10], "text": "Noch {minutes} Minuten", "position": "Top",
                                      "durationSeconds": 60 } });
    arena.open_now("own", 3_600, own).await;
    arena.phase("own", Phase::Active).await;
    arena.lasts("own", 602).await;
    arena.reads(Some("Noch 10 Minuten")).await;
    let put = arena.told_to_calls().remove(0);
    assert!(put.body.contains(&("messagePosition".to_owned(), "top".to_owned())), "{put:?}");
    let meeting = arena.says("own", "EndWarned", "True", "Shown").await;
    let later = status_of(&meeting).window.unwrap().closes_at.0 + SignedDuration::from_mins(30);
    let patch = json!({ "spec": { "duration": null, "end": later.to_string() } });
    arena.patch::<ScheduledMeeting>("own", patch).await;
    arena.reads(None).await;
    arena.says("own", "EndWarned", "False", "NotYet").await;
    // It ends, and the next one says nothing.
    arena.delete::<ScheduledMeeting>("own").await;
    arena.gone::<ScheduledMeeting>("own").await;
    arena.sim.clear_journal();
    let start = arena.clock.now() - SignedDuration::from_secs(1);
    let quiet = json!({ "start": start.to_string(), "duration": "1h", "endWarning": { "minutesBefore": [] } });
    arena.create_meeting("quiet", quiet).await;
    arena.lasts("quiet", 301).await;
    arena.lasts("quiet", 2).await;
    let ended = arena.phase("quiet", Phase::Ended).await;
    assert_eq!((condition(&ended, "EndWarned"), arena.told_to_calls().len()), (("", ""), 0));
    arena.assert_rules(1..=5);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_on_other_call_bridges_of_the_cluster_read_it_too() {
    let arena = Arena::cluster("warn-many").await;
    arena.open_now("wide", 3_600, json!({ "endWarning": {} })).await;
    arena.phase("wide", Phase::Active).await;
    arena.sim.join("1", "Ada", 1).expect("Ada is in");
    assert_eq!(arena.hosts(1).len(), 2);
    arena.lasts("wide", 302).await;
    assert_eq!(arena.reads(Some(FIVE)).await.len(), 2);
    arena.says("wide", "EndWarned", "True", "Shown").await;
    assert_eq!(arena.told_to_calls().len(), 2);
    arena.assert_rules(1..=5);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_shown_is_told_and_the_meeting_goes_on() {
    let old = Config { software_version: "2.0".to_owned(), ..lone() };
    let arena = Arena::with("warn-old", old, quick()).await;
    arena.sim.update_switches(|s| s.unknown_parameter = UnknownParameter::Refused);
    arena.ready_bridge(json!({ "endWarning": {} })).await;
    arena.open_now("old", 3_600, json!({})).await;
    let told = arena.says("old", "EndWarned", "False", "UnsupportedSetting").await;
    assert_eq!(message(&told, "EndWarned"), "CMS 2.0 does not know: endWarning");
    let active = arena.says("old", "Ready", "True", "Active").await;
    assert_eq!(condition(&active, "EndWarned"), ("False", "UnsupportedSetting"));
    arena.lasts("old", 301).await;
    arena.lasts("old", 2).await;
    arena.phase("old", Phase::Ended).await;
    assert_eq!(arena.told_to_calls().len(), 0);
    arena.finish().await;

    let arena = Arena::with("warn-no", lone(), quick()).await;
    arena.ready_bridge(json!({ "endWarning": {} })).await;
    let failure = FaultKind::Failure { status: 400, element: "parameterError".to_owned() };
    arena.sim.add_fault(Fault::new(failure).method("PUT").route("calls/{id}"));
    arena.open_now("no", 3_600, json!({})).await;
    arena.lasts("no", 302).await;
    let told = arena.says("no", "EndWarned", "False", "WarningNotShown").await;
    assert_eq!(condition(&told, "Ready"), ("True", "Active"));
    arena.sim.clear_faults();
    arena.lasts("no", 62).await;
    arena.reads(Some(ONE)).await;
    arena.says("no", "EndWarned", "True", "Shown").await;
    assert_eq!(arena.told_to_calls().len(), 2, "the one that failed was not tried again");
    arena.assert_rules(1..=5);
    arena.finish().await;
}

/// A bridge that does not answer costs the warning and nothing else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_warning_that_hangs_delays_neither_the_next_door_nor_the_end() {
    let arena = Arena::with("warn-hang", lone(), quick()).await;
    arena.ready_bridge(json!({ "endWarning": { "minutesBefore": [1] } })).await;
    arena.sim.add_fault(Fault::new(FaultKind::HangBefore).method("PUT").route("calls/{id}"));
    arena.open_now("m", 3_600, json!({})).await;
    arena.lasts("m", 62).await;
    arena.await_requests("it hangs", |all| count(all, "PUT", "calls/{id}") == 1).await;
    let start = arena.clock.now() + SignedDuration::from_secs(1);
    arena.create_meeting("next", json!({ "start": start.to_string(), "duration": "10m" })).await;
    let next = arena.phase("next", Phase::Active).await;
    let late = status_of(&next).opened_at.unwrap().0.duration_since(start);
    // A warning is waited for 5 s.
    assert!(late < SignedDuration::from_secs(3), "the next door opens {late:?} late");
    let told = arena.says("m", "EndWarned", "False", "WarningNotShown").await;
    assert_eq!(condition(&told, "Ready"), ("True", "Active"));
    arena.lasts("m", 1).await;
    let status = status_of(&arena.phase("m", Phase::Ended).await);
    let late = status.ended_at.unwrap().0.duration_since(status.window.unwrap().closes_at.0);
    assert!(late < SignedDuration::from_secs(3), "it ends {late:?} late");
    assert_eq!(arena.told_to_calls().len(), 1, "it is not tried again");
    arena.assert_rules(1..=5);
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_controller_that_starts_again_repeats_nothing_and_says_nothing_that_is_not_true() {
    let mut arena = Arena::with("warn-away", lone(), quick()).await;
    arena.ready_bridge(json!({ "endWarning": {} })).await;
    arena.open_now("m", 3_600, json!({})).await;
    arena.lasts("m", 302).await;
    arena.says("m", "EndWarned", "True", "Shown").await;
    arena.controller.take().unwrap().kill().await;
    arena.start().await;
    // It comes back for the end, and the minute before it has passed meanwhile.
    arena.controller.take().unwrap().kill().await;
    arena.lasts("m", 30).await;
    arena.start().await;
    let told = arena.says("m", "EndWarned", "False", "WarningNotShown").await;
    assert!(message(&told, "EndWarned").contains("1 min before the end"), "{}", message(&told, "EndWarned"));
    assert_eq!(condition(&told, "Ready"), ("True", "Active"));
    assert_eq!(arena.told_to_calls().len(), 1, "{:#?}", arena.journal_lines());
    arena.assert_rules(1..=5);
    arena.finish().await;
}
