//! What keys mean: every command that a console knows.

use super::screen::ViewId;

/// A command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cmd {
    /// One row down.
    Down,
    /// One row up.
    Up,
    /// To the first row.
    Top,
    /// To the last row.
    Bottom,
    /// Half a page down.
    HalfDown,
    /// Half a page up.
    HalfUp,
    /// The next pane.
    NextPane,
    /// The pane before.
    PreviousPane,
    /// Open what the cursor is on.
    Open,
    /// Back to where one came from.
    Back,
    /// End the console.
    Quit,
    /// Show the keys.
    Help,
    /// Type a command.
    CommandLine,
    /// Filter the list.
    Filter,
    /// Sort by the next column.
    Sort,
    /// Reverse the order.
    Reverse,
    /// To the next row that is in trouble.
    NextTrouble,
    /// To the row in trouble before.
    PreviousTrouble,
    /// Mark or unmark the row.
    Mark,
    /// Mark all rows from the one that was marked last.
    MarkRange,
    /// Mark all rows that are known.
    MarkAll,
    /// Unmark all rows.
    Unmark,
    /// Go to something that the row touches.
    Related,
    /// To the place before this one.
    HistoryBack,
    /// Forward.
    HistoryForward,
    /// Copy what the cursor is on.
    Copy,
    /// See for oneself whether what is on record is so.
    Verify,
    /// Ask again.
    Refresh,
    /// Hold the screen still, or let it go on.
    Freeze,
    /// Put the console into the background.
    Suspend,
    /// Show a screen.
    Show(ViewId),
    /// Start the action with this id.
    Start(&'static str),
    /// Something inside the topmost dialog.
    Dialog(InDialog),
}

impl Cmd {
    /// True for what shows something else and nothing more: moving, finding, filtering and sorting.
    #[must_use]
    pub fn only_shows(self) -> bool {
        match self {
            Self::Down
            | Self::Up
            | Self::Top
            | Self::Bottom
            | Self::HalfDown
            | Self::HalfUp
            | Self::NextPane
            | Self::PreviousPane
            | Self::Open
            | Self::Back
            | Self::Help
            | Self::CommandLine
            | Self::Filter
            | Self::Sort
            | Self::Reverse
            | Self::NextTrouble
            | Self::PreviousTrouble
            | Self::Related
            | Self::HistoryBack
            | Self::HistoryForward
            | Self::Show(_) => true,
            Self::Quit
            | Self::Mark
            | Self::MarkRange
            | Self::MarkAll
            | Self::Unmark
            | Self::Copy
            | Self::Verify
            | Self::Refresh
            | Self::Freeze
            | Self::Suspend
            | Self::Start(_)
            | Self::Dialog(_) => false,
        }
    }
}

/// What keys mean inside a dialog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InDialog {
    /// Close it.
    Close,
    /// Take what is typed or picked.
    Confirm,
    /// The next line or field.
    Next,
    /// The line or field before.
    Previous,
    /// The next field; on the command line, complete it.
    NextField,
    /// The field before.
    PreviousField,
    /// The next choice of a field.
    NextChoice,
    /// The choice before.
    PreviousChoice,
    /// The line that was typed before.
    Older,
    /// The line that was typed after.
    Newer,
    /// Scroll down.
    PageDown,
    /// Scroll up.
    PageUp,
    /// Begin the unseal attempt again.
    Reset,
    /// Show all losses of a plan in place of its names, then its commands, then the names again.
    Commands,
    /// Copy a plan's commands while they are shown.
    CopyCommands,
    /// Try again what a run did not prove.
    Retry,
}
