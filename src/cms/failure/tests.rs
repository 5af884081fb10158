use super::*;
use proptest::prelude::*;

fn details(element: &str) -> String {
    format!("<?xml version=\"1.0\"?><failureDetails><{element} /></failureDetails>")
}

fn label(status: u16, body: &str) -> &'static str {
    judge(status, None, body.as_bytes()).err().map_or("ok", |error| error.label())
}

#[test]
fn the_element_decides_before_the_status() {
    for (element, wanted) in [
        ("coSpaceDoesNotExist", "not_found"),
        ("callDoesNotExist", "not_found"),
        ("CALLLEGDOESNOTEXIST", "not_found"),
        ("someFutureThingDoesNotExist", "not_found"),
        ("unrecognisedObject", "not_found"),
        ("unrecognizedObject", "not_found"),
        ("duplicateCoSpaceUri", "conflict"),
        ("duplicateCoSpaceId", "conflict"),
        ("inboundDialPlanRuleUriConflict", "conflict"),
        ("tenantGroupCoSpaceIdConflict", "conflict"),
        ("participantLimitReached", "limit_reached"),
        ("tenantParticipantLimitReached", "limit_reached"),
        ("tooManyCdrReceivers", "limit_reached"),
        ("tooManyLdapSyncs", "limit_reached"),
        ("recordingLimitReached", "limit_reached"),
        ("callBridgeUnavailable", "limit_reached"),
        ("callBridgeGroupUnavailable", "limit_reached"),
        ("someFutureThingUnavailable", "limit_reached"),
        ("databaseNotReady", "database_not_ready"),
        ("passcodeTooShort", "passcode_too_short"),
    ] {
        for status in [200, 400, 403, 404, 500, 503] {
            assert_eq!(label(status, &details(element)), wanted, "{element} with {status}");
        }
        assert_eq!(label(401, &details(element)), "unauthorized", "{element} with 401");
    }
}

/// A page is one whatever stands in front of it; a document is none, whatever type its header names.
#[test]
fn a_page_in_place_of_the_reply_to_a_write_is_no_success() {
    let html = Some("text/html; charset=utf-8");
    for (kind, body, wanted) in [
        (
            None,
            "<?xml version=\"1.0\"?><!DOCTYPE html PUBLIC \"-//W3C//DTD XHTML 1.0 Strict//EN\" \"x\"><html/>",
            "not_a_cms",
        ),
        (None, "\u{feff}<html><body>log in</body></html>", "not_a_cms"),
        (None, "<!-- proxy --><!-- 2 -->\n<!doctype html><p>", "not_a_cms"),
        (None, "<!-- never ends <html>", "ok"),
        (html, "please log in", "not_a_cms"),
        (html, "<HTML><body/></HTML>", "not_a_cms"),
        (html, "", "ok"),
        (html, " \r\n", "ok"),
        (html, "<?xml version=\"1.0\"?><coSpace id=\"a\"><name>n</name></coSpace>", "ok"),
        (Some("text/plain"), "done", "ok"),
        (None, "<?xml version=\"1.0\"?><coSpace id=\"a\"/>", "ok"),
    ] {
        let label = judge(200, kind, body.as_bytes()).err().map_or("ok", |error| error.label());
        assert_eq!(label, wanted, "{kind:?} {body}");
    }
}

/// The elements of the table in docs/cms-protocol.md, each by the first row that fits in the next section.
#[test]
fn every_documented_element_means_what_the_documentation_says() {
    let document = include_str!("../../../docs/cms-protocol.md");
    let section = document.split("### 3.4").nth(1).and_then(|rest| rest.split("### 3.5").next()).unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| Group"));
    let mut elements = Vec::new();
    for row in rows {
        // What stands in brackets tells about the element before it.
        let mut depth = 0;
        let is_outside = |character: &char| {
            depth += i32::from(*character == '(') - i32::from(*character == ')');
            depth == 0
        };
        let cell: String = row.split('|').nth(2).unwrap().chars().filter(is_outside).collect();
        let named = cell.split('`').skip(1).step_by(2).filter(|element| !element.ends_with("..."));
        elements.extend(named.map(str::to_owned));
    }
    assert!(elements.len() > 60, "{elements:?}");
    for element in elements {
        let wanted = match element.as_str() {
            "databaseNotReady" => "database_not_ready",
            "passcodeTooShort" => "passcode_too_short",
            "unrecognisedObject" | "unrecognizedObject" => "not_found",
            other if other.ends_with("DoesNotExist") => "not_found",
            other if other.starts_with("duplicate") || other.ends_with("Conflict") => "conflict",
            other if other.ends_with("LimitReached") || other.ends_with("Unavailable") => "limit_reached",
            other if other.starts_with("tooMany") => "limit_reached",
            "parameterError" => "parameter_error",
            _ => "rejected",
        };
        assert_eq!(label(400, &details(&element)), wanted, "{element}");
    }
}

#[test]
fn elements_without_a_meaning_of_their_own_leave_it_to_the_status() {
    for (status, wanted) in [(400, "rejected"), (403, "forbidden"), (404, "rejected"), (503, "busy"), (429, "busy")] {
        for element in [
            "callLegCannotBeDeleted",
            "participantCannotBeModified",
            "loadBalancingDisabled",
            "recordingNotAllowedByLicensing",
            "ldapSyncCannotBeCancelled",
            "layoutTemplateDescriptionTooLong",
            "invalidOperation",
            "invalidVersion",
        ] {
            assert_eq!(label(status, &details(element)), wanted, "{element} with {status}");
        }
    }
    assert_eq!(label(400, "<failureDetails/>"), "rejected");
    assert_eq!(label(404, "<failureDetails/>"), "not_found");
}

