//! Faults: what goes wrong with which requests.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Handle of an added fault.
pub type FaultId = u64;

/// A change of the world that a fault triggers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "camelCase")]
pub enum Action {
    /// The bridge of the request restarts: uptime back, calls gone, all its connections cut.
    Restart,
    /// The bridge of the request stops.
    Stop,
    /// Clients can no longer reach the bridge of the request; its calls go on.
    Cut,
    /// The bridge of the request falls silent for clients; its calls go on.
    Blackhole,
    /// The bridge of the request cuts its connections and shows a certificate that nobody trusts; its calls go on.
    BreakTls,
    /// The bridge of the request starts, or is reached by clients again as it should be. Use it in `On`.
    Start,
    /// Something happens to another bridge than that of the request.
    On {
        /// Its number, from 0.
        bridge: usize,
        action: Box<Action>,
    },
    /// The database loses (false) or regains (true) its primary.
    DatabasePrimary { primary: bool },
    /// The bridge of the request loses (false) or regains (true) its way to the database.
    DatabaseReachable { reachable: bool },
    /// The clock of the bridge of the request moves.
    ClockSkew { seconds: i64 },
    /// Somebody edits a space by hand.
    EditSpace {
        /// Its id, uri or call id.
        space: String,
        /// As in a PUT.
        pairs: Vec<(String, String)>,
    },
    /// Somebody deletes a space by hand.
    DeleteSpace {
        /// Its id, uri or call id.
        space: String,
    },
    /// Somebody ends all calls of a space by hand.
    EndCalls {
        /// Its id, uri or call id.
        space: String,
    },
    /// The password changes.
    SetPassword { password: String },
}

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum FaultKind {
    /// The request waits before it is looked at. Adds to other faults.
    Latency {
        /// Milliseconds in JSON.
        #[serde(with = "millis")]
        delay: Duration,
    },
    /// No answer, no effect, until the client gives up or the bridge stops.
    HangBefore,
    /// The effect happens, then no answer.
    HangAfter,
    /// The connection is reset before the effect.
    ResetBefore,
    /// The effect happens, then the connection is reset: the lost reply.
    ResetAfter,
    /// 401, empty, with challenge.
    Unauthorized,
    /// 503, empty.
    #[default]
    Unavailable,
    /// 503 with an HTML page, no effect: the web server in front of the API.
    UnavailablePage,
    /// 500 with an HTML page, no effect.
    HtmlError,
    /// A status with a failureDetails element, no effect.
    Failure {
        status: u16,
        /// Name of the element.
        element: String,
    },
    /// 200 whose body is cut to this share of its length; the HTTP message itself is complete.
    TruncatedXml,
    /// 200 whose connection breaks in the middle of the body.
    CutBody,
    /// Elements and attributes that no client knows, in the root and in every object.
    UnknownElements,
    /// Pages hold at most so many items, whatever was asked for.
    ShortPages { items: usize },
    /// `Connection: close` with the reply.
    CloseConnection,
    /// A sync created by the request ends in this state (or stays `running` for ever).
    SyncState {
        /// A status of 6.5.
        state: String,
    },
    /// Something happens right before the request takes effect.
    Before { action: Action },
    /// Something happens right after the request took effect, before its reply.
    After { action: Action },
}

impl FaultKind {
    /// Short name for the journal.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Latency { .. } => "latency",
            Self::HangBefore => "hangBefore",
            Self::HangAfter => "hangAfter",
            Self::ResetBefore => "resetBefore",
            Self::ResetAfter => "resetAfter",
            Self::Unauthorized => "unauthorized",
            Self::Unavailable => "unavailable",
            Self::UnavailablePage => "unavailablePage",
            Self::HtmlError => "htmlError",
            Self::Failure { .. } => "failure",
            Self::TruncatedXml => "truncatedXml",
            Self::CutBody => "cutBody",
            Self::UnknownElements => "unknownElements",
            Self::ShortPages { .. } => "shortPages",
            Self::CloseConnection => "closeConnection",
            Self::SyncState { .. } => "syncState",
            Self::Before { .. } => "before",
            Self::After { .. } => "after",
        }
    }
}

mod millis {
    use std::time::Duration;

    use serde::{Deserialize as _, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(value: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(u64::try_from(value.as_millis()).unwrap_or(u64::MAX))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_millis)
    }
}

/// A fault and the requests it strikes. What is not given matches everything.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Fault {
    /// Only on this bridge, from 0.
    pub bridge: Option<usize>,
    /// Only this verb.
    pub method: Option<String>,
    /// Only this route: a template such as `coSpaces/{id}`, or with a trailing `*` every route that begins so.
    pub route: Option<String>,
    /// Only requests whose path names this object, by its id.
    pub object: Option<String>,
    /// Skip the first so many matches.
    pub nth: u32,
    /// Strike so many times; none: for ever.
    pub times: Option<u32>,
    /// What goes wrong.
    #[serde(flatten)]
    pub kind: FaultKind,
}

impl Fault {
    /// A fault that strikes every request.
    pub fn new(kind: FaultKind) -> Self {
        Self { kind, ..Self::default() }
    }

    /// Only on one bridge.
    #[must_use]
    pub fn bridge(mut self, bridge: usize) -> Self {
        self.bridge = Some(bridge);
        self
    }

    /// Only for one verb.
    #[must_use]
    pub fn method(mut self, method: &str) -> Self {
        self.method = Some(method.to_owned());
        self
    }

    /// Only on one route.
    #[must_use]
    pub fn route(mut self, route: &str) -> Self {
        self.route = Some(route.to_owned());
        self
    }

