//! What a console knows and can be told: data only. It asks nobody, draws nothing and knows no key.

pub mod aliases;
pub mod cmd;
pub mod contexts;
pub mod databases;
pub mod effect;
pub mod event;
pub mod figures;
pub mod following;
pub mod history;
pub mod keymap;
pub mod layer;
pub mod link;
pub mod loaded;
pub mod own_findings;
pub mod palette;
pub mod query;
pub mod run;
pub mod saved;
pub mod screen;
mod seen;
pub mod served;
pub mod snapshot;
mod targets;
pub mod typed;
pub mod wire;

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use crate::actions::Facts;
use crate::clients::crl::Crl;
use crate::config::console::Colours;
use crate::domain::database::{ApiOn, Host, ReadFrom, Source};
use crate::domain::divided::{Divided, divided};
use crate::domain::finding::{Finding, More};
use crate::domain::link::{Backend, LinkState};
use crate::domain::role::Role;
use crate::domain::worker::Worker;
use crate::plan::guard::Guard;
use crate::plan::plan::Target;
use crate::plan::tier::InContext;

use contexts::Configured;
use following::Following;
use history::History;
use keymap::Keymap;
use layer::Layer;
use link::Link;
use loaded::Loaded;
use query::{Answer, Query};
use run::Run;
use saved::SavedViews;
use screen::{Place, Screen, ViewId};
use served::{Endpoint, Handshake};
use wire::Wire;

/// A terminal's size in cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Columns.
    pub width: u16,
    /// Rows.
    pub height: u16,
}

/// Below this a sentence is shown instead of a screen.
pub const SMALLEST: Size = Size {
    width: 40,
    height: 10,
};

impl Size {
    /// True if there is no room for a screen, so that only that is said.
    #[must_use]
    pub fn is_too_small(self) -> bool {
        self.width < SMALLEST.width || self.height < SMALLEST.height
    }
}

/// Lines that the command log keeps.
const LOG: usize = 1000;

/// Which environment the console is on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContextInfo {
    /// Its name.
    pub name: String,
    /// Whether it looks like what one must be careful with.
    pub protected: bool,
    /// The API's address, for commands that people could type.
    pub api: String,
    /// Vault's address, which names the Vault node as a target; none where the context has no Vault.
    pub vault: Option<String>,
    /// The proxies of the environment on the way to backends, in words.
    pub proxies: BTreeMap<Backend, String>,
    /// Where the shares of the demo's Vault are kept, for people who try it out; none elsewhere.
    pub shares_in: Option<String>,
}

impl ContextInfo {
    /// What a confirmation has to know of it.
    #[must_use]
    pub fn for_plans(&self) -> InContext<'_> {
        InContext {
            name: &self.name,
            protected: self.protected,
        }
    }
}

/// How many colours a terminal has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Depth {
    /// The sixteen of its own theme.
    #[default]
    Sixteen,
    /// 256.
    Indexed,
    /// All of them.
    True,
}

/// How a console looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// Which colours.
    pub colours: Colours,
    /// How many colours the terminal has.
    pub depth: Depth,
    /// Plain ASCII only.
    pub ascii: bool,
    /// Moments are whole, as in what leaves the screen.
    pub whole_times: bool,
}

/// How important a toast is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// It worked.
    Good,
    /// Worth reading.
    Plain,
    /// It did not work.
    Bad,
}

/// A short message at the bottom; the newest is shown until the next key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Toast {
    /// How important.
    pub tone: Tone,
    /// What it says.
    pub text: String,
}

/// What a look at the CA's revocation list showed.
#[derive(Clone, Debug)]
pub struct Looked {
    /// The list, or why it can't be had; nothing while it is under way.
    pub crl: Option<Result<Arc<Crl>, String>>,
    /// When.
    pub at: DateTime<Utc>,
}

/// What a held screen goes on showing, whatever happens meanwhile.
#[derive(Clone, Debug)]
pub struct Held {
    /// Since when.
    pub at: DateTime<Utc>,
    /// The findings then, in their order.
    pub findings: Vec<Finding>,
}

/// One line of the command log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedCommand {
    /// When it was carried out.
    pub at: DateTime<Utc>,
    /// The equivalent command, without secrets.
    pub command: String,
    /// How it ended.
    pub how: String,
    /// The console's own name for the run that it belongs to, if it belongs to one.
    pub run: Option<String>,
}

