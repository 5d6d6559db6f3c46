-- A platform at size: :certs certificates, :agents agents of which the first :reporting report and the others are silent,
-- three places on each of them, :requests requests. Times are relative to now. Where it is :troubled, some of all are as
-- on a bad day: revoked, leaked, banned, silent, with another certificate served than is expected.
ALTER TABLE certificates DISABLE TRIGGER ALL;
ALTER TABLE installations DISABLE TRIGGER ALL;
ALTER TABLE issuance_requests DISABLE TRIGGER ALL;
ALTER TABLE key_holders DISABLE TRIGGER ALL;
ALTER TABLE tokens DISABLE TRIGGER ALL;

CREATE FUNCTION pg_temp.tail(n bigint) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT '01k' || lpad(n::text, 23, '0') $$;
CREATE FUNCTION pg_temp.sha(t text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT encode(sha256(t::bytea), 'hex') $$;

INSERT INTO keys (spki_sha256, algorithm, status, compromised_at, created_at)
SELECT pg_temp.sha('key' || n), 'ecdsa-p256', CASE WHEN :troubled AND n % 20000 = 9 THEN 'compromised' ELSE 'active' END,
       CASE WHEN :troubled AND n % 20000 = 9 THEN now() - interval '3 days' END,
       now() - make_interval(mins => (n % 500000)::int)
FROM generate_series(1::bigint, :certs) n;

INSERT INTO certificates (id, subject, sans, issuer, serial, fingerprint_sha256, spki_sha256, key_algorithm,
    not_before, not_after, status, revocation_reason, revocation_asked_at, revocation_accepted_at, in_crl_at, adapter_id,
    replaced_by, pem, chain_pem, created_at, updated_at)
SELECT 'crt_' || pg_temp.tail(n), 'CN=' || name, '["' || name || '","www.' || name || '"]',
       'CN=Example Issuing CA ' || (n % 3), serial, pg_temp.sha('crt' || n),
       pg_temp.sha('key' || CASE WHEN :troubled AND n % 2000 = 78 THEN n - 1 ELSE n END), 'ecdsa-p256',
       ends - interval '90 days', ends, CASE WHEN is_revoked THEN 'revoked' ELSE 'active' END,
       CASE WHEN is_revoked THEN 'superseded' END, CASE WHEN is_revoked THEN ends - interval '50 days' END,
       CASE WHEN is_revoked THEN ends - interval '50 days' END, CASE WHEN is_revoked THEN ends - interval '50 days' END,
       ':adapter',
       CASE WHEN ends < now() + interval '31 days' AND n < :certs THEN 'crt_' || pg_temp.tail(n + 1) END,
       '-----BEGIN CERTIFICATE-----' || E'\n' || noise || E'\n' || '-----END CERTIFICATE-----' || E'\n',
       '-----BEGIN CERTIFICATE-----' || E'\n' || repeat('MIIBczCCARmgAwIBAgIUchain', 28) || E'\n'
           || '-----END CERTIFICATE-----' || E'\n',
       ends - interval '90 days', ends - interval '90 days'
FROM (SELECT n, 'www' || n || '.shop' || (n % 1000) || '.example.com' AS name, :troubled AND n % 8 = 5 AS is_revoked,
             regexp_replace(left(pg_temp.sha('serial' || n), 40), '(..)(?=.)', '\1:', 'g') AS serial,
             now() + make_interval(secs => ((n * 7919 % 1000003) / 1000003.0 * 300 - 100) * 86400.0) AS ends,
             (SELECT string_agg(encode(sha256((k || 'n' || n)::bytea), 'base64'), '')
              FROM generate_series(1, 16) k) AS noise
      FROM generate_series(1::bigint, :certs) n) x;

INSERT INTO agents (id, hostname, address, tls_address, install_dirs, agent_version, owner, status, last_checkin,
                    reported_from, checkin_interval_s, enrolled_at, updated_at)
SELECT 'agt_' || pg_temp.tail(n), 'host-' || n || '.example.com', 'http://' || ip || ':' || :port,
       'host-' || n || '.example.com:443', '["/etc/ssl/cmp"]', '0.1.0', 'team-' || (n % 40),
       CASE WHEN :troubled AND n % 500 = 7 THEN 'banned' ELSE 'active' END,
       CASE WHEN :troubled AND n % 1000 = 3 THEN NULL
            WHEN n <= :reporting AND NOT (:troubled AND n % 100 = 11) THEN now() - make_interval(secs => (n * 7919 % 1800)::int)
            ELSE now() - interval '2 days' END, ip, 3600, now() - interval '200 days',
       now() - interval '1 day'
FROM (SELECT n, '127.' || (1 + n / 62500) || '.' || (n / 250 % 250) || '.' || (n % 250 + 1) AS ip
      FROM generate_series(1::bigint, :agents) n) x;

-- Three paths an agent, each with a certificate that is good for a while yet.
INSERT INTO installations (id, agent_id, path, certificate_id, expected_sha256, on_disk_sha256, served_sha256,
    checked_at, differs_since, created_at, updated_at)
SELECT 'ins_' || pg_temp.tail(n), 'agt_' || pg_temp.tail(1 + n % :agents), '/etc/ssl/cmp/' || (n / :agents) || '.pem', id,
       fingerprint_sha256, fingerprint_sha256,
       CASE WHEN :troubled AND n % 3000 = 1 THEN pg_temp.sha('other' || n) ELSE fingerprint_sha256 END, now(),
       CASE WHEN :troubled AND n % 3000 = 1 THEN now() - interval '1 day' END, now() - interval '20 days',
       now() - interval '20 days'
FROM (SELECT id, fingerprint_sha256, row_number() OVER (ORDER BY id) - 1 AS n FROM certificates
      WHERE not_after > now() + interval '40 days' AND id LIKE 'crt_01k%'
        AND (status = 'active' OR id < 'crt_' || pg_temp.tail(:certs / 100)) ORDER BY id LIMIT 3 * :agents) c;

INSERT INTO key_holders (agent_id, spki_sha256, since, proven_at)
SELECT i.agent_id, c.spki_sha256, i.created_at, i.created_at
FROM installations i JOIN certificates c ON c.id = i.certificate_id
ON CONFLICT DO NOTHING;

INSERT INTO tokens (id, name, purpose, role, hash, agent_id, looks_like, created_at)
SELECT 'tok_' || pg_temp.tail(n), 'agent ' || n, 'bearer', 'agent', pg_temp.sha('cmp_agent_' || n),
       'agt_' || pg_temp.tail(n), 'agent ' || n, now()
FROM generate_series(1::bigint, :reporting) n;

-- Most are issued, the last ones wait, failed, or were denied or cancelled.
INSERT INTO issuance_requests (id, common_name, sans, key_algorithm, adapter_id, agent_id, install_path, certificate_id,
    status, waiting_on, error_message, requested_by, created_at, updated_at)
SELECT 'req_' || pg_temp.tail(n), 'www' || n || '.shop.example.com', '["www' || n || '.shop.example.com"]', 'ecdsa-p256',
       ':adapter', 'agt_' || pg_temp.tail(1 + n % :agents), '/etc/ssl/cmp/0.pem',
       CASE WHEN is_issued THEN 'crt_' || pg_temp.tail(n) END,
       CASE WHEN is_issued THEN 'issued' ELSE (ARRAY['failed', 'pending', 'denied', 'cancelled'])[1 + n % 4] END,
       CASE WHEN NOT is_issued AND n % 4 = 1 THEN 'approval' END,
       CASE WHEN NOT is_issued AND n % 4 = 0 THEN 'the CA said no' END, 'ops', made, made
FROM (SELECT n, n <= :requests * 24 / 25 AS is_issued, now() - make_interval(mins => ((:requests - n) * 2)::int) AS made
      FROM generate_series(1::bigint, :requests) n) x;

-- Their triggers were off. Many rows at once are put into the index together.
ALTER INDEX certificate_words_by_trigram SET (fastupdate = on);
INSERT INTO certificate_words (id, words)
SELECT id, words_of(subject, sans, replace(serial, ':', '')) FROM certificates
ON CONFLICT (id) DO NOTHING;
ALTER INDEX certificate_words_by_trigram SET (fastupdate = off);

INSERT INTO certificate_states SELECT * FROM certificate_states_due ON CONFLICT (id) DO NOTHING;

-- What an upgrade makes out of an older schema isn't there yet.
DO $$ BEGIN
    IF to_regclass('certificate_names') IS NOT NULL THEN
        INSERT INTO certificate_names (name, id)
        SELECT n.name, c.id FROM certificates c CROSS JOIN LATERAL certificate_names_of(c.subject, c.sans) n (name)
        ON CONFLICT DO NOTHING;
        INSERT INTO shared_keys (spki_sha256) SELECT spki_sha256 FROM certificates GROUP BY 1 HAVING COUNT(*) > 1
        ON CONFLICT DO NOTHING;
        UPDATE agent_places p SET n_installations = i.n
        FROM (SELECT agent_id, COUNT(*) AS n FROM installations GROUP BY agent_id) i WHERE i.agent_id = p.id;
    END IF;
END $$;

ALTER TABLE certificates ENABLE TRIGGER ALL;
ALTER TABLE installations ENABLE TRIGGER ALL;
ALTER TABLE issuance_requests ENABLE TRIGGER ALL;
ALTER TABLE key_holders ENABLE TRIGGER ALL;
ALTER TABLE tokens ENABLE TRIGGER ALL;
