//! The proof of revocations: fetches the CRLs and records which serials are in them. It revokes
//! nothing.

use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::future::try_join_all;
use tokio::time::Instant;

use super::Issuer;
use super::adapters::{Adapter, Published};
use crate::clients::crl::{Crl, Says, fetch, handed_out};
use crate::domain::adapter::Adapter as AdapterRow;
use crate::domain::certificate::Certificate;
use crate::domain::x509;
use crate::store::{
    StoreError, Work, adapters as rows, apart, certificates, known_crl, revocation, unlisted,
};

/// How many certificates are looked for at once.
const AT_ONCE: u32 = 500;
/// Revocations that are put on record in one transaction, which holds the audit chain that every change waits for.
const RECORDED_AT_ONCE: usize = 20;
/// Revocations that a CA is asked for once more after one look, at most.
const ASKED_ONCE_MORE: u32 = 50;
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

/// Lists of one CA.
#[derive(Default)]
pub(super) struct Lists {
    /// Its own, as its API hands it out.
    pub(super) own: Option<Crl>,
    /// Those that the certificates name count, too.
    are_named: bool,
    /// An operator said that the CA has none of its own.
    pub(super) is_off: bool,
}

/// Certificates that are on a list that proves nothing of them, counted by the reason.
#[derive(Default)]
struct Unproven(BTreeMap<String, (usize, String)>);

impl Unproven {
    fn add(&mut self, certificate: &Certificate, why: String) {
        let (n, _) = self.0.entry(why).or_insert_with(|| (0, certificate.id.clone()));
        *n += 1;
    }

    /// One line for each reason: as many as there are certificates would be written again with every look.
    fn log(&self, row: &AdapterRow) {
        for (why, (n, first)) in &self.0 {
            tracing::error!(adapter = %row.name, n, certificate = first, why, "the CRL proves nothing");
        }
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
        let mut wanted = self.wanted(row, "").await?;
        let known = known_crl::of(&mut self.store.read().await?, &row.id).await?;
        let Some(adapter) = self.roster.adapter(row) else {
            return Ok(!wanted.is_empty());
        };
        // That a CA has a list of its own is known before something is looked for in it.
        if wanted.is_empty() && (known.is_some() || !adapter.keeps_ca()) {
            return Ok(false);
        }
        let lists = self.lists_of(row, adapter.as_ref(), known.is_some()).await?;
        let mut is_missing = false;
        // All of them: those that are never listed must not stand before the others.
        while let Some(last) = wanted.last() {
            let after = last.id.clone();
            let found = self.record_found(row, &wanted, &lists).await?;
            is_missing |= found.len() < wanted.len();
            wanted = self.wanted(row, &after).await?;
        }
        if is_missing {
            self.ask_once_more(row).await?;
        }
        Ok(is_missing)
    }

    /// The lists of one CA, as far as they can be had now. One that is known to have a list of its own is asked for it,
    /// whatever it says of that.
    pub(super) async fn lists_of(
        &self,
        row: &AdapterRow,
        adapter: &dyn Adapter,
        had_one: bool,
    ) -> Result<Lists, StoreError> {
        let published = match adapter.capabilities().await {
            Ok(can) => can.crl,
            Err(error) => {
                tracing::warn!(adapter = %row.name, %error, "what the CA can do is not known");
                return Ok(Lists::default());
            }
        };
        let says_none = matches!(published, Published::Never | Published::SwitchedOff);
        let mut lists = Lists {
            own: None,
            are_named: says_none,
            is_off: published == Published::SwitchedOff,
        };
        if lists.is_off || says_none && !had_one {
            return Ok(lists);
        }
        let own = match adapter.crl().await {
            Ok(bytes) => handed_out(&bytes),
            Err(error) => Err(error.to_string()),
        };
        match own {
            Ok(crl) => lists.own = Some(crl),
            Err(error) => tracing::warn!(adapter = %row.name, error, "the CRL can't be read"),
        }
        if lists.own.is_some() && !had_one {
            let mut tx = self.store.begin_behind().await?;
            known_crl::note(&mut tx, &row.id).await?;
            tx.commit().await?;
        }
        Ok(lists)
    }

