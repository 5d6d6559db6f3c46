//! The contexts of the configuration side by side: what each is, how it is, and which burns. The open one is as
//! its own screens know it; the others are asked (`console/neighbours.rs`). Data only: it asks nobody.

use std::collections::BTreeMap;

use chrono::Duration;

use super::State;
use super::figures::{EXPIRING, FAILED, Figures, Lists};
use super::link::Link;
use super::loaded::Loaded;
use super::query::{Answer, ListQuery, Query};
use crate::domain::link::{Backend, LinkState};
use crate::domain::role::Role;
use crate::problem::ProblemKind;

/// Another context that was not heard of for longer is not known any more: nobody asked meanwhile.
const OLD: Duration = Duration::seconds(30);

/// A context as the configuration has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Configured {
    /// Its name.
    pub name: String,
    /// Whether changes need an unlock there, and it looks like what one must be careful with.
    pub protected: bool,
    /// Whether every change is forbidden there.
    pub read_only: bool,
    /// The API's address.
    pub api: String,
    /// Vault's address, where it has one.
    pub vault: Option<String>,
}

/// How urgently somebody should look, the most urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Burns {
    /// Something is lost, sealed or critical.
    Now,
    /// Something works badly, or breaks soon.
    Soon,
    /// Not known: not asked yet, or there is nobody to ask as.
    Unknown,
    /// All is well.
    Not,
}

/// A context as it is seen now.
#[derive(Clone, Debug)]
pub struct Sight<'a> {
    /// What it is.
    pub context: Configured,
    /// Whether it is the open one.
    pub is_open: bool,
    /// How its backends are, where that is known.
    pub links: Option<&'a BTreeMap<Backend, Link>>,
    /// What burns there, as last known.
    pub figures: Option<Figures>,
    /// Where that comes from: its age, and what is wrong with it now.
    pub answer: Option<&'a Loaded<Answer>>,
    /// Whether nobody has asked for a while, so that the figures are not of now.
    pub is_old: bool,
    /// The token's role there, where its API told it.
    pub role: Option<Role>,
}

impl Sight<'_> {
    /// How one of its backends answers.
    #[must_use]
    pub fn link(&self, backend: Backend) -> Option<&Link> {
        self.links.and_then(|links| links.get(&backend))
    }

    /// Whether its Vault says that it is sealed.
    #[must_use]
    pub fn is_sealed(&self) -> bool {
        let link = self.link(Backend::Vault);
        link.filter(|link| matches!(link.state, LinkState::Up | LinkState::Degraded))
            .and_then(|link| link.seal.as_ref())
            .is_some_and(|seal| seal.sealed)
    }

    /// Whether its API lets nobody in with what there is.
    #[must_use]
    pub fn is_without_token(&self) -> bool {
        let trouble = self.answer.and_then(|answer| answer.trouble.as_ref());
        trouble.is_some_and(|problem| problem.kind == ProblemKind::NotAuthenticated)
    }

    /// Number of critical findings there. Of the open one all are counted; of another one the API tells its own, and
    /// what a console there would find by itself is seen by how its backends are (`own_findings`).
    #[must_use]
    pub fn critical(&self) -> Option<usize> {
        let told = self.figures.map(|it| it.critical);
        if self.is_open {
            return told;
        }
        let is = |backend, states: &[LinkState]| {
            let link = self.link(backend);
            link.is_some_and(|link| states.contains(&link.state))
        };
        let vault_is_told = self.figures.is_some_and(|it| it.vault > 0);
        let seen = [
            is(Backend::Api, &[LinkState::Down]),
            is(Backend::Database, &[LinkState::Down, LinkState::Degraded]),
            !vault_is_told && (is(Backend::Vault, &[LinkState::Down]) || self.is_sealed()),
        ];
        match (told, seen.into_iter().filter(|is_so| *is_so).count()) {
            (None, 0) => None,
            (told, n) => Some(told.unwrap_or_default() + n),
        }
    }

    /// How urgently somebody should look at it.
    #[must_use]
    pub fn burns(&self) -> Burns {
        let is = |state| {
            let mut links = self.links.iter().flat_map(|links| links.values());
            links.any(|link| link.state == state)
        };
        let figures = self.figures.unwrap_or_default();
        // Without a token nobody knows; that is no fault of the platform's.
        let fails = self.answer.is_some_and(|answer| answer.trouble.is_some()) && !self.is_without_token();
        if is(LinkState::Down) || self.is_sealed() || self.critical().unwrap_or_default() > 0 {
            Burns::Now
        } else if is(LinkState::Degraded)
            || figures.warnings + figures.silent > 0
            || figures.failed > 0
            || fails && self.links.is_some()
        {
            Burns::Soon
        } else if self.links.is_none() || self.figures.is_none() {
            Burns::Unknown
        } else {
            Burns::Not
        }
    }
}

