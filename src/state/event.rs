//! All that can happen to a console, in one closed and ordered list. No secret is in an event.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};

use super::Size;
use super::effect::ToExport;
use super::link::Link;
use super::loaded::Generation;
use super::query::{Answer, Query};
use super::served::{Endpoint, ServedNow};
use super::wire::Wire;
use crate::clients::crl::Crl;
use crate::domain::database::{ApiOn, Host, ReadFrom};
use crate::domain::link::Backend;
use crate::domain::role::Role;
use crate::domain::worker::Worker;
use crate::plan::executor::RunEvent;
use crate::plan::outcome::Outcome;
use crate::plan::plan::Plan;
use crate::problem::Problem;
use crate::wire::page::Change;

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// A key, by its name in the keymap: `j`, `ctrl-d`, `enter`, `space`.
    Key(String),
    /// Text was pasted.
    Paste(String),
    /// A paste broke off: what came of it is dropped, and what still comes will be.
    PasteBroke,
    /// So many keys were dropped, and why; none where more are on their way.
    KeysIgnored(usize, Ignored),
    /// The hidden field of a secret holds so many characters now.
    SecretTyped(usize),
    /// A demo's share can't be had, and why.
    NoShare(String),
    /// The terminal has another size.
    Resize(Size),
    /// What the state shows was sent to the terminal, as the frame with this number.
    Painted(u64),
    /// The frame with this number is on the screen, and what was typed from now on was typed by somebody
    /// who could see it.
    Seen(u64),
    /// The wire to the terminal is so now.
    Wire(Wire),
    /// The time that a protected context was unlocked for is over.
    Relocked,
    /// The cursor rests.
    Rested,
    /// Nothing more was typed into a filter for a moment.
    TypingPaused,
    /// A minute went by.
    Minute,
    /// An answer came.
    Answer {
        /// To what.
        query: Query,
        /// To the how-manieth question.
        asked: Generation,
        /// Place where it was read; none where there is but one.
        from: Option<ReadFrom>,
        /// What was answered.
        result: Result<Answer, Problem>,
    },
    /// A while has passed since a question had no answer, or one that nobody tells the end of.
    AskAgain {
        /// Which.
        query: Query,
        /// The how-manieth it was: one that was asked since has a while of its own.
        asked: Generation,
    },
    /// Something changed at the server.
    Changed(Vec<Change>),
    /// The event stream broke off and is back: anything may have changed.
    StreamBack,
    /// The event stream can't be had, again and again: what changes is seen only by asking.
    StreamLost,
    /// A backend answers in this way now.
    Link(Backend, Link),
    /// The database that the API is on; none where it doesn't answer.
    ApiOn(Option<ApiOn>),
    /// Issuers and schedulers, as the API knows them.
    Workers(Vec<Worker>),
    /// How far the platform's clock is ahead of this computer's; zero within a minute.
    Clock(TimeDelta),
    /// The database's hosts are so now.
    Hosts(Vec<Host>),
    /// The API refuses our token, and with which words; or it doesn't any more.
    Token(Option<String>),
    /// Who the token is.
    Me(Role),
    /// A plan was made, or can't be.
    Planned(String, Result<Box<Plan>, Problem>),
    /// A run goes on.
    Run(String, RunEvent),
    /// The end that the record of a run has, by the id that it is on record by, where it isn't what was said here.
    OnRecord(String, Outcome),
    /// What is being started, in words; none when all is up.
    Starting(Option<String>),
    /// The rows that an export waits for, or why they can't be had.
    ReadForExport(Box<ToExport>, Vec<(Query, Result<Answer, Problem>)>),
    /// An export is written: where, or why not.
    Exported(Result<String, String>),
    /// What is served at an address: the certificate's fingerprint and its key's hash, or why there is no
    /// handshake.
    Probed(String, Result<ServedThere, String>),
    /// Certificates that handshakes there showed, or the reason that there were none.
    Handshake(Endpoint, Result<ServedNow, String>),
    /// The CA's revocation list as it is published now, or why it can't be had.
    Crl(Result<Arc<Crl>, String>),
    /// A certificate's PEM that was asked for, to be copied, or why there is none.
    Pem(Result<String, Problem>),
    /// The saved views can't be kept, and why.
    ViewsNotKept(String),
    /// A private key was pasted, and dropped at once: the SHA-256 of its SubjectPublicKeyInfo, if it could
    /// be read.
    PastedKey(Option<String>),
    /// A background task crashed; where the report is.
    Defect(String),
    /// The terminal is gone, or the program is told to end.
    HangUp,
}

/// Why keys, or a paste, were dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ignored {
    /// They came faster than a hand types, and no field is open.
    Paste,
    /// The dialog was not seen yet.
    Unseen,
    /// One that confirms came right before or after another one.
    Hasty,
    /// Those that act came within others.
    Among,
    /// A line that acts came at once with the key that runs it; the keys are those behind that one.
    AtOnce,
    /// They may be a piece of a key, or a secret of another kind.
    Piece,
    /// A paste of so many characters that reads as nothing that is known, so that it may be anything.
    Unread {
        /// Their number.
        characters: usize,
    },
    /// They came right behind what was dropped as such.
    Rest,
    /// They came right behind a paste in brackets.
    Behind,
    /// That is no unseal share.
    NoShare,
    /// Typed text that is no unseal share, so that it was not sent.
    NotSent,
    /// Nothing has room for a paste of so many bytes.
    TooLong,
}

/// What a handshake at an address showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServedThere {
    /// SHA-256 of the certificate, lower-case hex.
    pub fingerprint_sha256: String,
    /// SHA-256 of its key's SubjectPublicKeyInfo.
    pub spki_sha256: String,
}

/// An event with its time.
#[derive(Clone, Debug)]
pub struct Timed {
    /// When.
    pub at: DateTime<Utc>,
    /// What.
    pub event: Event,
}
