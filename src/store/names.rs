//! Names of certificates, whole: a domain with all that is beneath it, a host, and the wildcard that covers it. A trigram is
//! no help there: all names of a domain have those of its name.

use super::search::{bind, like, literally};
use super::statement::Value;

/// Ways in which what is looked for stands to a name in a certificate.
#[derive(Clone, Copy, Debug)]
pub(super) enum NameIs {
    /// The name is it.
    It,
    /// The name is beneath it.
    Beneath,
    /// The name is the wildcard that covers it.
    Wildcard,
}

impl NameIs {
    /// The condition on a row of `certificate_names`, whose names have their labels in reverse; none where it can be no
    /// name.
    pub(super) fn in_names(self, name: &str, binds: &mut Vec<Value>) -> Option<String> {
        let reversed = |name: &str| name.rsplit('.').collect::<Vec<_>>().join(".");
        match self {
            Self::It => Some(format!("n.name = {}", bind(binds, reversed(name)))),
            Self::Beneath => {
                let domain = reversed(name);
                let (from, to) = (
                    bind(binds, format!("{domain}.")),
                    bind(binds, format!("{domain}/")),
                );
                Some(format!("(n.name >= {from} AND n.name < {to})"))
            }
            Self::Wildcard => {
                let wildcard = reversed(&covering(name)?);
                Some(format!("n.name = {}", bind(binds, wildcard)))
            }
        }
    }

    /// That condition on a certificate, whose names are a list in JSON.
    pub(super) fn in_certificate(self, name: &str, binds: &mut Vec<Value>) -> Option<String> {
        let (in_list, in_subject) = match self {
            Self::It => (
                format!("%\"{}\"%", literally(name)),
                format!("cn={}", literally(name)),
            ),
            Self::Beneath => (
                format!("%.{}\"%", literally(name)),
                format!("cn=%.{}", literally(name)),
            ),
            Self::Wildcard => {
                let wildcard = literally(&covering(name)?);
                (format!("%\"{wildcard}\"%"), format!("cn={wildcard}"))
            }
        };
        let list = like("LOWER(c.sans)", &bind(binds, in_list));
        let subject = like("LOWER(c.subject)", &bind(binds, in_subject));
        Some(format!("({list} OR {subject} AND c.subject NOT LIKE '%,%')"))
    }
}

/// The wildcard that covers a name: one for all names next to it. A wildcard covers one label, and no top-level domain.
fn covering(name: &str) -> Option<String> {
    let (first, domain) = name.split_once('.')?;
    (!first.is_empty() && first != "*" && domain.contains('.')).then(|| format!("*.{domain}"))
}
