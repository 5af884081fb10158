//! The Helm chart (deploy/chart) beside the kustomize base, and its life on a real apiserver.

use control_plane::{ControlPlane, Options, shared, tools};
use serde_yaml::Value;

use crate::kit::*;

/// Everything that is off by default, and the rest with other values.
const EVERYTHING: [&str; 22] = [
    "--set=networkPolicy.enabled=true",
    "--set=namespaces={team-a,team-b}",
    "--set=image.digest=sha256:0000000000000000000000000000000000000000000000000000000000000000",
    "--set=imagePullSecrets[0].name=registry",
    "--set=priorityClassName=system-cluster-critical",
    "--set=nodeSelector.disk=fast",
    "--set=affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchExpressions[0].key=a",
    "--set=affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchExpressions[0].operator=Exists",
    "--set=extraArgs={--log-format=text,--require-secret-label}",
    "--set=extraEnv[0].name=A",
    "--set-string=extraEnv[0].value=1",
    "--set=proxy.https=http://proxy.test:3128",
    "--set=proxy.noProxy=.test",
    "--set=annotations.a=b",
    "--set=podAnnotations.a=b",
    "--set=podLabels.a=b",
    "--set=serviceAccount.annotations.a=b",
    "--set=serviceAccount.name=own",
    "--set=fullnameOverride=mc",
    "--set=replicas=1",
    "--set=leaderElect=false",
    "--set=networkPolicy.bridges.cidrs={198.51.100.0/28}",
];

/// Takes out the labels that Helm's conventions add.
fn without_helm(value: &mut Value) {
    match value {
        Value::Mapping(fields) => {
            for label in ["app.kubernetes.io/instance", "app.kubernetes.io/version", "helm.sh/chart"] {
                fields.remove(label);
            }
            fields.remove("app.kubernetes.io/managed-by");
            fields.values_mut().for_each(without_helm);
        }
        Value::Sequence(items) => items.iter_mut().for_each(without_helm),
        _ => {}
    }
}

fn same(chart: &str, kustomize: &str) {
    let (mut chart, mut kustomize) = (objects(chart), objects(kustomize));
    chart.values_mut().for_each(without_helm);
    // Helm makes it itself (--create-namespace), before it looks at the chart.
    assert!(kustomize.remove("Namespace - meeting-controller").is_some());
    let names = |objects: &Objects| objects.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&chart), names(&kustomize));
    for (name, object) in &chart {
        let yaml = |value| serde_yaml::to_string(value).unwrap();
        assert!(*object == kustomize[name], "{name}\nchart:\n{}\nkustomize:\n{}", yaml(object), yaml(&kustomize[name]));
    }
}

#[tokio::test]
async fn chart_and_kustomize_install_the_same() {
    // deploy/ has an image to be set; the chart that of its version.
    let image = "--set=image.tag=dev";
    same(&template(&[image]).await.unwrap(), &kustomize("deploy").await);
    let network_policy = template(&["--set=networkPolicy.enabled=true", "-s=templates/network-policy.yaml"]).await;
    let overlay = tempfile::tempdir_in(root().join("target")).unwrap();
    let text = "resources: [../../deploy]\ncomponents: [../../deploy/components/network-policy]\n";
    std::fs::write(overlay.path().join("kustomization.yaml"), text).unwrap();
    let mut rendered = objects(&kustomize(overlay.path().to_str().unwrap()).await);
    rendered.retain(|name, _| name.starts_with("NetworkPolicy"));
    let mut chart = objects(&network_policy.unwrap());
    chart.values_mut().for_each(without_helm);
    assert!(chart == rendered && chart.len() == 1, "{chart:#?} {rendered:#?}");
}

#[test]
fn the_chart_has_the_version_of_the_controller() {
    let chart: Value =
        serde_yaml::from_str(&std::fs::read_to_string(root().join("deploy/chart/Chart.yaml")).unwrap()).unwrap();
    for key in ["version", "appVersion"] {
        assert_eq!(chart[key].as_str(), Some(env!("CARGO_PKG_VERSION")), "{key}");
    }
}

#[tokio::test]
async fn the_chart_passes_lint_and_the_apiserver_takes_all_of_it() {
    let helm = tools::helm().await.unwrap();
    let plane = shared().await;
    for namespace in [NAME, "team-a", "team-b"] {
        // Another test may have made it.
        let _ = kubectl(plane, &["create", "namespace", namespace], "").await;
    }
    for values in [&[][..], &["--set=crds.enabled=false", "--set=userRoles.enabled=false"], &EVERYTHING] {
        run(&helm, &[&["lint", "--strict", "deploy/chart"], values].concat(), "").unwrap();
        let rendered = template(values).await.unwrap();
        let dry = ["apply", "--server-side", "--force-conflicts", "--dry-run=server", "--validate=strict", "-f-"];
        let taken = kubectl(plane, &dry, &rendered).await.unwrap();
        assert_eq!(taken.lines().count(), objects(&rendered).len(), "{taken}");
    }
}

