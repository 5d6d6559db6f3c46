//! A unit file as systemd reads it: the command line, what it needs, and who it runs as.

use crate::text;

/// One unit of `deploy/systemd`.
pub(crate) struct Unit {
    pub(crate) name: &'static str,
    lines: Vec<(String, String)>,
}

impl Unit {
    pub(crate) fn read(name: &'static str) -> Self {
        let text = text(&format!("systemd/{name}.service"));
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let pairs = lines.filter_map(|line| line.split_once('='));
        Self {
            name,
            lines: pairs
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .collect(),
        }
    }

    /// All values of a key.
    pub(crate) fn all(&self, key: &str) -> Vec<&str> {
        let of_key = self.lines.iter().filter(|(it, _)| it == key);
        of_key.map(|(_, value)| value.as_str()).collect()
    }

    /// The only value of a key.
    pub(crate) fn one(&self, key: &str) -> &str {
        match self.all(key)[..] {
            [one] => one,
            ref other => panic!("{}: {key} is there {} times", self.name, other.len()),
        }
    }

    /// The program and its arguments.
    pub(crate) fn command(&self) -> Vec<&str> {
        self.one("ExecStart").split(' ').collect()
    }

    /// The names of its credentials.
    pub(crate) fn credentials(&self) -> Vec<&str> {
        let all = self.all("LoadCredential").into_iter();
        all.map(|it| it.split_once(':').unwrap().0).collect()
    }
}

/// The credentials that a seed of configuration names.
pub(crate) fn named_credentials(toml: &str) -> Vec<&str> {
    let lines = toml.lines().filter(|line| !line.starts_with('#'));
    lines
        .filter_map(|line| line.split_once("{ credential = \""))
        .map(|(_, rest)| rest.split('"').next().unwrap())
        .collect()
}

/// The three programs as units: the API with the scheduler, the issuer, the agent.
pub(crate) const UNITS: [&str; 3] = ["cmp-server", "cmp-issuer", "cmp-agent"];
