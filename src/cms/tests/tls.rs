//! Whom we trust: real handshakes with certificates of all kinds.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use super::server::{STATUS, Server, any, client, limits, xml};
use crate::cms::*;

async fn outcome(server: &Server, address: &str, tls: TlsOptions) -> [String; 2] {
    let address: Address = format!("{address}:{}", server.at.port()).parse().unwrap();
    let client = client(address, tls, limits());
    let text = |result: Result<(), CmsError>| result.err().map_or("ok".to_owned(), |error| error.to_string());
    // The probe and a request must agree.
    [text(client.probe().await), text(client.system_status(any()).await.map(drop))]
}

fn both(text: &str) -> [String; 2] {
    [text.to_owned(), text.to_owned()]
}

#[tokio::test]
async fn the_bundle_decides_whom_we_trust() {
    let server = Server::start(|_, _| xml(STATUS)).await;
    assert_eq!(outcome(&server, "localhost", server.tls()).await, both("ok"));
    let other = Server::start(|_, _| xml(STATUS)).await;
    let verdict = outcome(&server, "localhost", other.tls()).await;
    assert!(verdict.iter().all(|text| text.starts_with("TLS to the bridge failed: ")), "{verdict:?}");
}

#[tokio::test]
async fn the_name_must_fit_unless_another_is_given() {
    let server = Server::with_names(&["cms.test"], false, |_, _| xml(STATUS)).await;
    assert_eq!(
        outcome(&server, "localhost", server.tls()).await,
        both("TLS to the bridge failed: the certificate is for another name; set tls.serverName")
    );
    let named = TlsOptions { server_name: Some("cms.test".to_owned()), ..server.tls() };
    assert_eq!(outcome(&server, "localhost", named.clone()).await, both("ok"));
    assert_eq!(outcome(&server, "127.0.0.1", named).await, both("ok"));
    let host = server.requests().last().unwrap().header("host").unwrap().to_owned();
    assert_eq!(host, format!("cms.test:{}", server.at.port()));
}

#[tokio::test]
async fn ip_addresses_as_host_and_as_name() {
    let server = Server::with_names(&["127.0.0.1"], false, |_, _| xml(STATUS)).await;
    assert_eq!(outcome(&server, "127.0.0.1", server.tls()).await, both("ok"));
    let named = TlsOptions { server_name: Some("127.0.0.1".to_owned()), ..server.tls() };
    assert_eq!(outcome(&server, "localhost", named).await, both("ok"));
}

#[tokio::test]
async fn the_bridges_own_certificate_is_enough_even_if_it_calls_itself_an_authority() {
    let server = Server::with_names(&["localhost"], true, |_, _| xml(STATUS)).await;
    assert_eq!(outcome(&server, "localhost", server.tls()).await, both("ok"));
    assert_eq!(
        outcome(&server, "127.0.0.1", server.tls()).await,
        both("TLS to the bridge failed: the certificate is for another name; set tls.serverName")
    );
}

/// A private authority.
fn authority() -> (String, Issuer<'static, KeyPair>) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "Private CA");
    (params.self_signed(&key).unwrap().pem(), Issuer::new(params, key))
}

fn bundle(certificates: &[&str]) -> TlsOptions {
    TlsOptions { ca_bundle_pem: Some(certificates.join("\n").into_bytes()), ..TlsOptions::default() }
}

