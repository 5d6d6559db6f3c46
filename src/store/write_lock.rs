//! The process that holds the write lock of a SQLite file, as far as Linux tells in `/proc/locks`. SQLite itself can't
//! say, and looking by `fcntl` on a file of our own would let go of the locks that we have on it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::locked::Holder;

/// The byte of the `-shm` file that a writer locks (SQLite's `WAL_WRITE_LOCK`).
const WRITER: &str = "120";

/// Its holder now, if there is one.
pub(super) fn holder(database: &Path) -> Option<Holder> {
    let mut shared = database.as_os_str().to_owned();
    shared.push("-shm");
    let inode = fs::metadata(Path::new(&shared)).ok()?.ino();
    let process = writer(&fs::read_to_string("/proc/locks").ok()?, inode)?;
    let program = fs::read_to_string(format!("/proc/{process}/comm")).ok();
    Some(Holder {
        process: Some(process),
        program: program.map(|name| name.trim().to_owned()),
        since: None,
        transaction: None,
        is_committed: false,
    })
}

/// The process of the line `N: POSIX ADVISORY WRITE pid major:minor:inode first last` that has the writer's byte.
fn writer(locks: &str, inode: u64) -> Option<i32> {
    let inode = inode.to_string();
    locks.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let [_, "POSIX", _, "WRITE", process, file, first, last] = fields[..] else {
            return None;
        };
        let is_its = file.rsplit(':').next() == Some(inode.as_str()) && (first, last) == (WRITER, WRITER);
        is_its.then(|| process.parse().ok()).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_writers_line_is_found_among_readers_and_those_who_wait() {
        let locks = "1: POSIX  ADVISORY  READ 812 fd:01:4242 124 124\n\
                     2: POSIX  ADVISORY  WRITE 900 fd:01:4243 120 120\n\
                     3: POSIX  ADVISORY  WRITE 813 fd:01:4242 120 120\n\
                     3: -> POSIX  ADVISORY  WRITE 814 fd:01:4242 120 120\n\
                     4: FLOCK  ADVISORY  WRITE 5 fd:01:4242 0 EOF\n";
        assert_eq!(writer(locks, 4242), Some(813));
        assert_eq!(writer(locks, 4244), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_program_that_writes_is_named() {
        use std::io::{BufRead, BufReader, Write};
        use std::process::{Command, Stdio};

        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("cmp.db");
        let script = "import sqlite3, sys\n\
                      c = sqlite3.connect(sys.argv[1], isolation_level=None)\n\
                      c.execute('PRAGMA journal_mode=WAL'); c.execute('CREATE TABLE t (x)')\n\
                      c.execute('BEGIN IMMEDIATE'); print('held', flush=True); sys.stdin.readline()\n\
                      c.execute('COMMIT'); print('free', flush=True); sys.stdin.readline()\n";
        let mut child = Command::new("python3")
            .args(["-c", script])
            .arg(&file)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
        assert_eq!(said.next().unwrap().unwrap(), "held");
        let found = holder(&file).unwrap();
        assert_eq!(found.process, i32::try_from(child.id()).ok());
        assert!(found.program.unwrap().starts_with("python3"));
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(b"\n").unwrap();
        assert_eq!(said.next().unwrap().unwrap(), "free");
        assert_eq!(holder(&file), None);
        drop(stdin);
        child.wait().unwrap();
    }
}
