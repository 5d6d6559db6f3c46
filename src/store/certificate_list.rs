//! The list of certificates: what is selected, sorted and searched by.

use crate::domain::id::EntityKind;

use super::agents;
use super::in_use_sql::reissuable;
use super::names::NameIs;
use super::search::{By, Place, Words, of_kind};
use super::select::{Beside, Field, Is, List, Named, SortColumn, Sorts};

/// State `s` of a certificate whose end is news: one that was replaced has done its duty, unless it is still in use
/// somewhere: its replacement was rolled back there, or isn't loaded.
pub(super) const STILL_MATTERS: &str = "s.status <> 'revoked' AND NOT s.is_replaced";

/// Leaked: others have its key, and it is neither revoked nor over. It is shown as that, whatever took its place.
macro_rules! leaked {
    () => {
        "(s.status = 'active' AND s.not_after > ?now AND s.is_key_compromised)"
    };
}

/// Replaced: a newer one took its place, and it is in use nowhere.
macro_rules! replaced {
    () => {
        concat!("s.status = 'active' AND s.is_replaced AND NOT ", leaked!())
    };
}

/// The CA of `c` is being asked, or is to be asked, to revoke it.
macro_rules! asked {
    () => {
        "EXISTS (SELECT 1 FROM jobs j WHERE j.certificate_id = c.id AND j.kind = 'revoke' AND j.status = 'queued')"
    };
}

/// Columns of the certificate `c` that are worked out of its state `s` and of other tables.
macro_rules! derived {
    () => {
        concat!(
            "s.n_installations, NULLIF(s.host, '') AS host, NULLIF(s.owner, '') AS owner, \
             CAST(CASE WHEN s.status = 'active' AND s.is_replaced THEN 1 ELSE 0 END AS bigint) AS is_replaced, \
             CAST(CASE WHEN s.is_key_compromised THEN 1 ELSE 0 END AS bigint) AS is_key_compromised, \
             (SELECT COUNT(*) FROM issuance_requests r WHERE r.replaces = c.id \
               AND r.status IN ('pending', 'issuing')) AS n_reissues, ",
            reissuable!(),
            " AS n_reissuable, \
             CASE WHEN c.status = 'revocation_pending' AND NOT ",
            asked!(),
            " THEN COALESCE((SELECT j.error_message FROM jobs j WHERE j.certificate_id = c.id AND j.kind = 'revoke' \
               ORDER BY j.id DESC LIMIT 1), 'nobody asks it') END AS refusal"
        )
    };
}
pub(super) use {asked, derived};

/// The ids of the certificates that are expected on these agents.
macro_rules! in_use_on {
    ($agents:literal) => {
        concat!(
            "SELECT i.certificate_id AS id FROM installations i WHERE i.agent_id IN (",
            $agents,
            ")"
        )
    };
}

/// The ids of the certificates that these agents found elsewhere than they are expected.
macro_rules! found_on {
    ($column:literal, $agents:literal) => {
        concat!(
            "SELECT f.id FROM installations i JOIN certificates f ON f.fingerprint_sha256 = i.",
            $column,
            " WHERE i.",
            $column,
            " <> i.expected_sha256 AND i.agent_id IN (",
            $agents,
            ")"
        )
    };
}

macro_rules! on_hosts_by {
    ($way:literal) => {
        concat!(
            "COALESCE((SELECT 1 FROM installations i JOIN agents a ON a.id = i.agent_id WHERE ",
            $way,
            " AND ?if LIMIT 1), 0) = 1"
        )
    };
}

/// The condition that a certificate is in use at an agent `a` of which something holds; each of the three has a small
/// index of its own. As a value it is looked up row by row: for EXISTS PostgreSQL may read all agents first. Of most that
/// were replaced the state says already that they are in use nowhere.
const ON_HOSTS: &str = concat!(
    "s.host <> '' AND (",
    on_hosts_by!("i.certificate_id = c.id"),
    " OR ",
    on_hosts_by!("i.served_sha256 = c.fingerprint_sha256 AND i.served_sha256 <> i.expected_sha256"),
    " OR ",
    on_hosts_by!("i.on_disk_sha256 = c.fingerprint_sha256 AND i.on_disk_sha256 <> i.expected_sha256"),
    ")",
);

