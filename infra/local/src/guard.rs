//! Ends what the stack started, however the stack itself ends. A small shell
//! process reads the list of services from a pipe; when the pipe closes, be it
//! by a tidy stop, a panic or a kill that cannot be caught, it stops them all
//! and removes what they wrote. It also holds the directory's lock until then,
//! so that a next stack cannot start into the remains of this one.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::process::Child as Process;

use crate::error::StackError;

/// Each line it reads is a signal and a process group. Arguments: the directory
/// and the file to remove at the end.
const SCRIPT: &str = r#"
trap '' HUP INT QUIT TERM
services=
while read -r signal group; do services="$signal:$group $services"; done
for service in $services; do kill -s "${service%%:*}" -- "-${service#*:}" 2>/dev/null; done
tries=0
while [ "$tries" -lt 100 ]; do
  left=
  for service in $services; do kill -s 0 -- "-${service#*:}" 2>/dev/null && left=yes; done
  [ -z "$left" ] && break
  sleep 0.1
  tries=$((tries + 1))
done
for service in $services; do kill -s KILL -- "-${service#*:}" 2>/dev/null; done
rm -rf -- "$1" "$2"
"#;

/// The longest wait for a process that lives. One that dies is told of at once, so this
/// ends only what would never end: no machine is too slow for it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(15 * 60);

/// The time that a start waits for an earlier stack in the same directory to end.
const LOCK_PATIENCE: Duration = Duration::from_secs(12);

/// The signal that makes a service end in good order.
#[derive(Debug, Clone, Copy)]
pub(crate) enum StopSignal {
    Term,
    /// PostgreSQL's immediate shutdown: its files are about to be removed anyway.
    Quit,
}

impl StopSignal {
    fn name(self) -> &'static str {
        match self {
            Self::Term => "TERM",
            Self::Quit => "QUIT",
        }
    }
}

/// Keeps a list of services, and ends them when it is dropped or dies.
#[derive(Debug)]
pub struct Guard {
    scratch: PathBuf,
    logs: PathBuf,
    list: Mutex<ChildStdin>,
    watcher: Child,
}

impl Guard {
    /// Takes the directory, makes a scratch directory for this run and starts
    /// the watcher. `announcement` is a file that is to vanish with the stack.
    ///
    /// # Errors
    /// `DirectoryInUse` if another stack lives there; `Io`.
    pub fn new(stack_dir: &Path, announcement: &Path) -> Result<Self, StackError> {
        let logs = stack_dir.join("logs");
        make_private(stack_dir)?;
        make_private(&logs)?;
        let lock = locked(stack_dir)?;
        forget(&logs)?;
        let scratch = scratch_directory()?;
        let mut watcher = Command::new("/bin/sh")
            .args(["-c", SCRIPT, "watcher"])
            .args([&scratch, &announcement.to_path_buf()])
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(lock)
            .stderr(Stdio::null())
            .spawn()
            .map_err(StackError::io("while starting /bin/sh"))?;
        let list = watcher.stdin.take().ok_or_else(|| StackError::Io {
            doing: "while starting /bin/sh".to_owned(),
            source: std::io::ErrorKind::BrokenPipe.into(),
        })?;
        Ok(Self {
            scratch,
            logs,
            list: Mutex::new(list),
            watcher,
        })
    }

    /// A directory that ends with the stack. Others than its owner may pass
    /// through it, but not look.
    #[must_use]
    pub fn scratch(&self) -> &Path {
        &self.scratch
    }

    /// Whether this process is root, whom PostgreSQL refuses to serve.
    pub(crate) fn is_root(&self) -> Result<bool, StackError> {
        let metadata = std::fs::metadata(&self.scratch)
            .map_err(StackError::io("while looking at the scratch directory"))?;
        Ok(metadata.uid() == 0)
    }

    /// Returns the path of the log for a service's output.
    pub(crate) fn log(&self, name: &str) -> PathBuf {
        self.logs.join(format!("{name}.log"))
    }

    /// Starts a process whose output goes to its log.
    pub(crate) fn start(
        &self,
        name: &'static str,
        mut command: tokio::process::Command,
        signal: StopSignal,
    ) -> Result<Service, StackError> {
        let log = self.log(name);
        let (out, err) = File::create(&log)
            .and_then(|file| Ok((file.try_clone()?, file)))
            .map_err(StackError::io(format!("while writing {}", log.display())))?;
        let process = command
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .spawn()
            .map_err(StackError::io(format!("while starting {name}")))?;
        // The group's id is the id of its first process.
        if let Some(group) = process.id() {
            let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
            writeln!(list, "{} {group}", signal.name())
                .map_err(StackError::io("while telling the watcher"))?;
        }
        Ok(Service { name, log, process })
    }

    /// Ends the services and waits until they are gone.
    pub(crate) async fn end(self, services: Vec<Service>) {
        drop(self.list);
        for mut service in services {
            // An ended process stays in its group until it is waited for.
            let _ = service.process.wait().await;
        }
        let mut watcher = self.watcher;
        let _ = tokio::task::spawn_blocking(move || watcher.wait()).await;
    }
}

/// A running process and its log.
#[derive(Debug)]
pub(crate) struct Service {
    name: &'static str,
    log: PathBuf,
    process: Process,
}

