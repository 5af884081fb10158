//! The Helm chart (deploy/chart) beside the kustomize base, and its life on a real apiserver.

use std::path::Path;

use control_plane::{ControlPlane, Options, shared, tools};
use serde_yaml::Value;

use crate::kit::*;

/// Everything that is off by default and that an apiserver without further kinds takes, and the rest with other values.
const EVERYTHING: [&str; 27] = [
    "--set=metricsAuth.enabled=true",
    "--set=networkPolicy.enabled=true",
    "--set=namespaces={team-a,team-b}",
    "--set=image.digest=sha256:0000000000000000000000000000000000000000000000000000000000000000",
    "--set=imagePullSecrets[0].name=registry",
    "--set=priorityClassName=system-cluster-critical",
    "--set=nodeSelector.disk=fast",
    "--set=affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchExpressions[0].key=a",
    "--set=affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchExpressions[0].operator=Exists",
    "--set=installation=prod-eu",
    "--set=extraArgs={--log-format=text,--require-secret-label}",
    "--set=extraEnv[0].name=A",
    "--set-string=extraEnv[0].value=1",
    "--set=proxy.https=http://proxy.test:3128",
    "--set=proxy.noProxy=.test",
    "--set=metricsTLS.secretName=own-tls",
    "--set=traces.endpoint=http://collector.monitoring:4318",
    "--set=annotations.a=b",
    "--set=podAnnotations.a=b",
    "--set=podLabels.a=b",
    "--set=serviceAccount.annotations.a=b",
    "--set=serviceAccount.name=own",
    "--set=fullnameOverride=mc",
    "--set=replicas=1",
    "--set=leaderElect=false",
    "--set=networkPolicy.bridges.cidrs={198.51.100.0/28}",
    "--set=monitoring.dashboard.enabled=true",
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
    for (directory, values) in [
        ("deploy", &[][..]),
        ("deploy/namespaced", &["--set=namespaces={meeting-controller}"]),
        ("deploy/namespaces", &["--set=namespaces={team-a,team-b}"]),
    ] {
        let chart = template(&[&["--set=image.tag=dev"], values].concat()).await.unwrap();
        same(&chart, &kustomize(directory).await);
    }
}

#[tokio::test]
async fn what_is_added_is_the_same_too() {
    let overlay = tempfile::tempdir_in(root().join("target")).unwrap();
    let at = "../../deploy";
    let text = format!(
        "resources: [{at}]\ncomponents: [{at}/components/network-policy, {at}/components/metrics-auth, \
         {at}/monitoring, {at}/components/metrics-tls]\n"
    );
    std::fs::write(overlay.path().join("kustomization.yaml"), text).unwrap();
    let values = [
        "--set=image.tag=dev",
        "--set=networkPolicy.enabled=true",
        "--set=metricsAuth.enabled=true",
        "--set=metricsTLS.secretName=meeting-controller-tls",
        "--set=monitoring.monitor.kind=PodMonitor",
        "--set=monitoring.rules.enabled=true",
        "--set=monitoring.dashboard.enabled=true",
    ];
    same(&template(&values).await.unwrap(), &kustomize(overlay.path().to_str().unwrap()).await);
}

/// The apiserver of the tests does not know the kinds of the Prometheus operator.
#[tokio::test]
async fn monitors_ask_what_there_is_to_be_asked() {
    for (kind, list, asked) in [
        ("ServiceMonitor", "endpoints", "Service meeting-controller meeting-controller-metrics"),
        ("PodMonitor", "podMetricsEndpoints", "Deployment meeting-controller meeting-controller"),
    ] {
        let values = [
            &format!("--set=monitoring.monitor.kind={kind}"),
            "--set=monitoring.monitor.labels.release=prometheus",
            "--set=monitoring.monitor.interval=15s",
            "--set=monitoring.rules.enabled=true",
            "--set=monitoring.rules.runbooks=https://git.test/",
        ];
        let rendered = objects(&template(&values).await.unwrap());
        let monitor = &rendered[&format!("{kind} meeting-controller meeting-controller")];
        assert_eq!(monitor["metadata"]["labels"]["release"], "prometheus");
        let (labels, port) = if kind == "ServiceMonitor" {
            (&rendered[asked]["metadata"]["labels"], &rendered[asked]["spec"]["ports"][0])
        } else {
            let pod = &rendered[asked]["spec"]["template"];
            (&pod["metadata"]["labels"], &pod["spec"]["containers"][0]["ports"][0])
        };
        for (name, value) in monitor["spec"]["selector"]["matchLabels"].as_mapping().unwrap() {
            assert_eq!(&labels[name], value);
        }
        let endpoint = &monitor["spec"][list][0];
        assert!(endpoint["port"] == port["name"] && endpoint["interval"] == "15s", "{endpoint:?}");
        let rules = &rendered["PrometheusRule meeting-controller meeting-controller"]["spec"]["groups"][0]["rules"];
        let runbook = rules[0]["annotations"]["runbook_url"].as_str().unwrap();
        assert!(runbook.starts_with("https://git.test/docs/runbooks.md#"), "{runbook}");
    }
}

