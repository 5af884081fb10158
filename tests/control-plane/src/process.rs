//! Child processes that end when their parent ends, whatever ends the parent.
//!
//! Each program runs under a small shell script. The script's stdin is a pipe whose only writing end is held by this
//! process. The kernel closes it when this process ends, also after SIGKILL, and the end of the stream makes the
//! script kill the program, remove the data directory and kill whatever is left of its process group. Stopping on
//! purpose is the same thing: close the pipe and wait.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::Error;

/// Arguments: the directory to remove at the end (or an empty string), the log file, then the program and its
/// arguments. Two readers share the pipe: one kills the program at the end of the stream, and the script itself
/// cleans up only after the program is gone, so that nothing is created behind its back. If the program ends by
/// itself, its exit code is left beside the log and the script still waits for the parent, to clean up after it.
const SCRIPT: &str = r#"
PATH="${PATH:+$PATH:}/usr/bin:/bin"
remove=$1 log=$2
shift 2
exec 3<&0 </dev/null
"$@" >>"$log" 2>&1 3<&- &
child=$!
echo "$child" >"$log.pid"
( while read -r _; do :; done; kill -KILL "$child" ) <&3 &
watcher=$!
wait "$child"
code=$?
kill -KILL "$watcher"
echo "$code" >"$log.exit"
while read -r _; do :; done <&3
if [ -n "$remove" ]; then rm -rf -- "$remove"; fi
kill -KILL 0
"#;

/// How long stopping may take: SIGKILL needs milliseconds, the rest is for an overloaded machine.
const STOP_TIMEOUT: Duration = Duration::from_secs(20);

/// What to run, and where.
pub(crate) struct Program<'a> {
    /// The name for messages.
    pub name: &'a str,
    /// The executable.
    pub path: &'a Path,
    pub args: Vec<String>,
    /// The working directory.
    pub cwd: &'a Path,
    /// Takes stdout and stderr; `.pid` and `.exit` files are put beside it.
    pub log: PathBuf,
    /// A directory that is removed when the program has been stopped.
    pub remove: Option<&'a Path>,
    /// Variables to set on top of the inherited environment; `None` for an empty environment, so that for example
    /// `ETCD_...` variables of the user do not reach etcd.
    pub env: Option<Vec<(&'static str, String)>>,
}

/// A running program under its script. Dropping it stops it.
pub(crate) struct Supervised {
    name: String,
    script: Child,
    log: PathBuf,
    stopped: bool,
}

impl Supervised {
    pub fn spawn(program: Program<'_>) -> Result<Self, Error> {
        for old in [beside(&program.log, "pid"), beside(&program.log, "exit")] {
            match fs::remove_file(&old) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(Error::io("remove", old)(error));
                }
                _ => {}
            }
        }
        let mut command = Command::new("/bin/sh");
        command
            .arg("-c")
            .arg(SCRIPT)
            .arg(format!("{}-supervisor", program.name))
            .arg(program.remove.unwrap_or(Path::new("")))
            .arg(&program.log)
            .arg(program.path)
            .args(&program.args)
            .current_dir(program.cwd)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Its own process group: Ctrl-C in a terminal reaches only the parent, and `kill 0` only the program.
            .process_group(0);
        match program.env {
            Some(variables) => command.envs(variables),
            None => command.env_clear().env("HOME", program.cwd),
        };
        let script =
            command.spawn().map_err(|source| Error::Spawn { program: program.path.display().to_string(), source })?;
        Ok(Self { name: program.name.to_owned(), script, log: program.log, stopped: false })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// The process ID of the program itself, as soon as it has one.
    pub fn pid(&self) -> Option<u32> {
        read_number(&beside(&self.log, "pid"))
    }

    /// The exit code, if the program has ended by itself.
    pub fn exit_code(&self) -> Option<i32> {
        read_number(&beside(&self.log, "exit"))
    }

    /// The last lines of the log, for error messages.
    pub fn log_tail(&self) -> String {
        tail(&self.log, 30)
    }

    /// Kills the program, waits until it is gone and cleaned up after.
    pub fn stop(&mut self) {
        if std::mem::replace(&mut self.stopped, true) {
            return;
        }
        drop(self.script.stdin.take());
        let deadline = Instant::now() + STOP_TIMEOUT;
        while matches!(self.script.try_wait(), Ok(None)) {
            if Instant::now() > deadline {
                // The script would still do its work when it gets to it; killing it could only prevent that.
                tracing::warn!(program = self.name, "did not stop within {} s", STOP_TIMEOUT.as_secs());
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        self.stop();
    }
}

/// `etcd.log` and `pid` give `etcd.log.pid`.
fn beside(log: &Path, suffix: &str) -> PathBuf {
    let mut name = log.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    PathBuf::from(name)
}

/// Reads a number that another process writes; `None` while it is not (completely) there.
fn read_number<N: std::str::FromStr>(file: &Path) -> Option<N> {
    let text = fs::read_to_string(file).ok()?;
    text.strip_suffix('\n')?.parse().ok()
}

/// The last `lines` lines of a text file, or a note that there is nothing.
pub(crate) fn tail(file: &Path, lines: usize) -> String {
    let text = match fs::read(file) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) => return format!("(cannot read {}: {error})", file.display()),
    };
    let all: Vec<&str> = text.lines().collect();
    let last = all.iter().skip(all.len().saturating_sub(lines)).copied().collect::<Vec<_>>().join("\n");
    if last.is_empty() { format!("({} is empty)", file.display()) } else { last }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(dir: &Path, command: &str, remove: bool) -> Supervised {
        Supervised::spawn(Program {
            name: "test",
            path: Path::new("/bin/sh"),
            args: vec!["-c".into(), command.into()],
            cwd: dir,
            log: dir.join("test.log"),
            remove: remove.then_some(dir),
            env: None,
        })
        .unwrap()
    }

    fn wait_for<T>(mut probe: impl FnMut() -> Option<T>) -> T {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            if let Some(value) = probe() {
                return value;
            }
            assert!(Instant::now() < deadline, "waited too long");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    #[test]
    fn the_exit_code_and_the_output_of_a_program_that_ends_are_known() {
        let dir = tempfile::tempdir().unwrap();
        let program = shell(dir.path(), "echo out; echo err >&2; exit 7", false);
        assert_eq!(wait_for(|| program.exit_code()), 7);
        assert_eq!(program.log_tail(), "out\nerr");
    }

    #[test]
    fn stopping_kills_the_program_and_what_it_started_and_removes_the_directory() {
        let dir = tempfile::tempdir().unwrap();
        let mut program = shell(dir.path(), "trap '' TERM HUP INT; sleep 1000 & echo $! >grandchild; wait", true);
        let grandchild: u32 = wait_for(|| read_number(&dir.path().join("grandchild")));
        let child = wait_for(|| program.pid());
        assert!(alive(child) && alive(grandchild));
        program.stop();
        wait_for(|| (!alive(child) && !alive(grandchild)).then_some(()));
        assert!(!dir.path().exists());
    }

    /// A zombie whose parent does not reap it has ended, too.
    fn alive(pid: u32) -> bool {
        let answer = Command::new("ps").args(["-o", "stat=", "-p", &pid.to_string()]).output().unwrap();
        let state = String::from_utf8_lossy(&answer.stdout).trim().to_owned();
        !state.is_empty() && !state.starts_with('Z')
    }
}