/// Every context, what burns first; of those that burn alike the protected ones, and then by name, so that rows
/// move only when something happens.
#[must_use]
pub fn sights(state: &State) -> Vec<Sight<'_>> {
    let is_open = |context: &&Configured| context.name == state.context.name;
    let others = state.contexts.iter().filter(|context| !is_open(context));
    let mut sights: Vec<Sight<'_>> = others.map(|context| of_other(state, context)).collect();
    sights.push(of_open(state, state.contexts.iter().find(is_open)));
    sights.sort_by(|a, b| {
        let rank = |it: &Sight<'_>| (it.burns(), !it.context.protected);
        rank(a)
            .cmp(&rank(b))
            .then_with(|| a.context.name.cmp(&b.context.name))
    });
    sights
}

/// The questions that the screen of all contexts needs answered: of the others how they are, and of the open
/// one what triage asks anyway.
#[must_use]
pub fn needs(state: &State) -> Vec<Query> {
    let others = state.contexts.iter().map(|context| &context.name);
    let others = others.filter(|name| **name != state.context.name);
    let asked = others.flat_map(|name| [Query::LinksOf(name.clone()), Query::FiguresOf(name.clone())]);
    asked.chain([expiring(), failed()]).collect()
}

/// The list that the expiring certificates of the open context are counted by.
fn expiring() -> Query {
    Query::Certificates(ListQuery {
        q: EXPIRING.to_owned(),
        ..ListQuery::default()
    })
}

/// The list that its failed requests are counted by.
fn failed() -> Query {
    Query::Requests(ListQuery {
        q: FAILED.to_owned(),
        ..ListQuery::default()
    })
}

fn of_open<'a>(state: &'a State, configured: Option<&Configured>) -> Sight<'a> {
    let total = |query: &Query| state.answer(query).and_then(Answer::total);
    let findings = state.data.get(&Query::Findings);
    let is_answered = findings.is_some_and(|loaded| loaded.value.is_some());
    let lists = || {
        Some(Lists {
            expiring: total(&expiring())?,
            requests: total(&Query::OpenRequests)?,
            failed: total(&failed())?,
        })
    };
    let lists = lists().filter(|_| is_answered);
    let figures = lists.map(|lists| Figures::of(&state.findings(), &state.more_findings(), lists));
    Sight {
        context: Configured {
            name: state.context.name.clone(),
            protected: state.context.protected,
            read_only: configured.is_some_and(|context| context.read_only),
            api: state.context.api.clone(),
            vault: state.context.vault.clone(),
        },
        is_open: true,
        links: Some(&state.links).filter(|links| !links.is_empty()),
        figures,
        answer: findings,
        is_old: false,
        role: state.role,
    }
}

fn of_other<'a>(state: &'a State, context: &Configured) -> Sight<'a> {
    let name = &context.name;
    let is_old = |loaded: &Loaded<Answer>| {
        loaded
            .as_of
            .is_some_and(|at| state.shown_at() - state.by_platform(at) > OLD)
    };
    let links = state.data.get(&Query::LinksOf(name.clone()));
    let links = links.filter(|loaded| !is_old(loaded));
    let links = match links.and_then(|loaded| loaded.value.as_ref()) {
        Some(Answer::Links(links)) => Some(links),
        _ => None,
    };
    let answer = state.data.get(&Query::FiguresOf(name.clone()));
    let figures = match answer.and_then(|loaded| loaded.value.as_ref()) {
        Some(Answer::Figures(figures)) => Some(*figures),
        _ => None,
    };
    Sight {
        context: context.clone(),
        is_open: false,
        links,
        figures,
        answer,
        is_old: answer.is_some_and(is_old),
        role: figures.and_then(|figures| figures.role),
    }
}

