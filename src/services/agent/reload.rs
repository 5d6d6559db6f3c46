//! The command that makes a server load new files: the configured one, as an array, never a shell,
//! never the platform's. At its time limit its whole process group is killed.

use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;
use tokio::time::timeout;

/// So much of what it writes to stderr is kept.
const MAX_STDERR_BYTES: usize = 4096;
/// So long a grandchild may keep stderr open after the command itself has ended.
const STDERR_GRACE: Duration = Duration::from_millis(250);

/// Why a reload did not succeed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ReloadFailure {
    /// It could not be started.
    #[error("the reload command `{program}` can't be started: {why}")]
    Start {
        /// The program.
        program: String,
        /// Why.
        why: String,
    },
    /// It said no.
    #[error("the reload command `{program}` ended with {status}{}", said(stderr))]
    Ended {
        /// The program.
        program: String,
        /// Its exit status or signal.
        status: String,
        /// What it wrote to stderr, cut.
        stderr: String,
    },
    /// It took too long.
    #[error("the reload command `{program}` was killed after {limit_s} s{}", said(stderr))]
    Limit {
        /// The program.
        program: String,
        /// The limit.
        limit_s: u64,
        /// What it wrote to stderr, cut.
        stderr: String,
    },
}

/// Runs the command and waits for its success, at most `limit`.
pub(super) async fn run(command: &[String], limit: Duration) -> Result<(), ReloadFailure> {
    let Some((program, arguments)) = command.split_first() else {
        return Ok(());
    };
    let unstarted = |why: String| ReloadFailure::Start {
        program: program.clone(),
        why,
    };
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        // A group of its own, so that what it starts ends with it.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| unstarted(error.to_string()))?;
    let group = Group(
        child
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .and_then(Pid::from_raw),
    );
    let mut pipe = child.stderr.take();
    let mut stderr = Vec::new();
    let ended = {
        let reading = read_capped(&mut pipe, &mut stderr);
        let waiting = async {
            let status = child.wait().await;
            // Dropping `reading` below must not lose what was written just before the end.
            status
        };
        tokio::pin!(reading);
        tokio::pin!(waiting);
        let both = async {
            tokio::select! {
                status = &mut waiting => {
                    let _ = timeout(STDERR_GRACE, &mut reading).await;
                    status
                }
                () = &mut reading => waiting.await,
            }
        };
        timeout(limit, both).await
    };
    let stderr = String::from_utf8_lossy(&stderr).trim().to_owned();
    match ended {
        Err(_) => {
            drop(group);
            // Reaped, so that no zombie stays behind.
            let _ = child.wait().await;
            Err(ReloadFailure::Limit {
                program: program.clone(),
                limit_s: limit.as_secs(),
                stderr,
            })
        }
        Ok(Err(error)) => Err(unstarted(error.to_string())),
        Ok(Ok(status)) => {
            // A daemon that it started on purpose stays.
            group.release();
            if status.success() {
                Ok(())
            } else {
                Err(ReloadFailure::Ended {
                    program: program.clone(),
                    status: status.to_string(),
                    stderr,
                })
            }
        }
    }
}

/// Reads to the end so that the writer never blocks, and keeps only the beginning.
async fn read_capped(pipe: &mut Option<impl AsyncRead + Unpin>, kept: &mut Vec<u8>) {
    let Some(pipe) = pipe else { return };
    let mut piece = [0; 1024];
    while let Ok(n) = pipe.read(&mut piece).await {
        let Some(read) = piece.get(..n).filter(|read| !read.is_empty()) else {
            return;
        };
        let room = MAX_STDERR_BYTES.saturating_sub(kept.len()).min(read.len());
        kept.extend(read.iter().take(room));
    }
}

/// Kills the process group when dropped, also when the agent is stopped in the middle.
struct Group(Option<Pid>);

impl Group {
    fn release(mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(pid) = self.0 {
            // Already gone is as good.
            let _ = kill_process_group(pid, Signal::KILL);
        }
    }
}

fn said(stderr: &str) -> String {
    if stderr.is_empty() {
        ", without a word on stderr".to_owned()
    } else {
        format!(": {stderr}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    fn shell(script: &str) -> Vec<String> {
        ["/bin/sh", "-c", script].map(str::to_owned).to_vec()
    }

    #[tokio::test]
    async fn what_it_says_is_kept_and_cut() {
        assert_eq!(run(&shell("exit 0"), LIMIT).await, Ok(()));
        assert_eq!(run(&[], LIMIT).await, Ok(()));
        let failed = run(&shell("echo 'nginx: bad key' >&2; exit 3"), LIMIT)
            .await
            .unwrap_err();
        assert!(
            failed.to_string().ends_with("exit status: 3: nginx: bad key"),
            "{failed}"
        );
        let Err(ReloadFailure::Ended { stderr, .. }) =
            run(&shell("head -c 100000 /dev/zero | tr '\\0' x >&2; exit 1"), LIMIT).await
        else {
            panic!("it exits with 1");
        };
        assert_eq!(stderr.len(), MAX_STDERR_BYTES);
        assert!(matches!(
            run(&["/no/such/program".to_owned()], LIMIT).await,
            Err(ReloadFailure::Start { .. })
        ));
    }

    #[tokio::test]
    async fn at_the_limit_the_whole_group_is_killed() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("pid");
        let script = format!("sleep 60 & echo $! > {}; echo waiting >&2; wait", file.display());
        let limit = Duration::from_secs(1);
        let Err(ReloadFailure::Limit { stderr, .. }) = run(&shell(&script), limit).await else {
            panic!("it is killed");
        };
        assert_eq!(stderr, "waiting");
        let pid = std::fs::read_to_string(&file).unwrap();
        let state = format!("/proc/{}/stat", pid.trim());
        let gone = || std::fs::read_to_string(&state).map_or(true, |stat| stat.contains(") Z "));
        timeout(LIMIT, async {
            while !gone() {
                tokio::task::yield_now().await;
            }
        })
        .await
        .unwrap();
    }

    #[tokio::test]
    async fn a_daemon_that_keeps_stderr_does_not_hold_us_up() {
        let script = "setsid sleep 5 & exit 0";
        let started = std::time::Instant::now();
        assert_eq!(run(&shell(script), LIMIT).await, Ok(()));
        assert!(started.elapsed() < Duration::from_secs(4));
    }
}
