use kube::core::CustomResourceExt;
use serde_json::json;

use super::*;
use crate::api::ScheduledMeeting;

fn spec_schema(crd: &impl serde::Serialize, path: &str) -> Value {
    let whole = serde_json::to_value(crd).unwrap();
    whole.pointer(&format!("/spec/versions/0/schema/openAPIV3Schema/properties/spec{path}")).cloned().unwrap()
}

#[test]
fn a_template_says_all_that_a_meeting_can_but_its_time() {
    let template = spec_schema(&MeetingSeries::crd(), "/properties/template/properties/spec");
    let mut meeting = spec_schema(&ScheduledMeeting::crd(), "");
    let fields = meeting["properties"].as_object_mut().unwrap();
    for name in TIMES {
        fields.remove(name).unwrap();
    }
    assert_eq!(template["properties"], meeting["properties"]);
    assert_eq!(template["required"], json!(["title"]));
    let rules = template["x-kubernetes-validations"].as_array().unwrap();
    assert!(!rules.is_empty() && rules.len() == meeting["x-kubernetes-validations"].as_array().unwrap().len() - 2);
}

#[test]
fn a_template_is_read_and_written_without_any_time() {
    let given =
        json!({ "title": "t", "suspend": false, "start": "2026-12-07T09:00:00Z", "end": "2026-12-07T10:00:00Z" });
    let template: TemplateSpec = serde_json::from_value(given).unwrap();
    let written = serde_json::to_value(&template).unwrap();
    assert_eq!((&written["title"], &written["suspend"]), (&json!("t"), &json!(false)));
    assert!(TIMES.iter().all(|name| written.get(*name).is_none()), "{written}");
    let start = Instant("2027-01-01T00:00:00Z".parse().unwrap());
    let meeting = template.at(start, Span::from_secs(60));
    assert_eq!((meeting.start, meeting.end, meeting.duration), (start, None, Some(Span::from_secs(60))));
}

#[test]
fn every_list_of_the_status_has_the_bound_that_it_is_cut_to() {
    let whole = serde_json::to_value(MeetingSeries::crd()).unwrap();
    let status = whole.pointer("/spec/versions/0/schema/openAPIV3Schema/properties/status/properties").unwrap();
    assert_eq!(status["occurrences"]["maxItems"], json!(MOST_OCCURRENCES));
    assert_eq!(status["unmatchedExceptions"]["maxItems"], json!(MOST_UNMATCHED));
}
