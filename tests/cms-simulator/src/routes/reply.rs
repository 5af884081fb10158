//! What a handler is given and what it gives back.

use crate::ids::Id;
use crate::refusal::Refusal;
use crate::state::Cluster;
use crate::switches::{EmptyTags, MissingDeclaration, Switches};
use crate::wire::form::Pairs;
use crate::wire::xml::Xml;

/// One request, ready for its handler.
#[derive(Debug)]
pub struct Ctx<'a> {
    /// The bridge that was asked.
    pub bridge: usize,
    pub verb: Verb,
    pub query: &'a Pairs,
    pub body: &'a Pairs,
    /// Ceiling of the page forced by a fault.
    pub page_cap: Option<usize>,
    /// Final state of a sync forced by a fault.
    pub sync_state: Option<&'a str>,
}

/// The four verbs of the API (1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    Get,
    Post,
    Put,
    Delete,
}

impl Verb {
    /// From the method of a request; anything else is an `invalidOperation`.
    pub fn parse(method: &str) -> Option<Self> {
        Some(match method {
            "GET" | "HEAD" => Self::Get,
            "POST" => Self::Post,
            "PUT" => Self::Put,
            "DELETE" => Self::Delete,
            _ => return None,
        })
    }
}

/// The answer of a handler.
#[derive(Debug, Default)]
pub struct Reply {
    /// Location header.
    pub location: Option<String>,
    /// XML, or nothing.
    pub body: String,
    /// `X-Cisco-CMS-Auth-Token`.
    pub token: Option<String>,
    /// Whether stored state changed.
    pub effect: bool,
    /// The object created or addressed.
    pub object: Option<Id>,
    /// What is odd about the request.
    pub remark: Option<String>,
}

/// What handlers return.
pub type Answer = Result<Reply, Refusal>;

impl Reply {
    /// 200 without body.
    pub fn done(effect: bool, object: &Id) -> Self {
        Self { effect, object: Some(object.clone()), ..Self::default() }
    }

    /// 200 without body and with a Location.
    pub fn created(location: String, object: Id) -> Self {
        Self { location: Some(location), effect: true, object: Some(object), ..Self::default() }
    }

    /// 200 with a document.
    pub fn xml(body: String) -> Self {
        Self { body, ..Self::default() }
    }

    /// Names the object the request addressed.
    pub fn about(mut self, object: &Id) -> Self {
        self.object = Some(object.clone());
        self
    }
}

/// Whether ordinary bodies carry a declaration.
pub fn declares(switches: &Switches) -> bool {
    switches.missing_declaration != MissingDeclaration::All
}

/// Writes a document in the style of the switches.
pub fn document(cluster: &Cluster, write: impl FnOnce(&mut Xml)) -> String {
    let switches = &cluster.switches;
    let mut xml = Xml::new(switches.empty_tags == EmptyTags::SelfClosed);
    if declares(switches) {
        xml.declare();
    }
    write(&mut xml);
    xml.finish()
}

/// As [`document`], for the list of calls, which has no declaration (quirk 1).
pub fn calls_document(cluster: &Cluster, write: impl FnOnce(&mut Xml)) -> String {
    let switches = &cluster.switches;
    let mut xml = Xml::new(switches.empty_tags == EmptyTags::SelfClosed);
    if switches.missing_declaration == MissingDeclaration::None {
        xml.declare();
    }
    write(&mut xml);
    xml.finish()
}
