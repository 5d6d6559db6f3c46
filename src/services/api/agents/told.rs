//! What an agent says of itself, looked at before it is kept: it ends on screens, in files and in commands
//! that people copy. Whether anybody listens at its addresses is not asked.

use crate::domain::endpoint::{is_host_port, is_http_url};
use crate::domain::plain::is_hidden;
use crate::problem::Problem;

/// The longest directory that is kept, in bytes.
const LONGEST: usize = 4096;
/// The longest version, owner or address: they end in findings, rows and commands.
const LONGEST_NAME: usize = 300;
/// More directories than any configuration allows.
const MOST_DIRS: usize = 200;

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
        if self.install_dirs.len() > MOST_DIRS {
            return Err(refused(
                "install_dirs",
                &format!("names more than {MOST_DIRS} directories"),
            )
            .hint("name the directory above them"));
        }
        let dirs = self
            .install_dirs
            .iter()
            .map(|dir| ("install_dirs", dir.as_str(), LONGEST));
        let named = [
            ("agent_version", Some(self.agent_version)),
            ("owner", self.owner),
            ("address", Some(self.address)),
            ("tls_address", self.tls_address),
        ];
        let named = named
            .into_iter()
            .filter_map(|(field, text)| Some((field, text?, LONGEST_NAME)));
        let unfit =
            |(_, text, longest): &(&str, &str, usize)| text.len() > *longest || text.chars().any(is_hidden);
        match dirs.chain(named).find(unfit) {
            Some((field, ..)) => Err(refused(
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
