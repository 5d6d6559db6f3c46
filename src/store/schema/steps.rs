//! Steps of an upgrade that take time in a filled database. They come after the migrations and are taken while others
//! work with it: an index is built beside its table, rows are gone through a stretch at a time.

use super::fill::Fill;

/// One step. Its name stands in `schema_steps` from its beginning on.
pub(super) enum Step {
    Index(Index),
    Fill(Fill),
    /// An index that another one of these took the place of.
    Gone(&'static str),
    /// Something more that is written from now on when a table is written to.
    Trigger(Trigger),
    /// Numbers that the planner goes by, of these tables: of what was just made it has none.
    Count(&'static str, &'static [&'static str]),
}

/// A trigger, by its name. Each is a step, so that no two tables are held at once: with who works on both that would be a
/// circle.
pub(super) struct Trigger {
    pub(super) name: &'static str,
    pub(super) table: &'static str,
    pub(super) event: &'static str,
    /// The condition on a row, if there is one.
    pub(super) only: Option<&'static str>,
    pub(super) function: &'static str,
}

/// An index, by its name.
pub(super) struct Index {
    pub(super) name: &'static str,
    pub(super) table: &'static str,
    /// `(column, …)` and what follows it.
    pub(super) over: &'static str,
}

impl Step {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Index(index) => index.name,
            Self::Fill(fill) => fill.name,
            Self::Gone(name) => name,
            Self::Trigger(trigger) => trigger.name,
            Self::Count(name, _) => name,
        }
    }

    /// Sentence about it, for people.
    pub(super) fn words(&self) -> String {
        match self {
            Self::Index(Index { name, table, .. }) => format!("the index `{name}` of `{table}` is built"),
            Self::Fill(fill) => fill.words.to_owned(),
            Self::Gone(name) => format!("the index `{name}` is dropped"),
            Self::Trigger(Trigger { name, table, .. }) => {
                format!("`{table}` gets the trigger `{name}`, and is held for a moment")
            }
            Self::Count(_, tables) => format!("what the planner goes by is counted: {}", tables.join(", ")),
        }
    }
}

/// All of PostgreSQL or of SQLite, in their order.
pub(super) fn of(postgres: bool) -> impl Iterator<Item = &'static Step> {
    let own = match postgres {
        true => POSTGRES,
        false => SQLITE,
    };
    let last = match postgres {
        true => COUNTED,
        false => &[],
    };
    own.iter().chain(SHARED).chain(last)
}

const fn index(name: &'static str, table: &'static str, over: &'static str) -> Step {
    Step::Index(Index { name, table, over })
}

