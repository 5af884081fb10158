//! What a reply means: success, or which error. No I/O.
//!
//! The `failureDetails` element decides, the status only if there is none (`cms-protocol.md` 3.3): "does not exist" comes with
//! 400 as well as 404, and clients in the field judge by the text alone.

use super::error::CmsError;
use super::xml::{self, Bounds, Node, XmlError};

/// So many declarations and comments in front of a page are skipped.
const MOST_IN_FRONT: usize = 8;

/// The longest name that is taken from a reply into an error.
const LONGEST_WORD: usize = 64;

/// Judges a reply by its status, the content type if there is one, and the body.
///
/// # Errors
/// Whatever the reply says, unless it is a success.
pub fn judge(status: u16, content_type: Option<&str>, body: &[u8]) -> Result<(), CmsError> {
    // 401 first: whatever else the reply holds, no further request may follow (R39).
    if status == 401 {
        return Err(of_401(content_type, &[], !body.trim_ascii().is_empty()));
    }
    let success = (200..300).contains(&status);
    // A log-in page for people in place of the bridge's reply: nothing was done.
    if success && (is_page(body) || (is_html(content_type) && is_no_document(body))) {
        return Err(CmsError::NotACms);
    }
    // A success is a document of any size that only rarely is a failure: look before parsing it twice.
    if success && !mentions_failure(body) {
        return Ok(());
    }
    let parsed = xml::parse(body, Bounds::default());
    if let Ok(root) = &parsed
        && root.is("failureDetails")
    {
        return Err(by_element(status, root));
    }
    if success { Ok(()) } else { Err(by_status(status, content_type, parsed.as_ref().err())) }
}

/// What a 401 says. That of the bridge has no body and asks for `Basic` (`cms-protocol.md` 1.1), in whatever realm; a page
/// for people without that question was sent by something in front of it, which knows nothing of the bridge's accounts.
/// In doubt it is the bridge's: wrong credentials that are tried for ever lock the account (R39).
pub fn of_401(content_type: Option<&str>, challenges: &[&str], has_body: bool) -> CmsError {
    if may_be_page(content_type, challenges) && has_body { CmsError::NotACms } else { CmsError::Unauthorized }
}

/// May a 401 with these headers be a page for people, if it has a body?
pub fn may_be_page(content_type: Option<&str>, challenges: &[&str]) -> bool {
    let scheme = |challenge: &str| challenge.split_ascii_whitespace().next().unwrap_or_default().to_owned();
    let mut schemes = challenges.iter().flat_map(|challenge| challenge.split(',')).map(scheme);
    is_html(content_type) && !schemes.any(|scheme| scheme.eq_ignore_ascii_case("basic"))
}

fn is_html(content_type: Option<&str>) -> bool {
    content_type.is_some_and(|kind| kind.trim_ascii_start().to_ascii_lowercase().starts_with("text/html"))
}

/// Whether a body begins like a page for people, after what may stand in front of it: a byte order mark, a declaration,
/// comments.
fn is_page(body: &[u8]) -> bool {
    let mut rest = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body).trim_ascii_start();
    for (opens, closes) in [("<?", "?>"), ("<!--", "-->")].into_iter().cycle().take(MOST_IN_FRONT) {
        if rest.starts_with(opens.as_bytes()) {
            let end = rest.windows(closes.len()).position(|part| part == closes.as_bytes());
            let after = end.and_then(|at| rest.get(at.saturating_add(closes.len())..));
            rest = after.unwrap_or_default().trim_ascii_start();
        }
    }
    let begins = |with: &[u8]| rest.get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with));
    begins(b"<!doctype html") || begins(b"<html")
}

/// Whether there is something in a body that is no document of a bridge. Bridges name all kinds of types, so the type alone
/// tells nothing.
fn is_no_document(body: &[u8]) -> bool {
    !body.trim_ascii().is_empty() && xml::parse(body, Bounds::default()).map_or(true, |root| root.is("html"))
}

