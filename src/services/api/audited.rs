//! The one door for changes. Behind it is one transaction with the change, its audit row and the kept
//! answer: either all of them happened or none. What is refused leaves a row as well.

use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;

use crate::domain::audit::{AuditEntry, AuditOutcome, LONGEST_REASON, LONGEST_TICKET};
use crate::domain::id::EntityKind;
use crate::domain::secret::Secret;
use crate::problem::{Problem, ProblemKind};
use crate::store::{StoreError, Tx, audit, tokens};
use crate::wire::problem_json::ProblemJson;

use super::caller::{Call, Needs};
use super::reply::{self, problem_of};
use super::{ApiState, denial, idempotency};

/// What is being attempted, for the audit row.
#[derive(Clone, Debug)]
pub(super) struct Attempt {
    /// A verb.
    pub(super) action: &'static str,
    /// On what sort of thing.
    pub(super) entity_type: EntityKind,
    /// On which one.
    pub(super) entity_id: String,
    /// The outcome if it succeeds: `asked` where the end follows in a row of its own.
    pub(super) outcome: AuditOutcome,
    /// Why, in the operator's words.
    pub(super) reason: Option<String>,
    /// The ticket.
    pub(super) ticket: Option<String>,
    /// The run that it belongs to.
    pub(super) run_id: Option<String>,
    /// More, for people.
    pub(super) detail: Option<String>,
}

impl Attempt {
    pub(super) fn new(action: &'static str, entity_type: EntityKind, entity_id: &str) -> Self {
        Self {
            action,
            entity_type,
            entity_id: entity_id.to_owned(),
            outcome: AuditOutcome::Done,
            reason: None,
            ticket: None,
            run_id: None,
            detail: None,
        }
    }

    /// One whose end follows in a row of its own.
    pub(super) fn asked(self) -> Self {
        Self {
            outcome: AuditOutcome::Asked,
            ..self
        }
    }

    /// What the operator says about it.
    ///
    /// # Errors
    /// It is more than an audit row holds.
    pub(super) fn because(&mut self, comment: Option<String>, ticket: Option<String>) -> Result<(), Problem> {
        let said = [
            ("comment", &comment, LONGEST_REASON),
            ("ticket", &ticket, LONGEST_TICKET),
        ];
        for (field, text, longest) in said {
            if text.as_ref().is_some_and(|text| text.chars().count() > longest) {
                return Err(
                    Problem::bad_input(format!("`{field}` is longer than {longest} characters"))
                        .hint("shorten it; the ticket holds the rest"),
                );
            }
        }
        self.reason = comment;
        self.ticket = ticket;
        Ok(())
    }
}

/// An open door.
pub(super) struct Door<'a> {
    api: &'a ApiState,
    call: &'a Call,
    /// The transaction.
    pub(super) tx: Tx,
    /// What is being attempted.
    pub(super) attempt: Attempt,
    /// The answer's status if it succeeds.
    pub(super) status: StatusCode,
    /// A token that the answer hands out, beside what is kept of it.
    token: Option<Secret>,
    /// Whether there is something to write down.
    silent: bool,
    /// Whether the answer is kept under the call's key, which may be another answer's already.
    remembers: bool,
}

impl<'a> Door<'a> {
    /// Opens it for a caller who may; for others, and for a call that was answered before, the answer is
    /// the error.
    pub(super) async fn open(
        api: &'a ApiState,
        call: &'a Call,
        needs: &Needs,
        attempt: Attempt,
    ) -> Result<Self, Response> {
        let hands_out_token = hands_out_token(&attempt);
        if needs.allow(&call.caller).is_ok()
            && let Some(answer) = idempotency::given_before(api, call, hands_out_token).await
        {
            return Err(answer);
        }
        let mut tx = api
            .store
            .begin()
            .await
            .map_err(|error| reply::problem(problem_of(error)))?;
        let mut remembers = true;
        let allowed = match needs.allow(&call.caller) {
            Ok(()) => {
                // Asked before a one-time token is found to be spent: it was spent on this answer.
                let before = idempotency::replay(&mut tx, call, hands_out_token)
                    .await
                    .map_err(|error| reply::problem(problem_of(error)))?;
                match before {
                    Some(Ok(answer)) => return Err(answer),
                    Some(Err(problem)) => {
                        remembers = false;
                        call.caller.token.good(api.clock.now()).and(Err(problem))
                    }
                    None => call.caller.token.good(api.clock.now()),
                }
            }
            // An expired token is told so whatever it may.
            Err(problem) => call.caller.token.good(api.clock.now()).and(Err(problem)),
        };
        let door = Self {
            api,
            call,
            tx,
            attempt,
            status: StatusCode::OK,
            token: None,
            silent: false,
            remembers,
        };
        match allowed {
            Ok(()) => Ok(door),
            Err(problem) => Err(door.refuse(problem).await),
        }
    }

    /// The token's name.
    pub(super) fn actor(&self) -> &str {
        &self.call.caller.token.name
    }