/// Those that both take alike.
const SHARED: &[Step] = &[
    Step::Fill(Fill {
        name: "shared_keys",
        words: "keys of more than one certificate are looked for",
        table: "keys",
        id: "spki_sha256",
        number_as_id: false,
        batch: "INSERT INTO shared_keys (spki_sha256) SELECT c.spki_sha256 FROM certificates c \
                WHERE c.spki_sha256 > $1 AND c.spki_sha256 <= $2 GROUP BY c.spki_sha256 HAVING COUNT(*) > 1 \
                ON CONFLICT DO NOTHING",
    }),
    // Certificates in use: those that are active, and those that are revoked or otherwise gone.
    index(
        "certificate_states_in_use",
        "certificate_states",
        "(not_after, id) WHERE status = 'active' AND n_installations > 0",
    ),
    index(
        "certificate_states_gone_in_use",
        "certificate_states",
        "(id) WHERE status <> 'active' AND n_installations > 0",
    ),
    index(
        "certificates_moved",
        "certificates",
        "(renewal_window_start, id) WHERE renewal_moved_from IS NOT NULL",
    ),
    index(
        "certificates_revoked_unlisted",
        "certificates",
        "(adapter_id, id) WHERE status = 'revoked' AND in_crl_at IS NULL AND without_crl_at IS NULL",
    ),
    index(
        "issuance_requests_due",
        "issuance_requests",
        "(adapter_id, next_attempt_at, id) WHERE status = 'pending' AND waiting_on = 'ca'",
    ),
    index(
        "issuance_requests_issuing",
        "issuance_requests",
        "(adapter_id, id) WHERE status = 'issuing'",
    ),
    index(
        "issuance_requests_claimed",
        "issuance_requests",
        "(claimed_by) WHERE claimed_by IS NOT NULL",
    ),
    index(
        "jobs_claimed",
        "jobs",
        "(claimed_by) WHERE claimed_by IS NOT NULL",
    ),
    // Not for who looks for queued ones.
    index(
        "jobs_with_work",
        "jobs",
        "(ended_at) WHERE work IS NOT NULL AND ended_at IS NOT NULL",
    ),
    index("tokens_by_name", "tokens", "(name)"),
    index("tokens_in_order_of_name", "tokens", "(COALESCE(name, id), id)"),
    index("tokens_by_created_at", "tokens", "(created_at, id)"),
    // Hosts that began to serve before their trigger was there.
    Step::Fill(Fill {
        name: "installations_in_doubt_again",
        words: "places of which nothing is served are looked at again",
        table: "agents",
        id: "id",
        number_as_id: false,
        batch: "UPDATE installations SET served_sha256 = served_sha256 \
                WHERE differs_since IS NULL AND served_sha256 IS NULL AND agent_id IN \
                  (SELECT a.id FROM agents a WHERE a.id > $1 AND a.id <= $2 AND a.tls_address IS NOT NULL)",
    }),
    index(
        "installations_that_differ",
        "installations",
        "(id) WHERE differs_since IS NOT NULL",
    ),
    Step::Gone("installations_at_odds"),
    Step::Gone("installations_in_doubt"),
    index(
        "tokens_taken_back",
        "tokens",
        "(agent_id) WHERE revoked_at IS NOT NULL AND purpose = 'bearer' AND agent_id IS NOT NULL",
    ),
    index("agents_by_address", "agents", "(COALESCE(address, hostname), id)"),
    index("agents_by_owner", "agents", "(COALESCE(owner, ''), id)"),
    index(
        "agent_places_by_installations",
        "agent_places",
        "(n_installations, id)",
    ),
    index("certificates_in_order_of_serial", "certificates", "(serial, id)"),
    Step::Gone("certificates_by_serial"),
    index(
        "issuance_requests_in_order_of_status",
        "issuance_requests",
        "(status, id)",
    ),
    index(
        "issuance_requests_by_why",
        "issuance_requests",
        "(SUBSTR(COALESCE(error_message, waiting_on, ''), 1, 100), id)",
    ),
    index(
        "issuance_requests_by_attempt",
        "issuance_requests",
        "(attempt, id)",
    ),
    index(
        "issuance_requests_by_requested_by",
        "issuance_requests",
        "(COALESCE(requested_by, id), id)",
    ),
    index("audit_logs_by_actor", "audit_logs", "(actor, seq)"),
    index("audit_logs_by_action", "audit_logs", "(action, seq)"),
    index("audit_logs_by_outcome", "audit_logs", "(outcome, seq)"),
    index(
        "audit_logs_by_run",
        "audit_logs",
        "(COALESCE(run_id, actor), seq) WHERE run_id IS NOT NULL",
    ),
];

/// Name and words of steps that each takes in its own way.
const NAMES: (&str, &str) = (
    "certificate_names",
    "the names of certificates are put into their index",
);
const PLACES: (&str, &str) = ("agent_places", "the installations of each agent are counted");

const fn trigger(
    name: &'static str,
    table: &'static str,
    event: &'static str,
    function: &'static str,
) -> Step {
    Step::Trigger(Trigger {
        name,
        table,
        event,
        only: None,
        function,
    })
}

