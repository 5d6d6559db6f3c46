//! Watches one host. A connection is held to it, whose end is noticed at once when the server stops; what a
//! replica is behind, and a host that goes without a word, by looking every few seconds.

use std::time::Duration;

use sqlx::postgres::PgListener;
use sqlx::{Connection, PgConnection};
use tokio::sync::watch as latest;
use tokio::time::{Instant, sleep, timeout};

use super::why::{silent, why};
use super::{Inner, PATIENCE};
use crate::domain::database::Instance;
use crate::domain::database::{Host, HostRole, HostState, Source, Standing, sources};
use crate::store::dialect::postgres::{CHANNEL, LOOK};
use crate::store::schema::{self, Fit};
use crate::store::trouble::Trouble;
use crate::store::{StoreError, instance, news};
use crate::wire::page::Change;

/// Between two looks at a host while all of them are there: at rest there is little to do.
const EVERY: Duration = Duration::from_secs(5);
/// Pause between two looks while it tells changes: the console is awake anyway, and a host that hangs in the middle of
/// its work is on screen within three seconds.
const BUSY: Duration = Duration::from_millis(800);
/// Pause while one is lost, and before it is tried again.
const AGAIN: Duration = Duration::from_secs(2);
/// What a replica has not replayed within this time counts as behind.
const REPLAYS: Duration = Duration::from_millis(100);

/// What a host answers to [`LOOK`].
#[derive(sqlx::FromRow)]
struct Looked {
    replica: bool,
    timeline: i32,
    follows: bool,
    received: Option<String>,
    replayed: Option<String>,
    paused: bool,
    behind: bool,
    last_change: Option<chrono::DateTime<chrono::Utc>>,
    age_ms: i64,
}

/// Watches the host with this number until nobody polls it any more.
pub(super) async fn watch(hosts: &Inner, index: usize) {
    let mut looks = hosts.looks.subscribe();
    loop {
        let wish = *looks.borrow_and_update();
        let reason = match timeout(PATIENCE, open(hosts, index)).await {
            Ok(Ok(mut listener)) => until_lost(hosts, index, &mut listener, &mut looks).await,
            Ok(Err(error)) => why(&error),
            Err(_) => silent(),
        };
        lost(hosts, index, reason);
        hosts.judge_changes();
        looked(hosts, index, wish);
        let _asked = timeout(AGAIN, looks.changed()).await;
    }
}

async fn open(hosts: &Inner, index: usize) -> Result<PgListener, sqlx::Error> {
    let way = &hosts.ways[index];
    // What is refused the pool tries again until its time is over, and then says only that it is: why not, a
    // connection of one's own says at once.
    PgConnection::connect_with(&way.options).await?.close().await?;
    let mut listener = PgListener::connect_with(&way.pool()).await?;
    // Otherwise its end is only told once there is another connection.
    listener.eager_reconnect(false);
    Ok(listener)
}

/// Keeps what is known of the host up to date; gives why that can't go on.
async fn until_lost(
    hosts: &Inner,
    index: usize,
    listener: &mut PgListener,
    looks: &mut latest::Receiver<u64>,
) -> String {
    let mut listens = false;
    // One connection is to one server.
    let instance = timeout(PATIENCE, instance::of(&mut *listener))
        .await
        .unwrap_or_default();
    is(hosts, index, instance);
    let mut last_change = None;
    // Since the last look.
    let mut told_any = false;
    loop {
        let wish = *looks.borrow_and_update();
        let state = match timeout(PATIENCE, look(listener)).await {
            Ok(Ok(state)) => state,
            Ok(Err(StoreError::Query { source, .. })) => return why(&source),
            Ok(Err(error)) => return error.to_string(),
            Err(_) => return silent(),
        };
        if let HostState::Up(standing) = &state {
            match standing.role {
                HostRole::Primary if !listens => match timeout(PATIENCE, listener.listen(CHANNEL)).await {
                    Ok(Ok(())) => listens = true,
                    Ok(Err(error)) => return why(&error),
                    Err(_) => return silent(),
                },
                HostRole::Primary => {}
                // A replica tells nothing by itself; that it moved on is seen by its last change.
                HostRole::Replica if last_change != standing.last_change => {
                    last_change = standing.last_change;
                    tell(hosts, index, Change::everything());
                }
                HostRole::Replica => {}
            }
        }
        told(hosts, index, state);
        hosts.judge_changes();
        hosts.tell_late(index);
        looked(hosts, index, wish);
        let any_lost = |host: &Host| matches!(host.state, HostState::Lost { .. });
        let every = if told_any {
            BUSY
        } else if hosts.seen.borrow().iter().any(any_lost) {
            AGAIN
        } else {
            EVERY
        };
        told_any = false;
        let due = sleep(every);
        let mut due = std::pin::pin!(due);
        loop {
            tokio::select! {
                heard = listener.try_recv() => match heard {
                    Ok(Some(told)) => {
                        tell(hosts, index, news::changes_in(told.payload()));
                        if !told_any {
                            told_any = true;
                            due.as_mut().reset(Instant::now() + BUSY);
                        }
                    }
                    Ok(None) => return "it closed the connection".to_owned(),
                    Err(error) => return why(&error),
                },
                _ = looks.changed() => break,
                () = &mut due => break,
            }
        }
    }
}

