//! A night's worth of real trouble: fills an empty state directory with a fleet and its history. All
//! signatures are the CA's, all keys are real, all rows go through the store's own functions.
//!
//! Two things go on at once, because two seconds are all the time there is: the CA signs the past in
//! order, and what it signed is booked and installed meanwhile.

mod book;
mod ca;
mod history;
mod hosts;
mod keys;

use std::sync::Arc;

use chrono::{DateTime, Duration, Utc};
use tokio::sync::mpsc;

use super::error::PlatformError;
use super::fleet::{HOSTS, Presence, Trouble};
use super::layout::{HostPlace, Layout};
use super::secrets::DemoSecrets;
use crate::clock::Clock;
use crate::domain::certificate::Certificate;
use crate::domain::role::Role;
use crate::domain::secret::Secret;
use crate::domain::x509;
use crate::services::issuer::adapters::{SignedCertificate, vault_pki};
use crate::services::vault::Vault;
use crate::store::{Store, tokens};

use book::{Book, Enrolled};
use ca::{Ca, Ceremony};
use history::History;
use keys::MadeKey;

pub(super) use ca::{MOUNT, ROLE, TEST_ROLE};

/// How the adapter of the demo is configured.
pub(super) fn adapter_config(vault_address: &str) -> vault_pki::Config {
    vault_pki::Config {
        address: vault_address.to_owned(),
        mount: MOUNT.to_owned(),
        role: ROLE.to_owned(),
        ttl: None,
        ca: None,
        namespace: None,
        crl: true,
    }
}

/// What is left to do once the servers serve what is on disk.
pub(super) struct Afterwards(Vec<hosts::Set>);

impl Afterwards {
    /// Renews on disk what is still served old.
    pub(super) fn carry_out(self) -> Result<(), PlatformError> {
        self.0.iter().try_for_each(hosts::Set::install)
    }
}

/// Fills the state. Store and Vault have clocks of their own, which follow the system afterwards.
pub(super) async fn fill(
    layout: &Layout,
    places: &[HostPlace],
    store: &Store,
    vault: Vault,
    vault_clock: Clock,
    now: DateTime<Utc>,
) -> Result<(DemoSecrets, Afterwards), PlatformError> {
    let history = Arc::new(history::history(now));
    let making = {
        let history = Arc::clone(&history);
        tokio::task::spawn_blocking(move || keys::make_all(&history.keys))
    };
    let establishing = Ca::establish(vault, vault_clock, ca::founded(now), &layout.vault_address);
    let (ca, ceremony) = establishing.await?;
    let keys = making
        .await
        .map_err(|error| PlatformError::Part(error.to_string()))??;
    let keys = Arc::new(keys);

    let (signed_tx, signed_rx) = mpsc::channel(16);
    let signing = tokio::spawn(sign_all(ca, Arc::clone(&history), Arc::clone(&keys), signed_tx));
    let booked = book_all(layout, places, store, &history, &keys, signed_rx, now).await;
    let ca_pem = signing
        .await
        .map_err(|error| PlatformError::Part(error.to_string()))?;
    // When signing failed, booking ended early because of it.
    let ca_pem = ca_pem?;
    let (operator_token, viewer_token, afterwards) = booked?;
    std::fs::write(layout.ca_chain(), ca_pem).map_err(PlatformError::io("writing the CA's chain"))?;

    let Ceremony {
        root_token,
        issuer_token,
        console_token,
        unseal_keys,
        unseal_threshold,
    } = ceremony;
    let secrets = DemoSecrets {
        vault_root_token: root_token,
        issuer_token,
        console_token,
        unseal_keys,
        unseal_threshold,
        operator_token,
        viewer_token,
    };
    secrets
        .save(&layout.root)
        .map_err(PlatformError::io("writing the demo's secrets"))?;
    Ok((secrets, afterwards))
}

/// What the CA did, in the order of the history: all certificates, then all requests.
enum Answer {
    Signed(SignedCertificate),
    Refused(String),
    Waiting,
}

async fn sign_all(
    ca: Ca,
    history: Arc<History>,
    keys: Arc<Vec<MadeKey>>,
    answers: mpsc::Sender<Answer>,
) -> Result<String, PlatformError> {
    let mut serials = Vec::with_capacity(history.certificates.len());
    for certified in &history.certificates {
        let names = certified.site().names();
        let csr = keys[certified.key]
            .csr_for(&names)
            .map_err(|error| PlatformError::Part(format!("a certificate can't be asked for: {error}")))?;
        let signed = ca.sign(certified.at, &csr, &names).await?;
        let signed = signed.map_err(|words| PlatformError::Vault {
            doing: "signing the fleet's certificates",
            words,
        })?;
        serials.push(
            x509::read(&signed.pem)
                .map(|read| read.serial)
                .unwrap_or_default(),
        );
        if let Some(old) = certified
            .replaces
            .filter(|old| history.certificates[*old].revoked)
        {
            ca.revoke(certified.at, &serials[old]).await?;
        }
        if answers.send(Answer::Signed(signed)).await.is_err() {
            break;
        }
    }
    for asked in &history.requests {
        let answer = if asked.refused {
            match ca.sign(asked.at, &keys[asked.key].csr_pem, &asked.names).await? {
                Err(words) => Answer::Refused(words),
                Ok(_) => {
                    return Err(PlatformError::Part(
                        "the CA signed what its role forbids".to_owned(),
                    ));
                }
            }
        } else {
            Answer::Waiting
        };
        if answers.send(answer).await.is_err() {
            break;
        }
    }
    ca.seal().await
}

