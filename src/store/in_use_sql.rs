//! The rule that says where a certificate is in use: where it is expected, and where an agent found it, served or on
//! disk. A server that was not reloaded has the old one, and clients see that.

/// The certificate `c` is in use at the installation `i`. Each term has an index of its own.
macro_rules! in_use {
    () => {
        "(i.certificate_id = c.id OR i.served_sha256 = c.fingerprint_sha256 \
          OR i.on_disk_sha256 = c.fingerprint_sha256)"
    };
}

/// Number of places for which a reissue of the certificate `c` would make a request: where it is expected, or belongs
/// since its installation failed, on an agent that isn't banned, without such a request under way.
macro_rules! reissuable {
    () => {
        "(SELECT COUNT(*) FROM installations i JOIN agents a ON a.id = i.agent_id \
           WHERE (i.certificate_id = c.id OR i.failed_certificate_id = c.id) AND a.status <> 'banned' \
           AND NOT EXISTS (SELECT 1 FROM issuance_requests r WHERE r.replaces = c.id \
             AND r.status IN ('pending', 'issuing') AND r.agent_id = i.agent_id AND r.install_path = i.path))"
    };
}

/// The ids of certificates in use on the agents `a` that fulfil what follows; the parenthesis that it opens is the
/// caller's to close.
macro_rules! of_agents {
    () => {
        "SELECT p.certificate_id FROM (SELECT i.agent_id, i.certificate_id FROM installations i \
           UNION ALL SELECT i.agent_id, f.id FROM installations i \
             JOIN certificates f ON f.fingerprint_sha256 = i.served_sha256 \
             WHERE i.served_sha256 <> i.expected_sha256 \
           UNION ALL SELECT i.agent_id, f.id FROM installations i \
             JOIN certificates f ON f.fingerprint_sha256 = i.on_disk_sha256 \
             WHERE i.on_disk_sha256 <> i.expected_sha256) p JOIN agents a ON a.id = p.agent_id WHERE "
    };
}

/// The agent with this id had tokens, and each was taken back, as after a ban: it can't check in until it enrols again.
/// An agent's tokens end in no other way. As a value it is looked up agent by agent: for EXISTS PostgreSQL may read all
/// tokens first.
macro_rules! has_no_token {
    ($agent:literal) => {
        concat!(
            "(COALESCE((SELECT MAX(CASE WHEN t.revoked_at IS NULL THEN 2 ELSE 1 END) FROM tokens t WHERE t.agent_id = ",
            $agent,
            " AND t.purpose = 'bearer'), 0) = 1)"
        )
    };
}

/// The ids of all those agents, for statements that go through many.
macro_rules! without_token {
    () => {
        "(SELECT t.agent_id FROM tokens t WHERE t.purpose = 'bearer' AND t.agent_id IS NOT NULL \
           AND t.revoked_at IS NOT NULL AND NOT EXISTS (SELECT 1 FROM tokens u WHERE u.agent_id = t.agent_id \
             AND u.purpose = 'bearer' AND u.revoked_at IS NULL))"
    };
}

pub(super) use {has_no_token, in_use, of_agents, reissuable, without_token};
