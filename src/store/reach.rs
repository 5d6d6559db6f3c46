//! A connection from a pool, or at once the word that there is none to be had: a pool tries again what is refused
//! until the caller's patience is over, though the refusal is known at once.

use std::io::{Error, ErrorKind};
use std::time::Duration;

use sqlx::PgPool;
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, timeout};

/// A pool that has a connection gives it within this time.
const AT_ONCE: Duration = Duration::from_millis(150);
/// For how long a look at the address holds, for all who wait.
const HOLDS: Duration = Duration::from_millis(500);
/// How long a look may take; one that takes longer is no refusal.
const PATIENCE: Duration = Duration::from_secs(2);

/// Looks at one address of a database, one at a time.
#[derive(Debug, Default)]
pub(super) struct Reach(Mutex<Option<(Instant, Option<ErrorKind>)>>);

impl Reach {
    /// What `getting` gives, unless nobody listens at the pool's address meanwhile.
    ///
    /// # Errors
    /// What `getting` said, or that the connection was refused.
    pub(super) async fn or_refused<T>(
        &self,
        pool: &PgPool,
        getting: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, sqlx::Error> {
        tokio::select! {
            biased;
            got = getting => got,
            refused = self.refused(pool) => Err(sqlx::Error::Io(refused)),
        }
    }

    /// Ends when the address refuses.
    async fn refused(&self, pool: &PgPool) -> Error {
        sleep(AT_ONCE).await;
        loop {
            if let Some(kind) = self.look(pool).await {
                return Error::from(kind);
            }
            sleep(HOLDS).await;
        }
    }

    async fn look(&self, pool: &PgPool) -> Option<ErrorKind> {
        let mut last = self.0.lock().await;
        if let Some((at, said)) = *last
            && at.elapsed() < HOLDS
        {
            return said;
        }
        let options = pool.connect_options();
        let port = options.get_port();
        let asked = async {
            match options.get_socket() {
                Some(folder) => {
                    let socket = folder.join(format!(".s.PGSQL.{port}"));
                    UnixStream::connect(socket).await.map(drop)
                }
                None => TcpStream::connect((options.get_host(), port)).await.map(drop),
            }
        };
        let said = match timeout(PATIENCE, asked).await {
            Ok(Err(error)) if matches!(error.kind(), ErrorKind::ConnectionRefused | ErrorKind::NotFound) => {
                Some(error.kind())
            }
            _ => None,
        };
        *last = Some((Instant::now(), said));
        said
    }
}

#[cfg(test)]
mod tests {
    use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

    use super::*;

    #[tokio::test]
    async fn who_refuses_costs_nobody_the_pools_patience() {
        // Held without listening, so that nobody else gets the port meanwhile.
        let held = tokio::net::TcpSocket::new_v4().unwrap();
        held.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let port = held.local_addr().unwrap().port();
        let options = PgConnectOptions::new_without_pgpass()
            .host("127.0.0.1")
            .port(port);
        let pool = PgPoolOptions::new()
            .acquire_timeout(Duration::from_secs(3600))
            .connect_lazy_with(options);
        let reach = Reach::default();
        let getting = reach.or_refused(&pool, pool.acquire());
        let refused = timeout(Duration::from_secs(20), getting).await;
        let error = refused.expect("in time").map(drop).unwrap_err();
        assert!(matches!(error, sqlx::Error::Io(error) if error.kind() == ErrorKind::ConnectionRefused));
    }
}
