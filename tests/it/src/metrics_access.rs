//! /metrics with `--metrics-auth`: the apiserver says who may read them (deploy/components/metrics-auth).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::authorization::v1::SubjectAccessReview;
use k8s_openapi::api::rbac::v1::ClusterRoleBinding;
use kube::api::{Api, PostParams};
use meeting_controller::admin::{Access, Admin};
use serde_json::json;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::kit::*;
use crate::rbac::{installed, used};

/// Lets the account read /metrics, and waits until the apiserver's authorizer knows.
async fn let_read(arena: &Arena, account: &str) {
    let binding: ClusterRoleBinding = serde_json::from_value(json!({
        "metadata": { "name": account },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole",
                     "name": "meeting-controller-metrics-reader" },
        "subjects": [{ "kind": "ServiceAccount", "name": account, "namespace": arena.namespace }]
    }))
    .unwrap();
    Api::all(arena.client.clone()).create(&PostParams::default(), &binding).await.unwrap();
    let review: SubjectAccessReview = serde_json::from_value(json!({ "spec": {
        "user": format!("system:serviceaccount:{}:{account}", arena.namespace),
        "nonResourceAttributes": { "path": "/metrics", "verb": "get" }
    }}))
    .unwrap();
    let reviews: Api<SubjectAccessReview> = Api::all(arena.client.clone());
    let allowed = async {
        while !reviews.create(&PostParams::default(), &review).await.unwrap().status.unwrap().allowed {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, allowed).await.expect("the authorizer knows the binding");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_those_read_metrics_whom_the_apiserver_lets() {
    let files = ["base/namespace.yaml", "base/rbac.yaml", "components/metrics-auth/rbac.yaml"];
    let (arena, client) = installed(&files).await;
    let here = ([127, 0, 0, 1], 0).into();
    let admin = Admin::bind(here, watch::channel(true).1, Arc::default(), Arc::default()).await.unwrap();
    let (at, shutdown) = (admin.address().unwrap(), CancellationToken::new());
    let serving = tokio::spawn(admin.guarded(Some(Access::new(client))).run(shutdown.clone()));
    for name in ["prometheus", "stranger"] {
        arena.plane.create_service_account(&arena.namespace, name).await.unwrap();
    }
    let_read(&arena, "prometheus").await;
    let bearer = async |name| format!("Bearer {}", arena.plane.token(&arena.namespace, name).await.unwrap());
    let (prometheus, stranger) = (bearer("prometheus").await, bearer("stranger").await);
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let get = async |path: &str, authorization: &str| {
        let request = http.get(format!("http://{at}{path}")).header("Authorization", authorization);
        request.send().await.unwrap().status().as_u16()
    };
    // The second time from memory.
    for _ in 0..2 {
        assert_eq!(get("/metrics", "").await, 401);
        assert_eq!(get("/metrics", "Basic dTpw").await, 401);
        assert_eq!(get("/metrics", "Bearer made-up").await, 401);
        assert_eq!(get("/metrics", &stranger).await, 403);
        assert_eq!(get("/metrics", &prometheus).await, 200);
        assert_eq!((get("/healthz", "").await, get("/readyz", "").await), (200, 200), "the kubelet has no token");
    }
    let user = "system:serviceaccount:meeting-controller:meeting-controller";
    let right = |group: &str, resource: &str| (group.to_owned(), resource.to_owned(), "create".to_owned());
    let expected = BTreeSet::from([
        right("authentication.k8s.io", "tokenreviews"),
        right("authorization.k8s.io", "subjectaccessreviews"),
    ]);
    let asked: Vec<_> = arena.plane.audit_events().unwrap().into_iter().filter(|event| event.user == user).collect();
    assert!(asked.iter().all(|event| event.decision != "forbid") && asked.len() <= 3 + 2, "{asked:#?}");
    assert!(used(&asked).is_subset(&expected), "{asked:#?}");
    shutdown.cancel();
    serving.await.unwrap().unwrap();
    arena.finish().await;
}