/// What the browser exports and an admin puts into the trust bundle: the leaf that an authority of the company signed.
#[tokio::test]
async fn a_certificate_in_the_bundle_is_trusted_exactly_whoever_signed_it() {
    let (root, issuer) = authority();
    let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let server = Server::with_certificate(&params, Some(&issuer), |_, _| xml(STATUS)).await;
    assert_eq!(outcome(&server, "localhost", bundle(&[&root])).await, both("ok"));
    assert_eq!(outcome(&server, "localhost", server.tls()).await, both("ok"));
    // Another one of the same authority, for the same name.
    let other = Server::with_certificate(&params, Some(&issuer), |_, _| xml(STATUS)).await;
    let unknown = "TLS to the bridge failed: the certificate is signed by an unknown authority; set tls.caBundleRef to the \
         authority or to this certificate";
    assert_eq!(outcome(&other, "localhost", server.tls()).await, both(unknown));
    // In one bundle with others it still is for its own names only.
    assert_eq!(
        outcome(&server, "127.0.0.1", bundle(&[&server.certificate, &other.certificate])).await,
        both("TLS to the bridge failed: the certificate is for another name; set tls.serverName")
    );
    let mut old = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    (old.not_before, old.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
    let expired = Server::with_certificate(&old, Some(&issuer), |_, _| xml(STATUS)).await;
    let text = "TLS to the bridge failed: the certificate has expired";
    assert_eq!(outcome(&expired, "localhost", expired.tls()).await, both(text));
}

/// Some editors put a byte order mark in front.
#[tokio::test]
async fn the_first_certificate_of_a_bundle_counts_whatever_stands_before_it() {
    let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let (root, issuer) = authority();
    let server = Server::with_certificate(&params, Some(&issuer), |_, _| xml(STATUS)).await;
    assert_eq!(outcome(&server, "localhost", bundle(&[&format!("\u{feff}{root}")])).await, both("ok"));
}

/// Older web admin certificates have their name in the common name only, which no client looks at any more.
#[tokio::test]
async fn a_certificate_without_subject_alternative_names_gets_advice_that_helps() {
    let (root, issuer) = authority();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, "localhost");
    let server = Server::with_certificate(&params, Some(&issuer), |_, _| xml(STATUS)).await;
    let verdict = outcome(&server, "localhost", bundle(&[&root])).await;
    assert!(verdict.iter().all(|text| text.contains("no subject alternative name")), "{verdict:?}");
    assert!(verdict.iter().all(|text| !text.contains("serverName")), "{verdict:?}");
    // The advice: trust exactly this certificate.
    assert_eq!(outcome(&server, "localhost", server.tls()).await, both("ok"));
    assert_eq!(outcome(&server, "localhost", bundle(&[&root, &server.certificate])).await, both("ok"));
    let itself = Server::with_certificate(&params, None, |_, _| xml(STATUS)).await;
    assert_eq!(outcome(&itself, "127.0.0.1", itself.tls()).await, both("ok"), "self-signed as well");
}

#[tokio::test]
async fn a_certificate_that_cannot_be_read_does_not_spoil_the_bundle() {
    let server = Server::start(|_, _| xml(STATUS)).await;
    let broken = "-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----";
    let empty = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----";
    let mixed = bundle(&[broken, &server.certificate, empty]);
    assert_eq!(outcome(&server, "localhost", mixed.clone()).await, both("ok"));
    assert_eq!(client(server.address(), mixed, limits()).unreadable_certificates(), [1, 3]);
}

#[tokio::test]
async fn insecure_accepts_everything() {
    let server = Server::with_names(&["elsewhere.test"], true, |_, _| xml(STATUS)).await;
    let insecure = TlsOptions { insecure_skip_verify: true, ..TlsOptions::default() };
    assert_eq!(outcome(&server, "127.0.0.1", insecure).await, both("ok"));
}

#[tokio::test]
async fn unusable_options_are_told_at_once() {
    let make = |tls: TlsOptions| {
        let gate = std::sync::Arc::new(Gate::new(8, 1));
        let credentials = Credentials { username: "u".to_owned(), password: "p".into() };
        let observer = std::sync::Arc::new(NoObserver);
        let made =
            Client::new("cms".parse().unwrap(), credentials, tls, Limits::default(), Arc::default(), gate, observer);
        made.unwrap_err().to_string()
    };
    assert_eq!(make(bundle(&[])), "TLS to the bridge failed: the CA bundle has no certificate in PEM form");
    let broken = "-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n";
    let none = "TLS to the bridge failed: the CA bundle has no certificate that can be read";
    assert_eq!(make(bundle(&[broken])), none);
    let empty = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert_eq!(make(bundle(&[empty])), none);
    let name = TlsOptions { server_name: Some("no name".to_owned()), ..TlsOptions::default() };
    assert!(make(name).ends_with("not a DNS name or IP address"));
}

#[tokio::test]
async fn failures_of_the_connection_have_names() {
    let insecure = || TlsOptions { insecure_skip_verify: true, ..TlsOptions::default() };
    let label = async |address: &str| {
        let client = client(address.parse().unwrap(), insecure(), limits());
        let probe = client.probe().await.unwrap_err();
        let request = client.system_status(any()).await.unwrap_err();
        assert_eq!(probe, request);
        assert!(!request.may_have_taken_effect() && request.is_connection_failure());
        request.label()
    };
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    assert_eq!(label(&free.to_string()).await, "connection_refused");
    assert_eq!(label("no-such-host.invalid").await, "dns_failure");

    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    assert_eq!(label(&silent.local_addr().unwrap().to_string()).await, "connect_timeout");

    let chatty = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = chatty.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((mut stream, _)) = chatty.accept().await {
            stream.write_all(b"SSH-2.0-OpenSSH_9.9\r\n").await.unwrap();
            open.push(stream);
        }
    });
    assert_eq!(label(&address).await, "tls_failure");

    let rude = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = rude.local_addr().unwrap().to_string();
    tokio::spawn(async move { while rude.accept().await.is_ok() {} });
    assert_eq!(label(&address).await, "tls_failure");
}
