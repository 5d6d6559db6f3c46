//! Secrets that a command prints, such as a password manager's.

use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::process::Command;
use zeroize::Zeroize;

use super::bare;
use super::error::{Said, SecretError};
use crate::domain::key_material::material_in;
use crate::domain::plain::plain;
use crate::domain::secret::Secret;

/// A command that takes longer is ended: a password manager may wait for somebody to touch a key, not for ever.
pub(super) const COMMAND_LIMIT: Duration = Duration::from_secs(30);
/// Characters that are told of a command's stderr: of its end, where commands say why.
const TOLD: usize = 120;

/// No shell, no terminal, and a process group of its own: it can neither ask on the console's terminal nor
/// be hit by its keys.
pub(super) async fn of_command(words: &[String], limit: Duration) -> Result<Secret, SecretError> {
    let (program, arguments) = words
        .split_first()
        .map_or(("", &[][..]), |(p, a)| (p.as_str(), a));
    let child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn();
    let not_started = |error: io::Error| SecretError::NotStarted {
        program: program.to_owned(),
        why: error.to_string(),
    };
    let child = child.map_err(not_started)?;
    let group = child.id().and_then(|id| i32::try_from(id).ok());
    let Ok(output) = tokio::time::timeout(limit, child.wait_with_output()).await else {
        // Processes that it started end with it.
        if let Some(group) = group.and_then(rustix::process::Pid::from_raw) {
            let _gone = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
        return Err(SecretError::TooSlow {
            program: program.to_owned(),
            limit,
        });
    };
    let mut output = output.map_err(not_started)?;
    let text = std::str::from_utf8(&output.stdout).map(bare);
    let failed = |how: String| SecretError::Failed {
        program: program.to_owned(),
        how,
        said: end_of(&output.stderr),
    };
    let secret = match (output.status.success(), text) {
        (true, Ok(secret)) => Ok(secret),
        (true, Err(_)) => Err(failed("gave something that is no text".to_owned())),
        (false, _) => Err(failed(how_ended(output.status))),
    };
    output.stdout.zeroize();
    secret
}

fn how_ended(status: ExitStatus) -> String {
    match status.code() {
        Some(code) => format!("ended with exit code {code}"),
        None => format!("was ended ({status})"),
    }
}

/// The end of it in one line, without anything that would steer a terminal; nothing of it where it may hold a secret.
fn end_of(stderr: &[u8]) -> Said {
    let text = String::from_utf8_lossy(stderr);
    let line = plain(&text.split_whitespace().collect::<Vec<_>>().join(" "));
    if line.is_empty() {
        return Said::Nothing;
    }
    // Each word too: a token in the middle of a sentence is one all the same.
    if material_in(&text).is_some() || text.split_whitespace().any(|word| material_in(word).is_some()) {
        return Said::Secret;
    }
    match line.chars().count().checked_sub(TOLD) {
        None | Some(0) => Said::All(line),
        Some(more) => Said::End(format!("…{}", line.chars().skip(more + 1).collect::<String>())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn of_its_stderr_nothing_is_told_that_may_be_a_secret_and_no_more_than_a_line() {
        let told = async |script: &str| {
            let words = ["sh", "-c", script].map(str::to_owned);
            of_command(&words, COMMAND_LIMIT).await.unwrap_err().to_string()
        };
        let key = rcgen::KeyPair::generate().unwrap().serialize_pem();
        let token = "hvs.CAESIJ1kQm8vXw3n5Tz0pQ7rYbLs2dHc9fGe4aUiOoPpMmNn";
        for secret in [key.as_str(), token] {
            let error = told(&format!("echo 'tried with {secret} in vain' >&2; exit 3")).await;
            assert!(
                error.contains("exit code 3") && error.contains("may hold a secret"),
                "{error}"
            );
            for line in secret.lines() {
                assert!(!error.contains(line), "{error}");
            }
        }
        let error = told("for n in $(seq 400); do echo line $n >&2; done; exit 4").await;
        assert!(
            error.contains("exit code 4") && error.contains("line 400"),
            "{error}"
        );
        assert!(
            !error.contains("line 300") && error.contains("run it by hand"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn a_command_that_hangs_is_ended_with_what_it_started() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
        assert!(made.success());
        // The inner one holds the pipe open for as long as it lives.
        let script = format!("sleep 1000 <> {} & wait", pipe.display());
        let words = ["sh", "-c", &script].map(str::to_owned);
        let error = of_command(&words, Duration::from_millis(300)).await.unwrap_err();
        assert!(matches!(error, SecretError::TooSlow { .. }), "{error}");
        // Without a reader, opening it for writing fails at once.
        let writer = async {
            loop {
                let flags = rustix::fs::OFlags::WRONLY | rustix::fs::OFlags::NONBLOCK;
                match rustix::fs::open(&pipe, flags, rustix::fs::Mode::empty()) {
                    Err(rustix::io::Errno::NXIO) => return,
                    _ => tokio::task::yield_now().await,
                }
            }
        };
        assert!(
            tokio::time::timeout(Duration::from_secs(20), writer)
                .await
                .is_ok()
        );
    }
}
