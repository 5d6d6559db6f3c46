//! Pages hold every row once, in order, whatever is sorted by.

use std::collections::BTreeSet;

use chrono::Duration;
use cmp_console::domain::certificate::{Certificate, CertificateStatus, Shown};
use cmp_console::domain::reason::Reason;
use cmp_console::problem::{Problem, ProblemKind};
use cmp_console::store::requests::NewRequest;
use cmp_console::store::{
    Store, certificates, checkin, compromise, installations, issuance, requests, revocation,
};
use cmp_console::wire::agents::{Report, ReportedInstallation};
use cmp_console::wire::page::PageQuery;
use proptest::prelude::*;

use super::fixture::{Fixture, certificate, noon};

async fn all(store: &Store, query: &PageQuery) -> Vec<Certificate> {
    let mut query = query.clone();
    let mut rows = Vec::new();
    loop {
        let mut conn = store.read().await.unwrap();
        let page = certificates::page(&mut conn, &query).await.unwrap();
        assert!(page.items.len() <= query.limit_or_default() as usize);
        rows.extend(page.items);
        query.after = page.next;
        if query.after.is_none() {
            return rows;
        }
    }
}

async fn filled(n: u32) -> Option<Fixture> {
    let it = Fixture::new().await?;
    let mut tx = it.store.begin().await.unwrap();
    for i in 0..n {
        certificates::insert(&mut tx, &certificate(i)).await.unwrap();
    }
    tx.commit().await.unwrap();
    Some(it)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn complete_and_without_doubles(n in 0_u32..40, limit in 1_u32..9, column in 0_usize..5, down in any::<bool>()) {
        let sort = ["not_after", "subject", "status", "created_at", "id"][column];
        let sort = if down { format!("-{sort}") } else { sort.to_owned() };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let Some(it) = filled(n).await else { return };
            let query = PageQuery { limit: Some(limit), sort: Some(sort), ..PageQuery::default() };
            let rows = all(&it.store, &query).await;
            let ids: BTreeSet<&str> = rows.iter().map(|row| row.id.as_str()).collect();
            assert_eq!(rows.len(), n as usize);
            assert_eq!(ids.len(), n as usize);
            if column == 0 {
                let mut sorted: Vec<_> = rows.iter().map(|row| row.not_after).collect();
                sorted.sort();
                if down { sorted.reverse(); }
                assert_eq!(sorted, rows.iter().map(|row| row.not_after).collect::<Vec<_>>());
            }
        });
    }
}

#[tokio::test]
async fn filters_take_wildcards_literally() {
    let Some(it) = filled(20).await else { return };
    for (q, n) in [("HOST-3.", 1), ("%", 0), ("host_1", 0), ("'", 0), ("host-1", 11)] {
        let query = PageQuery {
            q: Some(q.to_owned()),
            ..PageQuery::default()
        };
        assert_eq!(all(&it.store, &query).await.len(), n, "{q}");
    }
}

#[tokio::test]
async fn what_is_unknown_is_refused_by_name() {
    let Some(it) = filled(3).await else { return };
    let mut conn = it.store.read().await.unwrap();
    let bad = [
        PageQuery {
            sort: Some("pem".to_owned()),
            ..PageQuery::default()
        },
        PageQuery {
            after: Some("nonsense".to_owned()),
            ..PageQuery::default()
        },
        PageQuery {
            status: Some("expired".to_owned()),
            ..PageQuery::default()
        },
        PageQuery {
            expires_before: Some("tomorrow".to_owned()),
            ..PageQuery::default()
        },
        PageQuery {
            entity: Some("crt_1".to_owned()),
            ..PageQuery::default()
        },
    ];
    for query in bad {
        let problem: Problem = certificates::page(&mut conn, &query).await.unwrap_err().into();
        assert_eq!(problem.kind, ProblemKind::BadInput, "{query:?}");
        assert!(problem.hint.is_some(), "{query:?}");
    }
}

