//! Proxies of the environment (`HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY`, `NO_PROXY`), by one rule for every client:
//! what is on this machine is never asked through one, and where one is used, that can be said.

use std::sync::OnceLock;

use hyper_util::client::proxy::matcher::Matcher;
use reqwest::{ClientBuilder, Proxy, Url};

/// The proxy between us and an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Through {
    /// Its address, without what one logs in to it with.
    pub address: String,
    /// The variable that names it.
    pub variable: &'static str,
}

/// The variables, as they were when they were first asked for.
struct Environment {
    proxies: Vec<(&'static str, String)>,
    without: String,
}

impl Environment {
    fn of(get: impl Fn(&str) -> Option<String>) -> Self {
        // A server's CGI scripts get the client's `Proxy:` header as HTTP_PROXY.
        let is_cgi = get("REQUEST_METHOD").is_some();
        let names = [
            "HTTP_PROXY",
            "http_proxy",
            "HTTPS_PROXY",
            "https_proxy",
            "ALL_PROXY",
            "all_proxy",
        ];
        let set = names
            .into_iter()
            .filter(|name| !(is_cgi && *name == "HTTP_PROXY"));
        let set = set.filter_map(|name| Some((name, get(name).filter(|value| !value.trim().is_empty())?)));
        Self {
            proxies: set.map(|(name, value)| (name, value.trim().to_owned())).collect(),
            without: get("NO_PROXY").or_else(|| get("no_proxy")).unwrap_or_default(),
        }
    }

    fn here() -> &'static Self {
        static HERE: OnceLock<Environment> = OnceLock::new();
        HERE.get_or_init(|| Self::of(|name| std::env::var(name).ok()))
    }

    /// The variable and its value for `url`, if it is asked through a proxy.
    fn of_url(&self, url: &Url) -> Option<(&'static str, &str)> {
        if is_here(url) {
            return None;
        }
        let wanted = match url.scheme() {
            "http" => ["HTTP_PROXY", "http_proxy"],
            "https" => ["HTTPS_PROXY", "https_proxy"],
            _ => return None,
        };
        let of = |names: [&str; 2]| {
            // The lower case is the older convention, and stronger for curl.
            let mut names = names.into_iter().rev();
            names.find_map(|name| self.proxies.iter().find(|(set, _)| *set == name))
        };
        let (variable, value) = of(wanted).or_else(|| of(["ALL_PROXY", "all_proxy"]))?;
        let matcher = Matcher::builder()
            .all(value.as_str())
            .no(self.without.as_str())
            .build();
        let uri = url.as_str().parse().ok()?;
        matcher.intercept(&uri).map(|_| (*variable, value.as_str()))
    }

    fn through(&self, url: &str) -> Option<Through> {
        let (variable, value) = self.of_url(&Url::parse(url).ok()?)?;
        Some(Self::named(variable, value))
    }

    /// The proxy that `url` would be asked through but for `NO_PROXY`.
    fn passed_over(&self, url: &str) -> Option<Through> {
        let url = Url::parse(url).ok()?;
        if self.of_url(&url).is_some() {
            return None;
        }
        let all = Self {
            proxies: self.proxies.clone(),
            without: String::new(),
        };
        all.of_url(&url)
            .map(|(variable, value)| Self::named(variable, value))
    }

    fn named(variable: &'static str, value: &str) -> Through {
        let (scheme, rest) = value.split_once("://").unwrap_or(("http", value));
        let place = rest.split('/').next().unwrap_or(rest);
        let place = place.rsplit_once('@').map_or(place, |(_, place)| place);
        Through {
            address: format!("{scheme}://{place}"),
            variable,
        }
    }
}

/// Whether it is on this machine.
fn is_here(url: &Url) -> bool {
    let Some(host) = url.host_str() else { return false };
    let host = host
        .trim_start_matches('[')
        .trim_end_matches(']')
        .trim_end_matches('.');
    match host.parse::<std::net::IpAddr>() {
        Ok(ip) => ip.to_canonical().is_loopback() || ip.to_canonical().is_unspecified(),
        Err(_) => {
            let host = host.to_ascii_lowercase();
            host == "localhost" || host.ends_with(".localhost") || host == "localhost.localdomain"
        }
    }
}

