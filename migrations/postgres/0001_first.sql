-- The whole schema on PostgreSQL 13 or newer. Times are timestamptz, which keeps microseconds; lists and
-- objects are JSON in text columns, so that one statement searches them here and on SQLite (`config::jsonb`
-- works); ids are text. What is sorted or compared has the collation "C", so that a list's order, and a
-- page's place in it, doesn't depend on the database's language. Names that the runbooks query are kept exact.

-- Trigrams: parts of names are found by an index. Its rights are a database's owner's to give (it is "trusted").
CREATE EXTENSION IF NOT EXISTS pg_trgm;

-- Words that a list is searched by: the texts in lower case as they are, and once more with a space before each of their
-- parts, by which a word too short for a trigram of its own is found at a part's beginning.
CREATE FUNCTION words_of(VARIADIC texts text[]) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT lower(' ' || array_to_string(texts, ' ') || ' '
       || translate(array_to_string(texts, ' '), '.-="@/:', '       ')) $$;

-- A bit for each of the letters g to z that is in the words, so that letters in any distance are looked for where all of
-- them are. Those before g are in every serial.
CREATE FUNCTION letters_of(words text) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT ((strpos(words, 'g') > 0)::int::bigint << 0) | ((strpos(words, 'h') > 0)::int::bigint << 1)
        | ((strpos(words, 'i') > 0)::int::bigint << 2) | ((strpos(words, 'j') > 0)::int::bigint << 3)
        | ((strpos(words, 'k') > 0)::int::bigint << 4) | ((strpos(words, 'l') > 0)::int::bigint << 5)
        | ((strpos(words, 'm') > 0)::int::bigint << 6) | ((strpos(words, 'n') > 0)::int::bigint << 7)
        | ((strpos(words, 'o') > 0)::int::bigint << 8) | ((strpos(words, 'p') > 0)::int::bigint << 9)
        | ((strpos(words, 'q') > 0)::int::bigint << 10) | ((strpos(words, 'r') > 0)::int::bigint << 11)
        | ((strpos(words, 's') > 0)::int::bigint << 12) | ((strpos(words, 't') > 0)::int::bigint << 13)
        | ((strpos(words, 'u') > 0)::int::bigint << 14) | ((strpos(words, 'v') > 0)::int::bigint << 15)
        | ((strpos(words, 'w') > 0)::int::bigint << 16) | ((strpos(words, 'x') > 0)::int::bigint << 17)
        | ((strpos(words, 'y') > 0)::int::bigint << 18) | ((strpos(words, 'z') > 0)::int::bigint << 19)
$$;

CREATE TABLE adapters (
    id            text COLLATE "C" PRIMARY KEY,
    version       bigint NOT NULL DEFAULT 1,
    name          text COLLATE "C" NOT NULL,
    kind          text NOT NULL,
    config        text NOT NULL CONSTRAINT adapters_config_is_json CHECK (config::json IS NOT NULL),
    status        text NOT NULL CONSTRAINT adapters_status_known CHECK (status IN ('active', 'paused')),
    paused_kind   text CONSTRAINT adapters_paused_kind_known CHECK (paused_kind IN ('stopped', 'sealed', 'no_answer', 'unsigned', 'another_ca')),
    paused_reason text,
    paused_at     timestamptz,
    cas           text NOT NULL DEFAULT '[]' CONSTRAINT adapters_cas_are_json CHECK (cas::json IS NOT NULL),
    strange_ca    text CONSTRAINT adapters_strange_ca_is_json CHECK (strange_ca IS NULL OR strange_ca::json IS NOT NULL),
    -- Since when its CA is known to publish a CRL.
    crl_seen_at   timestamptz,
    -- When its last CRL that the issuer has read and verified ends.
    crl_ends_at   timestamptz,
    created_at    timestamptz NOT NULL,
    updated_at    timestamptz NOT NULL,
    CONSTRAINT adapters_name_once UNIQUE (name)
);

