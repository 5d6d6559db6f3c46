-- The whole schema on SQLite. Times are RFC 3339 text in UTC, which sorts as time does; lists are JSON
-- text; ids are text. Names that the runbooks query are kept exact.

CREATE TABLE adapters (
    id            TEXT PRIMARY KEY NOT NULL,
    version       INTEGER NOT NULL DEFAULT 1,
    name          TEXT NOT NULL,
    kind          TEXT NOT NULL,
    config        TEXT NOT NULL,
    status        TEXT NOT NULL CONSTRAINT adapters_status_known CHECK (status IN ('active', 'paused')),
    paused_kind   TEXT CONSTRAINT adapters_paused_kind_known CHECK (paused_kind IN ('stopped', 'sealed', 'no_answer', 'unsigned', 'another_ca')),
    paused_reason TEXT,
    paused_at     TEXT,
    cas           TEXT NOT NULL DEFAULT '[]',
    strange_ca    TEXT,
    -- Since when its CA is known to publish a CRL.
    crl_seen_at   TEXT,
    -- When its last CRL that the issuer has read and verified ends.
    crl_ends_at   TEXT,
    created_at    TEXT NOT NULL,
    updated_at    TEXT NOT NULL,
    CONSTRAINT adapters_name_once UNIQUE (name)
);

CREATE TABLE agents (
    id                 TEXT PRIMARY KEY NOT NULL,
    version            INTEGER NOT NULL DEFAULT 1,
    hostname           TEXT NOT NULL,
    address            TEXT NOT NULL,
    tls_address        TEXT,
    install_dirs       TEXT NOT NULL,
    -- Layout of the files that servers read (`domain/layout.rs`), if it told.
    layout             TEXT CONSTRAINT agents_layout_known CHECK (layout IN ('full-chain', 'separate', 'combined')),
    agent_version      TEXT NOT NULL,
    owner              TEXT,
    status             TEXT NOT NULL CONSTRAINT agents_status_known CHECK (status IN ('active', 'banned')),
    last_checkin       TEXT,
    -- Where its last report came from: there, and nowhere else unless the configuration says so, it is woken.
    reported_from      TEXT,
    checkin_interval_s INTEGER NOT NULL CONSTRAINT agents_interval_positive CHECK (checkin_interval_s > 0),
    enrolled_at        TEXT NOT NULL,
    updated_at         TEXT NOT NULL,
    -- From then on it counts as silent (`domain/agent.rs`), each by its own interval.
    -- The fraction and what follows are kept as they are, so that it compares as any other time does.
    silent_at          TEXT NOT NULL GENERATED ALWAYS AS (strftime('%Y-%m-%dT%H:%M:%S',
                       substr(COALESCE(last_checkin, enrolled_at), 1, 19), '+' || (checkin_interval_s * 3) || ' seconds')
                       || substr(COALESCE(last_checkin, enrolled_at), 20)) STORED,
    -- Serials of the certificates that it proves itself with: the one that counts, and the one it was given next.
    identity_serial         TEXT,
    identity_not_after      TEXT,
    next_identity_serial    TEXT,
    next_identity_not_after TEXT,
    CONSTRAINT agents_identity_whole CHECK ((identity_serial IS NULL) = (identity_not_after IS NULL)),
    CONSTRAINT agents_next_identity_whole
        CHECK ((next_identity_serial IS NULL) = (next_identity_not_after IS NULL)),
    CONSTRAINT agents_hostname_once UNIQUE (hostname)
);
CREATE INDEX agents_by_last_checkin ON agents (COALESCE(last_checkin, '1970-01-01T00:00:00+00:00'), id);
CREATE INDEX agents_by_silent_at ON agents (silent_at, id);
CREATE INDEX agents_by_hostname ON agents (hostname, id);
CREATE INDEX agents_by_status ON agents (status, id);

-- Words that a list is searched by: the texts in lower case as they are, and once more with two spaces before each of their
-- parts, by which a word too short for a trigram of its own is found at a part's beginning. The trigrams' row numbers are
-- those of a table that has such numbers for good: a VACUUM would give others to the agents.
-- `letters` has a bit for each of the letters g to z that is in the words, so that letters in any distance are looked for
-- where all of them are. Those before g are in every serial.
CREATE TABLE agent_words (
    n     INTEGER PRIMARY KEY,
    id    TEXT NOT NULL UNIQUE REFERENCES agents (id) ON DELETE CASCADE,
    words TEXT NOT NULL,
    letters INTEGER NOT NULL GENERATED ALWAYS AS (((instr(words, 'g') > 0) << 0) | ((instr(words, 'h') > 0) << 1) | ((instr(words, 'i') > 0) << 2) | ((instr(words, 'j') > 0) << 3)
        | ((instr(words, 'k') > 0) << 4) | ((instr(words, 'l') > 0) << 5) | ((instr(words, 'm') > 0) << 6) | ((instr(words, 'n') > 0) << 7)
        | ((instr(words, 'o') > 0) << 8) | ((instr(words, 'p') > 0) << 9) | ((instr(words, 'q') > 0) << 10) | ((instr(words, 'r') > 0) << 11)
        | ((instr(words, 's') > 0) << 12) | ((instr(words, 't') > 0) << 13) | ((instr(words, 'u') > 0) << 14) | ((instr(words, 'v') > 0) << 15)
        | ((instr(words, 'w') > 0) << 16) | ((instr(words, 'x') > 0) << 17) | ((instr(words, 'y') > 0) << 18) | ((instr(words, 'z') > 0) << 19)) STORED
);
CREATE VIRTUAL TABLE agent_trigrams USING fts5 (words, content = 'agent_words', content_rowid = 'n', tokenize = 'trigram');
CREATE TRIGGER agent_words_insert AFTER INSERT ON agents BEGIN
    INSERT INTO agent_words (id, words) VALUES (NEW.id, lower('  ' || NEW.hostname || '  ' || NEW.address || '  ' || COALESCE(NEW.tls_address, '') || '  ' || COALESCE(NEW.owner, '') || '  '
    || replace(replace(replace(replace(replace(replace(replace(replace(NEW.hostname || '  ' || NEW.address || '  ' || COALESCE(NEW.tls_address, '') || '  ' || COALESCE(NEW.owner, ''), ' ', '  '), '.', '  '), '-', '  '), '=', '  '), '"', '  '), '@', '  '), '/', '  '), ':', '  ')));
