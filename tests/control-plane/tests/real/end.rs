//! However a control plane ends, nothing of it stays.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use control_plane::{ControlPlane, Error, Options};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, ObjectMeta, PostParams};

use crate::support::eventually;

/// A zombie that nobody reaps has ended, too.
fn alive(pid: u32) -> bool {
    let answer = Command::new("ps").args(["-o", "stat=", "-p", &pid.to_string()]).output().unwrap();
    let state = String::from_utf8_lossy(&answer.stdout).trim().to_owned();
    !state.is_empty() && !state.starts_with('Z')
}

/// The program of this crate with a running control plane.
struct Helper {
    process: Child,
    dir: PathBuf,
    pids: Vec<u32>,
}

impl Helper {
    fn start() -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_control-plane")).stdout(Stdio::piped()).spawn().unwrap();
        let lines: Vec<String> = BufReader::new(process.stdout.take().unwrap())
            .lines()
            .map(Result::unwrap)
            .take_while(|line| !line.starts_with("export KUBECONFIG="))
            .collect();
        let dir = lines.iter().find_map(|line| line.strip_prefix("data and logs: ")).unwrap();
        let dir = PathBuf::from(dir);
        let pid = |name: &str| {
            let file = dir.join(format!("logs/{name}.log.pid"));
            std::fs::read_to_string(file).unwrap().trim().parse::<u32>().unwrap()
        };
        let pids = ["etcd", "kube-apiserver", "kube-controller-manager"].map(pid).to_vec();
        assert!(pids.iter().all(|pid| alive(*pid)));
        Self { process, dir, pids }
    }

    async fn assert_gone(&self) {
        eventually("the children to go", async || (!self.pids.iter().any(|pid| alive(*pid))).then_some(())).await;
        eventually("the data to go", async || (!self.dir.exists()).then_some(())).await;
    }
}

#[tokio::test]
async fn after_sigkill_the_children_and_the_data_go() {
    let mut helper = Helper::start();
    // `kill` is SIGKILL.
    helper.process.kill().unwrap();
    helper.process.wait().unwrap();
    helper.assert_gone().await;
}

#[tokio::test]
async fn after_ctrl_c_everything_is_gone_when_the_program_ends() {
    let mut helper = Helper::start();
    let interrupt = Command::new("kill").args(["-INT", &helper.process.id().to_string()]).status().unwrap();
    assert!(interrupt.success());
    assert!(helper.process.wait().unwrap().success());
    assert!(!helper.dir.exists() && !helper.pids.iter().any(|pid| alive(*pid)));
}

#[tokio::test]
async fn kept_data_is_there_again_at_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { data_dir: Some(dir.path().into()), ..Options::default() };
    let map = ConfigMap {
        metadata: ObjectMeta { name: Some("kept".into()), ..ObjectMeta::default() },
        ..ConfigMap::default()
    };
    let control_plane = ControlPlane::start(options.clone()).await.unwrap();
    let maps: Api<ConfigMap> = Api::namespaced(control_plane.client().await.unwrap(), "default");
    maps.create(&PostParams::default(), &map).await.unwrap();
    assert!(matches!(ControlPlane::start(options.clone()).await, Err(Error::DataDirInUse(_))));
    let pids: Vec<u32> = control_plane.processes().into_iter().map(|(_, pid)| pid).collect();
    assert_eq!(pids.len(), 3);
    control_plane.shutdown().await.unwrap();
    assert!(!pids.iter().any(|pid| alive(*pid)));

    let control_plane = ControlPlane::start(options).await.unwrap();
    let maps: Api<ConfigMap> = Api::namespaced(control_plane.client().await.unwrap(), "default");
    assert!(maps.get_opt("kept").await.unwrap().is_some());
    drop(control_plane);
    assert!(dir.path().join("logs").exists());
}

#[tokio::test]
async fn a_component_that_ends_is_told_with_the_end_of_its_log() {
    let control_plane = ControlPlane::start(Options { audit: false, ..Options::default() }).await.unwrap();
    let (_, pid) = control_plane.processes().into_iter().find(|(name, _)| name == "kube-apiserver").unwrap();
    assert!(Command::new("kill").args(["-KILL", &pid.to_string()]).status().unwrap().success());
    let error = eventually("the end to be noticed", async || control_plane.check().err()).await;
    assert!(matches!(&error, Error::Ended { program, code: 137, .. } if program == "kube-apiserver"), "{error}");
    let dir = control_plane.data_dir().to_owned();
    drop(control_plane);
    assert!(!Path::new(&dir).exists());
}
