//! What is on screen as a file: as text what is drawn of the screen, as CSV and JSON its facts and all rows of
//! its panes. What others wrote can't steer what reads the file. It writes no file.

use ratatui::buffer::{Buffer, Cell};
use ratatui::layout::Rect;
use serde_json::{Map, Value, json};

use super::facts::facts;
use super::timeline::timeline;
use super::{View, chrome, find, trends, triage};
use crate::domain::moment::whole;
use crate::domain::plain::{plain, plain_lines};
use crate::state::State;
use crate::state::effect::Export;
use crate::state::query::Query;
use crate::state::screen::ViewId;
use crate::state::typed::Format;
use crate::wire::page::n_rows;

/// Its files, whose moments are whole: they are read on another day.
#[must_use]
pub fn export(state: &State, format: Format) -> Export {
    let mut state = state.clone();
    state.look.whole_times = true;
    let state = &state;
    let view = find(state.place().view);
    let stamp = state.now.format("%Y%m%dT%H%M%SZ");
    let name = view.title.to_lowercase().replace(' ', "-");
    let cut = match format {
        Format::Csv | Format::Json => cut_lists(state),
        Format::Text | Format::Timeline => Vec::new(),
    };
    // Whoever gets the file alone sees that it isn't all.
    let part = match cut.as_slice() {
        [(_, n, total)] => format!("-{n}-of-{}", n_rows(*total).replace(',', "")),
        _ => String::new(),
    };
    let name = format!("{name}{part}");
    let files = match format {
        Format::Timeline => vec![(format!("timeline-{stamp}.md"), plain_lines(&timeline(state)))],
        Format::Csv => Sheet::all(state, view)
            .iter()
            .map(|sheet| match sheet.name.as_str() {
                "" => (format!("{name}-{stamp}.csv"), csv(sheet)),
                table => (
                    format!("{name}-{}-{stamp}.csv", table.replace(' ', "-")),
                    csv(sheet),
                ),
            })
            .collect(),
        Format::Json => vec![(format!("{name}-{stamp}.json"), json_of(&Sheet::all(state, view)))],
        Format::Text => vec![(format!("{name}-{stamp}.txt"), plain_lines(&drawn(state, view)))],
    };
    let cut = cut
        .iter()
        .map(|(_, n, total)| format!("{n} of {} rows", n_rows(*total)));
    Export {
        files,
        cut: cut.collect::<Vec<_>>().join(", "),
    }
}

/// Lists of the open screen of which not all rows are there, with how many are and how many match.
#[must_use]
pub fn cut_lists(state: &State) -> Vec<(Query, usize, i64)> {
    let needs = (find(state.place().view).needs)(state).into_iter();
    // Of these it is the number alone, or the newest alone, that is shown.
    let lists = needs.filter(|it| !matches!(it, Query::Replaced(_) | Query::RecentAudit));
    let cut = lists.filter_map(|query| {
        let (n, total) = state.answer(&query)?.extent()?;
        (i64::try_from(n).unwrap_or(i64::MAX) < total).then_some((query, n, total))
    });
    cut.collect()
}

/// Columns that whole moments take beside those of the screen: ten more each, and two panes stand side by side.
const FOR_TIMES: u16 = 24;

/// What the screen shows between header and footer, with a line that says what, where and when.
fn drawn(state: &State, view: &View) -> String {
    let width = state.size.width.saturating_add(FOR_TIMES);
    let area = Rect::new(0, 0, width, state.size.height);
    let mut buffer = Buffer::empty(area);
    let body = chrome::body(area);
    (view.draw)(state, body, &mut buffer);
    let screen = state.screen();
    let mut heading = format!("{} on {}, {}", view.title, state.context.name, whole(state.now));
    for (note, text) in [("filter", &screen.list.q), ("by", &screen.list.sort)] {
        if !text.is_empty() {
            heading.push_str(&format!(", {note} {text}"));
        }
    }
    let lines = buffer.content().chunks(usize::from(area.width.max(1)));
    let lines = lines.take(usize::from(body.bottom())).skip(usize::from(body.y));
    let lines = lines.map(|line| {
        let line: String = line.iter().map(Cell::symbol).collect();
        line.trim_end().to_owned() + "\n"
    });
    format!("{heading}\n\n") + &lines.collect::<String>()
}

