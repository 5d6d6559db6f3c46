//! Second looks into CRLs: what a list held it holds until the certificate ends. A CA whose store was put back to an
//! earlier day, or whoever stands before a CA, shows one without it, and clients take the certificate for good again.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::future::try_join_all;
use tokio::time::Instant;

use super::Issuer;
use crate::clients::crl::{Crl, Says};
use crate::domain::adapter::Adapter as AdapterRow;
use crate::store::{StoreError, Work, adapters as rows, apart, certificates, known_crl, unlisted};

/// Between two looks. A list is read whole then, and compared only if it is another one than the last time.
const PERIOD: Duration = Duration::from_secs(300);
/// Number of certificates that are compared at once.
const AT_ONCE: u32 = 500;

/// Number and time of a list.
type List = (Option<String>, DateTime<Utc>);

/// When to look next, and the number and time of the list that each CA showed last.
pub(super) struct Again {
    due: Instant,
    seen: BTreeMap<String, List>,
}

impl Default for Again {
    fn default() -> Self {
        Self {
            due: Instant::now(),
            seen: BTreeMap::new(),
        }
    }
}

impl Issuer {
    /// Looks whether the CAs' lists still hold what they were seen to hold.
    pub(super) async fn look_into_crls_again(&self, again: &mut Again) -> Result<(), StoreError> {
        if again.due > Instant::now() {
            return Ok(());
        }
        let adapters = rows::all(&mut self.store.read().await?).await?;
        // Beside each other, since none is to wait for another's CA.
        let looks = adapters
            .iter()
            .filter(|row| row.does_more_than_sign())
            .map(|row| apart(self.look_into_crl_again(row, again.seen.get(&row.id))));
        let lists = try_join_all(looks).await?;
        again.seen.extend(lists.into_iter().flatten());
        again.due = Instant::now() + PERIOD;
        Ok(())
    }

    /// Looks into the list of one CA, unless it is the one that was seen last; its adapter's id, and which it is.
    async fn look_into_crl_again(
        &self,
        row: &AdapterRow,
        last: Option<&List>,
    ) -> Result<Option<(String, List)>, StoreError> {
        let Some(crl) = self.own_list(row).await? else {
            return Ok(None);
        };
        let list = (crl.number.clone(), crl.this_update);
        if last != Some(&list) {
            self.compare(row, &crl).await?;
        }
        Ok(Some((row.id.clone(), list)))
    }

    /// The list that a CA hands out, if it has one and something was seen in it.
    async fn own_list(&self, row: &AdapterRow) -> Result<Option<Crl>, StoreError> {
        let mut conn = self.store.ask(Work::Background).await?;
        let is_any = !unlisted::listed(&mut conn, &row.id, "", 1).await?.is_empty();
        drop(conn);
        let Some(adapter) = self.roster.adapter(row).filter(|_| is_any) else {
            return Ok(None);
        };
        let had_one = known_crl::since(&mut self.store.read().await?, &row.id)
            .await?
            .is_some();
        Ok(self.lists_of(row, adapter.as_ref(), had_one).await?.own)
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