END;
CREATE TRIGGER agent_words_update AFTER UPDATE OF hostname, address, tls_address, owner ON agents BEGIN
    UPDATE agent_words SET words = lower('  ' || NEW.hostname || '  ' || NEW.address || '  ' || COALESCE(NEW.tls_address, '') || '  ' || COALESCE(NEW.owner, '') || '  '
    || replace(replace(replace(replace(replace(replace(replace(replace(NEW.hostname || '  ' || NEW.address || '  ' || COALESCE(NEW.tls_address, '') || '  ' || COALESCE(NEW.owner, ''), ' ', '  '), '.', '  '), '-', '  '), '=', '  '), '"', '  '), '@', '  '), '/', '  '), ':', '  ')) WHERE id = NEW.id;
END;
CREATE TRIGGER agent_trigrams_insert AFTER INSERT ON agent_words BEGIN
    INSERT INTO agent_trigrams (rowid, words) VALUES (NEW.n, NEW.words);
END;
CREATE TRIGGER agent_trigrams_update AFTER UPDATE OF words ON agent_words WHEN NEW.words <> OLD.words BEGIN
    INSERT INTO agent_trigrams (agent_trigrams, rowid, words) VALUES ('delete', OLD.n, OLD.words);
    INSERT INTO agent_trigrams (rowid, words) VALUES (NEW.n, NEW.words);
END;
CREATE TRIGGER agent_trigrams_delete AFTER DELETE ON agent_words BEGIN
    INSERT INTO agent_trigrams (agent_trigrams, rowid, words) VALUES ('delete', OLD.n, OLD.words);
END;

CREATE TABLE keys (
    spki_sha256    TEXT PRIMARY KEY NOT NULL,
    version        INTEGER NOT NULL DEFAULT 1,
    algorithm      TEXT NOT NULL,
    status         TEXT NOT NULL CONSTRAINT keys_status_known CHECK (status IN ('active', 'compromised', 'retired')),
    created_at     TEXT NOT NULL,
    compromised_at TEXT,
    CONSTRAINT keys_compromised_has_time CHECK ((status = 'compromised') = (compromised_at IS NOT NULL))
);
CREATE INDEX keys_by_created_at ON keys (created_at, spki_sha256);
CREATE INDEX keys_by_status ON keys (status, spki_sha256);
CREATE INDEX keys_by_algorithm ON keys (algorithm, spki_sha256);

-- A key may be on several hosts. Of what agents say only keys that the inventory knows are kept. What an agent only says
-- gives it nothing: it counts as a holder from `proven_at` on, when it signed something of its own with the key.
CREATE TABLE key_holders (
    agent_id    TEXT NOT NULL REFERENCES agents (id),
    spki_sha256 TEXT NOT NULL,
    since       TEXT NOT NULL,
    proven_at   TEXT,
    PRIMARY KEY (agent_id, spki_sha256)
);
CREATE INDEX key_holders_by_key ON key_holders (spki_sha256, agent_id);

