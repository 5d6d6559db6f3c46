//! The findings that a console sees by itself, so that they are there when the API is not.

use chrono::{DateTime, TimeDelta, Utc};

use super::State;
use super::cmd::Cmd;
use super::databases;
use super::query::{Answer, Query};
use crate::domain::finding::{Finding, FindingKind, NAMED, Severity};
use crate::domain::id::EntityKind;
use crate::domain::link::{Backend, LinkState};
use crate::domain::matter;
use crate::domain::request::{Request, RequestStatus, WaitingOn};
use crate::domain::worker::Worker;
use crate::plan::plan::{Plan, Target};
use crate::problem::{Problem, ProblemKind};

/// What the console sees without asking the API: a backend that is away or refuses us, Vault sealed, a clock that is
/// off.
#[must_use]
pub fn own_findings(state: &State) -> Vec<Finding> {
    let away = [
        api_down(state),
        token_refused(state),
        no_tables(state),
        database_down(state),
        database_degraded(state),
        vault_down(state),
        not_read(state),
    ];
    // What is being started isn't missed yet.
    let away = away.into_iter().filter(|_| state.starting.is_none());
    away.chain([vault_sealed(state), clock_off(state)])
        .flatten()
        .collect()
}

/// Sentence in a plan that changes something through the API, while that can't make changes as it should.
#[must_use]
pub fn in_the_way(state: &State, plan: &Plan) -> Option<String> {
    let is_through_api = |it: &Target| !matches!(it.kind, EntityKind::Vault | EntityKind::Agent);
    if !plan.targets.iter().any(is_through_api) {
        return None;
    }
    let finding = no_tables(state)
        .or_else(|| database_down(state))
        .or_else(|| database_degraded(state))?;
    Some(format!(
        "{}. A change is refused or waits until that is over.",
        finding.what
    ))
}

/// One about a backend, before all others of its severity: the smaller `rank`, the further up.
fn about(state: &State, backend: Backend, rank: i64) -> Finding {
    let vault = backend == Backend::Vault;
    let (entity, id, subject) = match backend {
        Backend::Vault => {
            let target = state.vault_target();
            (EntityKind::Vault, target.id, "Vault")
        }
        Backend::Database => (EntityKind::Service, backend.word().to_owned(), "Database"),
        _ => (EntityKind::Service, backend.word().to_owned(), "API"),
    };
    Finding {
        kind: if vault {
            FindingKind::VaultDown
        } else {
            FindingKind::ApiDown
        },
        severity: Severity::Critical,
        risk: i64::MAX - rank,
        entity,
        entity_id: id,
        version: 0,
        subject: subject.to_owned(),
        host: None,
        agent: None,
        matter: matter::NO_ANSWER.to_owned(),
        what: String::new(),
        since: state
            .down_since
            .get(&backend)
            .copied()
            .map(|at| state.by_platform(at)),
        due: None,
        takes_down: Vec::new(),
        n_takes_down: 0,
        answer: None,
        answer_for: Vec::new(),
        under_way: false,
    }
}

/// Why a backend is not as it should be, in its own words or those of who asked it.
fn note(state: &State, backend: Backend) -> &str {
    let note = state.links.get(&backend).and_then(|link| link.note.as_deref());
    note.unwrap_or("it doesn't say why")
}

/// Of when what is shown below is.
fn as_of(state: &State) -> String {
    let at = state.data.get(&Query::Findings).and_then(|loaded| loaded.as_of);
    match at.map(|at| state.by_platform(at)) {
        Some(at) if !state.look.whole_times && at.date_naive() == state.shown_at().date_naive() => {
            format!("; what is shown is from {}", at.format("%H:%MZ"))
        }
        Some(at) => format!("; what is shown is from {}", at.format("%Y-%m-%d %H:%MZ")),
        None => String::new(),
    }
}

