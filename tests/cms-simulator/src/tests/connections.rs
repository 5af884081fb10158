//! What clients see of HTTP itself.

use std::time::Duration;

use reqwest::Method;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::{Bench, SOON};
use crate::*;

/// A connection that shows the bytes.
async fn connect(bench: &Bench) -> TlsStream<TcpStream> {
    connect_with(bench, &[]).await
}

/// One of a client that speaks these protocols only.
async fn connect_with(bench: &Bench, protocols: &[&str]) -> TlsStream<TcpStream> {
    use rustls::pki_types::pem::PemObject as _;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(rustls::pki_types::CertificateDer::from_pem_slice(bench.sim.ca_pem().as_bytes()).unwrap()).unwrap();
    let mut config = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    let stream = TcpStream::connect(bench.sim.address(0)).await.unwrap();
    let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(config));
    connector.connect("localhost".try_into().unwrap(), stream).await.unwrap()
}

/// What comes until the server hangs up.
async fn rest(stream: &mut TlsStream<TcpStream>) -> String {
    let mut bytes = Vec::new();
    tokio::time::timeout(SOON, stream.read_to_end(&mut bytes)).await.expect("the server hangs up").unwrap();
    String::from_utf8(bytes).unwrap()
}

#[tokio::test]
async fn names_of_headers_are_written_as_documented() {
    let bench = Bench::quick().await;
    let mut stream = connect(&bench).await;
    stream.write_all(b"GET /api/v1/calls HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
    let head = rest(&mut stream).await;
    assert!(head.contains("\r\nWWW-Authenticate: Basic realm=\"acano\"\r\n"), "{head}");
    let mut stream = connect(&bench).await;
    let request = "POST /api/v1/authTokens HTTP/1.1\r\nHost: x\r\nAuthorization: Basic YWRtaW46Y2lzY28=\r\n\
                   Content-Length: 0\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let head = rest(&mut stream).await;
    assert!(head.contains("\r\nX-Cisco-CMS-Auth-Token: "), "{head}");
}

#[tokio::test]
async fn a_connection_ends_after_a_silence_and_after_so_many_requests() {
    let bench = Bench::quick().await;
    bench.sim.update_switches(|s| s.idle_close_ms = 50);
    let mut stream = connect(&bench).await;
    assert_eq!(rest(&mut stream).await, "", "nothing was ever asked");
    bench.sim.update_switches(|s| (s.idle_close_ms, s.requests_per_connection) = (0, 2));
    let mut stream = connect(&bench).await;
    let request = b"GET /api/v1/calls HTTP/1.1\r\nHost: x\r\n\r\n";
    stream.write_all(&[request.as_slice(), request, request].concat()).await.unwrap();
    let replies = rest(&mut stream).await;
    assert_eq!(replies.matches("HTTP/1.1 401").count(), 2, "{replies}");
    assert_eq!(replies.matches("Connection: close").count(), 1, "{replies}");
    // A request that takes longer than the silence may is answered.
    bench.sim.update_switches(|s| (s.idle_close_ms, s.requests_per_connection) = (20, 0));
    bench.sim.set_latency(Duration::from_millis(100));
    assert_eq!(bench.get("calls").await.status, 200);
}

#[tokio::test]
async fn what_is_too_large_is_answered_all_the_same() {
    let bench = Bench::quick().await;
    let got = bench.post("coSpaces", &format!("name={}", "x".repeat(9 << 20))).await;
    assert_eq!((got.status, bench.sim.spaces().len()), (413, 0));
    let entry = bench.sim.journal().pop().unwrap();
    assert_eq!((entry.status, entry.effect), (Some(413), false));
}

#[tokio::test]
async fn a_head_is_that_of_the_reply_to_a_get() {
    let bench = Bench::quick().await;
    let (head, get) = (bench.send(0, Method::HEAD, "system/status", None).await, bench.get("system/licensing").await);
    assert_eq!(
        (head.status, head.body.as_str(), head.headers["content-type"].to_str().unwrap()),
        (200, "", "text/xml")
    );
    assert_eq!(get.status, 200);
    assert_eq!(bench.send(0, Method::HEAD, "calls/x", None).await.status, 400);
    assert!(check::check(&bench.sim, &check::Expectation::default()).is_empty(), "no write");
}

#[tokio::test]
async fn a_client_of_the_elder_http_is_served() {
    let bench = Bench::quick().await;
    let mut stream = connect_with(&bench, &["http/1.0"]).await;
    stream.write_all(b"GET /api/v1/calls HTTP/1.0\r\n\r\n").await.unwrap();
    assert!(rest(&mut stream).await.starts_with("HTTP/1.0 401"));
}

#[tokio::test]
async fn what_cannot_be_read_is_told() {
    let bench = Bench::quick().await;
    let mut stream = connect(&bench).await;
    let request =
        b"POST /api/v1/coSpaces HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nnope\r\nname=a\r\n0\r\n\r\n";
    stream.write_all(request).await.unwrap();
    assert!(rest(&mut stream).await.starts_with("HTTP/1.1 400"));
    assert_eq!((bench.sim.journal().pop().unwrap().status, bench.sim.spaces().len()), (Some(400), 0));
    let events = format!("https://{}/events/v1?authToken=x", bench.sim.address(0));
    let got = bench.client.get(events).send().await.unwrap();
    assert_eq!((got.status().as_u16(), got.headers().contains_key("www-authenticate")), (401, true));
}