CREATE TABLE certificates (
    id                     TEXT PRIMARY KEY NOT NULL,
    version                INTEGER NOT NULL DEFAULT 1,
    subject                TEXT NOT NULL,
    sans                   TEXT NOT NULL,
    issuer                 TEXT NOT NULL,
    serial                 TEXT NOT NULL,
    fingerprint_sha256     TEXT NOT NULL,
    -- For people who come with a thumbprint; nothing is decided by it.
    fingerprint_sha1       TEXT NOT NULL DEFAULT '',
    spki_sha256            TEXT NOT NULL REFERENCES keys (spki_sha256),
    key_algorithm          TEXT NOT NULL,
    not_before             TEXT NOT NULL,
    not_after              TEXT NOT NULL,
    status                 TEXT NOT NULL CONSTRAINT certificates_status_known
                           CHECK (status IN ('active', 'revocation_pending', 'revoked', 'held')),
    revocation_reason      TEXT,
    revocation_asked_at    TEXT,
    revocation_accepted_at TEXT,
    -- By when the serial is in the CA's CRL, and when the CA is asked once more if it isn't.
    in_crl_by              TEXT,
    revoke_again_at        TEXT,
    in_crl_at              TEXT,
    -- When it was seen in a CRL that a later one, this, doesn't bear out.
    was_in_crl_at          TEXT,
    left_crl               TEXT,
    -- The CA accepted the revocation and publishes no CRL for it: its yes is the end.
    without_crl_at         TEXT,
    adapter_id             TEXT REFERENCES adapters (id),
    request_id             TEXT REFERENCES issuance_requests (id),
    replaces               TEXT REFERENCES certificates (id),
    replaced_by            TEXT REFERENCES certificates (id),
    -- When the CA suggests to renew it (ARI), as far as it was asked, and when to ask again.
    renewal_window_start   TEXT,
    renewal_window_end     TEXT,
    -- When the window was to begin before the CA moved it earlier.
    renewal_moved_from     TEXT,
    renewal_explanation_url TEXT,
    renewal_asked_at       TEXT,
    renewal_ask_at         TEXT,
    pem                    TEXT NOT NULL,
    chain_pem              TEXT NOT NULL,
    created_at             TEXT NOT NULL,
    updated_at             TEXT NOT NULL,
    CONSTRAINT certificates_serial_once UNIQUE (issuer, serial),
    CONSTRAINT certificates_fingerprint_once UNIQUE (fingerprint_sha256),
    CONSTRAINT certificates_request_once UNIQUE (request_id),
    CONSTRAINT certificates_revocation_has_reason
        CHECK ((status = 'active') = (revocation_reason IS NULL)),
    CONSTRAINT certificates_revocation_has_time
        CHECK ((revocation_reason IS NULL) = (revocation_asked_at IS NULL)),
    CONSTRAINT certificates_renewal_window_is_whole
        CHECK ((renewal_window_start IS NULL) = (renewal_window_end IS NULL)
           AND (renewal_window_start IS NULL) = (renewal_asked_at IS NULL))
);
-- With the status behind the key, counting what expires reads the index only.
CREATE INDEX certificates_by_not_after ON certificates (not_after, id, status);
CREATE INDEX certificates_by_subject ON certificates (subject, id);
CREATE INDEX certificates_by_status_not_after ON certificates (status, not_after, id);
CREATE INDEX certificates_by_created_at ON certificates (created_at, id);
CREATE INDEX certificates_by_spki ON certificates (spki_sha256, status, not_after);
CREATE INDEX certificates_by_replaces ON certificates (replaces);
CREATE INDEX certificates_by_serial ON certificates (serial);
CREATE INDEX certificates_by_sha1 ON certificates (fingerprint_sha1);
CREATE INDEX certificates_by_key_algorithm ON certificates (key_algorithm, id);
CREATE INDEX certificates_by_issuer ON certificates (issuer, id);
CREATE INDEX certificates_by_renewal_window ON certificates (renewal_window_start)
    WHERE renewal_window_start IS NOT NULL;
-- Revocations that a CA accepted and that no CRL was seen to hold.
CREATE INDEX certificates_not_in_crl ON certificates (adapter_id, in_crl_by, id)
    WHERE status = 'revoked' AND in_crl_at IS NULL AND without_crl_at IS NULL;
-- Those that one was seen to hold, and that are looked for in each newer one.
CREATE INDEX certificates_in_crl ON certificates (adapter_id, id) WHERE status = 'revoked' AND in_crl_at IS NOT NULL;
CREATE INDEX certificates_by_renewal_ask ON certificates (adapter_id, renewal_ask_at, id) WHERE status = 'active';

-- Names and serials; a serial without colons, so that a part of it is a word in any notation.
CREATE TABLE certificate_words (
    n     INTEGER PRIMARY KEY,
    id    TEXT NOT NULL UNIQUE REFERENCES certificates (id) ON DELETE CASCADE,
    words TEXT NOT NULL,
    letters INTEGER NOT NULL GENERATED ALWAYS AS (((instr(words, 'g') > 0) << 0) | ((instr(words, 'h') > 0) << 1) | ((instr(words, 'i') > 0) << 2) | ((instr(words, 'j') > 0) << 3)
        | ((instr(words, 'k') > 0) << 4) | ((instr(words, 'l') > 0) << 5) | ((instr(words, 'm') > 0) << 6) | ((instr(words, 'n') > 0) << 7)
        | ((instr(words, 'o') > 0) << 8) | ((instr(words, 'p') > 0) << 9) | ((instr(words, 'q') > 0) << 10) | ((instr(words, 'r') > 0) << 11)
        | ((instr(words, 's') > 0) << 12) | ((instr(words, 't') > 0) << 13) | ((instr(words, 'u') > 0) << 14) | ((instr(words, 'v') > 0) << 15)
        | ((instr(words, 'w') > 0) << 16) | ((instr(words, 'x') > 0) << 17) | ((instr(words, 'y') > 0) << 18) | ((instr(words, 'z') > 0) << 19)) STORED
);
CREATE VIRTUAL TABLE certificate_trigrams USING fts5 (words, content = 'certificate_words', content_rowid = 'n', tokenize = 'trigram');
CREATE TRIGGER certificate_words_insert AFTER INSERT ON certificates BEGIN
    INSERT INTO certificate_words (id, words) VALUES (NEW.id, lower('  ' || NEW.subject || '  ' || NEW.sans || '  ' || replace(NEW.serial, ':', '') || '  '
    || replace(replace(replace(replace(replace(replace(replace(replace(NEW.subject || '  ' || NEW.sans || '  ' || replace(NEW.serial, ':', ''), ' ', '  '), '.', '  '), '-', '  '), '=', '  '), '"', '  '), '@', '  '), '/', '  '), ':', '  ')));
END;
CREATE TRIGGER certificate_words_update AFTER UPDATE OF subject, sans, serial ON certificates BEGIN
    UPDATE certificate_words SET words = lower('  ' || NEW.subject || '  ' || NEW.sans || '  ' || replace(NEW.serial, ':', '') || '  '
    || replace(replace(replace(replace(replace(replace(replace(replace(NEW.subject || '  ' || NEW.sans || '  ' || replace(NEW.serial, ':', ''), ' ', '  '), '.', '  '), '-', '  '), '=', '  '), '"', '  '), '@', '  '), '/', '  '), ':', '  ')) WHERE id = NEW.id;
