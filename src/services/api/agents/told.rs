//! What an agent says of itself, looked at before it is kept: it ends on screens, in files and in commands
//! that people copy. Whether anybody listens at its addresses is not asked.

use crate::config::agent::split_host_port;
use crate::domain::plain::is_hidden;
use crate::problem::Problem;

/// The longest address, directory or name that is kept, in bytes.
const LONGEST: usize = 4096;

/// What is the same in an enrolment and in a report.
pub(super) struct Told<'a> {
    /// Where its wake-up listens.
    pub(super) address: &'a str,
    /// Where TLS is served.
    pub(super) tls_address: Option<&'a str>,
    /// Where it installs.
    pub(super) install_dirs: &'a [String],
    /// Its program's version.
    pub(super) agent_version: &'a str,
    /// Whose host it is.
    pub(super) owner: Option<&'a str>,
}

impl Told<'_> {
    /// Refuses what isn't the address that it should be, and what holds characters that nobody sees.
    pub(super) fn check(&self) -> Result<(), Problem> {
        if !is_http_url(self.address) {
            return Err(refused("address", "is not an address of the agent's wake-up")
                .hint("`http://host:port` or `https://host:port`, in letters, digits and `-._~:/[]%`"));
        }
        if self.tls_address.is_some_and(|address| !is_host_port(address)) {
            return Err(refused("tls_address", "is not a place where TLS is served")
                .hint("`host:port`, such as `web-01:443`"));
        }
        let dirs = self.install_dirs.iter().map(|dir| ("install_dirs", dir.as_str()));
        let named = [("agent_version", self.agent_version)].into_iter();
        let owner = self.owner.map(|owner| ("owner", owner));
        let unfit = |(_, text): &(&str, &str)| text.len() > LONGEST || text.chars().any(is_hidden);
        match dirs.chain(named).chain(owner).find(unfit) {
            Some((field, _)) => Err(refused(
                field,
                "is too long or holds a control character, a line break or a change of the reading direction",
            )
            .hint("leave it out")),
            None => Ok(()),
        }
    }
}

/// The value itself is left out: it is what nobody should have to look at.
fn refused(field: &str, what: &str) -> Problem {
    Problem::bad_input(format!("`{field}` {what}"))
}

fn is_http_url(text: &str) -> bool {
    let Some(rest) = ["http://", "https://"]
        .iter()
        .find_map(|scheme| text.strip_prefix(scheme))
    else {
        return false;
    };
    let authority = rest.split('/').next().unwrap_or_default();
    // A path may follow, where something stands before the agent; nothing that a shell or an HTTP client
    // takes for something else.
    let fits = |c: char| c.is_ascii_alphanumeric() || "-._~:/[]%".contains(c);
    text.len() <= LONGEST
        && rest.chars().all(fits)
        && (is_host_port(authority) || is_host_port(&format!("{authority}:80")))
}

fn is_host_port(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-._:".contains(c);
    text.len() <= LONGEST
        && split_host_port(text)
            .is_some_and(|(host, port)| port > 0 && !host.starts_with('-') && host.chars().all(fits))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_addresses() {
        for text in [
            "http://web-01:8084",
            "https://web_01.example.com/agent",
            "http://[::1]:8084",
            "http://[::1]",
            "http://10.0.0.1:8084/",
        ] {
            assert!(is_http_url(text), "{text}");
        }
        for text in [
            "",
            "web-01:8084",
            "file:///etc/shadow",
            "http://",
            "http://:80",
            "http://-o",
            "http://a:99999",
            "http://a b",
            "http://a';id;'",
            "http://a/$(id)",
            "http://a\n",
            "http://a\u{202e}",
            "http://user@a",
        ] {
            assert!(!is_http_url(text), "{text}");
        }
        assert!(is_host_port("web-01:443") && is_host_port("[::1]:443"));
        for text in [
            "web-01",
            "a:0",
            "a b:443",
            "a;id:443",
            "-a:443",
            "::1:443",
            "http://a:443",
        ] {
            assert!(!is_host_port(text), "{text}");
        }
    }
}
