//! `/api/v1/requests`

mod approve;
mod cancel;
mod csr;
mod deny;
mod list;
mod read;
mod retry;

use axum::response::Response;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::domain::id::EntityKind;
use crate::domain::request::Request;
use crate::problem::Problem;
use crate::store::{StoreError, Tx};
use crate::wire::requests::WhyBody;

use super::ApiState;
use super::audited::{Attempt, Door};
use super::caller::{Call, Needs};
use super::input;
use super::reply::problem_of;

pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(list::list))
        .routes(routes!(read::read))
        .routes(routes!(approve::approve))
        .routes(routes!(deny::deny))
        .routes(routes!(cancel::cancel))
        .routes(routes!(retry::retry))
        .routes(routes!(csr::csr))
}

/// What an operator decides about a request, with nothing but a why.
async fn decide(
    api: &ApiState,
    call: &Call,
    action: &'static str,
    id: &str,
    decision: impl AsyncFnOnce(&mut Tx, &str, &str, Option<&str>) -> Result<Request, StoreError>,
) -> Response {
    let attempt = Attempt::new(action, EntityKind::Request, id);
    let mut door = match Door::open(api, call, &Needs::Operator, attempt).await {
        Ok(door) => door,
        Err(answer) => return answer,
    };
    let result: Result<Request, Problem> = match input::json_or_default::<WhyBody>(call.body()) {
        Ok(why) => match door.attempt.because(why.comment.clone(), why.ticket) {
            Ok(()) => {
                let by = door.actor().to_owned();
                decision(&mut door.tx, id, &by, why.comment.as_deref())
                    .await
                    .map_err(problem_of)
            }
            Err(problem) => Err(problem),
        },
        Err(problem) => Err(problem),
    };
    door.close(result, |request, _| request).await
}