END;
CREATE TRIGGER certificate_trigrams_insert AFTER INSERT ON certificate_words BEGIN
    INSERT INTO certificate_trigrams (rowid, words) VALUES (NEW.n, NEW.words);
END;
CREATE TRIGGER certificate_trigrams_update AFTER UPDATE OF words ON certificate_words WHEN NEW.words <> OLD.words BEGIN
    INSERT INTO certificate_trigrams (certificate_trigrams, rowid, words) VALUES ('delete', OLD.n, OLD.words);
    INSERT INTO certificate_trigrams (rowid, words) VALUES (NEW.n, NEW.words);
END;
CREATE TRIGGER certificate_trigrams_delete AFTER DELETE ON certificate_words BEGIN
    INSERT INTO certificate_trigrams (certificate_trigrams, rowid, words) VALUES ('delete', OLD.n, OLD.words);
END;

CREATE TRIGGER certificates_revoked_is_final BEFORE UPDATE OF status ON certificates
WHEN OLD.status = 'revoked' AND NEW.status <> 'revoked'
BEGIN SELECT RAISE(ABORT, 'certificates_revoked_is_final'); END;

CREATE TABLE installations (
    id                      TEXT PRIMARY KEY NOT NULL,
    version                 INTEGER NOT NULL DEFAULT 1,
    agent_id                TEXT NOT NULL REFERENCES agents (id),
    path                    TEXT NOT NULL,
    certificate_id          TEXT NOT NULL REFERENCES certificates (id),
    expected_sha256         TEXT NOT NULL,
    previous_certificate_id TEXT REFERENCES certificates (id),
    on_disk_sha256          TEXT,
    served_sha256           TEXT,
    chain_missing           TEXT,
    install_error           TEXT,
    failed_certificate_id   TEXT REFERENCES certificates (id),
    failed_error            TEXT,
    report_error            TEXT,
    checked_at              TEXT,
    created_at              TEXT NOT NULL,
    updated_at              TEXT NOT NULL,
    -- Since when it isn't as expected there; kept by the triggers below.
    differs_since           TEXT,
    -- The first installation at this place failed: nothing is, or ever was, there.
    never_there             BOOLEAN NOT NULL GENERATED ALWAYS AS (install_error IS NOT NULL
        AND previous_certificate_id IS NULL AND on_disk_sha256 IS NULL AND served_sha256 IS NULL) STORED,
    CONSTRAINT installations_path_once UNIQUE (agent_id, path)
);
-- What differs may change from look to look, as the number of the handshakes that showed it: the time stays, until all
-- is as expected or something else is expected.
CREATE TRIGGER installations_differ_at_first AFTER INSERT ON installations
BEGIN
    UPDATE installations SET differs_since = CASE
        WHEN NEW.on_disk_sha256 = NEW.expected_sha256
            AND (NEW.served_sha256 = NEW.expected_sha256 OR NEW.served_sha256 IS NULL
                AND (SELECT a.tls_address IS NULL FROM agents a WHERE a.id = NEW.agent_id))
            AND NEW.chain_missing IS NULL AND NEW.install_error IS NULL AND NEW.report_error IS NULL
            AND NEW.failed_certificate_id IS NULL THEN NULL
        ELSE NEW.updated_at END
    WHERE id = NEW.id;
END;
CREATE TRIGGER installations_differ AFTER UPDATE OF expected_sha256, on_disk_sha256, served_sha256,
    chain_missing, install_error, report_error, failed_certificate_id ON installations
BEGIN
    UPDATE installations SET differs_since = CASE
        WHEN NEW.on_disk_sha256 = NEW.expected_sha256
            AND (NEW.served_sha256 = NEW.expected_sha256 OR NEW.served_sha256 IS NULL
                AND (SELECT a.tls_address IS NULL FROM agents a WHERE a.id = NEW.agent_id))
            AND NEW.chain_missing IS NULL AND NEW.install_error IS NULL AND NEW.report_error IS NULL
            AND NEW.failed_certificate_id IS NULL THEN NULL
        WHEN OLD.differs_since IS NULL OR OLD.expected_sha256 <> NEW.expected_sha256 THEN NEW.updated_at
        ELSE OLD.differs_since END
    WHERE id = NEW.id;
END;
CREATE INDEX installations_by_certificate ON installations (certificate_id);
CREATE INDEX installations_by_served ON installations (served_sha256);
CREATE INDEX installations_by_on_disk ON installations (on_disk_sha256);
CREATE INDEX installations_served_other ON installations (served_sha256) WHERE served_sha256 <> expected_sha256;
CREATE INDEX installations_on_disk_other ON installations (on_disk_sha256) WHERE on_disk_sha256 <> expected_sha256;
-- Places that findings look into.
CREATE INDEX installations_at_odds ON installations (id)
    WHERE on_disk_sha256 IS NULL OR on_disk_sha256 <> expected_sha256 OR served_sha256 <> expected_sha256;
CREATE INDEX installations_in_doubt ON installations (id)
    WHERE served_sha256 IS NULL OR install_error IS NOT NULL OR failed_certificate_id IS NOT NULL
       OR chain_missing IS NOT NULL;
CREATE INDEX installations_by_failed ON installations (failed_certificate_id) WHERE failed_certificate_id IS NOT NULL;

