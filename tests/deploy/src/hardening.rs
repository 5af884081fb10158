//! What stands around the controller: pod security, and the policy for its writes to Secrets.

use control_plane::shared;

use crate::kit::*;

async fn namespace(plane: &control_plane::ControlPlane) {
    kubectl(plane, &["apply", "-f", "deploy/base/namespace.yaml"], "").await.unwrap();
}

#[tokio::test]
async fn the_pods_meet_the_strictest_standard_which_the_namespace_enforces() {
    let plane = shared().await;
    namespace(plane).await;
    let rendered = objects(&kustomize("deploy").await);
    let template = &rendered["Deployment meeting-controller meeting-controller"]["spec"]["template"];
    let mut pod = template.clone();
    pod["apiVersion"] = "v1".into();
    pod["kind"] = "Pod".into();
    pod["metadata"]["name"] = "trial".into();
    let create = ["-n", NAME, "create", "--dry-run=server", "-f-"];
    kubectl(plane, &create, &serde_yaml::to_string(&pod).unwrap()).await.unwrap();
    // With anything less than that it is refused.
    let without = |taken: &dyn Fn(&mut serde_yaml::Value)| {
        let mut weaker = pod.clone();
        taken(&mut weaker["spec"]);
        serde_yaml::to_string(&weaker).unwrap()
    };
    let cases = [
        (
            "seccompProfile",
            without(&|spec| drop(spec["securityContext"].as_mapping_mut().unwrap().remove("seccompProfile"))),
        ),
        (
            "runAsNonRoot",
            without(&|spec| drop(spec["securityContext"].as_mapping_mut().unwrap().remove("runAsNonRoot"))),
        ),
        (
            "allowPrivilegeEscalation",
            without(&|spec| {
                spec["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = true.into();
            }),
        ),
        (
            "capabilities",
            without(&|spec| {
                drop(spec["containers"][0]["securityContext"].as_mapping_mut().unwrap().remove("capabilities"));
            }),
        ),
    ];
    for (what, weaker) in cases {
        let refused = kubectl(plane, &create, &weaker).await.expect_err(what);
        assert!(refused.contains("violates PodSecurity \"restricted") && refused.contains(what), "{refused}");
    }
}

fn secret(name: &str, metadata: &str) -> String {
    format!("apiVersion: v1\nkind: Secret\nmetadata: {{ name: {name}, namespace: policy{metadata} }}\n")
}

#[tokio::test]
async fn the_controllers_account_writes_no_secret_but_its_own() {
    let plane = shared().await;
    namespace(plane).await;
    for file in ["deploy/base/rbac.yaml", "deploy/base/secret-policy.yaml"] {
        kubectl(plane, &["apply", "-f", file], "").await.unwrap();
    }
    kubectl(plane, &["create", "namespace", "policy"], "").await.unwrap();
    let account = "--as=system:serviceaccount:meeting-controller:meeting-controller";
    let labelled = secret("review-join", ", labels: { meeting-controller.dev/join: 'true' }");
    let foreign = secret("foreign", "");
    // The apiserver has a new policy a moment after it was stored.
    let mut refused = None;
    for _ in 0..200 {
        let trial = kubectl(plane, &[account, "create", "--dry-run=server", "-f-"], &foreign).await;
        refused = trial.err();
        if refused.is_some() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let refused = refused.expect("a Secret without the label is refused");
    assert!(refused.contains("the controller writes join Secrets only"), "{refused}");
    // kubectl replace and delete use no right that the controller has not.
    let may = async |args: &[&str], input: &str| {
        let all = [&[account, "-n", "policy"], args].concat();
        kubectl(plane, &all, input).await
    };
    may(&["create", "-f-"], &labelled).await.unwrap();
    may(&["replace", "-f-"], &labelled).await.unwrap();
    let bare = may(&["replace", "-f-"], &secret("review-join", "")).await;
    assert!(bare.is_err_and(|refused| refused.contains("join Secrets only")), "the label stays on");
    may(&["delete", "--wait=false", "secret", "review-join"], "").await.unwrap();
    // One that lost its label has its meeting as owner.
    let meeting = "apiVersion: meeting-controller.dev/v1alpha1\nkind: ScheduledMeeting\n\
                   metadata: { name: m, namespace: policy }\n\
                   spec: { title: M, start: \"2030-01-01T10:00:00Z\", duration: 1h }\n";
    let uid = kubectl(plane, &["create", "-f-", "-o=jsonpath={.metadata.uid}"], meeting).await.unwrap();
    let owner =
        format!("{{ apiVersion: meeting-controller.dev/v1alpha1, kind: ScheduledMeeting, name: m, uid: {uid} }}");
    let owned = secret("m-join", &format!(", ownerReferences: [{owner}]"));
    kubectl(plane, &["create", "-f-"], &owned).await.unwrap();
    may(&["delete", "--wait=false", "secret", "m-join"], "").await.unwrap();
    // Others do as they like, and what is theirs stays.
    kubectl(plane, &["create", "-f-"], &foreign).await.unwrap();
    for attempt in
        [may(&["delete", "--wait=false", "secret", "foreign"], "").await, may(&["replace", "-f-"], &foreign).await]
    {
        assert!(attempt.is_err_and(|refused| refused.contains("join Secrets only")));
    }
}

/// A person with one of the shipped roles, in one namespace.
#[tokio::test]
async fn each_role_allows_what_its_name_says_and_no_more() {
    let plane = shared().await;
    kubectl(plane, &["apply", "-f", "deploy/base/user-roles.yaml"], "").await.unwrap();
    let bind = |role: &str, user: &str| {
        format!(
            "---\napiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\n\
             metadata: {{ name: {user}-{role}, namespace: people }}\n\
             roleRef: {{ apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: meeting-controller-{role} }}\n\
             subjects: [{{ apiGroup: rbac.authorization.k8s.io, kind: User, name: {user} }}]\n"
        )
    };
    let namespace = "apiVersion: v1\nkind: Namespace\nmetadata: { name: people }\n".to_owned();
    let bindings =
        [bind("view", "viewer"), bind("view", "editor"), bind("edit", "editor"), bind("bridges", "operator")];
    kubectl(plane, &["apply", "-f-"], &(namespace + &bindings.concat())).await.unwrap();
    let (booked, bridges) = (["scheduledmeetings", "meetingseries"], ["meetingbridges"]);
    let all = || booked.iter().chain(&bridges);
    let may = async |user: &str, verb: &str, what: &str, namespace: &str| {
        let (kind, part) = what.split_once('/').unwrap_or((what, ""));
        let (kind, part) = (format!("{kind}.meeting-controller.dev"), format!("--subresource={part}"));
        kubectl(plane, &["auth", "can-i", verb, &kind, &part, "--as", user, "-n", namespace], "").await.is_ok()
    };
    for what in all() {
        let is_booked = booked.contains(what);
        assert!(may("viewer", "list", what, "people").await && may("editor", "watch", what, "people").await, "{what}");
        assert!(
            !may("viewer", "patch", what, "people").await && !may("viewer", "delete", what, "people").await,
            "{what}"
        );
        assert_eq!(may("editor", "create", what, "people").await, is_booked, "{what}");
        assert_eq!(may("operator", "patch", what, "people").await, !is_booked, "{what}");
        for user in ["viewer", "editor", "operator"] {
            assert!(!may(user, "get", what, "default").await, "{user}: another namespace");
            // What the controller says is not a person's to say.
            assert!(!may(user, "patch", &format!("{what}/status"), "people").await, "{user}: {what}/status");
        }
    }
    for user in ["viewer", "editor", "operator"] {
        let secrets = ["auth", "can-i", "get", "secrets", "--as", user, "-n", "people"];
        assert!(kubectl(plane, &secrets, "").await.is_err(), "{user} reads Secrets");
    }
}

/// A port that one of them has and the other has not is one that nobody reaches, or that nobody guards.
#[tokio::test]
async fn the_network_policy_lets_in_to_the_ports_that_the_deployment_has() {
    let overlay = tempfile::tempdir_in(root().join("target")).unwrap();
    let text = "resources: [../../deploy]\ncomponents: [../../deploy/components/network-policy]\n";
    std::fs::write(overlay.path().join("kustomization.yaml"), text).unwrap();
    let chart = template(&["--set=networkPolicy.enabled=true"]).await.unwrap();
    for rendered in [kustomize(overlay.path().to_str().unwrap()).await, chart] {
        let all = objects(&rendered);
        let pod = &all["Deployment meeting-controller meeting-controller"]["spec"]["template"];
        let policy = &all["NetworkPolicy meeting-controller meeting-controller"]["spec"];
        let containers = pod["spec"]["containers"].as_sequence().unwrap();
        let named = |ports: &serde_yaml::Value, key: &str| -> std::collections::BTreeSet<String> {
            let ports = ports.as_sequence().unwrap().iter();
            ports.map(|port| port[key].as_str().expect("ports by their names").to_owned()).collect()
        };
        let own: std::collections::BTreeSet<_> =
            containers.iter().flat_map(|container| named(&container["ports"], "name")).collect();
        let ingress = policy["ingress"].as_sequence().unwrap();
        let open: std::collections::BTreeSet<_> =
            ingress.iter().flat_map(|rule| named(&rule["ports"], "port")).collect();
        assert_eq!(own, open);
        for (name, value) in policy["podSelector"]["matchLabels"].as_mapping().unwrap() {
            assert_eq!(&pod["metadata"]["labels"][name], value, "it is the pod that is meant");
        }
    }
}