CREATE TABLE agents (
    id                 text COLLATE "C" PRIMARY KEY,
    version            bigint NOT NULL DEFAULT 1,
    hostname           text COLLATE "C" NOT NULL,
    address            text NOT NULL,
    tls_address        text,
    install_dirs       text NOT NULL CONSTRAINT agents_install_dirs_are_json CHECK (install_dirs::json IS NOT NULL),
    -- Layout of the files that servers read (`domain/layout.rs`), if it told.
    layout             text COLLATE "C" CONSTRAINT agents_layout_known CHECK (layout IN ('full-chain', 'separate', 'combined')),
    agent_version      text NOT NULL,
    owner              text COLLATE "C",
    status             text COLLATE "C" NOT NULL CONSTRAINT agents_status_known CHECK (status IN ('active', 'banned')),
    last_checkin       timestamptz,
    -- Where its last report came from: there, and nowhere else unless the configuration says so, it is woken.
    reported_from      text,
    checkin_interval_s bigint NOT NULL CONSTRAINT agents_interval_positive CHECK (checkin_interval_s > 0),
    enrolled_at        timestamptz NOT NULL,
    updated_at         timestamptz NOT NULL,
    -- From then on it counts as silent (`domain/agent.rs`), each by its own interval.
    silent_at          timestamptz NOT NULL GENERATED ALWAYS AS ((COALESCE(last_checkin, enrolled_at) AT TIME ZONE 'UTC'
                       + checkin_interval_s * interval '3 seconds') AT TIME ZONE 'UTC') STORED,
    -- Serials of the certificates that it proves itself with: the one that counts, and the one it was given next.
    identity_serial         text COLLATE "C",
    identity_not_after      timestamptz,
    next_identity_serial    text COLLATE "C",
    next_identity_not_after timestamptz,
    CONSTRAINT agents_identity_whole CHECK ((identity_serial IS NULL) = (identity_not_after IS NULL)),
    CONSTRAINT agents_next_identity_whole
        CHECK ((next_identity_serial IS NULL) = (next_identity_not_after IS NULL)),
    CONSTRAINT agents_hostname_once UNIQUE (hostname)
);
CREATE INDEX agents_by_last_checkin ON agents (COALESCE(last_checkin, '1970-01-01T00:00:00+00:00'::timestamptz), id);
CREATE INDEX agents_by_silent_at ON agents (silent_at, id);
CREATE INDEX agents_by_hostname ON agents (hostname, id);
CREATE INDEX agents_by_status ON agents (status, id);

-- Beside the table, whose rows change with each check-in: trigrams are dear to write.
CREATE TABLE agent_words (
    id    text COLLATE "C" PRIMARY KEY REFERENCES agents (id) ON DELETE CASCADE,
    words text NOT NULL,
    letters bigint NOT NULL GENERATED ALWAYS AS (letters_of(words)) STORED
);
CREATE INDEX agent_words_by_trigram ON agent_words USING gin (words gin_trgm_ops) WITH (fastupdate = off);
CREATE FUNCTION agent_words_keep() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO agent_words (id, words)
    VALUES (NEW.id, words_of(NEW.hostname, NEW.address, NEW.tls_address, NEW.owner))
    ON CONFLICT (id) DO UPDATE SET words = excluded.words WHERE agent_words.words <> excluded.words;
    RETURN NULL;
END $$;
CREATE TRIGGER agent_words_keep AFTER INSERT OR UPDATE OF hostname, address, tls_address, owner ON agents
    FOR EACH ROW EXECUTE FUNCTION agent_words_keep();

CREATE TABLE keys (
    spki_sha256    text COLLATE "C" PRIMARY KEY,
    version        bigint NOT NULL DEFAULT 1,
    algorithm      text COLLATE "C" NOT NULL,
    status         text COLLATE "C" NOT NULL CONSTRAINT keys_status_known CHECK (status IN ('active', 'compromised', 'retired')),
    created_at     timestamptz NOT NULL,
    compromised_at timestamptz,
    CONSTRAINT keys_compromised_has_time CHECK ((status = 'compromised') = (compromised_at IS NOT NULL))
);
CREATE INDEX keys_by_created_at ON keys (created_at, spki_sha256);
CREATE INDEX keys_by_status ON keys (status, spki_sha256);
CREATE INDEX keys_by_algorithm ON keys (algorithm, spki_sha256);

-- A key may be on several hosts. Of what agents say only keys that the inventory knows are kept. What an agent only says
-- gives it nothing: it counts as a holder from `proven_at` on, when it signed something of its own with the key.
CREATE TABLE key_holders (
    agent_id    text COLLATE "C" NOT NULL REFERENCES agents (id),
    spki_sha256 text COLLATE "C" NOT NULL,
    since       timestamptz NOT NULL,
    proven_at   timestamptz,
    PRIMARY KEY (agent_id, spki_sha256)
);
CREATE INDEX key_holders_by_key ON key_holders (spki_sha256, agent_id);

