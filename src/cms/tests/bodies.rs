//! The eight bodies of the guide, byte for byte (requirements.md 1.3).

use crate::cms::form::Form;
use crate::cms::operations::calls::{call_body, leg_body, message_body};
use crate::cms::operations::spaces::{bulk_set_body, bulk_sync_body, closing_body, opening_body};
use crate::cms::*;

const SPACE: &str = "458075bc-6def-4052-8ed6-b1192d6e6b35";
const SECRET: &str = "86db1bdd-5cf7-4ea8-b88d-479195f4701a";

/// The lone `&` with which TMS starts its PUT bodies, and which we do not send.
const LEADING_SEPARATOR: usize = 1;

fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn opening(mark: Option<&str>) -> Opening {
    Opening {
        name: "Tim Kratzke Acano TMSXE Test Meeting".to_owned(),
        passcode: "".into(),
        secret: SECRET.into(),
        mark: mark.map(str::to_owned),
        profiles: SpaceProfiles::default(),
    }
}

#[test]
fn call_profile_has_47_bytes() {
    let body = Form::new().with_all(&pairs(&[("participantLimit", "1000"), ("messageBoardEnabled", "false")]));
    assert_eq!(body.encoded().len(), 47);
}

#[test]
fn call_leg_profile_has_167_bytes() {
    let body = Form::new().with_all(&pairs(&[
        ("defaultLayout", "telepresence"),
        ("changeLayoutAllowed", "true"),
        ("presentationContributionAllowed", "true"),
        ("presentationViewingAllowed", "true"),
        ("muteSelfAllowed", "true"),
        ("videoMuteSelfAllowed", "true"),
    ]));
    assert_eq!(body.encoded().len(), 167);
}

#[test]
fn bulk_set_has_250_bytes() {
    let body = bulk_set_body(&NewBulkSet {
        start: 1,
        end: 5,
        name_prefix: "TMS_Scheduled_Meeting_".to_owned(),
        call_profile: Some(SPACE.into()),
        call_leg_profile: Some(SPACE.into()),
    });
    assert_eq!(
        body.encoded(),
        format!(
            "startIndex=1&endIndex=5&coSpaceUriMapping=$index$&coSpaceNameMapping=TMS_Scheduled_Meeting_$index$\
             &coSpaceCallIdMapping=$index$&callProfile={SPACE}&callLegProfile={SPACE}&nonMemberAccess=false"
        )
    );
    assert_eq!(body.encoded().len(), 250);
}

#[test]
fn a_prefix_with_template_characters_is_taken_literally() {
    let new = NewBulkSet {
        start: 7,
        end: 7,
        name_prefix: r"a\b $index$ ".to_owned(),
        call_profile: None,
        call_leg_profile: None,
    };
    assert_eq!(
        bulk_set_body(&new).encoded(),
        r"startIndex=7&endIndex=7&coSpaceUriMapping=$index$&coSpaceNameMapping=a%5C%5Cb+%5C$index%5C$+$index$&coSpaceCallIdMapping=$index$&nonMemberAccess=false"
    );
}

#[test]
fn bulk_sync_has_60_bytes() {
    assert_eq!(bulk_sync_body(&SPACE.into(), false).encoded().len(), 60);
    let removing = bulk_sync_body(&SPACE.into(), true);
    assert_eq!(removing.encoded(), format!("cospaceBulkParameterSet={SPACE}&removeAll=true"));
}

#[test]
fn opening_has_117_bytes_less_the_leading_separator() {
    let body = opening_body(&opening(None));
    assert_eq!(
        body.encoded(),
        format!("nonMemberAccess=true&passcode=&name=Tim+Kratzke+Acano+TMSXE+Test+Meeting&secret={SECRET}")
    );
    assert_eq!(body.encoded().len(), 117 - LEADING_SEPARATOR);
}

#[test]
fn the_mark_comes_last() {
    let plain = opening_body(&opening(None));
    let marked = opening_body(&opening(Some("mc/uid")));
    assert_eq!(marked.encoded(), format!("{}&cdrTag=mc%2Fuid", plain.encoded()));
    let shut = closing_body("TMS_Scheduled_Meeting_1", &SpaceProfiles::default());
    assert!(shut.encoded().ends_with("&cdrTag="), "{}", shut.encoded());
}

#[test]
fn closing_has_83_bytes_less_the_leading_separator() {
    let body = closing_body("TMS_Scheduled_Meeting_1", &SpaceProfiles::default());
    let guide = "nonMemberAccess=false&passcode=&name=TMS_Scheduled_Meeting_1&regenerateSecret=true";
    assert_eq!(body.encoded(), format!("{guide}&cdrTag="));
    assert_eq!(guide.len(), 83 - LEADING_SEPARATOR);
}

#[test]
fn profiles_for_a_meeting_come_behind_the_mark_and_are_given_back_with_the_door() {
    let profiles = SpaceProfiles { call: Some("p1".to_owned()), call_leg: Some(String::new()) };
    let body = opening_body(&Opening { profiles: profiles.clone(), ..opening(Some("m")) });
    assert!(body.encoded().ends_with("&cdrTag=m&callProfile=p1&callLegProfile="), "{}", body.encoded());
    let body = closing_body("TMS_Scheduled_Meeting_1", &profiles);
    assert!(body.encoded().ends_with("&cdrTag=&callProfile=p1&callLegProfile="), "{}", body.encoded());
}

#[test]
fn call_has_44_bytes() {
    assert_eq!(call_body(&SPACE.into()).encoded().len(), 44);
}

#[test]
fn leg_has_36_bytes() {
    let to = |party: &str| NewLeg { remote_party: party.to_owned(), ..NewLeg::default() };
    assert_eq!(leg_body(&to("desk.ex90@tkratzke.local")).encoded(), "remoteParty=desk.ex90@tkratzke.local");
    assert_eq!(leg_body(&to("desk.ex90@tkratzke.local")).encoded().len(), 36);
}

#[test]
fn what_is_asked_for_a_participant_follows_the_address() {
    let new = NewLeg {
        remote_party: "a@b".to_owned(),
        dtmf: Some("1,2#".to_owned()),
        label: Some("Room 1".to_owned()),
        layout: Some("speakerOnly"),
    };
    let wanted = "remoteParty=a@b&dtmfSequence=1%2C2%23&nameLabelOverride=Room+1&defaultLayout=speakerOnly";
    assert_eq!(leg_body(&new).encoded(), wanted);
}

#[test]
fn no_debug_output_shows_a_secret() {
    let opening = Opening { passcode: "271828".into(), ..opening(None) };
    let shown = format!("{opening:?} {:?}", opening_body(&opening));
    assert!(!shown.contains("271828") && !shown.contains(SECRET), "{shown}");
    let credentials = Credentials { username: "tms".to_owned(), password: "hunter2".into() };
    assert!(!format!("{credentials:?}").contains("hunter2"));
}

#[test]
fn a_text_in_a_call_says_where_and_how_long_and_an_empty_one_takes_it_away() {
    let message = Message { text: "Ends in 5 min.".to_owned(), position: "top", seconds: 30 };
    let body = message_body(Some(&message));
    assert_eq!(body.encoded(), "messageText=Ends+in+5+min.&messagePosition=top&messageDuration=30");
    assert_eq!(message_body(None).encoded(), "messageText=");
}