#[tokio::test]
async fn every_list_can_be_read_by_each_of_its_orders() {
    use cmp_console::store::{agents, audit, keys, requests, runs};
    let Some(it) = filled(5).await else { return };
    let mut tx = it.store.begin().await.unwrap();
    requests::insert(&mut tx, &it.request("a.example.com"))
        .await
        .unwrap();
    requests::insert(&mut tx, &it.request("b.example.com"))
        .await
        .unwrap();
    audit::append(&mut tx, super::fixture::entry("a")).await.unwrap();
    audit::append(&mut tx, super::fixture::entry("b")).await.unwrap();
    agents::insert(&mut tx, &super::fixture::enrol("web-02"), 60)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let mut conn = it.store.read().await.unwrap();
    let query = |sort: &str, after: Option<String>| PageQuery {
        sort: Some(sort.to_owned()),
        limit: Some(1),
        after,
        ..PageQuery::default()
    };
    for sort in [
        "hostname",
        "-last_checkin",
        "status",
        "id",
        "silent",
        "health",
        "-health",
        "-installations",
        "address",
        "owner",
    ] {
        let first = agents::page(&mut conn, &query(sort, None)).await.unwrap();
        let next = agents::page(&mut conn, &query(sort, first.next)).await.unwrap();
        assert_ne!(first.items[0].id, next.items[0].id, "{sort}");
    }
    for sort in ["created_at", "-status", "id"] {
        let first = keys::page(&mut conn, &query(sort, None)).await.unwrap();
        let next = keys::page(&mut conn, &query(sort, first.next)).await.unwrap();
        assert_ne!(first.items[0].spki_sha256, next.items[0].spki_sha256, "{sort}");
    }
    for sort in [
        "-created_at",
        "common_name",
        "status",
        "id",
        "why",
        "-attempt",
        "requested_by",
    ] {
        let first = requests::page(&mut conn, &query(sort, None)).await.unwrap();
        let next = requests::page(&mut conn, &query(sort, first.next)).await.unwrap();
        assert_ne!(first.items[0].id, next.items[0].id, "{sort}");
    }
    for sort in ["seq", "-seq", "actor", "-action", "outcome", "-outcome", "entity"] {
        let first = audit::page(&mut conn, &query(sort, None)).await.unwrap();
        let next = audit::page(&mut conn, &query(sort, first.next)).await.unwrap();
        assert_ne!(first.items[0].seq, next.items[0].seq, "{sort}");
    }
    let refused = audit::page(&mut conn, &query("-why", None)).await.unwrap_err();
    assert!(
        refused.to_string().contains("reasons are of any length"),
        "{refused}"
    );
    assert_eq!(
        runs::page(&mut conn, &query("started_at", None))
            .await
            .unwrap()
            .total,
        0
    );
}

#[tokio::test]
async fn text_is_in_the_order_of_its_bytes_whatever_the_database_speaks() {
    use cmp_console::store::agents;
    let Some(it) = Fixture::new().await else { return };
    let mut names = vec![
        "web-01", "web_02", "Web-03", "wéb", "webb", "we-b", "WEB", "z", "Z", "é",
    ];
    let mut tx = it.store.begin().await.unwrap();
    for name in &names[1..] {
        agents::insert(&mut tx, &super::fixture::enrol(name), 60)
            .await
            .unwrap();
    }
    tx.commit().await.unwrap();
    names.sort_unstable();
    let mut conn = it.store.read().await.unwrap();
    let mut query = PageQuery {
        sort: Some("hostname".to_owned()),
        limit: Some(2),
        ..PageQuery::default()
    };
    let mut read = Vec::new();
    loop {
        let page = agents::page(&mut conn, &query).await.unwrap();
        read.extend(page.items.into_iter().map(|agent| agent.hostname));
        query.after = page.next;
        if query.after.is_none() {
            break;
        }
    }
    assert_eq!(read, names);
}

