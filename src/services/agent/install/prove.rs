//! The proof of an installation: the reload command succeeds, and every handshake shows the certificate.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::clients::tls_look::{Effort, Seen, look};
use crate::clients::tls_probe::probe;
use crate::services::agent::host::Host;
use crate::services::agent::reload::{self, ReloadFailure};

/// The first pause between two attempts at a handshake; each further one doubles it.
const FIRST_PAUSE: Duration = Duration::from_millis(25);
/// No pause between two attempts is longer.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// Runs the reload command, where there is one.
pub(super) async fn run_reload(host: &Host) -> Result<(), ReloadFailure> {
    match &host.config.reload {
        Some(command) => reload::run(command, host.config.reload_timeout()).await,
        None => Ok(()),
    }
}

/// What is to be shown to whom.
pub(super) struct Wanted<'a> {
    /// The name to ask for.
    pub(super) server_name: Option<&'a str>,
    /// The fingerprint to be shown.
    pub(super) fingerprint: &'a str,
}

/// Shakes hands at `address` until the certificate is served by all that answer there: a server may take a moment
/// after its reload command returned, and its workers may take turns.
pub(super) async fn wait_served(
    host: &Host,
    address: &str,
    wanted: &Wanted<'_>,
    limit: Duration,
    effort: Effort,
) -> Result<(), String> {
    let until = Instant::now() + limit;
    let mut pause = FIRST_PAUSE;
    let mut effort = effort;
    let mut counted = None;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let attempt = host.config.handshake_attempt().min(left);
        let seen = match disagreement(host, address, wanted, attempt, effort).await {
            Disagreement::None => return Ok(()),
            Disagreement::All(seen) => seen,
            Disagreement::Some(seen) => {
                // Who looks again and again gets lucky: what was once seen has to be missed by more.
                effort = effort.doubled();
                counted = Some(seen.clone());
                seen
            }
        };
        if until.saturating_duration_since(Instant::now()) <= pause {
            // A single connection says less than a count.
            let seen = counted.unwrap_or(seen);
            return Err(format!("{seen}, {} s after the reload", limit.as_secs()));
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// What is still not as it should be.
enum Disagreement {
    None,
    Some(String),
    All(String),
}

/// Many connections are made only once a first one shows the right certificate.
async fn disagreement(
    host: &Host,
    address: &str,
    wanted: &Wanted<'_>,
    limit: Duration,
    effort: Effort,
) -> Disagreement {
    let expected = [wanted.fingerprint.to_owned()];
    match probe(address, wanted.server_name, limit).await {
        Ok(served) if served.fingerprint_sha256.eq_ignore_ascii_case(wanted.fingerprint) => {}
        Ok(served) => {
            return Disagreement::All(format!(
                "`{address}` serves another certificate for `{}`: `{}` (`{}`, until {})",
                wanted.server_name.unwrap_or(address),
                served.fingerprint_sha256,
                served.subject,
                served.not_after
            ));
        }
        Err(failure) => return Disagreement::All(failure.to_string()),
    }
    let seen = look(address, wanted.server_name, limit, effort).await;
    match seen.and_then(|look| Seen::of(look, &expected, &[], host.clock.now())) {
        Ok(seen) => seen
            .disagreement(address)
            .map_or(Disagreement::None, Disagreement::Some),
        Err(failure) => Disagreement::Some(failure.to_string()),
    }
}
