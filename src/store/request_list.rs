//! The list of requests: what is selected, sorted and searched by.

use crate::domain::id::EntityKind;

use super::search::{By, Place, Words};
use super::select::{Field, Is, List, SortColumn, Sorts};
use super::{agents, certificate_list};

/// Names, and what went wrong.
pub(super) const WORDS: Words = Words {
    kind: EntityKind::Request,
    from: "issuance_requests r",
    are_of: "w.id = r.id",
};
/// The requests of which something holds by itself.
const OWN: &[&str] = &["SELECT r.id FROM issuance_requests r WHERE ?if"];
/// The condition that a request is for an agent `a` of which something holds.
const ON_HOST: &str = "COALESCE((SELECT 1 FROM agents a WHERE a.id = r.agent_id AND ?if), 0) = 1";

/// The condition that a request made, or was to replace, a certificate `c` of which something holds.
const OF_CERTIFICATE: &str = "COALESCE((SELECT 1 FROM certificates c WHERE c.id IN (r.certificate_id, r.replaces) AND ?if LIMIT 1), 0) = 1";

pub(super) const LIST: List = List {
    columns: "r.*",
    from: "issuance_requests r",
    beside: None,
    id: "r.id",
    number_as_id: false,
    sorts: &[
        SortColumn {
            name: "created_at",
            sql: "r.created_at",
            sorts: Sorts::Time,
        },
        SortColumn {
            name: "common_name",
            sql: "r.common_name",
            sorts: Sorts::Text,
        },
        SortColumn {
            name: "status",
            sql: "r.status",
            sorts: Sorts::Text,
        },
        SortColumn {
            name: "why",
            // As far as anybody reads it in a list; an index holds no text of any length.
            sql: "SUBSTR(COALESCE(r.error_message, r.waiting_on, ''), 1, 100)",
            sorts: Sorts::Text,
        },
        SortColumn {
            name: "attempt",
            sql: "r.attempt",
            sorts: Sorts::Number,
        },
        SortColumn {
            name: "requested_by",
            // With the collation of the other, which is "C"; it is there always.
            sql: "COALESCE(r.requested_by, r.id)",
            sorts: Sorts::Text,
        },
        SortColumn {
            name: "id",
            sql: "r.id",
            sorts: Sorts::Text,
        },
    ],
    unsorted: &[],
    default_sort: "-created_at",
    words: Is::Text(&[
        Place::own(By::Words(WORDS), &["?words"]),
        Place::own(By::Id("r.id", "req_"), OWN),
    ]),
    fields: &[
        Field {
            name: "status",
            is: Is::Word(
                "r.status",
                &["pending", "issuing", "issued", "failed", "denied", "cancelled"],
                &[],
            ),
        },
        Field {
            name: "asked",
            is: Is::Ago("r.created_at"),
        },
        Field {
            name: "agent",
            is: Is::Text(&[
                Place {
                    by: By::Part(agents::WORDS, "LOWER(a.hostname)"),
                    ids: &["SELECT r.id FROM issuance_requests r WHERE r.agent_id IN (?words)"],
                    row: ON_HOST,
                },
                Place {
                    by: By::Id("a.id", "agt_"),
                    ids: &[
                        "SELECT r.id FROM issuance_requests r WHERE r.agent_id IN (SELECT a.id FROM agents a WHERE ?if)",
                    ],
                    row: ON_HOST,
                },
            ]),
        },
        Field {
            name: "open",
            is: Is::Flag(
                "r.status IN ('pending', 'issuing', 'failed')",
                "r.status IN ('issued', 'denied', 'cancelled')",
            ),
        },
        Field {
            name: "cert",
            is: Is::Text(&[
                Place::own(By::Id("r.certificate_id", "crt_"), OWN),
                Place::own(By::Id("r.replaces", "crt_"), OWN),
                Place {
                    by: By::Words(certificate_list::WORDS),
                    ids: &[
                        "SELECT r.id FROM issuance_requests r WHERE r.certificate_id IN (?words)",
                        "SELECT r.id FROM issuance_requests r WHERE r.replaces IN (?words)",
                    ],
                    row: OF_CERTIFICATE,
                },
                Place {
                    by: By::Serial("c.serial"),
                    ids: &[
                        "SELECT r.id FROM issuance_requests r \
                         WHERE r.certificate_id IN (SELECT c.id FROM certificates c WHERE ?if)",
                        "SELECT r.id FROM issuance_requests r \
                         WHERE r.replaces IN (SELECT c.id FROM certificates c WHERE ?if)",
                    ],
                    row: OF_CERTIFICATE,
                },
            ]),
        },
        Field {
            name: "error",
            is: Is::Text(&[Place::own(
                By::Part(WORDS, "LOWER(COALESCE(r.error_message, ''))"),
                &["?words"],
            )]),
        },
    ],
    parameters: &["q", "status", "agent", "open"],
    doing: "reading the requests",
};