#[tokio::test]
async fn what_is_set_is_what_is_rendered() {
    let rendered = objects(&template(&EVERYTHING).await.unwrap());
    let deployment = serde_yaml::to_string(&rendered["Deployment meeting-controller mc"]).unwrap();
    let digest = "image: meeting-controller@sha256:00";
    for text in ["--namespaces=team-a,team-b", digest, "type: Recreate", "--require-secret-label", "HTTPS_PROXY"] {
        assert!(deployment.contains(text), "{text}\n{deployment}");
    }
    for absent in ["leader-elect", "lease"] {
        assert!(!deployment.contains(absent), "{absent}\n{deployment}");
    }
    let rights: Vec<_> = rendered.iter().filter(|(name, _)| name.contains("Role")).collect();
    for role in ["Role team-a mc", "Role team-b mc", "ClusterRole - mc-namespaces"] {
        assert!(rights.iter().any(|(name, _)| *name == role), "{role}");
    }
    for (name, right) in rights {
        let text = serde_yaml::to_string(right).unwrap();
        assert!(!name.starts_with("ClusterRole ") || !text.contains("secrets"), "{text}");
    }
    let policy = serde_yaml::to_string(&rendered["ValidatingAdmissionPolicy - mc-secrets"]).unwrap();
    assert!(policy.contains("endsWith(':own')"), "{policy}");
}

#[tokio::test]
async fn values_that_make_no_sense_are_refused() {
    for (value, says) in [
        ("replicas=abc", "/replicas"),
        ("leaderElect=false", "/replicas"),
        ("image.digest=latest", "/image/digest"),
        ("image.pullPolicy=Sometimes", "/image/pullPolicy"),
        ("replica=3", "additional properties 'replica'"),
        ("namespaces=a", "/namespaces"),
        ("namespaces={Team_A}", "/namespaces/0"),
        ("extraArgs={run}", "/extraArgs/0"),
        ("networkPolicy.bridges.ports={https}", "/networkPolicy/bridges/ports/0"),
        ("networkPolicy.apiServer.cidrs={}", "/networkPolicy/apiServer/cidrs"),
        ("proxy.https=proxy:3128", "/proxy/https"),
    ] {
        let refused = template(&["--set", value]).await.expect_err(value);
        assert!(refused.contains(says), "{value}: {refused}");
    }
}

/// A bridge and a meeting, as they are after the controller had them.
const OBJECTS: &str = r#"
apiVersion: meeting-controller.dev/v1alpha1
kind: MeetingBridge
metadata: { name: core, namespace: default }
spec:
  displayName: Core
  address: cms.example.com:445
  credentialsSecretRef: { name: cms }
  slots: { domain: meet.example.com, base: 7001, quantity: 20 }
---
apiVersion: meeting-controller.dev/v1alpha1
kind: ScheduledMeeting
metadata: { name: review, namespace: default }
spec: { title: Review, start: "2030-01-01T10:00:00Z", duration: 45m }
"#;

#[tokio::test]
async fn a_release_comes_and_goes_and_the_meetings_stay() {
    let plane = ControlPlane::start(Options::default()).await.unwrap();
    let kubeconfig = plane.kubeconfig_path();
    let helm = tools::helm().await.unwrap();
    let at = ["--kubeconfig", kubeconfig.to_str().unwrap(), "--namespace", NAME];
    let helm = |args: &[&str]| run(&helm, &[&at, args].concat(), "").unwrap();
    helm(&["install", NAME, "deploy/chart", "--create-namespace"]);
    kubectl(&plane, &["wait", "--for=condition=Established", "crd", "--all"], "").await.unwrap();
    kubectl(&plane, &["apply", "-f-"], OBJECTS).await.unwrap();
    let replicas = async || {
        let path = ["-n", NAME, "get", "deployment", NAME, "-o=jsonpath={.spec.replicas}"];
        kubectl(&plane, &path, "").await.unwrap()
    };
    assert_eq!(replicas().await, "2");
    helm(&["upgrade", NAME, "deploy/chart", "--set=replicas=3", "--set=networkPolicy.enabled=true"]);
    assert_eq!(replicas().await, "3");
    helm(&["rollback", NAME, "1"]);
    assert_eq!(replicas().await, "2");
    let policies = kubectl(&plane, &["get", "networkpolicies", "-A", "-o=name"], "").await.unwrap();
    assert_eq!(policies, "", "what the upgrade brought is gone again");
    let there = async || {
        let meetings = kubectl(&plane, &["get", "meetings", "-A", "-o=name"], "").await.unwrap();
        assert_eq!(meetings.lines().count(), 2, "{meetings}");
    };
    // Neither the switch nor the end of the release takes the CRDs.
    helm(&["upgrade", NAME, "deploy/chart", "--set=crds.enabled=false"]);
    there().await;
    helm(&["upgrade", NAME, "deploy/chart"]);
    helm(&["uninstall", NAME]);
    there().await;
    let left = kubectl(&plane, &["get", "deployments,clusterroles", "-A", "-o=name"], "").await.unwrap();
    assert!(!left.contains(NAME), "{left}");
    // What stayed is taken up again.
    helm(&["install", NAME, "deploy/chart"]);
    there().await;
}
