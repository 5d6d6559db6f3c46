//! `cmp-console demo-reload SOCKET`: what the demo's agents run as their reload command. It asks the
//! server behind the socket to read its certificates again, and says on stderr why it didn't.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use super::failed;

/// The subcommand's name.
pub(super) use crate::services::platform::RELOAD_SUBCOMMAND as SUBCOMMAND;

/// A server that takes longer to reload counts as not reloaded.
const LIMIT: Duration = Duration::from_secs(5);

/// Runs it if the arguments are exactly its own.
pub(super) fn main_if_asked() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next()? != SUBCOMMAND {
        return None;
    }
    let socket = arguments.next()?;
    arguments.next().is_none().then(|| main(Path::new(&socket)))
}

pub(super) fn main(socket: &Path) -> ExitCode {
    match reload(socket) {
        Ok(reply) if reply == "ok" => ExitCode::SUCCESS,
        Ok(reply) => failed(&reply),
        Err(error) => failed(&format!("no server reloads at `{}`: {error}", socket.display())),
    }
}

/// One line each way: `reload`, then `ok` or why not.
fn reload(socket: &Path) -> io::Result<String> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_write_timeout(Some(LIMIT))?;
    stream.write_all(b"reload\n")?;
    let mut reply = String::new();
    BufReader::new(stream).read_line(&mut reply)?;
    Ok(reply.trim().to_owned())
}
