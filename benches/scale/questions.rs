//! The questions, each with its goal and the raw statement beside it.

use std::time::Duration;

use sqlx::{PgConnection, Row};

/// Listener that answers.
#[derive(Clone, Copy)]
pub(crate) enum Via {
    Api,
    Health,
}

/// Place in a list.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    Top,
    /// Tens of thousands of rows behind its beginning.
    Deep,
}

/// Upper bound for p99.
#[derive(Clone, Copy)]
pub(crate) enum Goal {
    Within(Duration),
    /// As much over that of the raw statement.
    Over(Duration),
}

pub(crate) struct Question {
    pub(crate) name: String,
    pub(crate) via: Via,
    /// Behind `/api/v1/` or `/`.
    pub(crate) path: String,
    pub(crate) depth: Depth,
    pub(crate) goal: Goal,
    pub(crate) raw: Option<String>,
}

/// A certificate of the database, to be searched for.
pub(crate) struct Sample {
    id: String,
    serial: String,
    fingerprint: String,
    spki: String,
}

impl Sample {
    pub(crate) async fn take(conn: &mut PgConnection) -> Self {
        let row = sqlx::query(
            "SELECT id, serial, fingerprint_sha256, spki_sha256 FROM certificates \
             WHERE status = 'active' AND id > 'crt_01k00000000000000000005' ORDER BY id LIMIT 1",
        )
        .fetch_one(conn)
        .await
        .unwrap();
        Self {
            id: row.get(0),
            serial: row.get(1),
            fingerprint: row.get(2),
            spki: row.get(3),
        }
    }
}

/// A list, the orders that are offered for it, and its raw page.
struct List {
    path: &'static str,
    sorts: &'static [&'static str],
    raw: &'static str,
}

const LISTS: [List; 5] = [
    List {
        path: "certs",
        sorts: &[
            "not_after",
            "subject",
            "status",
            "created_at",
            "serial",
            "key_algorithm",
            "host",
            "owner",
            "installations",
            "id",
        ],
        raw: "SELECT c.id, c.subject, c.sans, c.issuer, c.serial, c.fingerprint_sha256, c.spki_sha256, c.not_before, \
              c.not_after, c.status, s.host, s.owner, s.n_installations FROM certificate_states s \
              JOIN certificates c ON c.id = s.id WHERE (s.not_after, s.id) > (now(), '') \
              ORDER BY s.not_after, s.id LIMIT 50",
    },
    List {
        path: "agents",
        sorts: &[
            "hostname",
            "last_checkin",
            "silent",
            "health",
            "installations",
            "address",
            "owner",
            "status",
            "id",
        ],
        raw: "SELECT * FROM agents WHERE hostname > 'host-5' ORDER BY hostname LIMIT 50",
    },
    List {
        path: "requests",
        sorts: &[
            "created_at",
            "common_name",
            "status",
            "why",
            "attempt",
            "requested_by",
            "id",
        ],
        raw: "SELECT * FROM issuance_requests WHERE id > 'req_01k00000000000000000005' ORDER BY id LIMIT 50",
    },
    List {
        path: "keys",
        sorts: &["created_at", "status", "id"],
        raw: "SELECT * FROM keys WHERE spki_sha256 > '5' ORDER BY spki_sha256 LIMIT 50",
    },
    List {
        path: "audit",
        sorts: &["seq", "actor", "action", "outcome", "entity"],
        raw: "SELECT * FROM audit_logs WHERE seq < 1000 ORDER BY seq DESC LIMIT 50",
    },
];

const PAGE: Duration = Duration::from_millis(5);
const SEARCH: Duration = Duration::from_millis(50);
const FINDINGS: Duration = Duration::from_millis(100);
const FIGURES: Duration = Duration::from_millis(20);

/// All of them.
pub(crate) fn all(sample: &Sample) -> Vec<Question> {
    let mut all = Vec::new();
    for list in &LISTS {
        for sort in list.sorts {
            for (sign, depth) in [("", Depth::Top), ("-", Depth::Top), ("", Depth::Deep)] {
                let deep = if depth == Depth::Deep { ", deep" } else { "" };
                all.push(Question {
                    name: format!("page of {} by {sign}{sort}{deep}", list.path),
                    via: Via::Api,
                    path: format!("{}?limit=50&sort={sign}{sort}", list.path),
                    depth,
                    goal: Goal::Over(PAGE),
                    raw: Some(list.raw.to_owned()),
                });
            }
        }
    }
    let searches = [
        ("certs", "by id", sample.id.as_str()),
        ("certs", "by serial", &sample.serial),
        (
            "certs",
            "by serial without colons",
            &sample.serial.replace(':', ""),
        ),
        ("certs", "by fingerprint", &sample.fingerprint),
        ("certs", "by key", &format!("key:{}", sample.spki)),
        ("certs", "by a name", "www77777.shop777"),
        ("certs", "by a word of many", "shop777"),
        ("certs", "by a word of all", "example"),
        ("certs", "by a word of none", "nothing-1-2"),
        ("certs", "by a domain", "domain:shop777.example.com"),
        (
            "certs",
            "by a name that it covers",
            "covers:www77777.shop777.example.com",
        ),
        ("certs", "by a host", "agent:host-777.example.com"),
        ("certs", "by letters", "~wwwshpxmpl"),
        ("certs", "by letters of none", "~qzqzq"),
        ("certs", "without a word", "!www1"),
        ("certs", "as in the README", "expires:<7d !agent:cdn"),
        ("certs", "of a status that ends", "status:active expires:<7d"),
        ("agents", "by a name", "host-777"),
        ("agents", "by a word of all", "example"),
        ("requests", "by a name", "www777"),
        ("requests", "by status", "status:failed"),
        ("keys", "by hash", &sample.spki),
        ("audit", "by a word", "superseded"),
        ("audit", "by a word of none", "nothing-1-2"),
        ("audit", "by actor", "actor:kim"),
        ("audit", "by entity", &format!("entity:{}", sample.id)),
    ];
    all.extend(searches.into_iter().map(|(list, name, filter)| Question {
        name: format!("search in {list} {name}"),
        via: Via::Api,
        path: format!("{list}?limit=50&filter={}", encoded(filter)),
        depth: Depth::Top,
        goal: Goal::Within(SEARCH),
        raw: None,
    }));
    let figures = [
        ("findings", Via::Api, "findings", FINDINGS),
        ("trends", Via::Api, "trends", FIGURES),
        (
            "pane of what ends",
            Via::Api,
            "certs?limit=50&filter=expires:%3C30d",
            FIGURES,
        ),
        ("metrics", Via::Health, "metrics", FIGURES),
        ("readyz", Via::Health, "readyz", FIGURES),
        ("me", Via::Api, "me", FIGURES),
    ];
    all.extend(figures.into_iter().map(|(name, via, path, goal)| Question {
        name: name.to_owned(),
        via,
        path: path.to_owned(),
        depth: Depth::Top,
        goal: Goal::Within(goal),
        raw: None,
    }));
    all
}

fn encoded(filter: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:".contains(&byte);
    filter
        .bytes()
        .map(|byte| match plain(byte) {
            true => char::from(byte).to_string(),
            false => format!("%{byte:02X}"),
        })
        .collect()
}
