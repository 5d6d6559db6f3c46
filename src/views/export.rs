//! What is on screen as a file: the rows of the pane with the focus as text, CSV or JSON, and what was
//! carried out as a Markdown timeline for an incident's record. It writes no file.

use serde_json::{Map, Value};

use super::{find, focused_rows};
use crate::state::State;
use crate::state::typed::Format;

/// The file's name without its place, and its content.
#[must_use]
pub fn export(state: &State, format: Format) -> (String, String) {
    let view = find(state.place().view);
    let stamp = state.now.format("%Y%m%dT%H%M%SZ");
    let name = view.title.to_lowercase().replace(' ', "-");
    if format == Format::Timeline {
        return (format!("timeline-{stamp}.md"), timeline(state));
    }
    let columns = (view.columns)(state.screen().pane);
    let titles: Vec<&str> = columns.iter().map(|column| column.title).collect();
    let rows = focused_rows(state).into_vec();
    let rows: Vec<Vec<String>> = rows
        .into_iter()
        .map(|row| row.cells.into_iter().map(|cell| cell.text).collect())
        .collect();
    match format {
        Format::Csv => (format!("{name}-{stamp}.csv"), csv(&titles, &rows)),
        Format::Json => (format!("{name}-{stamp}.json"), json(&titles, &rows)),
        _ => (format!("{name}-{stamp}.txt"), text(&titles, &rows)),
    }
}

/// RFC 4180: what holds a comma, a quote or a line break is quoted.
fn csv(titles: &[&str], rows: &[Vec<String>]) -> String {
    let field = |text: &str| {
        if text.contains([',', '"', '\n', '\r']) {
            format!("\"{}\"", text.replace('"', "\"\""))
        } else {
            text.to_owned()
        }
    };
    let line = |fields: Vec<String>| fields.join(",") + "\r\n";
    let mut out = line(titles.iter().map(|title| field(title)).collect());
    for row in rows {
        out.push_str(&line(row.iter().map(|text| field(text)).collect()));
    }
    out
}

/// An object a row, by the columns' titles; a column without one has its number.
fn json(titles: &[&str], rows: &[Vec<String>]) -> String {
    let rows: Vec<Value> = rows
        .iter()
        .map(|row| {
            let fields = row.iter().enumerate().map(|(index, text)| {
                let title = titles.get(index).copied().filter(|title| !title.is_empty());
                let name = title.map_or_else(|| format!("column {}", index + 1), str::to_owned);
                (name, Value::from(text.clone()))
            });
            Value::Object(fields.collect::<Map<_, _>>())
        })
        .collect();
    serde_json::to_string_pretty(&rows).unwrap_or_default() + "\n"
}

/// Columns as wide as their widest text.
fn text(titles: &[&str], rows: &[Vec<String>]) -> String {
    let n = rows.iter().map(Vec::len).chain([titles.len()]).max().unwrap_or(0);
    let widths: Vec<usize> = (0..n)
        .map(|index| {
            let title = titles.get(index).map_or(0, |title| title.chars().count());
            let texts = rows
                .iter()
                .filter_map(|row| row.get(index))
                .map(|text| text.chars().count());
            texts.max().unwrap_or(0).max(title)
        })
        .collect();
    let line = |fields: &mut dyn Iterator<Item = &str>| {
        let padded: Vec<String> = fields
            .zip(&widths)
            .map(|(text, width)| format!("{text:width$}", width = *width))
            .collect();
        padded.join("  ").trim_end().to_owned() + "\n"
    };
    let mut out = line(&mut titles.iter().copied());
    for row in rows {
        out.push_str(&line(&mut row.iter().map(String::as_str)));
    }
    out
}

/// What was carried out, the oldest first, each run with its end and each command as it could be typed.
fn timeline(state: &State) -> String {
    let mut out = format!(
        "# {} on {}\n\n",
        state.now.format("%Y-%m-%d %H:%MZ"),
        state.context.name
    );
    for run in &state.runs {
        let at = run.asked_at.format("%H:%M:%SZ");
        out.push_str(&format!("- {at} **{}**: {}\n", run.title(), run.words()));
    }
    out.push_str("\n## Commands\n\n");
    for logged in &state.command_log {
        let at = logged.at.format("%H:%M:%SZ");
        // Indented, so that nothing in a command can end the block.
        out.push_str(&format!(
            "- {at} ({})\n\n      {}\n\n",
            logged.how, logged.command
        ));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_break_a_file_is_quoted() {
        let rows = vec![vec!["a,b".to_owned(), "say \"x\"".to_owned()]];
        assert_eq!(csv(&["one", ""], &rows), "one,\r\n\"a,b\",\"say \"\"x\"\"\"\r\n");
        let value: Value = serde_json::from_str(&json(&["one", ""], &rows)).unwrap();
        assert_eq!(value[0]["one"], "a,b");
        assert_eq!(value[0]["column 2"], "say \"x\"");
        assert_eq!(text(&["one", "two"], &rows), "one  two\na,b  say \"x\"\n");
    }
}
