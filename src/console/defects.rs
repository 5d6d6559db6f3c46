//! Panics: a report on disk, the terminal given back when it was the console itself, and a word on the
//! screen when it was something beside it. It recovers nothing; that is for whoever waits for an answer.

use std::io::{self, Write};
use std::panic::PanicHookInfo;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use tokio::sync::Notify;

use super::terminal::give_back;

/// The newest report of a panic beside the console.
static REPORT: Mutex<Option<PathBuf>> = Mutex::new(None);
/// Rings when there is one.
static NEWS: Notify = Notify::const_new();

/// From now on a panic writes a report into `reports`. One of the console itself gives the terminal back and says
/// where the report is. One of a task is told to the console, which goes on: also where that task runs on the
/// calling thread, which is the console's own, since the runtime catches it there.
pub fn install_panic_hook(reports: PathBuf) {
    let console = std::thread::current().id();
    std::panic::set_hook(Box::new(move |panic| {
        let own = std::thread::current().id() == console && tokio::task::try_id().is_none();
        if own {
            give_back();
        }
        let written = write_report(&reports, panic);
        if own {
            let said = match &written {
                Ok(report) => format!(
                    "cmp-console stopped by a defect of its own; the report is {}",
                    report.display()
                ),
                Err(error) => format!("cmp-console stopped by a defect of its own ({error}): {panic}"),
            };
            // Nobody is left to be told that standard error is gone too.
            let _gone = writeln!(io::stderr(), "{said}");
        } else if let Ok(report) = written
            && let Ok(mut newest) = REPORT.lock()
        {
            *newest = Some(report);
            NEWS.notify_one();
        }
    }));
}

fn write_report(reports: &Path, panic: &PanicHookInfo<'_>) -> io::Result<PathBuf> {
    let report = reports.join(format!("panic-{}.txt", std::process::id()));
    let backtrace = std::backtrace::Backtrace::force_capture();
    let version = env!("CARGO_PKG_VERSION");
    std::fs::create_dir_all(reports)?;
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.create(true).append(true).open(&report)?;
    writeln!(file, "cmp-console {version} panicked\n{panic}\n\n{backtrace}\n")?;
    Ok(report)
}

/// Waits for a panic beside the console; gives where its report is.
pub(super) async fn next() -> PathBuf {
    loop {
        NEWS.notified().await;
        let report = REPORT.lock().ok().and_then(|mut newest| newest.take());
        if let Some(report) = report {
            return report;
        }
    }
}
