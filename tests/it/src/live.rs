//! `validate --live`: is there a slot? Asked before apply, with the user's own rights, of what the cluster has booked.

use serde_json::json;

use crate::kit::*;
use crate::plugin::{LOOK, User, has};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_would_be_refused_is_told_before_it_is_applied() {
    let arena = Arena::new("live").await;
    arena.ready_bridge(json!({ "slots": { "quantity": 1 } })).await;
    let start = in_ms(3_600_000);
    arena.create_meeting("there", json!({ "start": start, "duration": "1h" })).await;
    arena.booked("there").await;
    let manifest = |name: &str, start: &str| {
        format!(
            "apiVersion: meeting-controller.dev/v1alpha1\nkind: ScheduledMeeting\nmetadata: {{name: {name}, namespace: {}}}\n\
             spec: {{title: T, start: {start:?}, duration: 1h, bridgeRef: {{name: core}}}}\n---\n",
            arena.namespace
        )
    };
    let text = manifest("before", &in_ms(-600_000)) + &manifest("collides", &start) + &manifest("there", &start);
    let user = User::allowed(&arena, "booker", &[LOOK]).await;
    let (code, out) = user.runs(&["validate", "--live"], &text).await;
    assert_eq!(code, 1, "{out}");
    has(
        &out,
        &[
            &format!("ScheduledMeeting {0}/before: gets slot 1 of the bridge {0}/core", arena.namespace),
            &format!(
                "ScheduledMeeting {0}/collides: NoFreeSlot: every slot of the bridge {0}/core is taken",
                arena.namespace
            ),
            &format!("ScheduledMeeting {0}/there: gets slot 1 of the bridge {0}/core", arena.namespace),
            "3 objects checked, 1 problem",
            "note: meetings of other namespaces cannot be seen with your rights",
        ],
    );
    // What it says is what comes true.
    arena.create_meeting("collides", json!({ "start": start, "duration": "1h" })).await;
    let refused = arena.says("collides", "Accepted", "False", "NoFreeSlot").await;
    let told = message(&refused, "Accepted");
    assert!(told.contains("the next start for which there is one is "), "{told}");
    assert!(out.contains(told), "{told} is not in {out}");
    let days = arena.bridge("core", "the peak of the day", |bridge| {
        let bookings = bridge.status.as_ref().and_then(|status| status.bookings.as_ref());
        bookings.is_some_and(|bookings| bookings.days.iter().any(|day| day.peak == 1))
    });
    days.await;

    let nobody = User::allowed(&arena, "nobody", &[]).await;
    let (code, out) = nobody.runs(&["validate", "--live"], &text).await;
    assert_eq!((code, out.as_str()), (2, ""), "nothing is told by halves");
    arena.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_series_each_occurrence_is_looked_at_before_it_is_applied() {
    let arena = Arena::new("live-series").await;
    arena.ready_bridge(json!({ "slots": { "quantity": 1 } })).await;
    let day = 24 * 3_600_000;
    // The hour of the second occurrence is somebody's.
    arena.create_meeting("there", json!({ "start": in_ms(2 * day - 600_000), "duration": "1h" })).await;
    arena.booked("there").await;
    let first = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24);
    let manifest = format!(
        "apiVersion: meeting-controller.dev/v1alpha1\nkind: MeetingSeries\nmetadata: {{name: daily, namespace: {}}}\nspec:\n  \
         start: \"{}\"\n  timeZone: UTC\n  duration: 30m\n  horizon: 96h\n  recurrence: {{frequency: Daily, count: 3}}\n  \
         template: {{spec: {{title: D, bridgeRef: {{name: core}}}}}}\n",
        arena.namespace,
        first.strftime("%Y-%m-%dT%H:%M:%S")
    );
    let user = User::allowed(&arena, "booker", &[LOOK]).await;
    let (code, out) = user.runs(&["validate", "--live"], &manifest).await;
    assert_eq!(code, 1, "{out}");
    let second = first + jiff::SignedDuration::from_hours(24);
    let name = format!("daily-{}", second.strftime("%Y%m%dt%H%M"));
    has(
        &out,
        &[
            &format!(
                "MeetingSeries {}/daily: occurrence {name}: NoFreeSlot: every slot of the bridge",
                arena.namespace
            ),
            &format!("daily: 2 of 3 occurrences within the horizon get a slot, on {}/core", arena.namespace),
            "1 object checked, 1 problem",
        ],
    );
    // What it says is what comes true.
    let series: meeting_controller::api::MeetingSeries = serde_yaml::from_str(&manifest).unwrap();
    arena.api().create(&kube::api::PostParams::default(), &series).await.expect("series is accepted");
    let refused = arena.says(&name, "Accepted", "False", "NoFreeSlot").await;
    assert!(out.contains(message(&refused, "Accepted")), "{out}");
    // An exception that moves it away mends it, also for those that are there.
    let moved = second + jiff::SignedDuration::from_hours(3);
    let at = |time: jiff::Timestamp| time.strftime("%Y-%m-%dT%H:%M:%S").to_string();
    let mended = manifest + &format!("  exceptions: [{{occurrence: \"{}\", start: \"{}\"}}]\n", at(second), at(moved));
    let (code, out) = user.runs(&["validate", "--live"], &mended).await;
    assert_eq!(code, 0, "{out}");
    has(&out, &["daily: 3 of 3 occurrences within the horizon get a slot"]);
    arena.finish().await;
}

