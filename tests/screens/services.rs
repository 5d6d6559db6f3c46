//! Services, the logs beside them, and where the data comes from when the primary is lost.

use super::*;

#[test]
fn services_when_all_is_lost() {
    snapshot("services_down", |state| {
        go(state, ViewId::Services, None);
        for backend in [Backend::Api, Backend::Vault] {
            let seal = state.links.get(&backend).and_then(|link| link.seal.clone());
            let why = "no connection: Connection refused (os error 111)";
            let mut link = fixtures::link(LinkState::Down, Some(why));
            link.seal = seal;
            state.links.insert(backend, link);
        }
    });
}

/// The primary of the console's database is lost, and its replica read.
fn lose_the_primary(state: &mut State) {
    let lost = HostState::Lost {
        since: now() - Duration::minutes(2),
        why: "Connection refused (os error 111)".to_owned(),
        was: Some(HostRole::Primary),
    };
    let replica = HostState::Up(Standing {
        role: HostRole::Replica,
        timeline: 0,
        behind_ms: 0,
        follows: false,
        last_change: Some(now() - Duration::minutes(2)),
        latency_ms: 3,
    });
    let host = |name: &str, state| Host {
        name: name.to_owned(),
        unchecked: None,
        late: std::collections::BTreeSet::new(),
        state,
        instance: None,
    };
    let hosts = vec![host("db-1", lost), host("db-2", replica)];
    let event = Event::Hosts(hosts.clone());
    update(state, Timed { at: now(), event }, &mut Vec::new());
    // The rows on screen came from it since.
    let from = hosts[1].standing().map(|standing| ReadFrom::Host {
        name: "db-2".to_owned(),
        standing: *standing,
    });
    for loaded in state.data.values_mut() {
        loaded.from.clone_from(&from);
    }
}

#[test]
fn a_lost_primary() {
    snapshot("services_failover", |state| {
        go(state, ViewId::Services, None);
        lose_the_primary(state);
    });
    snapshot("triage_failover", lose_the_primary);
}

#[test]
fn what_an_earlier_console_left() {
    snapshot("triage_kept", |state| {
        let text = serde_json::to_string(&Snapshot::of(state)).unwrap();
        for secret in ["BEGIN CERTIFICATE", "leaked in a paste"] {
            assert!(!text.contains(secret), "{secret} is on disk");
        }
        let kept: Snapshot = serde_json::from_str(&text).unwrap();
        let size = state.size;
        *state = blank(size.width, size.height);
        state.now += Duration::hours(17);
        kept.show(state);
        let why = "no connection: Connection refused (os error 111)";
        for backend in [Backend::Api, Backend::Vault] {
            let link = fixtures::link(LinkState::Down, Some(why));
            let event = Event::Link(backend, link);
            update(state, Timed { at: state.now, event }, &mut Vec::new());
        }
    });
}

#[test]
fn services_say_what_to_do_next_however_long_that_is() {
    snapshot("services_in_full", |state| {
        go(state, ViewId::Services, None);
        let why = "its schema isn't up to date, and this account may not change it: run `cmp-server \
                   --migrate-only` once, as the schema's owner";
        let link = fixtures::link(LinkState::Down, Some(why));
        state.links.insert(Backend::Database, link);
        let ids = Backend::ALL.map(Backend::word);
        state.screen_mut().put_cursor(0, 1, &ids);
    });
}

#[test]
fn logs_of_this_console() {
    snapshot("logs", |state| {
        go(state, ViewId::Logs, None);
        let lines = [
            "2026-11-23T03:01:12.481516Z  INFO cmp_console::console: connected context=demo",
            "2026-11-23T03:06:58.120003Z  WARN cmp_console::console::links: the event stream broke off",
            "2026-11-23T03:06:59.000001Z ERROR cmp_console::console::effects: an event of #3 was lost",
            "a line of another make",
        ];
        let lines = lines.iter().zip(0..).map(|(text, at)| LogLine {
            at: at * 100,
            text: (*text).to_owned(),
        });
        fixtures::answer(state, Query::Logs, Answer::Logs(lines.collect()));
        state.screen_mut().at_end = true;
    });
}

#[test]
fn services_of_a_platform_without_vault() {
    snapshot("services_without_vault", |state| {
        go(state, ViewId::Services, None);
        state.context.vault = None;
        let absent = fixtures::link(LinkState::Absent, Some("not configured"));
        state.links.insert(Backend::Vault, absent);
        let up = fixtures::link(LinkState::Up, None);
        state.links.insert(Backend::Issuer, up);
    });
}

#[test]
fn services_and_command_log() {
    snapshot("services", |state| {
        go(state, ViewId::Services, None);
        state.links.insert(Backend::Vault, fixtures::sealed(2));
    });
    snapshot("command_log", |state| {
        go(state, ViewId::CommandLog, None);
        state.command_log.push(LoggedCommand {
            at: now(),
            command: "VAULT_ADDR=http://127.0.0.1:8200 vault operator unseal <share>".to_owned(),
            how: "sent".to_owned(),
            run: None,
        });
    });
}

/// Whatever the API says of its database at whatever length, the title has a word for it.
#[test]
fn the_title_has_a_status_of_a_database_in_trouble_at_every_width() {
    let read_only = "is the primary, set read-only (`default_transaction_read_only`): when changes are wanted again: \
                     `ALTER SYSTEM RESET default_transaction_read_only; SELECT pg_reload_conf();`, as a superuser; or \
                     take it out of postgresql.conf, and reload";
    let off = "this server's clock is 7200 s ahead of the database's: set both by NTP";
    for (width, height) in SIZES {
        for (note, status) in [(read_only, "db READ-ONLY"), (off, "db degraded")] {
            for has_hosts in [true, false] {
                let mut state = night(width, height);
                let mut tell = |event| update(&mut state, Timed { at: now(), event }, &mut Vec::new());
                let link = |note| fixtures::link(LinkState::Degraded, Some(note));
                let primary = HostState::Up(Standing {
                    role: HostRole::Primary,
                    timeline: 1,
                    behind_ms: 0,
                    follows: false,
                    last_change: None,
                    latency_ms: 3,
                });
                let host = Host {
                    name: "db-1".to_owned(),
                    unchecked: None,
                    late: std::collections::BTreeSet::new(),
                    state: primary,
                    instance: None,
                };
                if has_hosts {
                    tell(Event::Hosts(vec![host.clone()]));
                }
                tell(Event::Link(Backend::Database, link(note)));
                if has_hosts {
                    tell(Event::Hosts(vec![host]));
                }
                tell(Event::Link(Backend::Cache, link("redis is lost")));
                let screen = text(&state);
                let title = screen.lines().next().unwrap();
                assert!(title.contains(status), "{width} {has_hosts}: {title}");
                assert!(
                    title.contains("cache degraded") || title.contains(" more"),
                    "{width}: {title}"
                );
            }
        }
    }
}
