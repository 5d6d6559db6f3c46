-- What lists are sorted and searched by, so that each question is answered by an index. Here is what takes no time however
-- much is in the database; what does is made afterwards, as `store/schema/steps.rs` says.

-- Steps that were taken after this file, or are under way: `upto` is the last row that is done.
CREATE TABLE schema_steps (
    name     TEXT PRIMARY KEY NOT NULL,
    upto     TEXT NOT NULL DEFAULT '',
    ended_at TEXT
);

-- Number of an agent's installations.
CREATE TABLE agent_places (
    id              TEXT PRIMARY KEY NOT NULL,
    n_installations INTEGER NOT NULL DEFAULT 0
);
CREATE TRIGGER agent_places_of_agent AFTER INSERT ON agents BEGIN
    INSERT OR IGNORE INTO agent_places (id) VALUES (NEW.id);
END;
CREATE TRIGGER agent_places_of_installation AFTER INSERT ON installations BEGIN
    UPDATE agent_places SET n_installations = (SELECT COUNT(*) FROM installations i WHERE i.agent_id = NEW.agent_id)
    WHERE id = NEW.agent_id;
END;
CREATE TRIGGER agent_places_of_installation_left AFTER DELETE ON installations BEGIN
    UPDATE agent_places SET n_installations = (SELECT COUNT(*) FROM installations i WHERE i.agent_id = OLD.agent_id)
    WHERE id = OLD.agent_id;
END;

-- Names of certificates with their labels in reverse, `com.example.www`, so that all names of a domain are next to each
-- other, and a wildcard, `com.example.*`, is found from any name that it covers.
CREATE TABLE certificate_names (
    name TEXT NOT NULL,
    id   TEXT NOT NULL,
    PRIMARY KEY (name, id)
) WITHOUT ROWID;
-- As they have to be. The common name is one of the others, unless somebody else's CA has signed.
CREATE VIEW certificate_names_due AS
SELECT (SELECT group_concat(l.value, '.' ORDER BY l.key DESC)
        FROM json_each('["' || replace(lower(n.name), '.', '","') || '"]') l) AS name, n.id AS id
FROM (SELECT s.value AS name, c.id AS id FROM certificates c CROSS JOIN json_each(c.sans) s
      WHERE s.value <> '' AND length(s.value) <= 253 AND s.value NOT GLOB '*[^A-Za-z0-9._*:-]*'
      UNION ALL
      SELECT substr(c.subject, 4), c.id FROM certificates c WHERE c.subject LIKE 'CN=_%' AND length(c.subject) <= 256
          AND substr(c.subject, 4) NOT GLOB '*[^A-Za-z0-9._*:-]*') n;
CREATE TRIGGER certificate_names_insert AFTER INSERT ON certificates BEGIN
    INSERT OR IGNORE INTO certificate_names (name, id) SELECT d.name, d.id FROM certificate_names_due d WHERE d.id = NEW.id;
END;

-- Words of an audit row: its texts in lower case as they are, and once more with two spaces before each of their parts.
-- Of a run's end also the word that the screen has for it.
ALTER TABLE audit_logs ADD COLUMN words TEXT GENERATED ALWAYS AS (
    lower('  ' || actor || '  ' || action || '  ' || outcome || '  ' || COALESCE(ticket, '') || '  ' || COALESCE(reason, '')
    || '  ' || COALESCE(detail, '') || '  '
    || replace(replace(replace(replace(replace(replace(replace(replace(actor || '  ' || action || '  ' || outcome || '  '
        || COALESCE(ticket, '') || '  ' || COALESCE(reason, '') || '  ' || COALESCE(detail, ''),
        ' ', '  '), '.', '  '), '-', '  '), '=', '  '), '"', '  '), '@', '  '), '/', '  '), ':', '  '))
    || CASE WHEN action = 'run' AND outcome = 'done' AND COALESCE(detail, '') NOT LIKE 'plan `%`: reported: %'
            THEN '  proven' ELSE '' END) VIRTUAL;
-- No row is ever changed or goes, so that only the trigrams are kept.
CREATE VIRTUAL TABLE audit_trigrams USING fts5 (words, content = '', tokenize = 'trigram');
CREATE TRIGGER audit_trigrams_insert AFTER INSERT ON audit_logs BEGIN
    INSERT INTO audit_trigrams (rowid, words) VALUES (NEW.seq, NEW.words);
END;
-- As the words of others, for who searches.
CREATE VIEW audit_words AS
SELECT l.seq AS n, l.seq AS id, l.timestamp, l.actor, l.action, l.ticket, l.words FROM audit_logs l;

-- Keys that more than one certificate was made for, ever.
CREATE TABLE shared_keys (
    spki_sha256 TEXT PRIMARY KEY NOT NULL
);
CREATE TRIGGER certificate_keys_keep AFTER INSERT ON certificates BEGIN
    INSERT OR IGNORE INTO shared_keys (spki_sha256) SELECT c.spki_sha256 FROM certificates c
    WHERE c.spki_sha256 = NEW.spki_sha256 AND c.id <> NEW.id LIMIT 1;
END;

-- Whether a place differs from what is expected depends on whether its host serves at all.
CREATE TRIGGER agents_served_elsewhere AFTER UPDATE OF tls_address ON agents
WHEN (OLD.tls_address IS NULL) <> (NEW.tls_address IS NULL) BEGIN
    UPDATE installations SET served_sha256 = served_sha256 WHERE agent_id = NEW.id;
END;
