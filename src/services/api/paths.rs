//! Where an agent may be asked to install: under the directories that it reported, by a path that says
//! exactly one place. The agent checks again, against links, with its own configuration.

use crate::domain::agent::{Agent, AgentStatus};
use crate::domain::install_path;
use crate::domain::told::cut;
use crate::problem::Problem;

/// Characters that are told of a path that is refused.
const LONGEST_SHOWN: usize = 200;

/// Refuses a path that the agent's directories don't allow, and an agent that is banned.
pub(super) fn allowed(path: &str, agent: &Agent) -> Result<(), Problem> {
    if agent.status == AgentStatus::Banned {
        return Err(Problem::refused(format!(
            "the agent `{}` is banned and gets nothing",
            agent.hostname
        )));
    }
    if let Err(why) = install_path::parts(path) {
        return Err(Problem::refused(format!("`{}` {why}", cut(path, LONGEST_SHOWN)))
            .hint("an absolute path without `.`, `..` or `//`, to a file such as `site.pem`"));
    }
    let inside = agent.install_dirs.iter().any(|dir| {
        path.strip_prefix(dir.trim_end_matches('/'))
            .is_some_and(|rest| rest.len() > 1 && rest.starts_with('/'))
    });
    if inside {
        return Ok(());
    }
    Err(Problem::refused(format!(
        "`{path}` is outside the directories of the agent `{}`",
        agent.hostname
    ))
    .hint(if agent.install_dirs.is_empty() {
        "its configuration allows none".to_owned()
    } else {
        format!("allowed: {}", agent.install_dirs.join(", "))
    }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn agent(dirs: &[&str]) -> Agent {
        let at = chrono::DateTime::UNIX_EPOCH;
        Agent {
            id: "agt_1".to_owned(),
            version: 1,
            hostname: "web-01".to_owned(),
            address: String::new(),
            tls_address: None,
            install_dirs: dirs.iter().map(|&dir| dir.to_owned()).collect(),
            agent_version: String::new(),
            owner: None,
            status: AgentStatus::Active,
            identity: None,
            next_identity: None,
            last_checkin: None,
            reported_from: None,
            checkin_interval_s: 30,
            has_no_token: false,
            n_installations: 0,
            enrolled_at: at,
            updated_at: at,
        }
    }

    #[test]
    fn inside_and_outside() {
        let agent = agent(&["/srv/tls", "/etc/pki/"]);
        for path in ["/srv/tls/a.pem", "/srv/tls/x/y.pem", "/etc/pki/a"] {
            assert!(allowed(path, &agent).is_ok(), "{path}");
        }
        for path in [
            "/srv/tls",
            "/srv/tls/",
            "/srv/tlsx/a",
            "/srv/tls/../a",
            "/srv/tls/./a",
            "srv/tls/a",
            "/srv//tls/a",
            "",
            "/",
            "/etc/passwd",
            "/srv/tls/a\n",
            "/srv/tls/a/",
            "/srv/tls/\u{202e}a",
            "/srv/tls/a\u{200b}",
            "/srv/tls/a.key",
            "/srv/tls/a.chain.pem",
            "/srv/tls/.cmp/a.pem",
            "/srv/tls/.a.pem",
            &format!("/srv/tls/{}.pem", "a".repeat(300)),
        ] {
            assert!(allowed(path, &agent).is_err(), "{path}");
        }
    }

    proptest! {
        #[test]
        fn nothing_with_dots_gets_through(path in "(/(\\.|\\.\\.|[a-z]{1,3})){1,6}") {
            let agent = agent(&["/a"]);
            if allowed(&path, &agent).is_ok() {
                prop_assert!(path.starts_with("/a/") && !path.contains("/.."), "{}", path);
            }
        }
    }
}
