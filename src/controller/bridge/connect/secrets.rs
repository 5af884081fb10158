//! What a bridge names and its connection is made from: the Secret with the credentials, the CA bundle.

use std::fmt::Debug;

use jiff::Timestamp;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::Api;
use kube::{Resource, ResourceExt};
use secrecy::SecretString;
use serde::de::DeserializeOwned;

use super::{NotConnected, problem};
use crate::api::MeetingBridge;
use crate::api::bridge::CaBundleKind;
use crate::api::conditions::{bridge as reason, types};
use crate::api::names::{ObjectKey, USE_CREDENTIALS, USE_LABEL};
use crate::cms::Credentials;
use crate::controller::context::Context;
use crate::metrics::BridgeLabels;
use crate::plan::bridge::Problem;

/// A Secret or ConfigMap in the namespace of a bridge; None: there is none.
async fn read<K>(
    ctx: &Context,
    bridge: &MeetingBridge,
    what: &'static str,
    name: &str,
) -> Result<Option<K>, NotConnected>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + DeserializeOwned + Debug,
{
    let api: Api<K> = ctx.kube.api(&bridge.namespace().unwrap_or_default());
    match ctx.kube.when(false).bounded(what, api.get_opt(name)).await {
        Err(error) if error.is_trouble() => {
            let message = format!("the {} {name} cannot be read: {error}", K::kind(&()));
            let problem = Problem { condition: types::CREDENTIALS_VALID, reason: reason::SECRET_UNREADABLE, message };
            Err(if error.is_refusal() { NotConnected::Problem(problem) } else { NotConnected::Passing(problem) })
        }
        found => Ok(found?),
    }
}

/// The credentials in a Secret, and what tells them from those that it held at another time.
pub(super) async fn credentials(
    ctx: &Context,
    bridge: &MeetingBridge,
    name: &str,
) -> Result<(Credentials, String), NotConnected> {
    let Some(secret) = read::<Secret>(ctx, bridge, "get Secret", name).await? else {
        let message = format!("the Secret {name} of credentialsSecretRef does not exist");
        return Err(problem(types::CREDENTIALS_VALID, reason::SECRET_NOT_FOUND, message));
    };
    if !ctx.may_send(&secret, USE_CREDENTIALS) {
        let message =
            format!("the Secret {name} of credentialsSecretRef lacks the label {USE_LABEL}={USE_CREDENTIALS}");
        return Err(problem(types::CREDENTIALS_VALID, reason::SECRET_NOT_LABELLED, message));
    }
    let text = |key: &str| -> Result<String, NotConnected> {
        let value = secret.data.as_ref().and_then(|data| data.get(key));
        let text = value.and_then(|bytes| String::from_utf8(bytes.0.clone()).ok()).filter(|text| !text.is_empty());
        text.ok_or_else(|| {
            let message = format!("the Secret {name} has no usable key {key}");
            problem(types::CREDENTIALS_VALID, reason::KEY_MISSING, message)
        })
    };
    if name == bridge.spec.credentials_secret_ref.name
        && let Some(at) = last_written(&secret)
    {
        let labels = BridgeLabels::from(&ObjectKey::of(bridge));
        ctx.metrics.credentials_changed.get_or_create(&labels).set(at.as_second());
    }
    // What `kubectl create secret --from-file` leaves there: a line break at the end, a byte order mark of some editors.
    let trim = |text: String| text.trim_start_matches('\u{feff}').trim_end_matches(['\r', '\n']).to_owned();
    let password = SecretString::from(trim(text("password")?));
    let version = format!("{name}/{}", secret.resource_version().unwrap_or_default());
    Ok((Credentials { username: trim(text("username")?), password }, version))
}

/// When what is in the Secret was last written, by whoever did; passwords of a CMS grow old (cms-protocol.md 1.2).
fn last_written(secret: &Secret) -> Option<Timestamp> {
    let writers = secret.metadata.managed_fields.iter().flatten();
    let of_data =
        writers.filter(|writer| writer.fields_v1.as_ref().is_some_and(|fields| fields.0.get("f:data").is_some()));
    let written = of_data.filter_map(|writer| writer.time.as_ref()).map(|time| time.0).max();
    written.or(secret.metadata.creation_timestamp.as_ref().map(|time| time.0))
}

pub(super) async fn ca_bundle(ctx: &Context, bridge: &MeetingBridge) -> Result<Option<Vec<u8>>, NotConnected> {
    let Some(reference) = &bridge.spec.tls.ca_bundle_ref else { return Ok(None) };
    let (name, key) = (&reference.name, &reference.key);
    let found: Option<Option<Vec<u8>>> = match reference.kind {
        CaBundleKind::Secret => {
            let secret = read::<Secret>(ctx, bridge, "get Secret", name).await?;
            secret.map(|secret| secret.data.unwrap_or_default().get(key).map(|bytes| bytes.0.clone()))
        }
        CaBundleKind::ConfigMap => {
            let map = read::<ConfigMap>(ctx, bridge, "get ConfigMap", name).await?;
            map.map(|map| {
                let text = map.data.unwrap_or_default().get(key).map(|text| text.clone().into_bytes());
                text.or_else(|| map.binary_data.unwrap_or_default().get(key).map(|bytes| bytes.0.clone()))
            })
        }
    };
    match found {
        None => {
            let message = format!("the {:?} {name} of tls.caBundleRef does not exist", reference.kind);
            Err(problem(types::CREDENTIALS_VALID, reason::SECRET_NOT_FOUND, message))
        }
        Some(None) => {
            let message = format!("the {:?} {name} of tls.caBundleRef has no key {key}", reference.kind);
            Err(problem(types::CREDENTIALS_VALID, reason::KEY_MISSING, message))
        }
        Some(Some(bytes)) => Ok(Some(bytes)),
    }
}
