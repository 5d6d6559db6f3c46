//! Whether everything really answers: asked over the sockets, as anybody else would.

use std::time::Duration;

use futures::future::{BoxFuture, FutureExt, try_join_all};
use tokio::time::{Instant, sleep, timeout_at};

use super::Access;
use super::error::PlatformError;
use super::fleet::HOSTS;
use super::layout::HostPlace;
use crate::clients::api::ApiReader;
use crate::clients::tls_probe::probe;
use crate::clients::vault::{Login, Place, VaultReader};
use crate::wire::page::PageQuery;

/// Everything has to answer within this.
const LIMIT: Duration = Duration::from_secs(20);
/// Between two questions.
const PAUSE: Duration = Duration::from_millis(20);

/// Until API, Vault and every server of the fleet answer.
pub(super) async fn all(access: &Access, places: &[HostPlace]) -> Result<(), PlatformError> {
    let until = Instant::now() + LIMIT;
    let mut questions: Vec<BoxFuture<'_, Result<(), PlatformError>>> = vec![
        until_yes("the API", until, || api(access)).boxed(),
        until_yes("Vault", until, || vault(access)).boxed(),
    ];
    for place in places.iter().filter(|place| place.is_there()) {
        let what = format!("the server of {}", place.host.name);
        questions.push(async move { until_yes(&what, until, || tls(place)).await }.boxed());
    }
    try_join_all(questions).await.map(drop)
}

async fn until_yes<'a>(
    what: &str,
    until: Instant,
    ask: impl Fn() -> BoxFuture<'a, Result<(), String>>,
) -> Result<(), PlatformError> {
    loop {
        let answer = timeout_at(until, ask()).await;
        match answer {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(_)) if Instant::now() < until => sleep(PAUSE).await,
            Ok(Err(why)) => return Err(PlatformError::Part(format!("{what} does not answer: {why}"))),
            Err(_) => return Err(PlatformError::Part(format!("{what} does not answer in time"))),
        }
    }
}

/// Reads with the operator's token, so that the database has answered too.
fn api(access: &Access) -> BoxFuture<'_, Result<(), String>> {
    async {
        let api =
            ApiReader::new(&access.api, Some(access.operator_token.clone())).map_err(|e| e.to_string())?;
        let query = PageQuery {
            limit: Some(1),
            ..PageQuery::default()
        };
        let page = api.agents(&query).await.map_err(|e| e.to_string())?;
        match usize::try_from(page.total) == Ok(HOSTS.len()) {
            true => Ok(()),
            false => Err("it doesn't know the whole fleet".to_owned()),
        }
    }
    .boxed()
}

fn vault(access: &Access) -> BoxFuture<'_, Result<(), String>> {
    async {
        let vault = VaultReader::new(&Place::at(&access.vault), Login::Nobody).map_err(|e| e.to_string())?;
        let status = vault.seal_status().await.map_err(|e| e.to_string())?;
        match status.initialized {
            true => Ok(()),
            false => Err("it is not initialised".to_owned()),
        }
    }
    .boxed()
}

fn tls(place: &HostPlace) -> BoxFuture<'_, Result<(), String>> {
    async {
        let name = place.host.sites.first().map(|site| site.name);
        let served = probe(&place.tls_address, name, LIMIT).await;
        served.map(drop).map_err(|failure| failure.to_string())
    }
    .boxed()
}