CREATE TABLE certificates (
    id                     text COLLATE "C" PRIMARY KEY,
    version                bigint NOT NULL DEFAULT 1,
    subject                text COLLATE "C" NOT NULL,
    sans                   text NOT NULL CONSTRAINT certificates_sans_are_json CHECK (sans::json IS NOT NULL),
    issuer                 text COLLATE "C" NOT NULL,
    serial                 text COLLATE "C" NOT NULL,
    fingerprint_sha256     text COLLATE "C" NOT NULL,
    -- For people who come with a thumbprint; nothing is decided by it.
    fingerprint_sha1       text COLLATE "C" NOT NULL DEFAULT '',
    spki_sha256            text COLLATE "C" NOT NULL REFERENCES keys (spki_sha256),
    key_algorithm          text COLLATE "C" NOT NULL,
    not_before             timestamptz NOT NULL,
    not_after              timestamptz NOT NULL,
    status                 text COLLATE "C" NOT NULL CONSTRAINT certificates_status_known
                           CHECK (status IN ('active', 'revocation_pending', 'revoked', 'held')),
    revocation_reason      text,
    revocation_asked_at    timestamptz,
    revocation_accepted_at timestamptz,
    -- By when the serial is in the CA's CRL, and when the CA is asked once more if it isn't.
    in_crl_by              timestamptz,
    revoke_again_at        timestamptz,
    in_crl_at              timestamptz,
    -- When it was seen in a CRL that a later one, this, doesn't bear out.
    was_in_crl_at          timestamptz,
    left_crl               text,
    -- The CA accepted the revocation and publishes no CRL for it: its yes is the end.
    without_crl_at         timestamptz,
    adapter_id             text COLLATE "C" REFERENCES adapters (id),
    request_id             text COLLATE "C",
    replaces               text COLLATE "C" REFERENCES certificates (id),
    replaced_by            text COLLATE "C" REFERENCES certificates (id),
    -- When the CA suggests to renew it (ARI), as far as it was asked, and when to ask again.
    renewal_window_start   timestamptz,
    renewal_window_end     timestamptz,
    -- When the window was to begin before the CA moved it earlier.
    renewal_moved_from     timestamptz,
    renewal_explanation_url text,
    renewal_asked_at       timestamptz,
    renewal_ask_at         timestamptz,
    pem                    text NOT NULL,
    chain_pem              text NOT NULL,
    created_at             timestamptz NOT NULL,
    updated_at             timestamptz NOT NULL,
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
    id    text COLLATE "C" PRIMARY KEY REFERENCES certificates (id) ON DELETE CASCADE,
    words text NOT NULL,
    letters bigint NOT NULL GENERATED ALWAYS AS (letters_of(words)) STORED
);
CREATE INDEX certificate_words_by_trigram ON certificate_words USING gin (words gin_trgm_ops) WITH (fastupdate = off);
CREATE FUNCTION certificate_words_keep() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO certificate_words (id, words)
    VALUES (NEW.id, words_of(NEW.subject, NEW.sans, replace(NEW.serial, ':', '')))
    ON CONFLICT (id) DO UPDATE SET words = excluded.words WHERE certificate_words.words <> excluded.words;
    RETURN NULL;
END $$;
CREATE TRIGGER certificate_words_keep AFTER INSERT OR UPDATE OF subject, sans, serial ON certificates
    FOR EACH ROW EXECUTE FUNCTION certificate_words_keep();

