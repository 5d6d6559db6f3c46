-- What lists are sorted and searched by, so that each question is answered by an index. Here is what takes no time however
-- much is in the database; what does is made afterwards, while others work with it, as `store/schema/steps.rs` says.

-- Steps that were taken after this file, or are under way: `upto` is the last row that is done.
CREATE TABLE schema_steps (
    name     text COLLATE "C" PRIMARY KEY,
    upto     text COLLATE "C" NOT NULL DEFAULT '',
    ended_at timestamptz
);

-- Number of an agent's installations. The row is held first: what another transaction adds is seen by the statement after
-- it. A table of its own, since servers of the version before read all columns of the agents.
CREATE TABLE agent_places (
    id              text COLLATE "C" PRIMARY KEY,
    n_installations bigint NOT NULL DEFAULT 0
);
CREATE FUNCTION agent_places_count(ids text[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO agent_places (id) SELECT a FROM unnest(ids) a ON CONFLICT DO NOTHING;
    PERFORM 1 FROM agent_places p WHERE p.id = ANY (ids) ORDER BY p.id FOR NO KEY UPDATE;
    UPDATE agent_places p SET n_installations = (SELECT COUNT(*) FROM installations i WHERE i.agent_id = p.id)
    WHERE p.id = ANY (ids)
      AND p.n_installations <> (SELECT COUNT(*) FROM installations i WHERE i.agent_id = p.id);
END $$;
CREATE FUNCTION agent_places_of_agent() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO agent_places (id) VALUES (NEW.id) ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
CREATE FUNCTION agent_places_of_installation() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM agent_places_count(ARRAY[COALESCE(NEW.agent_id, OLD.agent_id)]);
    RETURN NULL;
END $$;

-- Names of certificates with their labels in reverse, `com.example.www`, so that all names of a domain are next to each
-- other, and a wildcard, `com.example.*`, is found from any name that it covers.
CREATE FUNCTION reversed_labels(name text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT string_agg(label, '.' ORDER BY n DESC) FROM unnest(string_to_array(lower(name), '.')) WITH ORDINALITY l (label, n) $$;
CREATE TABLE certificate_names (
    name text COLLATE "C" NOT NULL,
    id   text COLLATE "C" NOT NULL,
    PRIMARY KEY (name, id)
);
-- The common name is one of the others, unless somebody else's CA has signed. What can be no name isn't looked for.
CREATE FUNCTION certificate_names_of(subject text, sans text) RETURNS SETOF text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT reversed_labels(n)
    FROM json_array_elements_text(CASE WHEN sans LIKE '%\\u0000%' THEN '[]' ELSE sans END::json) n
    WHERE n ~ '^[A-Za-z0-9._*:-]{1,253}$'
    UNION SELECT reversed_labels(substr(subject, 4)) WHERE subject ~ '^CN=[A-Za-z0-9._*:-]{1,253}$'
$$;
CREATE FUNCTION certificate_names_keep() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO certificate_names (name, id) SELECT n, NEW.id FROM certificate_names_of(NEW.subject, NEW.sans) n
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;

-- Words of audit rows, as those of others are, for who searches. They are made of each row, without a function, which
-- would cost more than all else, and only their trigrams are kept. Of a run's end there is also the word that the screen has for it.
CREATE VIEW audit_words AS
SELECT l.seq AS id, l.timestamp, l.actor, l.action, l.ticket,
    lower((' ' || l.actor || ' ' || l.action || ' ' || l.outcome || ' ' || COALESCE(l.ticket, '') || ' ' || COALESCE(l.reason, '') || ' ' || COALESCE(l.detail, '')
        || ' ' || translate(l.actor || ' ' || l.action || ' ' || l.outcome || ' ' || COALESCE(l.ticket, '') || ' ' || COALESCE(l.reason, '') || ' ' || COALESCE(l.detail, ''), '.-="@/:', '       ')
        || CASE WHEN l.action = 'run' AND l.outcome = 'done' AND COALESCE(l.detail, '') NOT LIKE 'plan `%`: reported: %'
                THEN ' proven' ELSE '' END) COLLATE "default") AS words
FROM audit_logs l;

-- A list of texts that a statement is given as one value, as SQLite has it: so few rows that they are looked up one by one.
CREATE FUNCTION json_each(list text) RETURNS TABLE (value text) LANGUAGE sql IMMUTABLE PARALLEL SAFE ROWS 50 AS
$$ SELECT v FROM json_array_elements_text(list::json) v $$;

-- Keys that more than one certificate was made for, ever. Whoever adds another one waits for who adds one, too.
CREATE TABLE shared_keys (
    spki_sha256 text COLLATE "C" PRIMARY KEY
);
CREATE FUNCTION certificate_keys_keep() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM keys k WHERE k.spki_sha256 = NEW.spki_sha256 FOR NO KEY UPDATE;
    INSERT INTO shared_keys (spki_sha256) SELECT c.spki_sha256 FROM certificates c
    WHERE c.spki_sha256 = NEW.spki_sha256 AND c.id <> NEW.id LIMIT 1 ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;

-- Whether a place differs from what is expected depends on whether its host serves at all.
CREATE FUNCTION agents_served_elsewhere() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE installations SET served_sha256 = served_sha256 WHERE agent_id = NEW.id;
    RETURN NULL;
END $$;

-- What the triggers write, they write as its owner: servers of the version before have no rights on it, and work on while
-- their database is upgraded. What runs as its owner finds its tables here and nowhere else, and isn't everybody's to run.
DO $$
DECLARE
    what text;
BEGIN
    FOREACH what IN ARRAY ARRAY['agent_places_count(text[])', 'agent_places_of_agent()', 'agent_places_of_installation()',
                                'certificate_names_keep()', 'certificate_keys_keep()', 'agents_served_elsewhere()'] LOOP
        EXECUTE format('ALTER FUNCTION %s SECURITY DEFINER SET search_path = %I, pg_temp', what, current_schema());
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', what);
    END LOOP;
END $$;

-- Planning it takes ten times as long as doing it, and each new certificate, installation and check-in does.
ALTER FUNCTION certificate_states_keep(text[]) SET plan_cache_mode = force_generic_plan;