#[tokio::test]
async fn a_status_in_a_filter_is_the_word_that_the_screen_shows() {
    let Some(it) = Fixture::new().await else { return };
    let mut tx = it.store.begin().await.unwrap();
    let mut ids = Vec::new();
    for (n, days) in [
        (1, 90),
        (2, 20),
        (3, -2),
        (4, 90),
        (5, -2),
        (6, 90),
        (7, -2),
        (8, 90),
        (9, 90),
        (10, 90),
        (11, -2),
    ] {
        let mut new = certificate(n);
        new.not_after = noon() + Duration::days(days);
        ids.push(certificates::insert(&mut tx, &new).await.unwrap());
    }
    revocation::ask(&mut tx, &ids[3].id, Reason::Superseded)
        .await
        .unwrap();
    // The fifth to the ninth have successors; the sixth is still expected, the seventh was seen to be served.
    for (n, old) in ids[4..9].iter().enumerate() {
        let request = NewRequest {
            replaces: Some(old.id.clone()),
            ..it.request(&format!("n{n}.example.com"))
        };
        let id = requests::insert(&mut tx, &request).await.unwrap().id;
        let mut next = certificate(20 + u32::try_from(n).unwrap());
        next.not_after = noon() + Duration::days(90);
        requests::set_csr(&mut tx, &id, "csr", &next.spki_sha256, "ecdsa-p256")
            .await
            .unwrap();
        cmp_console::store::claims::begin_issue(&mut tx, &id, "w", Duration::seconds(30))
            .await
            .unwrap();
        issuance::complete_issue(&mut tx, &id, &next).await.unwrap();
    }
    installations::expect(&mut tx, &it.agent.id, "/srv/tls/6.pem", &ids[5])
        .await
        .unwrap();
    installations::expect(&mut tx, &it.agent.id, "/srv/tls/1.pem", &ids[0])
        .await
        .unwrap();
    let report = report(
        "/srv/tls/1.pem",
        &ids[0].fingerprint_sha256,
        &ids[6].fingerprint_sha256,
    );
    checkin::check_in(&mut tx, &it.agent.id, &report).await.unwrap();
    // From the ninth on others have the keys, the last one ended before.
    for leaked in &ids[8..] {
        compromise::mark(&mut tx, &leaked.spki_sha256).await.unwrap();
    }
    tx.commit().await.unwrap();
    let mut conn = it.store.read().await.unwrap();
    let every = certificates::page(&mut conn, &PageQuery::default())
        .await
        .unwrap()
        .items;
    let shown = |it: &Certificate| it.shown(noon()).word();
    let of = |id: &str| shown(every.iter().find(|it| it.id == id).unwrap());
    let words: Vec<&str> = ids.iter().map(|it| of(&it.id)).collect();
    assert_eq!(
        words,
        [
            "active", "expiring", "expired", "revoking", "replaced", "active", "expired", "replaced",
            "leaked", "leaked", "expired"
        ]
    );
    for status in Shown::ALL {
        let query = PageQuery {
            filter: Some(format!("status:{}", status.word())),
            ..PageQuery::default()
        };
        let page = certificates::page(&mut conn, &query).await.unwrap();
        let n = every.iter().filter(|it| it.shown(noon()) == status).count();
        assert!(
            page.items.iter().all(|it| it.shown(noon()) == status),
            "{status:?}"
        );
        assert_eq!(page.items.len(), n, "{status:?}");
    }
    // An end is compared alike in both directions, and with its inverse; what is revoked or replaced is among them where
    // a status is asked for.
    let mut ends = async |filter: &str| -> BTreeSet<String> {
        let query = PageQuery {
            filter: Some(filter.to_owned()),
            ..PageQuery::default()
        };
        let page = certificates::page(&mut conn, &query).await.unwrap();
        page.items.into_iter().map(|it| it.id).collect()
    };
    let all: BTreeSet<String> = every.iter().map(|it| it.id.clone()).collect();
    let matters = |it: &&Certificate| it.status != CertificateStatus::Revoked && !it.is_replaced;
    let matter: BTreeSet<String> = every.iter().filter(matters).map(|it| it.id.clone()).collect();
    assert!(matter.len() < all.len());
    for (status, wanted) in [
        ("", &matter),
        ("status:any", &all),
        ("!status:held", &all),
        ("example", &all),
    ] {
        for days in [0, 7, 20, 60, 200] {
            let end = noon() + Duration::days(days);
            let is_near = |id: &&String| every.iter().any(|it| it.id == **id && it.not_after < end);
            let near: BTreeSet<String> = wanted.iter().filter(is_near).cloned().collect();
            let far: BTreeSet<String> = wanted.difference(&near).cloned().collect();
            for (expires, ids) in [("", &near), ("!", &far)] {
                let found = ends(&format!("{status} {expires}expires:<{days}d")).await;
                assert_eq!(&found, ids, "{status} {expires}<{days}d");
            }
            for (expires, ids) in [("", &far), ("!", &near)] {
                let found = ends(&format!("{status} {expires}expires:>{days}d")).await;
                assert_eq!(&found, ids, "{status} {expires}>{days}d");
            }
        }
    }
    let any = PageQuery {
        filter: Some("status:any".to_owned()),
        ..PageQuery::default()
    };
    assert_eq!(
        certificates::page(&mut conn, &any).await.unwrap().items.len(),
        every.len()
    );
}

