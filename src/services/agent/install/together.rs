//! Installations that arrived together: staged and swapped beside each other, reloaded once, proven each by its own
//! handshakes. What isn't proven goes back alone. One whose file system hangs is waited for by nobody.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use futures::stream::StreamExt;
use tokio::sync::mpsc::Sender;
use tokio::time::{Instant, timeout_at};

use super::place::{Placed, go_back, keep, put_in_place};
use super::prove::{Wanted, run_reload, wait_served};
use super::{At, InstallFailure, InstallStep, Wish, done, failed};
use crate::clients::tls_look::Effort;
use crate::services::agent::host::Host;
use crate::services::agent::managed::ManagedPath;
use crate::services::agent::report;
use crate::wire::agents::JobResult;

/// How long those that are in place wait for others to share their reload with.
const TOGETHER: Duration = Duration::from_secs(1);
/// Sets that are staged at a time.
const AT_ONCE: usize = 64;

/// A wish by its place in the row, and how it ends; with room for all of the row.
type Ended = Sender<(usize, JobResult)>;

/// An installation under way.
struct Under {
    index: usize,
    wish: Wish,
    placed: Placed,
}

/// Installs all, and says of each how it ended as soon as that is known.
pub(in crate::services::agent) async fn install_all(host: &Arc<Host>, wishes: Vec<Wish>, ended: &Ended) {
    let _one_row_at_a_time = host.installing.lock().await;
    let mut waiting: Vec<(usize, Wish)> = wishes.into_iter().enumerate().collect();
    while !waiting.is_empty() {
        // What shares its files with an earlier one comes after it.
        let mut taken = BTreeSet::new();
        let (now, later) = waiting.into_iter().partition(|(_, wish)| {
            taken.len() < AT_ONCE && taken.insert(Path::new(&wish.path).with_extension(""))
        });
        waiting = later;
        one_row(host, now, ended).await;
    }
}

#[expect(
    clippy::disallowed_types,
    reason = "what stands still meanwhile is no work, which goes on in threads of its own, but who hears of its end"
)]
async fn one_row(host: &Arc<Host>, wishes: Vec<(usize, Wish)>, ended: &Ended) {
    let mut placing: futures::stream::FuturesUnordered<_> = wishes
        .into_iter()
        .map(|(index, wish)| async move {
            let placed = put_in_place(host, &wish).await;
            (index, wish, placed)
        })
        .collect();
    while let Some(first) = placing.next().await {
        let mut row = vec![first];
        let until = Instant::now() + TOGETHER;
        while let Ok(Some(next)) = timeout_at(until, placing.next()).await {
            row.push(next);
        }
        let mut under = Vec::new();
        for (index, wish, placed) in row {
            match placed {
                Ok(placed) => under.push(Under { index, wish, placed }),
                Err(failure) => say(ended, index, not_placed(host, &wish, &failure).await),
            }
        }
        settle(host, under, ended).await;
    }
}

/// One reload for all; what it spoils for all is tried again one by one, which finds the one that spoils it.
async fn settle(host: &Arc<Host>, under: Vec<Under>, ended: &Ended) {
    if under.is_empty() {
        return;
    }
    let reloaded = run_reload(host).await;
    if reloaded.is_ok() || under.len() == 1 {
        return conclude(host, under, reloaded.at(InstallStep::Reload), ended).await;
    }
    tracing::warn!(
        "the reload failed for {} installations together: each is tried by itself",
        under.len()
    );
    let back = under.iter().map(|it| go_back(host, it.placed.clone()));
    join_all(back).await;
    for Under { index, wish, .. } in under {
        match put_in_place(host, &wish).await {
            Err(failure) => say(ended, index, not_placed(host, &wish, &failure).await),
            Ok(placed) => {
                let reloaded = run_reload(host).await.at(InstallStep::Reload);
                conclude(host, vec![Under { index, wish, placed }], reloaded, ended).await;
            }
        }
    }
}