-- State of a certificate in the inventory, as lists, counts and findings ask for it: in use where, replaced, its key
-- leaked. Worked out of other tables it would be asked for row by row, so it is kept, by the triggers below.
CREATE TABLE certificate_states (
    id                 TEXT PRIMARY KEY NOT NULL REFERENCES certificates (id) ON DELETE CASCADE,
    not_after          TEXT NOT NULL,
    status             TEXT NOT NULL,
    -- Installations that expect it, and the first by name of the hosts and of the owners where it is in use; none is the
    -- empty text. A place where nothing ever was counts, and gives its host, only if there is no other.
    n_installations    INTEGER NOT NULL,
    host               TEXT NOT NULL,
    owner              TEXT NOT NULL,
    -- A newer one took its place, and it is in use nowhere.
    is_replaced        BOOLEAN NOT NULL,
    is_key_compromised BOOLEAN NOT NULL
);
CREATE INDEX certificate_states_by_not_after
    ON certificate_states (not_after, id, status, is_replaced, is_key_compromised);
-- All but those that are shown as replaced.
CREATE INDEX certificate_states_that_matter
    ON certificate_states (not_after, id, status, is_replaced, is_key_compromised)
    WHERE NOT is_replaced OR status <> 'active' OR is_key_compromised;
CREATE INDEX certificate_states_by_status ON certificate_states (status, not_after, id, is_replaced, is_key_compromised);
CREATE INDEX certificate_states_in_order_of_status ON certificate_states (status, id);
CREATE INDEX certificate_states_by_host ON certificate_states (host, id);
CREATE INDEX certificate_states_by_owner ON certificate_states (owner, id);
CREATE INDEX certificate_states_by_installations ON certificate_states (n_installations, id);
CREATE INDEX certificate_states_of_leaked_keys ON certificate_states (not_after, id) WHERE is_key_compromised;

-- The states as they have to be. CROSS JOIN: the few places first.
CREATE VIEW certificate_states_due AS
SELECT c.id, c.not_after, c.status,
       (SELECT COALESCE(NULLIF(COUNT(*) FILTER (WHERE NOT i.never_there), 0), COUNT(*))
         FROM installations i WHERE i.certificate_id = c.id) AS n_installations,
       COALESCE((SELECT COALESCE(MIN(a.hostname) FILTER (WHERE NOT i.never_there), MIN(a.hostname))
         FROM installations i CROSS JOIN agents a ON a.id = i.agent_id
         WHERE i.certificate_id = c.id OR i.served_sha256 = c.fingerprint_sha256
            OR i.on_disk_sha256 = c.fingerprint_sha256), '') AS host,
       COALESCE((SELECT MIN(a.owner) FROM installations i CROSS JOIN agents a ON a.id = i.agent_id
         WHERE i.certificate_id = c.id OR i.served_sha256 = c.fingerprint_sha256
            OR i.on_disk_sha256 = c.fingerprint_sha256), '') AS owner,
       c.replaced_by IS NOT NULL AND NOT EXISTS (SELECT 1 FROM installations i
         WHERE i.certificate_id = c.id OR i.served_sha256 = c.fingerprint_sha256
            OR i.on_disk_sha256 = c.fingerprint_sha256) AS is_replaced,
       EXISTS (SELECT 1 FROM keys k WHERE k.spki_sha256 = c.spki_sha256 AND k.status = 'compromised') AS is_key_compromised
FROM certificates c;

CREATE TRIGGER certificate_states_insert AFTER INSERT ON certificates
BEGIN
    INSERT INTO certificate_states (id, not_after, status, n_installations, host, owner, is_replaced, is_key_compromised)
        VALUES (NEW.id, NEW.not_after, NEW.status, 0, '', '', FALSE, FALSE);
    UPDATE certificate_states SET (status, n_installations, host, owner, is_replaced, is_key_compromised)
        = (SELECT d.status, d.n_installations, d.host, d.owner, d.is_replaced, d.is_key_compromised
           FROM certificate_states_due d WHERE d.id = certificate_states.id)
        WHERE id IN (NEW.id);
END;
CREATE TRIGGER certificate_states_replaced AFTER UPDATE OF replaced_by ON certificates
WHEN OLD.replaced_by IS NOT NEW.replaced_by
BEGIN
    UPDATE certificate_states SET (status, n_installations, host, owner, is_replaced, is_key_compromised)
        = (SELECT d.status, d.n_installations, d.host, d.owner, d.is_replaced, d.is_key_compromised
           FROM certificate_states_due d WHERE d.id = certificate_states.id)
        WHERE id IN (NEW.id);
END;
CREATE TRIGGER certificate_states_status AFTER UPDATE OF status ON certificates WHEN OLD.status <> NEW.status
BEGIN
    UPDATE certificate_states SET status = NEW.status WHERE id = NEW.id;
END;
CREATE TRIGGER certificate_states_placed AFTER INSERT ON installations
BEGIN
    UPDATE certificate_states SET (status, n_installations, host, owner, is_replaced, is_key_compromised)
        = (SELECT d.status, d.n_installations, d.host, d.owner, d.is_replaced, d.is_key_compromised
           FROM certificate_states_due d WHERE d.id = certificate_states.id)
        WHERE id IN (NEW.certificate_id)
        OR id IN (SELECT c.id FROM certificates c WHERE c.fingerprint_sha256 IN (NEW.served_sha256, NEW.on_disk_sha256));
