//! A git repository that is served over HTTP by git's own backend, for tools that fetch one.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub struct GitServer {
    dir: tempfile::TempDir,
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl GitServer {
    pub async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        git(dir.path(), &["init", "--quiet", "--initial-branch=main", "meetings"]);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(backend).with_state(dir.path().to_owned());
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { dir, address, task }
    }

    pub fn url(&self) -> String {
        format!("http://{}/meetings/.git", self.address)
    }

    /// Makes the tree hold exactly these files, and commits that.
    pub fn commit(&self, files: &[(&str, String)]) {
        let tree = self.dir.path().join("meetings");
        git(&tree, &["rm", "-rfq", "--ignore-unmatch", "."]);
        for (name, text) in files {
            std::fs::create_dir_all(tree.join(name).parent().unwrap()).unwrap();
            std::fs::write(tree.join(name), text).unwrap();
        }
        git(&tree, &["add", "--all"]);
        git(&tree, &["-c", "user.name=it", "-c", "user.email=it@example.com", "commit", "--quiet", "-m", "next"]);
    }
}

impl Drop for GitServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn git(dir: &Path, args: &[&str]) {
    let done = Command::new("git").current_dir(dir).args(args).status().expect("git is installed");
    assert!(done.success(), "git {args:?}");
}

/// One request by CGI, as a web server would do it.
async fn backend(State(root): State<PathBuf>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, 1 << 24).await.unwrap();
    let header =
        |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let mut child = Command::new("git")
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("REQUEST_METHOD", head.method.as_str())
        .env("PATH_INFO", head.uri.path())
        .env("QUERY_STRING", head.uri.query().unwrap_or_default())
        .env("CONTENT_TYPE", header("content-type"))
        .env("HTTP_CONTENT_ENCODING", header("content-encoding"))
        .env("GIT_PROTOCOL", header("git-protocol"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("git http-backend");
    child.stdin.take().unwrap().write_all(&body).unwrap();
    let output = child.wait_with_output().unwrap().stdout;
    let end = output.windows(4).position(|window| window == b"\r\n\r\n").expect("CGI headers");
    let mut response = Response::builder();
    for line in std::str::from_utf8(&output[..end]).unwrap().lines() {
        let (name, value) = line.split_once(": ").expect("a header");
        response = match name {
            "Status" => response.status(value.split(' ').next().unwrap()),
            _ => response.header(name, value),
        };
    }
    response.body(Body::from(output[end + 4..].to_vec())).unwrap()
}
