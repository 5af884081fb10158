//! Everything that can go wrong between us and a call bridge, and what it means. No I/O.
//!
//! Each error answers three questions by exhaustive match: what kind of trouble it is ([`CmsError::class`]), under which
//! names conditions and metrics show it ([`CmsError::reason`], [`CmsError::label`]), and whether the bridge may have acted
//! although we got no good reply ([`CmsError::may_have_taken_effect`]).
//! The texts are made for people: bounded, stable (no ids, no times), with a remedy, and never with a secret.

use std::time::Duration;

use thiserror::Error;
use tokio::time::Instant;

/// What kind of trouble an error is: decides who retries, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorClass {
    /// No connection to this call bridge: back off, or use another one.
    Unreachable,
    /// It answers, but not now: repeat later, on the same bridge.
    Busy,
    /// Credentials: do not repeat before they changed.
    Auth,
    /// The object is not there.
    NotFound,
    /// The value belongs to something else.
    Conflict,
    /// The request itself is not acceptable: repeating it changes nothing.
    Invalid,
    /// The reply cannot be understood: not a CMS, or something in between.
    Malformed,
    /// Not sent, by our own decision.
    Blocked,
}

/// An operation on a call bridge that did not succeed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CmsError {
    /// The host name has no address.
    #[error("the bridge's host name cannot be resolved; check the address and the DNS of this cluster")]
    DnsFailure,
    /// Nothing was sent: no bridge may have this address, or any of those that its name has.
    #[error(
        "no bridge may have this address (loopback, link-local, metadata service or the like); correct it, or allow it \
         with --allow-address"
    )]
    AddressRefused,
    /// The proxy cannot be reached, or does not let us through.
    #[error("the proxy gives no connection to the bridge; check --bridge-proxy, and what the proxy allows")]
    ProxyFailure,
    /// Nothing listens there, a firewall rejects, or there is no route.
    #[error("the bridge refused the connection; check address and port, the web admin interface and firewalls")]
    ConnectionRefused,
    /// No connection within the limit.
    #[error("no connection to the bridge within the time limit; check address, routing and firewalls")]
    ConnectTimeout,
    /// The handshake failed, or our TLS settings are unusable. `detail` is one of our own texts.
    #[error("TLS to the bridge failed: {detail}")]
    TlsFailure { detail: String },
    /// The request was sent, and the reply did not come in time.
    #[error("the bridge did not reply within the time limit")]
    Timeout,
    /// The request was sent (at least partly), and the connection broke before the whole reply was there.
    #[error("the connection to the bridge broke before the reply was complete")]
    ConnectionLost,
    /// 503 or 429 (`cms-protocol.md` 1.3: temporary, repeat later).
    #[error("the bridge is busy; the request will be repeated")]
    Busy,
    /// A status with which this API does not answer, and no `failureDetails`: most likely a proxy.
    #[error("the bridge answered with HTTP status {status}; check for a proxy or load balancer in between")]
    HttpError { status: u16 },
    /// 401 to a request that carried the credentials.
    #[error("the bridge rejected user name or password; correct the credentials Secret (API passwords expire)")]
    Unauthorized,
    /// 403.
    #[error("the bridge does not allow this user the request; it needs the role api, appadmin or admin")]
    Forbidden,
    /// Something answers, but it does not speak this API.
    #[error("what answers at the address is not a Cisco Meeting Server API; check address and port")]
    NotACms,
    /// It speaks XML or at least the API's manners, but the reply cannot be used. `detail` is one of our own texts.
    #[error("the bridge's reply cannot be understood: {detail}")]
    MalformedReply { detail: String },
    /// `...DoesNotExist`, an unrecognised object, or a bare 404.
    #[error("the bridge has no such object ({element})")]
    NotFound { element: String },
    /// `duplicate...` or `...Conflict`.
    #[error("the bridge reports a conflict with another object ({element})")]
    Conflict { element: String },
    /// `parameterError`.
    #[error("the bridge does not accept the value of {parameter} ({error})")]
    ParameterError { parameter: String, error: String },
    /// `...LimitReached`, `...Unavailable` or `tooMany...`: refused for now, because of the load.
    #[error("the bridge refuses it for now ({element}); it is tried again")]
    LimitReached { element: String },
    /// `databaseNotReady`: no primary database node, so another call bridge of the cluster will not do better.
    #[error("the bridge's database takes no writes; check the database cluster of the bridge")]
    DatabaseNotReady,
    /// `passcodeTooShort` (from 3.0 on).
    #[error("the passcode is shorter than the bridge's dial-in security profile allows")]
    PasscodeTooShort,
    /// Any other `failureDetails`.
    #[error("the bridge rejected the request ({element}, HTTP status {status})")]
    Rejected { element: String, status: u16 },
    /// A create was accepted, but the reply did not name the new object (R40): look for it before creating again.
    #[error("the bridge accepted the request but did not name the new object")]
    AmbiguousCreate,
    /// Not sent: the circuit is open until then because of earlier failures; `cause` is the last one.
    #[error("not sent: the bridge could not be reached ({}) and is given a pause", cause.reason())]
    CircuitOpen { until: Instant, cause: Box<Self> },
    /// Not sent: a 401 was seen with these credentials (R39).
    #[error("not sent: the bridge rejected these credentials before; correct the credentials Secret")]
    AuthBlocked { until: Instant },
    /// Given up, or not sent: this call bridge was left for another one of its cluster.
    #[error("given up: this call bridge was left for another one of the cluster")]
    Abandoned,
    /// Not sent: the controller is stopping, or another one leads.
    #[error("not sent: this controller is stopping, or another one leads")]
    Cancelled,
    /// Not sent: while it waited for its turn it ceased to be wanted.
    #[error("not sent: while it waited for its turn it ceased to be wanted")]
    Superseded,
}

