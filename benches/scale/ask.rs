//! Questions to the API, each in turn with its raw statement, so that a busy machine hits both.

use std::time::{Duration, Instant};

use serde_json::Value;
use sqlx::{AssertSqlSafe, Executor, PgConnection};

use crate::questions::{Depth, Question, Via};
use crate::server::Server;
use crate::times::Times;

/// Rows of the pages that are walked over to one that is deep in its list, and their number.
const STRIDE: usize = 500;
const PAGES: usize = 40;
/// Upper bound for an answer; the server gives up before.
const LIMIT: Duration = Duration::from_secs(30);

/// Times of the answers, and of the raw statements between them.
#[derive(Debug, Default)]
pub(crate) struct Answered {
    pub(crate) times: Times,
    pub(crate) raw: Times,
    /// Reason that it isn't answered.
    pub(crate) refused: Option<String>,
}

pub(crate) struct Asker<'a> {
    server: &'a Server,
    token: &'a str,
    http: reqwest::Client,
}

impl<'a> Asker<'a> {
    pub(crate) fn new(server: &'a Server, token: &'a str) -> Self {
        let http = reqwest::Client::builder()
            .no_proxy()
            .timeout(LIMIT)
            .build()
            .unwrap();
        Self { server, token, http }
    }

    /// Asks `n` times. What takes seconds is asked fewer times: a minute is enough to tell.
    pub(crate) async fn ask(&self, conn: &mut PgConnection, question: &Question, n: usize) -> Answered {
        let mut answered = Answered::default();
        let path = match question.depth {
            Depth::Top => question.path.clone(),
            Depth::Deep => match self.deep(&question.path).await {
                Ok(path) => path,
                Err(why) => {
                    answered.refused = Some(why);
                    return answered;
                }
            },
        };
        let began = Instant::now();
        for _ in 0..n {
            let at = Instant::now();
            let answer = self.get(question.via, &path).await;
            answered.times.push(at.elapsed());
            if let Err(why) = answer {
                answered.refused = Some(why);
                return answered;
            }
            if let Some(raw) = &question.raw {
                let at = Instant::now();
                conn.fetch_all(sqlx::query(AssertSqlSafe(raw.as_str())))
                    .await
                    .unwrap();
                answered.raw.push(at.elapsed());
            }
            if began.elapsed() > Duration::from_secs(60) {
                break;
            }
        }
        answered
    }

    /// The path of a page that is far from the beginning of its list.
    async fn deep(&self, path: &str) -> Result<String, String> {
        let mut after = String::new();
        for _ in 0..PAGES {
            let text = self
                .get(Via::Api, &format!("{path}&limit={STRIDE}{after}"))
                .await?;
            let page: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
            match page["next"].as_str() {
                Some(next) => after = format!("&after={next}"),
                None => break,
            }
        }
        Ok(format!("{path}{after}"))
    }

    async fn get(&self, via: Via, path: &str) -> Result<String, String> {
        let base = match via {
            Via::Api => format!("http://{}/api/v1", self.server.api),
            Via::Health => format!("http://{}", self.server.health),
        };
        let said = |error: reqwest::Error| error.to_string();
        let asked = self.http.get(format!("{base}/{path}")).bearer_auth(self.token);
        let answer = asked.send().await.map_err(said)?;
        let status = answer.status();
        let text = answer.text().await.map_err(said)?;
        match status.is_success() {
            true => Ok(text),
            false => Err(format!(
                "{status}: {}",
                text.chars().take(160).collect::<String>()
            )),
        }
    }
}
