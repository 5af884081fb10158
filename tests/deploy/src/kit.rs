//! The tools of tests/control-plane/tools on the files of this checkout.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use control_plane::{ControlPlane, tools};
use serde::Deserialize;
use serde_yaml::Value;

/// The name of the release, of the namespace and of the controller's account, as deploy/ has it.
pub const NAME: &str = "meeting-controller";

pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the checkout")
}

/// Runs a program at the root of the checkout: what it prints, or what it complains about.
pub fn run(program: &Path, args: &[&str], input: &str) -> Result<String, String> {
    let mut child = Command::new(program)
        .args(args)
        .current_dir(root())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program runs");
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    // From a thread, so that neither waits for the other; who reads nothing closes the pipe.
    let writer = std::thread::spawn(move || drop(stdin.write_all(input.as_bytes())));
    let output = child.wait_with_output().expect("the program ends");
    writer.join().unwrap();
    let [out, err] = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    if output.status.success() { Ok(out) } else { Err(format!("{args:?}: {out}{err}")) }
}

/// `helm template` with these further arguments.
pub async fn template(args: &[&str]) -> Result<String, String> {
    let all = [&["template", NAME, "deploy/chart", "--namespace", NAME], args].concat();
    run(&tools::helm().await.unwrap(), &all, "")
}

pub async fn kustomize(dir: &str) -> String {
    run(&tools::kubectl().await.unwrap(), &["kustomize", dir], "").unwrap()
}

/// `kubectl` as the administrator of this control plane.
pub async fn kubectl(plane: &ControlPlane, args: &[&str], input: &str) -> Result<String, String> {
    let kubeconfig = plane.kubeconfig_path();
    let all = [&["--kubeconfig", kubeconfig.to_str().unwrap()], args].concat();
    run(&tools::kubectl().await.unwrap(), &all, input)
}

/// The kinds of the Prometheus operator, from its own CRDs.
pub async fn with_prometheus_operator(plane: &ControlPlane) {
    for path in tools::prometheus_crds().unwrap() {
        kubectl(plane, &["apply", "--server-side", "-f", path.to_str().unwrap()], "").await.unwrap();
    }
    for kind in ["podmonitors", "servicemonitors", "prometheusrules"] {
        let kind = format!("crd/{kind}.monitoring.coreos.com");
        kubectl(plane, &["wait", "--for=condition=Established", "--timeout=40s", &kind], "").await.unwrap();
    }
}

/// Objects by kind, namespace and name.
pub type Objects = BTreeMap<String, Value>;

pub fn objects(text: &str) -> Objects {
    let documents = serde_yaml::Deserializer::from_str(text).map(|document| Value::deserialize(document).unwrap());
    let all = documents.filter(|object| !object.is_null()).map(|object| {
        let text = |path: &[&str]| path.iter().fold(&object, |at, key| &at[*key]).as_str().unwrap_or("-").to_owned();
        let key = [text(&["kind"]), text(&["metadata", "namespace"]), text(&["metadata", "name"])].join(" ");
        (key, object)
    });
    let (count, objects) = all.fold((0, Objects::new()), |(count, mut objects), (key, object)| {
        objects.insert(key, object);
        (count + 1, objects)
    });
    assert_eq!(count, objects.len(), "an object is there twice");
    objects
}
