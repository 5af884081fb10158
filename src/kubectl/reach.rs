//! The apiserver as the user reaches it: their kubeconfig, their rights, and errors that say what to do.

use std::fmt;
use std::time::Duration;

use kube::api::{Api, DynamicObject, ListParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::{ClusterResourceScope, NamespaceResourceScope};
use kube::discovery::ApiResource;
use kube::{Client, Config, Resource, ResourceExt};
use serde::de::DeserializeOwned;

use super::args::Access;

/// What went wrong: with what, why, and what to do.
#[derive(Debug)]
pub struct Trouble {
    pub object: String,
    pub reason: String,
    pub remedy: String,
}

impl Trouble {
    /// Trouble with this, for this reason, with this remedy.
    pub fn new(object: impl Into<String>, reason: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { object: object.into(), reason: reason.into(), remedy: remedy.into() }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}\n  Do: {}", self.object, self.reason, self.remedy)
    }
}

/// An object as the apiserver has it, and as we read it.
#[derive(Clone, Debug)]
pub struct Got<K> {
    pub raw: DynamicObject,
    pub read: K,
}

/// A kind that is in a namespace.
pub trait Kind: Resource<DynamicType = (), Scope = NamespaceResourceScope> + DeserializeOwned {}

impl<K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + DeserializeOwned> Kind for K {}

/// The object's kind, namespace and name.
pub fn label<K: Kind>(namespace: &str, name: &str) -> String {
    format!("{} {namespace}/{name}", K::kind(&()))
}

/// A connection on which nothing comes for so long is dead: a lasting watch is ended before that, and begun anew.
const SILENCE: Duration = Duration::from_secs(50);

/// A cluster, as this user.
pub struct Reach {
    client: Client,
    /// The namespace that is meant when none is named.
    pub namespace: String,
}

impl Reach {
    /// By the user's kubeconfig and nothing else: in a pod there is a ServiceAccount, and it may be the controller's.
    ///
    /// # Errors
    /// If there is no kubeconfig, or it does not say what it should.
    pub async fn new(access: &Access) -> Result<Self, Trouble> {
        Self::with(access, |_| {}).await
    }

    /// For watches that last: no error is tried again unseen, and silence is an error.
    ///
    /// # Errors
    /// See [`Reach::new`].
    pub async fn lasting(access: &Access) -> Result<Self, Trouble> {
        let patience = |config: &mut Config| {
            config.default_retry = false;
            config.read_timeout = Some(SILENCE);
        };
        Self::with(access, patience).await
    }

    async fn with(access: &Access, adjust: impl FnOnce(&mut Config)) -> Result<Self, Trouble> {
        let file = match &access.kubeconfig {
            Some(path) => Kubeconfig::read_from(path),
            None => Kubeconfig::read(),
        };
        let options = KubeConfigOptions {
            context: access.context.clone(),
            cluster: access.cluster.clone(),
            user: access.user.clone(),
        };
        let broken = |error: &dyn fmt::Display| {
            let remedy = "see `kubectl config view`; name another one by --kubeconfig, --context or $KUBECONFIG";
            Trouble::new("kubeconfig", error.to_string(), remedy)
        };
        let file = file.map_err(|error| broken(&error))?;
        let mut config = Config::from_custom_kubeconfig(file, &options).await.map_err(|error| broken(&error))?;
        if access.as_user.is_some() {
            config.auth_info.impersonate.clone_from(&access.as_user);
        }
        if !access.as_group.is_empty() {
            config.auth_info.impersonate_groups = Some(access.as_group.clone());
        }
        adjust(&mut config);
        let namespace = access.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
        let client = Client::try_from(config).map_err(|error| broken(&error))?;
        Ok(Self { client, namespace })
    }