async fn conclude(host: &Arc<Host>, under: Vec<Under>, reloaded: Result<(), InstallFailure>, ended: &Ended) {
    let bad = match reloaded {
        Err(failure) => under.into_iter().map(|it| (it, failure.clone())).collect(),
        Ok(()) => {
            let proofs = under.into_iter().map(|it| async {
                match prove(host, &it).await {
                    Ok(()) => {
                        say(ended, it.index, finish(host, it).await);
                        None
                    }
                    Err(failure) => Some((it, failure)),
                }
            });
            join_all(proofs).await.into_iter().flatten().collect()
        }
    };
    take_back(host, bad, ended).await;
}

async fn prove(host: &Host, it: &Under) -> Result<(), InstallFailure> {
    let Some(address) = &host.config.tls_address else {
        return Ok(());
    };
    let wanted = Wanted {
        server_name: it.placed.server_name.as_deref(),
        fingerprint: &it.wish.fingerprint_sha256,
    };
    let effort = Effort::PROOF.over(host.config.handshake_spread());
    // The time that the look itself takes is not the server's.
    let limit = host.config.handshake_timeout() + host.config.handshake_spread();
    wait_served(host, address, &wanted, limit, effort)
        .await
        .at(InstallStep::Handshake)
}

async fn finish(host: &Host, it: Under) -> JobResult {
    let Under { wish, placed, .. } = it;
    if let Err(error) = keep(host, placed).await {
        // It is served; that old generations stay is for the log.
        tracing::warn!(path = %wish.path, %error, "the previous generations could not be tidied up");
    }
    tracing::info!(path = %wish.path, fingerprint = %wish.fingerprint_sha256, "installed `{}`", wish.path);
    done(report::look(host, &wish.path).await)
}

async fn not_placed(host: &Host, wish: &Wish, failure: &InstallFailure) -> JobResult {
    let installation = match failure.step {
        InstallStep::Path => None,
        _ => Some(report::look(host, &wish.path).await),
    };
    failed(failure, false, installation)
}

/// Puts the previous sets back, reloads once, and tells what is there then.
async fn take_back(host: &Arc<Host>, bad: Vec<(Under, InstallFailure)>, ended: &Ended) {
    if bad.is_empty() {
        return;
    }
    let mut back = Vec::new();
    let mut any = false;
    for (it, mut failure) in bad {
        let (moved, is_back) = match go_back(host, it.placed.clone()).await {
            Ok(moved) => (moved, moved || it.placed.is_same),
            Err(error) => {
                failure.what = format!("{}; the way back failed too: {error}", failure.what);
                (false, false)
            }
        };
        let before = report::on_disk_now(host, &it.wish.path).await.ok();
        if let (true, Some(before)) = (moved, &before) {
            remember(host, &it.wish.path, before);
        }
        back.push((it, failure, before.filter(|_| moved), is_back));
        any |= moved;
    }
    let reloaded = if any { run_reload(host).await } else { Ok(()) };
    let told = back.into_iter().map(|(it, mut failure, before, is_back)| {
        let reloaded = &reloaded;
        async move {
            if let Some(before) = &before {
                // With nothing to go back to there may be nothing that the command could load.
                if let Err(error) = reloaded {
                    failure.what = format!("{}; with the previous set back, {error}", failure.what);
                }
                if let Some(address) = &host.config.tls_address {
                    let wanted = Wanted {
                        server_name: before.server_name.as_deref(),
                        fingerprint: &before.fingerprint,
                    };
                    let limit = host.config.handshake_attempt();
                    // Only so that the look below finds it settled; what is served then is reported as it is.
                    let _ = wait_served(host, address, &wanted, limit, Effort::ROUTINE).await;
                }
            }
            let now = report::look(host, &it.wish.path).await;
            say(ended, it.index, failed(&failure, is_back, Some(now)));
        }
    });
    join_all(told).await;
}

fn remember(host: &Host, path: &str, there: &report::OnDisk) {
    let now = ManagedPath {
        spki_sha256: there.spki_sha256.clone().unwrap_or_default(),
        fingerprint_sha256: there.fingerprint.clone(),
    };
    if let Err(error) = host.managed.set(path, now) {
        tracing::warn!(path, %error, "what is back at `{path}` could not be noted");
    }
}

fn say(ended: &Ended, index: usize, result: JobResult) {
    // Nobody hears it when the agent stops.
    let _ = ended.try_send((index, result));
}
