use super::*;

#[test]
fn random_digits_are_digits() {
    let passcode = random_digits(8);
    assert!(passcode.len() == 8 && passcode.bytes().all(|b| b.is_ascii_digit()));
}

#[test]
fn a_new_passcode_is_none_of_an_access_methods() {
    let of = |digit: u8| {
        let passcode = Some(SecretString::from(digit.to_string()));
        (digit.to_string(), MethodSecrets { secret: SecretString::from("s"), passcode })
    };
    let methods = (0..9).map(of).collect();
    assert_eq!(new_passcode(1, &methods), "9", "the only one that is left");
}

#[test]
fn a_join_secret_is_ours_orphaned_or_a_strangers() {
    let meeting: ScheduledMeeting = serde_json::from_value(serde_json::json!({
        "apiVersion": "meeting-controller.dev/v1alpha1", "kind": "ScheduledMeeting",
        "metadata": { "name": "m", "namespace": "ns", "uid": "u" },
        "spec": { "title": "t", "start": "2026-01-01T00:00:00Z", "duration": "1h",
                  "passcodeSecretRef": { "name": "codes" } }
    }))
    .unwrap();
    let secret = |name: &str, label: bool, owner: Option<(&str, &str, &str)>| -> Secret {
        let owners: Vec<_> = owner
            .map(|(kind, name, uid)| {
                serde_json::json!({ "apiVersion": "meeting-controller.dev/v1alpha1", "kind": kind, "name": name, "uid": uid })
            })
            .into_iter()
            .collect();
        let labels = if label { serde_json::json!({ JOIN_LABEL: "true" }) } else { serde_json::json!({}) };
        serde_json::from_value(serde_json::json!({
            "metadata": { "name": name, "labels": labels, "ownerReferences": owners }
        }))
        .unwrap()
    };
    let of = |secret: &Secret| whose(secret, &meeting);
    assert_eq!(of(&secret("m-join", false, Some(("ScheduledMeeting", "m", "u")))), Whose::Ours);
    assert_eq!(of(&secret("m-join", true, None)), Whose::Orphaned, "its owner was stripped");
    assert_eq!(of(&secret("m-join", true, Some(("ScheduledMeeting", "m", "dead")))), Whose::Orphaned);
    assert_eq!(of(&secret("m-join", true, Some(("ScheduledMeeting", "other", "v")))), Whose::Strangers);
    assert_eq!(of(&secret("m-join", true, Some(("Deployment", "m", "v")))), Whose::Strangers);
    assert_eq!(of(&secret("m-join", false, None)), Whose::Strangers);
    assert_eq!(of(&secret("codes", true, None)), Whose::Strangers, "its passcode comes from there");
}

#[test]
fn without_a_slot_only_what_lets_people_in_is_left() {
    let left = ["secret", "passcode", "access.host.secret", "access.host.passcode"];
    let gone = ["number", "uri", "link", "invite.ics", "invite.txt", "access.host.link"];
    assert!(left.into_iter().all(lets_in) && !gone.into_iter().any(lets_in));
}