fn api_down(state: &State) -> Option<Finding> {
    (state.link(Backend::Api) == LinkState::Down).then(|| Finding {
        what: format!(
            "The API doesn't answer: {}{}",
            note(state, Backend::Api),
            as_of(state)
        ),
        ..about(state, Backend::Api, 0)
    })
}

fn token_refused(state: &State) -> Option<Finding> {
    let trouble = state
        .data
        .get(&Query::Findings)
        .and_then(|loaded| loaded.trouble.as_ref());
    let trouble = trouble.filter(|it| it.kind == ProblemKind::NotAuthenticated);
    let refused = trouble
        .map(ToString::to_string)
        .or_else(|| state.token_refused.clone())?;
    let asks = state.keymap.call(Cmd::Refresh);
    (state.link(Backend::Api) != LinkState::Down).then(|| Finding {
        kind: FindingKind::TokenRefused,
        matter: matter::TOKEN_REFUSED.to_owned(),
        what: format!(
            "The API refuses this console's token: {refused}; {asks} asks again{}",
            as_of(state)
        ),
        ..about(state, Backend::Api, 0)
    })
}

/// A question of the open screen that came to nothing though all that is behind it looks well, such as when one route
/// of the API fails: a new critical finding would stay out of sight with nothing said. What is away is told by itself.
fn not_read(state: &State) -> Option<Finding> {
    let queries = unread(state);
    let why = failure(state, queries.first()?)?;
    let mut names: Vec<&str> = queries.iter().map(|query| query.words()).collect();
    names.dedup();
    let named = match names.as_slice() {
        [] => return None,
        [one] => (*one).to_owned(),
        [one, other] => format!("{one} and {other}"),
        [one, more @ ..] => format!("{one} and {} others of this screen", more.len()),
    };
    let asks = state.keymap.call(Cmd::Refresh);
    let as_of = match names.first() {
        Some(first) if *first == Query::Findings.words() => as_of(state),
        _ => String::new(),
    };
    Some(Finding {
        matter: matter::NOT_READ.to_owned(),
        subject: "This screen".to_owned(),
        what: format!("This screen is not whole: {named} can't be read: {why}; {asks} asks again{as_of}"),
        since: None,
        ..about(state, Backend::Api, 0)
    })
}

/// The questions of the open screen that came to nothing without anything being away, the findings first.
#[must_use]
pub fn unread(state: &State) -> Vec<&Query> {
    let is_told = state.link(Backend::Api) == LinkState::Down
        || state.api_database == LinkState::Down
        || state.link(Backend::Database) == LinkState::Down
        || state.token_refused.is_some()
        || databases::without_tables(&state.hosts).is_some();
    if is_told {
        return Vec::new();
    }
    let failed = |query: &&Query| failure(state, query).is_some();
    let mut queries: Vec<&Query> = state.needed.iter().filter(failed).collect();
    queries.sort_by_key(|query| **query != Query::Findings);
    queries
}

/// Reason that a question came to nothing, unless that is about the thing that was asked for or about who asks.
fn failure<'a>(state: &'a State, query: &Query) -> Option<&'a Problem> {
    let trouble = state.data.get(query)?.trouble.as_ref()?;
    let is_failure = match trouble.kind {
        ProblemKind::NotAuthenticated => false,
        ProblemKind::BackendFailed
        | ProblemKind::Unavailable
        | ProblemKind::NoAnswer
        | ProblemKind::Internal
        | ProblemKind::TooMany => query.neighbour().is_none(),
        _ => *query == Query::Findings,
    };
    is_failure.then_some(trouble)
}

/// The database that answers and is empty, as this console sees it: there is nothing to read anywhere.
fn no_tables(state: &State) -> Option<Finding> {
    let (names, next) = databases::without_tables(&state.hosts)?;
    Some(Finding {
        kind: FindingKind::DatabaseDown,
        matter: matter::NO_TABLES.to_owned(),
        what: format!(
            "The database's tables aren't there (on {names}): {next}; nothing can be read or changed{}",
            as_of(state)
        ),
        ..about(state, Backend::Database, 1)
    })
}