CREATE TABLE installations (
    id                      text COLLATE "C" PRIMARY KEY,
    version                 bigint NOT NULL DEFAULT 1,
    agent_id                text COLLATE "C" NOT NULL REFERENCES agents (id),
    path                    text COLLATE "C" NOT NULL,
    certificate_id          text COLLATE "C" NOT NULL REFERENCES certificates (id),
    expected_sha256         text COLLATE "C" NOT NULL,
    previous_certificate_id text COLLATE "C" REFERENCES certificates (id),
    on_disk_sha256          text COLLATE "C",
    served_sha256           text COLLATE "C",
    chain_missing           text COLLATE "C",
    install_error           text,
    failed_certificate_id   text COLLATE "C" REFERENCES certificates (id),
    failed_error            text,
    report_error            text,
    checked_at              timestamptz,
    created_at              timestamptz NOT NULL,
    updated_at              timestamptz NOT NULL,
    -- Since when it isn't as expected there; kept by the trigger below.
    differs_since           timestamptz,
    -- The first installation at this place failed: nothing is, or ever was, there.
    never_there             boolean NOT NULL GENERATED ALWAYS AS (install_error IS NOT NULL
        AND previous_certificate_id IS NULL AND on_disk_sha256 IS NULL AND served_sha256 IS NULL) STORED,
    CONSTRAINT installations_path_once UNIQUE (agent_id, path)
);
-- What differs may change from look to look, as the number of the handshakes that showed it: the time stays, until all
-- is as expected or something else is expected.
CREATE FUNCTION installations_differ() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.on_disk_sha256 = NEW.expected_sha256
        AND (NEW.served_sha256 = NEW.expected_sha256 OR NEW.served_sha256 IS NULL
            AND (SELECT a.tls_address IS NULL FROM agents a WHERE a.id = NEW.agent_id))
        AND NEW.chain_missing IS NULL AND NEW.install_error IS NULL AND NEW.report_error IS NULL
        AND NEW.failed_certificate_id IS NULL THEN
        NEW.differs_since := NULL;
    ELSIF TG_OP = 'INSERT' OR OLD.differs_since IS NULL OR OLD.expected_sha256 <> NEW.expected_sha256 THEN
        NEW.differs_since := NEW.updated_at;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER installations_differ BEFORE INSERT OR UPDATE OF expected_sha256, on_disk_sha256, served_sha256,
    chain_missing, install_error, report_error, failed_certificate_id ON installations
    FOR EACH ROW EXECUTE FUNCTION installations_differ();
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
    id                 text COLLATE "C" PRIMARY KEY REFERENCES certificates (id) ON DELETE CASCADE,
    not_after          timestamptz NOT NULL,
    status             text COLLATE "C" NOT NULL,
    -- Installations that expect it, and the first by name of the hosts and of the owners where it is in use; none is the
    -- empty text. A place where nothing ever was counts, and gives its host, only if there is no other.
    n_installations    bigint NOT NULL,
    host               text COLLATE "C" NOT NULL,
    owner              text COLLATE "C" NOT NULL,
    -- A newer one took its place, and it is in use nowhere.
    is_replaced        boolean NOT NULL,
    is_key_compromised boolean NOT NULL
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

-- The states as they have to be.
CREATE VIEW certificate_states_due AS
SELECT c.id, c.not_after, c.status, n.n_installations, COALESCE(u.host, '') AS host, COALESCE(u.owner, '') AS owner,
       c.replaced_by IS NOT NULL AND u.host IS NULL AS is_replaced,
       EXISTS (SELECT 1 FROM keys k WHERE k.spki_sha256 = c.spki_sha256 AND k.status = 'compromised') AS is_key_compromised
FROM certificates c
CROSS JOIN LATERAL (
    SELECT COALESCE(NULLIF(COUNT(*) FILTER (WHERE NOT i.never_there), 0), COUNT(*)) AS n_installations
    FROM installations i WHERE i.certificate_id = c.id) n
CROSS JOIN LATERAL (
    SELECT COALESCE(MIN(a.hostname) FILTER (WHERE NOT i.never_there), MIN(a.hostname)) AS host, MIN(a.owner) AS owner
    FROM installations i JOIN agents a ON a.id = i.agent_id
    WHERE i.certificate_id = c.id OR i.served_sha256 = c.fingerprint_sha256
       OR i.on_disk_sha256 = c.fingerprint_sha256) u;

