//! A private PostgreSQL in a directory of its own, one a test binary, and a fresh database a test. It
//! listens on a socket only, unless a test asks for an address with TLS, and ends with the binary, however that ends.

#![allow(dead_code, reason = "not every test binary uses all of it")]

use std::fs::Permissions;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};

use chrono::DateTime;
use cmp_console::clock::Clock;
use cmp_console::store::Store;
use rustix::process::{Pid, Signal, kill_process};

use self::port::free_port;

#[path = "port.rs"]
pub(crate) mod port;

/// The owner of all databases, who is not a superuser. `postgres` is one.
pub(crate) const OWNER: &str = "cmp_user";

/// What its socket is called by, if nothing else is said.
const PORT: u16 = 5432;

/// What every fresh database is a copy of: migrated once.
const TEMPLATE: &str = "cmp_template";

/// Starts the server and says when it answers; a line with a signal ends it by that, and a line with `start`
/// starts it again. Waits until the test binary is gone or lets go of its end of the pipe. Then nothing of
/// it is left.
const WATCHDOG: &str = r#"
set -e
trap 'rm -rf "$dir" "$disk"' EXIT
if [ -n "$primary" ]; then
    "$bin/pg_basebackup" -h "$primary" -p "$primary_port" -U postgres -D "$dir/data" -R -c fast --no-sync >"$dir/log" 2>&1
else
    "$bin/initdb" -D "$dir/data" -U postgres -A trust -E UTF8 --locale=C.UTF-8 --no-sync >"$dir/log" 2>&1
fi
# A mount and a user of its own, who is not root in there: PostgreSQL doesn't run as root.
in_room() {
    exec unshare -Urm sh -c 'mount -t tmpfs -o "size=$size" tmpfs "$disk" &&
        exec unshare -U --map-user=1000 --map-group=1000 "$@"' sh "$@"
}
start() {
    $in_room "$bin/postgres" -D "$dir/data" -k "$dir" -c listen_addresses="$listen" -p "$port" -c fsync=off -c full_page_writes=off \
        -c max_connections=300 -c shared_buffers=64MB -c max_wal_size=256MB \
        -c dynamic_shared_memory_type=mmap -c deadlock_timeout=200ms >>"$dir/log" 2>&1 </dev/null &
    server=$!
    until "$bin/pg_isready" -q -h "$dir" -p "$port"; do kill -0 $server || { cat "$dir/log" >&2; exit 1; }; done
    echo ready
}
start
while read -r what; do
    if [ "$what" = start ]; then
        start
    else
        kill "-$what" $server
        wait $server || true
        echo ended
    fi
done
kill -QUIT $server 2>/dev/null || true
wait $server || true
"#;

/// The running server.
pub(crate) struct Postgres {
    bin: PathBuf,
    dir: PathBuf,
    port: u16,
    /// True if other tests have their databases on it too: then it may not be ended or held.
    is_shared: bool,
    /// While this is open, the server runs. What is told to it, and what it says.
    leash: Mutex<(ChildStdin, BufReader<ChildStdout>)>,
    /// It outlives the tests by a moment, so nobody waits for it.
    _watchdog: Child,
}

/// A database of its own, gone when it is dropped.
pub(crate) struct Database {
    /// `cmp_1`, `cmp_2` …
    pub(crate) name: String,
    /// For its owner.
    pub(crate) url: String,
    /// Its server.
    pub(crate) server: &'static Postgres,
}

/// Processes that are held.
pub(crate) struct Frozen(Vec<Pid>);

impl Drop for Frozen {
    fn drop(&mut self) {
        for pid in &self.0 {
            // It may have been ended from outside.
            let _ = kill_process(*pid, Signal::CONT);
        }
    }
}

