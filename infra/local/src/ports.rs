//! Ports on loopback. Free ones are found by asking the system for one and
//! giving it back. The gateway's port is claimed by a lock besides, for it takes
//! the local AWS a moment to listen, and two stacks that start at once would
//! both find the usual port free.

use std::fs::{File, OpenOptions};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::OpenOptionsExt;

use crate::error::StackError;

/// The port at which the gateway listens if nobody says otherwise.
const GATEWAY: u16 = 4600;

/// A port that no other stack takes while this is held.
#[derive(Debug)]
pub(crate) struct Claim {
    port: u16,
    /// None for a port that the system picked: it picks another one next time.
    lock: Option<File>,
}

impl Claim {
    /// The claimed port.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    fn on(port: u16) -> Option<Self> {
        let path = std::env::temp_dir().join(format!("square-sync-port-{port}.lock"));
        // Another user's lock can be opened for reading, which is enough.
        let lock = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o644)
            .open(&path)
            .or_else(|_| File::open(&path))
            .ok()?;
        lock.try_lock().ok()?;
        TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok()?;
        Some(Self {
            port,
            lock: Some(lock),
        })
    }

    fn any() -> Result<Self, StackError> {
        Ok(Self {
            port: free()?,
            lock: None,
        })
    }
}

impl Drop for Claim {
    /// Closing the file would not do: a process that is just being started has
    /// a copy of it until it becomes the program it is to be, and the lock would
    /// stay for that long.
    fn drop(&mut self) {
        if let Some(lock) = &self.lock {
            // What cannot be unlocked ends with its last copy.
            let _ = lock.unlock();
        }
    }
}

/// A port on which nothing listens.
pub(crate) fn free() -> Result<u16, StackError> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(StackError::io("while looking for a free port"))
}

/// The gateway's port: the one asked for, else the usual one, else any.
///
/// # Errors
/// `PortInUse` if one was asked for and is taken.
pub(crate) fn gateway(wanted: Option<u16>) -> Result<Claim, StackError> {
    match wanted {
        Some(0) => Claim::any(),
        Some(port) => Claim::on(port).ok_or(StackError::PortInUse(port)),
        None => Claim::on(GATEWAY).map_or_else(Claim::any, Ok),
    }
}

/// Whether something listens on a port.
pub(crate) async fn answers(port: u16) -> bool {
    tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port))
        .await
        .is_ok()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::guard::PATIENCE;

    #[test]
    fn a_taken_port_is_refused_if_it_was_asked_for() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        assert!(matches!(
            gateway(Some(port)),
            Err(StackError::PortInUse(refused)) if refused == port
        ));
    }

    #[test]
    fn two_stacks_that_start_at_once_get_two_ports() {
        let port = free().unwrap();
        let first = gateway(Some(port)).unwrap();
        assert_eq!(first.port(), port);
        // Nothing listens there yet: only the claim says that it is taken.
        assert!(Claim::on(port).is_none());
        assert!(matches!(
            gateway(Some(port)),
            Err(StackError::PortInUse(refused)) if refused == port
        ));
        drop(first);
        // Processes that other tests start may keep a copy of the listener for
        // the moment it takes them to become another program.
        let began = Instant::now();
        let again = loop {
            match gateway(Some(port)) {
                Ok(again) => break again,
                Err(error) => assert!(began.elapsed() < PATIENCE, "{error}"),
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        assert_eq!(again.port(), port);
    }

    #[test]
    fn without_a_wish_any_port_will_do() {
        let first = gateway(None).unwrap();
        let second = gateway(None).unwrap();
        assert_ne!(first.port(), second.port());
    }
}
