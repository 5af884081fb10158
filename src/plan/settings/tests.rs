use super::*;

fn settings(json: serde_json::Value) -> MeetingSettings {
    serde_json::from_value(json).unwrap()
}

fn everything() -> MeetingSettings {
    settings(serde_json::json!({
        "layout": "speakerOnly", "joinMuted": { "audio": true, "video": false }, "recording": "Automatic",
        "streaming": "Off", "encryption": "Required", "participantLimit": 7, "chat": true, "presentation": false
    }))
}

fn profile(wanted: &Wanted, kind: ProfileKind) -> &SettingsProfile {
    wanted.profiles.iter().find(|profile| profile.kind == kind).unwrap()
}

#[test]
fn settings_lie_on_top_of_the_profiles_of_the_bridge() {
    let own = ProfilesSpec::default();
    let wanted = wanted(&everything(), &[], &own, "ns/core", "2.9");
    let (call, leg) = (profile(&wanted, ProfileKind::Call), profile(&wanted, ProfileKind::CallLeg));
    for (field, value) in [
        ("participantLimit", "7"),
        ("messageBoardEnabled", "true"),
        ("recordingMode", "automatic"),
        ("streamingMode", "disabled"),
    ] {
        assert_eq!(call.fields[field], value, "{field}");
    }
    for (field, value) in [
        ("defaultLayout", "speakerOnly"),
        ("rxAudioMute", "true"),
        ("rxVideoMute", "false"),
        ("sipMediaEncryption", "required"),
        ("presentationContributionAllowed", "false"),
        ("muteSelfAllowed", "true"),
    ] {
        assert_eq!(leg.fields[field], value, "{field}");
    }
    assert_eq!(leg.fields["name"], leg.name);
    assert!(!call.fields.contains_key("name"), "a call profile has none");
    assert!(wanted.unsupported.is_empty());
}

#[test]
fn what_the_version_does_not_know_is_told_and_not_sent() {
    let own = ProfilesSpec::default();
    let old = wanted(&everything(), &[], &own, "ns/core", "2.0(RC)");
    assert_eq!(old.unsupported, ["streaming"]);
    assert!(!profile(&old, ProfileKind::Call).fields.contains_key("streamingMode"));
    let new = wanted(&everything(), &[], &own, "ns/core", "3.4");
    assert_eq!(new.unsupported, ["chat"]);
    assert!(!profile(&new, ProfileKind::Call).fields.contains_key("messageBoardEnabled"));
}

#[test]
fn equal_content_has_one_name_and_what_the_bridge_has_anyway_needs_none() {
    let own = ProfilesSpec::default();
    let of = |json, owner: &str| wanted(&settings(json), &[], &own, owner, "3.0").profiles;
    let limit = |n: u32| serde_json::json!({ "participantLimit": n });
    assert_eq!(of(limit(7), "ns/core"), of(limit(7), "ns/core"));
    assert_ne!(of(limit(7), "ns/core")[0].name, of(limit(8), "ns/core")[0].name);
    assert_ne!(of(limit(7), "ns/core")[0].name, of(limit(7), "ns/other")[0].name, "another bridge's is not ours");
    assert_eq!(of(limit(1000), "ns/core"), [], "the bridge's own says that");
    assert_eq!(of(serde_json::json!({}), "ns/core"), []);
    // It stands on the bridge, so it must be the same in every version of the controller.
    assert_eq!(fingerprint(b"a"), 0xaf63_dc4c_8601_ec8c);
}

fn methods(json: serde_json::Value) -> Vec<AccessMethodSpec> {
    let with_secret = |mut method: serde_json::Value| {
        method["passcodeSecretRef"] = serde_json::json!({ "name": "codes" });
        serde_json::from_value(method).unwrap()
    };
    json.as_array().unwrap().iter().cloned().map(with_secret).collect()
}

