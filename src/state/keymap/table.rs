//! The rows of the keymap as they are when nobody sets other keys: the console's own, one for each action,
//! and those inside dialogs.

use super::{Binding, Group};
use crate::actions;
use crate::state::cmd::{Cmd, InDialog};
use crate::state::screen::ViewId;

/// All of them.
pub(super) fn rows() -> Vec<Binding> {
    let row = |name, keys: &[&str], cmd, what, group| Binding {
        name,
        keys: keys.iter().map(|&key| key.to_owned()).collect(),
        cmd,
        what,
        group,
    };
    let mut rows: Vec<Binding> = actions::ALL
        .iter()
        .map(|action| action.spec())
        .map(|spec| row(spec.id, &[spec.key], Cmd::Start(spec.id), spec.help, Group::Act))
        .collect();
    let show = |name, key: &str, view| row(name, &[key], Cmd::Show(view), name, Group::Screens);
    rows.extend([
        row("down", &["j", "down"], Cmd::Down, "one row down", Group::Move),
        row("up", &["k", "up"], Cmd::Up, "one row up", Group::Move),
        row("top", &["g", "home"], Cmd::Top, "first row", Group::Move),
        row("bottom", &["G", "end"], Cmd::Bottom, "last row", Group::Move),
        row(
            "half-down",
            &["ctrl-d", "pagedown"],
            Cmd::HalfDown,
            "half a page down",
            Group::Move,
        ),
        row(
            "half-up",
            &["ctrl-u", "pageup"],
            Cmd::HalfUp,
            "half a page up",
            Group::Move,
        ),
        row(
            "next-pane",
            &["tab", "l", "right"],
            Cmd::NextPane,
            "next pane",
            Group::Move,
        ),
        row(
            "previous-pane",
            &["backtab", "h", "left"],
            Cmd::PreviousPane,
            "pane before",
            Group::Move,
        ),
        row("open", &["enter", "d"], Cmd::Open, "open, describe", Group::Move),
        row("back", &["esc"], Cmd::Back, "back, or end a filter", Group::Move),
        row("related", &["o"], Cmd::Related, "go to related…", Group::Move),
        row("history-back", &["["], Cmd::HistoryBack, "back", Group::Move),
        row(
            "history-forward",
            &["]"],
            Cmd::HistoryForward,
            "forward",
            Group::Move,
        ),
        row(
            "verify",
            &["V"],
            Cmd::Verify,
            "shake hands where it is installed, and look at the CRL, now",
            Group::Move,
        ),
        row(
            "filter",
            &["/"],
            Cmd::Filter,
            "filter, as it is typed",
            Group::List,
        ),
        row("sort", &["s"], Cmd::Sort, "sort by the next column", Group::List),
        row("reverse", &["S"], Cmd::Reverse, "reverse the order", Group::List),
        row(
            "next-trouble",
            &["n"],
            Cmd::NextTrouble,
            "next row in trouble; wraps around",
            Group::List,
        ),
        row(
            "previous-trouble",
            &["N"],
            Cmd::PreviousTrouble,
            "previous row in trouble; wraps around",
            Group::List,
        ),
        row("mark", &["space"], Cmd::Mark, "mark, unmark", Group::List),
        row(
            "mark-range",
            &["v"],
            Cmd::MarkRange,
            "mark from the last mark to here",
            Group::List,
        ),
        row(
            "mark-all",
            &["ctrl-a"],
            Cmd::MarkAll,
            "mark all rows",
            Group::List,
        ),
        row("unmark", &["\\"], Cmd::Unmark, "unmark all", Group::List),
        row(
            "copy",
            &["y"],
            Cmd::Copy,
            "copy: twice for the row's own, or choose what",
            Group::List,
        ),
        show("triage", "1", ViewId::Triage),
        show("certificates", "2", ViewId::Certificates),
        show("agents", "3", ViewId::Agents),
        show("requests", "4", ViewId::Requests),
        show("audit", "5", ViewId::Audit),
        show("services", "6", ViewId::Services),
        show("runs", "7", ViewId::Runs),
        show("trends", "8", ViewId::Trends),
        show("contexts", "9", ViewId::Contexts),
        row(
            "command-log",
            &["@"],
            Cmd::Show(ViewId::CommandLog),
            "command log",
            Group::Screens,
        ),
        show("logs", "L", ViewId::Logs),
        row(
            "command",
            &[":"],
            Cmd::CommandLine,
            "any command, or anything by its name",
            Group::Console,
        ),
        row("refresh", &["ctrl-r"], Cmd::Refresh, "ask again", Group::Console),
        row(
            "freeze",
            &["f"],
            Cmd::Freeze,
            "hold the screen still, or let it go on",
            Group::Console,
        ),
        row("help", &["?"], Cmd::Help, "help", Group::Console),
        row("suspend", &["ctrl-z"], Cmd::Suspend, "suspend", Group::Console),
        row("quit", &["q", "ctrl-c"], Cmd::Quit, "quit", Group::Console),
    ]);
    rows.extend(dialog_rows());
    rows
}

/// Keys inside dialogs, which have a row of keys of their own: a key can mean one thing on a screen and
/// another one in a dialog above it.
fn dialog_rows() -> Vec<Binding> {
    let rows: [(&str, &[&str], InDialog, &str); 16] = [
        (
            "dialog-close",
            &["esc", "ctrl-c"],
            InDialog::Close,
            "close; what was not confirmed is not done",
        ),
        (
            "dialog-confirm",
            &["enter"],
            InDialog::Confirm,
            "take what is typed or picked",
        ),
        ("dialog-next", &["down"], InDialog::Next, "next line or field"),
        (
            "dialog-previous",
            &["up"],
            InDialog::Previous,
            "line or field before; above the first, lines typed before",
        ),
        (
            "dialog-next-field",
            &["tab"],
            InDialog::NextField,
            "next field, or complete the command",
        ),
        (
            "dialog-previous-field",
            &["backtab"],
            InDialog::PreviousField,
            "field before",
        ),
        (
            "dialog-next-choice",
            &["right"],
            InDialog::NextChoice,
            "next choice of a field that has some",
        ),
        (
            "dialog-previous-choice",
            &["left"],
            InDialog::PreviousChoice,
            "choice before",
        ),
        (
            "dialog-older",
            &["ctrl-p"],
            InDialog::Older,
            "line that was typed before",
        ),
        (
            "dialog-newer",
            &["ctrl-n"],
            InDialog::Newer,
            "line that was typed after",
        ),
        (
            "dialog-page-down",
            &["ctrl-d", "pagedown"],
            InDialog::PageDown,
            "scroll down",
        ),
        (
            "dialog-page-up",
            &["ctrl-u", "pageup"],
            InDialog::PageUp,
            "scroll up",
        ),
        (
            "dialog-reset",
            &["ctrl-r"],
            InDialog::Reset,
            "start over: discard all shares entered so far",
        ),
        (
            "dialog-commands",
            &["ctrl-o"],
            InDialog::Commands,
            "a plan's losses, then its commands, in place of its names",
        ),
        (
            "dialog-copy-commands",
            &["ctrl-y"],
            InDialog::CopyCommands,
            "copy a plan's commands while they are shown",
        ),
        (
            "dialog-retry",
            &["R"],
            InDialog::Retry,
            "try again what a run did not prove",
        ),
    ];
    let row = |(name, keys, is, what): (_, &[&str], _, _)| Binding {
        name,
        keys: keys.iter().map(|&key| key.to_owned()).collect(),
        cmd: Cmd::Dialog(is),
        what,
        group: Group::Dialogs,
    };
    rows.into_iter().map(row).collect()
}
