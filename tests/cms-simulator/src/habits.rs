//! How a bridge may write and keep what means the same (switches of the habits), and profiles of switches drawn at random:
//! a controller must not depend on any of it.

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use crate::switches::{
    DeleteCall, DeleteReason, EmptyTags, ListOrder, MissingDeclaration, OnClose, ParticipantScope, SecondCall,
    SecretAndRegenerate, Switches, UnrecognisedSpelling,
};
use crate::wire::xml::DECLARATION;

const GUID: usize = 36;

impl Switches {
    /// A bridge with habits of its own: everything that a real one may do without being at fault. The same seed gives
    /// the same bridge.
    pub fn drawn(seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let mut coin = || random.random_bool(0.5);
        let flags: [bool; 24] = std::array::from_fn(|_| coin());
        let mut flags = flags.into_iter();
        let mut one = || flags.next().unwrap_or_default();
        let mut switches = Self {
            list_order: if one() { ListOrder::Shuffled } else { ListOrder::Creation },
            not_found_status: if one() { 404 } else { 400 },
            unrecognised_spelling: if one() { UnrecognisedSpelling::Z } else { UnrecognisedSpelling::S },
            empty_tags: if one() { EmptyTags::SelfClosed } else { EmptyTags::OpenAndClose },
            hide_defaults: one(),
            fields_backwards: one(),
            ids_in_capitals: one(),
            indented: one(),
            encoding_declared: one(),
            location_absolute: one(),
            application_xml: one(),
            blanks_collapsed: one(),
            second_call: if one() { SecondCall::NewId } else { SecondCall::SameId },
            on_close: if one() { OnClose::Drop } else { OnClose::Stay },
            bulk_call_leg_profile: one(),
            delete_set_removes_spaces: one(),
            sync_removes_first: one(),
            rename_reaches_call: one(),
            secret_and_regenerate: if one() {
                SecretAndRegenerate::RegenerateWins
            } else {
                SecretAndRegenerate::SecretWins
            },
            delete_call: if one() { DeleteCall::AllInstances } else { DeleteCall::LocalInstance },
            delete_reason: if one() { DeleteReason::ApiInitiatedTeardown } else { DeleteReason::CallEnded },
            participant_scope: if one() { ParticipantScope::WholeCluster } else { ParticipantScope::InvolvedBridges },
            keep_alive: one(),
            filter_ignores_case: one(),
            ..Self::default()
        };
        switches.show_unset = !switches.hide_defaults && random.random_bool(0.5);
        switches.missing_declaration = match random.random_range(0..3) {
            0 => MissingDeclaration::All,
            1 => MissingDeclaration::None,
            _ => MissingDeclaration::CallsListOnly,
        };
        switches.page_ceiling = *[1, 2, 8, 20, 50].get(random.random_range(0..5)).unwrap_or(&1);
        switches.page_ceiling_calls = *[1, 2, 10, 50].get(random.random_range(0..4)).unwrap_or(&1);
        switches.remote_party_gains =
            if random.random_bool(0.5) { ";x-cisco-number=1".to_owned() } else { String::new() };
        switches.propagation_ms = if random.random_bool(0.3) { random.random_range(1..400) } else { 0 };
        switches.dotted_secrets = random.random_bool(0.5);
        switches
    }
}

/// Writes a finished reply in the habits of the switches.
pub fn dress(switches: &Switches, host: &str, body: &mut String, location: &mut Option<String>) {
    if switches.ids_in_capitals {
        *body = with_capitals(body);
        *location = location.as_deref().map(with_capitals);
    }
    if switches.location_absolute {
        *location = location.as_deref().map(|path| format!("https://{host}{path}"));
    }
    if switches.indented {
        *body = indented(body);
    }
    if switches.encoding_declared
        && let Some(rest) = body.strip_prefix(DECLARATION)
    {
        *body = format!(r#"<?xml version="1.0" encoding="UTF-8"?>{rest}"#);
    }
}

/// Every GUID with capitals, but for a secret: that is a text, and comes as it was given.
fn with_capitals(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        match rest.get(..GUID).filter(|part| is_guid(part)) {
            Some(guid) if out.ends_with("<secret>") => out.push_str(guid),
            Some(guid) => out.push_str(&guid.to_uppercase()),
            None => out.push(first),
        }
        let taken = if rest.get(..GUID).is_some_and(is_guid) { GUID } else { first.len_utf8() };
        rest = rest.get(taken..).unwrap_or_default();
    }
    out
}

fn is_guid(text: &str) -> bool {
    text.len() == GUID
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// Line breaks between elements; the content of an element that holds only text stays as it is.
fn indented(body: &str) -> String {
    let mut out = String::with_capacity(body.len() * 2);
    let mut depth = 0_usize;
    let mut after_opening = false;
    for piece in body.split_inclusive('>') {
        let (text, tag) = piece.split_once('<').unwrap_or((piece, ""));
        let closes = tag.starts_with('/');
        depth -= usize::from(closes && depth > 0);
        out.push_str(text);
        if text.is_empty() && !(closes && after_opening) && !out.is_empty() {
            out.push('\n');
            out.push_str(&"  ".repeat(depth));
        }
        if piece.contains('<') {
            out.push('<');
            out.push_str(tag);
        }
        after_opening = !closes && !tag.starts_with('?') && !tag.ends_with("/>");
        depth += usize::from(after_opening);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "<?xml version=\"1.0\"?><calls total=\"1\"><call id=\"9b1d2c3e-0000-4000-8000-00000000abcd\"><name></name>\
        <x>a b</x><y/></call></calls>";

    #[test]
    fn the_dress_changes_no_meaning() {
        let all = Switches {
            ids_in_capitals: true,
            indented: true,
            encoding_declared: true,
            location_absolute: true,
            ..Switches::default()
        };
        let mut body = LIST.to_owned();
        let mut location = Some("/api/v1/calls/9b1d2c3e-0000-4000-8000-00000000abcd".to_owned());
        dress(&all, "cms:445", &mut body, &mut location);
        let expected = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<calls total=\"1\">\n  <call \
            id=\"9B1D2C3E-0000-4000-8000-00000000ABCD\">\n    <name></name>\n    <x>a b</x>\n    <y/>\n  </call>\n</calls>";
        assert_eq!(body, expected);
        assert_eq!(location.as_deref(), Some("https://cms:445/api/v1/calls/9B1D2C3E-0000-4000-8000-00000000ABCD"));
    }

    #[test]
    fn a_secret_is_no_id() {
        let guid = "9b1d2c3e-0000-4000-8000-00000000abcd";
        let text = format!("<coSpace id=\"{guid}\"><secret>{guid}</secret></coSpace>");
        let shown = format!("<coSpace id=\"{}\"><secret>{guid}</secret></coSpace>", guid.to_uppercase());
        assert_eq!(with_capitals(&text), shown);
    }

    #[test]
    fn the_seed_decides() {
        assert_eq!(Switches::drawn(3), Switches::drawn(3));
        assert!((0..20).any(|seed| Switches::drawn(seed) != Switches::drawn(3)));
    }
}
