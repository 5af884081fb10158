//! A tolerant reader for the bridge's replies: bytes in, a small bounded tree out. No I/O.
//!
//! Tolerant as `cms-protocol.md` 1.3 asks: with or without declaration, empty tags open-and-closed or self-closed, names in
//! any case, unknown elements anywhere, bytes that are not UTF-8 replaced. Strict where it protects: size, depth and
//! number of nodes are bounded, a document type declaration is refused (so there are no entities to expand), and a
//! document that is cut short or followed by a second one is an error, never half a result (R41).

use quick_xml::XmlVersion;
use quick_xml::events::attributes::Attributes;
use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::reader::Reader;
use thiserror::Error;

/// What one document may cost.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Size of the document.
    pub bytes: usize,
    /// Elements inside each other. The deepest documented reply has six levels.
    pub depth: usize,
    /// Elements and attributes together: at some 100 bytes each this bounds the memory.
    pub nodes: usize,
}

/// The shortest real list, of spaces without anything but name and numbers, has 27 bytes for each element or attribute.
const BYTES_PER_NODE: usize = 24;

impl Bounds {
    /// For a document of this size, whatever it is a list of.
    pub fn of(bytes: usize) -> Self {
        Self { bytes, depth: 24, nodes: (bytes / BYTES_PER_NODE).max(1_000) }
    }
}

impl Default for Bounds {
    fn default() -> Self {
        Self::of(8 << 20)
    }
}

/// Why bytes are not a usable document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum XmlError {
    #[error("it is empty")]
    Empty,
    #[error("it does not begin with an XML element")]
    NotXml,
    #[error("it has a document type declaration")]
    DocType,
    #[error("its XML is broken or cut short")]
    Broken,
    #[error("it is too large")]
    TooLarge,
    #[error("its elements are nested too deeply")]
    TooDeep,
    #[error("it has too many elements")]
    TooMany,
}

/// One element with everything inside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    name: String,
    attributes: Vec<(String, String)>,
    text: String,
    children: Vec<Node>,
}

impl Node {
    /// The element's name without a prefix, as the server spells it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether this is the element `name`, in any case (`cms-protocol.md` 0.3).
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    /// The attribute `name`, in any case.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The text directly inside, exactly as sent (an element with children has the white space between them).
    pub fn text(&self) -> &str {
        &self.text
    }

    /// All elements directly inside, in their order.
    pub fn children(&self) -> &[Node] {
        &self.children
    }

    /// The first element `name` directly inside.
    pub fn child(&self, name: &str) -> Option<&Node> {
        self.children.iter().find(|child| child.is(name))
    }

    /// All elements `name` directly inside.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Node> {
        self.children.iter().filter(move |child| child.is(name))
    }

    /// The text of the first element `name`: `None` if there is none, `Some("")` if it is empty.
    pub fn text_of(&self, name: &str) -> Option<&str> {
        self.child(name).map(Node::text)
    }
}

/// Reads one document.
///
/// # Errors
/// See [`XmlError`]; nothing of a faulty document is returned.
pub fn parse(bytes: &[u8], bounds: Bounds) -> Result<Node, XmlError> {
    if bytes.len() > bounds.bytes {
        return Err(XmlError::TooLarge);
    }
    let text = String::from_utf8_lossy(bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes));
    if text.trim_ascii().is_empty() {
        return Err(XmlError::Empty);
    }
    let mut reader = Reader::from_str(&text);
    reader.config_mut().allow_dangling_amp = true;
    let mut builder = Builder { bounds, nodes: 0, open: Vec::new(), root: None };
    loop {
        match reader.read_event() {
            Ok(Event::Start(tag)) => builder.start(&tag)?,
            Ok(Event::Empty(tag)) => {
                builder.start(&tag)?;
                builder.end()?;
            }
            Ok(Event::End(_)) => builder.end()?,
            Ok(Event::Text(text)) => builder.text(&text.xml10_content())?,
            Ok(Event::CData(text)) => builder.text(&text.xml10_content())?,
            Ok(Event::GeneralRef(reference)) => builder.reference(&reference)?,
            Ok(Event::DocType(_)) => return Err(XmlError::DocType),
            Ok(Event::Decl(_) | Event::PI(_) | Event::Comment(_)) => {}
            Ok(Event::Eof) => return builder.finish(),
            Err(_) => return Err(if builder.begun() { XmlError::Broken } else { XmlError::NotXml }),
        }
    }
}

