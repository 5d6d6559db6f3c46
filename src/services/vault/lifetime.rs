//! How long what Vault hands out lives where nobody says otherwise.

/// What nobody tuned lives no longer, in seconds: Vault's 768 hours.
pub(super) const LONGEST: i64 = 32 * 86_400;