/// Everything that a console shows.
#[derive(Clone, Debug)]
pub struct State {
    /// The time as of the last event.
    pub now: DateTime<Utc>,
    /// The time as the header shows it, to the minute: at rest nothing else changes.
    pub clock_label: String,
    /// The terminal's size.
    pub size: Size,
    /// How it looks.
    pub look: Look,
    /// How the wire to the person's terminal is.
    pub wire: Wire,
    /// Which environment.
    pub context: ContextInfo,
    /// The environments that there are; none where there is but the open one.
    pub contexts: Vec<Configured>,
    /// The context to go on with when this console ends.
    pub next_context: Option<String>,
    /// What keys mean.
    pub keymap: Keymap,
    /// Whether changes are allowed.
    pub guard: Guard,
    /// What the token may do, once known.
    pub role: Option<Role>,
    /// How each backend answers.
    pub links: BTreeMap<Backend, Link>,
    /// Since when each backend that doesn't answer doesn't, as far as was seen here.
    pub down_since: BTreeMap<Backend, DateTime<Utc>>,
    /// Since when Vault is sealed, as far as was seen here.
    pub sealed_since: Option<DateTime<Utc>>,
    /// Time at which this console saw it opened.
    pub unsealed_at: Option<DateTime<Utc>>,
    /// Questions that the open screen is read from.
    pub needed: Vec<Query>,
    /// What the API said to our token, while it refuses it.
    pub token_refused: Option<String>,
    /// Issuers and schedulers, as the API knows them.
    pub workers: Vec<Worker>,
    /// How far the platform's clock is ahead of this computer's; zero within a minute.
    pub clock_ahead: TimeDelta,
    /// How the API's database answers it, as the API says.
    pub api_database: LinkState,
    /// Reason that it isn't well, in the API's words.
    pub api_database_note: Option<String>,
    /// The database that the API is on, as it said last.
    pub api_on: Option<ApiOn>,
    /// The database's hosts; none where the context gives no database.
    pub hosts: Vec<Host>,
    /// What is still being started, in words; none once all is up.
    pub starting: Option<String>,
    /// Where the operator is, the current place last.
    pub places: Vec<Place>,
    /// Where the operator has been.
    pub history: History,
    /// Views that were saved under a name.
    pub saved: SavedViews,
    /// The filters that were used, the newest last.
    pub filters_used: Vec<String>,
    /// The lines that were typed as commands, the newest last.
    pub lines_used: Vec<String>,
    /// Cursor, marks, filter and sort of each screen, by how deep it lies: a list that was gone to from
    /// another one of its sort leaves that as it was.
    pub screens: BTreeMap<(usize, ViewId), Screen>,
    /// A clue whose answer is awaited.
    pub follow: Option<Following>,
    /// What the screen shows while it is held.
    pub held: Option<Held>,
    /// What was answered, by question.
    pub data: BTreeMap<Query, Loaded<Answer>>,
    /// What was served where.
    pub handshakes: BTreeMap<Endpoint, Handshake>,
    /// The CA's revocation list, once somebody wanted to know.
    pub crl: Option<Looked>,
    /// The cursor was moved a moment ago: bar and strip follow when it rests, so that a held key sends little.
    pub moving: bool,
    /// How often it was moved.
    pub moves: u64,
    /// The number of changes to what is typed as a filter.
    pub typings: u64,
    /// Dialogs, the topmost last.
    pub layers: Vec<Layer>,
    /// Number of times that key material was wiped out of a field: what still comes of it is not heard.
    pub wiped: u64,
    /// Runs by id, the newest last.
    pub runs: Vec<Run>,
    /// How many runs were ever begun here: an id is never used again, or a late answer would find
    /// another run.
    pub n_begun: u32,
    /// The newest message.
    pub toast: Option<Toast>,
    /// What was carried out, the newest last.
    pub command_log: Vec<LoggedCommand>,
    /// Number of commands that were carried out before those, and are no longer held.
    pub n_unlogged: usize,
    /// Whether what is known is kept on disk, for when nobody answers.
    pub keeps_snapshot: bool,
    /// Whether the last key asked to quit while something was under way.
    pub leaving: bool,
    /// Since when the screen is held still.
    pub frozen: Option<DateTime<Utc>>,
    /// Set when the console is to end.
    pub quit: bool,
}