    /// Only requests about one object.
    #[must_use]
    pub fn object(mut self, id: &str) -> Self {
        self.object = Some(id.to_owned());
        self
    }

    /// Not the first so many matches.
    #[must_use]
    pub fn skip(mut self, nth: u32) -> Self {
        self.nth = nth;
        self
    }

    /// So many times only.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = Some(times);
        self
    }

    /// Once only.
    #[must_use]
    pub fn once(self) -> Self {
        self.times(1)
    }

    fn matches(&self, bridge: usize, method: &str, route: &str, path: &str) -> bool {
        self.bridge.is_none_or(|b| b == bridge)
            && self.method.as_ref().is_none_or(|m| m.eq_ignore_ascii_case(method))
            && self.object.as_ref().is_none_or(|id| path.split('/').any(|part| part.eq_ignore_ascii_case(id)))
            && self.route.as_ref().is_none_or(|wanted| match wanted.strip_suffix('*') {
                Some(prefix) => route.get(..prefix.len()).is_some_and(|head| head.eq_ignore_ascii_case(prefix)),
                None => wanted.eq_ignore_ascii_case(route),
            })
    }
}

/// A fault with its counters.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ActiveFault {
    pub id: FaultId,
    pub fault: Fault,
    /// Requests that matched so far.
    pub matched: u32,
    /// Requests that were struck so far.
    pub struck: u32,
}

/// All faults, in the order in which they were added.
#[derive(Debug, Default)]
pub struct Faults {
    list: Mutex<(Vec<ActiveFault>, FaultId)>,
    /// Lets a request pass without the lock while there is no fault.
    count: AtomicUsize,
}

impl Faults {
    fn lock(&self) -> std::sync::MutexGuard<'_, (Vec<ActiveFault>, FaultId)> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a fault.
    pub fn add(&self, fault: Fault) -> FaultId {
        let mut list = self.lock();
        list.1 += 1;
        let id = list.1;
        list.0.push(ActiveFault { id, fault, matched: 0, struck: 0 });
        self.count.store(list.0.len(), Ordering::Release);
        id
    }

    /// Removes one fault.
    pub fn remove(&self, id: FaultId) -> bool {
        let mut list = self.lock();
        let before = list.0.len();
        list.0.retain(|fault| fault.id != id);
        self.count.store(list.0.len(), Ordering::Release);
        list.0.len() < before
    }

    /// Removes all faults.
    pub fn clear(&self) {
        self.lock().0.clear();
        self.count.store(0, Ordering::Release);
    }

    /// All faults with their counters; spent ones stay listed.
    pub fn list(&self) -> Vec<ActiveFault> {
        self.lock().0.clone()
    }

    /// The faults that strike a request: all latencies and, of the others, the first of each name that fits.
    pub fn strike(&self, bridge: usize, method: &str, route: &str, path: &str) -> Vec<FaultKind> {
        if self.count.load(Ordering::Acquire) == 0 {
            return Vec::new();
        }
        let mut struck: Vec<FaultKind> = Vec::new();
        for active in &mut self.lock().0 {
            if !active.fault.matches(bridge, method, route, path) {
                continue;
            }
            active.matched += 1;
            let due = active.matched > active.fault.nth && active.fault.times.is_none_or(|n| active.struck < n);
            if due {
                active.struck += 1;
                struck.push(active.fault.kind.clone());
            }
        }
        struck
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skip_times_and_routes() {
        let faults = Faults::default();
        faults.add(Fault::new(FaultKind::Unavailable).method("put").route("coSpaces/{id}").skip(1).times(2));
        let hit = |method: &str, route: &str| !faults.strike(0, method, route, "/api/v1/coSpaces/one").is_empty();
        assert!(!hit("GET", "coSpaces/{id}"));
        assert!(!hit("PUT", "coSpaces"));
        assert_eq!([0; 5].map(|_| hit("PUT", "coSpaces/{id}")), [false, true, true, false, false]);
        faults.clear();
        faults.add(Fault::new(FaultKind::Unavailable).bridge(1).route("system/*"));
        assert!(faults.strike(0, "GET", "system/status", "/api/v1/system/status").is_empty());
        assert_eq!(faults.strike(1, "GET", "system/status", "/api/v1/system/status").len(), 1);
        faults.clear();
        faults.add(Fault::new(FaultKind::Unavailable).object("one"));
        let about = |path: &str| faults.strike(0, "GET", "coSpaces/{id}", path).len();
        assert_eq!(
            (about("/api/v1/coSpaces/ONE"), about("/api/v1/coSpaces/one2"), about("/api/v1/coSpaces")),
            (1, 0, 0)
        );
    }

    #[test]
    fn faults_read_from_json() {
        let text = r#"{"bridge":0,"method":"POST","route":"calls","times":1,"kind":"latency","delay":250}"#;
        let fault: Fault = serde_json::from_str(text).unwrap();
        assert_eq!(fault.kind, FaultKind::Latency { delay: Duration::from_millis(250) });
        let text = r#"{"kind":"before","action":{"do":"restart"}}"#;
        let fault: Fault = serde_json::from_str(text).unwrap();
        assert_eq!(fault.kind, FaultKind::Before { action: Action::Restart });
        let text = r#"{"kind":"after","action":{"do":"on","bridge":1,"action":{"do":"breakTls"}}}"#;
        let fault: Fault = serde_json::from_str(text).unwrap();
        let action = Action::On { bridge: 1, action: Box::new(Action::BreakTls) };
        assert_eq!(fault.kind, FaultKind::After { action });
    }
}
