//! What is told to users of Flux and Argo CD (deploy/gitops), in the eyes of an apiserver with the CRDs of both.

use control_plane::{shared, tools};

use crate::kit::*;

#[tokio::test]
async fn the_manifests_are_as_flux_and_argo_cd_want_them() {
    let plane = shared().await;
    let mut crds = tools::flux_crds().unwrap();
    crds.push(tools::argo_cd_crd().unwrap());
    for path in &crds {
        kubectl(plane, &["apply", "--server-side", "-f", path.to_str().unwrap()], "").await.unwrap();
    }
    let kinds = ["gitrepositories.source.toolkit.fluxcd.io", "kustomizations.kustomize.toolkit.fluxcd.io"];
    let others = ["helmreleases.helm.toolkit.fluxcd.io", "applications.argoproj.io"];
    let kinds = kinds.into_iter().chain(others).map(|name| format!("crd/{name}"));
    for kind in kinds {
        kubectl(plane, &["wait", "--for=condition=Established", "--timeout=40s", &kind], "").await.unwrap();
    }
    for name in ["flux-system", "argocd", "meetings"] {
        let text = format!("apiVersion: v1\nkind: Namespace\nmetadata: {{ name: {name} }}\n");
        kubectl(plane, &["apply", "-f-"], &text).await.unwrap();
    }
    let flux = kustomize("deploy/gitops/flux").await;
    assert_eq!(objects(&flux).len(), 4, "{flux}");
    let strictly = ["create", "--dry-run=server", "--validate=strict"];
    kubectl(plane, &[&strictly[..], &["-f-"]].concat(), &flux).await.unwrap();
    for file in
        ["flux/controller-by-chart.yaml", "argocd/applications.yaml", "argocd/argocd-cm.yaml", "argocd/meetings.yaml"]
    {
        let file = format!("deploy/gitops/{file}");
        kubectl(plane, &[&strictly[..], &["-f", &file]].concat(), "").await.unwrap();
    }
    // The keys are put into the argocd-cm that is there.
    let cm = ["-n", "argocd", "create", "configmap", "argocd-cm", "--from-literal=url=https://argocd.example.com"];
    kubectl(plane, &cm, "").await.unwrap();
    let file = "--patch-file=deploy/gitops/argocd/argocd-cm.yaml";
    let patched = ["-n", "argocd", "patch", "configmap", "argocd-cm", file, "-o", "yaml"];
    let patched = objects(&kubectl(plane, &patched, "").await.unwrap());
    let data = patched["ConfigMap argocd argocd-cm"]["data"].as_mapping().unwrap();
    assert!(data.contains_key("url") && data.len() == 7, "{data:#?}");
    // It is the schemas that were asked.
    let wrong = flux.replace("prune: true", "prunes: true");
    let refused = kubectl(plane, &[&strictly[..], &["-f-"]].concat(), &wrong).await.unwrap_err();
    assert!(refused.contains("prunes"), "{refused}");
}
