//! The connection of a bridge: credentials, CA bundle, client. Made anew whenever one of them changes.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::ResourceExt;
use kube::api::Api;
use kube::runtime::reflector::ObjectRef;
use secrecy::SecretString;

use crate::api::MeetingBridge;
use crate::api::bridge::CaBundleKind;
use crate::api::conditions::{bridge as reason, kind};
use crate::cms::{Address, Client, Credentials, Gate, GateConfig, TlsOptions};
use crate::controller::context::Context;
use crate::controller::kube_calls::{KubeError, bounded};
use crate::controller::meeting::key_of;
use crate::metrics::BridgeObserver;
use crate::observe::link::Link;
use crate::status::bridge::Problem;

/// Why there is no connection: trouble that a user can mend, or the apiserver's.
pub enum NotConnected {
    Problem(Problem),
    Kube(KubeError),
}

impl From<KubeError> for NotConnected {
    fn from(error: KubeError) -> Self {
        Self::Kube(error)
    }
}

fn problem(condition: &'static str, reason: &'static str, message: String) -> NotConnected {
    NotConnected::Problem(Problem { condition, reason, message })
}

/// The link to a bridge, with a client made from what the spec, the Secret and the CA bundle say now.
///
/// # Errors
/// [`NotConnected`].
pub async fn connect(ctx: &Context, bridge: &MeetingBridge) -> Result<Arc<Link>, NotConnected> {
    let key = key_of(bridge);
    let fingerprint = fingerprint(ctx, bridge);
    if let Some(link) = ctx.link(&key)
        && link.is_made_with(&fingerprint)
    {
        return Ok(link);
    }
    let address: Address = bridge
        .spec
        .address
        .parse()
        .map_err(|error| problem(kind::REACHABLE, reason::DNS_FAILURE, format!("spec.address: {error}")))?;
    let credentials = credentials(ctx, bridge).await?;
    let tls = TlsOptions {
        ca_bundle_pem: ca_bundle(ctx, bridge).await?,
        server_name: bridge.spec.tls.server_name.clone(),
        insecure_skip_verify: bridge.spec.tls.insecure_skip_verify,
    };
    let known = ctx.link(&key);
    let gate = known.as_ref().map(|link| link.client()).filter(|client| *client.address() == address).map_or_else(
        || {
            let config = GateConfig { in_flight: ctx.settings.in_flight, ..GateConfig::default() };
            Arc::new(Gate::new(config, rand::random()))
        },
        |client| Arc::clone(client.gate()),
    );
    let observer =
        Arc::new(BridgeObserver { metrics: Arc::clone(&ctx.metrics), bridge: format!("{}/{}", key.0, key.1) });
    let client = Client::new(address, credentials, tls, ctx.settings.limits, gate, observer)
        .map_err(|error| problem(kind::REACHABLE, reason::TLS_FAILURE, error.to_string()))?;
    match known {
        Some(link) => {
            // The Secret may have been changed to the same words: the user asks for another try all the same.
            client.gate().reset_auth();
            let moved = link.client().address() != client.address();
            link.replace_client(client, fingerprint);
            if moved {
                link.forget();
            }
            Ok(link)
        }
        None => {
            let link = Arc::new(Link::new(key, client, fingerprint));
            ctx.keep_link(Arc::clone(&link));
            Ok(link)
        }
    }
}

/// Changes with everything the connection is made from; Secrets and ConfigMaps count by their version.
fn fingerprint(ctx: &Context, bridge: &MeetingBridge) -> String {
    let namespace = bridge.namespace().unwrap_or_default();
    let tls = &bridge.spec.tls;
    let secret_version = |name: &str| {
        ctx.secret_meta.get(&ObjectRef::new(name).within(&namespace)).and_then(|meta| meta.resource_version())
    };
    let ca = tls.ca_bundle_ref.as_ref().map(|reference| match reference.kind {
        CaBundleKind::Secret => (reference.clone(), secret_version(&reference.name)),
        CaBundleKind::ConfigMap => {
            let meta = ctx.config_map_meta.get(&ObjectRef::new(&reference.name).within(&namespace));
            (reference.clone(), meta.and_then(|meta| meta.resource_version()))
        }
    });
    let credentials = &bridge.spec.credentials_secret_ref.name;
    format!(
        "{:?}",
        (
            &bridge.spec.address,
            credentials,
            secret_version(credentials),
            ca,
            &tls.server_name,
            tls.insecure_skip_verify
        )
    )
}

async fn credentials(ctx: &Context, bridge: &MeetingBridge) -> Result<Credentials, NotConnected> {
    let name = &bridge.spec.credentials_secret_ref.name;
    let api: Api<Secret> = Api::namespaced(ctx.client.clone(), &bridge.namespace().unwrap_or_default());
    let Some(secret) = bounded(ctx, "get Secret", api.get_opt(name)).await? else {
        let message = format!("the Secret {name} of credentialsSecretRef does not exist");
        return Err(problem(kind::CREDENTIALS_VALID, reason::SECRET_NOT_FOUND, message));
    };
    let read = |key: &str| -> Result<String, NotConnected> {
        let value = secret.data.as_ref().and_then(|data| data.get(key));
        let text = value.and_then(|bytes| String::from_utf8(bytes.0.clone()).ok()).filter(|text| !text.is_empty());
        text.ok_or_else(|| {
            let message = format!("the Secret {name} has no usable key {key}");
            problem(kind::CREDENTIALS_VALID, reason::KEY_MISSING, message)
        })
    };
    // A line break at the end is what `kubectl create secret --from-file` leaves there.
    let trim = |text: String| text.trim_end_matches(['\r', '\n']).to_owned();
    Ok(Credentials { username: trim(read("username")?), password: SecretString::from(trim(read("password")?)) })
}

async fn ca_bundle(ctx: &Context, bridge: &MeetingBridge) -> Result<Option<Vec<u8>>, NotConnected> {
    let Some(reference) = &bridge.spec.tls.ca_bundle_ref else { return Ok(None) };
    let namespace = bridge.namespace().unwrap_or_default();
    let (name, key) = (&reference.name, &reference.key);
    let found: Option<Option<Vec<u8>>> = match reference.kind {
        CaBundleKind::Secret => {
            let api: Api<Secret> = Api::namespaced(ctx.client.clone(), &namespace);
            let secret = bounded(ctx, "get Secret", api.get_opt(name)).await?;
            secret.map(|secret| secret.data.unwrap_or_default().get(key).map(|bytes| bytes.0.clone()))
        }
        CaBundleKind::ConfigMap => {
            let api: Api<ConfigMap> = Api::namespaced(ctx.client.clone(), &namespace);
            let map = bounded(ctx, "get ConfigMap", api.get_opt(name)).await?;
            map.map(|map| {
                let text = map.data.unwrap_or_default().get(key).map(|text| text.clone().into_bytes());
                text.or_else(|| map.binary_data.unwrap_or_default().get(key).map(|bytes| bytes.0.clone()))
            })
        }
    };
    match found {
        None => {
            let message = format!("the {:?} {name} of tls.caBundleRef does not exist", reference.kind);
            Err(problem(kind::CREDENTIALS_VALID, reason::SECRET_NOT_FOUND, message))
        }
        Some(None) => {
            let message = format!("the {:?} {name} of tls.caBundleRef has no key {key}", reference.kind);
            Err(problem(kind::CREDENTIALS_VALID, reason::KEY_MISSING, message))
        }
        Some(Some(bytes)) => Ok(Some(bytes)),
    }
}
