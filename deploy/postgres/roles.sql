-- The two accounts that work with the database, with no more rights than they need:
--
--   cmp_server   for `cmp-server`: reads and writes, but the audit trail it only appends to
--   cmp_console  for people and the console: reads, and nothing that a secret could be made of
--
-- Run it as a superuser, in the database, after `cmp-server --migrate-only` was run as the schema's owner,
-- and again after each upgrade:
--
--   psql -d cmp_db -f deploy/postgres/roles.sql
--
-- It can be run any number of times. The accounts get no password here: `\password cmp_server`.

\set ON_ERROR_STOP on
BEGIN;

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'cmp_server') THEN
        CREATE ROLE cmp_server LOGIN NOINHERIT;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'cmp_console') THEN
        CREATE ROLE cmp_console LOGIN NOINHERIT;
    END IF;
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO cmp_server, cmp_console', current_database());
    -- Before PostgreSQL 15 everybody may make tables here; its owner still has to.
    EXECUTE format('GRANT CREATE ON SCHEMA public TO %I',
        (SELECT tableowner FROM pg_tables WHERE schemaname = 'public' AND tablename = 'adapters'));
END $$;
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO cmp_server, cmp_console;

-- A second look at what the grants say: whatever a person types there, nothing is changed, and no
-- statement goes on for ever.
ALTER ROLE cmp_console SET default_transaction_read_only = on;
ALTER ROLE cmp_console SET statement_timeout = '15s';

-- What an earlier version of this file granted is taken back first.
REVOKE ALL ON ALL TABLES IN SCHEMA public FROM cmp_server, cmp_console;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA public FROM cmp_server, cmp_console;

GRANT SELECT, INSERT, UPDATE, DELETE ON
    adapters, agents, keys, key_holders, certificates, installations, issuance_requests, jobs, tokens,
    idempotency, clocks_off, workers, runs, run_steps, agent_words, certificate_words, certificate_states, request_words
TO cmp_server;
-- Their triggers write the tables among these, as their owner.
GRANT SELECT ON certificate_states_due, agent_places, certificate_names, shared_keys, audit_words TO cmp_server;
GRANT EXECUTE ON FUNCTION certificate_states_keep(text[]), json_each(text) TO cmp_server;
-- No UPDATE, DELETE or TRUNCATE; its months' partitions are reached through it only.
GRANT SELECT, INSERT ON audit_logs TO cmp_server;
-- The chain's head is moved by the trigger, and partitions are made by the function, as their owner.
GRANT SELECT ON audit_head, _sqlx_migrations, schema_steps TO cmp_server;
GRANT EXECUTE ON FUNCTION audit_head_hold(), audit_logs_make_partitions(timestamptz, integer) TO cmp_server;

-- Neither the hashes in `tokens` nor `idempotency` (answers as they were given).
GRANT SELECT ON
    adapters, agents, keys, key_holders, certificates, installations, issuance_requests, jobs, clocks_off, workers,
    runs, run_steps, audit_logs, audit_head, agent_words, agent_places, certificate_words, certificate_names,
    certificate_states, request_words, shared_keys, audit_words, _sqlx_migrations, schema_steps
TO cmp_console;
GRANT EXECUTE ON FUNCTION json_each(text) TO cmp_console;
-- Knowledge that an agent has a token at all.
GRANT SELECT (agent_id, purpose, expires_at, revoked_at) ON tokens TO cmp_console;

COMMIT;