END;
CREATE TRIGGER certificate_states_taken_down AFTER DELETE ON installations
BEGIN
    UPDATE certificate_states SET (status, n_installations, host, owner, is_replaced, is_key_compromised)
        = (SELECT d.status, d.n_installations, d.host, d.owner, d.is_replaced, d.is_key_compromised
           FROM certificate_states_due d WHERE d.id = certificate_states.id)
        WHERE id IN (OLD.certificate_id)
        OR id IN (SELECT c.id FROM certificates c WHERE c.fingerprint_sha256 IN (OLD.served_sha256, OLD.on_disk_sha256));
END;
CREATE TRIGGER certificate_states_moved AFTER UPDATE OF certificate_id, served_sha256, on_disk_sha256, install_error,
    previous_certificate_id ON installations
WHEN OLD.certificate_id <> NEW.certificate_id OR OLD.never_there <> NEW.never_there
    OR OLD.served_sha256 IS NOT NEW.served_sha256
    OR OLD.on_disk_sha256 IS NOT NEW.on_disk_sha256
BEGIN
    UPDATE certificate_states SET (status, n_installations, host, owner, is_replaced, is_key_compromised)
        = (SELECT d.status, d.n_installations, d.host, d.owner, d.is_replaced, d.is_key_compromised
           FROM certificate_states_due d WHERE d.id = certificate_states.id)
        WHERE id IN (OLD.certificate_id, NEW.certificate_id)
        OR id IN (SELECT c.id FROM certificates c WHERE c.fingerprint_sha256 IN (OLD.served_sha256, OLD.on_disk_sha256, NEW.served_sha256, NEW.on_disk_sha256));
END;
CREATE TRIGGER certificate_states_renamed AFTER UPDATE OF hostname, owner ON agents
WHEN OLD.hostname <> NEW.hostname OR OLD.owner IS NOT NEW.owner
BEGIN
    UPDATE certificate_states SET (status, n_installations, host, owner, is_replaced, is_key_compromised)
        = (SELECT d.status, d.n_installations, d.host, d.owner, d.is_replaced, d.is_key_compromised
           FROM certificate_states_due d WHERE d.id = certificate_states.id)
        WHERE id IN (SELECT i.certificate_id FROM installations i WHERE i.agent_id = NEW.id
        UNION SELECT c.id FROM installations i JOIN certificates c ON c.fingerprint_sha256 = i.served_sha256
            WHERE i.agent_id = NEW.id
        UNION SELECT c.id FROM installations i JOIN certificates c ON c.fingerprint_sha256 = i.on_disk_sha256
            WHERE i.agent_id = NEW.id);
END;
CREATE TRIGGER certificate_states_leaked AFTER UPDATE OF status ON keys WHEN OLD.status <> NEW.status
BEGIN
    UPDATE certificate_states SET (status, n_installations, host, owner, is_replaced, is_key_compromised)
        = (SELECT d.status, d.n_installations, d.host, d.owner, d.is_replaced, d.is_key_compromised
           FROM certificate_states_due d WHERE d.id = certificate_states.id)
        WHERE id IN (SELECT c.id FROM certificates c WHERE c.spki_sha256 = NEW.spki_sha256);
END;

CREATE TABLE issuance_requests (
    id              TEXT PRIMARY KEY NOT NULL,
    version         INTEGER NOT NULL DEFAULT 1,
    common_name     TEXT NOT NULL,
    sans            TEXT NOT NULL,
    key_algorithm   TEXT NOT NULL,
    adapter_id      TEXT NOT NULL REFERENCES adapters (id),
    agent_id        TEXT REFERENCES agents (id),
    install_path    TEXT,
    replaces        TEXT REFERENCES certificates (id),
    certificate_id  TEXT REFERENCES certificates (id),
    spki_sha256     TEXT,
    csr_pem         TEXT,
    status          TEXT NOT NULL CONSTRAINT requests_status_known
                    CHECK (status IN ('pending', 'issuing', 'issued', 'failed', 'denied', 'cancelled')),
    waiting_on      TEXT CONSTRAINT requests_waiting_on_known CHECK (waiting_on IN ('approval', 'key', 'ca', 'challenge')),
    attempt         INTEGER NOT NULL DEFAULT 0,
    error_message   TEXT,
    next_attempt_at TEXT,
    -- When the CA was first asked for this CSR: from then on it may have signed.
    asked_ca_at     TEXT,
    -- Finds the order again at a CA that signs in steps; there before it may sign.
    ca_order        TEXT,
    claimed_by      TEXT,
    lease_until     TEXT,
    requested_by    TEXT NOT NULL,
    created_at      TEXT NOT NULL,
    updated_at      TEXT NOT NULL,
    CONSTRAINT requests_pending_waits CHECK ((status = 'pending') = (waiting_on IS NOT NULL)),
    CONSTRAINT requests_issued_has_certificate CHECK (status <> 'issued' OR certificate_id IS NOT NULL)
);
CREATE INDEX issuance_requests_by_status ON issuance_requests (status, waiting_on, id);
CREATE INDEX issuance_requests_by_created_at ON issuance_requests (created_at, id);
CREATE INDEX issuance_requests_by_common_name ON issuance_requests (common_name, id);
CREATE INDEX issuance_requests_by_replaces ON issuance_requests (replaces);
CREATE INDEX issuance_requests_by_certificate ON issuance_requests (certificate_id);
CREATE INDEX issuance_requests_by_agent ON issuance_requests (agent_id, id);
-- Two CSRs with one key would put one key in two certificates.
CREATE UNIQUE INDEX issuance_requests_key_once ON issuance_requests (spki_sha256)
    WHERE spki_sha256 IS NOT NULL AND status IN ('pending', 'issuing', 'issued');