async fn book_all(
    layout: &Layout,
    places: &[HostPlace],
    store: &Store,
    history: &History,
    keys: &[MadeKey],
    mut answers: mpsc::Receiver<Answer>,
    now: DateTime<Utc>,
) -> Result<(Secret, Secret, Afterwards), PlatformError> {
    let mistake = PlatformError::store("writing the fleet's history");
    let result = async {
        let (operator, viewer) = (tokens::mint()?, tokens::mint()?);
        let people = [
            ("operator", Role::Operator, &operator),
            ("viewer", Role::Viewer, &viewer),
        ];
        let since = now - Duration::days(400);
        let config = adapter_config(&layout.vault_address);
        let book = Book::open(store.clone(), since, &config, &people).await?;
        let bodies: Vec<_> = places.iter().map(HostPlace::enrol_body).collect();
        let enrolled = book.enrol(since + Duration::hours(2), &bodies).await?;
        let mut certificates: Vec<Certificate> = Vec::with_capacity(history.certificates.len());
        for certified in &history.certificates {
            let Some(Answer::Signed(signed)) = answers.recv().await else {
                return Ok(None);
            };
            let old = certified.replaces.map(|old| &certificates[old]);
            let path = places[certified.host].path_of(certified.site());
            let agent = &enrolled[certified.host].agent;
            let key = &keys[certified.key];
            let new = book.issued(certified, agent, &path, key, &signed, old).await?;
            if let Some(old) = certified
                .replaces
                .filter(|old| history.certificates[*old].revoked)
            {
                book.revoked(certified.at, &certificates[old]).await?;
            }
            certificates.push(new);
        }
        for asked in &history.requests {
            let certified = &history.certificates[asked.replaces];
            let path = places[certified.host].path_of(certified.site());
            let refusal = match answers.recv().await {
                Some(Answer::Refused(words)) => Some(words),
                Some(Answer::Waiting) => None,
                Some(Answer::Signed(_)) | None => return Ok(None),
            };
            let agent = &enrolled[certified.host].agent;
            let replaces = &certificates[asked.replaces];
            let key = &keys[asked.key];
            book.asked(asked, agent, &path, key, replaces, refusal.as_deref())
                .await?;
        }
        book.sealed(now - Duration::minutes(25)).await?;
        Ok(Some((operator, viewer, book, enrolled, certificates)))
    };
    let Some((operator, viewer, book, enrolled, certificates)) = result.await.map_err(mistake)? else {
        return Err(PlatformError::Part("the CA stopped signing".to_owned()));
    };
    let afterwards = furnish(places, history, keys, &enrolled, &certificates, now)?;
    for (host, place) in HOSTS.iter().zip(places) {
        let enrolled = &enrolled[place.index];
        let report = hosts::report(place, history, keys, &certificates);
        let at = last_checkin(host.presence, place.index, now);
        book.checked_in(at, &enrolled.agent, &report)
            .await
            .map_err(PlatformError::store("recording the agents' check-ins"))?;
    }
    book.close();
    Ok((operator, viewer, afterwards))
}

/// Fills the hosts' directories. Returns what is to be renewed on disk later.
fn furnish(
    places: &[HostPlace],
    history: &History,
    keys: &[MadeKey],
    enrolled: &[Enrolled],
    certificates: &[Certificate],
    now: DateTime<Utc>,
) -> Result<Afterwards, PlatformError> {
    let mut afterwards = Vec::new();
    for (host, place) in HOSTS.iter().zip(places) {
        if host.presence == Presence::Gone {
            continue;
        }
        let is_here = |i: usize| history.certificates[i].host == place.index;
        let mut sets = Vec::new();
        for i in (0..certificates.len()).filter(|i| is_here(*i)) {
            let certified = &history.certificates[i];
            let set = hosts::Set::of(place, certified, &keys[certified.key], &certificates[i]);
            match (certified.past, certified.site().trouble) {
                // Its successor goes over it once the server has loaded it.
                (true, Trouble::NotReloaded) => sets.push(set),
                (false, Trouble::NotReloaded) => afterwards.push(set),
                (true, _) => {}
                (false, _) => sets.push(set),
            }
        }
        let waiting = history.requests.iter().filter(|asked| is_here(asked.replaces));
        let further: Vec<&MadeKey> = waiting.map(|asked| &keys[asked.key]).collect();
        hosts::furnish(place, host.presence, &enrolled[place.index], &sets, &further, now)?;
    }
    for set in &afterwards {
        set.keep_key()?;
    }
    Ok(Afterwards(afterwards))
}

fn last_checkin(presence: Presence, index: usize, now: DateTime<Utc>) -> DateTime<Utc> {
    match presence {
        Presence::Reports => now - Duration::seconds(i64::try_from(index).unwrap_or(0)),
        Presence::BackedOff => now - Duration::hours(5) - Duration::minutes(12),
        Presence::Gone => now - Duration::hours(50),
    }
}
