//! Words for what follows from a change that was asked for: the row that asks is no proof that it came about.

/// Consequence that has to come about after the row of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Follows {
    /// Nothing: with the row it has happened.
    Nothing,
    /// Requests that replace the certificate are issued, and what they brought is installed where they say.
    Certificates,
    /// The CA revokes the certificate.
    Revocation,
    /// The agent installs the certificate.
    Installation,
}

impl Follows {
    /// True if that is all that there is to the action: what is looked at afterwards is the change itself.
    #[must_use]
    pub fn is_the_whole(self) -> bool {
        match self {
            Self::Nothing | Self::Revocation => true,
            Self::Certificates | Self::Installation => false,
        }
    }
}

/// Progress of something that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Came {
    /// It came about.
    About,
    /// It may still come about; what it waits for.
    NotYet(String),
    /// It won't: it failed, or somebody took it back.
    ToNothing(String),
}
