//! The XML encoder: one line, no indentation, `<?xml version="1.0"?>` without line break or encoding
//! (cms-protocol.md 1.3), and the empty-tag style as a switch (section 14).

use std::fmt::Write as _;

/// The 21 bytes that open most bodies.
pub const DECLARATION: &str = r#"<?xml version="1.0"?>"#;

/// A growing document.
#[derive(Debug)]
pub struct Xml {
    out: String,
    /// `<x/>` instead of `<x></x>` for elements without content.
    self_close: bool,
}

impl Xml {
    /// An empty document without declaration.
    pub fn new(self_close: bool) -> Self {
        Self { out: String::with_capacity(512), self_close }
    }

    /// Writes the declaration; call first.
    pub fn declare(&mut self) {
        self.out.push_str(DECLARATION);
    }

    /// An element with attributes whose content is written by `content`.
    pub fn element(&mut self, name: &str, attributes: &[(&str, &str)], content: impl FnOnce(&mut Self)) {
        self.out.push('<');
        self.out.push_str(name);
        for (key, value) in attributes {
            let _ = write!(self.out, " {key}=\"");
            escape(&mut self.out, value);
            self.out.push('"');
        }
        self.out.push('>');
        let start = self.out.len();
        content(self);
        if self.out.len() == start && self.self_close {
            self.out.pop();
            self.out.push_str("/>");
        } else {
            let _ = write!(self.out, "</{name}>");
        }
    }

    /// An element that holds only text.
    pub fn leaf(&mut self, name: &str, text: &str) {
        self.element(name, &[], |xml| escape(&mut xml.out, text));
    }

    /// An element that holds a number or another value with a plain display form.
    pub fn show(&mut self, name: &str, value: impl std::fmt::Display) {
        self.leaf(name, &value.to_string());
    }

    /// An element that is written in the short form whatever the style, with the blank that the server puts before
    /// the slash in failure details (3.3).
    pub fn failure(&mut self, name: &str, attributes: &[(&str, &str)]) {
        let _ = write!(self.out, "<{name}");
        for (key, value) in attributes {
            let _ = write!(self.out, " {key}=\"");
            escape(&mut self.out, value);
            self.out.push('"');
        }
        self.out.push_str(" />");
    }

    /// The finished text.
    pub fn finish(self) -> String {
        self.out
    }
}

/// Escapes the five special characters; an apostrophe comes back as `&apos;` (1.3). Control characters that XML 1.0
/// cannot carry are dropped.
fn escape(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            '\t' | '\n' | '\r' => out.push(c),
            c if c < ' ' || matches!(c, '\u{fffe}' | '\u{ffff}') => {}
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_elements_in_both_styles() {
        for (self_close, expected) in [(false, "<a total=\"0\"></a><b></b>"), (true, "<a total=\"0\"/><b/>")] {
            let mut xml = Xml::new(self_close);
            xml.element("a", &[("total", "0")], |_| {});
            xml.leaf("b", "");
            assert_eq!(xml.finish(), expected);
        }
    }

    #[test]
    fn text_is_escaped() {
        let mut xml = Xml::new(false);
        xml.leaf("n", "Tim's <\"A&B\">\u{1}\u{fffe}\u{ffff}");
        assert_eq!(xml.finish(), "<n>Tim&apos;s &lt;&quot;A&amp;B&quot;&gt;</n>");
    }

    #[test]
    fn failure_elements_keep_the_blank() {
        let mut xml = Xml::new(false);
        xml.failure("parameterError", &[("parameter", "uri"), ("error", "invalidValue")]);
        assert_eq!(xml.finish(), r#"<parameterError parameter="uri" error="invalidValue" />"#);
    }
}