/// The server, started with the first test that asks for it. `None` where there are no programs to start;
/// that is said once, and in CI it is a failure.
pub(crate) fn server() -> Option<&'static Postgres> {
    static SERVER: OnceLock<Option<Postgres>> = OnceLock::new();
    SERVER
        .get_or_init(|| {
            let Some(bin) = programs() else {
                assert!(
                    std::env::var_os("CI").is_none(),
                    "PostgreSQL's server is needed in CI: `apt-get install postgresql`"
                );
                // Past the test runner, which keeps what a test that passes prints to itself.
                let _ = writeln!(
                    std::io::stderr(),
                    "skipped: all that needs PostgreSQL, whose server is not installed"
                );
                return None;
            };
            let server = Postgres {
                is_shared: true,
                ..start(bin, &Start::default())
            };
            server.psql(
                "postgres",
                "postgres",
                &format!("CREATE ROLE {OWNER} LOGIN CREATEDB"),
            );
            // Another language's order than that of bytes, where the server knows one: no list may show it.
            let create = format!("CREATE DATABASE {TEMPLATE} OWNER {OWNER} TEMPLATE template0");
            let icu = format!("{create} LOCALE_PROVIDER icu ICU_LOCALE 'en' LOCALE 'C.UTF-8'");
            if server.try_psql("postgres", "postgres", &icu).is_err() {
                server.psql("postgres", "postgres", &create);
            }
            let url = server.url(OWNER, TEMPLATE);
            let migrated = std::thread::spawn(move || {
                let runtime = tokio::runtime::Runtime::new().unwrap();
                runtime.block_on(async {
                    // The tests' time, so that the months of their audit rows are made here once.
                    let noon = DateTime::from_timestamp(1_780_000_000, 0).unwrap();
                    Store::open(&url, Clock::fixed(noon)).await.unwrap().close().await;
                });
            });
            migrated.join().unwrap();
            Some(server)
        })
        .as_ref()
}

/// A fresh database with the schema in it.
pub(crate) fn fresh() -> Option<Database> {
    Database::made(&format!("TEMPLATE {TEMPLATE}"))
}

/// A fresh database with nothing in it.
pub(crate) fn empty() -> Option<Database> {
    Database::made("TEMPLATE template0")
}

/// The newest that is installed.
fn programs() -> Option<PathBuf> {
    let is_whole = |bin: &PathBuf| {
        ["initdb", "postgres", "psql", "pg_dump"]
            .iter()
            .all(|it| bin.join(it).exists())
    };
    let mut found: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|version| version.path().join("bin"))
        .filter(is_whole)
        .collect();
    found.sort_by_key(|bin| {
        let version = bin.parent().and_then(Path::file_name).and_then(|it| it.to_str());
        version.and_then(|it| it.parse::<u32>().ok())
    });
    let on_path = std::env::var_os("PATH").unwrap_or_default();
    found
        .pop()
        .or_else(|| std::env::split_paths(&on_path).find(is_whole))
}

/// A server of one's own, to be ended and started again, with an empty database `cmp` of the owner's; `None`
/// where there are no programs.
pub(crate) fn of_ones_own() -> Option<Postgres> {
    prepared(&Start::default())
}

/// The same at an address too, which speaks TLS once it is given a certificate.
pub(crate) fn at_an_address() -> Option<Postgres> {
    prepared(&Start {
        address: Some(free_port()),
        ..Start::default()
    })
}

fn prepared(how: &Start) -> Option<Postgres> {
    let own = start(server()?.bin.clone(), how);
    own.psql("postgres", "postgres", &format!("CREATE ROLE {OWNER} LOGIN"));
    let on_it = match how.disk {
        Some(disk) => {
            let folder = disk.folder(&own.dir);
            let sql = format!("CREATE TABLESPACE small LOCATION '{}'", folder.display());
            own.psql("postgres", "postgres", &sql);
            "TABLESPACE small"
        }
        None => "",
    };
    own.psql(
        "postgres",
        "postgres",
        &format!("CREATE DATABASE cmp OWNER {OWNER} {on_it}"),
    );
    Some(own)
}

/// One with its database `cmp` on a disk of its own that is small; `None` where there are no programs, or no
/// way to have such a disk, which is said.
pub(crate) fn on_a_small_disk() -> Option<Postgres> {
    server()?;
    let Some(disk) = Disk::small() else {
        let _ = writeln!(
            std::io::stderr(),
            "skipped: PostgreSQL on a full disk, since there is none to fill: neither may a tmpfs be mounted in \
             a user namespace here, nor is /dev/shm a small one"
        );
        return None;
    };
    prepared(&Start {
        disk: Some(disk),
        ..Start::default()
    })
}

