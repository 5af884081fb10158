//! Tests over real HTTPS with a client of their own.

mod args;
mod calls;
mod checker;
mod cluster;
mod connections;
mod control_api;
mod faults;
mod golden;
mod legs;
mod losses;
mod objects;
mod spaces;
mod switches;
mod syncs;

use std::sync::Once;
use std::time::Duration;

use reqwest::{Certificate, Client, Method};

use crate::{Config, Handle, Simulator};

/// Long enough for a slow machine; no test waits that long for something that comes.
pub const SOON: Duration = Duration::from_secs(10);

/// A plain reply.
#[derive(Debug, Clone)]
pub struct Got {
    pub status: u16,
    pub body: String,
    pub location: Option<String>,
    pub headers: reqwest::header::HeaderMap,
}

impl Got {
    /// The last segment of the Location.
    pub fn id(&self) -> String {
        self.location.as_ref().expect("a Location").rsplit('/').next().unwrap().to_owned()
    }

    /// Text of the first element of this name.
    pub fn text(&self, element: &str) -> Option<String> {
        let start = self.body.find(&format!("<{element}>"))? + element.len() + 2;
        let end = self.body[start..].find(&format!("</{element}>"))? + start;
        Some(self.body[start..end].to_owned())
    }

    /// Values of all `id` attributes.
    pub fn ids(&self) -> Vec<String> {
        self.body.split(" id=\"").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()).collect()
    }

    /// The `total` of a list.
    pub fn total(&self) -> usize {
        let rest = self.body.split("total=\"").nth(1).unwrap_or_else(|| panic!("no total in {self:?}"));
        rest.split('"').next().unwrap().parse().unwrap()
    }
}

/// A simulator and a client that trusts it.
pub struct Bench {
    pub sim: Simulator,
    pub client: Client,
}

pub fn client(sim: &Handle) -> Client {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| {
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
    let ca = Certificate::from_pem(sim.ca_pem().as_bytes()).unwrap();
    Client::builder().tls_certs_only([ca]).no_proxy().build().unwrap()
}

impl Bench {
    pub async fn new(config: Config) -> Self {
        let sim = Simulator::start(config).await.unwrap();
        let client = client(&sim);
        Self { sim, client }
    }

    /// Two bridges whose syncs and dials take next to no time.
    pub async fn quick() -> Self {
        let bench = Self::new(Config::default()).await;
        bench.sim.update_switches(|s| {
            s.sync_pending_ms = 1;
            s.sync_running_ms = 1;
            s.sync_per_space_us = 0;
            s.leg_initial_ms = 1;
            s.answer_after_ms = 1;
        });
        bench
    }

    /// Forgets pooled connections, which may have been reset under the client.
    pub fn reconnect(&mut self) {
        self.client = client(&self.sim);
    }

    pub async fn try_send(
        &self,
        bridge: usize,
        method: Method,
        path: &str,
        body: Option<&str>,
    ) -> Result<Got, reqwest::Error> {
        let url = format!("https://{}/api/v1/{path}", self.sim.address(bridge));
        let mut request = self.client.request(method, url).basic_auth(self.sim.username(), Some(self.sim.password()));
        if let Some(body) = body {
            request = request.header("content-type", "application/x-www-form-urlencoded").body(body.to_owned());
        }
        let response = request.send().await?;
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let location = headers.get("location").map(|v| v.to_str().unwrap().to_owned());
        Ok(Got { status, location, headers, body: response.text().await? })
    }

    pub async fn send(&self, bridge: usize, method: Method, path: &str, body: Option<&str>) -> Got {
        self.try_send(bridge, method, path, body).await.unwrap()
    }

    pub async fn get(&self, path: &str) -> Got {
        self.send(0, Method::GET, path, None).await
    }

    pub async fn get_on(&self, bridge: usize, path: &str) -> Got {
        self.send(bridge, Method::GET, path, None).await
    }

    pub async fn post(&self, path: &str, body: &str) -> Got {
        self.send(0, Method::POST, path, Some(body)).await
    }

    pub async fn put(&self, path: &str, body: &str) -> Got {
        self.send(0, Method::PUT, path, Some(body)).await
    }

    pub async fn delete(&self, path: &str) -> Got {
        self.send(0, Method::DELETE, path, None).await
    }

    /// Creates something and returns its id.
    pub async fn make(&self, path: &str, body: &str) -> String {
        let got = self.post(path, body).await;
        assert_eq!(got.status, 200, "{got:?}");
        assert_eq!(got.body, "");
        got.id()
    }

    /// Asserts a refusal with this element.
    pub async fn refused(&self, method: Method, path: &str, body: Option<&str>, element: &str) {
        let got = self.send(0, method, path, body).await;
        assert_eq!(got.status, 400, "{got:?}");
        let expected = format!("<?xml version=\"1.0\"?><failureDetails><{element} /></failureDetails>");
        assert_eq!(got.body, expected);
    }

    /// Makes slots by bulk sync and returns their ids in order.
    pub async fn slots(&self, from: u32, to: u32) -> Vec<String> {
        let set = self.make("cospaceBulkParameterSets", &slot_body(from, to)).await;
        assert_eq!(self.sync(&format!("cospaceBulkParameterSet={set}")).await, "complete");
        let spaces = self.sim.spaces();
        (from..=to)
            .map(|n| spaces.iter().find(|s| s.call_id.as_deref() == Some(&n.to_string())).unwrap().id.clone())
            .collect()
    }

    /// Runs a sync to its end and returns its final state.
    pub async fn sync(&self, body: &str) -> String {
        let sync = self.make("cospaceBulkSyncs", body).await;
        loop {
            let status = self.get(&format!("cospaceBulkSyncs/{sync}")).await.text("status").unwrap();
            if !matches!(status.as_str(), "pending" | "running") {
                return status;
            }
            let mut seen = self.sim.shared().subscribe();
            let _ = tokio::time::timeout(Duration::from_millis(20), seen.changed()).await;
        }
    }

    pub async fn open(&self, slot: &str, name: &str, secret: &str) {
        let body = format!("&nonMemberAccess=true&passcode=&name={name}&secret={secret}");
        assert_eq!(self.put(&format!("coSpaces/{slot}"), &body).await.status, 200);
    }

    pub async fn close(&self, slot: &str) {
        let body = "&nonMemberAccess=false&passcode=&name=TMS_Scheduled_Meeting_1&regenerateSecret=true";
        assert_eq!(self.put(&format!("coSpaces/{slot}"), body).await.status, 200);
    }
}

/// The body of the guide with other indices.
pub fn slot_body(from: u32, to: u32) -> String {
    format!(
        "startIndex={from}&endIndex={to}&coSpaceUriMapping=$index$&coSpaceNameMapping=TMS_Scheduled_Meeting_$index$\
         &coSpaceCallIdMapping=$index$&nonMemberAccess=false"
    )
}