#[tokio::test]
async fn a_filter_means_the_same_in_every_list() {
    use cmp_console::store::{agents, audit, requests};
    let Some(it) = filled(20).await else { return };
    let wanted = |filter: &str| PageQuery {
        filter: Some(filter.to_owned()),
        ..PageQuery::default()
    };
    // Subjects are numbered by sevens, ends by fives: 0 to 4 days from now.
    for (filter, n) in [
        ("host-1.", 1),
        ("!host-1.", 19),
        ("host example", 20),
        ("~h1.ple", 12),
        ("!~hostz", 20),
        ("status:active", 0),
        ("!status:active", 20),
        ("status:expired", 4),
        ("status:expiring", 16),
        ("!status:expired", 16),
        ("expires:<25h", 8),
        ("expires:>25h", 12),
        ("!expires:<25h", 12),
        ("key:ECDSA", 20),
        ("key:rsa", 0),
        ("!key:rsa issuer:cmp", 20),
        ("serial:0003", 1),
        ("00:03", 1),
        ("agent:web", 0),
        ("!agent:web", 20),
        ("%", 0),
    ] {
        let mut conn = it.store.read().await.unwrap();
        let page = certificates::page(&mut conn, &wanted(filter)).await.unwrap();
        assert_eq!(page.total, n, "{filter}");
    }
    let mut tx = it.store.begin().await.unwrap();
    requests::insert(&mut tx, &it.request("a.example.com"))
        .await
        .unwrap();
    audit::append(&mut tx, super::fixture::entry("revoke"))
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let mut conn = it.store.read().await.unwrap();
    let host = it.agent.hostname.clone();
    for (filter, n) in [
        (format!("host:{host}"), 1),
        (format!("!host:{host}"), 0),
        ("status:active address:127.0.0.1".to_owned(), 1),
        ("status:banned".to_owned(), 0),
        ("silent:>1h".to_owned(), 1),
        ("silent:<1h".to_owned(), 0),
        ("cert:crt_1".to_owned(), 0),
    ] {
        assert_eq!(
            agents::page(&mut conn, &wanted(&filter)).await.unwrap().total,
            n,
            "{filter}"
        );
    }
    for (filter, n) in [
        (format!("agent:{host} open:yes"), 1),
        ("open:no".to_owned(), 0),
        ("asked:<15m".to_owned(), 1),
        ("asked:>15m".to_owned(), 0),
        ("!open:no status:pending".to_owned(), 1),
        ("!error:denied ~axmp cert:crt_1".to_owned(), 0),
        ("!error:denied ~axmp !cert:crt_1".to_owned(), 1),
    ] {
        assert_eq!(
            requests::page(&mut conn, &wanted(&filter)).await.unwrap().total,
            n,
            "{filter}"
        );
    }
    for (filter, n) in [
        ("entity:crt_1 actor:ops action:revoke outcome:done", 1),
        ("!run:run_1 !ticket:INC", 1),
        ("actor:nobody", 0),
        ("when:<1d", 1),
        ("!when:<1d", 0),
    ] {
        assert_eq!(
            audit::page(&mut conn, &wanted(filter)).await.unwrap().total,
            n,
            "{filter}"
        );
    }
    for wrong in ["status:old", "colour:red status:", "entity:crt_1", "expires:soon"] {
        let problem: Problem = certificates::page(&mut conn, &wanted(wrong))
            .await
            .unwrap_err()
            .into();
        assert_eq!(problem.kind, ProblemKind::BadInput, "{wrong}");
    }
}

