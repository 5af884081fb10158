//! Bridges are reached through the proxy that is configured for them, and through no other one.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use meeting_controller::config::settings::Settings;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;

use crate::kit::*;
use crate::meetings::lone;
use crate::plugin::BINARY;

type Targets = Arc<Mutex<BTreeSet<String>>>;

/// A proxy, and where it was asked to connect to.
async fn proxy() -> (String, Targets) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (url, targets) = (format!("http://{}", listener.local_addr().unwrap()), Targets::default());
    let seen = Arc::clone(&targets);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let seen = Arc::clone(&seen);
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await.ok()?);
                }
                let target = String::from_utf8(head).ok()?.strip_prefix("CONNECT ")?.split(' ').next()?.to_owned();
                seen.lock().unwrap().insert(target.clone());
                let mut onward = TcpStream::connect(target).await.ok()?;
                stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.ok()?;
                copy_bidirectional(&mut stream, &mut onward).await.ok()
            });
        }
    });
    (url, targets)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_proxy_that_is_configured_is_used() {
    let ((proxy, targets), (other, none)) = (proxy().await, proxy().await);
    let egress = (*quick().egress).clone().through(&proxy, "").unwrap();
    let arena = Arena::with("proxy", lone(), Settings { egress: Arc::new(egress), ..quick() }).await;
    arena.ready_bridge(json!({})).await;
    let bridge = BTreeSet::from([arena.sim.address(0)]);
    assert_eq!(*targets.lock().unwrap(), bridge, "the bridge, and not the apiserver");

    targets.lock().unwrap().clear();
    let plan = async |flags: &[&str]| {
        let mut plan = Command::new(&*BINARY);
        plan.args(["plan", "core", "--namespace", &arena.namespace, "--allow-address=127.0.0.1"]).args(flags);
        for name in ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"] {
            plan.env(name, &other);
        }
        let said = plan.env("KUBECONFIG", arena.plane.kubeconfig_path()).output().await.unwrap();
        let text = String::from_utf8_lossy(&said.stdout).into_owned() + &String::from_utf8_lossy(&said.stderr);
        assert!(said.status.success() && text.contains("nothing to do"), "{text}");
    };
    plan(&[]).await;
    assert!(none.lock().unwrap().is_empty(), "the environment alone changes nothing");
    plan(&[&format!("--bridge-proxy={proxy}")]).await;
    assert_eq!(*targets.lock().unwrap(), bridge);
    assert!(none.lock().unwrap().is_empty());
    arena.assert_rules(1..=5);
    arena.finish().await;
}