    /// Makes the token that the answer hands out.
    pub(super) fn mint(&mut self) -> Result<Secret, StoreError> {
        let secret = match idempotency::handed_out(self.call) {
            Some(secret) => secret,
            None => tokens::mint()?,
        };
        self.token = Some(secret.clone());
        Ok(secret)
    }

    /// Nothing changed after all, so nothing is written down: what was asked is so already.
    pub(super) fn nothing_to_do(&mut self) {
        self.silent = true;
    }

    /// Writes the row and goes on without a transaction: what follows takes time. The answer is kept by
    /// the door that is opened for the end.
    pub(super) async fn pass(mut self) -> Result<(), Response> {
        let entry = self.entry(self.attempt.outcome, None);
        let written = async {
            audit::append(&mut self.tx, entry).await?;
            self.tx.commit().await
        };
        written.await.map_err(|error| reply::problem(problem_of(error)))
    }

    /// Shuts it: commits with audit row and answer, or takes everything back and writes down that it was
    /// refused. `answer` gets the audit row's number.
    pub(super) async fn close<T, A: Serialize>(
        mut self,
        result: Result<T, Problem>,
        answer: impl FnOnce(T, i64) -> A,
    ) -> Response {
        let value = match result {
            Ok(value) => value,
            Err(problem) => return self.refuse(problem).await,
        };
        let written = async {
            let seq = if self.silent {
                0
            } else {
                let entry = self.entry(self.attempt.outcome, None);
                let seq = audit::append(&mut self.tx, entry).await?.seq;
                // The log line of the request names its row.
                tracing::Span::current().record("audit_seq", seq);
                seq
            };
            let body = serde_json::to_string(&answer(value, seq))
                .map_err(|error| Problem::internal(format!("the answer can't be written: {error}")))?;
            idempotency::remember(&mut self.tx, self.call, self.status, &body).await?;
            Ok::<String, StoreError>(body)
        };
        let body = match written.await {
            Ok(body) => body,
            Err(error) => return reply::problem(problem_of(error)),
        };
        if let Err(error) = self.tx.commit().await {
            return reply::problem(problem_of(error));
        }
        idempotency::hint(self.api, self.call).await;
        match &self.token {
            Some(token) => reply::raw(self.status, &idempotency::with_token(&body, token)),
            None => reply::raw(self.status, &body),
        }
    }

    async fn refuse(self, problem: Problem) -> Response {
        let problem = denial::of(self.api, &self.call.caller.token, problem).await;
        let outcome = match problem.kind {
            ProblemKind::Internal | ProblemKind::Unavailable | ProblemKind::BackendFailed => {
                AuditOutcome::Failed
            }
            _ => AuditOutcome::Refused,
        };
        let entry = self.entry(outcome, Some(problem.what.clone()));
        let (api, call, remembers) = (self.api, self.call, self.remembers);
        let hands_out_token = hands_out_token(&self.attempt);
        let written = async {
            self.tx.rollback().await?;
            let mut tx = api.store.begin().await?;
            // Between the two transactions the same call, sent twice, may have been answered.
            if remembers && let Some(before) = idempotency::replay(&mut tx, call, hands_out_token).await? {
                return Ok(Some(before));
            }
            audit::append(&mut tx, entry).await?;
            if remembers && outcome == AuditOutcome::Refused && problem.kind != ProblemKind::NotAuthenticated
            {
                let body = ProblemJson::from(problem.clone());
                let status = StatusCode::from_u16(body.status).unwrap_or(StatusCode::BAD_REQUEST);
                let body = serde_json::to_string(&body).unwrap_or_default();
                idempotency::remember(&mut tx, call, status, &body).await?;
            }
            tx.commit().await?;
            Ok(None)
        };
        match written.await {
            Ok(None) => reply::problem(problem),
            Ok(Some(Ok(answer))) => answer,
            Ok(Some(Err(problem))) => reply::problem(problem),
            Err::<_, StoreError>(error) => reply::problem(problem_of(error)),
        }
    }

    fn entry(&self, outcome: AuditOutcome, detail: Option<String>) -> AuditEntry {
        let attempt = &self.attempt;
        AuditEntry {
            actor: self.call.caller.token.name.clone(),
            action: attempt.action.to_owned(),
            entity_type: attempt.entity_type,
            entity_id: attempt.entity_id.clone(),
            outcome,
            reason: attempt.reason.clone(),
            ticket: attempt.ticket.clone(),
            run_id: attempt.run_id.clone().or_else(|| run_of(self.call)),
            source: self.call.caller.source.clone(),
            detail: detail.or_else(|| attempt.detail.clone()),
        }
    }
}

fn hands_out_token(attempt: &Attempt) -> bool {
    matches!(attempt.action, "enrol" | "token")
}

/// A step's key is `run_…/<step>`, so the run that a change belongs to is known from it.
fn run_of(call: &Call) -> Option<String> {
    let (run, _) = call.key.as_deref()?.split_once('/')?;
    run.starts_with("run_").then(|| run.to_owned())
}
