//! The page over HTTP, for one user of this machine: the loopback address keeps other machines out, the token in the path
//! other users, the check of Host a page of somebody else's whose name was made to mean this machine (DNS rebinding). There
//! is nothing but GET, and nothing here changes anything.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use futures::Stream;
use tokio::sync::watch;

const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// Nothing comes from elsewhere and nothing goes there; no text is ever read as markup.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; \
                      trusted-types 'none'";
const HEADERS: [(HeaderName, &str); 6] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
];

/// What there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Page,
    Style,
    Script,
    Events,
}

struct Site {
    token: String,
    /// The names by which a browser on this machine reaches us.
    hosts: [String; 3],
    shown: watch::Receiver<Arc<str>>,
}

/// The page, and its events: each is all that is shown, as JSON.
pub fn router(token: &str, address: SocketAddr, shown: watch::Receiver<Arc<str>>) -> Router {
    let hosts = ["127.0.0.1", "[::1]", "localhost"].map(|name| format!("{name}:{}", address.port()));
    Router::new().fallback(answer).with_state(Arc::new(Site { token: token.to_owned(), hosts, shown }))
}

async fn answer(State(site): State<Arc<Site>>, request: Request) -> Response {
    let kind = |kind: &'static str| [(header::CONTENT_TYPE, kind)];
    let mut response = match site.part(request.method(), request.headers(), request.uri().path()) {
        Err(code) => (code, code.canonical_reason().unwrap_or_default()).into_response(),
        Ok(Part::Page) => (kind("text/html; charset=utf-8"), PAGE).into_response(),
        Ok(Part::Style) => (kind("text/css; charset=utf-8"), STYLE).into_response(),
        Ok(Part::Script) => (kind("text/javascript; charset=utf-8"), SCRIPT).into_response(),
        Ok(Part::Events) => Sse::new(events(site.shown.clone())).into_response(),
    };
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

impl Site {
    /// What is asked for, if this is somebody who may.
    fn part(&self, method: &Method, headers: &HeaderMap, path: &str) -> Result<Part, StatusCode> {
        let mut hosts = headers.get_all(header::HOST).iter();
        let is_ours = |host: &HeaderValue| self.hosts.iter().any(|own| host.as_bytes() == own.as_bytes());
        if !hosts.next().is_some_and(is_ours) || hosts.next().is_some() {
            return Err(StatusCode::MISDIRECTED_REQUEST);
        }
        let (token, file) =
            path.strip_prefix('/').and_then(|path| path.split_once('/')).ok_or(StatusCode::NOT_FOUND)?;
        if !is_same(token, &self.token) {
            return Err(StatusCode::NOT_FOUND);
        }
        if method != Method::GET {
            return Err(StatusCode::METHOD_NOT_ALLOWED);
        }
        match file {
            "" => Ok(Part::Page),
            "page.css" => Ok(Part::Style),
            "page.js" => Ok(Part::Script),
            "events" => Ok(Part::Events),
            _ => Err(StatusCode::NOT_FOUND),
        }
    }
}

/// The same text? In a time that does not tell how much of it is.
fn is_same(a: &str, b: &str) -> bool {
    a.len() == b.len() && a.bytes().zip(b.bytes()).fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
}

/// What is shown now, and then each change. Who reads slowly misses what is overtaken.
fn events(mut shown: watch::Receiver<Arc<str>>) -> impl Stream<Item = Result<Event, Infallible>> {
    shown.mark_changed();
    futures::stream::unfold(shown, |mut shown| async move {
        shown.changed().await.ok()?;
        let text = Arc::clone(&shown.borrow_and_update());
        Some((Ok(Event::default().data(text)), shown))
    })
}

#[cfg(test)]
mod tests;
