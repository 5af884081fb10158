//! Request bodies and query strings, byte for byte as the guide's trace shows them (requirements.md 1.3). No I/O.
//!
//! Not sent: the lone `&` at the start of TMS's PUT bodies, an empty pair that carries nothing (`cms-protocol.md` 1.2).

use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What is escaped in a value: all but letters, digits and these. `@` and `$` stay as they are because the byte counts
/// of the guide prove that they did there (requirements.md 1.3, point 3); a space is escaped here and becomes `+`.
const VALUE: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'*')
    .remove(b'@')
    .remove(b'$')
    .remove(b' ');

/// Pairs in the order they were added, encoded as `application/x-www-form-urlencoded`.
#[derive(Default, Clone, PartialEq, Eq)]
pub struct Form(String);

impl Form {
    /// An empty form.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one pair; an empty value is a pair too, and unsets the attribute (`cms-protocol.md` 1.2).
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        if !self.0.is_empty() {
            self.0.push('&');
        }
        encode_into(&mut self.0, name);
        self.0.push('=');
        encode_into(&mut self.0, value);
        self
    }

    /// Adds the pair if there is a value.
    #[must_use]
    pub fn with_some(self, name: &str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// Adds `true` or `false`.
    #[must_use]
    pub fn with_bool(self, name: &str, value: bool) -> Self {
        self.with(name, if value { "true" } else { "false" })
    }

    /// Adds all pairs in their order.
    #[must_use]
    pub fn with_all(self, pairs: &[(String, String)]) -> Self {
        pairs.iter().fold(self, |form, (name, value)| form.with(name, value))
    }

    /// Whether there is no pair.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The encoded text. May hold secrets: for the wire only.
    pub fn encoded(&self) -> &str {
        &self.0
    }
}

/// Bodies carry passcodes and secrets, so only the size is shown.
impl fmt::Debug for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Form({} bytes)", self.0.len())
    }
}

fn encode_into(out: &mut String, text: &str) {
    for part in utf8_percent_encode(text, VALUE) {
        out.extend(part.chars().map(|c| if c == ' ' { '+' } else { c }));
    }
}

/// Makes `text` literal inside a mapping of a bulk parameter set: `\` and `$` are doubled or escaped there
/// (`cms-protocol.md` 6.4).
pub fn escape_template(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '\\' | '$') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests;
