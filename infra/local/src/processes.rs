//! The functions' processes as Linux shows them: for ending one in the middle of
//! its work, and for reading how much memory it took at most.

use std::path::Path;

use crate::aws::Aws;

/// A running process of a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    pub pid: u32,
    /// The function's name, as deployed.
    pub function: String,
    /// The host and port at which it asks for its events.
    pub runtime_api: String,
    /// The most memory it ever held, in KiB.
    pub peak_memory_kib: u64,
}

impl Aws {
    /// The processes of all functions of this AWS; none where there is no `/proc`.
    #[must_use]
    pub fn processes(&self) -> Vec<Process> {
        let entries = std::fs::read_dir("/proc").into_iter().flatten();
        entries
            .filter_map(|entry| self.process(&entry.ok()?.path()))
            .collect()
    }

    fn process(&self, directory: &Path) -> Option<Process> {
        let pid = directory.file_name()?.to_str()?.parse().ok()?;
        let environment = std::fs::read(directory.join("environ")).ok()?;
        let variable = |name: &str| {
            environment
                .split(|byte| *byte == 0)
                .filter_map(|pair| std::str::from_utf8(pair).ok()?.split_once('='))
                .find(|(key, _)| *key == name)
                .map(|(_, value)| value)
        };
        // Another stack's functions may run beside these.
        if variable("AWS_ENDPOINT_URL")? != self.endpoint() {
            return None;
        }
        let function = variable("AWS_LAMBDA_FUNCTION_NAME")?.to_owned();
        let status = std::fs::read_to_string(directory.join("status")).ok()?;
        Some(Process {
            pid,
            function,
            runtime_api: variable("AWS_LAMBDA_RUNTIME_API")?.to_owned(),
            peak_memory_kib: peak(&status)?,
        })
    }
}

fn peak(status: &str) -> Option<u64> {
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::peak;

    #[test]
    fn the_peak_is_the_high_water_mark() {
        assert_eq!(
            peak("VmPeak:\t  99 kB\nVmHWM:\t   12345 kB\nVmRSS:\t 1 kB\n"),
            Some(12345)
        );
    }
}