const POSTGRES: &[Step] = &[
    trigger(
        "agent_places_of_agent",
        "agents",
        "AFTER INSERT",
        "agent_places_of_agent()",
    ),
    trigger(
        "agent_places_of_installation",
        "installations",
        "AFTER INSERT OR DELETE",
        "agent_places_of_installation()",
    ),
    Step::Trigger(Trigger {
        name: "agents_served_elsewhere",
        table: "agents",
        event: "AFTER UPDATE OF tls_address",
        only: Some("(OLD.tls_address IS NULL) <> (NEW.tls_address IS NULL)"),
        function: "agents_served_elsewhere()",
    }),
    trigger(
        "certificate_keys_keep",
        "certificates",
        "AFTER INSERT",
        "certificate_keys_keep()",
    ),
    trigger(
        "certificate_names_keep",
        "certificates",
        "AFTER INSERT",
        "certificate_names_keep()",
    ),
    Step::Fill(Fill {
        name: PLACES.0,
        words: PLACES.1,
        table: "agents",
        id: "id",
        number_as_id: false,
        batch: "SELECT agent_places_count(ARRAY(SELECT a.id FROM agents a WHERE a.id > $1 AND a.id <= $2))",
    }),
    index(
        "agents_by_health",
        "agents",
        "((CASE WHEN status = 'banned' THEN '9999-12-31T00:00:00+00:00'::timestamptz ELSE silent_at END), id)",
    ),
    Step::Fill(Fill {
        name: NAMES.0,
        words: NAMES.1,
        table: "certificates",
        id: "id",
        number_as_id: false,
        batch: "INSERT INTO certificate_names (name, id) SELECT n.name, c.id FROM certificates c \
                CROSS JOIN LATERAL certificate_names_of(c.subject, c.sans) n (name) \
                WHERE c.id > $1 AND c.id <= $2 ON CONFLICT DO NOTHING",
    }),
    // The head of the chain is held while trigrams are put in: those of many rows are put in together, and soon.
    index(
        "audit_logs_by_trigram",
        "audit_logs",
        "USING gin (lower((' ' || actor || ' ' || action || ' ' || outcome || ' ' || COALESCE(ticket, '') || ' ' || COALESCE(reason, '') || ' ' || COALESCE(detail, '') \
             || ' ' || translate(actor || ' ' || action || ' ' || outcome || ' ' || COALESCE(ticket, '') || ' ' || COALESCE(reason, '') || ' ' || COALESCE(detail, ''), '.-=\"@/:', '       ') \
             || CASE WHEN action = 'run' AND outcome = 'done' AND COALESCE(detail, '') NOT LIKE 'plan `%`: reported: %' \
                     THEN ' proven' ELSE '' END) COLLATE \"default\") gin_trgm_ops) \
         WITH (fastupdate = on, gin_pending_list_limit = 128)",
    ),
];

const COUNTED: &[Step] = &[Step::Count(
    "counted_0002",
    &[
        "agent_places",
        "certificate_names",
        "agents",
        "issuance_requests",
        "audit_logs",
    ],
)];

const SQLITE: &[Step] = &[
    Step::Fill(Fill {
        name: PLACES.0,
        words: PLACES.1,
        table: "agents",
        id: "id",
        number_as_id: false,
        batch: "INSERT OR REPLACE INTO agent_places (id, n_installations) \
                SELECT a.id, (SELECT COUNT(*) FROM installations i WHERE i.agent_id = a.id) FROM agents a \
                WHERE a.id > $1 AND a.id <= $2",
    }),
    index(
        "agents_by_health",
        "agents",
        "(CASE WHEN status = 'banned' THEN '9999-12-31T00:00:00+00:00' ELSE silent_at END, id)",
    ),
    Step::Fill(Fill {
        name: NAMES.0,
        words: NAMES.1,
        table: "certificates",
        id: "id",
        number_as_id: false,
        batch: "INSERT OR IGNORE INTO certificate_names (name, id) \
                SELECT d.name, d.id FROM certificate_names_due d WHERE d.id > $1 AND d.id <= $2",
    }),
    Step::Fill(Fill {
        name: "audit_trigrams",
        words: "the words of audit rows are put into their index",
        table: "audit_logs",
        id: "seq",
        number_as_id: true,
        batch: "INSERT INTO audit_trigrams (rowid, words) SELECT l.seq, l.words FROM audit_logs l \
                WHERE l.seq > $1 AND l.seq <= $2",
    }),
];
