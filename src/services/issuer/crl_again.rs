//! Second looks into CRLs: what a list held it holds until the certificate ends. A CA whose store was put back to an
//! earlier day, or whoever stands before a CA, shows one without it, and clients take the certificate for good again. When
//! a list ends is put on record with them, so that one that isn't renewed is a finding.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::future::try_join_all;
use tokio::time::Instant;

use super::Issuer;
use crate::clients::crl::{Crl, Says};
use crate::domain::adapter::{Adapter as AdapterRow, Ca};
use crate::store::known_crl::KnownCrl;
use crate::store::{StoreError, Work, adapters as rows, apart, certificates, known_crl, unlisted};

/// Between two looks. A list is read whole then, and compared only if it is another one than the last time.
const PERIOD: Duration = Duration::from_secs(300);
/// Between two looks while a list has ended, or none could be read: the next one is seen soon.
const SOON: Duration = Duration::from_secs(10);
/// Number of certificates that are compared at once.
const AT_ONCE: u32 = 500;

/// The last look at each CA's list, by adapter.
#[derive(Default)]
pub(super) struct Again(BTreeMap<String, Look>);

/// A look at one CA's list.
struct Look {
    at: Instant,
    /// The list that it showed, as far as one was ever read.
    list: Option<List>,
}

/// Marks that tell one list from another, and its end.
#[derive(Clone, Debug, PartialEq, Eq)]
struct List {
    number: Option<String>,
    this_update: DateTime<Utc>,
    next_update: Option<DateTime<Utc>>,
}

impl Again {
    /// True if it is time for another look at this adapter's, at `now`.
    fn is_due(&self, adapter: &str, now: DateTime<Utc>) -> bool {
        let Some(look) = self.0.get(adapter) else {
            return true;
        };
        let is_good = |list: &List| list.next_update.is_none_or(|end| end >= now);
        let pause = match look.list.as_ref().is_some_and(is_good) {
            true => PERIOD,
            false => SOON,
        };
        look.at.elapsed() >= pause
    }

    fn list(&self, adapter: &str) -> Option<&List> {
        self.0.get(adapter)?.list.as_ref()
    }
}

impl Issuer {
    /// Looks whether the CAs' lists still hold what they were seen to hold.
    pub(super) async fn look_into_crls_again(&self, again: &mut Again) -> Result<(), StoreError> {
        let now = self.store.clock().now();
        let adapters = rows::all(&mut self.store.read().await?).await?;
        // Beside each other, since none is to wait for another's CA.
        let looks = adapters
            .iter()
            .filter(|row| row.does_more_than_sign() && again.is_due(&row.id, now))
            .map(|row| apart(self.look_into_crl_again(row, again.list(&row.id))));
        for (adapter, list) in try_join_all(looks).await? {
            let list = list.or_else(|| again.list(&adapter).cloned());
            let at = Instant::now();
            again.0.insert(adapter, Look { at, list });
        }
        Ok(())
    }

    /// Looks into the list of one CA that is known to have one. What it holds is compared unless it is the one that was seen
    /// last. Gives the adapter's id with what was seen.
    async fn look_into_crl_again(
        &self,
        row: &AdapterRow,
        last: Option<&List>,
    ) -> Result<(String, Option<List>), StoreError> {
        let Some(known) = known_crl::of(&mut self.store.read().await?, &row.id).await? else {
            return Ok((row.id.clone(), None));
        };
        let Some(adapter) = self.roster.adapter(row) else {
            return Ok((row.id.clone(), None));
        };
        let lists = self.lists_of(row, adapter.as_ref(), true).await?;
        if lists.is_off {
            self.record_end(row, known, None).await?;
        }
        let Some(crl) = lists.own else {
            return Ok((row.id.clone(), None));
        };
        if is_by_one_of(&row.cas, &crl) {
            self.record_end(row, known, crl.next_update).await?;
        }
        let list = List {
            number: crl.number.clone(),
            this_update: crl.this_update,
            next_update: crl.next_update,
        };
        if last != Some(&list) {
            self.compare(row, &crl).await?;
        }
        Ok((row.id.clone(), Some(list)))
    }

    /// Puts on record when the list ends, unless that is on record already.
    async fn record_end(
        &self,
        row: &AdapterRow,
        known: KnownCrl,
        ends_at: Option<DateTime<Utc>>,
    ) -> Result<(), StoreError> {
        if known.ends_at == ends_at {
            return Ok(());
        }
        let mut tx = self.store.begin_behind().await?;
        known_crl::note_end(&mut tx, &row.id, ends_at).await?;
        tx.commit().await
    }

    /// Puts on record what is no longer on the list.
    async fn compare(&self, row: &AdapterRow, crl: &Crl) -> Result<(), StoreError> {
        let mut after = String::new();
        loop {
            let mut conn = self.store.ask(Work::Background).await?;
            let listed = unlisted::listed(&mut conn, &row.id, &after, AT_ONCE).await?;
            drop(conn);
            let Some(last) = listed.last() else { return Ok(()) };
            after.clone_from(&last.id);
            let gone = listed
                .iter()
                .filter(|it| it.issuer == crl.issuer && !crl.lists(&it.serial));
            for it in gone {
                self.put_on_record(row, crl, &it.id).await?;
            }
        }
    }

    async fn put_on_record(&self, row: &AdapterRow, crl: &Crl, id: &str) -> Result<(), StoreError> {
        let mut tx = self.store.begin_behind().await?;
        let now = tx.now();
        // With its chain, by which the list's signature is verified.
        let certificate = certificates::existing(&mut tx, id).await?;
        if crl.says(&certificate, now) != Says::NotListed {
            return Ok(());
        }
        let list = match &crl.number {
            Some(number) => format!(
                "the CRL #{number} of {}",
                crl.this_update.format("%Y-%m-%d %H:%MZ")
            ),
            None => format!("the CRL of {}", crl.this_update.format("%Y-%m-%d %H:%MZ")),
        };
        if unlisted::fell_out(&mut tx, id, &list).await? {
            tx.commit().await?;
            tracing::error!(
                adapter = %row.name, certificate = id, serial = %certificate.serial,
                "{list} doesn't hold a revocation that it held before: the CA is asked once more"
            );
        }
        Ok(())
    }
}

/// True if one of these CAs has verifiably signed the list.
fn is_by_one_of(cas: &[Ca], crl: &Crl) -> bool {
    let pems = cas.iter().filter_map(|ca| ca.pem.as_deref());
    pems.into_iter().any(|pem| crl.is_signed_by(pem))
}