/// The API without its database. Where the console knows the hosts, their own findings say of a lost one, or one that
/// the API isn't on; a host that is well may still have tables that are locked or gone.
fn database_down(state: &State) -> Option<Finding> {
    let is_told_by_hosts = state.divided().is_some()
        || state.link(Backend::Database) == LinkState::Down
        || databases::without_tables(&state.hosts).is_some();
    let is_down = state.api_database == LinkState::Down && (state.hosts.is_empty() || !is_told_by_hosts);
    is_down.then(|| {
        let why = state.api_database_note.as_deref().unwrap_or("it doesn't say why");
        Finding {
            kind: FindingKind::DatabaseDown,
            what: format!(
                "The database can't be used by the API, which says of it: {why}; nothing can be changed{}",
                as_of(state)
            ),
            ..about(state, Backend::Database, 1)
        }
    })
}

/// The API's database that answers, and takes no changes or not all: its disk is full, or they wait for a standby. A
/// console that reads the database itself sees nothing of that.
fn database_degraded(state: &State) -> Option<Finding> {
    let why = state.api_database_note.as_deref()?;
    let is_degraded = state.api_database == LinkState::Degraded && state.divided().is_none();
    is_degraded.then(|| Finding {
        kind: FindingKind::DatabaseDown,
        matter: matter::DEGRADED.to_owned(),
        what: format!("The database is in trouble, as the API on it says: {why}"),
        ..about(state, Backend::Database, 1)
    })
}

fn vault_down(state: &State) -> Option<Finding> {
    (state.link(Backend::Vault) == LinkState::Down).then(|| Finding {
        what: format!(
            "Vault doesn't answer: {}; {}",
            note(state, Backend::Vault),
            seal_by_others(state)
        ),
        ..about(state, Backend::Vault, 2)
    })
}

/// Of the seal of a Vault that doesn't answer here, the API alone can tell, and only while it answers.
fn seal_by_others(state: &State) -> String {
    let told = told(state, |it| it.entity == EntityKind::Vault);
    match told.filter(|_| !state.findings_are_old()) {
        // Revocations are among what waits.
        Some(it) if it.kind == FindingKind::VaultDown => {
            let waits = if it.n_takes_down == 1 { "waits" } else { "wait" };
            format!(
                "the issuer gets no answer either, and {} {waits} for it",
                it.n_takes_down
            )
        }
        Some(_) => {
            format!("the issuer finds it sealed, and {}", waiting(state).words())
        }
        None => "whether it is sealed is not known here".to_owned(),
    }
}

/// The first of the API's findings that `is` so.
fn told(state: &State, is: impl Fn(&Finding) -> bool) -> Option<&Finding> {
    match state.answer(&Query::Findings)? {
        Answer::Findings(answered) => answered.findings.iter().find(|it| is(it)),
        _ => None,
    }
}

/// True if the console sees the cause of an API's finding by itself, and so has a row of its own for it, or knows that
/// it is gone: one cause is one row, and it says how it is now.
pub(super) fn is_seen_here(state: &State, finding: &Finding) -> bool {
    if finding.kind == FindingKind::NobodyWorks {
        return works(state, &finding.entity_id);
    }
    if finding.entity != EntityKind::Vault {
        return false;
    }
    match state.link(Backend::Vault) {
        LinkState::Down => state.starting.is_none(),
        // A Vault that is open for this console may still be closed to the issuer, while a current finding says so.
        LinkState::Up | LinkState::Degraded => state.vault_sealed() || state.findings_are_old(),
        LinkState::Unknown | LinkState::Absent => false,
    }
}