CREATE TABLE request_words (
    n     INTEGER PRIMARY KEY,
    id    TEXT NOT NULL UNIQUE REFERENCES issuance_requests (id) ON DELETE CASCADE,
    words TEXT NOT NULL,
    letters INTEGER NOT NULL GENERATED ALWAYS AS (((instr(words, 'g') > 0) << 0) | ((instr(words, 'h') > 0) << 1) | ((instr(words, 'i') > 0) << 2) | ((instr(words, 'j') > 0) << 3)
        | ((instr(words, 'k') > 0) << 4) | ((instr(words, 'l') > 0) << 5) | ((instr(words, 'm') > 0) << 6) | ((instr(words, 'n') > 0) << 7)
        | ((instr(words, 'o') > 0) << 8) | ((instr(words, 'p') > 0) << 9) | ((instr(words, 'q') > 0) << 10) | ((instr(words, 'r') > 0) << 11)
        | ((instr(words, 's') > 0) << 12) | ((instr(words, 't') > 0) << 13) | ((instr(words, 'u') > 0) << 14) | ((instr(words, 'v') > 0) << 15)
        | ((instr(words, 'w') > 0) << 16) | ((instr(words, 'x') > 0) << 17) | ((instr(words, 'y') > 0) << 18) | ((instr(words, 'z') > 0) << 19)) STORED
);
CREATE VIRTUAL TABLE request_trigrams USING fts5 (words, content = 'request_words', content_rowid = 'n', tokenize = 'trigram');
CREATE TRIGGER request_words_insert AFTER INSERT ON issuance_requests BEGIN
    INSERT INTO request_words (id, words) VALUES (NEW.id, lower('  ' || NEW.common_name || '  ' || NEW.sans || '  ' || COALESCE(NEW.error_message, '') || '  '
    || replace(replace(replace(replace(replace(replace(replace(replace(NEW.common_name || '  ' || NEW.sans || '  ' || COALESCE(NEW.error_message, ''), ' ', '  '), '.', '  '), '-', '  '), '=', '  '), '"', '  '), '@', '  '), '/', '  '), ':', '  ')));
END;
CREATE TRIGGER request_words_update AFTER UPDATE OF common_name, sans, error_message ON issuance_requests BEGIN
    UPDATE request_words SET words = lower('  ' || NEW.common_name || '  ' || NEW.sans || '  ' || COALESCE(NEW.error_message, '') || '  '
    || replace(replace(replace(replace(replace(replace(replace(replace(NEW.common_name || '  ' || NEW.sans || '  ' || COALESCE(NEW.error_message, ''), ' ', '  '), '.', '  '), '-', '  '), '=', '  '), '"', '  '), '@', '  '), '/', '  '), ':', '  ')) WHERE id = NEW.id;
END;
CREATE TRIGGER request_trigrams_insert AFTER INSERT ON request_words BEGIN
    INSERT INTO request_trigrams (rowid, words) VALUES (NEW.n, NEW.words);
END;
CREATE TRIGGER request_trigrams_update AFTER UPDATE OF words ON request_words WHEN NEW.words <> OLD.words BEGIN
    INSERT INTO request_trigrams (request_trigrams, rowid, words) VALUES ('delete', OLD.n, OLD.words);
    INSERT INTO request_trigrams (rowid, words) VALUES (NEW.n, NEW.words);
END;
CREATE TRIGGER request_trigrams_delete AFTER DELETE ON request_words BEGIN
    INSERT INTO request_trigrams (request_trigrams, rowid, words) VALUES ('delete', OLD.n, OLD.words);
END;

CREATE TRIGGER issuance_requests_end_is_final BEFORE UPDATE OF status ON issuance_requests
WHEN OLD.status IN ('issued', 'denied', 'cancelled') AND NEW.status <> OLD.status
BEGIN SELECT RAISE(ABORT, 'issuance_requests_end_is_final'); END;

CREATE TABLE jobs (
    id              TEXT PRIMARY KEY NOT NULL,
    kind            TEXT NOT NULL CONSTRAINT jobs_kind_known CHECK (kind IN ('make_key', 'challenge', 'install', 'revoke')),
    status          TEXT NOT NULL CONSTRAINT jobs_status_known CHECK (status IN ('queued', 'done', 'failed')),
    agent_id        TEXT REFERENCES agents (id),
    request_id      TEXT REFERENCES issuance_requests (id),
    certificate_id  TEXT REFERENCES certificates (id),
    installation_id TEXT REFERENCES installations (id),
    work            TEXT,
    attempt         INTEGER NOT NULL DEFAULT 0,
    error_message   TEXT,
    next_attempt_at TEXT,
    claimed_by      TEXT,
    lease_until     TEXT,
    result          TEXT,
    created_at      TEXT NOT NULL,
    ended_at        TEXT,
    CONSTRAINT jobs_ended_has_time CHECK ((status = 'queued') = (ended_at IS NULL))
);
-- The queues, of the agents and of the issuer. Each is only for who names it: a search by certificate or by request that
-- could use one would read all of it, where it was empty when PostgreSQL last looked.
CREATE INDEX jobs_queued_by_agent ON jobs (agent_id, id) WHERE status = 'queued' AND agent_id IS NOT NULL;
CREATE INDEX jobs_queued_for_issuer ON jobs (id) WHERE status = 'queued' AND agent_id IS NULL;
CREATE INDEX jobs_by_request ON jobs (request_id);
CREATE INDEX jobs_by_installation ON jobs (installation_id, status);
CREATE INDEX jobs_by_certificate ON jobs (certificate_id, status);