#[test]
fn whoever_is_no_host_waits_where_there_is_a_way_in_for_hosts() {
    let own = ProfilesSpec::default();
    let hosts = methods(serde_json::json!([
        { "name": "host", "role": "Host", "settings": { "joinMuted": { "audio": false } } },
        { "name": "guest", "role": "Guest" },
        { "name": "press", "role": "Guest", "settings": { "presentation": false } }
    ]));
    let asked = settings(serde_json::json!({ "layout": "stacked", "joinMuted": { "audio": true, "video": true } }));
    let all = wanted(&asked, &hosts, &own, "ns/core", "2.9");
    let of_space = &profile(&all, ProfileKind::CallLeg).fields;
    assert_eq!((of_space["needsActivation"].as_str(), of_space["defaultLayout"].as_str()), ("true", "stacked"));
    let MethodProfile::Made(host) = &all.methods["host"] else { panic!("{all:?}") };
    for (field, value) in
        [("needsActivation", "false"), ("defaultLayout", "stacked"), ("rxAudioMute", "false"), ("rxVideoMute", "true")]
    {
        assert_eq!(host.fields[field], value, "{field}");
    }
    assert_eq!(all.methods["guest"], MethodProfile::OfSpace, "it is as everybody else");
    let MethodProfile::Made(press) = &all.methods["press"] else { panic!("{all:?}") };
    assert_eq!(press.fields["needsActivation"], "true");
    assert_eq!(all.clone().all().count(), 3, "one for the space, and two");
    // Equal content is one profile, whichever meeting asks for it.
    assert_eq!(wanted(&asked, &hosts, &own, "ns/core", "2.9"), all);
    // Nor is the bridge's own believed where somebody is to wait: it may not be as its spec says yet.
    let mut waiting = own.clone();
    waiting.call_leg.needs_activation = Some(true);
    let back = methods(serde_json::json!([
        { "name": "host", "role": "Host" },
        { "name": "guest", "role": "Guest", "settings": { "layout": "telepresence", "joinMuted": {} } }
    ]));
    let asked = settings(serde_json::json!({ "layout": "stacked" }));
    assert!(matches!(wanted(&asked, &back, &waiting, "ns/core", "2.9").methods["guest"], MethodProfile::Made(_)));
    // Without a host nobody waits, and what is as on the bridge is the bridge's.
    let guests = methods(serde_json::json!([
        { "name": "guest", "role": "Guest" },
        { "name": "plain", "role": "Guest", "settings": { "layout": "telepresence", "joinMuted": {} } }
    ]));
    let unset = wanted(&settings(serde_json::json!({})), &guests, &own, "ns/core", "2.9");
    assert!(
        unset.profiles.is_empty() && unset.methods.values().all(|made| *made == MethodProfile::OfSpace),
        "{unset:?}"
    );
    let stacked = wanted(&settings(serde_json::json!({ "layout": "stacked" })), &guests, &own, "ns/core", "2.9");
    assert_eq!(stacked.methods["plain"], MethodProfile::OfBridge);
    // Older bridges, and those whose version tells nothing, get neither.
    for version in ["2.8", "2.0(RC)", "", "unknown"] {
        let old = wanted(&settings(serde_json::json!({})), &hosts, &own, "ns/core", version);
        assert!(old.profiles.is_empty() && old.methods.is_empty(), "{version}");
    }
}

#[test]
fn what_access_methods_want_and_have_counts_until_they_are_gone() {
    let bridge: MeetingBridge = serde_json::from_value(serde_json::json!({
        "apiVersion": "meeting-controller.dev/v1alpha1", "kind": "MeetingBridge",
        "metadata": { "name": "core", "namespace": "ns" },
        "spec": { "address": "cms", "credentialsSecretRef": { "name": "s" }, "slots": {} }
    }))
    .unwrap();
    let meeting = |phase: &str| -> ScheduledMeeting {
        serde_json::from_value(serde_json::json!({
            "apiVersion": "meeting-controller.dev/v1alpha1", "kind": "ScheduledMeeting", "metadata": { "name": "m" },
            "spec": { "title": "t", "start": "2030-01-01T00:00:00Z", "duration": "1h",
                "accessMethods": [{ "name": "host", "role": "Host", "passcodeSecretRef": { "name": "codes" } }] },
            "status": { "phase": phase,
                "accessMethods": [{ "name": "host", "role": "Host", "id": "a", "callLegProfile": "p" }] }
        }))
        .unwrap()
    };
    for (phase, count) in [("Active", 2), ("Closing", 0)] {
        let demand = demand(&bridge, &[], "3.0", Asked::of(&meeting(phase)));
        assert_eq!((demand.wanted.len(), demand.used.contains(&"P".into())), (count, true), "{phase}");
    }
}