/// True if the API says that somebody is at this duty. It knows when nobody could write that he is, as on a primary that is
/// set read-only; a console that reads the database itself only sees who is silent.
fn works(state: &State, duty: &str) -> bool {
    let at_it = |it: &Worker| it.duty.word() == duty && it.is_there;
    let answers = matches!(state.link(Backend::Api), LinkState::Up | LinkState::Degraded);
    answers && state.divided().is_none() && state.workers.iter().any(at_it)
}

/// Time that the issuer is given to try a Vault again that was opened.
const TRIES_AGAIN: TimeDelta = TimeDelta::minutes(1);

/// True while the issuer may not know yet that Vault was opened.
#[must_use]
pub fn is_just_unsealed(state: &State) -> bool {
    let is_open = state.link(Backend::Vault) == LinkState::Up && !state.vault_sealed();
    let at = state.unsealed_at;
    is_open && at.is_some_and(|at| state.now - at < TRIES_AGAIN)
}

/// The API's finding about a seal that this console has seen opened since.
pub(super) fn told_after_unseal(state: &State, finding: Finding) -> Finding {
    if finding.kind != FindingKind::VaultSealed || !is_just_unsealed(state) {
        return finding;
    }
    Finding {
        severity: Severity::Warning,
        matter: matter::UNSEALED.to_owned(),
        what: format!(
            "{} is unsealed: the issuer tries it again by itself, and then {}",
            finding.subject,
            match finding.n_takes_down {
                0 => "issues and revokes".to_owned(),
                1 => "does what waits: 1 thing".to_owned(),
                n => format!("does what waits: {n} things"),
            }
        ),
        answer: None,
        ..finding
    }
}

/// True if a finding of this kind is as of now, though the API's are old.
#[must_use]
pub fn is_of_now(state: &State, kind: FindingKind) -> bool {
    match kind {
        FindingKind::ApiDown
        | FindingKind::TokenRefused
        | FindingKind::DatabaseDown
        | FindingKind::ClockOff
        | FindingKind::DatabaseLost
        | FindingKind::ReplicaBehind
        | FindingKind::TwoPrimaries
        | FindingKind::ApiElsewhere => true,
        FindingKind::VaultSealed => state.vault_sealed(),
        // Of a Vault that answers here, the issuer alone tells it.
        FindingKind::VaultDown if state.link(Backend::Vault) == LinkState::Down => true,
        _ => !state.findings_are_old(),
    }
}

fn vault_sealed(state: &State) -> Option<Finding> {
    let link = state.links.get(&Backend::Vault)?;
    let seal = link.seal.as_ref().filter(|seal| seal.sealed)?;
    if !matches!(link.state, LinkState::Up | LinkState::Degraded) {
        return None;
    }
    let waiting = waiting(state);
    let n = waiting.n();
    let waits = match n {
        0 => "nothing can be issued or revoked".to_owned(),
        _ => format!("{} on it", waiting.words()),
    };
    Some(Finding {
        kind: FindingKind::VaultSealed,
        matter: matter::sealed(n),
        what: format!(
            "Vault is sealed ({} of {} shares): {waits}",
            seal.progress, seal.threshold
        ),
        since: sealed_since(state),
        n_takes_down: n,
        takes_down: waiting.names,
        answer: Some("unseal".to_owned()),
        ..about(state, Backend::Vault, 3)
    })
}

/// Since when Vault is sealed: the issuer, which was there before this console, may know it longer.
fn sealed_since(state: &State) -> Option<DateTime<Utc>> {
    let told = told(state, |it| it.kind == FindingKind::VaultSealed).and_then(|it| it.since);
    let seen = state.sealed_since.map(|at| state.by_platform(at));
    match (told, seen) {
        (Some(told), Some(seen)) => Some(told.min(seen)),
        (told, seen) => told.or(seen),
    }
}

