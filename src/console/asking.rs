//! Questions become answers: which route of the API a question goes to, page by page.

use chrono::Duration as Span;

use super::logs;
use crate::plan::ports::Reads;
use crate::problem::Problem;
use crate::state::query::{Answer, Query, Window};
use crate::wire::page::{MAX_LIMIT, Page, PageQuery};

/// Asks the API.
///
/// # Errors
/// What it answered, or that it didn't.
pub(super) async fn ask(reads: &Reads, query: &Query, rows: u32) -> Result<Answer, Problem> {
    let api = &reads.api;
    let now = reads.clock.now();
    let soon = (now + Span::days(30)).to_rfc3339();
    let fixed = |sort: &str| PageQuery {
        sort: Some(sort.to_owned()),
        ..PageQuery::default()
    };
    Ok(match query {
        Query::Key(spki) => Answer::Key(Box::new(api.key(spki).await?)),
        Query::Logs => logs::newest().await?,
        Query::Trends => Answer::Trends(Box::new(api.trends().await?)),
        Query::Findings => Answer::Findings(api.findings().await?.findings),
        Query::Expiring => {
            let page = PageQuery {
                expires_before: Some(soon),
                ..fixed("not_after")
            };
            Answer::Certificates(
                pages(rows, page, |page| async move { api.certificates(&page).await }).await?,
            )
        }
        Query::AgentHealth => Answer::Agents(
            pages(rows, fixed("last_checkin"), |page| async move {
                api.agents(&page).await
            })
            .await?,
        ),
        Query::OpenRequests => {
            let page = PageQuery {
                open: Some(true),
                ..fixed("-created_at")
            };
            Answer::Requests(pages(rows, page, |page| async move { api.requests(&page).await }).await?)
        }
        Query::RecentAudit => Answer::Audit(
            pages(rows.min(50), fixed("-seq"), |page| async move {
                api.audit(&page).await
            })
            .await?,
        ),
        Query::Certificates(list) => {
            let page = list.page("not_after");
            Answer::Certificates(
                pages(rows, page, |page| async move { api.certificates(&page).await }).await?,
            )
        }
        Query::Agents(list) => Answer::Agents(
            pages(rows, list.page("hostname"), |page| async move {
                api.agents(&page).await
            })
            .await?,
        ),
        Query::Requests(list) => Answer::Requests(
            pages(rows, list.page("-created_at"), |page| async move {
                api.requests(&page).await
            })
            .await?,
        ),
        Query::Audit(list) => Answer::Audit(
            pages(
                rows,
                list.page("-seq"),
                |page| async move { api.audit(&page).await },
            )
            .await?,
        ),
        Query::Certificate(id) => Answer::Certificate(Box::new(api.certificate(id).await?)),
        Query::Agent(id) => Answer::Agent(Box::new(api.agent(id).await?)),
        Query::Request(id) => Answer::Request(Box::new(api.request(id).await?)),
        Query::AuditRow(seq) => Answer::Audit(Window {
            rows: vec![api.audit_row(*seq).await?],
            total: 1,
        }),
        Query::AuditOf(id) => {
            let page = PageQuery {
                entity: Some(id.clone()),
                ..fixed("-seq")
            };
            Answer::Audit(pages(rows, page, |page| async move { api.audit(&page).await }).await?)
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
        window.rows.extend(answer.items);
        window.total = answer.total;
        match answer.next {
            Some(next) if window.rows.len() < usize::try_from(rows).unwrap_or(usize::MAX) => {
                page.after = Some(next);
            }
            _ => return Ok(window),
        }
    }
}
