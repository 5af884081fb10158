//! What the Go module pins, and how it is built.

use std::fs;
use std::path::Path;

use crate::Error;

/// The pinned versions and the inputs of the build.
pub(crate) struct Pin {
    /// go.mod, go.sum and our own Go source, one after the other.
    inputs: String,
    go: String,
    kubernetes: String,
}

impl Pin {
    pub fn read(module: &Path) -> Result<Self, Error> {
        let read = |name: &str| {
            let file = module.join(name);
            fs::read_to_string(&file).map_err(|error| Error::Pin { file, reason: error.to_string() })
        };
        let go_mod = read("go.mod")?;
        let value = |key: &str| {
            let words = go_mod.lines().map(|line| line.trim().trim_start_matches("require ").split_whitespace());
            words
                .into_iter()
                .find_map(|mut words| (words.next() == Some(key)).then(|| words.next()).flatten())
                .ok_or_else(|| Error::Pin { file: module.join("go.mod"), reason: format!("it has no line for {key}") })
        };
        let (go, kubernetes) = (value("go")?.to_owned(), value("k8s.io/kubernetes")?.to_owned());
        let inputs = [go_mod.as_str(), &read("go.sum")?, &read("etcd/main.go")?].join("\n---\n");
        Ok(Self { inputs, go, kubernetes })
    }

    /// The oldest Go that will do.
    pub fn go(&self) -> &str {
        &self.go
    }

    /// For example `v1.36.3`.
    pub fn kubernetes(&self) -> &str {
        &self.kubernetes
    }

    /// Kubernetes gets its own version from the linker; without it, it takes itself for v0.0.0 and its compatibility
    /// checks fail.
    pub fn flags(&self) -> Vec<String> {
        let mut numbers = self.kubernetes.trim_start_matches('v').split('.');
        let (major, minor) = (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default());
        let at = "-X k8s.io/component-base/version";
        vec![format!("-ldflags=-s -w {at}.gitVersion={} {at}.gitMajor={major} {at}.gitMinor={minor}", self.kubernetes)]
    }

    /// No C compiler is needed, go.mod is never changed, and no other Go is downloaded behind the user's back.
    pub fn environment() -> Vec<(&'static str, String)> {
        [
            ("CGO_ENABLED", "0"),
            ("GOFLAGS", "-mod=readonly -buildvcs=false"),
            ("GOTOOLCHAIN", "local"),
            ("GOWORK", "off"),
            ("GOOS", ""),
            ("GOARCH", ""),
        ]
        .map(|(name, value)| (name, value.to_owned()))
        .into()
    }

    /// Everything that decides what a built program is. It is kept beside the program and compared as a whole, which
    /// needs no hash. The version of Go is left out, so that a program once built can be used without Go.
    pub fn stamp(&self, package: &str) -> String {
        let platform = format!("{} {}", std::env::consts::OS, std::env::consts::ARCH);
        format!("{platform}\n{package}\n{:?}\n{:?}\n{}", self.flags(), Self::environment(), self.inputs)
    }
}
