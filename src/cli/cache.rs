//! Which cache a server uses: Redis where an argument or the environment names one, else its own.

use crate::clients::cache::{Address, Cache};
use crate::domain::secret::Secret;
use crate::problem::Problem;

/// Where Redis is, with a password in it or without; `--cache` goes before it.
const CACHE_URL: &str = "CMP_CACHE_URL";
/// Its password.
const CACHE_PASSWORD: &str = "CMP_CACHE_PASSWORD";

/// The cache that `--cache` and the environment ask for.
///
/// # Errors
/// The address can't be used, or there is a password in the argument.
pub(super) fn cache(argument: Option<&str>) -> Result<Cache, Problem> {
    let secret = |name| {
        std::env::var(name)
            .ok()
            .map(Secret::new)
            .filter(|it| !it.is_empty())
    };
    let address = match (argument, secret(CACHE_URL)) {
        (Some(argument), _) => Address::from_argument(argument)?,
        (None, Some(url)) => Address::from_environment(&url)?,
        (None, None) => return Ok(Cache::in_process()),
    };
    let address = match secret(CACHE_PASSWORD) {
        Some(password) => address.password(&password),
        None => address,
    };
    Cache::redis(&address)
}