-- Only the SHA-256 of a token is kept.
CREATE TABLE tokens (
    id         TEXT PRIMARY KEY NOT NULL,
    name       TEXT NOT NULL,
    purpose    TEXT NOT NULL CONSTRAINT tokens_purpose_known CHECK (purpose IN ('bearer', 'enrol')),
    role       TEXT NOT NULL CONSTRAINT tokens_role_known CHECK (role IN ('agent', 'viewer', 'operator', 'admin')),
    hash       TEXT NOT NULL,
    agent_id   TEXT REFERENCES agents (id),
    -- The token that it was made with.
    parent     TEXT REFERENCES tokens (id),
    -- The name as somebody sees it who reads fast.
    looks_like TEXT NOT NULL,
    expires_at TEXT,
    spent_at   TEXT,
    revoked_at TEXT,
    created_at TEXT NOT NULL,
    CONSTRAINT tokens_hash_once UNIQUE (hash)
);
CREATE INDEX tokens_by_agent ON tokens (agent_id);
CREATE INDEX tokens_by_parent ON tokens (parent);
CREATE INDEX tokens_by_looks_like ON tokens (looks_like);

CREATE TABLE idempotency (
    caller       TEXT NOT NULL,
    key          TEXT NOT NULL,
    request_hash TEXT NOT NULL,
    status       INTEGER NOT NULL,
    body         TEXT NOT NULL,
    created_at   TEXT NOT NULL,
    CONSTRAINT idempotency_once PRIMARY KEY (caller, key)
);
CREATE INDEX idempotency_by_created_at ON idempotency (created_at);

-- The issuers whose clocks are off; `seen_at` is by the database's.
CREATE TABLE clocks_off (
    issuer   TEXT PRIMARY KEY NOT NULL,
    ahead_ms INTEGER NOT NULL,
    seen_at  TEXT NOT NULL
);

-- Issuers and schedulers as they were last seen at work; `seen_at` is by the database's clock.
CREATE TABLE workers (
    duty    TEXT NOT NULL CONSTRAINT workers_duty_known CHECK (duty IN ('issuer', 'scheduler')),
    name    TEXT NOT NULL,
    version TEXT NOT NULL,
    seen_at TEXT NOT NULL,
    PRIMARY KEY (duty, name)
);

CREATE TABLE runs (
    id          TEXT PRIMARY KEY NOT NULL,
    action      TEXT NOT NULL,
    entity_type TEXT NOT NULL,
    entity_ids  TEXT NOT NULL,
    comment     TEXT,
    ticket      TEXT,
    plan        TEXT NOT NULL,
    digest      TEXT NOT NULL,
    actor       TEXT NOT NULL,
    -- The token that began it: with no other one are its steps and its end written.
    begun_with  TEXT NOT NULL REFERENCES tokens (id),
    outcome     TEXT NOT NULL CONSTRAINT runs_outcome_known
                CHECK (outcome IN ('asked', 'done', 'refused', 'failed', 'unknown')),
    note        TEXT,
    started_at  TEXT NOT NULL,
    ended_at    TEXT
);
CREATE INDEX runs_by_started_at ON runs (started_at, id);

CREATE TABLE run_steps (
    run_id     TEXT NOT NULL REFERENCES runs (id),
    idx        INTEGER NOT NULL CONSTRAINT run_steps_index_from_zero CHECK (idx >= 0),
    name       TEXT NOT NULL,
    status     TEXT NOT NULL CONSTRAINT run_steps_status_known
               CHECK (status IN ('running', 'proven', 'waiting', 'refused', 'failed', 'unknown')),
    note       TEXT,
    started_at TEXT NOT NULL,
    ended_at   TEXT,
    PRIMARY KEY (run_id, idx)
);

CREATE TABLE audit_logs (
    seq         INTEGER PRIMARY KEY NOT NULL,
    timestamp   TEXT NOT NULL,
    actor       TEXT NOT NULL,
    action      TEXT NOT NULL,
    entity_type TEXT NOT NULL,
    entity_id   TEXT NOT NULL,
    outcome     TEXT NOT NULL CONSTRAINT audit_logs_outcome_known
                CHECK (outcome IN ('asked', 'done', 'refused', 'failed', 'unknown')),
    reason      TEXT,
    ticket      TEXT,
    run_id      TEXT,
    source      TEXT NOT NULL,
    detail      TEXT,
    prev_hash   TEXT NOT NULL,
    hash        TEXT NOT NULL,
    CONSTRAINT audit_logs_prev_hash_once UNIQUE (prev_hash)
);
CREATE INDEX audit_logs_by_timestamp ON audit_logs (timestamp);
CREATE INDEX audit_logs_by_entity ON audit_logs (entity_type, entity_id, seq);
CREATE INDEX audit_logs_by_entity_id ON audit_logs (entity_id, seq);

CREATE TRIGGER audit_logs_no_update BEFORE UPDATE ON audit_logs
BEGIN SELECT RAISE(ABORT, 'audit_logs_append_only'); END;
CREATE TRIGGER audit_logs_no_delete BEFORE DELETE ON audit_logs
BEGIN SELECT RAISE(ABORT, 'audit_logs_append_only'); END;
-- Without this, REPLACE would delete a row behind the trigger's back.
CREATE TRIGGER audit_logs_gap_free BEFORE INSERT ON audit_logs
WHEN NEW.seq <> (SELECT COALESCE(MAX(seq), 0) + 1 FROM audit_logs)
BEGIN SELECT RAISE(ABORT, 'audit_logs_gap_free'); END;
