//! Where Redis is, and its password, which never comes in an argument: arguments are in everybody's `ps`.

use std::fmt;

use ::redis::{ConnectionInfo, IntoConnectionInfo};

use crate::domain::secret::Secret;
use crate::problem::Problem;

/// Where Redis is: `redis://host:6379`, `rediss://host:6379` (TLS) or `unix:///run/redis.sock`.
#[derive(Clone)]
pub struct Address(ConnectionInfo);

impl Address {
    /// Out of an argument.
    ///
    /// # Errors
    /// It is no address of a Redis, or there is a password in it.
    pub fn from_argument(url: &str) -> Result<Self, Problem> {
        let address = Self::parse(url)?;
        if address.0.redis_settings().password().is_some() {
            return Err(
                Problem::bad_input("the cache's address holds a password, which everybody on this host can read in the list of processes")
                    .hint("change that password, put the new one into CMP_CACHE_PASSWORD, and leave it out of the address"),
            );
        }
        Ok(address)
    }

    /// Out of the environment, where a password may be in it.
    ///
    /// # Errors
    /// It is no address of a Redis.
    pub fn from_environment(url: &Secret) -> Result<Self, Problem> {
        Self::parse(url.expose())
    }

    /// The address with a password.
    #[must_use]
    pub fn password(self, password: &Secret) -> Self {
        let settings = self.0.redis_settings().clone().set_password(password.expose());
        Self(self.0.set_redis_settings(settings))
    }

    fn parse(url: &str) -> Result<Self, Problem> {
        // The library's words may hold what it was given, a password too, so they are not told.
        url.into_connection_info().map(Self).map_err(|_| {
            Problem::bad_input("the cache's address is not that of a Redis")
                .hint("such as redis://host:6379, rediss://host:6379 for TLS, or unix:///run/redis.sock")
        })
    }

    pub(super) fn info(&self) -> ConnectionInfo {
        self.0.clone()
    }
}

/// Without the password.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.addr())
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_in_an_argument_is_refused_and_not_told() {
        for url in ["redis://:hunter2@cache:6379", "redis://cmp:hunter2@cache/1"] {
            let problem = Address::from_argument(url).unwrap_err();
            assert!(!problem.to_string().contains("hunter2"), "{problem}");
            assert!(problem.to_string().contains("CMP_CACHE_PASSWORD"), "{problem}");
        }
        let problem = Address::from_argument("hunter2@:/cache").unwrap_err();
        assert!(!problem.to_string().contains("hunter2"), "{problem}");
    }

    #[test]
    fn addresses_are_shown_without_passwords() {
        let secret = Secret::new("redis://cmp:hunter2@cache:6380".to_owned());
        let address = Address::from_environment(&secret).unwrap();
        assert_eq!(address.to_string(), "cache:6380");
        assert_eq!(format!("{address:?}"), "Address(cache:6380)");
        for (url, shown) in [
            ("rediss://cache", "cache:6379"),
            ("unix:///run/redis.sock", "/run/redis.sock"),
        ] {
            let address = Address::from_argument(url).unwrap();
            let address = address.password(&Secret::new("hunter2".to_owned()));
            assert_eq!(address.to_string(), shown);
        }
    }
}
