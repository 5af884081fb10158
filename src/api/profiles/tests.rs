use super::*;

fn line(pairs: &[(String, String)]) -> String {
    pairs.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join("&")
}

#[test]
fn defaults_are_what_tms_sends() {
    assert_eq!(line(&CallProfile::default().pairs()), "participantLimit=1000&messageBoardEnabled=false");
    let legs = line(&CallLegProfile::default().pairs());
    assert_eq!(legs.len(), 167, "golden size of requirements.md 1.3");
    assert!(legs.starts_with("defaultLayout=telepresence&changeLayoutAllowed=true&"));
}

#[test]
fn an_empty_object_means_the_defaults() {
    let call: CallProfile = serde_json::from_str("{}").unwrap();
    assert_eq!(call, CallProfile::default());
    let leg: CallLegProfile = serde_json::from_str("{}").unwrap();
    assert_eq!(leg, CallLegProfile::default());
}

#[test]
fn the_message_board_is_gone_in_3_0() {
    let call = CallProfile::default();
    assert_eq!(line(&call.pairs_for("3.1")), "participantLimit=1000");
    assert_eq!(line(&call.pairs_for("2.0(RC)")), "participantLimit=1000&messageBoardEnabled=false");
}
