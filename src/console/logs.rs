//! The end of the console's own log, read when somebody looks at it. Nothing secret is in there
//! (`telemetry`), and only its end is held.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use crate::problem::Problem;
use crate::state::query::{Answer, LogLine};
use crate::telemetry::log_path;

/// How much of the file is read.
const BYTES: u64 = 256 << 10;
/// How many lines are held.
const LINES: usize = 1000;

/// Its newest lines.
///
/// # Errors
/// Why the file can't be read.
pub(super) async fn newest() -> Result<Answer, Problem> {
    let read = tokio::task::spawn_blocking(|| {
        let path = log_path();
        end_of(&path, BYTES).map_err(|error| {
            Problem::unavailable(format!("the log {} can't be read: {error}", path.display()))
        })
    });
    match read.await {
        Ok(lines) => lines.map(Answer::Logs),
        Err(_) => Err(Problem::internal("reading the log broke off")),
    }
}

/// The whole lines within the last `bytes` of a file.
fn end_of(path: &Path, bytes: u64) -> io::Result<Vec<LogLine>> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let from = length.saturating_sub(bytes);
    file.seek(SeekFrom::Start(from))?;
    let mut end = Vec::new();
    file.take(bytes).read_to_end(&mut end)?;
    let mut lines = Vec::new();
    let mut at = from;
    for (index, line) in end.split_inclusive(|byte| *byte == b'\n').enumerate() {
        let begin = at;
        at += u64::try_from(line.len()).unwrap_or(0);
        // The first one was cut in two, unless the file begins with it.
        if index == 0 && from > 0 {
            continue;
        }
        let text = String::from_utf8_lossy(line);
        let text: String = text.trim_end().chars().map(printed).collect();
        if !text.is_empty() {
            lines.push(LogLine { at: begin, text });
        }
    }
    lines.drain(..lines.len().saturating_sub(LINES));
    Ok(lines)
}

/// What a line is shown with: nothing in it moves a terminal's cursor.
fn printed(c: char) -> char {
    if c.is_control() { ' ' } else { c }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_lines_of_the_end_are_read_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("console.log");
        std::fs::write(&path, "first line\nsecond\tline\n\nthird line\n").unwrap();
        let texts = |bytes| {
            let lines = end_of(&path, bytes).unwrap();
            lines.into_iter().map(|line| line.text).collect::<Vec<_>>()
        };
        assert_eq!(texts(1000), ["first line", "second line", "third line"]);
        assert_eq!(texts(15), ["third line"]);
        assert_eq!(end_of(&path, 1000).unwrap()[1].at, 11);
        std::fs::write(&path, "x\n".repeat(5000)).unwrap();
        assert_eq!(end_of(&path, 1 << 20).unwrap().len(), LINES);
        assert!(end_of(&dir.path().join("none"), 10).is_err());
    }
}
