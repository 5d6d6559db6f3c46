-- A platform at size: :certs certificates of which few matter, 200 agents that report, 8,000 that are silent, ten
-- that are banned and let in again. Times are relative to now.
ALTER TABLE certificates DISABLE TRIGGER ALL;
ALTER TABLE installations DISABLE TRIGGER ALL;
ALTER TABLE key_holders DISABLE TRIGGER ALL;
ALTER TABLE tokens DISABLE TRIGGER ALL;

CREATE FUNCTION pg_temp.tail(n bigint) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT '01k' || lpad(n::text, 23, '0') $$;
CREATE FUNCTION pg_temp.sha(t text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT encode(sha256(t::bytea), 'hex') $$;

INSERT INTO keys (spki_sha256, algorithm, status, created_at)
SELECT pg_temp.sha('key' || n), 'ecdsa-p256', 'active', now() - make_interval(mins => (n % 500000)::int)
FROM generate_series(1::bigint, :certs) n;

INSERT INTO certificates (id, subject, sans, issuer, serial, fingerprint_sha256, spki_sha256, key_algorithm,
    not_before, not_after, status, adapter_id, replaced_by, pem, chain_pem, created_at, updated_at)
SELECT 'crt_' || pg_temp.tail(n), 'CN=' || name, '["' || name || '","www.' || name || '"]',
       'CN=Example Issuing CA ' || (n % 3), serial, pg_temp.sha('crt' || n), pg_temp.sha('key' || n), 'ecdsa-p256',
       ends - interval '90 days', ends, 'active', ':adapter',
       CASE WHEN ends < now() + interval '31 days' AND n < :certs THEN 'crt_' || pg_temp.tail(n + 1) END,
       '-----BEGIN CERTIFICATE-----' || E'\n' || noise || E'\n' || '-----END CERTIFICATE-----' || E'\n',
       '-----BEGIN CERTIFICATE-----' || E'\n' || repeat('MIIBczCCARmgAwIBAgIUchain', 28) || E'\n'
           || '-----END CERTIFICATE-----' || E'\n',
       ends - interval '90 days', ends - interval '90 days'
FROM (SELECT n, 'www' || n || '.shop' || (n % 1000) || '.example.com' AS name,
             regexp_replace(left(pg_temp.sha('serial' || n), 40), '(..)(?=.)', '\1:', 'g') AS serial,
             now() + make_interval(secs => ((n * 7919 % 1000003) / 1000003.0 * 300 - 100) * 86400.0) AS ends,
             (SELECT string_agg(encode(sha256((k || 'n' || n)::bytea), 'base64'), '')
              FROM generate_series(1, 16) k) AS noise
      FROM generate_series(1::bigint, :certs) n) x;

INSERT INTO agents (id, hostname, address, tls_address, install_dirs, agent_version, owner, status, last_checkin,
                    reported_from, checkin_interval_s, enrolled_at, updated_at)
SELECT 'agt_' || pg_temp.tail(n), 'host-' || n || '.example.com', 'http://' || ip || ':' || :port,
       'host-' || n || '.example.com:443', '["/etc/ssl/cmp"]', '0.1.0', 'team-' || (n % 40), 'active',
       CASE WHEN n <= 200 THEN now() ELSE now() - interval '2 days' END, ip, 3600, now() - interval '200 days',
       now() - interval '1 day'
FROM (SELECT n, '127.1.' || (n / 250) || '.' || (n % 250 + 1) AS ip FROM generate_series(1::bigint, 8210) n) x;

-- Three paths an agent, each with a certificate that is good for a while yet.
INSERT INTO installations (id, agent_id, path, certificate_id, expected_sha256, on_disk_sha256, served_sha256,
    checked_at, created_at, updated_at)
SELECT 'ins_' || pg_temp.tail(n), 'agt_' || pg_temp.tail(1 + n % 8210), '/etc/ssl/cmp/' || (n / 8210) || '.pem', id,
       fingerprint_sha256, fingerprint_sha256, fingerprint_sha256, now(), now() - interval '20 days',
       now() - interval '20 days'
FROM (SELECT id, fingerprint_sha256, row_number() OVER (ORDER BY id) - 1 AS n FROM certificates
      WHERE not_after > now() + interval '40 days' AND id LIKE 'crt_01k%' ORDER BY id LIMIT 3 * 8210) c;

INSERT INTO key_holders (agent_id, spki_sha256, since, proven_at)
SELECT i.agent_id, c.spki_sha256, i.created_at, i.created_at
FROM installations i JOIN certificates c ON c.id = i.certificate_id;

INSERT INTO tokens (id, name, purpose, role, hash, agent_id, looks_like, created_at)
SELECT 'tok_' || pg_temp.tail(n), 'agent ' || n, 'bearer', 'agent', pg_temp.sha('cmp_agent_' || n),
       'agt_' || pg_temp.tail(n), 'agent ' || n, now()
FROM generate_series(1::bigint, 200) n;

-- Their triggers were off. Many rows at once are put into the index together.
ALTER INDEX certificate_words_by_trigram SET (fastupdate = on);
INSERT INTO certificate_words (id, words)
SELECT id, words_of(subject, sans, replace(serial, ':', '')) FROM certificates
ON CONFLICT (id) DO NOTHING;
ALTER INDEX certificate_words_by_trigram SET (fastupdate = off);

INSERT INTO certificate_states SELECT * FROM certificate_states_due ON CONFLICT (id) DO NOTHING;

ALTER TABLE certificates ENABLE TRIGGER ALL;
ALTER TABLE installations ENABLE TRIGGER ALL;
ALTER TABLE key_holders ENABLE TRIGGER ALL;
ALTER TABLE tokens ENABLE TRIGGER ALL;
