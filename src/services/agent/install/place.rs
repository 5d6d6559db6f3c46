//! A set brought to its path, and back from it. Each is given a time, since paths may lie on a mount that hangs.

use std::sync::Arc;
use std::time::Duration;

use super::check::{Checked, check};
use super::generations::Generations;
use super::{At, InstallFailure, InstallStep, Target, Wish};
use crate::services::agent::files::FileError;
use crate::services::agent::host::Host;
use crate::services::agent::managed::ManagedPath;
use crate::services::agent::patience::Decision;

/// How long the files of one installation may take.
const LIMIT: Duration = Duration::from_secs(30);

/// A set that is at its path, not proven yet.
#[derive(Clone, Debug)]
pub(super) struct Placed {
    target: Target,
    pub(super) server_name: Option<String>,
    /// True if this very set was there before.
    pub(super) is_same: bool,
}

/// Checks a set and puts it at its path, without reload or handshake.
pub(super) async fn put_in_place(host: &Arc<Host>, wish: &Wish) -> Result<Placed, InstallFailure> {
    let (here, wanted) = (Arc::clone(host), wish.clone());
    host.patience
        .within(&wish.path, LIMIT, move |decision| place(&here, &wanted, decision))
        .await
        .at(InstallStep::Stage)?
}

fn place(host: &Host, wish: &Wish, decision: &Decision) -> Result<Placed, InstallFailure> {
    let target = Target::resolve(&wish.path, &host.config.install_dirs).at(InstallStep::Path)?;
    for (path, _) in host.managed.all() {
        if target.may_clash_with(&path)
            && Target::resolve(&path, &host.config.install_dirs)
                .is_ok_and(|other| other.clashes_with(&target))
        {
            let what = format!(
                "`{}` would share its key file with `{path}`; choose another name",
                wish.path
            );
            return Err(what).at(InstallStep::Path);
        }
    }
    let key = host.keys.find(&wish.spki_sha256).at(InstallStep::Key)?;
    let key = key
        .ok_or_else(|| {
            format!(
                "this agent does not hold the private key `{}` of the certificate; \
                 reissue it for this agent, or install it where its key is",
                wish.spki_sha256
            )
        })
        .at(InstallStep::Key)?;
    let Checked { set, server_name } = check(
        &wish.certificate_pem,
        &wish.chain_pem,
        &wish.fingerprint_sha256,
        &key,
        host.config.layout,
        host.clock.now(),
    )
    .at(InstallStep::Check)?;
    let generations = Generations::open(&target).at(InstallStep::Stage)?;
    generations.adopt().at(InstallStep::Stage)?;
    let staged = match generations.holds(&set).at(InstallStep::Stage)? {
        true => None,
        false => Some(generations.stage_like_current(&set).at(InstallStep::Stage)?),
    };
    if !decision.goes_on() {
        return Err("it took too long: nothing was changed").at(InstallStep::Stage);
    }
    let is_same = staged.is_none();
    match staged {
        None => generations.show().at(InstallStep::Swap)?,
        Some(staged) => {
            if let Err(failure) = generations.swap(&staged).at(InstallStep::Swap) {
                // Whether the links or the disk failed: nothing unproven may stay.
                if let Err(error) = generations.roll_back() {
                    tracing::error!(path = %wish.path, %error, "the way back failed too");
                }
                return Err(failure);
            }
        }
    }
    let now = ManagedPath {
        spki_sha256: wish.spki_sha256.clone(),
        fingerprint_sha256: wish.fingerprint_sha256.clone(),
    };
    host.managed.set(&wish.path, now).at(InstallStep::Swap)?;
    Ok(Placed {
        target,
        server_name,
        is_same,
    })
}

/// Keeps what is proven, and what was there before it.
#[expect(
    clippy::redundant_closure_for_method_calls,
    reason = "the method's path fits one lifetime only"
)]
pub(super) async fn keep(host: &Host, placed: Placed) -> Result<(), String> {
    with_generations(host, placed, |generations| generations.proven()).await
}

/// Goes back to what was proven last; says whether there was a way back.
#[expect(
    clippy::redundant_closure_for_method_calls,
    reason = "the method's path fits one lifetime only"
)]
pub(super) async fn go_back(host: &Host, placed: Placed) -> Result<bool, String> {
    with_generations(host, placed, |generations| generations.roll_back()).await
}

async fn with_generations<T: Send + 'static>(
    host: &Host,
    placed: Placed,
    work: impl FnOnce(&Generations<'_>) -> Result<T, FileError> + Send + 'static,
) -> Result<T, String> {
    let path = placed.target.path.clone();
    host.patience
        .within(&path, LIMIT, move |_| {
            Generations::open(&placed.target).and_then(|generations| work(&generations))
        })
        .await
        .map_err(|unfinished| unfinished.to_string())?
        .map_err(|error| error.to_string())
}
