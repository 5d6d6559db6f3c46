//! A signature that takes several steps, such as ACME's: each is durable before the next, so that the
//! order can be taken up by anybody after a crash, and the CA signs once.

use std::sync::Arc;
use std::time::Duration;

use super::adapters::{Adapter, AdapterError, Begun, Order, SignedCertificate, Step};
use super::{Issuer, LEASE};
use crate::domain::name;
use crate::store::issuance::Issuing;
use crate::store::{StoreError, certificates, orders};

/// How long an agent answers challenges. A host may be away for a night; the order lives longer.
const ANSWERED_FOR: chrono::Duration = chrono::Duration::hours(24);
/// A CA whose orders end as soon as they are made is asked again later.
const MAX_ORDERS: usize = 2;

impl Issuer {
    /// Goes on with the order until it is signed or has to wait; `None` if it was put where it waits, or
    /// is in another worker's hands.
    pub(super) async fn drive(
        &self,
        adapter: &Arc<dyn Adapter>,
        issuing: &Issuing,
        csr_pem: String,
    ) -> Result<Result<Option<SignedCertificate>, AdapterError>, StoreError> {
        let order = Order {
            csr_pem,
            common_name: name::common_name(&issuing.request.common_name)
                .unwrap_or_default()
                .to_owned(),
            sans: issuing.request.sans.clone(),
            replaces: self.replaced(issuing).await?,
        };
        let id = &issuing.request.id;
        let mut ca_order = issuing.ca_order.clone();
        for _ in 0..=MAX_ORDERS {
            let begun = Begun {
                order: &order,
                ca_order: ca_order.as_deref(),
                answered: &issuing.answered,
            };
            let step = match adapter.drive(begun).await {
                Ok(step) => step,
                Err(error) => return Ok(Err(error)),
            };
            match step {
                Step::Signed(signed) => return Ok(Ok(Some(signed))),
                Step::Ordered(new) => {
                    let mut tx = self.store.begin_behind().await?;
                    let ours =
                        orders::note(&mut tx, id, &self.owner, ca_order.as_deref(), &new, LEASE).await?;
                    tx.commit().await?;
                    if !ours {
                        tracing::warn!(request = %id, "another worker has it meanwhile; this order is left to end");
                        return Ok(Ok(None));
                    }
                    ca_order = Some(new);
                }
                Step::Answer(answers) => {
                    let mut tx = self.store.begin_behind().await?;
                    let until = tx.now() + ANSWERED_FOR;
                    orders::wait_for_answers(&mut tx, id, answers, until).await?;
                    tx.commit().await?;
                    return Ok(Ok(None));
                }
                Step::Wait(pause) => {
                    let why = "the CA looks whether the names are ours";
                    self.wait(issuing, why, pause).await?;
                    return Ok(Ok(None));
                }
                Step::Signing(pause) => {
                    self.look_again(issuing, pause).await?;
                    return Ok(Ok(None));
                }
            }
        }
        Ok(Err(AdapterError::Retry(
            "the CA ends every order at once".to_owned(),
        )))
    }

    /// The certificate that the request is to replace, where it is of the same CA.
    async fn replaced(&self, issuing: &Issuing) -> Result<Option<String>, StoreError> {
        let Some(id) = &issuing.request.replaces else {
            return Ok(None);
        };
        let old = certificates::existing(&mut self.store.read().await?, id).await?;
        let of_same_ca = old.adapter_id.as_ref() == Some(&issuing.request.adapter_id);
        Ok(old.pem.filter(|_| of_same_ca))
    }

    /// It stays `issuing`, since it may be signed, and is taken up again then.
    pub(super) async fn look_again(&self, issuing: &Issuing, pause: Duration) -> Result<(), StoreError> {
        let at = self.store.clock().now() + pause;
        let mut tx = self.store.begin_behind().await?;
        orders::look_again(&mut tx, &issuing.request.id, &self.owner, at).await?;
        tx.commit().await
    }

    /// The request waits without burning an attempt.
    pub(super) async fn wait(&self, issuing: &Issuing, why: &str, pause: Duration) -> Result<(), StoreError> {
        let id = &issuing.request.id;
        let at = self.store.clock().now() + pause;
        let mut tx = self.store.begin_behind().await?;
        orders::wait_for_ca(&mut tx, id, why, at).await?;
        tx.commit().await?;
        tracing::info!(request = %id, why, %at, "the request waits for the CA");
        Ok(())
    }
}
