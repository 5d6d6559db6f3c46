//! Paths that a certificate may be installed at, by their words alone. The server refuses with this rule before
//! anything is signed, the agent before anything is written: what the one takes the other does not refuse.

use super::plain::is_hidden;
use super::told::LONGEST_PATH;

/// The hidden directory beside the visible files that holds the generations.
pub const HIDDEN: &str = ".cmp";
/// Longest file name that leaves room for the longest suffix that is added.
const MAX_NAME_BYTES: usize = 200;

/// The parts of such a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parts<'a> {
    /// The directory.
    pub dir: &'a str,
    /// The file's name.
    pub name: &'a str,
    /// The name without its extension, which key and chain share.
    pub stem: &'a str,
}

/// Takes a path apart.
///
/// # Errors
/// Nothing is installed at such a path; the reason goes on from the path.
pub fn parts(path: &str) -> Result<Parts<'_>, &'static str> {
    if !path.starts_with('/') {
        return Err("is not an absolute path");
    }
    if path.len() > LONGEST_PATH {
        return Err("is longer than 4096 bytes");
    }
    if path.chars().any(is_hidden) {
        return Err("holds a character that can't be seen");
    }
    let (dir, name) = path.rsplit_once('/').ok_or("is not an absolute path")?;
    let inner = dir.strip_prefix('/').unwrap_or(dir);
    let steps = inner.split('/').filter(|_| !inner.is_empty());
    for step in steps.chain([name]) {
        match step {
            "" => return Err("is not normalised: it ends in `/` or holds `//`"),
            "." | ".." => return Err("is not normalised: it holds `.` or `..`"),
            HIDDEN => return Err("lies where the agent keeps its own files"),
            _ => {}
        }
    }
    if name.starts_with('.') {
        return Err("names a hidden file");
    }
    if name.len() > MAX_NAME_BYTES {
        return Err("has a file name longer than 200 bytes");
    }
    let lower = name.to_lowercase();
    if lower.ends_with(".key") || lower.ends_with(".chain.pem") {
        return Err("would take the name of a key or chain file; name the certificate, e.g. `site.pem`");
    }
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    let dir = if dir.is_empty() { "/" } else { dir };
    Ok(Parts { dir, name, stem })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_a_plain_name_in_a_directory_is_refused() {
        let long = format!("/a/{}.pem", "n".repeat(300));
        for path in [
            "",
            "site.pem",
            "/",
            "/a//b.pem",
            "/a/./b.pem",
            "/a/../b.pem",
            "/a/b.pem/",
            "/a/..",
            "/a/.hidden",
            "/a/b.key",
            "/a/b.KEY",
            "/a/b.chain.pem",
            "/a/.cmp/b.pem",
            "/a/b\n.pem",
            "/a/\u{202e}b.pem",
            "/a/b.pem\u{200b}",
            long.as_str(),
        ] {
            assert!(parts(path).is_err(), "{path:?}");
        }
        let whole = Parts {
            dir: "/a/b",
            name: "site.v2.crt",
            stem: "site.v2",
        };
        assert_eq!(parts("/a/b/site.v2.crt"), Ok(whole));
        assert_eq!(parts("/site").map(|it| (it.dir, it.stem)), Ok(("/", "site")));
    }
}