/// Names and serials.
pub(super) const WORDS: Words = Words {
    kind: EntityKind::Certificate,
    from: "certificates c",
    are_of: "w.id = c.id",
};
/// The certificates of which something holds by itself.
const OWN: &[&str] = &["SELECT c.id FROM certificates c WHERE ?if"];

/// Certificates with a name that stands so to what is looked for.
const fn named(is: NameIs) -> Place {
    Place::own(By::Name(is), &["SELECT n.id FROM certificate_names n WHERE ?if"])
}

/// Hosts that a certificate is in use on: the agents `a` of which something holds.
const fn on_hosts(by: By) -> Place {
    Place {
        by,
        ids: &[
            in_use_on!("?words"),
            found_on!("served_sha256", "?words"),
            found_on!("on_disk_sha256", "?words"),
        ],
        row: ON_HOSTS,
    }
}

pub(super) const LIST: List = List {
    columns: concat!(
        "c.id, c.version, c.subject, c.sans, c.issuer, c.serial, c.fingerprint_sha256, c.spki_sha256, \
              c.key_algorithm, c.not_before, c.not_after, c.status, c.revocation_reason, \
              c.revocation_asked_at, c.revocation_accepted_at, c.in_crl_by, c.in_crl_at, c.without_crl_at, \
              c.was_in_crl_at, c.left_crl, \
              c.renewal_window_start, c.renewal_window_end, c.renewal_moved_from, \
              c.renewal_explanation_url, c.renewal_asked_at, \
              c.adapter_id, c.request_id, c.replaces, c.replaced_by, c.created_at, c.updated_at, \
              NULL AS pem, NULL AS chain_pem, ",
        derived!()
    ),
    from: "certificates c JOIN certificate_states s ON s.id = c.id",
    beside: Some(Beside {
        from: "certificate_states s",
        columns: "s.",
        id: "s.id",
        others: "c.",
    }),
    id: "c.id",
    number_as_id: false,
    sorts: &[
        SortColumn {
            name: "not_after",
            sql: "s.not_after",
            sorts: Sorts::Time,
        },
        SortColumn {
            name: "subject",
            sql: "c.subject",
            sorts: Sorts::Text,
        },
        SortColumn {
            name: "status",
            sql: "s.status",
            sorts: Sorts::Text,
        },
        SortColumn {
            name: "created_at",
            sql: "c.created_at",
            sorts: Sorts::Time,
        },
        SortColumn {
            name: "serial",
            sql: "c.serial",
            sorts: Sorts::Text,
        },
        SortColumn {
            name: "key_algorithm",
            sql: "c.key_algorithm",
            sorts: Sorts::Text,
        },
        SortColumn {
            name: "host",
            sql: "s.host",
            sorts: Sorts::Text,
        },
        SortColumn {
            name: "owner",
            sql: "s.owner",
            sorts: Sorts::Text,
        },
        SortColumn {
            name: "installations",
            sql: "s.n_installations",
            sorts: Sorts::Number,
        },
        SortColumn {
            name: "id",
            sql: "c.id",
            sorts: Sorts::Text,
        },
    ],
    unsorted: &[],
    default_sort: "not_after",
    words: Is::Text(&[
        Place {
            by: By::Words(WORDS),
            ids: &["?words"],
            row: "?if",
        },
        Place {
            by: By::Serial("c.serial"),
            ids: OWN,
            row: "?if",
        },
        Place {
            by: By::Hash("c.fingerprint_sha256"),
            ids: OWN,
            row: "?if",
        },
        Place {
            by: By::Hash("c.spki_sha256"),
            ids: OWN,
            row: "?if",
        },
        Place {
            by: By::Hash("c.fingerprint_sha1"),
            ids: OWN,
            row: "?if",
        },
        Place {
            by: By::Id("c.id", "crt_"),
            ids: OWN,
            row: "?if",
        },
        // The whole name of a host finds the wildcard that covers it, too.
        named(NameIs::Wildcard),
        on_hosts(By::Part(
            agents::WORDS,
            "LOWER(a.hostname || ' ' || COALESCE(a.tls_address, ''))",
        )),
    ]),
    fields: &[
        Field {
            name: "status",
            is: Is::Word(
                "s.status",
                &[],
                &[
                    Named::of(
                        "active",
                        concat!(
                            "s.status = 'active' AND s.not_after > ?soon AND NOT s.is_replaced AND NOT ",
                            leaked!()
                        ),
                    ),
                    Named::of(
                        "expiring",
                        concat!(
                            "s.status = 'active' AND s.not_after > ?now AND s.not_after <= ?soon \
                              AND NOT s.is_replaced AND NOT ",
                            leaked!()
                        ),
                    ),
                    Named::of(
                        "expired",
                        "s.status = 'active' AND s.not_after <= ?now AND NOT s.is_replaced",
                    ),
                    Named::of("revoked", "s.status = 'revoked'"),
                    Named::of(
                        "revoking",
                        concat!("s.status = 'revocation_pending' AND ", asked!()),
                    ),
                    Named::of(
                        "refused",
                        concat!("s.status = 'revocation_pending' AND NOT ", asked!()),
                    ),
                    Named::of("held", "s.status = 'held'"),
                    Named {
                        name: "replaced",
                        is: replaced!(),
                        // Beginning with the index over those that matter.
                        is_not: Some(concat!(
                            "(NOT s.is_replaced OR s.status <> 'active' OR s.is_key_compromised) AND NOT (",
                            replaced!(),
                            ")"
                        )),
                    },
                    Named::of("leaked", concat!("s.is_key_compromised AND ", leaked!())),
                    Named::of("any", "1 = 1"),
                ],
            ),
        },
        Field {
            name: "expires",
            is: Is::Time("s.not_after", STILL_MATTERS),
        },
        Field {
            name: "agent",
            is: Is::Text(&[
                on_hosts(By::Part(agents::WORDS, "LOWER(a.hostname)")),
                Place {
                    by: By::Id("a.id", "agt_"),
                    ids: &[
                        in_use_on!("SELECT a.id FROM agents a WHERE ?if"),
                        found_on!("served_sha256", "SELECT a.id FROM agents a WHERE ?if"),
                        found_on!("on_disk_sha256", "SELECT a.id FROM agents a WHERE ?if"),
                    ],
                    row: ON_HOSTS,
                },
            ]),
        },
        Field {
            name: "owner",
            is: Is::Text(&[on_hosts(By::Part(agents::WORDS, "LOWER(COALESCE(a.owner, ''))"))]),
        },
        Field {
            name: "key",
            is: Is::Text(&[
                Place {
                    by: By::Hash("c.spki_sha256"),
                    ids: OWN,
                    row: "?if",
                },
                Place {
                    by: By::Kind("LOWER(c.key_algorithm)"),
                    ids: &[of_kind!("certificates", "id", "key_algorithm")],
                    row: "?if",
                },
            ]),
        },
        Field {
            name: "issuer",
            is: Is::Text(&[Place {
                by: By::Kind("LOWER(c.issuer)"),
                ids: &[of_kind!("certificates", "id", "issuer")],
                row: "?if",
            }]),
        },
        Field {
            name: "serial",
            is: Is::Text(&[
                Place {
                    by: By::Serial("c.serial"),
                    ids: OWN,
                    row: "?if",
                },
                Place {
                    by: By::Part(WORDS, "REPLACE(c.serial, ':', '')"),
                    ids: &["?words"],
                    row: "?if",
                },
            ]),
        },
        Field {
            name: "domain",
            is: Is::Text(&[named(NameIs::It), named(NameIs::Beneath)]),
        },
        Field {
            name: "covers",
            is: Is::Text(&[named(NameIs::It), named(NameIs::Wildcard)]),
        },
    ],
    parameters: &["q", "status", "expires_before", "spki", "agent"],
    doing: "reading the certificates",
};
