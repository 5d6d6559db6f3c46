//! `config check` of the API: whether it answers, is ready, has our time, and lets us in as whom.

use std::time::Instant;

use chrono::TimeDelta;

use super::line::{Line, Verdict, failed_line, line};
use crate::config::console::Context;
use crate::console::backends::Backends;
use crate::domain::link::{Backend, LinkState};
use crate::problem::ProblemKind;

/// A clock that is off by more makes tokens and certificates seem ended.
const CLOCK_OFF: TimeDelta = TimeDelta::minutes(1);

/// The API's lines.
pub(super) async fn api(context: &Context, backends: &Backends, has_token: bool) -> Vec<Line> {
    let reader = &backends.reads.api;
    let began = Instant::now();
    let (ready, took_ms) = (reader.ready_at().await, began.elapsed().as_millis());
    let mut lines = Vec::new();
    let address = || reader.base().to_owned();
    match ready {
        Err(problem) => {
            lines.push(failed_line("api", address(), problem.to_string()));
            if has_token {
                let from = context.api_token_source();
                let words = format!("from {from}; whether it is accepted is seen once the API answers");
                lines.push(line("api", "token".to_owned(), Verdict::Look, words));
                return lines;
            }
        }
        Ok((ready, at)) => {
            let tls = match (reader.base().starts_with("https://"), &context.api_ca) {
                (false, _) => "without TLS",
                (true, None) => "TLS, a CA of this system's",
                (true, Some(_)) => "TLS, the CA of `api_ca`",
            };
            let words = format!("{took_ms} ms, {tls}");
            lines.push(match ready.ready {
                true => line("api", address(), Verdict::Ok, format!("ready, {words}")),
                false => failed_line(
                    "api",
                    address(),
                    format!("answers but is not ready, {words} (hint: the lines below say what is missing)"),
                ),
            });
            for health in ready.backends {
                let verdict = match health.state {
                    LinkState::Up | LinkState::Absent => Verdict::Ok,
                    LinkState::Down if health.backend == Backend::Database => Verdict::Failed,
                    _ => Verdict::Look,
                };
                let state = format!("{:?}", health.state).to_lowercase();
                let words = health
                    .note
                    .map_or_else(|| state.clone(), |note| format!("{state}: {note}"));
                lines.push(line(
                    "api",
                    format!("its {}", health.backend.word()),
                    verdict,
                    words,
                ));
            }
            lines.extend(at.and_then(|at| {
                let off = backends.reads.clock.now() - at;
                (off.abs() > CLOCK_OFF).then(|| clock_line(off))
            }));
        }
    }
    let source = context.api_token_source();
    lines.push(match reader.me().await {
        Ok(me) => line(
            "api",
            "token".to_owned(),
            Verdict::Ok,
            format!("`{}` with the role {}, from {source}", me.name, me.role.word()),
        ),
        Err(problem) if problem.kind == ProblemKind::NotAuthenticated => failed_line(
            "api",
            "token".to_owned(),
            format!("{problem}; it comes from {source}"),
        ),
        Err(problem) => failed_line("api", "token".to_owned(), problem.to_string()),
    });
    lines
}

fn clock_line(off: TimeDelta) -> Line {
    let direction = if off > TimeDelta::zero() {
        "ahead of"
    } else {
        "behind"
    };
    let words = format!(
        "this machine is {} s {direction} the API's (hint: certificates and tokens seem ended or not valid yet; set \
         the clock that is wrong, such as with chrony)",
        off.num_seconds().abs()
    );
    line("api", "clock".to_owned(), Verdict::Look, words)
}