/// Keeps a latency that only jitters as it was: at rest the screen stays as it is.
pub fn steady(before: Option<&Answer>, now: &mut Answer) {
    let (Some(Answer::Links(before)), Answer::Links(now)) = (before, now) else {
        return;
    };
    for (backend, link) in now {
        let was = before.get(backend).and_then(|link| link.latency_ms);
        if let (Some(was), Some(is)) = (was, link.latency_ms)
            && is >= was / 2
            && is <= was.saturating_mul(2).max(30)
        {
            link.latency_ms = Some(was);
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::problem::Problem;
    use crate::state::{ContextInfo, Size};

    fn state() -> State {
        let context = ContextInfo {
            name: "b".to_owned(),
            ..ContextInfo::default()
        };
        let size = Size {
            width: 80,
            height: 24,
        };
        let mut state = State::new(context, size, DateTime::from_timestamp(1_000, 0).unwrap());
        state.contexts = ["a", "b", "c", "prod"]
            .map(|name| Configured {
                name: name.to_owned(),
                protected: name == "prod",
                ..Configured::default()
            })
            .to_vec();
        state
    }

    fn answer(state: &mut State, query: Query, value: Answer) {
        let loaded = Loaded {
            value: Some(value),
            as_of: Some(state.now),
            ..Loaded::default()
        };
        state.data.insert(query, loaded);
    }

    fn links(api: LinkState, latency_ms: u32) -> Answer {
        let link = Link {
            state: api,
            note: None,
            latency_ms: Some(latency_ms),
            as_of: DateTime::UNIX_EPOCH,
            seal: None,
        };
        Answer::Links([(Backend::Api, link)].into())
    }

    fn names(state: &State) -> String {
        let sights = sights(state);
        let names: Vec<&str> = sights.iter().map(|it| it.context.name.as_str()).collect();
        names.join(" ")
    }

    #[test]
    fn what_burns_is_on_top_and_production_before_the_others() {
        let mut state = state();
        assert_eq!(names(&state), "prod a b c", "nothing is known");
        for name in ["a", "c", "prod"] {
            answer(
                &mut state,
                Query::LinksOf(name.to_owned()),
                links(LinkState::Up, 3),
            );
            answer(
                &mut state,
                Query::FiguresOf(name.to_owned()),
                Answer::Figures(Figures::default()),
            );
        }
        assert_eq!(names(&state), "b prod a c", "of one nothing is known");
        let silent = Figures {
            silent: 1,
            ..Figures::default()
        };
        answer(
            &mut state,
            Query::FiguresOf("c".to_owned()),
            Answer::Figures(silent),
        );
        answer(
            &mut state,
            Query::LinksOf("a".to_owned()),
            links(LinkState::Down, 3),
        );
        assert_eq!(names(&state), "a c b prod");
    }

    #[test]
    fn another_contexts_database_in_trouble_is_critical_as_the_open_ones_is() {
        let mut state = state();
        for name in ["a", "c", "prod"] {
            let figures = Answer::Figures(Figures::default());
            answer(&mut state, Query::FiguresOf(name.to_owned()), figures);
            answer(
                &mut state,
                Query::LinksOf(name.to_owned()),
                links(LinkState::Up, 3),
            );
        }
        let link = |state, seal| Link {
            state,
            note: Some("is the primary, set read-only".to_owned()),
            latency_ms: None,
            as_of: DateTime::UNIX_EPOCH,
            seal,
        };
        let database = link(LinkState::Degraded, None);
        let all = [
            (Backend::Api, link(LinkState::Up, None)),
            (Backend::Database, database),
        ];
        answer(
            &mut state,
            Query::LinksOf("c".to_owned()),
            Answer::Links(all.into()),
        );
        let critical = |state: &State, name: &str| {
            let sights = sights(state);
            let sight = sights.iter().find(|it| it.context.name == name).unwrap();
            (sight.critical(), sight.burns())
        };
        assert_eq!(critical(&state, "c"), (Some(1), Burns::Now));
        assert_eq!(critical(&state, "a"), (Some(0), Burns::Not));
        assert_eq!(names(&state), "c b prod a");
        // One cause is one: of a Vault that is away the API tells too.
        let vault = [
            (Backend::Api, link(LinkState::Up, None)),
            (Backend::Vault, link(LinkState::Down, None)),
        ];
        answer(
            &mut state,
            Query::LinksOf("a".to_owned()),
            Answer::Links(vault.into()),
        );
        assert_eq!(critical(&state, "a").0, Some(1));
        let told = Figures {
            critical: 1,
            vault: 1,
            ..Figures::default()
        };
        answer(
            &mut state,
            Query::FiguresOf("a".to_owned()),
            Answer::Figures(told),
        );
        assert_eq!(critical(&state, "a").0, Some(1));
    }

    #[test]
    fn without_a_token_it_is_not_known_whether_it_burns() {
        let mut state = state();
        answer(
            &mut state,
            Query::LinksOf("a".to_owned()),
            links(LinkState::Up, 3),
        );
        let query = Query::FiguresOf("a".to_owned());
        for (problem, burns) in [
            (
                Problem::new(ProblemKind::NotAuthenticated, "no token"),
                Burns::Unknown,
            ),
            (Problem::unavailable("away"), Burns::Soon),
        ] {
            state.data.entry(query.clone()).or_default().trouble = Some(problem);
            let sights = sights(&state);
            let sight = sights.iter().find(|it| it.context.name == "a").unwrap();
            assert_eq!(sight.burns(), burns);
        }
    }

    #[test]
    fn what_nobody_asked_for_a_while_is_not_shown_as_if_it_were_of_now() {
        let mut state = state();
        answer(
            &mut state,
            Query::LinksOf("a".to_owned()),
            links(LinkState::Up, 3),
        );
        let figures = Answer::Figures(Figures::default());
        answer(&mut state, Query::FiguresOf("a".to_owned()), figures);
        state.now += OLD + Duration::seconds(1);
        let sights = sights(&state);
        let sight = sights.iter().find(|it| it.context.name == "a").unwrap();
        assert!(sight.links.is_none() && sight.is_old && sight.figures.is_some());
    }

    #[test]
    fn the_others_alone_are_asked_of() {
        let state = state();
        let asked: Vec<Query> = needs(&state);
        assert!(asked.iter().all(|query| query.neighbour() != Some("b")));
        assert_eq!(asked.len(), 8);
    }

    #[test]
    fn a_latency_that_jitters_stays_and_one_that_leaps_is_told() {
        let before = links(LinkState::Up, 40);
        for (is, told) in [(20, 40), (80, 40), (90, 90), (900, 900), (5, 5)] {
            let mut now = links(LinkState::Up, is);
            steady(Some(&before), &mut now);
            assert_eq!(now, links(LinkState::Up, told), "{is} ms");
        }
    }
}