/// The proxy that `url` is asked through, if it is.
#[must_use]
pub fn through(url: &str) -> Option<Through> {
    Environment::here().through(url)
}

/// The proxy that is set and not used for `url`, since `NO_PROXY` excepts it; never one for this machine.
#[must_use]
pub fn passed_over(url: &str) -> Option<Through> {
    Environment::here().passed_over(url)
}

/// Words for an error of a call to `url`, behind the address; none where no proxy is between.
#[must_use]
pub fn words(url: &str) -> String {
    through(url).map_or_else(String::new, |it| format!(" (through the proxy {})", it.words()))
}

impl Through {
    /// Its address and where that comes from.
    #[must_use]
    pub fn words(&self) -> String {
        format!("`{}` of {}", self.address, self.variable)
    }
}

/// Sets a client up so.
pub(super) fn by_environment(builder: ClientBuilder) -> ClientBuilder {
    let proxy = Proxy::custom(|url| Environment::here().of_url(url).map(|(_, value)| value.to_owned()));
    builder.no_proxy().proxy(proxy)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(set: &[(&str, &str)]) -> Environment {
        let set: Vec<(String, String)> = set
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        Environment::of(move |name| set.iter().find(|(k, _)| k == name).map(|(_, v)| v.clone()))
    }

    #[test]
    fn what_is_on_this_machine_is_asked_directly_whatever_is_set() {
        let all = environment(&[
            ("HTTP_PROXY", "http://p:3128"),
            ("https_proxy", "p:3128"),
            ("ALL_PROXY", "http://q"),
        ]);
        for url in [
            "http://127.0.0.1:8082/x",
            "https://127.9.9.9",
            "http://localhost:8200",
            "http://LOCALHOST.:8200",
            "http://api.localhost",
            "http://[::1]:8200",
            "http://[::ffff:127.0.0.1]:8200",
            "http://0.0.0.0:8200",
        ] {
            assert_eq!(all.through(url), None, "{url}");
        }
        let seen = |url| all.through(url).unwrap().words();
        assert_eq!(seen("http://vault.example.com"), "`http://p:3128` of HTTP_PROXY");
        assert_eq!(seen("https://10.0.0.7:8200"), "`http://p:3128` of https_proxy");
        assert_eq!(
            seen("http://127.0.0.1.example.com"),
            "`http://p:3128` of HTTP_PROXY"
        );
    }

    #[test]
    fn a_proxy_is_named_without_its_password_and_exceptions_count() {
        let some = environment(&[
            ("ALL_PROXY", "http://kim:hunter2@proxy.example.com:8080/"),
            ("NO_PROXY", "vault.example.com,10.0.0.0/8"),
        ]);
        assert_eq!(
            some.through("https://api.example.com").unwrap().words(),
            "`http://proxy.example.com:8080` of ALL_PROXY"
        );
        assert_eq!(some.through("https://vault.example.com"), None);
        assert_eq!(some.through("http://10.1.2.3"), None);
        assert_eq!(
            some.passed_over("http://10.1.2.3").unwrap().words(),
            "`http://proxy.example.com:8080` of ALL_PROXY"
        );
        assert_eq!(some.passed_over("http://127.0.0.1:8200"), None);
        assert_eq!(some.passed_over("https://api.example.com"), None, "it is used");
        assert_eq!(environment(&[]).passed_over("http://10.1.2.3"), None);
        let cgi = environment(&[("HTTP_PROXY", "http://evil"), ("REQUEST_METHOD", "GET")]);
        assert_eq!(cgi.through("http://api.example.com"), None);
        assert_eq!(
            environment(&[("HTTP_PROXY", "")]).through("http://api.example.com"),
            None
        );
    }
}
