use super::*;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition as Original;

#[test]
fn it_reads_and_writes_as_the_condition_of_kubernetes() {
    let original = Original {
        type_: "Ready".to_owned(),
        status: "True".to_owned(),
        observed_generation: Some(3),
        last_transition_time: Time(jiff::Timestamp::from_second(1_800_000_000).unwrap()),
        reason: "Scheduled".to_owned(),
        message: "with \"quotes\" and\nlines".to_owned(),
    };
    let text = serde_json::to_value(&original).unwrap();
    let ours: Condition = serde_json::from_value(text.clone()).unwrap();
    assert_eq!(serde_json::to_value(&ours).unwrap(), text);
    let bare = Original { observed_generation: None, ..original };
    let text = serde_json::to_value(&bare).unwrap();
    let ours: Condition = serde_json::from_value(text.clone()).unwrap();
    assert_eq!(serde_json::to_value(&ours).unwrap(), text);
}

#[test]
fn equal_texts_are_kept_once_and_unused_ones_go() {
    let one = Text::from("the window has not begun");
    let two = Text::from("the window has not begun".to_owned());
    assert!(Arc::ptr_eq(&one.0, &two.0));
    for number in 0..10_000 {
        drop(Text::from(format!("slot {number} is reserved")));
    }
    // Other tests use texts, too.
    assert!(KNOWN.lock().unwrap().texts.len() < 5_000);
}