/// Everything on screen is by the platform's clock, so nothing there is wrong; what this computer dates by its own
/// is.
fn clock_off(state: &State) -> Option<Finding> {
    let ahead = state.clock_ahead;
    if ahead.is_zero() {
        return None;
    }
    let is = if ahead > TimeDelta::zero() {
        "behind"
    } else {
        "ahead of"
    };
    Some(Finding {
        kind: FindingKind::ClockOff,
        severity: Severity::Warning,
        subject: "This computer".to_owned(),
        entity_id: "clock".to_owned(),
        matter: matter::CLOCK_OFF.to_owned(),
        what: format!(
            "This computer's clock is {} {is} the platform's: times here are by the platform's; set this one by NTP",
            span(ahead.abs())
        ),
        since: None,
        ..about(state, Backend::Api, 4)
    })
}

/// Coarse, so that it doesn't jitter.
fn span(by: TimeDelta) -> String {
    match by.num_minutes() {
        1..120 => format!("{} min", by.num_minutes()),
        120..2880 => format!("{} h", by.num_hours()),
        _ => format!("{} days", by.num_days()),
    }
}

/// Work that waits for Vault: as the API counts it, and of what the console has itself where that is more.
#[derive(Default)]
struct Waiting {
    n_requests: i64,
    n_revocations: i64,
    /// The first of them, by name.
    names: Vec<String>,
}

impl Waiting {
    fn n(&self) -> i64 {
        self.n_requests.saturating_add(self.n_revocations)
    }

    /// `2 requests and 1 revocation wait`.
    fn words(&self) -> String {
        let counted = |n: i64, what: &str| match n {
            1 => format!("1 {what}"),
            n => format!("{n} {what}s"),
        };
        let (requests, revocations) = (
            counted(self.n_requests, "request"),
            counted(self.n_revocations, "revocation"),
        );
        let what = match (self.n_requests, self.n_revocations) {
            (_, 0) => requests,
            (0, _) => revocations,
            _ => format!("{requests} and {revocations}"),
        };
        let wait = if self.n() == 1 { "waits" } else { "wait" };
        format!("{what} {wait}")
    }
}