#[tokio::test]
async fn trends_count_each_thing_once() {
    use cmp_console::store::{agents, audit, trends};
    let Some(it) = filled(20).await else { return };
    let mut tx = it.store.begin().await.unwrap();
    for action in ["issue", "issue", "revoke"] {
        audit::append(&mut tx, super::fixture::entry(action))
            .await
            .unwrap();
    }
    agents::insert(&mut tx, &super::fixture::enrol("web-02"), 60)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let mut conn = it.store.read().await.unwrap();
    let counted = trends::read(&mut conn).await.unwrap();
    // Ends are numbered by fives: 0 to 4 days from now.
    assert_eq!((counted.expiring[0], counted.expired), (20, 0));
    assert_eq!(counted.expiring[1..].iter().sum::<i64>(), 0);
    assert_eq!((counted.issued[0], counted.issued.iter().sum::<i64>()), (2, 2));
    assert_eq!(counted.failed.iter().sum::<i64>(), 0);
    let all: i64 = counted.checked_in.iter().sum::<i64>() + counted.silent;
    assert_eq!(
        all,
        agents::page(&mut conn, &PageQuery::default())
            .await
            .unwrap()
            .total
    );
}

/// What an agent found at one path.
fn report(path: &str, on_disk: &str, served: &str) -> Report {
    Report {
        agent_version: "1".to_owned(),
        owner: None,
        identity_csr_pem: None,
        address: "http://127.0.0.1:1".to_owned(),
        tls_address: Some("127.0.0.1:443".to_owned()),
        install_dirs: vec!["/srv/tls".to_owned()],
        layout: None,
        installations: vec![ReportedInstallation {
            path: path.to_owned(),
            on_disk_sha256: Some(on_disk.to_owned()),
            served_sha256: Some(served.to_owned()),
            chain_missing: None,
            error: None,
        }],
        keys: Vec::new(),
        proofs: Vec::new(),
    }
}

/// People come with what Windows and Java show, in whole or in its beginning.
#[tokio::test]
async fn a_certificate_is_found_by_its_sha1_thumbprint() {
    let Some(it) = Fixture::new().await else { return };
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec!["a.example.com".to_owned()]).unwrap();
    let made = params.self_signed(&key).unwrap();
    let sha1 = hex::encode(aws_lc_rs::digest::digest(
        &aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY,
        made.der(),
    ));
    let mut tx = it.store.begin().await.unwrap();
    certificates::insert(&mut tx, &certificate(1)).await.unwrap();
    let mut new = certificate(2);
    new.pem = made.pem();
    let id = certificates::insert(&mut tx, &new).await.unwrap().id;
    tx.commit().await.unwrap();
    for clue in [sha1.as_str(), &sha1[..16], &sha1.to_uppercase()] {
        for query in [
            PageQuery {
                q: Some(clue.to_owned()),
                ..PageQuery::default()
            },
            PageQuery {
                filter: Some(clue.to_owned()),
                ..PageQuery::default()
            },
        ] {
            let found = all(&it.store, &query).await;
            let ids: Vec<&str> = found.iter().map(|it| it.id.as_str()).collect();
            assert_eq!(ids, [id.as_str()], "{query:?}");
        }
    }
}