/// The things that the answer to a finding is for, where those are others than its own.
#[must_use]
pub fn answers_of(finding: &Finding) -> Vec<Target> {
    let answers = finding.answer_for.iter();
    answers
        .map(|it| Target {
            kind: finding.entity,
            id: it.id.clone(),
            version: it.version,
            name: it.name.clone(),
            status: String::new(),
        })
        .collect()
}

impl State {
    /// A console that knows nothing yet.
    #[must_use]
    pub fn new(context: ContextInfo, size: Size, now: DateTime<Utc>) -> Self {
        Self {
            now,
            clock_label: String::new(),
            size,
            look: Look::default(),
            wire: Wire::default(),
            wiped: 0,
            context,
            contexts: Vec::new(),
            next_context: None,
            keymap: Keymap::default(),
            guard: Guard::ReadWrite,
            role: None,
            links: BTreeMap::new(),
            down_since: BTreeMap::new(),
            sealed_since: None,
            unsealed_at: None,
            needed: Vec::new(),
            token_refused: None,
            workers: Vec::new(),
            clock_ahead: TimeDelta::zero(),
            api_database: LinkState::Unknown,
            api_database_note: None,
            api_on: None,
            hosts: Vec::new(),
            starting: None,
            places: vec![Place {
                view: ViewId::Triage,
                subject: None,
            }],
            history: History::default(),
            saved: SavedViews::new(),
            filters_used: Vec::new(),
            lines_used: Vec::new(),
            screens: BTreeMap::new(),
            follow: None,
            held: None,
            data: BTreeMap::new(),
            handshakes: BTreeMap::new(),
            crl: None,
            moving: false,
            moves: 0,
            typings: 0,
            layers: Vec::new(),
            runs: Vec::new(),
            n_begun: 0,
            toast: None,
            command_log: Vec::new(),
            n_unlogged: 0,
            keeps_snapshot: false,
            leaving: false,
            frozen: None,
            quit: false,
        }
    }

    /// Where the operator is.
    #[must_use]
    pub fn place(&self) -> Place {
        self.places.last().cloned().unwrap_or(Place {
            view: ViewId::Triage,
            subject: None,
        })
    }

    /// Which of the screens the current one is: how deep, and which view.
    #[must_use]
    pub fn at(&self) -> (usize, ViewId) {
        (self.places.len(), self.place().view)
    }

    /// The current screen's cursor, marks, filter and sort.
    #[must_use]
    pub fn screen(&self) -> Screen {
        self.screens.get(&self.at()).cloned().unwrap_or_default()
    }

    /// The open screen, to change.
    pub fn screen_mut(&mut self) -> &mut Screen {
        let at = self.at();
        self.screens.entry(at).or_default()
    }

    /// How a backend answers.
    #[must_use]
    pub fn link(&self, backend: Backend) -> LinkState {
        self.links
            .get(&backend)
            .map_or(LinkState::Unknown, |link| link.state)
    }

    /// Whether Vault said that it is sealed.
    #[must_use]
    pub fn vault_sealed(&self) -> bool {
        let link = self.links.get(&Backend::Vault);
        link.filter(|link| matches!(link.state, LinkState::Up | LinkState::Degraded))
            .and_then(|link| link.seal.as_ref())
            .is_some_and(|seal| seal.sealed)
    }

    /// How the database is divided, if it is.
    #[must_use]
    pub fn divided(&self) -> Option<Divided> {
        divided(&self.hosts, self.api_on.as_ref())
    }

    /// What availability is worked out from.
    #[must_use]
    pub fn facts(&self) -> Facts {
        Facts {
            now: self.shown_at(),
            forbidden: self.guard.refuses(self.now),
            divided: self.divided().map(Divided::short),
            role: self.role,
            api: self.link(Backend::Api),
            api_database: self.api_database,
            vault: self.link(Backend::Vault),
            vault_sealed: self.vault_sealed(),
        }
    }

