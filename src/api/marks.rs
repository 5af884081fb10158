//! The mark (`cdrTag`) that we put on the space of a meeting: the proof that an open space is ours (decision 0005). No I/O.

use uuid::Uuid;

/// What every mark begins with, of whichever installation.
const WORD: &str = "meeting-controller";

/// `cdrTag` holds at most this many characters (cms-protocol.md section 6.1).
const LIMIT: usize = 100;

/// The longest name of an installation: a hash has to fit beside it.
const LONGEST_INSTALLATION: usize = 32;

/// The marks of this installation.
///
/// An installation without a name takes every mark without a name for its own. Where several share the numbers of one
/// CMS each needs a name (`--installation`): what carries the name of another one is somebody else's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    installation: Option<String>,
}

impl Marks {
    /// The marks of the installation with this name; empty: without a name.
    ///
    /// # Errors
    /// If the name would not be read back as it is written.
    pub fn of_installation(name: &str) -> Result<Self, String> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
        if name.len() > LONGEST_INSTALLATION || !name.chars().all(is_plain) {
            return Err(format!("at most {LONGEST_INSTALLATION} letters, digits, dots, underscores and hyphens"));
        }
        Ok(Self { installation: Some(name.to_owned()).filter(|name| !name.is_empty()) })
    }

    fn prefix(&self) -> String {
        self.installation.as_ref().map_or_else(|| format!("{WORD}:"), |name| format!("{WORD}[{name}]:"))
    }

    /// The mark of a meeting on its space.
    ///
    /// It names namespace and name, not the UID: after a restore from backup or git the UIDs are new, but the running
    /// meeting on the bridge must still be recognised.
    pub fn of(&self, namespace: &str, name: &str) -> String {
        let prefix = self.prefix();
        let plain = format!("{prefix}{namespace}/{name}");
        if plain.chars().count() <= LIMIT {
            return plain;
        }
        let hash = Uuid::new_v5(&Uuid::NAMESPACE_URL, plain.as_bytes()).simple();
        format!("{prefix}#{hash}")
    }

    /// The mark that the same meeting had before the installation had a name; None: it has none.
    pub fn before_the_name(&self, namespace: &str, name: &str) -> Option<String> {
        self.installation.as_ref().map(|_| Self::default().of(namespace, name))
    }

    /// The name of an access method of the meeting with this mark. How long one may be is not documented; the field of the
    /// mark is taken for a measure.
    pub fn of_access_method(&self, mark: &str, method: &str) -> String {
        let plain = format!("{mark}/{method}");
        if plain.chars().count() <= LIMIT {
            return plain;
        }
        format!("{}#{}", self.prefix(), Uuid::new_v5(&Uuid::NAMESPACE_URL, plain.as_bytes()).simple())
    }

    /// Was this `cdrTag`, or this name of an access method, written by this installation?
    pub fn is_ours(&self, tag: &str) -> bool {
        tag.starts_with(&self.prefix())
    }
}

/// Was this `cdrTag` written by a meeting-controller, ours or another one?
pub fn is_mark(tag: &str) -> bool {
    tag.strip_prefix(WORD).is_some_and(|rest| rest.starts_with([':', '[']))
}

#[cfg(test)]
mod tests;