/// A replica of the server, with all its databases, as long as it is kept.
pub(crate) fn replica() -> Option<Postgres> {
    Some(server()?.replica())
}

/// How a server is started.
#[derive(Default)]
struct Start<'a> {
    /// Whom it follows.
    primary: Option<&'a Postgres>,
    /// It listens at this port of 127.0.0.1 too.
    address: Option<u16>,
    /// Where the database `cmp` is, instead of beside the rest.
    disk: Option<Disk>,
}

/// A disk that is small enough to be filled.
#[derive(Clone, Copy)]
enum Disk {
    /// A tmpfs that only the server sees, for which it needs no rights but a user namespace.
    Own,
    /// Where those are not allowed, as in most containers: their shared memory, which is a small tmpfs. Test
    /// servers keep none in there.
    Shared,
}

impl Disk {
    /// The largest that is filled, in bytes.
    const MOST: u64 = 256 << 20;

    fn small() -> Option<Self> {
        let script = "unshare -Urm sh -c 'mount -t tmpfs tmpfs /mnt &&
            exec unshare -U --map-user=1000 --map-group=1000 true'";
        let mut command = Command::new("sh");
        if let Some((uid, gid)) = unprivileged() {
            command.uid(uid).gid(gid);
        }
        let tried = command.args(["-c", script]).current_dir("/").output().unwrap();
        if tried.status.success() {
            return Some(Self::Own);
        }
        let shared = rustix::fs::statvfs(SHARED_MEMORY).ok()?;
        (shared.f_blocks * shared.f_frsize <= Self::MOST).then_some(Self::Shared)
    }

    /// The place for the server's folder on it.
    fn folder(self, dir: &Path) -> PathBuf {
        match self {
            Self::Own => dir.join("disk"),
            Self::Shared => Path::new(SHARED_MEMORY).join(dir.file_name().unwrap()),
        }
    }
}

const SHARED_MEMORY: &str = "/dev/shm";

fn start(bin: PathBuf, how: &Start) -> Postgres {
    // Short, since a socket's path may not be long.
    let dir = tempfile::Builder::new()
        .prefix("cmp-pg-")
        .tempdir()
        .unwrap()
        .keep();
    std::fs::set_permissions(&dir, Permissions::from_mode(0o711)).unwrap();
    let disk = how.disk.map(|it| it.folder(&dir));
    if let Some(disk) = &disk {
        std::fs::create_dir(disk).unwrap();
    }
    let mut command = Command::new("sh");
    // PostgreSQL doesn't run as root.
    if let Some((uid, gid)) = unprivileged() {
        for folder in [Some(&dir), disk.as_ref()].into_iter().flatten() {
            chown(folder, Some(uid), Some(gid)).unwrap();
        }
        command.uid(uid).gid(gid);
    }
    let port = how.address.unwrap_or(PORT);
    let mut child = command
        .args(["-c", WATCHDOG])
        .env("bin", &bin)
        .env("dir", &dir)
        .env("primary", how.primary.map_or(Path::new(""), |it| &it.dir))
        .env("primary_port", how.primary.map_or(PORT, |it| it.port).to_string())
        .env("port", port.to_string())
        .env("disk", disk.as_deref().unwrap_or(Path::new("")))
        .env("size", "48m")
        .env(
            "in_room",
            if matches!(how.disk, Some(Disk::Own)) {
                "in_room"
            } else {
                ""
            },
        )
        .env("listen", how.address.map_or("", |_| "127.0.0.1"))
        .current_dir(&dir)
        // Ctrl-C at the terminal is for the tests; the watchdog follows them.
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let leash = child.stdin.take().unwrap();
    let says = BufReader::new(child.stdout.take().unwrap());
    let it = Postgres {
        bin,
        dir,
        port,
        is_shared: false,
        leash: Mutex::new((leash, says)),
        _watchdog: child,
    };
    assert_eq!(it.says(), "ready", "PostgreSQL doesn't start");
    it
}

