//! The few fixed words for what is the matter, which a finding's row has at every width. None is longer than
//! sixteen letters; the sentence with the facts is the finding's own.

/// A certificate in use that has ended.
pub const EXPIRED: &str = "expired";
/// One that ends.
pub const ENDS: &str = "ends";
/// One that ends, and whose agent is silent.
pub const ENDS_SILENT: &str = "ends, silent";
/// One that ends, and whose agent can't check in.
pub const ENDS_NO_TOKEN: &str = "ends, no token";
/// A certificate that ends, and whose agent is banned.
pub const ENDS_BANNED: &str = "ends, banned";
/// One that ends, and whose renewal failed.
pub const RENEWAL_FAILED: &str = "renewal failed";
/// One that its CA wants renewed.
pub const CA_ASKS: &str = "CA: renew now";
/// One whose key others know.
pub const KEY_LEAKED: &str = "key leaked";
/// One that is revoked, and still in use.
pub const REVOKED_SERVED: &str = "revoked, served";
/// One that is revoked, and on disk where another one is expected.
pub const REVOKED_ON_DISK: &str = "revoked, on disk";
/// One whose revocation its CA has not confirmed.
pub const REVOKING_SERVED: &str = "revoking, served";
/// One of those, where another one is expected.
pub const REVOKING_ON_DISK: &str = "revoking on disk";
/// One that is on hold.
pub const HELD_SERVED: &str = "held, served";
/// One of those, where another one is expected.
pub const HELD_ON_DISK: &str = "held, on disk";
/// The new certificate is on disk, another one is served.
pub const OLD_ONE_SERVED: &str = "old one served";
/// No certificate is where one is expected.
pub const NOT_ON_DISK: &str = "not on disk";
/// Something is there that can't be read as a certificate.
pub const NOT_READABLE: &str = "can't be read";
/// A Vault that is open again, which the issuer has not tried yet.
pub const UNSEALED: &str = "unsealed";
/// Another certificate is where one is expected.
pub const OTHER_ON_DISK: &str = "other on disk";
/// It is on disk, and no handshake shows it.
pub const NOT_SERVED: &str = "not served";
/// It is served without an issuer that clients need.
pub const CHAIN_INCOMPLETE: &str = "chain incomplete";
/// It could not be installed.
pub const INSTALL_FAILED: &str = "install failed";
/// An agent whose tokens were taken back.
pub const NO_TOKEN: &str = "no token";
/// An agent that enrolled and was never heard of again.
pub const NEVER_CAME: &str = "never checked in";
/// A request that failed.
pub const REQUEST_FAILED: &str = "request failed";
/// A request that waits for an agent.
pub const WAITS_FOR_AGENT: &str = "waits for agent";
/// A request that waits for something else.
pub const WAITS: &str = "waits";
/// An adapter that is paused.
pub const PAUSED: &str = "paused";
/// A revocation that the CA hasn't confirmed.
pub const NOT_CONFIRMED: &str = "not confirmed";
/// A revocation that the CA has refused.
pub const NOT_REVOKED: &str = "refused by CA";
/// A revocation that the CA has confirmed, and doesn't list.
pub const NOT_LISTED: &str = "not in the CRL";
/// A CRL that has ended.
pub const CRL_EXPIRED: &str = "CRL expired";
/// A CA that was accepted beside the one that was known.
pub const ANOTHER_CA: &str = "another CA";
/// Something that doesn't answer.
pub const NO_ANSWER: &str = "doesn't answer";
/// Something that answers, and doesn't do all that it should.
pub const DEGRADED: &str = "degraded";
/// A database host that is lost.
pub const LOST: &str = "lost";
/// A database host, or an answer, that can't be read.
pub const NOT_READ: &str = "not read";
/// A database that is empty.
pub const NO_TABLES: &str = "tables are gone";
/// A replica that is behind.
pub const BEHIND: &str = "behind";
/// Two hosts of the database that both take changes.
pub const TWO_PRIMARIES: &str = "two primaries";
/// The API on another host of the database than the primary.
pub const API_ELSEWHERE: &str = "API elsewhere";
/// A token that is refused.
pub const TOKEN_REFUSED: &str = "token refused";
/// A clock that is off.
pub const CLOCK_OFF: &str = "clock off";
/// No issuer or no scheduler is there.
pub const NOBODY_LOOKS: &str = "nobody looks";

/// An agent that is silent, with `n` certificates on it.
#[must_use]
pub fn silent(n: i64) -> String {
    match n {
        0 => "silent".to_owned(),
        1 => "silent, 1 cert".to_owned(),
        2..100 => format!("silent, {n} certs"),
        _ => format!("silent, {n}"),
    }
}

/// A banned agent, with `n` certificates on it.
#[must_use]
pub fn banned(n: i64) -> String {
    match n {
        0 => "banned".to_owned(),
        1 => "banned, 1 cert".to_owned(),
        2..100 => format!("banned, {n} certs"),
        _ => format!("banned, {n}"),
    }
}

/// Certificates of a leaked key, `n` of which their CA doesn't list.
#[must_use]
pub fn unrevoked(n: i64) -> String {
    match n {
        ..1000 => format!("{n} not revoked"),
        _ => format!("{n} unrevoked"),
    }
}

/// A sealed Vault that `n` requests wait for.
#[must_use]
pub fn sealed(n: i64) -> String {
    match n {
        0 => "sealed".to_owned(),
        1 => "sealed, 1 waits".to_owned(),
        2..1000 => format!("sealed, {n} wait"),
        _ => format!("sealed, {n}"),
    }
}

/// A key in `n` certificates.
#[must_use]
pub fn shared(n: i64) -> String {
    match n {
        ..100 => format!("key shared by {n}"),
        _ => format!("key in {n}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_fixed_fits_too() {
        for words in [
            REVOKED_SERVED,
            REVOKED_ON_DISK,
            REVOKING_SERVED,
            REVOKING_ON_DISK,
            CHAIN_INCOMPLETE,
        ] {
            assert!(words.chars().count() <= 16, "{words}");
        }
    }

    #[test]
    fn none_is_longer_than_its_column() {
        for n in [0, 1, 2, 99, 100, 999, 1000, 99_999] {
            for words in [silent(n), banned(n), sealed(n), shared(n), unrevoked(n)] {
                assert!(words.chars().count() <= 16, "{words}");
            }
        }
    }
}
