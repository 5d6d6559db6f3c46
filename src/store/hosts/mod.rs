//! The database as a console reads it: every host of it, primary and replicas, with an account that only
//! reads. Which host is read is `domain::database`'s rule; nothing here changes anything.

mod place;
mod watch;
mod why;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Executor, PgPool};
use tokio::sync::{broadcast, watch as latest};
use tokio::time::{Instant, timeout};

use super::counted::Counted;
use super::question::Question;
use super::scans::Scans;
use super::trouble::Troubles;
use super::tx::{Conn, Link};
use super::{CHANGES_KEPT, StoreError, Work, dialect, tls};
use crate::clock::Clock;
use crate::config::console::DatabaseConfig;
use crate::domain::database::{Host, HostState, ReadFrom, Source, sources, takes_changes};
use crate::domain::secret::Secret;
use crate::problem::{Problem, ProblemKind};
use crate::wire::page::Change;

use place::Place;

/// How long a host has to answer: a connection, or a look at it.
const PATIENCE: Duration = Duration::from_secs(2);
/// What takes longer to read makes one look whether the host is still there.
const SLOW: Duration = Duration::from_secs(1);
/// Time after which a read is late, and said to be so.
const LATE: Duration = Duration::from_secs(3);
/// For how long that is said when nobody asks for it again.
const LATE_FOR: Duration = Duration::from_secs(60);
/// Connections to one host: the screen's questions at once, and one that is held to hear of its end.
const N_CONNECTIONS: u32 = 6;

/// The hosts of one database. Clones share them.
#[derive(Clone)]
pub struct Hosts(Arc<Inner>);

struct Inner {
    ways: Vec<Way>,
    clock: Clock,
    seen: latest::Sender<Vec<Host>>,
    /// Each number is a wish to look at all of them now.
    looks: latest::Sender<u64>,
    /// For each host the last wish that it was looked at for, and when.
    looked: latest::Sender<Vec<(u64, Instant)>>,
    changes: broadcast::Sender<Change>,
    /// Reads that were late last, by host, and when.
    late: Mutex<BTreeMap<(usize, &'static str), Instant>>,
    counted: Counted,
    /// Times at which nobody could write, as far as the hosts show it.
    troubles: Troubles,
}

impl Inner {
    /// Notes that `what` was read from the host in time, or was late.
    fn was_read(&self, index: usize, what: &'static str, in_time: bool) {
        {
            let mut late = self.late.lock().unwrap_or_else(PoisonError::into_inner);
            match in_time {
                true => late.remove(&(index, what)),
                false => late.insert((index, what), Instant::now()),
            };
        }
        self.tell_late(index);
    }

    /// Keeps whether anybody can write: who is silent while there is no primary isn't missing.
    fn judge_changes(&self) {
        if let Some(takes_changes) = takes_changes(&self.seen.borrow()) {
            self.troubles.seen_from_afar(takes_changes);
        }
    }

    /// Tells what is late at the host; what was so long ago is no news of now.
    fn tell_late(&self, index: usize) {
        let now: BTreeSet<&'static str> = {
            let mut late = self.late.lock().unwrap_or_else(PoisonError::into_inner);
            late.retain(|_, at| at.elapsed() < LATE_FOR);
            let here = late.keys().filter(|(host, _)| *host == index);
            here.map(|(_, what)| *what).collect()
        };
        self.seen.send_if_modified(|seen| {
            let is_news = seen[index].late != now;
            seen[index].late = now;
            is_news
        });
    }
}

/// The way to one host: its connections, as long as it isn't lost.
struct Way {
    options: PgConnectOptions,
    pool: Mutex<PgPool>,
}

impl Way {
    fn new(options: PgConnectOptions) -> Self {
        let pool = Mutex::new(pool(options.clone()));
        Self { options, pool }
    }

    fn pool(&self) -> PgPool {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Leaves all connections to their fate.
    fn begin_anew(&self) {
        *self.pool.lock().unwrap_or_else(PoisonError::into_inner) = pool(self.options.clone());
    }
}

fn pool(options: PgConnectOptions) -> PgPool {
    PgPoolOptions::new()
        .max_connections(N_CONNECTIONS)
        .acquire_timeout(PATIENCE)
        .after_connect(|conn, _| {
            Box::pin(async move {
                conn.execute(dialect::postgres::READ_ONLY).await?;
                conn.execute(dialect::postgres::ONE_CORE).await?;
                Ok(())
            })
        })
        .connect_lazy_with(options)
}

impl Hosts {
    /// Those of a context; connects to nothing yet.
    ///
    /// # Errors
    /// That it names none, or a CA's file that none can be read from.
    pub fn new(config: &DatabaseConfig, password: Option<&Secret>, clock: Clock) -> Result<Self, Problem> {
        if config.hosts.is_empty() {
            return Err(Problem::bad_input("the context's database has no `hosts`")
                .hint("`hosts = [\"db-1:5432\", \"db-2:5432\"]`, or no database at all"));
        }
        if let Some(file) = &config.ca
            && let Err(why) = tls::readable_ca(file)
        {
            let what = format!(
                "the CA file of the context's database, `{}`, {why}",
                file.display()
            );
            return Err(Problem::bad_input(what)
                .hint("`ca` names a PEM file with the CA that the hosts' certificates come from"));
        }
        let places: Vec<Place> = config.hosts.iter().map(|host| Place::read(host)).collect();
        let way = |place: &Place| Way::new(place.options(config, password));
        let ways: Vec<Way> = places.iter().map(way).collect();
        let host = |(place, way): (&Place, &Way)| Host {
            name: place.name(),
            unchecked: tls::unchecked(&way.options),
            late: BTreeSet::new(),
            state: HostState::Unknown,
            instance: None,
        };
        let hosts: Vec<Host> = places.iter().zip(&ways).map(host).collect();
        Ok(Self(Arc::new(Inner {
            looked: latest::Sender::new(vec![(0, Instant::now()); ways.len()]),
            ways,
            clock,
            seen: latest::Sender::new(hosts),
            looks: latest::Sender::new(0),
            changes: broadcast::Sender::new(CHANGES_KEPT),
            late: Mutex::default(),
            counted: Counted::default(),
            troubles: Troubles::default(),
        })))
    }