/// Requests and revocations that wait for Vault. One that waits for a person or for its agent doesn't.
fn waiting(state: &State) -> Waiting {
    let waits = |request: &&Request| match request.status {
        RequestStatus::Issuing => true,
        RequestStatus::Pending => matches!(request.waiting_on, Some(WaitingOn::Ca) | None),
        _ => false,
    };
    let told = told(state, |it| it.kind == FindingKind::VaultSealed);
    let n_told = told.map_or(0, |it| it.n_takes_down);
    let told_names = told.map(|it| it.takes_down.clone()).unwrap_or_default();
    let Some(Answer::Requests(window)) = state.answer(&Query::OpenRequests) else {
        return Waiting {
            n_requests: n_told,
            n_revocations: 0,
            names: told_names,
        };
    };
    let mut names: Vec<String> = window
        .rows
        .iter()
        .filter(waits)
        .map(|request| request.common_name.clone())
        .collect();
    let n_here = i64::try_from(names.len()).unwrap_or(i64::MAX);
    let more = n_told.saturating_sub(n_here).max(0);
    // Open work that isn't in a whole list of the requests is a revocation.
    let is_whole = window.total <= i64::try_from(window.rows.len()).unwrap_or(i64::MAX);
    let (n_requests, n_revocations) = if is_whole {
        (n_here, more)
    } else {
        (n_here.saturating_add(more), 0)
    };
    if more > 0 {
        names = told_names;
    }
    names.truncate(NAMED);
    Waiting {
        n_requests,
        n_revocations,
        names,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::link::{Link, Seal};
    use super::super::{ContextInfo, Size};
    use super::*;
    use crate::domain::database::{Host, HostState};
    use crate::domain::finding::{Maker, assert_is_whole, kinds_of};
    use crate::domain::worker::Duty;

    fn state_with(links: &[(Backend, LinkState)], sealed: bool) -> State {
        let size = Size {
            width: 80,
            height: 24,
        };
        let mut state = State::new(ContextInfo::default(), size, DateTime::UNIX_EPOCH);
        for (backend, is) in links {
            if *backend == Backend::Database {
                state.api_database = *is;
            }
            let seal = Seal {
                sealed,
                initialized: true,
                threshold: 3,
                shares: 5,
                progress: 0,
                nonce: String::new(),
                version: String::new(),
            };
            let link = Link {
                state: *is,
                note: Some("connection refused".to_owned()),
                latency_ms: None,
                as_of: DateTime::UNIX_EPOCH,
                seal: (*backend == Backend::Vault).then_some(seal),
            };
            state.links.insert(*backend, link);
        }
        state
    }

    #[test]
    fn a_database_without_tables_is_one_critical_finding_that_says_what_to_do() {
        let mut state = state_with(&[(Backend::Database, LinkState::Down)], false);
        state.api_database_note = Some("its tables aren't there".to_owned());
        let bare = HostState::NoTables("run `cmp-server --migrate-only`".to_owned());
        state.hosts = vec![Host {
            name: "db-1".to_owned(),
            unchecked: None,
            late: BTreeSet::new(),
            state: bare,
            instance: None,
        }];
        let told = own_findings(&state);
        let [it] = &told[..] else { panic!("{told:?}") };
        assert_is_whole(it);
        assert_eq!(it.severity, Severity::Critical);
        assert!(it.what.contains("`cmp-server --migrate-only`"), "{}", it.what);
    }

    #[test]
    fn nobody_is_missed_here_of_whom_the_api_says_that_he_is_there() {
        let mut state = state_with(&[(Backend::Api, LinkState::Up)], false);
        let missing = |duty: Duty| Finding {
            kind: FindingKind::NobodyWorks,
            entity_id: duty.word().to_owned(),
            ..about(&state, Backend::Api, 0)
        };
        let (issuer, scheduler) = (missing(Duty::Issuer), missing(Duty::Scheduler));
        let worker = |is_there| Worker {
            duty: Duty::Issuer,
            name: "issuer-1".to_owned(),
            version: String::new(),
            seen_at: DateTime::UNIX_EPOCH,
            is_there,
            clock_ahead_s: None,
        };
        state.workers = vec![worker(true)];
        assert!(is_seen_here(&state, &issuer) && !is_seen_here(&state, &scheduler));
        state.workers = vec![worker(false)];
        assert!(!is_seen_here(&state, &issuer));
        let mut away = state_with(&[(Backend::Api, LinkState::Down)], false);
        away.workers = vec![worker(true)];
        assert!(!is_seen_here(&away, &issuer), "that was before it was away");
    }

    #[test]
    fn every_finding_is_a_sentence_with_its_subject() {
        let all_down = [Backend::Api, Backend::Database, Backend::Vault].map(|it| (it, LinkState::Down));
        let mut found = own_findings(&state_with(&all_down, true));
        found.extend(own_findings(&state_with(
            &[(Backend::Vault, LinkState::Degraded)],
            true,
        )));
        let mut refused = state_with(&[], false);
        refused.token_refused = Some("401: it has ended".to_owned());
        for minutes in [-90, 9_000] {
            refused.clock_ahead = TimeDelta::minutes(minutes);
            found.extend(own_findings(&refused));
        }
        let mut full = state_with(&[(Backend::Database, LinkState::Degraded)], false);
        full.api_database_note = Some("its disk is full; make room".to_owned());
        let told = own_findings(&full);
        assert!(
            matches!(&told[..], [it] if it.what.contains("its disk is full") && it.severity == Severity::Critical),
            "{told:?}"
        );
        found.extend(told);
        found.iter().for_each(assert_is_whole);
        let mut kinds: BTreeSet<FindingKind> = found.iter().map(|it| it.kind).collect();
        assert!(kinds.remove(&FindingKind::VaultSealed), "the API tells it too");
        assert_eq!(kinds, kinds_of(Maker::Console));
    }
}
