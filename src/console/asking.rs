//! Questions become answers: where they are asked, and what is asked there, page by page.

use chrono::{DateTime, Duration as Span, Utc};

use super::logs;
use super::source::{Source, sources};
use crate::domain::database::ReadFrom;
use crate::plan::ports::Reads;
use crate::problem::{Problem, ProblemKind};
use crate::state::query::{Answer, Query, Window};
use crate::wire::page::{MAX_LIMIT, Page, PageQuery};

/// Asks the best place that has an answer, and tells which one that was, where there are several.
///
/// # Errors
/// What the best of them said, or that it said nothing.
pub(super) async fn ask(
    reads: &Reads,
    query: &Query,
    rows: u32,
) -> Result<(Answer, Option<ReadFrom>), Problem> {
    let mut first = None;
    for source in sources(reads).await {
        // As it was when it was asked: what it takes in meanwhile makes the answer newer than it is called.
        let from = reads.hosts.as_ref().and_then(|_| source.as_read());
        match ask_there(&source, reads.now(), query, rows).await {
            Err(problem) if is_away(&problem) => first = first.or(Some(problem)),
            answer => return answer.map(|answer| (answer, from)),
        }
    }
    Err(first.unwrap_or_else(|| Problem::unavailable("there is nobody to ask")))
}

/// Until when a certificate ends soon.
fn soon(now: DateTime<Utc>) -> String {
    (now + Span::days(30)).to_rfc3339()
}

/// Whether another place may have the answer.
fn is_away(problem: &Problem) -> bool {
    matches!(
        problem.kind,
        ProblemKind::Unavailable | ProblemKind::NoAnswer | ProblemKind::BackendFailed
    )
}

async fn ask_there(
    from: &Source<'_>,
    now: DateTime<Utc>,
    query: &Query,
    rows: u32,
) -> Result<Answer, Problem> {
    let fixed = |sort: &str| PageQuery {
        sort: Some(sort.to_owned()),
        ..PageQuery::default()
    };
    Ok(match query {
        Query::Key(spki) => Answer::Key(Box::new(from.key(spki).await?)),
        Query::Logs => logs::newest().await?,
        // `neighbours` asks there.
        Query::LinksOf(name) | Query::FiguresOf(name) => {
            return Err(Problem::internal(format!(
                "`{name}` is another context, and was asked for here"
            )));
        }
        Query::Trends => Answer::Trends(Box::new(from.trends().await?)),
        Query::Findings => Answer::Findings(from.findings().await?),
        Query::Expiring => {
            let page = PageQuery {
                expires_before: Some(soon(now)),
                ..fixed("not_after")
            };
            Answer::Certificates(
                pages(rows, page, |page| async move { from.certificates(&page).await }).await?,
            )
        }
        Query::AgentHealth => Answer::Agents(
            pages(
                rows,
                fixed("health"),
                |page| async move { from.agents(&page).await },
            )
            .await?,
        ),
        Query::OpenRequests => {
            let page = PageQuery {
                open: Some(true),
                ..fixed("-created_at")
            };
            Answer::Requests(pages(rows, page, |page| async move { from.requests(&page).await }).await?)
        }
        Query::RecentAudit => Answer::Audit(
            pages(rows.min(50), fixed("-seq"), |page| async move {
                from.audit(&page).await
            })
            .await?,
        ),
        Query::Replaced(list) => {
            let page = list.with("status:replaced").page("not_after");
            Answer::Certificates(pages(1, page, |page| async move { from.certificates(&page).await }).await?)
        }
        Query::Certificates(list) => {
            // A status would choose by itself where the filter is about ends.
            let page = match list.has_replaced() || list.is_by_end() {
                true => list.page("not_after"),
                false => list.with("!status:replaced").page("not_after"),
            };
            Answer::Certificates(
                pages(rows, page, |page| async move { from.certificates(&page).await }).await?,
            )
        }
        Query::Agents(list) => Answer::Agents(
            pages(rows, list.page("hostname"), |page| async move {
                from.agents(&page).await
            })
            .await?,
        ),
        Query::Requests(list) => Answer::Requests(
            pages(rows, list.page("-created_at"), |page| async move {
                from.requests(&page).await
            })
            .await?,
        ),
        Query::Audit(list) => Answer::Audit(
            pages(
                rows,
                list.page("-seq"),
                |page| async move { from.audit(&page).await },
            )
            .await?,
        ),
        Query::Certificate(id) => Answer::Certificate(Box::new(from.certificate(id).await?)),
        Query::Agent(id) => Answer::Agent(Box::new(from.agent(id).await?)),
        Query::Request(id) => Answer::Request(Box::new(from.request(id).await?)),
        Query::AuditRow(seq) => Answer::Audit(Window {
            rows: vec![from.audit_row(*seq).await?],
            total: 1,
        }),
        Query::AuditOf(id) => {
            let page = PageQuery {
                entity: Some(id.clone()),
                ..fixed("-seq")
            };
            Answer::Audit(pages(rows, page, |page| async move { from.audit(&page).await }).await?)
        }
    })
}

/// As many pages as it takes for `rows` rows.
async fn pages<T, F>(
    rows: u32,
    mut page: PageQuery,
    fetch: impl Fn(PageQuery) -> F,
) -> Result<Window<T>, Problem>
where
    F: Future<Output = Result<Page<T>, Problem>>,
{
    let mut window = Window {
        rows: Vec::new(),
        total: 0,
    };
    loop {
        let known = u32::try_from(window.rows.len()).unwrap_or(u32::MAX);
        page.limit = Some(rows.saturating_sub(known).clamp(1, MAX_LIMIT));
        let answer = fetch(page.clone()).await?;
        window.total = answer.counted();
        window.rows.extend(answer.items);
        match answer.next {
            Some(next) if window.rows.len() < usize::try_from(rows).unwrap_or(usize::MAX) => {
                page.after = Some(next);
            }
            _ => return Ok(window),
        }
    }
}
