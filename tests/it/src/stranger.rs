//! HTTPS servers that are no Cisco Meeting Server, or a hostile one.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// Whatever is asked, the same 200; its address. It runs for the rest of the process, as the others do.
pub async fn start(content_type: &str, body: &str) -> String {
    let (content_type, body) = (content_type.to_owned(), body.to_owned());
    serve(move |_| (content_type.clone(), body.clone())).await
}

/// A CMS by its status, whose lists never end: each page has a thousand new ids, whatever offset is asked for.
pub async fn endless() -> String {
    let pages = AtomicUsize::new(0);
    serve(move |request| {
        let page = pages.fetch_add(1, Ordering::Relaxed);
        let path = request.split([' ', '?']).nth(1).unwrap_or_default();
        let list = path.rsplit('/').next().unwrap_or_default().to_owned();
        let body = if list == "status" {
            "<status><softwareVersion>3.9</softwareVersion></status>".to_owned()
        } else {
            let item = list.trim_end_matches('s');
            let items: String = (0..1000).map(|n| format!("<{item} id=\"{page}-{n}\"/>")).collect();
            format!("<{list}>{items}</{list}>")
        };
        ("text/xml".to_owned(), body)
    })
    .await
}

/// Starts a server with this answer to each request.
async fn serve(answer: impl Fn(&str) -> (String, String) + Send + Sync + 'static) -> String {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a key");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], PrivateKeyDer::Pkcs8(signing_key.serialize_der().into()))
        .expect("a certificate");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    let answer = Arc::new(answer);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, answer) = (acceptor.clone(), Arc::clone(&answer));
            tokio::spawn(async move {
                // A probe hangs up after the handshake: every error here is the client's choice.
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let mut request = [0; 4096];
                let Ok(read) = stream.read(&mut request).await else { return };
                if read > 0 {
                    let (kind, body) = answer(&String::from_utf8_lossy(&request[..read]));
                    let length = body.len();
                    let head = format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n");
                    let _ = stream.write_all(format!("{head}Connection: close\r\n\r\n{body}").as_bytes()).await;
                    let _ = stream.shutdown().await;
                }
            });
        }
    });
    address
}