impl Service {
    /// Waits until `ready` says so.
    ///
    /// # Errors
    /// `DidNotStart` with the end of the log if the process ends first or takes
    /// longer than anything does.
    pub(crate) async fn until(&mut self, ready: impl AsyncFn() -> bool) -> Result<(), StackError> {
        let began = Instant::now();
        loop {
            if let Some(error) = self.ended() {
                return Err(error);
            }
            if ready().await {
                return Ok(());
            }
            if began.elapsed() > PATIENCE {
                return Err(self.failure(format!("was not ready after {PATIENCE:?}")));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Returns the error to report if the process has ended.
    pub(crate) fn ended(&mut self) -> Option<StackError> {
        match self.process.try_wait() {
            Ok(None) => None,
            Ok(Some(status)) => Some(self.failure(format!("ended ({status})"))),
            Err(error) => Some(self.failure(format!("cannot be watched ({error})"))),
        }
    }

    fn failure(&self, reason: String) -> StackError {
        StackError::DidNotStart {
            name: self.name,
            reason,
            log: self.log.clone(),
            log_end: log_end(&self.log),
        }
    }
}

/// The last lines of a log.
pub(crate) fn log_end(log: &Path) -> String {
    const LINES: usize = 20;
    let bytes = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    let from = lines.len().saturating_sub(LINES);
    lines.get(from..).unwrap_or_default().join("\n")
}

fn make_private(directory: &Path) -> Result<(), StackError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(StackError::io(format!(
            "while making {}",
            directory.display()
        )))
}

/// Removes an earlier stack's logs, lest they be read as this one's.
fn forget(logs: &Path) -> Result<(), StackError> {
    let doing = || StackError::io(format!("while emptying {}", logs.display()));
    for entry in std::fs::read_dir(logs).map_err(doing())? {
        let path = entry.map_err(doing())?.path();
        if path.extension().is_some_and(|extension| extension == "log") {
            std::fs::remove_file(path).map_err(doing())?;
        }
    }
    Ok(())
}

/// The lock on a stack's directory. A stack that is just ending is waited for.
fn locked(stack_dir: &Path) -> Result<File, StackError> {
    let path = stack_dir.join("lock");
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(StackError::io(format!("while opening {}", path.display())))?;
    let began = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if began.elapsed() < LOCK_PATIENCE => {
                std::thread::sleep(Duration::from_millis(200));
            }
            Err(TryLockError::WouldBlock) => {
                return Err(StackError::DirectoryInUse(stack_dir.to_path_buf()));
            }
            Err(TryLockError::Error(source)) => {
                return Err(StackError::Io {
                    doing: format!("while locking {}", path.display()),
                    source,
                });
            }
        }
    }
}

/// A fresh directory for this run's files. It lies outside of the checkout,
/// because PostgreSQL may have to run as a user that cannot enter the checkout.
fn scratch_directory() -> Result<PathBuf, StackError> {
    let path = std::env::temp_dir().join(scratch_name()?);
    DirBuilder::new()
        .mode(0o711)
        .create(&path)
        .map_err(StackError::io(format!("while making {}", path.display())))?;
    Ok(path)
}

/// A name that no other run has; short, for a socket's path must not be long.
pub(crate) fn scratch_name() -> Result<String, StackError> {
    let mut name = crate::random::hex()?;
    name.truncate(16);
    Ok(format!("sync-{name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sleeping() -> tokio::process::Command {
        let mut command = tokio::process::Command::new("/bin/sh");
        // The sleeper is a child of the service's own, as functions are of AWS.
        command.args(["-c", "sleep 1000 & wait"]);
        command
    }

    fn is_alive(process: u32) -> bool {
        Command::new("/bin/kill")
            .args(["-s", "0", &process.to_string()])
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    }

    /// Waits until it is so.
    fn until(so: impl Fn() -> bool) {
        let began = Instant::now();
        while !so() {
            assert!(began.elapsed() < PATIENCE);
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn directory() -> PathBuf {
        std::env::temp_dir().join(format!("guard-{}", crate::random::hex().unwrap()))
    }

    #[tokio::test]
    async fn all_ends_when_the_guard_is_merely_dropped() {
        let stack = directory();
        let announcement = stack.join("stack.json");
        let guard = Guard::new(&stack, &announcement).unwrap();
        std::fs::write(&announcement, "{}").unwrap();
        let scratch = guard.scratch().to_path_buf();
        let mut service = guard
            .start("sleeper", sleeping(), StopSignal::Term)
            .unwrap();
        let process = service.process.id().unwrap();
        assert!(is_alive(process) && scratch.exists());

        drop(guard);
        service.process.wait().await.unwrap();
        until(|| !scratch.exists() && !announcement.exists());
        assert!(!is_alive(process));
        std::fs::remove_dir_all(&stack).unwrap();
    }

    #[tokio::test]
    async fn a_directory_holds_one_stack_at_a_time() {
        let stack = directory();
        let announcement = stack.join("stack.json");
        let first = Guard::new(&stack, &announcement).unwrap();
        let lock = File::open(stack.join("lock")).unwrap();
        assert!(matches!(lock.try_lock(), Err(TryLockError::WouldBlock)));
        first.end(Vec::new()).await;
        // Processes that other tests start may keep a copy of the lock for the moment
        // it takes them to become another program.
        until(|| lock.try_lock().is_ok());
        std::fs::remove_dir_all(&stack).unwrap();
    }

    #[tokio::test]
    async fn a_service_that_ends_at_once_is_told_with_its_log() {
        let stack = directory();
        let guard = Guard::new(&stack, &stack.join("stack.json")).unwrap();
        let mut command = tokio::process::Command::new("/bin/sh");
        command.args(["-c", "echo no such thing >&2; exit 3"]);
        let mut service = guard.start("broken", command, StopSignal::Term).unwrap();
        let error = service.until(async || false).await.unwrap_err();
        let text = error.to_string();
        assert!(text.contains("broken ended (exit status: 3)"), "{text}");
        assert!(text.contains("no such thing"), "{text}");
        guard.end(vec![service]).await;
        std::fs::remove_dir_all(&stack).unwrap();
    }
}