/// How the host is, in its own words.
async fn look(listener: &mut PgListener) -> Result<HostState, StoreError> {
    let began = Instant::now();
    let first = ask(listener, None).await?;
    let latency_ms = u32::try_from(began.elapsed().as_millis()).unwrap_or(u32::MAX);
    match schema::fit(listener).await? {
        Fit::Same => {}
        Fit::Not(why) => return Ok(HostState::Unfit(why)),
        Fit::NoTables => return Ok(HostState::NoTables(Trouble::no_tables().hint.into_owned())),
    }
    let mut looked = first;
    let mut behind_ms = 0;
    if looked.behind {
        // Something is on its way most of the time, and the last change may be long ago: only what stays
        // unreplayed makes its age the age of what is shown.
        sleep(REPLAYS).await;
        let before = looked;
        looked = ask(listener, before.received.as_deref()).await?;
        // When the primary was lost in the middle of a record, that can't ever be replayed.
        let is_torn = !looked.follows && !looked.paused && looked.replayed == before.replayed;
        behind_ms = match (looked.behind, is_torn) {
            (true, false) => looked.age_ms,
            (true, true) => 0,
            (false, _) => i64::try_from(REPLAYS.as_millis()).unwrap_or(0),
        };
    }
    Ok(HostState::Up(Standing {
        role: if looked.replica {
            HostRole::Replica
        } else {
            HostRole::Primary
        },
        timeline: looked.timeline,
        behind_ms,
        follows: looked.follows,
        last_change: looked.last_change,
        latency_ms,
    }))
}

/// Asks how far it is against what it has received, or had received before.
async fn ask(listener: &mut PgListener, received: Option<&str>) -> Result<Looked, StoreError> {
    sqlx::query_as(LOOK)
        .bind(received)
        .fetch_one(listener)
        .await
        .map_err(StoreError::because("looking how the database is"))
}

/// Tells changes of the host that is read; another one may be ahead of it or behind, and which host is read is
/// news by itself. Where that hangs on an API that may have no answer, the first host after it counts.
fn tell(hosts: &Inner, index: usize, changes: Vec<Change>) {
    let first = sources(&hosts.seen.borrow())
        .into_iter()
        .find(|source| *source != Source::Api);
    if first == Some(Source::Host(index)) {
        news::tell(&hosts.changes, changes);
    }
}

fn told(hosts: &Inner, index: usize, state: HostState) {
    hosts.seen.send_if_modified(|seen| {
        let is_news = seen[index].state != state;
        // A promotion begins a timeline on the connection that is there already.
        if let (HostState::Up(standing), Some((instance, _))) = (&state, &mut seen[index].instance)
            && standing.role == HostRole::Primary
        {
            instance.timeline = standing.timeline;
        }
        seen[index].state = state;
        is_news
    });
}

/// Keeps which server answers there.
fn is(hosts: &Inner, index: usize, instance: Option<Instance>) {
    let now = hosts.clock.now();
    hosts.seen.send_if_modified(|seen| {
        let known = &mut seen[index].instance;
        let is_same = match (&*known, &instance) {
            (Some((before, _)), Some(now)) => before.is(now),
            (None, None) => true,
            _ => false,
        };
        if !is_same {
            *known = instance.map(|it| (it, now));
        }
        !is_same
    });
}

/// It was looked at for this wish.
fn looked(hosts: &Inner, index: usize, wish: u64) {
    hosts
        .looked
        .send_modify(|looked| looked[index] = (wish, Instant::now()));
}

fn lost(hosts: &Inner, index: usize, why: String) {
    let since = hosts.clock.now();
    let is_new = hosts.seen.send_if_modified(|seen| {
        let host = &mut seen[index];
        if let HostState::Lost { why: before, .. } = &mut host.state {
            let is_news = *before != why;
            *before = why;
            return is_news;
        }
        let was = host.role();
        host.state = HostState::Lost { since, why, was };
        true
    });
    if is_new {
        // What hangs on its connections would keep others from having one when it is back.
        hosts.ways[index].begin_anew();
        // Another one may have taken its place.
        hosts.looks.send_modify(|n| *n += 1);
    }
}