#[test]
fn only_what_keeps_people_out_of_something_keeps_a_door_shut() {
    use ProfileKind::{Call, CallLeg};
    let holds = |json: serde_json::Value, kind, version| is_protective(&settings(json), kind, version);
    assert!(holds(serde_json::json!({ "encryption": "Required" }), CallLeg, "2.0"));
    assert!(holds(serde_json::json!({ "recording": "Off" }), Call, "2.0"));
    assert!(holds(serde_json::json!({ "streaming": "Off" }), Call, "2.1"));
    assert!(!holds(serde_json::json!({ "streaming": "Off" }), Call, "2.0"), "there is no streaming");
    assert!(!holds(serde_json::json!({ "encryption": "Optional", "recording": "Manual" }), Call, "3.0"));
    let rest = serde_json::json!({ "layout": "stacked", "joinMuted": { "audio": true }, "participantLimit": 2,
        "chat": false, "presentation": false });
    assert!(!holds(rest.clone(), Call, "2.9") && !holds(rest, CallLeg, "2.9"));
}

#[test]
fn a_profile_of_settings_is_not_taken_for_the_bridges_own() {
    let own = ProfilesSpec::default();
    let wanted = wanted(&everything(), &[], &own, "ns/core", "3.0");
    for (kind, want) in [(ProfileKind::Call, own.call.pairs_for("3.0")), (ProfileKind::CallLeg, own.call_leg.pairs())] {
        assert!(may_be_for_settings(&want, &profile(&wanted, kind).fields), "{kind:?}");
        assert!(!may_be_for_settings(&want, &want.iter().cloned().collect()), "{kind:?}");
    }
    let recorded = vec![("recordingMode".to_owned(), "automatic".to_owned())];
    assert!(!may_be_for_settings(&recorded, &recorded.iter().cloned().collect()), "the bridge wants it itself");
}

#[test]
fn meetings_that_ask_for_the_same_share_it_and_one_that_ends_asks_for_nothing() {
    let bridge: MeetingBridge = serde_json::from_value(serde_json::json!({
        "apiVersion": "meeting-controller.dev/v1alpha1", "kind": "MeetingBridge",
        "metadata": { "name": "core", "namespace": "ns" },
        "spec": { "address": "cms", "credentialsSecretRef": { "name": "s" }, "slots": {} }
    }))
    .unwrap();
    let meeting = |limit: u32, phase: &str, id: Option<&str>| -> ScheduledMeeting {
        serde_json::from_value(serde_json::json!({
            "apiVersion": "meeting-controller.dev/v1alpha1", "kind": "ScheduledMeeting", "metadata": { "name": "m" },
            "spec": { "title": "t", "start": "2030-01-01T00:00:00Z", "duration": "1h",
                "settings": { "participantLimit": limit } },
            "status": { "phase": phase, "settings": { "before": {}, "applied": { "call": id } } }
        }))
        .unwrap()
    };
    let meetings = [meeting(7, "Active", Some("p1")), meeting(7, "Opening", None), meeting(9, "Closing", Some("p2"))];
    let demand = demand(&bridge, &[], "3.0", meetings.iter().filter_map(Asked::of));
    assert_eq!(demand.wanted.len(), 1);
    assert_eq!(demand.used, ["P1".into(), "p2".into()].into(), "whatever the case");
}

