//! Checking parameters against the tables: names without regard to case, booleans in any case, empty means unset.

use crate::refusal::Refusal;
use crate::schema::{Field, TemplateOf, Type};
use crate::state::Cluster;
use crate::state::bulk::Template;
use crate::state::spaces::Changes;
use crate::switches::{PasscodeRule, UnknownParameter};
use crate::wire::form::Pairs;

/// Whether a write creates or modifies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    Create,
    Modify,
}

/// Checks all pairs of a body. Parameters that no table names are ignored or refused by switch; so are those that
/// cannot be set in this phase (a leg's `remoteParty` in a PUT), for nothing says what the server does with them.
pub fn take(cluster: &Cluster, tables: &[&'static [Field]], pairs: &Pairs, phase: Phase) -> Result<Changes, Refusal> {
    let mut changes: Changes = Vec::new();
    for (name, value) in &pairs.0 {
        let field = tables.iter().flat_map(|t| t.iter()).find(|f| f.name.eq_ignore_ascii_case(name));
        let usable = field.filter(|f| f.known(cluster.version) && if phase == Phase::Create { f.post } else { f.put });
        let Some(field) = usable else {
            if cluster.switches.unknown_parameter == UnknownParameter::Refused {
                return Err(Refusal::Parameter(name.clone()));
            }
            continue;
        };
        let value = check(cluster, field, value)?;
        changes.retain(|(other, _)| other.name != field.name);
        changes.push((field, value));
    }
    if phase == Phase::Create {
        for field in tables.iter().flat_map(|t| t.iter()).filter(|f| f.required && f.known(cluster.version)) {
            if !changes.iter().any(|(f, value)| f.name == field.name && value.is_some()) {
                return Err(Refusal::parameter(field.name));
            }
        }
    }
    Ok(changes)
}

/// The value of a parameter after the checks of its type; none for an empty value, which unsets (1.2).
fn check(cluster: &Cluster, field: &'static Field, raw: &str) -> Result<Option<String>, Refusal> {
    let value = raw.trim();
    if value.is_empty() {
        return Ok(None);
    }
    let switches = &cluster.switches;
    let bad = || Refusal::parameter(field.name);
    let within = |limit: usize| if raw.chars().count() <= limit { Ok(raw.to_owned()) } else { Err(bad()) };
    let checked = match field.ty {
        Type::Text(limit) => within(limit)?,
        Type::Bytes(limit) => (raw.len() <= limit).then(|| raw.to_owned()).ok_or_else(bad)?,
        Type::Name if switches.blanks_collapsed => {
            within(switches.name_length)?.split_whitespace().collect::<Vec<_>>().join(" ")
        }
        Type::Name => within(switches.name_length)?,
        Type::Passcode => {
            let digits = value.bytes().all(|b| b.is_ascii_digit());
            if switches.passcode_rule == PasscodeRule::DigitsOnly && !digits {
                return Err(bad());
            }
            within(switches.passcode_length)?
        }
        Type::Number(low, high) => {
            let number: u64 = value.parse().map_err(|_| bad())?;
            (low..=high).contains(&number).then(|| number.to_string()).ok_or_else(bad)?
        }
        Type::Bool => {
            let word = value.to_ascii_lowercase();
            matches!(word.as_str(), "true" | "false").then_some(word).ok_or_else(bad)?
        }
        Type::Word(words) => {
            let known = words.iter().find(|w| w.eq_ignore_ascii_case(value) && !switches.unknown_words.contains(**w));
            known.map(|w| (*w).to_owned()).ok_or_else(bad)?
        }
        Type::Ref(kind) => {
            let id = value.to_lowercase();
            cluster.db.get(kind, &id).map(|r| r.id.to_string()).ok_or(Refusal::Missing(kind.spec().missing))?
        }
        Type::UserPart => {
            let fine = !value.contains(|c: char| c == '@' || c.is_whitespace());
            fine.then(|| value.to_owned()).ok_or_else(bad)?
        }
        Type::Digits => value.bytes().all(|b| b.is_ascii_digit()).then(|| value.to_owned()).ok_or_else(bad)?,
        Type::Keys => {
            let fine = value.bytes().all(|b| b.is_ascii_digit() || b"*#,".contains(&b));
            within(200).and_then(|keys| fine.then_some(keys).ok_or_else(bad))?
        }
        Type::Template(of) => check_template(of, raw).then(|| raw.to_owned()).ok_or_else(bad)?,
        Type::Url => value.contains("://").then(|| value.to_owned()).ok_or_else(bad)?,
    };
    Ok(Some(checked))
}

/// Grammar of 6.4; a uri template has no `@`, a call id template only digits besides the index.
fn check_template(of: TemplateOf, text: &str) -> bool {
    let Some(sample) = Template::parse(text).map(|t| t.expand(1).unwrap_or_default()) else { return false };
    match of {
        TemplateOf::UserPart => !sample.contains(|c: char| c == '@' || c.is_whitespace()),
        TemplateOf::Digits => sample.bytes().all(|b| b.is_ascii_digit()),
        TemplateOf::Name => true,
    }
}
