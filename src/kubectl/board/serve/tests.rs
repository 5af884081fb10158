use axum::body::Body;
use http_body_util::BodyExt;
use tower::ServiceExt;

use super::*;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

fn site() -> (watch::Sender<Arc<str>>, Router) {
    let (show, shown) = watch::channel(Arc::from(r#"{"now":"1"}"#));
    (show, router(TOKEN, "127.0.0.1:4100".parse().unwrap(), shown))
}

async fn asked(router: &Router, method: &str, host: &[&str], path: &str) -> Response {
    let mut request = Request::builder().method(method).uri(path);
    for host in host {
        request = request.header(header::HOST, *host);
    }
    router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
}

/// Other users of the machine do not know the token; a page of somebody else's comes with its own Host.
#[tokio::test]
async fn only_who_knows_the_token_and_comes_by_our_own_name_is_answered() {
    let (_show, router) = site();
    let ours: &[&str] = &["127.0.0.1:4100"];
    let page = format!("/{TOKEN}/");
    let rows: [(&str, &[&str], &str, u16); 19] = [
        ("GET", ours, &page, 200),
        ("GET", &["localhost:4100"], &page, 200),
        ("GET", &["[::1]:4100"], &page, 200),
        ("GET", ours, &format!("/{TOKEN}/page.js"), 200),
        ("GET", ours, &format!("/{TOKEN}/page.css"), 200),
        ("GET", ours, &format!("/{TOKEN}/events"), 200),
        ("GET", ours, &format!("/{TOKEN}"), 404),
        ("GET", ours, &format!("/{TOKEN}/../../etc/passwd"), 404),
        ("GET", ours, "/", 404),
        ("GET", ours, "/events", 404),
        ("GET", ours, "/0123456789abcdef0123456789abcdee/", 404),
        ("GET", ours, "//", 404),
        ("GET", &["evil.example"], &page, 421),
        ("GET", &["evil.example:4100"], &page, 421),
        ("GET", &["127.0.0.1:4101"], &page, 421),
        ("GET", &[], &page, 421),
        ("GET", &["127.0.0.1:4100", "evil.example"], &page, 421),
        ("POST", ours, &page, 405),
        ("OPTIONS", ours, &page, 405),
    ];
    for (method, host, path, code) in rows {
        let answer = asked(&router, method, host, path).await;
        assert_eq!(answer.status().as_u16(), code, "{method} {host:?} {path}");
        assert!(answer.headers().keys().all(|name| !name.as_str().starts_with("access-control-")), "no CORS");
        for (name, value) in HEADERS {
            assert_eq!(answer.headers()[&name], value, "{path}");
        }
    }
}

#[tokio::test]
async fn events_are_what_is_shown_now_and_each_change() {
    let (show, router) = site();
    let answer = asked(&router, "GET", &["127.0.0.1:4100"], &format!("/{TOKEN}/events")).await;
    assert_eq!(answer.headers()[header::CONTENT_TYPE], "text/event-stream");
    let mut body = answer.into_body();
    let mut next = async || String::from_utf8(body.frame().await.unwrap().unwrap().into_data().unwrap().to_vec());
    assert_eq!(next().await.unwrap(), "data: {\"now\":\"1\"}\n\n");
    show.send_replace(Arc::from("2"));
    show.send_replace(Arc::from("3"));
    assert_eq!(next().await.unwrap(), "data: 3\n\n", "who reads slowly misses what is overtaken");
}

/// Titles and messages are written by many people. The policy forbids it to the browser; this forbids it to us.
#[test]
fn the_page_reads_no_text_as_markup_and_asks_nobody_else() {
    for part in [PAGE, STYLE, SCRIPT] {
        for other in ["http:", "https:", "//cdn", "@import", "url("] {
            assert!(!part.contains(other), "{other}");
        }
    }
    let sinks = ["HTML", "document.write", "eval(", "Function(", "srcdoc", "javascript:", "createContextualFragment"];
    for sink in sinks {
        assert!(!SCRIPT.contains(sink), "{sink}");
    }
    let handlers = PAGE.split(['<', ' ', '\n']).filter(|word| word.starts_with("on") && word.contains('='));
    assert_eq!(handlers.count(), 0, "no inline handlers");
    assert!(!PAGE.contains("style=") && !PAGE.contains("<style"), "the policy allows no inline styles");
}