    /// Objects of this kind, as they are read by us.
    pub fn api<K: Kind>(&self, namespace: &str) -> Api<K> {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// Objects of this kind with every field, whether we know it or not.
    pub fn raw<K: Kind>(&self, namespace: &str) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), namespace, &ApiResource::erase::<K>(&()))
    }

    /// The same of every namespace.
    pub fn raw_everywhere<K: Kind>(&self) -> Api<DynamicObject> {
        Api::all_with(self.client.clone(), &ApiResource::erase::<K>(&()))
    }

    /// One object.
    ///
    /// # Errors
    /// If it is not there, or cannot be had.
    pub async fn get<K: Kind>(&self, namespace: &str, name: &str) -> Result<Got<K>, Trouble> {
        let raw = self.raw::<K>(namespace).get(name).await;
        read(raw.map_err(|error| trouble::<K>(&error, "get", namespace, name))?)
    }

    /// One object, if it is there.
    ///
    /// # Errors
    /// If it cannot be had.
    pub async fn find<K: Kind>(&self, namespace: &str, name: &str) -> Result<Option<Got<K>>, Trouble> {
        let raw = self.raw::<K>(namespace).get_opt(name).await;
        raw.map_err(|error| trouble::<K>(&error, "get", namespace, name))?.map(read).transpose()
    }

    /// One object of a kind that is in no namespace.
    ///
    /// # Errors
    /// The apiserver's.
    pub async fn cluster_wide<K>(&self, name: &str) -> Result<K, kube::Error>
    where
        K: Resource<DynamicType = (), Scope = ClusterResourceScope> + DeserializeOwned + Clone + fmt::Debug,
    {
        Api::<K>::all(self.client.clone()).get(name).await
    }

    /// All objects of a namespace, or of all.
    ///
    /// # Errors
    /// If they cannot be had.
    pub async fn list<K: Kind + Clone + fmt::Debug>(&self, namespace: Option<&str>) -> Result<Vec<K>, Trouble> {
        let api: Api<K> = match namespace {
            Some(namespace) => self.api(namespace),
            None => Api::all(self.client.clone()),
        };
        let mut params = ListParams::default().limit(500);
        let mut all = Vec::new();
        loop {
            let page = api.list(&params).await;
            let page = page.map_err(|error| trouble::<K>(&error, "list", namespace.unwrap_or("*"), "*"))?;
            all.extend(page.items);
            match page.metadata.continue_ {
                Some(token) if !token.is_empty() => params.continue_token = Some(token),
                _ => return Ok(all),
            }
        }
    }
}

/// The object as we read it, beside the one that was sent.
///
/// # Errors
/// If it is no object of the kind.
pub fn read<K: Kind>(raw: DynamicObject) -> Result<Got<K>, Trouble> {
    let (namespace, name) = (raw.namespace().unwrap_or_default(), raw.name_any());
    let read = raw.clone().try_parse().map_err(|error| {
        let remedy = "use the plugin of the controller's version: the object has what this one does not know";
        Trouble::new(label::<K>(&namespace, &name), error.to_string(), remedy)
    })?;
    Ok(Got { raw, read })
}

/// What an error of the apiserver means to the user.
pub fn trouble<K: Kind>(error: &kube::Error, verb: &str, namespace: &str, name: &str) -> Trouble {
    let plural = K::plural(&());
    let (reason, remedy) = match error {
        kube::Error::Api(status) if status.code == 404 => match status.details.as_ref().map(|d| d.name.as_str()) {
            Some(known) if !known.is_empty() => (
                "it does not exist".to_owned(),
                format!("see `kubectl get {plural} -n {namespace}`; name the namespace by -n"),
            ),
            _ => {
                ("the cluster does not know this kind".to_owned(), "install the CRDs: `kubectl apply -k crds/`".into())
            }
        },
        kube::Error::Api(status) if status.code == 401 => (
            "the apiserver does not accept your credentials".to_owned(),
            "log in again; see `kubectl auth whoami`".into(),
        ),
        kube::Error::Api(status) if status.code == 403 => (
            status.message.clone(),
            format!("ask for the right to {verb} {plural} in namespace {namespace} (deploy/base/user-roles.yaml)"),
        ),
        kube::Error::Api(status) => (status.message.clone(), "do what the message says, and try again".to_owned()),
        error => (chain(error), "see whether `kubectl cluster-info` can reach the cluster".to_owned()),
    };
    let object = if name == "*" { format!("{}s", K::kind(&())) } else { label::<K>(namespace, name) };
    Trouble::new(object, reason, remedy)
}

/// The error with what it comes from, as far as that says more.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let more = inner.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        source = inner.source();
    }
    text
}
