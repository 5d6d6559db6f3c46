//! Last try for a certificate that asked for more names than it has, and failed: the next one asks for fewer, which a plan
//! has to say.

use super::in_the_way;
use crate::domain::certificate::Certificate;
use crate::domain::request::Request;
use crate::domain::told::{cut, quoted};

/// Characters that a plan tells of what a CA said before.
const LONGEST_ERROR: usize = 160;

/// Names that the last try asked for beyond the present ones.
pub(super) struct FewerNames {
    certificate: String,
    names: Vec<String>,
    error: String,
}

impl FewerNames {
    /// Of a request that failed, where it asked for other names than the certificate has.
    pub(super) fn of(failed: &Request, certificate: &Certificate) -> Option<Self> {
        let has = |name: &String| name == certificate.name() || certificate.sans.contains(name);
        let names: Vec<String> = failed.sans.iter().filter(|name| !has(name)).cloned().collect();
        let error = failed.error_message.as_deref().unwrap_or("no reason is known");
        (!names.is_empty()).then(|| Self {
            certificate: certificate.name().to_owned(),
            names,
            error: cut(error, LONGEST_ERROR),
        })
    }

    /// The names, the first of many.
    pub(super) fn names(&self) -> String {
        in_the_way::names(&self.names.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// Sentence of the plan.
    pub(super) fn words(&self) -> String {
        format!(
            "The last try for {} asked for {} too. This one asks for the present names only. The last one failed so: {}.",
            self.certificate,
            self.names(),
            quoted(&self.error)
        )
    }
}