    /// The answer to `query`, if there is one.
    #[must_use]
    pub fn answer(&self, query: &Query) -> Option<&Answer> {
        self.data.get(query).and_then(|loaded| loaded.value.as_ref())
    }

    /// The moment that the screen shows: the present one, unless it is held; by the platform's clock, since that is
    /// what all times at the platform are by.
    #[must_use]
    pub fn shown_at(&self) -> DateTime<Utc> {
        self.by_platform(self.held.as_ref().map_or(self.now, |held| held.at))
    }

    /// The moment of which the answer to `query` is, by the platform's clock: the one that the screen shows, unless
    /// nobody can be asked for a newer one.
    #[must_use]
    pub fn seen_at(&self, query: &Query) -> DateTime<Utc> {
        let loaded = self.data.get(query);
        let is_old = |it: &&Loaded<Answer>| {
            it.kept || it.trouble.is_some() || it.is_older() || self.is_cut_off(Some(it))
        };
        let then = loaded.filter(is_old).and_then(|it| it.as_of);
        then.map_or_else(|| self.shown_at(), |at| self.by_platform(at))
    }

    /// True if this was read through an API that can't be asked, or can't read.
    fn is_cut_off(&self, loaded: Option<&Loaded<Answer>>) -> bool {
        // A replica that is far behind is asked after such an API, and answers.
        let by_host = loaded.is_some_and(|it| matches!(it.from, Some(ReadFrom::Host { .. })));
        let through_api = databases::reads_from(&self.hosts) == Source::Api && !by_host;
        through_api && (self.link(Backend::Api) == LinkState::Down || self.api_database == LinkState::Down)
    }

    /// A moment of this computer's clock by the platform's.
    #[must_use]
    pub fn by_platform(&self, at: DateTime<Utc>) -> DateTime<Utc> {
        at.checked_add_signed(self.clock_ahead).unwrap_or(at)
    }

    /// The findings: the API's, and those that the console sees by itself.
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        if let Some(held) = &self.held {
            return held.findings.clone();
        }
        let mut findings = own_findings::own_findings(self);
        if let Some(Answer::Findings(answered)) = self.answer(&Query::Findings) {
            let told = answered.findings.iter();
            let told = told.filter(|it| !own_findings::is_seen_here(self, it));
            findings.extend(told.map(|it| own_findings::told_after_unseal(self, it.clone())));
        }
        let reads = databases::Reads::of(self.data.get(&Query::Findings).into_iter());
        findings.extend(databases::findings(&self.hosts, self.api_on.as_ref(), &reads));
        crate::domain::finding::rank(&mut findings);
        findings
    }

    /// True if the API's findings are those of an earlier time, and newer ones can't be had.
    #[must_use]
    pub fn findings_are_old(&self) -> bool {
        let loaded = self.data.get(&Query::Findings);
        loaded.is_some_and(|it| it.kept || it.trouble.is_some()) || self.is_cut_off(loaded)
    }

    /// What is left out of the findings, by kind.
    #[must_use]
    pub fn more_findings(&self) -> More {
        match self.answer(&Query::Findings) {
            Some(Answer::Findings(answered)) => answered.more.clone(),
            _ => More::new(),
        }
    }

    /// Shows a message.
    pub fn say(&mut self, tone: Tone, text: impl Into<String>) {
        self.toast = Some(Toast {
            tone,
            text: text.into(),
        });
    }

    /// Puts a line into the command log; the oldest go first.
    pub fn log(&mut self, logged: LoggedCommand) {
        self.command_log.push(logged);
        if self.command_log.len() > LOG {
            self.command_log.remove(0);
            self.n_unlogged += 1;
        }
    }

    /// A new run of `action` on `on`, which waits for its plan; gives its id.
    pub fn begin_run(&mut self, action: &'static str, on: Vec<Target>) -> String {
        self.n_begun += 1;
        let id = format!("#{}", self.n_begun);
        self.runs.push(Run::new(id.clone(), action, on, self.now));
        id
    }

    /// The run with this id.
    pub fn run_mut(&mut self, id: &str) -> Option<&mut Run> {
        self.runs.iter_mut().find(|run| run.id == id)
    }

    /// The run with this id.
    #[must_use]
    pub fn run(&self, id: &str) -> Option<&Run> {
        self.runs.iter().find(|run| run.id == id)
    }
}
