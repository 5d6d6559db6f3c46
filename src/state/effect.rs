//! All that a console can ask for. Data: a test compares it.

use super::loaded::Generation;
use super::query::{ListQuery, Query};
use super::saved::SavedViews;
use super::screen::Place;
use super::served::Endpoint;
use super::snapshot::Snapshot;
use super::typed::Format;
use crate::plan::confirm::Confirmed;
use crate::plan::guard::Guard;
use crate::plan::plan::{Inputs, Target};

/// Rows to export: a file a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Export {
    /// Its files, each by its name without its place, and what it holds.
    pub files: Vec<(String, String)>,
    /// Rows that are left out of it, in words; empty where it is whole.
    pub cut: String,
}

/// An export that waits for rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToExport {
    /// Format of the file.
    pub format: Format,
    /// The screen that it is of, which may be left meanwhile.
    pub place: Place,
    /// Filter and order of that screen.
    pub list: ListQuery,
    /// The lists, and how many rows of each are wanted.
    pub lists: Vec<(Query, u32)>,
}

/// Something to be done outside of the state.
#[derive(Debug)]
pub enum Effect {
    /// Ask the API.
    Ask {
        /// What.
        query: Query,
        /// The how-manieth question.
        asked: Generation,
        /// How many rows.
        rows: u32,
    },
    /// Make a plan.
    Plan {
        /// For the run with this number of the console's own.
        run: String,
        /// By the action with this id.
        action: &'static str,
        /// On these things.
        on: Vec<Target>,
        /// With these inputs.
        inputs: Inputs,
    },
    /// Carry a plan out.
    Execute {
        /// The run.
        run: String,
        /// The plan, confirmed.
        confirmed: Box<Confirmed>,
    },
    /// Hand the hidden field over to the run.
    SubmitSecret(String),
    /// Put the demo's share at this place into the run's hidden field.
    TakeShare(usize),
    /// Begin the unseal attempt of the run again.
    ResetSecret(String),
    /// Give up entering secrets for the run.
    StopSecret(String),
    /// Say later that the question may be asked again, since it had no answer, or nobody tells when there is
    /// another one.
    AskLater {
        /// Which.
        query: Query,
        /// The how-manieth it was.
        asked: Generation,
    },
    /// Ask the backends how they are, now.
    CheckLinks,
    /// Write an export.
    Export(Export),
    /// Read the rows of lists that aren't loaded, for an export.
    ReadForExport(Box<ToExport>),
    /// Ask what is served at this `host:port`, by a handshake.
    Probe(String),
    /// Make handshakes there, on many fresh connections.
    Handshake(Endpoint),
    /// Fetch the CA's revocation list.
    FetchCrl,
    /// Unlock or lock the context.
    SetGuard(Guard),
    /// Copy text to the terminal's clipboard.
    Copy(String),
    /// Get the certificate with this id in PEM, to be copied.
    FetchPem(String),
    /// Keep the saved views.
    KeepViews(SavedViews),
    /// Keep what is known on disk.
    KeepSnapshot(Box<Snapshot>),
    /// Put the program into the background.
    Suspend,
}