#[tokio::test]
async fn the_package_has_everything() {
    let helm = tools::helm().await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    run(&helm, &["package", "deploy/chart", "--destination", dir.path().to_str().unwrap()], "").unwrap();
    let package = dir.path().join(concat!("meeting-controller-", env!("CARGO_PKG_VERSION"), ".tgz"));
    let all = ["--set=monitoring.rules.enabled=true", "--set=monitoring.dashboard.enabled=true"];
    let args = [&["template", NAME, package.to_str().unwrap(), "--namespace", NAME], &all[..]].concat();
    assert!(run(&helm, &args, "").unwrap() == template(&all).await.unwrap());
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
    for text in [
        "--namespaces=team-a,team-b",
        digest,
        "type: Recreate",
        "--require-secret-label",
        "--installation=prod-eu",
        "MEETING_CONTROLLER_BRIDGE_PROXY",
        "name: OTEL_EXPORTER_OTLP_ENDPOINT\n          value: http://collector.monitoring:4318",
    ] {
        assert!(deployment.contains(text), "{text}\n{deployment}");
    }
    for absent in ["leader-elect", "lease"] {
        assert!(!deployment.contains(absent), "{absent}\n{deployment}");
    }
    let network = serde_yaml::to_string(&rendered["NetworkPolicy meeting-controller mc"]).unwrap();
    assert!(network.contains("- port: 4318"), "{network}");
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
        ("traces.endpoint=collector:4317", "/traces/endpoint"),
        ("monitoring.monitor.kind=Probe", "/monitoring/monitor/kind"),
        ("monitoring.rules.runbooks=docs", "/monitoring/rules/runbooks"),
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
spec:
  title: Review
  start: "2030-01-01T10:00:00Z"
  duration: 45m
  settings: { recording: "Off", streaming: "Off", encryption: "Off" }
"#;

/// What reads YAML 1.1 takes a bare `Off` for false, so that the schema would refuse the word.
#[tokio::test]
async fn kubectl_reads_the_crds_as_they_are_meant() {
    let plane = ControlPlane::start(Options::default()).await.unwrap();
    let applied = kubectl(&plane, &["apply", "-f", "crds/"], "").await.unwrap();
    assert_eq!(applied.lines().count(), 3, "{applied}");
    kubectl(&plane, &["wait", "--for=condition=Established", "crd", "--all"], "").await.unwrap();
    kubectl(&plane, &["apply", "--validate=strict", "-f-"], OBJECTS).await.unwrap();
    let settings = ["get", "mtg", "review", "-o=jsonpath={.spec.settings}"];
    let settings = kubectl(&plane, &settings, "").await.unwrap();
    assert_eq!(settings.matches("\"Off\"").count(), 3, "{settings}");
}

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
    helm(&["install", NAME, "deploy/chart", "--set=replicas=3"]);
    there().await;
    // A chart with a value that this one has not: what was set stays, and what is new has its default (docs/operations.md).
    let newer = chart_with_a_new_value();
    let newer = newer.path().to_str().unwrap();
    let reuse = [&at[..], &["upgrade", NAME, newer, "--reuse-values"]].concat();
    let refused = run(&tools::helm().await.unwrap(), &reuse, "").unwrap_err();
    assert!(refused.contains("nil pointer"), "this is why the page says another flag: {refused}");
    helm(&["upgrade", NAME, newer, "--reset-then-reuse-values"]);
    assert_eq!(replicas().await, "3");
}