/// Who runs the server when the tests run as root.
pub(crate) fn unprivileged() -> Option<(u32, u32)> {
    let id = |args: &[&str]| {
        let output = Command::new("id").args(args).output().ok()?;
        String::from_utf8(output.stdout).ok()?.trim().parse::<u32>().ok()
    };
    if id(&["-u"]) != Some(0) {
        return None;
    }
    ["postgres", "nobody"]
        .iter()
        .find_map(|user| Some((id(&["-u", user])?, id(&["-g", user])?)))
}

impl Postgres {
    fn says(&self) -> String {
        let mut said = String::new();
        self.leash.lock().unwrap().1.read_line(&mut said).unwrap();
        said.trim().to_owned()
    }

    fn tell(&self, what: &str) {
        writeln!(self.leash.lock().unwrap().0, "{what}").unwrap();
    }

    /// A server that follows this one.
    pub(crate) fn replica(&self) -> Self {
        let how = Start {
            primary: Some(self),
            address: (self.port != PORT).then(free_port),
            disk: None,
        };
        start(self.bin.clone(), &how)
    }

    /// `127.0.0.1:port`, where it listens at one.
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Has new connections shown this certificate, both in PEM. Whoever wants to see it waits for it.
    pub(crate) fn show(&self, (certificate, key): &(String, String)) {
        for (name, pem) in [("server.crt", certificate), ("server.key", key)] {
            let file = self.dir.join("data").join(name);
            std::fs::write(&file, pem).unwrap();
            std::fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
            if let Some((uid, gid)) = unprivileged() {
                chown(&file, Some(uid), Some(gid)).unwrap();
            }
        }
        self.speak_tls(true);
    }

    /// Has it speak TLS, or no more.
    pub(crate) fn speak_tls(&self, on: bool) {
        for sql in [&format!("ALTER SYSTEM SET ssl = {on}"), "SELECT pg_reload_conf()"] {
            self.psql("postgres", "postgres", sql);
        }
    }

    /// Fills its small disk with something else, to the last page.
    pub(crate) fn fill(&self) {
        let psql = |sql: &str| self.try_psql("postgres", "postgres", sql);
        // A database that was just made has pages that aren't on the disk yet, and their writers would fail too.
        psql("CHECKPOINT").unwrap();
        psql("CREATE UNLOGGED TABLE ballast (page text) TABLESPACE small").unwrap();
        psql("ALTER TABLE ballast ALTER page SET STORAGE PLAIN").unwrap();
        for n in [1000, 100, 10, 1] {
            let more = format!("INSERT INTO ballast SELECT repeat('x', 8000) FROM generate_series(1, {n})");
            let said = loop {
                if let Err(said) = psql(&more) {
                    break said;
                }
            };
            assert!(
                said.contains("No space left on device") || said.contains("wrote only"),
                "{said}"
            );
        }
    }

    /// Makes room on it again.
    pub(crate) fn make_room(&self) {
        self.psql("postgres", "postgres", "DROP TABLE ballast");
    }

