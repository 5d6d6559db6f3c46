//! Which process carries a run out, so that another one can tell that it is gone. It asks `/proc`; where
//! there is none, and on another machine, nobody is said to be gone.

use std::io::ErrorKind;

use serde::{Deserialize, Serialize};

/// One process, told apart from every other that has had or will have its number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Owner {
    host: String,
    boot: String,
    pid: u32,
    /// In ticks since the machine was started.
    started: u64,
}

impl Owner {
    /// This process, if it can be told apart here.
    pub(super) fn this() -> Option<Self> {
        Self::of(std::process::id())
    }

    fn of(pid: u32) -> Option<Self> {
        Some(Self {
            host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            boot: boot()?,
            pid,
            started: started(pid).ok()??,
        })
    }

    /// Whether it has certainly ended.
    pub(super) fn is_gone(&self) -> bool {
        let here = rustix::system::uname();
        let Some(boot) = boot() else { return false };
        if here.nodename().to_string_lossy() != self.host {
            // Another machine that has the same home folder.
            return false;
        }
        boot != self.boot
            || match started(self.pid) {
                Ok(started) => started != Some(self.started),
                Err(error) => error.kind() == ErrorKind::NotFound,
            }
    }
}

fn boot() -> Option<String> {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(id.trim().to_owned())
}

/// When a process was started; none if it has ended and only its parent hasn't looked yet.
fn started(pid: u32) -> std::io::Result<Option<u64>> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The program's name is in brackets and may hold anything, brackets too.
    let after = stat.rsplit(')').next().unwrap_or_default();
    let mut fields = after.split_ascii_whitespace();
    let ended = matches!(fields.next(), Some("Z" | "X") | None);
    let started = fields.nth(18).and_then(|ticks| ticks.parse().ok());
    Ok(started.filter(|_| !ended))
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_process_is_there_until_it_is_killed_and_its_number_is_not_its_name() {
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let owner = Owner::of(child.id()).unwrap();
        assert!(!owner.is_gone());
        assert!(!Owner::this().unwrap().is_gone());
        let other = Owner {
            started: owner.started + 1,
            ..owner.clone()
        };
        assert!(other.is_gone(), "another process has its number");
        let elsewhere = Owner {
            host: "another".to_owned(),
            boot: "another".to_owned(),
            ..owner.clone()
        };
        assert!(!elsewhere.is_gone(), "nobody here can tell");
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(owner.is_gone());
    }
}