/// A table of what is exported.
struct Sheet {
    /// What it is called; nothing where it is the only one.
    name: String,
    titles: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Sheet {
    /// Name of a column. One without a heading on screen is explained by what stands in it: it is a note.
    fn title(&self, index: usize) -> String {
        let title = self.titles.get(index).copied();
        let title = title.filter(|title| !title.is_empty());
        let n_without = self.titles.iter().filter(|title| title.is_empty()).count();
        match (title, n_without) {
            (Some(title), _) => title.to_owned(),
            (None, 1) => "note".to_owned(),
            (None, _) => format!("column {}", index + 1),
        }
    }

    /// The facts, if there are any, and every pane.
    fn all(state: &State, view: &View) -> Vec<Self> {
        let facts: Vec<Vec<String>> = facts(state)
            .into_iter()
            .map(|fact| vec![fact.label.trim().to_owned(), plain(&fact.text)])
            .collect();
        let facts = (!facts.is_empty()).then_some(Self {
            name: "facts".to_owned(),
            titles: vec!["field", "value"],
            rows: facts,
        });
        let only = facts.is_none() && view.n_panes == 1;
        let panes = (0..view.n_panes).map(|pane| {
            let columns = (view.columns)(pane);
            // What a screen has in several widths is told once, the longest way.
            let told: Vec<usize> = (0..columns.len())
                .filter(|n| {
                    let title = columns[*n].title;
                    title.is_empty() || !columns[n + 1..].iter().any(|later| later.title == title)
                })
                .collect();
            let row = |row: super::Row| {
                let cells = told.iter().filter_map(|n| row.cells.get(*n));
                cells.map(|cell| plain(&cell.text)).collect()
            };
            Self {
                name: match only {
                    true => String::new(),
                    false => name(view.id, pane),
                },
                titles: told.iter().map(|n| columns[*n].title).collect(),
                rows: (view.rows)(state, pane).into_vec().into_iter().map(row).collect(),
            }
        });
        facts.into_iter().chain(panes).collect()
    }
}

/// What a pane is called.
fn name(view: ViewId, pane: usize) -> String {
    let names = match view {
        ViewId::Triage => triage::PANES,
        ViewId::Trends => trends::PANES,
        _ => &[],
    };
    names
        .get(pane)
        .map_or("rows".to_owned(), |name| name.to_lowercase())
}

/// RFC 4180: what holds a comma, a quote or a line break is quoted. Every column has a name, and a file one table.
fn csv(sheet: &Sheet) -> String {
    let field = |text: &str| {
        let text = &no_formula(text);
        if text.contains([',', '"', '\n', '\r']) {
            format!("\"{}\"", text.replace('"', "\"\""))
        } else {
            text.clone()
        }
    };
    let line = |fields: Vec<String>| fields.join(",") + "\r\n";
    let titles = 0..sheet.titles.len();
    let mut out = line(titles.map(|index| field(&sheet.title(index))).collect());
    for row in &sheet.rows {
        out.push_str(&line(row.iter().map(|text| field(text)).collect()));
    }
    out
}

/// A spreadsheet takes what begins so for a formula, unless it is told that it is text. Numbers, and what
/// stands for nothing, are none.
fn no_formula(text: &str) -> String {
    let is_number = text.parse::<f64>().is_ok_and(f64::is_finite);
    match text.starts_with(['=', '+', '-', '@']) && !is_number && text != "-" {
        true => format!("'{text}"),
        false => text.to_owned(),
    }
}

/// An object a row, by the columns' titles; a column without one has its number. Where there are several
/// tables, an object of them by their names.
fn json_of(sheets: &[Sheet]) -> String {
    let rows = |sheet: &Sheet| {
        let rows = sheet.rows.iter().map(|row| {
            let fields = row
                .iter()
                .enumerate()
                .map(|(index, text)| (sheet.title(index), Value::from(text.clone())));
            Value::Object(fields.collect::<Map<_, _>>())
        });
        Value::from(rows.collect::<Vec<_>>())
    };
    let value = match sheets {
        [only] => rows(only),
        several => {
            let named = several.iter().map(|sheet| (sheet.name.clone(), rows(sheet)));
            json!(named.collect::<Map<_, _>>())
        }
    };
    serde_json::to_string_pretty(&value).unwrap_or_default() + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sheet(name: &str) -> Sheet {
        Sheet {
            name: name.to_owned(),
            titles: vec!["one", ""],
            rows: vec![vec!["a,b".to_owned(), "say \"x\"".to_owned()]],
        }
    }

    #[test]
    fn what_would_break_a_file_is_quoted() {
        let only = [sheet("")];
        assert_eq!(csv(&only[0]), "one,note\r\n\"a,b\",\"say \"\"x\"\"\"\r\n");
        let value: Value = serde_json::from_str(&json_of(&only)).unwrap();
        assert_eq!(value[0]["one"], "a,b");
        assert_eq!(value[0]["note"], "say \"x\"");
    }

    #[test]
    fn no_field_is_a_formula() {
        let mut only = sheet("");
        only.rows = ["=1+1", "+x", "-x", "@SUM(A1)", "=a,b"]
            .map(|text| vec![text.to_owned()])
            .to_vec();
        assert_eq!(
            csv(&only),
            "one,note\r\n'=1+1\r\n'+x\r\n'-x\r\n'@SUM(A1)\r\n\"'=a,b\"\r\n"
        );
        for text in ["-1", "+2.5", "-", "a=b", ""] {
            assert_eq!(no_formula(text), text);
        }
    }

    #[test]
    fn several_tables_have_their_names() {
        let both = [sheet("facts"), sheet("rows")];
        let value: Value = serde_json::from_str(&json_of(&both)).unwrap();
        assert_eq!(value["rows"][0]["one"], "a,b");
    }
}