#[test]
fn profiles_that_protect_come_first() {
    let bridge: MeetingBridge = serde_json::from_value(serde_json::json!({
        "apiVersion": "meeting-controller.dev/v1alpha1", "kind": "MeetingBridge",
        "metadata": { "name": "core", "namespace": "ns" },
        "spec": { "address": "cms", "credentialsSecretRef": { "name": "s" }, "slots": {} }
    }))
    .unwrap();
    let meeting = |spec: serde_json::Value| -> ScheduledMeeting {
        let mut whole = serde_json::json!({ "title": "t", "start": "2030-01-01T00:00:00Z", "duration": "1h" });
        whole.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        serde_json::from_value(serde_json::json!({
            "apiVersion": "meeting-controller.dev/v1alpha1", "kind": "ScheduledMeeting", "metadata": { "name": "m" },
            "spec": whole
        }))
        .unwrap()
    };
    let host = serde_json::json!([{ "name": "host", "role": "Host", "passcodeSecretRef": { "name": "codes" },
                                    "settings": { "layout": "stacked" } }]);
    let mut meetings: Vec<ScheduledMeeting> =
        (1..9).map(|limit| meeting(serde_json::json!({ "settings": { "participantLimit": limit } }))).collect();
    for spec in [
        serde_json::json!({ "settings": { "encryption": "Required", "participantLimit": 9 } }),
        serde_json::json!({ "settings": { "recording": "Off" } }),
        serde_json::json!({ "accessMethods": host }),
    ] {
        meetings.push(meeting(spec));
    }
    let demand = demand(&bridge, &[], "3.0", meetings.iter().filter_map(Asked::of));
    let protects = |profile: &SettingsProfile| demand.protective.contains(&(profile.kind, profile.name.clone()));
    assert_eq!(demand.wanted.iter().take_while(|profile| protects(profile)).count(), 4, "{:?}", demand.wanted);
    assert_eq!(demand.wanted.len(), 4 + 9, "the limits are cosmetic");
    let fields = |field: &str| demand.wanted.iter().filter(|profile| profile.fields.contains_key(field)).count();
    assert_eq!((fields("sipMediaEncryption"), fields("needsActivation")), (1, 2));
    assert_eq!(demand.protective.len(), 5, "and what stands in for the host's layout, if it must");
    for (known, protective, cosmetic) in [(47, true, true), (48, true, false), (63, true, false), (64, false, false)] {
        assert_eq!((has_room(known, true), has_room(known, false)), (protective, cosmetic), "{known}");
    }
}

#[test]
fn what_keeps_people_out_is_not_lost_with_a_wish_that_the_bridge_refuses() {
    let own = ProfilesSpec::default();
    let refused = |profile: &SettingsProfile| SettingsProfile { refused: Some("no".to_owned()), ..profile.clone() };
    let of_guest = serde_json::json!([
        { "name": "host", "role": "Host" },
        { "name": "guest", "role": "Guest", "settings": { "layout": "onePlusN", "joinMuted": {} } }
    ]);
    let asked = serde_json::json!({ "encryption": "Required", "layout": "onePlusN", "recording": "Off", "participantLimit": 7 });
    let wanted = wanted(&settings(asked), &methods(of_guest), &own, "ns/core", "3.0");
    let all: Vec<_> = wanted.clone().all().collect();
    assert_eq!(wanted.clone().all_with(&all), all, "not refused");
    for profile in &all {
        assert!(wanted.protects(profile));
        let bare = wanted.stand_in(profile, &[refused(profile)]).expect("something stands in");
        assert!(wanted.protects(bare) && bare.name != profile.name);
        let is_wish = |field: &String| ["defaultLayout", "participantLimit"].contains(&field.as_str());
        let is_own = |(field, value): (&String, &String)| {
            let mut own = own.call.pairs_for("3.0").into_iter().chain(own.call_leg.pairs());
            own.any(|known| (&known.0, &known.1) == (field, value))
        };
        assert!(bare.fields.iter().filter(|(field, _)| is_wish(field)).all(is_own), "{bare:?}");
        for field in ["sipMediaEncryption", "recordingMode", "needsActivation"] {
            assert_eq!(bare.fields.get(field), profile.fields.get(field), "{field}");
        }
        assert_eq!(wanted.clone().all_with(&[refused(profile)]).len(), all.len() + 1);
        let there = SettingsProfile { id: Some("p".to_owned()), ..refused(profile) };
        assert_eq!(wanted.stand_in(profile, &[there]), None, "it is there, and an update was refused");
    }
    let cosmetic = super::wanted(&settings(serde_json::json!({ "layout": "onePlusN" })), &[], &own, "ns/core", "3.0");
    assert!(cosmetic.bare.is_empty(), "nothing is lost but the wish");
}
