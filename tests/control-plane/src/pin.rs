//! A Go module that pins programs, and how they are built.

use std::fs;
use std::path::Path;

use crate::Error;

/// Programs that are built from one go.mod.
pub(crate) struct GoModule {
    /// What the programs are, for people: `Kubernetes`.
    pub name: &'static str,
    /// The required module whose version the programs have.
    pub path: &'static str,
    /// Our own Go source, below the directory of go.mod.
    pub sources: &'static [&'static str],
    pub targets: &'static [Target],
    /// Arguments of `go build` for this version.
    pub flags: fn(&str) -> Vec<String>,
    /// What somebody without Go can do instead, if anything: the end of a sentence.
    pub instead: &'static str,
}

pub(crate) struct Target {
    pub program: &'static str,
    pub package: &'static str,
    /// How long it takes with an empty build cache on two cores, as measured.
    pub usual: &'static str,
}

/// The pinned versions and the inputs of the build.
pub(crate) struct Pin {
    /// go.mod, go.sum and our own Go source, one after the other.
    inputs: String,
    go: String,
    version: String,
    flags: Vec<String>,
}

impl Pin {
    /// Reads go.mod and what belongs to it in this directory.
    pub fn read(dir: &Path, module: &GoModule) -> Result<Self, Error> {
        let read = |name: &str| {
            let file = dir.join(name);
            fs::read_to_string(&file).map_err(|error| Error::Pin { file, reason: error.to_string() })
        };
        let go_mod = read("go.mod")?;
        let value = |key: &str| {
            let words = go_mod.lines().map(|line| line.trim().trim_start_matches("require ").split_whitespace());
            words
                .into_iter()
                .find_map(|mut words| (words.next() == Some(key)).then(|| words.next()).flatten())
                .ok_or_else(|| Error::Pin { file: dir.join("go.mod"), reason: format!("it has no line for {key}") })
        };
        let (go, version) = (value("go")?.to_owned(), value(module.path)?.to_owned());
        let mut inputs = vec![go_mod.clone(), read("go.sum")?];
        for source in module.sources {
            inputs.push(read(source)?);
        }
        Ok(Self { inputs: inputs.join("\n---\n"), go, flags: (module.flags)(&version), version })
    }

    /// The oldest Go that will do.
    pub fn go(&self) -> &str {
        &self.go
    }

    /// For example `v1.36.3`.
    pub fn version(&self) -> &str {
        &self.version
    }

    pub fn flags(&self) -> &[String] {
        &self.flags
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
        format!("{platform}\n{package}\n{:?}\n{:?}\n{}", self.flags, Self::environment(), self.inputs)
    }
}