/// The tree under construction. A stack instead of recursion: depth costs heap, not stack, and is bounded anyway.
struct Builder {
    bounds: Bounds,
    nodes: usize,
    open: Vec<Node>,
    root: Option<Node>,
}

impl Builder {
    fn begun(&self) -> bool {
        self.root.is_some() || !self.open.is_empty()
    }

    fn start(&mut self, tag: &BytesStart<'_>) -> Result<(), XmlError> {
        if self.open.is_empty() && self.root.is_some() {
            return Err(XmlError::Broken);
        }
        if self.open.len() >= self.bounds.depth {
            return Err(XmlError::TooDeep);
        }
        self.count()?;
        let mut node = Node { name: tag.local_name().as_ref().to_owned(), ..Node::default() };
        self.read_attributes(tag.attributes(), &mut node.attributes)?;
        self.open.push(node);
        Ok(())
    }

    fn read_attributes(&mut self, tag: Attributes<'_>, into: &mut Vec<(String, String)>) -> Result<(), XmlError> {
        let mut tag = tag;
        // Looking for repeated attributes takes quadratic time; the first one wins, which is harmless here.
        for attribute in tag.with_checks(false) {
            let attribute = attribute.map_err(|_| XmlError::Broken)?;
            self.count()?;
            let value = match attribute.normalized_value(XmlVersion::Implicit1_0) {
                Ok(value) => value.into_owned(),
                // An unknown entity: the raw text is better than losing the object.
                Err(_) => attribute.value.clone().into_owned(),
            };
            into.push((attribute.key.local_name().as_ref().to_owned(), value));
        }
        Ok(())
    }

    fn count(&mut self) -> Result<(), XmlError> {
        self.nodes += 1;
        if self.nodes > self.bounds.nodes { Err(XmlError::TooMany) } else { Ok(()) }
    }

    fn end(&mut self) -> Result<(), XmlError> {
        let mut done = self.open.pop().ok_or(XmlError::Broken)?;
        // The capacity that growing left unused would otherwise count against the bound on memory.
        done.children.shrink_to_fit();
        done.text.shrink_to_fit();
        match self.open.last_mut() {
            Some(parent) => parent.children.push(done),
            None => self.root = Some(done),
        }
        Ok(())
    }

    fn text(&mut self, text: &str) -> Result<(), XmlError> {
        match self.open.last_mut() {
            Some(node) => node.text.push_str(text),
            None if text.trim_ascii().is_empty() => {}
            None if self.root.is_some() => return Err(XmlError::Broken),
            None => return Err(XmlError::NotXml),
        }
        Ok(())
    }

    /// `&apos;` and its four brothers and `&#39;` become characters; an unknown entity stays as it was written, because
    /// without a document type there is nothing it could stand for.
    fn reference(&mut self, reference: &BytesRef<'_>) -> Result<(), XmlError> {
        if let Ok(Some(c)) = reference.resolve_char_ref() {
            return self.text(c.encode_utf8(&mut [0; 4]));
        }
        let name = reference.xml10_content();
        match quick_xml::escape::resolve_xml_entity(&name) {
            Some(text) => self.text(text),
            None => {
                self.text("&")?;
                self.text(&name)?;
                self.text(";")
            }
        }
    }

    fn finish(self) -> Result<Node, XmlError> {
        if self.open.is_empty() { self.root.ok_or(XmlError::NotXml) } else { Err(XmlError::Broken) }
    }
}

#[cfg(test)]
mod tests;
