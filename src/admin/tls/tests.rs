use std::fs;

use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::admin::Admin;

/// Writes a new certificate for admin.test, and returns it.
fn renew(folder: &TempDir) -> CertificateDer<'static> {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["admin.test".to_owned()]).unwrap().self_signed(&key).unwrap();
    fs::write(folder.path().join("tls.crt"), certificate.pem()).unwrap();
    fs::write(folder.path().join("tls.key"), key.serialize_pem()).unwrap();
    certificate.der().clone()
}

/// What /metrics answers to somebody who trusts this certificate only.
async fn asked(at: SocketAddr, trusted: &CertificateDer<'static>) -> std::io::Result<String> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let connector = TlsConnector::from(Arc::new(builder.with_root_certificates(roots).with_no_client_auth()));
    let stream = TcpStream::connect(at).await?;
    let mut stream = connector.connect(ServerName::try_from("admin.test").unwrap(), stream).await?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: admin.test\r\nconnection: close\r\n\r\n").await?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await?;
    Ok(text)
}

#[tokio::test]
async fn metrics_come_by_tls_with_the_certificate_that_the_files_have_now() {
    let folder = tempfile::tempdir().unwrap();
    let first = renew(&folder);
    let path = |name: &str| folder.path().join(name);
    let certificate = Certificate::read(&path("tls.crt"), &path("tls.key")).unwrap();
    let here = ([127, 0, 0, 1], 0).into();
    let admin = Admin::bind(here, watch::channel(true).1, Arc::default(), Arc::default()).await.unwrap();
    let (at, shutdown) = (admin.address().unwrap(), CancellationToken::new());
    let serving = tokio::spawn(admin.secured(Some(certificate)).run(shutdown.clone()));
    // Somebody who says nothing keeps nobody out.
    let silent = TcpStream::connect(at).await.unwrap();
    let text = asked(at, &first).await.unwrap();
    assert!(text.starts_with("HTTP/1.1 200") && text.contains("meeting_controller_leader"), "{text}");

    // cert-manager renews it.
    let second = renew(&folder);
    assert!(asked(at, &second).await.is_ok() && asked(at, &first).await.is_err());

    // What makes no sense, or is half written, changes nothing.
    fs::write(path("tls.key"), KeyPair::generate().unwrap().serialize_pem()).unwrap();
    assert!(asked(at, &second).await.is_ok());
    fs::remove_file(path("tls.crt")).unwrap();
    assert!(asked(at, &second).await.is_ok());
    let third = renew(&folder);
    assert!(asked(at, &third).await.is_ok());

    // Plain HTTP is not spoken.
    let mut plain = TcpStream::connect(at).await.unwrap();
    plain.write_all(b"GET /metrics HTTP/1.1\r\nhost: admin.test\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP"));
    drop(silent);
    shutdown.cancel();
    timeout(PATIENCE * 2, serving).await.unwrap().unwrap().unwrap();
}

#[test]
fn a_certificate_that_cannot_be_used_is_no_start() {
    let folder = tempfile::tempdir().unwrap();
    let read = || Certificate::read(&folder.path().join("tls.crt"), &folder.path().join("tls.key")).map(drop);
    assert!(read().unwrap_err().contains("tls.crt"));
    renew(&folder);
    assert_eq!(read(), Ok(()));
    fs::write(folder.path().join("tls.key"), "nothing").unwrap();
    assert!(read().unwrap_err().starts_with("the key"));
    fs::write(folder.path().join("tls.key"), KeyPair::generate().unwrap().serialize_pem()).unwrap();
    assert!(read().unwrap_err().starts_with("the certificate"));
}
