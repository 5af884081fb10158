//! Kubeconfigs with everything in them, so that they can be copied and handed to other processes.

use k8s_openapi::ByteString;
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::json;

use crate::{Error, certs::Identity};

/// How a user proves who they are.
pub(crate) enum Credential<'a> {
    Certificate(&'a Identity),
    Token(&'a str),
}

/// A kubeconfig with one cluster, one user and one context.
pub(crate) fn kubeconfig(
    server: &str,
    ca_pem: &str,
    user: &str,
    credential: &Credential<'_>,
    namespace: &str,
) -> Result<Kubeconfig, Error> {
    // ByteString serialises to base64, which is what kubeconfigs hold.
    let base64 = |pem: &str| ByteString(pem.as_bytes().to_vec());
    let secret = match credential {
        Credential::Certificate(identity) => json!({
            "client-certificate-data": base64(&identity.certificate_pem),
            "client-key-data": base64(&identity.key_pem),
        }),
        Credential::Token(token) => json!({ "token": token }),
    };
    let value = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{
            "name": "control-plane",
            "cluster": { "server": server, "certificate-authority-data": base64(ca_pem) },
        }],
        "users": [{ "name": user, "user": secret }],
        "contexts": [{
            "name": "control-plane",
            "context": { "cluster": "control-plane", "user": user, "namespace": namespace },
        }],
        "current-context": "control-plane",
    });
    serde_json::from_value(value).map_err(|error| Error::Kubeconfig { user: user.into(), reason: error.to_string() })
}

/// The text of a kubeconfig, to be written to a file.
///
/// # Errors
/// If it cannot be serialised; this does not happen with the kubeconfigs of this crate.
pub fn to_yaml(kubeconfig: &Kubeconfig) -> Result<String, Error> {
    serde_yaml::to_string(kubeconfig).map_err(|error| Error::Kubeconfig {
        user: kubeconfig.auth_infos.iter().map(|user| user.name.as_str()).collect(),
        reason: error.to_string(),
    })
}

/// A new client, made for the runtime that this is called on.
///
/// A `kube::Client` belongs to the runtime it was made on, and every `#[tokio::test]` has its own. So clients are
/// made when they are needed and never kept beside a control plane that several tests share.
///
/// # Errors
/// If the kubeconfig lacks something or its certificates cannot be parsed.
pub async fn client_for(kubeconfig: &Kubeconfig) -> Result<kube::Client, Error> {
    crate::install_crypto_provider();
    let user: String = kubeconfig.auth_infos.iter().map(|user| user.name.as_str()).collect();
    let config = kube::Config::from_custom_kubeconfig(kubeconfig.clone(), &KubeConfigOptions::default())
        .await
        .map_err(|error| Error::Kubeconfig { user: user.clone(), reason: error.to_string() })?;
    kube::Client::try_from(config).map_err(|error| Error::Kubeconfig { user, reason: error.to_string() })
}