-- Brings these up to date. They are held first, always in the same order: what another transaction changed meanwhile is
-- seen by the statement after it.
CREATE FUNCTION certificate_states_keep(ids text[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM certificate_states s WHERE s.id = ANY (ids) ORDER BY s.id FOR NO KEY UPDATE;
    UPDATE certificate_states s
    SET status = d.status, n_installations = d.n_installations, host = d.host, owner = d.owner,
        is_replaced = d.is_replaced, is_key_compromised = d.is_key_compromised
    FROM certificate_states_due d
    WHERE s.id = ANY (ids) AND d.id = s.id AND (s.status, s.n_installations, s.host, s.owner, s.is_replaced, s.is_key_compromised)
        IS DISTINCT FROM (d.status, d.n_installations, d.host, d.owner, d.is_replaced, d.is_key_compromised);
END $$;
CREATE FUNCTION certificate_states_of_certificate() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        -- Nobody says meanwhile that the key leaked.
        PERFORM 1 FROM keys k WHERE k.spki_sha256 = NEW.spki_sha256 FOR SHARE;
        INSERT INTO certificate_states (id, not_after, status, n_installations, host, owner, is_replaced,
                is_key_compromised)
            VALUES (NEW.id, NEW.not_after, NEW.status, 0, '', '', FALSE, FALSE) ON CONFLICT DO NOTHING;
    END IF;
    PERFORM certificate_states_keep(ARRAY[NEW.id]);
    RETURN NULL;
END $$;
-- Nothing else depends on it: hundreds are revoked in a row.
CREATE FUNCTION certificate_states_of_status() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE certificate_states SET status = NEW.status WHERE id = NEW.id;
    RETURN NULL;
END $$;
CREATE FUNCTION certificate_states_of_installation() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM certificate_states_keep(ARRAY(
        SELECT c.id FROM certificates c WHERE c.id IN (OLD.certificate_id, NEW.certificate_id)
        UNION SELECT c.id FROM certificates c WHERE c.fingerprint_sha256
            IN (OLD.served_sha256, NEW.served_sha256, OLD.on_disk_sha256, NEW.on_disk_sha256)));
    RETURN NULL;
END $$;
CREATE FUNCTION certificate_states_of_agent() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM certificate_states_keep(ARRAY(
        SELECT i.certificate_id FROM installations i WHERE i.agent_id = NEW.id
        UNION SELECT c.id FROM installations i JOIN certificates c ON c.fingerprint_sha256 = i.served_sha256
            WHERE i.agent_id = NEW.id
        UNION SELECT c.id FROM installations i JOIN certificates c ON c.fingerprint_sha256 = i.on_disk_sha256
            WHERE i.agent_id = NEW.id));
    RETURN NULL;
END $$;
CREATE FUNCTION certificate_states_of_key() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM certificate_states_keep(ARRAY(
        SELECT c.id FROM certificates c WHERE c.spki_sha256 = NEW.spki_sha256));
    RETURN NULL;
END $$;
CREATE TRIGGER certificate_states_insert AFTER INSERT ON certificates
    FOR EACH ROW EXECUTE FUNCTION certificate_states_of_certificate();
CREATE TRIGGER certificate_states_replaced AFTER UPDATE OF replaced_by ON certificates
    FOR EACH ROW WHEN (OLD.replaced_by IS DISTINCT FROM NEW.replaced_by)
    EXECUTE FUNCTION certificate_states_of_certificate();
CREATE TRIGGER certificate_states_status AFTER UPDATE OF status ON certificates
    FOR EACH ROW WHEN (OLD.status <> NEW.status) EXECUTE FUNCTION certificate_states_of_status();
CREATE TRIGGER certificate_states_place AFTER INSERT OR DELETE ON installations
    FOR EACH ROW EXECUTE FUNCTION certificate_states_of_installation();
CREATE TRIGGER certificate_states_moved AFTER UPDATE OF certificate_id, served_sha256, on_disk_sha256, install_error,
    previous_certificate_id ON installations
    FOR EACH ROW WHEN (OLD.certificate_id <> NEW.certificate_id OR OLD.never_there <> NEW.never_there
        OR OLD.served_sha256 IS DISTINCT FROM NEW.served_sha256
        OR OLD.on_disk_sha256 IS DISTINCT FROM NEW.on_disk_sha256)
    EXECUTE FUNCTION certificate_states_of_installation();
CREATE TRIGGER certificate_states_renamed AFTER UPDATE OF hostname, owner ON agents
    FOR EACH ROW WHEN (OLD.hostname <> NEW.hostname OR OLD.owner IS DISTINCT FROM NEW.owner)
    EXECUTE FUNCTION certificate_states_of_agent();
CREATE TRIGGER certificate_states_leaked AFTER UPDATE OF status ON keys
    FOR EACH ROW WHEN (OLD.status <> NEW.status) EXECUTE FUNCTION certificate_states_of_key();

CREATE TABLE issuance_requests (
    id              text COLLATE "C" PRIMARY KEY,
    version         bigint NOT NULL DEFAULT 1,
    common_name     text COLLATE "C" NOT NULL,
    sans            text NOT NULL CONSTRAINT requests_sans_are_json CHECK (sans::json IS NOT NULL),
    key_algorithm   text NOT NULL,
    adapter_id      text COLLATE "C" NOT NULL REFERENCES adapters (id),
    agent_id        text COLLATE "C" REFERENCES agents (id),
    install_path    text COLLATE "C",
    replaces        text COLLATE "C" REFERENCES certificates (id),
    certificate_id  text COLLATE "C" REFERENCES certificates (id),
    spki_sha256     text COLLATE "C",
    csr_pem         text,
    status          text COLLATE "C" NOT NULL CONSTRAINT requests_status_known
                    CHECK (status IN ('pending', 'issuing', 'issued', 'failed', 'denied', 'cancelled')),
    waiting_on      text COLLATE "C" CONSTRAINT requests_waiting_on_known CHECK (waiting_on IN ('approval', 'key', 'ca', 'challenge')),
    attempt         bigint NOT NULL DEFAULT 0,
    error_message   text,
    next_attempt_at timestamptz,
    -- When the CA was first asked for this CSR: from then on it may have signed.
    asked_ca_at     timestamptz,
    -- Finds the order again at a CA that signs in steps; there before it may sign.
    ca_order        text,
    claimed_by      text,
    lease_until     timestamptz,
    requested_by    text NOT NULL,
    created_at      timestamptz NOT NULL,
    updated_at      timestamptz NOT NULL,
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
    id    text COLLATE "C" PRIMARY KEY REFERENCES issuance_requests (id) ON DELETE CASCADE,
    words text NOT NULL,
    letters bigint NOT NULL GENERATED ALWAYS AS (letters_of(words)) STORED
);
CREATE INDEX request_words_by_trigram ON request_words USING gin (words gin_trgm_ops) WITH (fastupdate = off);
CREATE FUNCTION request_words_keep() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO request_words (id, words)
    VALUES (NEW.id, words_of(NEW.common_name, NEW.sans, NEW.error_message))
    ON CONFLICT (id) DO UPDATE SET words = excluded.words WHERE request_words.words <> excluded.words;
    RETURN NULL;
END $$;
CREATE TRIGGER request_words_keep AFTER INSERT OR UPDATE OF common_name, sans, error_message ON issuance_requests
    FOR EACH ROW EXECUTE FUNCTION request_words_keep();

ALTER TABLE certificates ADD CONSTRAINT certificates_request_id_fkey
    FOREIGN KEY (request_id) REFERENCES issuance_requests (id);

CREATE TABLE jobs (
    id              text COLLATE "C" PRIMARY KEY,
    kind            text NOT NULL CONSTRAINT jobs_kind_known CHECK (kind IN ('make_key', 'challenge', 'install', 'revoke')),
    status          text NOT NULL CONSTRAINT jobs_status_known CHECK (status IN ('queued', 'done', 'failed')),
    agent_id        text COLLATE "C" REFERENCES agents (id),
    request_id      text COLLATE "C" REFERENCES issuance_requests (id),
    certificate_id  text COLLATE "C" REFERENCES certificates (id),
    installation_id text COLLATE "C" REFERENCES installations (id),
    work            text CONSTRAINT jobs_work_is_json CHECK (work IS NULL OR work::json IS NOT NULL),
    attempt         bigint NOT NULL DEFAULT 0,
    error_message   text,
    next_attempt_at timestamptz,
    claimed_by      text,
    lease_until     timestamptz,
    result          text CONSTRAINT jobs_result_is_json CHECK (result IS NULL OR result::json IS NOT NULL),
    created_at      timestamptz NOT NULL,
    ended_at        timestamptz,
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
    id         text COLLATE "C" PRIMARY KEY,
    name       text NOT NULL,
    purpose    text NOT NULL CONSTRAINT tokens_purpose_known CHECK (purpose IN ('bearer', 'enrol')),
    role       text NOT NULL CONSTRAINT tokens_role_known CHECK (role IN ('agent', 'viewer', 'operator', 'admin')),
    hash       text COLLATE "C" NOT NULL,
    agent_id   text COLLATE "C" REFERENCES agents (id),
    -- The token that it was made with.
    parent     text COLLATE "C" REFERENCES tokens (id),
    -- The name as somebody sees it who reads fast.
    looks_like text COLLATE "C" NOT NULL,
    expires_at timestamptz,
    spent_at   timestamptz,
    revoked_at timestamptz,
    created_at timestamptz NOT NULL,
    CONSTRAINT tokens_hash_once UNIQUE (hash)
);
CREATE INDEX tokens_by_agent ON tokens (agent_id);
CREATE INDEX tokens_by_parent ON tokens (parent);
CREATE INDEX tokens_by_looks_like ON tokens (looks_like);

CREATE TABLE idempotency (
    caller       text COLLATE "C" NOT NULL,
    key          text COLLATE "C" NOT NULL,
    request_hash text NOT NULL,
    status       bigint NOT NULL,
    body         text NOT NULL,
    created_at   timestamptz NOT NULL,
    CONSTRAINT idempotency_once PRIMARY KEY (caller, key)
);
CREATE INDEX idempotency_by_created_at ON idempotency (created_at);

-- The issuers whose clocks are off; `seen_at` is by the database's.
CREATE TABLE clocks_off (
    issuer   text COLLATE "C" PRIMARY KEY,
    ahead_ms bigint NOT NULL,
    seen_at  timestamptz NOT NULL
);

-- Issuers and schedulers as they were last seen at work; `seen_at` is by the database's clock.
CREATE TABLE workers (
    duty    text COLLATE "C" NOT NULL CONSTRAINT workers_duty_known CHECK (duty IN ('issuer', 'scheduler')),
    name    text COLLATE "C" NOT NULL,
    version text NOT NULL,
    seen_at timestamptz NOT NULL,
    PRIMARY KEY (duty, name)
);

CREATE TABLE runs (
    id          text COLLATE "C" PRIMARY KEY,
    action      text NOT NULL,
    entity_type text NOT NULL,
    entity_ids  text NOT NULL CONSTRAINT runs_entity_ids_are_json CHECK (entity_ids::json IS NOT NULL),
    comment     text,
    ticket      text,
    plan        text NOT NULL CONSTRAINT runs_plan_is_json CHECK (plan::json IS NOT NULL),
    digest      text NOT NULL,
    actor       text NOT NULL,
    -- The token that began it: with no other one are its steps and its end written.
    begun_with  text COLLATE "C" NOT NULL REFERENCES tokens (id),
    outcome     text NOT NULL CONSTRAINT runs_outcome_known
                CHECK (outcome IN ('asked', 'done', 'refused', 'failed', 'unknown')),
    note        text,
    started_at  timestamptz NOT NULL,
    ended_at    timestamptz
);
CREATE INDEX runs_by_started_at ON runs (started_at, id);

CREATE TABLE run_steps (
    run_id     text COLLATE "C" NOT NULL REFERENCES runs (id),
    idx        bigint NOT NULL CONSTRAINT run_steps_index_from_zero CHECK (idx >= 0),
    name       text NOT NULL,
    status     text NOT NULL CONSTRAINT run_steps_status_known
               CHECK (status IN ('running', 'proven', 'waiting', 'refused', 'failed', 'unknown')),
    note       text,
    started_at timestamptz NOT NULL,
    ended_at   timestamptz,
    PRIMARY KEY (run_id, idx)
);

-- A month a partition. A unique constraint has to hold the month as well; that a number and a hash come
-- once over all months is seen to by `audit_head`.
CREATE TABLE audit_logs (
    seq         bigint NOT NULL,
    timestamp   timestamptz NOT NULL,
    actor       text COLLATE "C" NOT NULL,
    action      text COLLATE "C" NOT NULL,
    entity_type text COLLATE "C" NOT NULL,
    entity_id   text COLLATE "C" NOT NULL,
    outcome     text COLLATE "C" NOT NULL CONSTRAINT audit_logs_outcome_known
                CHECK (outcome IN ('asked', 'done', 'refused', 'failed', 'unknown')),
    reason      text,
    ticket      text,
    run_id      text,
    source      text NOT NULL,
    detail      text,
    prev_hash   text COLLATE "C" NOT NULL,
    hash        text COLLATE "C" NOT NULL,
    CONSTRAINT audit_logs_seq_once PRIMARY KEY (seq, timestamp),
    CONSTRAINT audit_logs_prev_hash_once UNIQUE (prev_hash, timestamp)
) PARTITION BY RANGE (timestamp);
CREATE INDEX audit_logs_by_timestamp ON audit_logs (timestamp);
CREATE INDEX audit_logs_by_entity ON audit_logs (entity_type, entity_id, seq);
CREATE INDEX audit_logs_by_entity_id ON audit_logs (entity_id, seq);

-- Rows of months that nobody made a partition for: a clock that is far off, or a scheduler that was down.
CREATE TABLE audit_logs_other PARTITION OF audit_logs DEFAULT;

-- The last row's number and hash. Whoever appends holds this row until the end of the transaction.
CREATE TABLE audit_head (
    one  boolean PRIMARY KEY DEFAULT true CONSTRAINT audit_head_is_one CHECK (one),
    seq  bigint NOT NULL,
    hash text COLLATE "C" NOT NULL
);
INSERT INTO audit_head (seq, hash) VALUES (0, repeat('0', 64));

-- Runs as its owner, so that the server's role needs no right to change `audit_head`.
CREATE FUNCTION audit_head_hold(OUT seq bigint, OUT hash text) LANGUAGE sql SECURITY DEFINER AS
$$ SELECT h.seq, h.hash FROM audit_head h FOR UPDATE $$;

-- Only a row that follows from the last one goes in: no gap, no number twice, no other chain.
CREATE FUNCTION audit_logs_append() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    UPDATE audit_head SET seq = NEW.seq, hash = NEW.hash WHERE seq = NEW.seq - 1 AND hash = NEW.prev_hash;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING MESSAGE = 'audit_logs_gap_free', ERRCODE = 'check_violation',
            CONSTRAINT = 'audit_logs_gap_free';
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION USING MESSAGE = TG_ARGV[0], ERRCODE = 'check_violation', CONSTRAINT = TG_ARGV[0];
END $$;

CREATE TRIGGER audit_logs_gap_free BEFORE INSERT ON audit_logs
    FOR EACH ROW EXECUTE FUNCTION audit_logs_append();
CREATE TRIGGER audit_logs_no_update BEFORE UPDATE ON audit_logs
    FOR EACH ROW EXECUTE FUNCTION refuse('audit_logs_append_only');
CREATE TRIGGER audit_logs_no_delete BEFORE DELETE ON audit_logs
    FOR EACH ROW EXECUTE FUNCTION refuse('audit_logs_append_only');
CREATE TRIGGER audit_logs_no_truncate BEFORE TRUNCATE ON audit_logs
    FOR EACH STATEMENT EXECUTE FUNCTION refuse('audit_logs_append_only');
CREATE TRIGGER audit_logs_no_truncate BEFORE TRUNCATE ON audit_logs_other
    FOR EACH STATEMENT EXECUTE FUNCTION refuse('audit_logs_append_only');

CREATE TRIGGER certificates_revoked_is_final BEFORE UPDATE OF status ON certificates
    FOR EACH ROW WHEN (OLD.status = 'revoked' AND NEW.status <> 'revoked')
    EXECUTE FUNCTION refuse('certificates_revoked_is_final');
CREATE TRIGGER issuance_requests_end_is_final BEFORE UPDATE OF status ON issuance_requests
    FOR EACH ROW WHEN (OLD.status IN ('issued', 'denied', 'cancelled') AND NEW.status <> OLD.status)
    EXECUTE FUNCTION refuse('issuance_requests_end_is_final');

-- Makes the partitions of the month of `since` and of the `months` after it, as far as they are missing;
-- how many it made. A month that has rows among the others already keeps them there. Runs as its owner, so
-- that the server's role needs no right to make tables.
-- It keeps everybody from the trail for a moment, and gives up soon when it can't: there is time.
CREATE FUNCTION audit_logs_make_partitions(since timestamptz, months integer) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET lock_timeout = '2s' AS $$
DECLARE
    first timestamptz;
    after timestamptz;
    name  text;
    made  bigint := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(6516080, hashtext('audit_logs_make_partitions'));
    FOR n IN 0 .. months LOOP
        first := (date_trunc('month', since AT TIME ZONE 'UTC') + make_interval(months => n)) AT TIME ZONE 'UTC';
        after := (date_trunc('month', since AT TIME ZONE 'UTC') + make_interval(months => n + 1)) AT TIME ZONE 'UTC';
        name := 'audit_logs_' || to_char(first AT TIME ZONE 'UTC', 'YYYY_MM');
        CONTINUE WHEN to_regclass(name) IS NOT NULL;
        CONTINUE WHEN EXISTS (SELECT 1 FROM audit_logs_other o WHERE o.timestamp >= first AND o.timestamp < after);
        EXECUTE format('CREATE TABLE %I PARTITION OF audit_logs FOR VALUES FROM (%L) TO (%L)', name, first, after);
        EXECUTE format('CREATE TRIGGER audit_logs_no_truncate BEFORE TRUNCATE ON %I '
            'FOR EACH STATEMENT EXECUTE FUNCTION refuse(%L)', name, 'audit_logs_append_only');
        made := made + 1;
    END LOOP;
    RETURN made;
END $$;

-- What runs as its owner finds its tables here and nowhere else, and isn't everybody's to run.
DO $$
DECLARE
    what text;
BEGIN
    FOREACH what IN ARRAY ARRAY['audit_head_hold()', 'audit_logs_append()',
                                'audit_logs_make_partitions(timestamptz, integer)'] LOOP
        EXECUTE format('ALTER FUNCTION %s SET search_path = %I, pg_temp', what, current_schema());
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', what);
    END LOOP;
END $$;

SELECT audit_logs_make_partitions(now(), 3);
