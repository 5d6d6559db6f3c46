//! Moods of the CA that the issuer's tests work with: how it, or who stands before it, misbehaves.

/// Behaviour of the CA with the next signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mood {
    Signs,
    /// Signs, but the answer is lost.
    SignsAndFallsSilent,
    /// Signs for this name, whatever was asked for.
    SignsFor(&'static str),
    /// Signs for a key of its own.
    SignsAnotherKey,
    /// Gives what it signed for somebody else's key a day before.
    GivesAnothers,
    /// Makes a CA of whoever asks.
    SignsACa,
    /// Signs, and then something changes the signature.
    SignsForged,
    /// Forges so, too, with the serial of the first that it signed.
    ForgesTheFirst,
    /// Signs, and sends a certificate along that somebody else made under its name.
    SignsBesideAStranger,
    /// Says yes to a revocation and does nothing.
    SwallowsRevocations,
    /// Does so, too, and gives out a list with it that somebody else has signed.
    ForgesLists,
    /// Does so, too, and gives out no list.
    HidesLists,
    /// Says of each certificate that is to be revoked that it has expired.
    SaysExpired,
    /// Signs for a time from and until, in days from [`start`].
    SignsFrom(i64, i64),
    /// Signs a subject with more in it than was asked for.
    SignsASubject,
    /// Signs for whatever it may be used.
    SignsForAll,
    /// Signs, and sends no certificate of its own along.
    SignsWithoutChain,
    /// Signs, and what comes along has its name and another key.
    SignsUnderAnotherChain,
    /// Signs, and sends a private key and other things along.
    SignsAndSpills,
    /// Signs, and answers something else.
    SignsAndBabbles,
    Refuses,
    Busy,
    /// Takes what it is asked, and never answers.
    Hangs,
    /// Asks to be left alone for a minute and a half.
    Limits,
    Sealed,
    /// Has no role to sign with; all else it does.
    Unsigned,
    /// Its address gives no answer.
    Unreachable,
}
