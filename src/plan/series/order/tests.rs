use serde_json::json;

use super::*;
use crate::api::values::Span;

fn series(template: &Value) -> MeetingSeries {
    serde_json::from_value(json!({
        "apiVersion": "meeting-controller.dev/v1alpha1", "kind": "MeetingSeries",
        "metadata": { "name": "weekly", "namespace": "ns", "uid": "3fa85f64-5717-4562-b3fc-2c963f66afa6" },
        "spec": { "start": "2026-12-07T09:00:00", "timeZone": "UTC", "duration": "1h",
                  "recurrence": { "frequency": "Weekly" }, "template": template }
    }))
    .unwrap()
}

fn plain() -> MeetingSeries {
    series(&json!({ "spec": { "title": "t" } }))
}

fn planned() -> Planned {
    Planned { start: "2026-12-07T09:00:00Z".parse().unwrap(), duration: Span::from_secs(3600), exception: None }
}

fn order(series: &MeetingSeries, found: Option<&ScheduledMeeting>) -> Order {
    let at = jiff::civil::date(2026, 12, 7).at(9, 0, 0, 0);
    Wanted::new(series, &planned()).order(series, at, "weekly-20261207t0900", found)
}

/// As the apiserver has it after the write.
fn stored(order: &Order, uid: &str, generation: i64) -> ScheduledMeeting {
    let mut meeting: ScheduledMeeting = serde_json::from_value(order.body.clone()).unwrap();
    meeting.metadata.uid = Some(uid.to_owned());
    meeting.metadata.generation = Some(generation);
    meeting.metadata.resource_version = Some("77".to_owned());
    meeting
}

#[test]
fn a_new_one_is_owned_labelled_and_guarded() {
    let template = json!({ "metadata": { "labels": { "team": "a", SERIES_LABEL: "forged" }, "annotations": { "note": "n" } },
                           "spec": { "title": "t" } });
    let body = order(&series(&template), None).body;
    assert_eq!(body["metadata"]["labels"], json!({ "team": "a", SERIES_LABEL: "weekly" }));
    assert_eq!(body["metadata"]["annotations"]["note"], json!("n"));
    assert!(body["metadata"]["annotations"][SERIES_APPLIED_ANNOTATION].as_str().unwrap().starts_with("1-"));
    assert_eq!(body["metadata"]["resourceVersion"], json!("1"), "what is there is not written over");
    let owner = &body["metadata"]["ownerReferences"][0];
    assert_eq!((&owner["kind"], &owner["controller"]), (&json!("MeetingSeries"), &json!(true)));
    assert_eq!(owner.get("blockOwnerDeletion"), None, "that would need a right on finalizers");
    assert_eq!(body["spec"]["start"], json!("2026-12-07T09:00:00Z"));
}

#[test]
fn what_we_wrote_is_neither_edited_nor_written_again() {
    let series = plain();
    let meeting = stored(&order(&series, None), "u", 1);
    assert!(!is_edited(&meeting) && is_ours(&series, &meeting));
    assert!(!Wanted::new(&series, &planned()).differs(&series, &meeting));
}

#[test]
fn any_later_generation_is_an_edit() {
    let meeting = stored(&order(&plain(), None), "u", 2);
    assert!(is_edited(&meeting));
    let mut handed_back = meeting;
    handed_back.annotations_mut().remove(SERIES_APPLIED_ANNOTATION);
    assert!(!is_edited(&handed_back));
    assert!(Wanted::new(&plain(), &planned()).differs(&plain(), &handed_back), "and is written anew");
}

#[test]
fn a_change_says_which_generation_comes_of_it() {
    let before = stored(&order(&plain(), None), "u", 1);
    let renamed = series(&json!({ "spec": { "title": "another" } }));
    assert!(Wanted::new(&renamed, &planned()).differs(&renamed, &before));
    let change = order(&renamed, Some(&before)).body;
    assert!(change["metadata"]["annotations"][SERIES_APPLIED_ANNOTATION].as_str().unwrap().starts_with("2-"));
    assert_eq!((&change["metadata"]["uid"], &change["metadata"]["resourceVersion"]), (&json!("u"), &json!("77")));
    // A label only: the spec stays, and with it the generation.
    let labelled = series(&json!({ "metadata": { "labels": { "team": "b" } }, "spec": { "title": "t" } }));
    let change = order(&labelled, Some(&before)).body;
    assert!(change["metadata"]["annotations"][SERIES_APPLIED_ANNOTATION].as_str().unwrap().starts_with("1-"));
}

#[test]
fn a_webhook_that_completes_what_we_wrote_is_not_fought() {
    let series = plain();
    let mut meeting = stored(&order(&series, None), "u", 1);
    meeting.spec.title = "completed by a webhook".to_owned();
    assert!(!Wanted::new(&series, &planned()).differs(&series, &meeting));
    // It took a change back, so that the generation did not come: the annotation is put right.
    let ahead = Applied { generation: 2, ..Applied::of(&meeting).unwrap() }.to_string();
    meeting.annotations_mut().insert(SERIES_APPLIED_ANNOTATION.to_owned(), ahead);
    assert!(Wanted::new(&series, &planned()).differs(&series, &meeting));
    let again = order(&series, Some(&meeting)).body;
    assert!(again["metadata"]["annotations"][SERIES_APPLIED_ANNOTATION].as_str().unwrap().starts_with("1-"));
}

#[test]
fn only_what_nobody_controls_and_carries_our_marks_is_adopted() {
    let series = plain();
    let ours = stored(&order(&series, None), "u", 1);
    assert!(!may_be_adopted(&series, &ours), "it is controlled already");
    let mut orphan = ours.clone();
    orphan.metadata.owner_references = None;
    assert!(may_be_adopted(&series, &orphan) && !is_ours(&series, &orphan));
    let mut strange = orphan.clone();
    strange.labels_mut().clear();
    assert!(!may_be_adopted(&series, &strange));
    let mut of_another = ours;
    of_another.metadata.owner_references.as_mut().unwrap()[0].uid = "another".to_owned();
    assert!(!is_ours(&series, &of_another) && !may_be_adopted(&series, &of_another));
}
