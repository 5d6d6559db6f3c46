//! When CAs suggest to renew what they signed (ARI): asks them, a few certificates at a time, and keeps what
//! they say. It renews nothing; that a window has begun is a finding, and a person's matter.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::adapters::{Adapter, AdapterError};
use super::{Issuer, LEASE};
use crate::domain::adapter::{Adapter as AdapterRow, AdapterStatus};
use crate::domain::renewal::Suggestion;
use crate::store::StoreError;
use crate::store::renewals::{self, Due};

/// How often it looks whether there is a certificate to ask about.
const PERIOD: Duration = Duration::from_secs(20);
/// So many certificates of one CA, one after the other, before other work has its turn.
const AT_ONCE: usize = 8;
/// A CA that doesn't say when to renew may learn it.
const CAN_NOT: Duration = Duration::from_secs(3600);
/// A CA that gave no answer is left alone for so long.
const NO_ANSWER: Duration = Duration::from_secs(600);
/// And for so long about a certificate that it gave no good answer about (RFC 9773 §4.3.3).
const NO_GOOD_ANSWER: Duration = Duration::from_secs(6 * 3600);
/// More causes than that are not remembered: a CA's words may differ each time.
pub(super) const CAUSES: usize = 50;

/// Which CA to ask when, and what was said of their failures.
#[derive(Default)]
pub(super) struct Watch {
    due: Option<Instant>,
    /// By the adapter's id, and which version of its configuration.
    resting: HashMap<String, (i64, Instant)>,
    pub(super) said: BTreeSet<(String, String)>,
}

impl Watch {
    fn is_due(&self) -> bool {
        self.due.is_none_or(|due| due <= Instant::now())
    }

    fn rests(&self, row: &AdapterRow) -> bool {
        let resting = self.resting.get(&row.id);
        resting.is_some_and(|(version, until)| *version == row.version && *until > Instant::now())
    }

    fn rest(&mut self, row: &AdapterRow, pause: Duration) {
        let until = Instant::now() + pause;
        self.resting.insert(row.id.clone(), (row.version, until));
    }

    /// Whether this was not said before.
    pub(super) fn is_news(&mut self, row: &AdapterRow, cause: &str) -> bool {
        if self.said.len() >= CAUSES {
            self.said.clear();
        }
        self.said.insert((row.id.clone(), cause.to_owned()))
    }

    fn say(&mut self, row: &AdapterRow, certificate: &str, cause: &str) {
        if self.is_news(row, cause) {
            tracing::warn!(
                adapter = %row.name, certificate, cause,
                "the CA gives no good answer when to renew; what is known stays, and it is asked again later"
            );
        }
    }
}

impl Issuer {
    /// Asks what is due, of each CA that says when to renew.
    pub(super) async fn ask_about_renewals(
        &self,
        adapters: &[AdapterRow],
        watch: &mut Watch,
        stop: &watch::Receiver<bool>,
    ) -> Result<(), StoreError> {
        if !watch.is_due() {
            return Ok(());
        }
        let mut any_left = false;
        for row in adapters.iter().filter(|row| row.status == AdapterStatus::Active) {
            let Some(adapter) = self.roster.adapter(row).filter(|_| !watch.rests(row)) else {
                continue;
            };
            let can = match adapter.ready().await {
                Ok(()) => adapter.capabilities().await,
                Err(error) => Err(error),
            };
            match can {
                Ok(can) if can.renewal_info => {}
                Ok(_) => {
                    watch.rest(row, CAN_NOT);
                    continue;
                }
                // Who needs the CA for more than this says why.
                Err(error) => {
                    watch.rest(row, NO_ANSWER);
                    tracing::debug!(adapter = %row.name, %error, "what the CA can do is not known");
                    continue;
                }
            }
            any_left |= self.ask_one(row, adapter.as_ref(), watch, stop).await?;
        }
        // What is left is asked about in the next round.
        watch.due = (!any_left).then(|| Instant::now() + PERIOD);
        Ok(())
    }

    /// Asks one CA; whether there may be more to ask it now.
    async fn ask_one(
        &self,
        row: &AdapterRow,
        adapter: &dyn Adapter,
        watch: &mut Watch,
        stop: &watch::Receiver<bool>,
    ) -> Result<bool, StoreError> {
        for _ in 0..AT_ONCE {
            if *stop.borrow() {
                return Ok(false);
            }
            let mut tx = self.store.begin_behind().await?;
            let due = renewals::claim(&mut tx, &row.id, LEASE).await?;
            tx.commit().await?;
            let Some(due) = due else {
                return Ok(false);
            };
            match adapter.renewal_info(&due.pem).await {
                Ok(suggestion) => self.take(row, &due, &suggestion, watch).await?,
                Err(AdapterError::Refused(words)) => {
                    watch.say(row, &due.id, &words);
                    self.put_off(&due.id, NO_GOOD_ANSWER).await?;
                }
                Err(AdapterError::Busy(words, pause)) => {
                    watch.say(row, &due.id, &words);
                    self.put_off(&due.id, pause).await?;
                    watch.rest(row, pause);
                    return Ok(false);
                }
                Err(
                    AdapterError::Retry(words)
                    | AdapterError::Unknown(words)
                    | AdapterError::Away(words)
                    | AdapterError::Sealed(words)
                    | AdapterError::Unsigned(words)
                    | AdapterError::ClockOff { words, .. }
                    | AdapterError::Denied(words),
                ) => {
                    watch.say(row, &due.id, &words);
                    self.put_off(&due.id, NO_ANSWER).await?;
                    watch.rest(row, NO_ANSWER);
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// Keeps an answer that makes sense.
    async fn take(
        &self,
        row: &AdapterRow,
        due: &Due,
        suggestion: &Suggestion,
        watch: &mut Watch,
    ) -> Result<(), StoreError> {
        if let Err(nonsense) = suggestion.check(due.not_before, due.not_after) {
            watch.say(row, &due.id, &nonsense.to_string());
            return self.put_off(&due.id, NO_GOOD_ANSWER).await;
        }
        let mut tx = self.store.begin_behind().await?;
        let again_at = tx.now() + suggestion.pause();
        let has_moved = renewals::record(&mut tx, &due.id, suggestion, again_at).await?;
        tx.commit().await?;
        if has_moved {
            tracing::warn!(
                adapter = %row.name, certificate = %due.id, start = %suggestion.start, end = %suggestion.end,
                "the CA has moved the renewal of a certificate earlier"
            );
        }
        Ok(())
    }

    async fn put_off(&self, certificate_id: &str, pause: Duration) -> Result<(), StoreError> {
        let mut tx = self.store.begin_behind().await?;
        let at = tx.now() + pause;
        renewals::ask_again(&mut tx, certificate_id, at).await?;
        tx.commit().await
    }
}