    /// Records those of `wanted` that are in one of the lists; their ids.
    async fn record_found(
        &self,
        row: &AdapterRow,
        wanted: &[Certificate],
        lists: &Lists,
    ) -> Result<BTreeSet<String>, StoreError> {
        let mut found = match &lists.own {
            Some(crl) => self.record_listed(row, wanted, crl).await?,
            None => BTreeSet::new(),
        };
        if lists.are_named {
            let others: Vec<&Certificate> = wanted.iter().filter(|it| !found.contains(&it.id)).collect();
            found.extend(self.look_where_they_say(row, &others).await?);
        }
        Ok(found)
    }

    /// Some of those that should be in a CRL of this CA, behind the one with this id.
    async fn wanted(&self, row: &AdapterRow, after: &str) -> Result<Vec<Certificate>, StoreError> {
        let mut conn = self.store.ask(Work::Background).await?;
        certificates::revoked_not_in_crl(&mut conn, &row.id, after, AT_ONCE).await
    }

    /// Has the CA revoke once more what it said yes to, and doesn't list by its own time.
    async fn ask_once_more(&self, row: &AdapterRow) -> Result<(), StoreError> {
        let mut conn = self.store.ask(Work::Background).await?;
        let due = unlisted::due(&mut conn, &row.id, ASKED_ONCE_MORE).await?;
        drop(conn);
        for (certificate, by) in due {
            let mut tx = self.store.begin_behind().await?;
            let is_asked = unlisted::ask_again(&mut tx, &certificate, by).await?;
            tx.commit().await?;
            if is_asked {
                tracing::error!(
                    adapter = %row.name, certificate, in_crl_by = %by,
                    "the CA accepted a revocation that its CRL doesn't hold: it is asked once more"
                );
            }
        }
        Ok(())
    }

    async fn record_listed<C: Borrow<Certificate>>(
        &self,
        row: &AdapterRow,
        wanted: &[C],
        crl: &Crl,
    ) -> Result<BTreeSet<String>, StoreError> {
        let now = self.store.now();
        let listed = wanted
            .iter()
            .map(Borrow::borrow)
            .filter(|it| it.issuer == crl.issuer && crl.lists(&it.serial));
        let (mut proven, mut unproven) = (Vec::new(), Unproven::default());
        for certificate in listed {
            // Two CAs may have one name, so that each is held against the chain that is kept with it.
            match crl.says(certificate, now) {
                // The API's word is not enough for a CA whose key is known.
                Says::Listed if !row.cas.is_empty() && !crl.at_its_word(certificate).is_empty() => {
                    let why = "no certificate of the CA is kept to verify its signature by";
                    unproven.add(certificate, why.to_owned());
                }
                Says::Listed => proven.push(&certificate.id),
                Says::Another | Says::NotListed => {}
                Says::Nothing(why) => unproven.add(certificate, why),
            }
        }
        for some in proven.chunks(RECORDED_AT_ONCE) {
            let mut tx = self.store.begin_behind().await?;
            for id in some {
                revocation::record_in_crl(&mut tx, id, now).await?;
            }
            tx.commit().await?;
        }
        unproven.log(row);
        Ok(proven.into_iter().cloned().collect())
    }

    /// Looks into the CRLs that the certificates themselves name; which are in them.
    async fn look_where_they_say(
        &self,
        row: &AdapterRow,
        wanted: &[&Certificate],
    ) -> Result<BTreeSet<String>, StoreError> {
        let mut by_url: BTreeMap<String, Vec<&Certificate>> = BTreeMap::new();
        for it in wanted {
            if let Some(url) = it.pem.as_deref().and_then(x509::crl_url) {
                by_url.entry(url).or_default().push(*it);
            }
        }
        let mut found = BTreeSet::new();
        for (url, wanted) in by_url {
            let crl = match fetch(&url).await {
                Ok(crl) => crl,
                Err(problem) => {
                    tracing::warn!(url, %problem, "the CRL can't be read");
                    continue;
                }
            };
            found.extend(self.record_listed(row, &wanted, &crl).await?);
        }
        Ok(found)
    }
}