    /// Cuts off who calls itself so.
    pub(crate) fn cut_off(&self, application: &str) {
        let sql = format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = '{application}'"
        );
        self.psql("postgres", "postgres", &sql);
    }

    /// Ends it by a signal: `INT` cuts everybody off and ends orderly, `QUIT` ends as a crash does.
    pub(crate) fn end(&self, signal: &str) {
        assert!(!self.is_shared, "other tests have their databases on this server");
        self.tell(signal);
        assert_eq!(self.says(), "ended");
    }

    /// Starts it again.
    pub(crate) fn start_again(&self) {
        self.tell("start");
        assert_eq!(self.says(), "ready", "PostgreSQL doesn't start again");
    }

    /// Where its files are: `data`, and its socket.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Holds all of its processes, whose connections stay open, until the guard is dropped.
    pub(crate) fn freeze(&self) -> Frozen {
        assert!(!self.is_shared, "other tests have their databases on this server");
        let postmaster = self.postmaster();
        // Held first, so that it makes no further ones.
        kill_process(postmaster, Signal::STOP).unwrap();
        let mut held = vec![postmaster];
        for entry in std::fs::read_dir("/proc").unwrap().flatten() {
            let pid = entry.file_name().to_str().and_then(|name| name.parse().ok());
            let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
            // `pid (name) state ppid …`
            let parent = stat
                .rsplit_once(") ")
                .and_then(|(_, rest)| rest.split(' ').nth(1));
            if let Some(pid) = pid.and_then(Pid::from_raw)
                && parent == Some(&postmaster.as_raw_nonzero().to_string())
                && kill_process(pid, Signal::STOP).is_ok()
            {
                held.push(pid);
            }
        }
        Frozen(held)
    }

    fn postmaster(&self) -> Pid {
        let pid = std::fs::read_to_string(self.dir.join("data/postmaster.pid")).unwrap();
        Pid::from_raw(pid.lines().next().unwrap().parse().unwrap()).unwrap()
    }

    /// Its log.
    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.dir.join("log")).unwrap()).into_owned()
    }

    /// The address of `database` for `user`.
    pub(crate) fn url(&self, user: &str, database: &str) -> String {
        format!(
            "postgres://{user}@localhost:{}/{database}?host={}",
            self.port,
            self.dir.display()
        )
    }

    /// One of PostgreSQL's programs, at this server.
    pub(crate) fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.bin.join(name));
        command
            .env("PGHOST", &self.dir)
            .env("PGPORT", self.port.to_string());
        command
    }

    /// What `psql` says to `sql`, without frills.
    pub(crate) fn try_psql(&self, user: &str, database: &str, sql: &str) -> Result<String, String> {
        let output = self
            .program("psql")
            .args([
                "-X",
                "-q",
                "-A",
                "-t",
                "-v",
                "ON_ERROR_STOP=1",
                "-U",
                user,
                "-d",
                database,
                "-c",
                sql,
            ])
            .output()
            .unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().trim().to_owned();
        match output.status.success() {
            true => Ok(text(output.stdout)),
            false => Err(text(output.stderr)),
        }
    }

    /// The same where it has to succeed.
    pub(crate) fn psql(&self, user: &str, database: &str, sql: &str) -> String {
        self.try_psql(user, database, sql)
            .unwrap_or_else(|said| panic!("{sql}: {said}"))
    }
}

impl Postgres {
    /// Makes the accounts of `deploy/postgres/roles.sql` for `database`, or makes them anew.
    pub(crate) fn make_roles(&self, database: &str) {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/postgres/roles.sql");
        let output = self
            .program("psql")
            .args(["-X", "-q", "-U", "postgres", "-d", database, "-f"])
            .arg(&file)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

impl Database {
    /// Makes the accounts of `deploy/postgres/roles.sql`, or makes them anew.
    pub(crate) fn make_roles(&self) {
        self.server.make_roles(&self.name);
    }

    fn made(how: &str) -> Option<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let server = server()?;
        let name = format!("cmp_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        server.psql(
            "postgres",
            "postgres",
            &format!("CREATE DATABASE {name} OWNER {OWNER} {how}"),
        );
        Some(Self {
            url: server.url(OWNER, &name),
            name,
            server,
        })
    }

    /// A database with all that is in this one, on which nobody may be connected meanwhile.
    pub(crate) fn copy(&self) -> Option<Self> {
        Self::made(&format!("TEMPLATE {}", self.name))
    }

    /// What `psql` says to `sql`, as the owner.
    pub(crate) fn psql(&self, sql: &str) -> String {
        self.server.psql(OWNER, &self.name, sql)
    }

    /// The same for any user, and where it may be refused.
    pub(crate) fn try_psql(&self, user: &str, sql: &str) -> Result<String, String> {
        self.server.try_psql(user, &self.name, sql)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // Left over, it would only take room until the server goes.
        let drop = format!("DROP DATABASE {} WITH (FORCE)", self.name);
        let _ = self.server.try_psql("postgres", "postgres", &drop);
    }
}
