//! Opens a console on the terminal: takes it over, paints, and connects the backends beside it.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::sync::mpsc::{self, Sender};

use super::failed;
use crate::clock::Clock;
use crate::config::console::{Colours, Context, LookConfig, Tokens, state_dir};
use crate::config::memory;
use crate::console::backends::Backends;
use crate::console::defects::install_panic_hook;
use crate::console::terminal::Terminal;
use crate::console::{self, Left, Setup, Startup};
use crate::state::{Depth, Look};
use crate::telemetry;

/// Time for what a console used to end once the terminal is gone: nobody is there who waits for it.
const HUNG_UP: Duration = Duration::from_millis(500);
/// Time for that where a person has left it, who has the shell again.
const LEFT: Duration = Duration::from_secs(5);
/// Time after which a hanging thread (a name that is looked up, a file on a disk that is gone) is left to itself.
const THREADS: Duration = Duration::from_millis(300);

/// Runs a console; `start` brings the backends up meanwhile, and `stop` ends what it gave. When it is left
/// for another context, `next` says how that one is opened.
pub(super) fn console<T, F>(
    runtime: std::io::Result<Runtime>,
    mut setup: Setup,
    mut start: impl FnMut(&str, Sender<Startup>) -> F,
    stop: impl AsyncFn(T),
    next: impl Fn(&str) -> Option<Setup>,
) -> ExitCode
where
    T: Send + 'static,
    F: Future<Output = Option<T>> + Send + 'static,
{
    // Without a log file the console still works; there is nobody to tell but the person, who came for
    // something else.
    let _log = telemetry::to_file();
    memory::keep_private_or_say();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error),
    };
    let mut terminal = match Terminal::open() {
        Ok(terminal) => Some(terminal),
        Err(error) => return failed(&error),
    };
    install_panic_hook(state_dir());
    let code = runtime.block_on(async {
        loop {
            let (startup, started) = mpsc::channel(1);
            let backends = tokio::spawn(start(&setup.context.name, startup));
            let Some(taken) = terminal.as_mut() else {
                return ExitCode::SUCCESS;
            };
            let ended = console::run(taken, setup, Clock::system(), started).await;
            let other = match &ended {
                Ok(Left::Context(name)) => next(name),
                _ => None,
            };
            let leaves = other.is_none();
            if leaves {
                // What ends now may take a while, and the terminal is the shell's again.
                terminal = None;
            }
            if !backends.is_finished() {
                // The person left before all was up.
                backends.abort();
            }
            let limit = match ended {
                Ok(Left::HungUp) | Err(_) => HUNG_UP,
                Ok(Left::Quit | Left::Context(_)) => LEFT,
            };
            let stopped = async {
                if let Ok(Some(backends)) = backends.await {
                    stop(backends).await;
                }
            };
            // Dropped in the middle, it is cut off instead of ended.
            let _late = tokio::time::timeout(limit, stopped).await;
            match (other, ended) {
                (Some(other), _) => setup = other,
                (None, Ok(_)) => return ExitCode::SUCCESS,
                (None, Err(error)) => return failed(&error),
            }
        }
    });
    runtime.shutdown_timeout(THREADS);
    code
}

/// How a console looks: as configured, and as the environment wants it (`NO_COLOR`, a locale that is not
/// UTF-8).
pub(super) fn look(config: LookConfig) -> Look {
    let set = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let locale = set("LC_ALL").or_else(|| set("LC_CTYPE")).or_else(|| set("LANG"));
    // Without any locale nothing is known, and UTF-8 is what terminals speak.
    let is_utf8 = locale.is_none_or(|locale| {
        let locale = locale.to_ascii_lowercase();
        locale.contains("utf-8") || locale.contains("utf8") || locale == "c" || locale == "posix"
    });
    let depth = match (set("COLORTERM").as_deref(), set("TERM").as_deref()) {
        (Some("truecolor" | "24bit"), _) => Depth::True,
        (_, Some(term)) if term.contains("256color") || term.contains("direct") => Depth::Indexed,
        _ => Depth::Sixteen,
    };
    Look {
        colours: match set("NO_COLOR") {
            Some(_) => Colours::Mono,
            None => config.colours.unwrap_or_default(),
        },
        depth,
        ascii: config.ascii.unwrap_or(!is_utf8),
        whole_times: false,
    }
}

/// Tells the console where its backends are.
pub(super) async fn connect(
    context: &Context,
    tokens: Tokens,
    shares_in: Option<PathBuf>,
    startup: &Sender<Startup>,
) {
    let connected = match Backends::new(context, tokens, &state_dir(), Clock::system()) {
        Ok(backends) => Startup::Connected(
            Box::new(backends),
            shares_in.map(|path| path.display().to_string()),
        ),
        Err(problem) => Startup::Failed(problem.to_string()),
    };
    // The console was closed already.
    let _gone = startup.send(connected).await;
}
