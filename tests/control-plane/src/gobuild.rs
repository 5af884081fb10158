//! Builds the programs of a Go module, once.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::Error;
use crate::assets::is_executable;
use crate::filelock::FileLock;
use crate::pin::{GoModule, Pin, Target};
use crate::process::{Program, Supervised, tail};

/// Where to build from and to. Fields instead of the environment, for the tests.
pub(crate) struct GoBuild<'a> {
    pub module: &'a GoModule,
    /// The directory of its go.mod.
    pub dir: PathBuf,
    /// Gets `bin/`, the logs of the build and the lock.
    pub output: PathBuf,
    /// `PATH`.
    pub search_path: Option<OsString>,
    /// How often a build that is running says so.
    pub progress: Duration,
    /// Takes a line of progress.
    pub say: &'a (dyn Fn(&str) + Sync),
}

impl GoBuild<'_> {
    /// Returns the directory with all programs as pinned, built if need be.
    pub fn ensure(&self) -> Result<PathBuf, Error> {
        let pin = Pin::read(&self.dir, self.module)?;
        let bin = self.output.join("bin");
        if self.stale(&pin).is_empty() {
            return Ok(bin);
        }
        // Before the lock, so that a missing toolchain is told at once.
        let go = self.find_go(&pin)?;
        fs::create_dir_all(&bin).map_err(Error::io("create", &bin))?;
        let _lock = self.lock()?;
        // Another process may have built them while we waited.
        let stale = self.stale(&pin);
        let started = Instant::now();
        for (index, target) in stale.iter().enumerate() {
            (self.say)(&format!(
                "building {} of {} {} with `go build` ({} of {}; usually {}, only the first time)",
                target.program,
                self.module.name,
                pin.version(),
                index + 1,
                stale.len(),
                target.usual
            ));
            self.build(&go, &pin, target)?;
        }
        if !stale.is_empty() {
            (self.say)(&format!("built in {}; the programs are kept in {}", seconds(started), bin.display()));
        }
        Ok(bin)
    }

    fn stale(&self, pin: &Pin) -> Vec<&Target> {
        let fresh = |target: &Target| {
            let stamp = fs::read(self.stamp(target.program)).unwrap_or_default();
            stamp == pin.stamp(target.package).as_bytes()
                && is_executable(&self.output.join("bin").join(target.program))
        };
        self.module.targets.iter().filter(|target| !fresh(target)).collect()
    }

    fn stamp(&self, program: &str) -> PathBuf {
        self.output.join("bin").join(format!(".{program}.stamp"))
    }

    fn find_go(&self, pin: &Pin) -> Result<PathBuf, Error> {
        let search_path = self.search_path.clone().unwrap_or_default();
        let go = std::env::split_paths(&search_path)
            .map(|dir| dir.join("go"))
            .find(|go| is_executable(go))
            .ok_or_else(|| Error::NoGo {
                what: self.module.name,
                wanted: pin.go().to_owned(),
                path: search_path.to_string_lossy().into_owned(),
                instead: self.module.instead,
            })?;
        // In `/`, because in the module's directory an old Go fails before it tells its version.
        let answer = Command::new(&go)
            .arg("version")
            .current_dir("/")
            .env("GOTOOLCHAIN", "local")
            .output()
            .map_err(|source| Error::Spawn { program: go.display().to_string(), source })?;
        let answer = String::from_utf8_lossy(&answer.stdout).into_owned();
        let found =
            answer.split_whitespace().find_map(|word| word.strip_prefix("go1.")).map(|rest| format!("1.{rest}"));
        // A development version of Go ("devel go1.27-...") or something unforeseen: let `go build` judge.
        if let Some(found) = found
            && version(&found) < version(pin.go())
        {
            return Err(Error::OldGo {
                what: self.module.name,
                go,
                found,
                wanted: pin.go().to_owned(),
                instead: self.module.instead,
            });
        }
        Ok(go)
    }

    /// Waits until no other process builds here.
    fn lock(&self) -> Result<FileLock, Error> {
        let path = self.output.join("build.lock");
        let started = Instant::now();
        let mut said: Option<Instant> = None;
        loop {
            if let Some(lock) = FileLock::try_new(&path)? {
                return Ok(lock);
            }
            if said.is_none_or(|said| said.elapsed() >= self.progress) {
                said = Some(Instant::now());
                (self.say)(&format!(
                    "waiting for another process that builds in {} ({} so far; minutes are usual)",
                    self.output.display(),
                    seconds(started)
                ));
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    fn build(&self, go: &Path, pin: &Pin, target: &Target) -> Result<(), Error> {
        let program = target.program;
        let stamp = self.stamp(program);
        let building = self.output.join("bin").join(format!(".{program}.building"));
        let finished = self.output.join("bin").join(program);
        let kept_log = self.output.join(format!("build-{program}.log"));
        for old in [&stamp, &building, &kept_log] {
            remove_if_there(old)?;
        }
        // A `go build` that is killed leaves its temporary files, so they get a directory that is removed after it in
        // any case. It belongs to this process alone: what cleans up after a killed one may still be at work.
        let temporary = self.output.join(format!("tmp-{}", std::process::id()));
        fs::create_dir_all(&temporary).map_err(Error::io("create", &temporary))?;
        let log = temporary.join("go.log");
        let mut env = Pin::environment();
        env.push(("GOTMPDIR", temporary.to_string_lossy().into_owned()));
        let mut args = vec!["build".to_owned()];
        args.extend(pin.flags().iter().cloned());
        args.extend(["-o".to_owned(), building.to_string_lossy().into_owned(), target.package.to_owned()]);
        let mut child = Supervised::spawn(Program {
            name: "go",
            path: go,
            args,
            cwd: &self.dir,
            log: log.clone(),
            remove: Some(&temporary),
            env: Some(env),
        })?;
        let code = self.watch(&child, program, &log);
        if code != 0 {
            fs::copy(&log, &kept_log).map_err(Error::io("copy", &log))?;
            let (reason, tail) = (format!("exit code {code}"), tail(&kept_log, 20));
            return Err(Error::GoBuild { program, reason, tail, log: kept_log, instead: self.module.instead });
        }
        child.stop();
        // A new file under the old name: the old program may be running.
        fs::rename(&building, &finished).map_err(Error::io("rename", &building))?;
        fs::write(&stamp, pin.stamp(target.package)).map_err(Error::io("write", &stamp))
    }

    /// Waits for `go build` and shows that it is alive. It prints nothing but the modules it downloads.
    fn watch(&self, child: &Supervised, program: &str, log: &Path) -> i32 {
        let started = Instant::now();
        let mut said = started;
        loop {
            if let Some(code) = child.exit_code() {
                return code;
            }
            if said.elapsed() >= self.progress {
                said = Instant::now();
                let last = fs::read_to_string(log).unwrap_or_default();
                let last = last.lines().last().map(|line| format!("; last: {line}")).unwrap_or_default();
                (self.say)(&format!("still building {program}, {} so far{last}", seconds(started)));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

fn seconds(since: Instant) -> String {
    format!("{} s", since.elapsed().as_secs())
}

fn version(text: &str) -> Vec<u32> {
    text.split('.')
        .map(|part| part.chars().take_while(char::is_ascii_digit).collect::<String>())
        .flat_map(|part| part.parse())
        .collect()
}

fn remove_if_there(file: &Path) -> Result<(), Error> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::io("remove", file)(error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::assets::MODULE;
    use std::os::unix::fs::PermissionsExt as _;
    use std::sync::Mutex;

    /// A small Go module and a `go` that is a shell script.
    struct Fixture {
        dir: tempfile::TempDir,
        said: Mutex<Vec<String>>,
    }

    impl Fixture {
        fn new(go: Option<&str>) -> Self {
            let dir = tempfile::tempdir().unwrap();
            let module = dir.path().join("go");
            fs::create_dir_all(module.join("etcd")).unwrap();
            let go_mod = "module m\ngo 1.26.0\nrequire k8s.io/kubernetes v1.36.3 // indirect\n";
            fs::write(module.join("go.mod"), go_mod).unwrap();
            fs::write(module.join("go.sum"), "").unwrap();
            fs::write(module.join("etcd/main.go"), "").unwrap();
            fs::create_dir(dir.path().join("path")).unwrap();
            if let Some(script) = go {
                let go = dir.path().join("path/go");
                fs::write(&go, format!("#!/bin/sh\n{script}")).unwrap();
                fs::set_permissions(&go, fs::Permissions::from_mode(0o755)).unwrap();
            }
            Self { dir, said: Mutex::default() }
        }

        fn ensure_with_path(&self, search_path: Option<OsString>) -> Result<PathBuf, Error> {
            GoBuild {
                module: &MODULE,
                dir: self.dir.path().join("go"),
                output: self.dir.path().join("out"),
                search_path,
                progress: Duration::from_millis(300),
                say: &|line| self.said.lock().unwrap().push(line.to_owned()),
            }
            .ensure()
        }

        fn ensure(&self) -> Result<PathBuf, Error> {
            self.ensure_with_path(Some(self.dir.path().join("path").into()))
        }

        /// The command lines of `go build` so far.
        fn builds(&self) -> Vec<String> {
            let calls = fs::read_to_string(self.dir.path().join("path/go.calls")).unwrap();
            calls.lines().map(str::to_owned).collect()
        }

        fn said(&self) -> String {
            self.said.lock().unwrap().join("\n")
        }
    }

    const WORKING: &str = r#"
if [ "$1" = version ]; then echo "go version go1.26.8 linux/amd64"; exit; fi
echo "$@" "CGO_ENABLED=$CGO_ENABLED GOTOOLCHAIN=$GOTOOLCHAIN" >>"$0.calls"
echo "go: downloading something" >&2
while [ "$1" != -o ]; do shift; done
echo built >"$2"
chmod 755 "$2"
"#;

    #[test]
    fn without_go_the_error_says_what_to_install_or_set() {
        let fixture = Fixture::new(None);
        let message = fixture.ensure().unwrap_err().to_string();
        assert!(message.contains("install Go 1.26.0 or newer"), "{message}");
        assert!(message.contains("https://go.dev/dl/"), "{message}");
        assert!(message.contains("set KUBEBUILDER_ASSETS"), "{message}");
        assert!(matches!(fixture.ensure_with_path(None).unwrap_err(), Error::NoGo { .. }));
    }

    #[test]
    fn a_go_that_is_too_old_is_refused_with_both_versions() {
        let message = Fixture::new(Some("echo go version go1.9.7 linux/amd64")).ensure().unwrap_err().to_string();
        assert!(message.contains("is Go 1.9.7"), "{message}");
        assert!(message.contains("needs Go 1.26.0 or newer"), "{message}");
    }

    #[test]
    fn programs_are_built_once_and_again_when_the_pin_changes() {
        let fixture = Fixture::new(Some(WORKING));
        let bin = fixture.ensure().unwrap();
        assert!(MODULE.targets.iter().all(|target| is_executable(&bin.join(target.program))));
        let builds = fixture.builds();
        assert_eq!(builds.len(), 3);
        for build in builds {
            assert!(build.contains("gitVersion=v1.36.3") && build.contains("gitMinor=36"), "{build}");
            assert!(build.contains("CGO_ENABLED=0 GOTOOLCHAIN=local"), "{build}");
        }

        // No toolchain is needed any more.
        fixture.ensure_with_path(None).unwrap();
        assert_eq!(fixture.builds().len(), 3);

        fs::write(fixture.dir.path().join("go/go.sum"), "other").unwrap();
        fixture.ensure().unwrap();
        assert_eq!(fixture.builds().len(), 6);
        fs::remove_file(bin.join("etcd")).unwrap();
        fixture.ensure().unwrap();
        assert_eq!(fixture.builds().len(), 7);
    }

    #[test]
    fn several_at_the_same_time_build_once() {
        let fixture = Fixture::new(Some(&format!("sleep 0.1\n{WORKING}")));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| fixture.ensure().unwrap());
            }
        });
        assert_eq!(fixture.builds().len(), 3);
        assert!(fixture.said().contains("waiting for another process"), "{}", fixture.said());
    }

    #[test]
    fn a_build_says_what_it_does_and_that_it_is_alive() {
        let fixture = Fixture::new(Some(&format!("{WORKING}\nsleep 0.5")));
        fixture.ensure().unwrap();
        let said = fixture.said();
        assert!(
            said.contains("building kube-apiserver of Kubernetes v1.36.3 with `go build` (2 of 3; usually"),
            "{said}"
        );
        assert!(said.contains("still building etcd, 0 s so far; last: go: downloading something"), "{said}");
    }

    #[test]
    fn a_failed_build_shows_the_end_of_its_output_and_leaves_no_program() {
        let fixture = Fixture::new(Some("[ \"$1\" = version ] || { echo no space left >&2; exit 3; }"));
        let message = fixture.ensure().unwrap_err().to_string();
        assert!(message.contains("exit code 3") && message.contains("no space left"), "{message}");
        let out = fixture.dir.path().join("out");
        assert!(message.contains(&format!("{}", out.join("build-etcd.log").display())), "{message}");
        let mut left: Vec<_> = fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["bin", "build-etcd.log", "build.lock"]);
        assert_eq!(fs::read_dir(out.join("bin")).unwrap().count(), 0);
    }

    #[test]
    fn versions_are_compared_by_number() {
        assert!(version("1.9.7") < version("1.26.0"));
        assert!(version("1.26") < version("1.26.0"));
        assert!(version("1.27rc1") > version("1.26.8"));
    }
}