/// An edit of one that runs, and a series whose old occurrences stand where the new ones are to be.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_runs_is_judged_in_its_slot_and_what_goes_makes_room() {
    let arena = Arena::new("live-edit").await;
    arena.ready_bridge(json!({ "slots": { "quantity": 1 } })).await;
    arena.open_now("here", 3_600, json!({})).await;
    let here = arena.phase("here", meeting_controller::api::meeting::Phase::Active).await;
    arena.create_meeting("next", json!({ "start": in_ms(7_200_000), "duration": "1h" })).await;
    arena.booked("next").await;
    let daily = |start: jiff::civil::DateTime| {
        format!(
            "apiVersion: meeting-controller.dev/v1alpha1\nkind: MeetingSeries\nmetadata: {{name: daily, namespace: {}}}\nspec:\n  \
             start: \"{start}\"\n  timeZone: UTC\n  duration: 1h\n  horizon: 72h\n  recurrence: {{frequency: Daily}}\n  \
             template: {{spec: {{title: D, bridgeRef: {{name: core}}}}}}\n",
            arena.namespace
        )
    };
    let series: meeting_controller::api::MeetingSeries =
        serde_yaml::from_str(&daily(crate::series::local(12 * 3_600).parse().unwrap())).unwrap();
    arena.api().create(&kube::api::PostParams::default(), &series).await.expect("series is accepted");
    arena.series_says("daily", "Ready", "True", "Ready").await;
    let longer = format!(
        "apiVersion: meeting-controller.dev/v1alpha1\nkind: ScheduledMeeting\nmetadata: {{name: here, namespace: {}}}\n\
         spec: {{title: here, start: {:?}, duration: 3h, bridgeRef: {{name: core}}}}\n---\n",
        arena.namespace,
        here.spec.start.0.to_string()
    );
    let moved = daily(series.spec.start.0 + jiff::SignedDuration::from_mins(30));
    let user = User::allowed(&arena, "booker", &[LOOK]).await;
    let (code, out) = user.runs(&["validate", "--live"], &(longer + &moved)).await;
    assert_eq!(code, 1, "{out}");
    let told = format!("ScheduledMeeting {0}/here: ExtensionConflict: the slot belongs to {0}/next", arena.namespace);
    has(&out, &[&told, "daily: 3 of 3 occurrences within the horizon get a slot", "2 objects checked, 1 problem"]);
    // What it says is what comes true.
    arena.patch::<meeting_controller::api::ScheduledMeeting>("here", json!({ "spec": { "duration": "3h" } })).await;
    let conflict = arena.says("here", "SlotReserved", "False", "ExtensionConflict").await;
    assert!(out.contains(message(&conflict, "SlotReserved")), "{out}");
    arena.finish().await;
}
