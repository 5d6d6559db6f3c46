//! The platform's stand-in: what it was told, and what it answers.

use super::*;

/// Reports to the stand-in, and the jobs that it hands out until their result arrives.
#[derive(Default)]
pub(super) struct Platform {
    pub(super) enrolments: Vec<(EnrolBody, String)>,
    pub(super) reports: Vec<Report>,
    pub(super) jobs: Vec<AgentJob>,
    pub(super) csrs: BTreeMap<String, Vec<String>>,
    pub(super) results: Vec<(String, JobResult)>,
    pub(super) lose_results: usize,
    pub(super) down: bool,
    /// Refusal of reports.
    pub(super) denial: Option<&'static str>,
    /// The keys that it asks the agent to prove.
    pub(super) prove: Vec<String>,
    /// The paths that it asks the agent to look at.
    pub(super) look: Vec<String>,
}

pub(super) type Shared = Arc<Mutex<Platform>>;

fn bearer(headers: &HeaderMap) -> &str {
    headers["authorization"]
        .to_str()
        .unwrap()
        .strip_prefix("Bearer ")
        .unwrap()
}

pub(super) type Refusal = (StatusCode, [(HeaderName, &'static str); 1], Json<Value>);

fn refusal(status: StatusCode, body: Value) -> Refusal {
    (status, [(CONTENT_TYPE, "application/problem+json")], Json(body))
}

pub(super) async fn enrol(
    State(platform): State<Shared>,
    headers: HeaderMap,
    Json(body): Json<EnrolBody>,
) -> Result<Json<Value>, Refusal> {
    let mut platform = platform.lock().unwrap();
    if platform.down {
        return Err(refusal(StatusCode::SERVICE_UNAVAILABLE, json!({})));
    }
    if !bearer(&headers).starts_with("one-time") {
        let body = json!({"type": "urn:cmp:problem:not_authenticated", "title": "the one-time token was spent",
            "status": 401, "code": "not_authenticated", "denial": "re_enrol"});
        return Err(refusal(StatusCode::UNAUTHORIZED, body));
    }
    platform.denial = None;
    let key = headers["idempotency-key"].to_str().unwrap().to_owned();
    platform.enrolments.push((body, key));
    Ok(Json(
        json!({"agent_id": "agt_1", "token": "own-token", "checkin_interval_s": 3600}),
    ))
}

pub(super) async fn report(
    State(platform): State<Shared>,
    Params(agent_id): Params<String>,
    headers: HeaderMap,
    Json(body): Json<Report>,
) -> Result<Json<ReportReply>, Refusal> {
    let mut platform = platform.lock().unwrap();
    assert_eq!((agent_id.as_str(), bearer(&headers)), ("agt_1", "own-token"));
    if platform.down {
        return Err(refusal(StatusCode::SERVICE_UNAVAILABLE, json!({})));
    }
    if let Some(denial) = platform.denial {
        let body = json!({"type": "urn:cmp:problem:not_authenticated", "title": "the token was taken back",
            "status": 401, "code": "not_authenticated", "denial": denial});
        return Err(refusal(StatusCode::UNAUTHORIZED, body));
    }
    platform.reports.push(body);
    Ok(Json(ReportReply {
        checkin_interval_s: 3600,
        jobs: platform.jobs.clone(),
        identity_pem: None,
        prove: platform.prove.clone(),
        look: platform.look.clone(),
    }))
}

pub(super) async fn csr(
    State(platform): State<Shared>,
    Params(request_id): Params<String>,
    headers: HeaderMap,
    Json(body): Json<CsrBody>,
) -> Json<Value> {
    assert_eq!(bearer(&headers), "own-token");
    assert!(headers.contains_key("idempotency-key"));
    let mut platform = platform.lock().unwrap();
    platform
        .csrs
        .entry(request_id.clone())
        .or_default()
        .push(body.csr_pem);
    Json(json!({"id": request_id}))
}

pub(super) async fn result(
    State(platform): State<Shared>,
    Params((_, job_id)): Params<(String, String)>,
    Json(body): Json<JobResult>,
) -> Result<Json<Value>, StatusCode> {
    let mut platform = platform.lock().unwrap();
    platform.results.push((job_id.clone(), body));
    if platform.lose_results > 0 {
        platform.lose_results -= 1;
        return Err(StatusCode::BAD_GATEWAY);
    }
    platform.jobs.retain(|job| job.id != job_id);
    Ok(Json(json!({"id": job_id})))
}
