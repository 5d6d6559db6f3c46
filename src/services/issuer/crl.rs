//! The proof of revocations: fetches the CRLs and records which serials are in them. It revokes
//! nothing.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::try_join_all;
use tokio::time::Instant;

use super::Issuer;
use super::adapters::Published;
use crate::clients::crl::{Crl, Says, fetch, handed_out};
use crate::domain::adapter::Adapter as AdapterRow;
use crate::domain::certificate::Certificate;
use crate::domain::x509;
use crate::store::{StoreError, Work, adapters as rows, apart, certificates, revocation};

/// How many certificates are looked for at once.
const AT_ONCE: u32 = 500;
/// Between two looks at a CRL that lacks what it should hold, at first and at most. A CA may rebuild
/// its CRL only every quarter of an hour, and a CRL may be large.
pub(super) const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(120);

/// When to look next.
pub(super) struct Watch {
    due: Instant,
    pause: Duration,
    /// The last look found less than it looked for.
    in_vain: bool,
}

impl Default for Watch {
    fn default() -> Self {
        Self {
            due: Instant::now(),
            pause: FIRST,
            in_vain: false,
        }
    }
}

impl Watch {
    /// The CA accepted a revocation: look at once.
    pub(super) fn expect_news(&mut self) {
        *self = Self::default();
    }

    /// How long until there is something to look for, `period` at most.
    pub(super) fn next_look(&self, period: Duration) -> Duration {
        match self.in_vain {
            true => self.due.saturating_duration_since(Instant::now()).min(period),
            false => period,
        }
    }

    fn looked_in_vain(&mut self) {
        self.in_vain = true;
        self.due = Instant::now() + self.pause;
        self.pause = (self.pause * 2).min(LONGEST);
    }
}

impl Issuer {
    /// Looks for revoked certificates that no CRL was seen to hold yet.
    pub(super) async fn look_into_crls(&self, watch: &mut Watch) -> Result<(), StoreError> {
        if watch.due > Instant::now() {
            return Ok(());
        }
        let adapters = rows::all(&mut self.store.read().await?).await?;
        // Beside each other, since none is to wait for another's CA.
        let looks = adapters
            .iter()
            .filter(|row| row.does_more_than_sign())
            .map(|row| apart(self.look_into_crl_of(row)));
        let is_missing = try_join_all(looks).await?.contains(&true);
        if is_missing {
            watch.looked_in_vain();
        } else {
            // Nothing is missing; the next acceptance, or another process's, is seen within a period.
            *watch = Watch::default();
        }
        Ok(())
    }

    /// Looks into the CRL of one CA; whether something is missing there.
    async fn look_into_crl_of(&self, row: &AdapterRow) -> Result<bool, StoreError> {
        let mut conn = self.store.ask(Work::Background).await?;
        let wanted = certificates::revoked_not_in_crl(&mut conn, Some(&row.id), AT_ONCE).await?;
        drop(conn);
        if wanted.is_empty() {
            return Ok(false);
        }
        let Some(adapter) = self.roster.adapter(row) else {
            return Ok(true);
        };
        match adapter.capabilities().await {
            Ok(can) if can.crl == Published::Never => {
                return Ok(self.look_where_they_say(&wanted).await? < wanted.len());
            }
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(adapter = %row.name, %error, "what the CA can do is not known");
                return Ok(true);
            }
        }
        let crl = match adapter.crl().await {
            Ok(bytes) => handed_out(&bytes),
            Err(error) => Err(error.to_string()),
        };
        match crl {
            Ok(crl) => Ok(self.record_listed(&wanted, &crl).await? < wanted.len()),
            Err(error) => {
                tracing::warn!(adapter = %row.name, error, "the CRL can't be read");
                Ok(true)
            }
        }
    }

    async fn record_listed<C: Borrow<Certificate>>(
        &self,
        wanted: &[C],
        crl: &Crl,
    ) -> Result<usize, StoreError> {
        let listed: Vec<&Certificate> = wanted
            .iter()
            .map(Borrow::borrow)
            .filter(|it| it.issuer == crl.issuer && crl.lists(&it.serial))
            .collect();
        if listed.is_empty() {
            return Ok(0);
        }
        let mut tx = self.store.begin_behind().await?;
        let now = tx.now();
        let mut found = 0;
        for certificate in listed {
            // Two CAs may have one name, so that each is asked for with the chain that is kept with it.
            let certificate = certificates::existing(&mut tx, &certificate.id).await?;
            match crl.says(&certificate, now) {
                Says::Listed => {
                    revocation::record_in_crl(&mut tx, &certificate.id, now).await?;
                    found += 1;
                }
                Says::Another | Says::NotListed => {}
                Says::Nothing(why) => {
                    tracing::error!(certificate = %certificate.id, why, "the CRL proves nothing");
                }
            }
        }
        tx.commit().await?;
        Ok(found)
    }

    /// Looks into the CRLs that the certificates themselves name; how many are in them.
    async fn look_where_they_say(&self, wanted: &[Certificate]) -> Result<usize, StoreError> {
        let mut by_url: BTreeMap<String, Vec<&Certificate>> = BTreeMap::new();
        let mut conn = self.store.read().await?;
        for it in wanted {
            let pem = certificates::existing(&mut conn, &it.id).await?.pem;
            if let Some(url) = pem.as_deref().and_then(x509::crl_url) {
                by_url.entry(url).or_default().push(it);
            }
        }
        drop(conn);
        let mut found = 0;
        for (url, wanted) in by_url {
            let crl = match fetch(&url).await {
                Ok(crl) => crl,
                Err(problem) => {
                    tracing::warn!(url, %problem, "the CRL can't be read");
                    continue;
                }
            };
            found += self.record_listed(&wanted, &crl).await?;
        }
        Ok(found)
    }
}