    /// How they are, now and from now on.
    #[must_use]
    pub fn seen(&self) -> latest::Receiver<Vec<Host>> {
        self.0.seen.subscribe()
    }

    /// What the host that is read tells of changes, from now on.
    #[must_use]
    pub fn changes(&self) -> broadcast::Receiver<Change> {
        self.0.changes.subscribe()
    }

    /// Looks at all of them now.
    pub fn look(&self) {
        self.0.looks.send_modify(|n| *n += 1);
    }

    /// How they are as of now, and not of the last look: for what is decided by it.
    pub async fn look_now(&self) -> Vec<Host> {
        let mut looked = self.0.looked.subscribe();
        self.look();
        let wish = *self.0.looks.borrow();
        let all = |looked: &Vec<(u64, Instant)>| looked.iter().all(|(it, _)| *it >= wish);
        // A host that is silent is known to be so by then.
        let done = timeout(2 * PATIENCE, looked.wait_for(all)).await;
        drop(done);
        self.0.seen.borrow().clone()
    }

    /// Where to read from, the best first, once it is known of one host that it can be read or of all that
    /// they can't.
    pub async fn sources(&self) -> Vec<Source> {
        let mut seen = self.seen();
        let is_known = |hosts: &Vec<Host>| {
            let unknown = hosts.iter().any(|host| host.state == HostState::Unknown);
            !unknown || matches!(sources(hosts).first(), Some(Source::Host(_)))
        };
        // Nobody looking is as good as no answer.
        let known = timeout(PATIENCE, seen.wait_for(is_known)).await;
        drop(known);
        sources(&self.0.seen.borrow())
    }

    /// How each is, for whoever asks once and watches nothing.
    pub async fn look_once(&self) -> Vec<Host> {
        let mut seen = self.seen();
        let is_known = |hosts: &Vec<Host>| hosts.iter().all(|host| host.state != HostState::Unknown);
        tokio::select! {
            () = self.watch() => {}
            // One to connect and one to answer; whoever has said nothing by then stays unknown.
            _ = timeout(2 * PATIENCE, seen.wait_for(is_known)) => {}
        }
        self.0.seen.borrow().clone()
    }

    /// The host with this number as a place to read from, unless it doesn't answer. A replica that was behind at the
    /// last look may have taken nothing in since: it is called as much older as that is ago.
    #[must_use]
    pub fn place(&self, index: usize) -> Option<ReadFrom> {
        let ago = self.0.looked.borrow().get(index)?.1.elapsed();
        let seen = self.0.seen.borrow();
        let host = seen.get(index)?;
        let standing = host.standing()?.after(ago);
        Some(ReadFrom::Host {
            name: host.name.clone(),
            standing,
        })
    }

    /// A connection to the host with this number, for reading.
    ///
    /// # Errors
    /// It can't be had.
    async fn read(&self, index: usize) -> Result<Conn, StoreError> {
        let pool = self.0.ways[index].pool();
        let conn = pool.acquire().await.map_err(StoreError::Connect)?;
        let question = Question::on_postgres(conn, pool, Work::Background.limit()).await;
        // The database's clock says who is silent and what ends: a laptop's may be hours off.
        let (question, now) = question.map_err(StoreError::Connect)?;
        Ok(Conn::new(
            Link::Question(question),
            now,
            self.0.counted.clone(),
            // What changes there is told to the servers.
            Scans::default(),
            self.0.troubles.clone(),
            None,
        ))
    }

    /// Rows that `work` reads from the host with this number, unless that is lost meanwhile. `what` names it where it is late.
    ///
    /// # Errors
    /// What the database said, or that the host is lost.
    pub async fn on<T>(
        &self,
        index: usize,
        what: &'static str,
        work: impl AsyncFnOnce(&mut Conn) -> Result<T, StoreError>,
    ) -> Result<T, Problem> {
        let mut seen = self.seen();
        let work = async {
            let mut work = std::pin::pin!(async { work(&mut self.read(index).await?).await });
            let in_time = timeout(SLOW, &mut work).await;
            let in_time = match in_time {
                Ok(done) => Some(done),
                Err(_) => {
                    self.look();
                    timeout(LATE - SLOW, &mut work).await.ok()
                }
            };
            if let Some(done) = in_time {
                if done.is_ok() {
                    self.0.was_read(index, what, true);
                }
                return done;
            }
            self.0.was_read(index, what, false);
            work.await
        };
        let is_lost = |hosts: &Vec<Host>| matches!(hosts[index].state, HostState::Lost { .. });
        let done = tokio::select! {
            done = work => done.map_err(Problem::from),
            _ = seen.wait_for(is_lost) => Err(Problem::unavailable("the database's host was lost")),
        };
        if done.as_ref().is_err_and(|it| it.kind == ProblemKind::Unavailable) {
            self.look();
        }
        done
    }

    /// Watches all of them for as long as this is polled.
    pub async fn watch(&self) {
        let each = (0..self.0.ways.len()).map(|index| watch::watch(&self.0, index));
        futures::future::join_all(each).await;
    }
}