impl CmsError {
    /// What kind of trouble this is.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::DnsFailure
            | Self::AddressRefused
            | Self::ProxyFailure
            | Self::ConnectionRefused
            | Self::ConnectTimeout
            | Self::TlsFailure { .. }
            | Self::Timeout
            | Self::ConnectionLost => ErrorClass::Unreachable,
            // A gateway error or redirection is made in front of the bridge; a bare 4xx is an answer to this request.
            Self::HttpError { status } if (400..500).contains(status) => ErrorClass::Invalid,
            Self::HttpError { .. } => ErrorClass::Unreachable,
            Self::Busy | Self::DatabaseNotReady | Self::LimitReached { .. } => ErrorClass::Busy,
            Self::Unauthorized | Self::Forbidden | Self::AuthBlocked { .. } => ErrorClass::Auth,
            Self::NotFound { .. } => ErrorClass::NotFound,
            Self::Conflict { .. } => ErrorClass::Conflict,
            Self::ParameterError { .. } | Self::PasscodeTooShort | Self::Rejected { .. } => ErrorClass::Invalid,
            Self::NotACms | Self::MalformedReply { .. } | Self::AmbiguousCreate => ErrorClass::Malformed,
            Self::CircuitOpen { .. } | Self::Abandoned | Self::Cancelled | Self::Superseded => ErrorClass::Blocked,
        }
    }

    /// The reason that a condition shows, and the label under which metrics count it. Errors that merely repeat an earlier one
    /// give the reason of that one, so that a condition does not flap between the cause and our own pause.
    fn names(&self) -> (&'static str, &'static str) {
        match self {
            Self::DnsFailure => ("DNSFailure", "dns_failure"),
            Self::AddressRefused => ("AddressRefused", "address_refused"),
            Self::ProxyFailure => ("ProxyFailure", "proxy_failure"),
            Self::ConnectionRefused => ("ConnectionRefused", "connection_refused"),
            Self::ConnectTimeout => ("ConnectTimeout", "connect_timeout"),
            Self::TlsFailure { .. } => ("TLSFailure", "tls_failure"),
            Self::Timeout => ("Timeout", "timeout"),
            Self::ConnectionLost => ("ConnectionLost", "connection_lost"),
            Self::Busy => ("Busy", "busy"),
            Self::HttpError { .. } => ("HTTPError", "http_error"),
            Self::Unauthorized => ("Unauthorized", "unauthorized"),
            Self::Forbidden => ("Forbidden", "forbidden"),
            Self::NotACms => ("NotACMS", "not_a_cms"),
            Self::MalformedReply { .. } => ("MalformedReply", "malformed_reply"),
            Self::NotFound { .. } => ("NotFound", "not_found"),
            Self::Conflict { .. } => ("Conflict", "conflict"),
            Self::ParameterError { .. } => ("ParameterError", "parameter_error"),
            Self::LimitReached { .. } => ("LimitReached", "limit_reached"),
            Self::DatabaseNotReady => ("DatabaseNotReady", "database_not_ready"),
            Self::PasscodeTooShort => ("PasscodeTooShort", "passcode_too_short"),
            Self::Rejected { .. } => ("Rejected", "rejected"),
            Self::AmbiguousCreate => ("AmbiguousCreate", "ambiguous_create"),
            Self::CircuitOpen { cause, .. } => (cause.reason(), "circuit_open"),
            Self::AuthBlocked { .. } => ("Unauthorized", "auth_blocked"),
            Self::Abandoned => ("Abandoned", "abandoned"),
            Self::Cancelled => ("Cancelled", "cancelled"),
            Self::Superseded => ("Superseded", "superseded"),
        }
    }

    /// The reason that a condition shows.
    pub fn reason(&self) -> &'static str {
        self.names().0
    }

    /// The label under which metrics count it.
    pub fn label(&self) -> &'static str {
        self.names().1
    }

    /// Whether the bridge may have carried the request out all the same: it was sent, and no reply told the outcome.
    /// After such an error a create must be preceded by a look (requirements.md section 4, case 1).
    pub fn may_have_taken_effect(&self) -> bool {
        match self {
            // The request left us, and the answer was lost or came from something in between.
            Self::Timeout | Self::ConnectionLost | Self::AmbiguousCreate | Self::MalformedReply { .. } => true,
            Self::HttpError { status } => *status >= 500,
            // A proxy's own page instead of the bridge's reply says nothing about what the bridge did.
            Self::NotACms => true,
            // It may have been on the wire.
            Self::Abandoned => true,
            Self::DnsFailure
            | Self::AddressRefused
            | Self::ProxyFailure
            | Self::ConnectionRefused
            | Self::ConnectTimeout
            | Self::TlsFailure { .. }
            | Self::Busy
            | Self::Unauthorized
            | Self::Forbidden
            | Self::NotFound { .. }
            | Self::Conflict { .. }
            | Self::ParameterError { .. }
            | Self::LimitReached { .. }
            | Self::DatabaseNotReady
            | Self::PasscodeTooShort
            | Self::Rejected { .. }
            | Self::CircuitOpen { .. }
            | Self::AuthBlocked { .. }
            | Self::Cancelled
            | Self::Superseded => false,
        }
    }

    /// Whether no connection came about, so that nothing can have been asked.
    pub fn is_without_connection(&self) -> bool {
        self.is_connection_failure() && !matches!(self.behind(), Self::Timeout | Self::ConnectionLost)
    }

    /// Whether nothing of the bridge was reached, or the reply never came: what the circuit breaker and failover
    /// count. An answer, however bad, is not such a failure.
    pub fn is_connection_failure(&self) -> bool {
        let behind = self.behind();
        behind.class() == ErrorClass::Unreachable && !matches!(behind, Self::HttpError { .. })
    }

    /// The trouble behind our own pause; any other error is its own.
    pub fn behind(&self) -> &Self {
        match self {
            Self::CircuitOpen { cause, .. } => cause,
            _ => self,
        }
    }

    /// Whether it is a 503, or a 429: temporary, and worth a repetition (`cms-protocol.md` 1.3). Whether the bridge itself said so,
    /// or the web server in front of its API with a page, makes no difference to that.
    pub fn is_busy_status(&self) -> bool {
        matches!(self, Self::Busy | Self::HttpError { status: 503 })
    }

    /// The bridge's own word for it if there is one, else the reason: what is shown of one participant.
    pub fn word(&self) -> &str {
        match self {
            Self::NotFound { element }
            | Self::Conflict { element }
            | Self::LimitReached { element }
            | Self::Rejected { element, .. } => element,
            _ => self.reason(),
        }
    }

    /// Whether it is a bare status, an empty failure, a failure of the server, or "no such object": if that answers something
    /// that is to be made, whatever answered (a call bridge that is being started, something in front of it) did not judge what
    /// was sent.
    pub fn is_wordless(&self) -> bool {
        match self {
            Self::NotFound { .. } | Self::HttpError { .. } => true,
            Self::Rejected { element, status } => element == "failureDetails" || *status >= 500,
            _ => false,
        }
    }

    /// Whether it may be about nothing but what was asked about: an answer of the bridge, or an odd one of whatever answered.
    /// What else is asked tells.
    pub fn may_be_about_one(&self) -> bool {
        match self.class() {
            ErrorClass::Invalid | ErrorClass::Conflict => true,
            ErrorClass::Unreachable => matches!(self, Self::HttpError { .. }),
            ErrorClass::Malformed => !matches!(self, Self::AmbiguousCreate),
            ErrorClass::Auth => matches!(self, Self::Forbidden),
            ErrorClass::NotFound | ErrorClass::Busy | ErrorClass::Blocked => false,
        }
    }

    /// Whether the bridge's API itself has answered, so that the credentials work. A proxy may have sent the rest.
    pub fn is_of_bridge(&self) -> bool {
        match self.class() {
            ErrorClass::NotFound | ErrorClass::Conflict => true,
            ErrorClass::Invalid => !matches!(self, Self::HttpError { .. }),
            ErrorClass::Busy => !matches!(self, Self::Busy),
            ErrorClass::Auth => matches!(self, Self::Forbidden),
            ErrorClass::Malformed => matches!(self, Self::AmbiguousCreate),
            ErrorClass::Unreachable | ErrorClass::Blocked => false,
        }
    }

    /// How long the gate still refuses such requests, for the two errors that know it.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::CircuitOpen { until, .. } | Self::AuthBlocked { until } => {
                Some(until.saturating_duration_since(Instant::now()))
            }
            _ => None,
        }
    }

    /// Whether the object is not there.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound { .. })
    }
}

/// What a look at one object found; None: it is not there.
///
/// # Errors
/// Any other error.
pub fn if_there<T>(found: Result<T, CmsError>) -> Result<Option<T>, CmsError> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}
