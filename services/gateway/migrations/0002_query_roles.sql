-- Looking keys up is a query: it logs in as roles that can read them, and nothing else. gateway_query does so on the
-- standby, gateway_fallback on the primary, with a limit for all gateways together.
DO $$
DECLARE role_name text;
BEGIN
  FOREACH role_name IN ARRAY ARRAY['gateway_query', 'gateway_fallback'] LOOP
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role_name) THEN
      EXECUTE format('CREATE ROLE %I NOLOGIN', role_name);
    END IF;
  END LOOP;
END $$;
ALTER ROLE gateway_fallback CONNECTION LIMIT 16;
ALTER ROLE gateway_query SET default_transaction_read_only = on;
ALTER ROLE gateway_fallback SET default_transaction_read_only = on;
GRANT USAGE ON SCHEMA gateway TO gateway_query, gateway_fallback;
GRANT SELECT ON gateway.api_keys TO gateway_query, gateway_fallback;
