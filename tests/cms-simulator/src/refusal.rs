//! Why a request is not carried out, and the bytes that say so (cms-protocol.md 3.3, 3.4).

use crate::switches::{Switches, UnrecognisedSpelling};
use crate::wire::xml::Xml;

/// A refused request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// An unknown id; the element to answer with.
    #[error("{0}")]
    Missing(&'static str),
    /// A rule is broken; the element to answer with.
    #[error("{0}")]
    Rule(&'static str),
    /// A parameter with a value (or a name) that is not accepted.
    #[error("parameterError: {0}")]
    Parameter(String),
    /// A path that names nothing.
    #[error("unrecognisedObject")]
    Unrecognised,
    /// Another API version in the path.
    #[error("invalidVersion")]
    Version,
    /// 503.
    #[error("503")]
    Unavailable,
    /// No answer at all.
    #[error("no answer")]
    Hang,
}

impl Refusal {
    /// A bad value of a parameter; `invalidValue` is the only documented word (3.3).
    pub fn parameter(name: &str) -> Self {
        Self::Parameter(name.to_owned())
    }

    /// The status line's code. 400 for nearly everything, "not found" by switch.
    pub fn status(&self, switches: &Switches) -> u16 {
        match self {
            Self::Missing(_) | Self::Unrecognised => switches.not_found_status,
            Self::Unavailable | Self::Hang => 503,
            Self::Rule(_) | Self::Parameter(_) | Self::Version => 400,
        }
    }

    /// The name of the element in failureDetails; none for a bare 503.
    pub fn element(&self, switches: &Switches) -> Option<&'static str> {
        match self {
            Self::Missing(element) | Self::Rule(element) => Some(element),
            Self::Parameter(_) => Some("parameterError"),
            Self::Unrecognised => Some(match switches.unrecognised_spelling {
                UnrecognisedSpelling::S => "unrecognisedObject",
                UnrecognisedSpelling::Z => "unrecognizedObject",
            }),
            Self::Version => Some("invalidVersion"),
            Self::Unavailable | Self::Hang => None,
        }
    }

    /// The body.
    pub fn body(&self, switches: &Switches, declare: bool) -> String {
        let Some(element) = self.element(switches) else { return String::new() };
        let mut xml = Xml::new(false);
        if declare {
            xml.declare();
        }
        xml.element("failureDetails", &[], |xml| match self {
            Self::Parameter(name) => xml.failure(element, &[("parameter", name), ("error", "invalidValue")]),
            _ => xml.failure(element, &[]),
        });
        xml.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies() {
        let switches = Switches::default();
        assert_eq!(
            Refusal::Missing("callDoesNotExist").body(&switches, true),
            r#"<?xml version="1.0"?><failureDetails><callDoesNotExist /></failureDetails>"#
        );
        assert_eq!(
            Refusal::parameter("uri").body(&switches, false),
            r#"<failureDetails><parameterError parameter="uri" error="invalidValue" /></failureDetails>"#
        );
        assert_eq!(Refusal::Unavailable.body(&switches, true), "");
    }
}