/// Whether the beginning of a body is that of a `failureDetails` document (or of something that may be one).
fn mentions_failure(body: &[u8]) -> bool {
    const WORD: &[u8] = b"failuredetails";
    let start = body.get(..body.len().min(256)).unwrap_or_default();
    start.windows(WORD.len()).any(|part| part.eq_ignore_ascii_case(WORD))
}

/// The error that the elements of a `failureDetails` stand for. With several, the first that we know decides.
fn by_element(status: u16, details: &Node) -> CmsError {
    let known = details.children().iter().find_map(of_element);
    known.unwrap_or_else(|| match (status, details.children().first()) {
        (429 | 503, _) => CmsError::Busy,
        (403, _) => CmsError::Forbidden,
        (_, Some(element)) => CmsError::Rejected { element: word(element.name()), status },
        (404, None) => CmsError::NotFound { element: "404".to_owned() },
        (_, None) => CmsError::Rejected { element: "failureDetails".to_owned(), status },
    })
}

/// The error of one element of the table in `cms-protocol.md` 3.4, or `None` if it says no more than "rejected". What each
/// means for the work stands in 3.5.
fn of_element(element: &Node) -> Option<CmsError> {
    let name = element.name().to_ascii_lowercase();
    let shown = word(element.name());
    match name.as_str() {
        "databasenotready" => return Some(CmsError::DatabaseNotReady),
        "passcodetooshort" => return Some(CmsError::PasscodeTooShort),
        // Both spellings occur (`cms-protocol.md` 0.3).
        "unrecognisedobject" | "unrecognizedobject" => return Some(CmsError::NotFound { element: shown }),
        "parametererror" => {
            return Some(CmsError::ParameterError {
                parameter: word(element.attribute("parameter").unwrap_or_default()),
                error: word(element.attribute("error").unwrap_or_default()),
            });
        }
        _ => {}
    }
    if name.ends_with("doesnotexist") {
        Some(CmsError::NotFound { element: shown })
    } else if name.starts_with("duplicate") || name.ends_with("conflict") {
        Some(CmsError::Conflict { element: shown })
    } else if name.ends_with("limitreached") || name.ends_with("unavailable") || name.starts_with("toomany") {
        // Load and licences change by the minute, whatever the object is (`cms-protocol.md` 3.5).
        Some(CmsError::LimitReached { element: shown })
    } else {
        None
    }
}

fn by_status(status: u16, content_type: Option<&str>, fault: Option<&XmlError>) -> CmsError {
    // Something in front of the bridge, or something else altogether, answers pages made for people. Where there is no
    // body there is no page, whatever type its header names.
    let foreign = fault != Some(&XmlError::Empty) && (is_html(content_type) || fault.is_some());
    match status {
        // A page that says "not found" must never count as proof that an object is gone, nor "forbidden" as the bridge's
        // word on its user.
        400..=499 if foreign => CmsError::NotACms,
        503 if foreign => CmsError::HttpError { status },
        403 => CmsError::Forbidden,
        429 | 503 => CmsError::Busy,
        404 => CmsError::NotFound { element: "404".to_owned() },
        _ => CmsError::HttpError { status },
    }
}

/// A name from a reply, if it looks like one: letters, digits and little else. Anything else could be an echo of a
/// value we sent, which may be a secret.
pub fn word(text: &str) -> String {
    let plain = text.len() <= LONGEST_WORD
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'));
    if plain { text.to_owned() } else { "unprintable".to_owned() }
}

/// The error of a reply to a read that is not the document it should be.
pub fn unreadable(fault: XmlError) -> CmsError {
    match fault {
        // 200 with a page made for people: some other web server.
        XmlError::NotXml | XmlError::DocType => CmsError::NotACms,
        fault => CmsError::MalformedReply { detail: fault.to_string() },
    }
}

/// The error of a reply whose root is not the one that was asked for.
pub fn wrong_root(root: &Node, wanted: &str) -> CmsError {
    if root.is("html") {
        return CmsError::NotACms;
    }
    CmsError::MalformedReply { detail: format!("it holds {} instead of {wanted}", word(root.name())) }
}

#[cfg(test)]
mod tests;
