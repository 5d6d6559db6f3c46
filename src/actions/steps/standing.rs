//! The standing of certificates at their CA: whether the revocation list that is published now has them. It is read
//! where the list is, not from the inventory, which may be behind after a restore.

use std::collections::BTreeMap;

use crate::clients::crl::{self, Crl, Says};
use crate::domain::certificate::Certificate;
use crate::domain::x509;
use crate::plan::ports::Reads;

/// What the CA's list says of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::actions) enum Standing {
    /// It isn't on it.
    Good,
    /// It is on it.
    Revoked,
    /// The list can't be read, and why.
    Unknown(String),
    /// Nobody says where there is a list.
    NoList,
}

/// The lists that were read for one plan or proof, each once.
#[derive(Default)]
pub(in crate::actions) struct Lists {
    own: Option<Result<Crl, String>>,
    by_url: BTreeMap<String, Result<Crl, String>>,
}

impl Lists {
    /// The certificate's standing now.
    pub(in crate::actions) async fn standing(&mut self, certificate: &Certificate, with: &Reads) -> Standing {
        let url = certificate.pem.as_deref().and_then(x509::crl_url);
        let list = match &url {
            Some(url) => {
                if !self.by_url.contains_key(url) {
                    let list = crl::fetch(url).await.map_err(|problem| problem.what);
                    self.by_url.insert(url.clone(), list);
                }
                self.by_url.get(url)
            }
            // Where it names none, the list of the mount that signs here, if that is its issuer's.
            None => {
                if self.own.is_none() {
                    self.own = Some(with.crl().await.map_err(|problem| problem.what));
                }
                self.own.as_ref()
            }
        };
        match list {
            Some(Ok(list)) => match list.says(certificate, with.now()) {
                Says::Listed => Standing::Revoked,
                Says::NotListed => Standing::Good,
                Says::Another => Standing::NoList,
                Says::Nothing(why) => Standing::Unknown(why),
            },
            Some(Err(_)) | None if url.is_none() => Standing::NoList,
            Some(Err(why)) => Standing::Unknown(why.clone()),
            None => Standing::NoList,
        }
    }
}