#[test]
fn the_first_known_of_several_elements_decides() {
    let body = "<failureDetails><odd /><duplicateCoSpaceUri /><callDoesNotExist /></failureDetails>";
    assert_eq!(judge(400, None, body.as_bytes()), Err(CmsError::Conflict { element: "duplicateCoSpaceUri".into() }));
}

#[test]
fn parameter_errors_name_the_parameter_but_echo_no_value() {
    let body =
        |parameter: &str, error: &str| details(&format!("parameterError parameter=\"{parameter}\" error=\"{error}\""));
    assert_eq!(
        judge(400, None, body("passcode", "invalidValue").as_bytes()),
        Err(CmsError::ParameterError { parameter: "passcode".into(), error: "invalidValue".into() })
    );
    let error = judge(400, None, body("passcode", "271828").as_bytes()).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("271828"));
}

#[test]
fn without_details_the_status_decides() {
    let html = "<!DOCTYPE html><html><body>Oops</body></html>";
    let sloppy = "<html><br></html>";
    for (status, body, wanted) in [
        (200, "", "ok"),
        (200, "<calls/>", "ok"),
        (200, html, "not_a_cms"),
        (200, "  <HTML><br>", "not_a_cms"),
        (201, "", "ok"),
        (204, "", "ok"),
        (301, "", "http_error"),
        (307, html, "http_error"),
        (400, "", "http_error"),
        (400, html, "not_a_cms"),
        (401, html, "unauthorized"),
        (403, "", "forbidden"),
        (403, html, "not_a_cms"),
        (404, "", "not_found"),
        (404, "<other/>", "not_found"),
        (404, html, "not_a_cms"),
        (404, sloppy, "not_a_cms"),
        (404, "404 page not found", "not_a_cms"),
        (405, "", "http_error"),
        (429, "", "busy"),
        (500, html, "http_error"),
        (502, html, "http_error"),
        (503, html, "http_error"),
        (503, "", "busy"),
        (504, "", "http_error"),
    ] {
        assert_eq!(label(status, body), wanted, "{status} {body:?}");
    }
    assert_eq!(judge(404, Some("text/html; charset=utf-8"), b"<p/>"), Err(CmsError::NotACms));
}

/// Frameworks name a type even where they send nothing.
#[test]
fn an_empty_body_is_nobodys_page_whatever_type_it_is_said_to_have() {
    let label = |status, body: &[u8]| judge(status, Some("text/html; charset=utf-8"), body).unwrap_err().label();
    for (status, wanted) in
        [(400, "http_error"), (403, "forbidden"), (404, "not_found"), (429, "busy"), (503, "busy"), (500, "http_error")]
    {
        assert_eq!(label(status, b""), wanted, "{status}");
        assert_eq!(label(status, b" \r\n"), wanted, "{status}");
    }
    assert_eq!((label(404, b"gone"), label(503, b"gone")), ("not_a_cms", "http_error"));
}

#[test]
fn a_page_that_asks_for_a_log_in_says_nothing_about_the_bridges_accounts() {
    let html = Some("text/html");
    let basic = "Basic realm=\"acano\"";
    for (kind, challenges, wanted) in [
        (None, &[basic][..], "unauthorized"),
        (None, &[], "unauthorized"),
        (Some("text/xml"), &[], "unauthorized"),
        (html, &[basic], "unauthorized"),
        // Which realm it is, nothing promises.
        (html, &["basic realm=\"CMS\""], "unauthorized"),
        (html, &["Negotiate", "Basic"], "unauthorized"),
        (html, &["Negotiate, Basic realm=\"x\""], "unauthorized"),
        (html, &["Bearer realm=\"basic\""], "not_a_cms"),
        (html, &[], "not_a_cms"),
    ] {
        assert_eq!(of_401(kind, challenges, true).label(), wanted, "{kind:?} {challenges:?}");
        assert_eq!(of_401(kind, challenges, false).label(), "unauthorized", "no body is no page: {challenges:?}");
    }
}

#[test]
fn classes_follow_who_can_help() {
    use crate::cms::ErrorClass as Class;
    let class = |status, body: &str| judge(status, None, body.as_bytes()).unwrap_err().class();
    assert_eq!(class(502, ""), Class::Unreachable);
    assert_eq!(class(307, ""), Class::Unreachable);
    assert_eq!(class(400, ""), Class::Invalid);
    assert_eq!(class(503, ""), Class::Busy);
    assert_eq!(class(400, &details("databaseNotReady")), Class::Busy);
    assert_eq!(class(401, ""), Class::Auth);
}

#[test]
fn other_documents_than_the_one_asked_for() {
    let root = |text: &str| xml::parse(text.as_bytes(), Bounds::default()).unwrap();
    assert_eq!(wrong_root(&root("<html/>"), "status"), CmsError::NotACms);
    let error = wrong_root(&root("<rss/>"), "status");
    assert_eq!(error.to_string(), "the bridge's reply cannot be understood: it holds rss instead of status");
    assert_eq!(unreadable(XmlError::NotXml), CmsError::NotACms);
    assert_eq!(unreadable(XmlError::Broken).label(), "malformed_reply");
}

proptest! {
    #[test]
    fn texts_stay_bounded_and_plain(status in 100u16..600, element in "[a-zA-Z]{1,200}", value in ".{0,200}") {
        let value = quick_xml::escape::escape(value.as_str());
        let body = details(&format!("{element} parameter=\"{value}\" error=\"{value}\""));
        if let Err(error) = judge(status, None, body.as_bytes()) {
            let text = error.to_string();
            prop_assert!(text.len() < 300 && text.is_ascii(), "{}", text);
        }
    }
}
