-- The gateway's only table: API keys, by their hash.
DO $$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'gateway') THEN
    CREATE ROLE gateway NOLOGIN;
  END IF;
END $$;
GRANT USAGE ON SCHEMA gateway TO gateway;

CREATE TABLE gateway.api_keys (
  id uuid PRIMARY KEY,
  key_sha256 bytea NOT NULL UNIQUE,
  name text NOT NULL,
  role text NOT NULL CHECK (role IN ('merchant', 'ops', 'partner')),
  merchant_id uuid,
  partner_id uuid,
  created_at timestamptz NOT NULL,
  expires_at timestamptz,
  revoked_at timestamptz,
  CONSTRAINT api_key_merchant CHECK ((role = 'merchant') = (merchant_id IS NOT NULL)),
  CONSTRAINT api_key_partner CHECK ((role = 'partner') = (partner_id IS NOT NULL))
);
GRANT SELECT, INSERT ON gateway.api_keys TO gateway;
GRANT UPDATE (revoked_at) ON gateway.api_keys TO gateway;