/// The chart of a next version.
fn chart_with_a_new_value() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    run(Path::new("cp"), &["-r", "deploy/chart/.", dir.path().to_str().unwrap()], "").unwrap();
    let values = dir.path().join("values.yaml");
    let text = std::fs::read_to_string(&values).unwrap() + "\nnewInThisVersion: { enabled: false }\n";
    std::fs::write(values, text).unwrap();
    let schema = dir.path().join("values.schema.json");
    let text = std::fs::read_to_string(&schema).unwrap();
    let mut whole: serde_json::Value = serde_json::from_str(&text).unwrap();
    whole["properties"]["newInThisVersion"] = serde_json::json!({ "type": "object" });
    std::fs::write(schema, whole.to_string()).unwrap();
    std::fs::write(dir.path().join("templates/new.yaml"), "{{ if .Values.newInThisVersion.enabled }}\n{{ end }}\n")
        .unwrap();
    dir
}

/// Rights follow the list: they are there before the pods that need them, and gone with the namespace. The pods roll, since
/// their arguments change, and it is the same Lease all the time.
#[tokio::test]
async fn namespaces_come_and_go_by_an_upgrade() {
    let plane = ControlPlane::start(Options::default()).await.unwrap();
    let kubeconfig = plane.kubeconfig_path();
    let helm = tools::helm().await.unwrap();
    for namespace in ["team-a", "team-b", "team-c"] {
        kubectl(&plane, &["create", "namespace", namespace], "").await.unwrap();
    }
    let set = |namespaces: &str| {
        let at = ["--kubeconfig", kubeconfig.to_str().unwrap(), "--namespace", NAME];
        let namespaces = format!("--set=namespaces={namespaces}");
        run(
            &helm,
            &[&at[..], &["upgrade", "--install", "--create-namespace", NAME, "deploy/chart", &namespaces][..]].concat(),
            "",
        )
        .map(drop)
    };
    let args = async || {
        let path = ["-n", NAME, "get", "deployment", NAME, "-o=jsonpath={.spec.template.spec.containers[0].args}"];
        kubectl(&plane, &path, "").await.unwrap()
    };
    // The authorizer has a binding a moment after it was stored.
    let may = async |namespaces: [(&str, bool); 3]| {
        for (namespace, expected) in namespaces {
            let account = format!("--as=system:serviceaccount:{NAME}:{NAME}");
            let mut last = None;
            for _ in 0..200 {
                let asked = ["auth", "can-i", "list", "secrets", "-n", namespace, &account];
                last = Some(kubectl(&plane, &asked, "").await.is_ok());
                if last == Some(expected) {
                    break;
                }
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
            assert_eq!(last, Some(expected), "{namespace}");
        }
    };
    set("{team-a,team-b}").unwrap();
    may([("team-a", true), ("team-b", true), ("team-c", false)]).await;
    let before = args().await;
    assert!(before.contains("--namespaces=team-a,team-b"), "{before}");
    set("{team-b,team-c}").unwrap();
    may([("team-a", false), ("team-b", true), ("team-c", true)]).await;
    assert_eq!(
        args().await,
        before.replace("team-a,team-b", "team-b,team-c"),
        "nothing else changes, the Lease neither"
    );
    let left = kubectl(&plane, &["-n", "team-a", "get", "roles,rolebindings", "-o=name"], "").await.unwrap();
    assert_eq!(left, "");
    let labels = ["get", "clusterrole", "meeting-controller-namespaces", "-o=jsonpath={.rules[0].resourceNames}"];
    assert_eq!(kubectl(&plane, &labels, "").await.unwrap(), r#"["team-b","team-c"]"#);
    // One that was deleted before it was taken off the list is no obstacle; one that is not there yet is told.
    kubectl(&plane, &["delete", "namespace", "team-c"], "").await.unwrap();
    set("{team-b}").unwrap();
    may([("team-a", false), ("team-b", true), ("team-c", false)]).await;
    let refused = set("{team-b,team-d}").unwrap_err();
    assert!(refused.contains("namespaces \"team-d\" not found"), "{refused}");
    may([("team-a", false), ("team-b", true), ("team-c", false)]).await;
}
