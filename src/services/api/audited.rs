//! The one door for changes. Behind it is one transaction with the change, its audit row and the kept
//! answer: either all of them happened or none. What is refused leaves a row as well, up to as many as
//! a person makes; more, and refusals of who may not, are counted (`turned_away`).

use axum::http::StatusCode;
use axum::response::Response;
use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::domain::audit::{AuditEntry, AuditOutcome, LONGEST_REASON, LONGEST_TICKET};
use crate::domain::id::EntityKind;
use crate::domain::secret::Secret;
use crate::problem::{Problem, ProblemKind};
use crate::store::{StoreError, Tx, audit, tokens};
use crate::wire::problem_json::ProblemJson;

use super::caller::{Call, Needs};
use super::own_run::{self, OwnRun};
use super::reply::{self, problem_of};
use super::turned_away::{self, Counted};
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

    /// The audit row for it.
    pub(super) fn entry(&self, call: &Call, outcome: AuditOutcome) -> AuditEntry {
        AuditEntry {
            actor: call.caller.token.name.clone(),
            action: self.action.to_owned(),
            entity_type: self.entity_type,
            entity_id: self.entity_id.clone(),
            outcome,
            reason: self.reason.clone(),
            ticket: self.ticket.clone(),
            run_id: self.run_id.clone().or_else(|| own_run::named(call)),
            source: call.caller.source.clone(),
            detail: self.detail.clone(),
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
    /// True if a refusal is one for now only.
    is_for_now: bool,
    /// Whether the answer is kept under the call's key, which may be another answer's already.
    remembers: bool,
    /// Whether the run that the call's key names, if any, is the caller's.
    owns_keys_run: bool,
    /// The run that the change belongs to.
    own_run: Option<OwnRun>,
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
        if let Err(problem) = allowed(api, call, needs) {
            return Err(turned_away::answer(api, call, &attempt, problem).await);
        }
        call.read(api).await?;
        let hands_out_token = hands_out_token(&attempt);
        if let Some(answer) = idempotency::given_before(api, call, hands_out_token).await {
            return Err(answer);
        }
        let mut tx = api
            .store
            .begin()
            .await
            .map_err(|error| reply::problem(problem_of(error)))?;
        let before = idempotency::replay(&mut tx, call, hands_out_token)
            .await
            .map_err(|error| reply::problem(problem_of(error)))?;
        let is_fresh = match before {
            Some(Ok(answer)) => return Err(answer),
            Some(Err(problem)) => Err(problem),
            None => Ok(()),
        };
        let own_run = OwnRun::of(&mut tx, call, &attempt).await;
        // A run's own records are looked at where they are written; what its plan hasn't got is no row of it.
        let owns_keys_run = match (own_run::named(call), &own_run) {
            (None, _) | (_, Err(_)) => false,
            (_, Ok(Some(_))) => true,
            (Some(run), Ok(None)) => own_run::is_own(&mut tx, call, &run)
                .await
                .map_err(|error| reply::problem(problem_of(error)))?,
        };
        let (allowed, own_run) = match (is_fresh, own_run) {
            (Ok(()), Ok(own_run)) => (Ok(()), own_run),
            (Err(problem), _) | (_, Err(problem)) => (Err(problem), None),
        };
        let door = Self {
            api,
            call,
            tx,
            attempt,
            status: StatusCode::OK,
            token: None,
            silent: false,
            is_for_now: false,
            // The key may be another answer's, or another's run.
            remembers: allowed.is_ok(),
            owns_keys_run,
            own_run,
        };
        match allowed {
            Ok(()) => Ok(door),
            Err(problem) => Err(door.refuse(problem).await),
        }
    }

    /// The row belongs to this run, if it is the caller's.
    pub(super) async fn in_run(&mut self, run: &str) -> Result<(), StoreError> {
        let is_own = own_run::is_own(&mut self.tx, self.call, run).await?;
        self.attempt.run_id = is_own.then(|| run.to_owned());
        Ok(())
    }

    /// The token's name.
    pub(super) fn actor(&self) -> &str {
        &self.call.caller.token.name
    }

    /// The token's id.
    pub(super) fn token_id(&self) -> &str {
        &self.call.caller.token.id
    }

    /// When the caller's token ends, unless it lasts.
    pub(super) fn ends_at(&self) -> Option<DateTime<Utc>> {
        self.call.caller.token.expires_at
    }

    /// Makes the token that the answer hands out. It is random, and kept nowhere: whoever has the one that it is
    /// made with can't work it out, and an answer that is given again doesn't hold it.
    pub(super) fn mint(&mut self) -> Result<Secret, StoreError> {
        let secret = tokens::mint()?;
        self.token = Some(secret.clone());
        Ok(secret)
    }

    /// Writes a row about something else that changes with it, for the same reason.
    pub(super) async fn also(
        &mut self,
        action: &'static str,
        entity_type: EntityKind,
        entity_id: &str,
        detail: &str,
    ) -> Result<(), Problem> {
        let attempt = Attempt {
            detail: Some(detail.to_owned()),
            reason: self.attempt.reason.clone(),
            ticket: self.attempt.ticket.clone(),
            ..Attempt::new(action, entity_type, entity_id)
        };
        let entry = attempt.entry(self.call, AuditOutcome::Done);
        audit::append(&mut self.tx, entry).await.map_err(problem_of)?;
        Ok(())
    }

    /// A refusal of today may be a yes when it is asked again: it is not kept under the call's key.
    pub(super) fn judged_anew(&mut self) {
        self.remembers = false;
    }

    /// Not a refusal, but an answer for now: no row tells of it either.
    pub(super) fn not_yet(&mut self) {
        self.judged_anew();
        self.is_for_now = true;
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
        if let Some(Err(problem)) = self.own_run.as_ref().map(|run| run.allows(&self.attempt)) {
            self.owns_keys_run = false;
            return self.refuse(problem).await;
        }
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
            Some(token) => reply::raw(self.status, idempotency::with_token(&body, token)),
            None => reply::raw(self.status, body),
        }
    }

    async fn refuse(self, problem: Problem) -> Response {
        let outcome = match problem.kind.says_no() {
            true => AuditOutcome::Refused,
            false => AuditOutcome::Failed,
        };
        let entry = self.entry(outcome, Some(problem.what.clone()));
        let (api, call, remembers, is_for_now) = (self.api, self.call, self.remembers, self.is_for_now);
        let hands_out_token = hands_out_token(&self.attempt);
        // The write lock is given back before anything else is asked of the database.
        if let Err(error) = self.tx.rollback().await {
            return reply::problem(problem_of(error));
        }
        let is_counted_out = Counted::of(&problem).is_some_and(|why| {
            let of = (call.caller.token.id.as_str(), self.attempt.action, why);
            !api.refusals.count(of, &entry, api.clock.now())
        });
        let has_row = !is_for_now && !is_counted_out;
        let problem = denial::of(api, &call.caller.token, problem).await;
        let written = async {
            // Nothing is written, nor was anything else done: sent again it is judged again.
            if !has_row && (!remembers || call.key.is_none()) {
                return Ok(None);
            }
            let mut tx = api.store.begin().await?;
            // Between the two transactions the same call, sent twice, may have been answered.
            if remembers && let Some(before) = idempotency::replay(&mut tx, call, hands_out_token).await? {
                return Ok(Some(before));
            }
            if !has_row {
                return Ok(None);
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
        let entry = self.attempt.entry(self.call, outcome);
        AuditEntry {
            // A run that isn't the caller's gets no row: what the attempt names was looked at, the key may name any.
            run_id: entry
                .run_id
                .filter(|_| self.owns_keys_run || self.attempt.run_id.is_some()),
            detail: detail.or(entry.detail),
            ..entry
        }
    }
}

/// Whether the caller may, now: what was kept of its answers ends with its rights as everything else does.
fn allowed(api: &ApiState, call: &Call, needs: &Needs) -> Result<(), Problem> {
    // An expired token is told so whatever it may.
    call.caller.token.good(api.store.now())?;
    needs.allow(&call.caller)
}

fn hands_out_token(attempt: &Attempt) -> bool {
    matches!(attempt.action, "enrol" | "token")
}
