-- The notification service's tables, roles and row-level security.
--
-- Roles as the assignment service has them: notification_tenant sees the merchants named in the transaction's
-- lastmile.merchant_ids and nothing else, notification_operator every merchant, and their readers the same without changing
-- it. The api logs in as notification_api, which inherits neither; planner and sender log in as notification_worker.
--
-- Columns that end in _sealed hold what only the service's vault can open; those that end in _hash, its keyed hashes.
DO $$
DECLARE role_name text;
BEGIN
  FOREACH role_name IN ARRAY ARRAY['notification_tenant', 'notification_operator', 'notification_tenant_reader',
    'notification_operator_reader', 'notification_api', 'notification_query', 'notification_fallback', 'notification_worker'] LOOP
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role_name) THEN
      EXECUTE format('CREATE ROLE %I NOLOGIN', role_name);
    END IF;
  END LOOP;
END $$;
ALTER ROLE notification_api NOINHERIT;
ALTER ROLE notification_query NOINHERIT;
ALTER ROLE notification_fallback NOINHERIT CONNECTION LIMIT 8;
ALTER ROLE notification_query SET default_transaction_read_only = on;
ALTER ROLE notification_fallback SET default_transaction_read_only = on;
GRANT notification_tenant, notification_operator TO notification_api WITH INHERIT FALSE, SET TRUE;
GRANT notification_tenant_reader, notification_operator_reader TO notification_query, notification_fallback
  WITH INHERIT FALSE, SET TRUE;
GRANT notification_operator TO notification_worker WITH INHERIT TRUE, SET TRUE;
GRANT USAGE ON SCHEMA notification TO notification_tenant, notification_operator, notification_tenant_reader,
  notification_operator_reader, notification_api;

CREATE FUNCTION notification.current_merchant_ids() RETURNS uuid[] LANGUAGE sql STABLE PARALLEL SAFE
RETURN string_to_array(nullif(current_setting('lastmile.merchant_ids', true), ''), ',')::uuid[];

-- Words are text with a check, not enums: their comparison is leakproof, so a tenant's query finds them in an index.
CREATE DOMAIN notification.channel AS text CHECK (VALUE IN ('sms', 'email', 'webhook'));
CREATE DOMAIN notification.audience AS text CHECK (VALUE IN ('customer', 'merchant', 'partner', 'ops'));
CREATE DOMAIN notification.message_state AS text CHECK (
  VALUE IN ('planned', 'sending', 'sent', 'delivered', 'failed', 'outcome_unknown', 'suppressed'));

CREATE TABLE notification.seen_events (consumer text, event_id uuid, PRIMARY KEY (consumer, event_id));

-- What the planner has learnt from events, for the words of messages.
CREATE TABLE notification.merchants (id uuid PRIMARY KEY, name text NOT NULL);
CREATE TABLE notification.cities (code text PRIMARY KEY, name text NOT NULL, time_zone text NOT NULL);

CREATE TABLE notification.recipients (
  id uuid PRIMARY KEY,
  audience notification.audience NOT NULL,
  -- Whose customer, or which merchant; none for partners and ops.
  merchant_id uuid,
  -- The merchant or partner itself; all zeros for ops.
  owner_id uuid,
  -- A customer is known again by its phone number, or by its e-mail address where it has none.
  lookup_hash bytea,
  name_sealed bytea NOT NULL,
  language text NOT NULL,
  time_zone text NOT NULL,
  quiet_from_min integer NOT NULL CHECK (quiet_from_min BETWEEN 0 AND 1439),
  quiet_until_min integer NOT NULL CHECK (quiet_until_min BETWEEN 0 AND 1439),
  opted_out text[] NOT NULL DEFAULT '{}',
  muted_statuses text[] NOT NULL DEFAULT '{}',
  version bigint NOT NULL DEFAULT 1,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  CONSTRAINT recipient_customer CHECK ((audience = 'customer') = (lookup_hash IS NOT NULL)),
  CONSTRAINT recipient_owner CHECK ((audience = 'customer') = (owner_id IS NULL)),
  CONSTRAINT recipient_merchant CHECK ((audience IN ('customer', 'merchant')) = (merchant_id IS NOT NULL)),
  CONSTRAINT recipient_by_lookup UNIQUE (merchant_id, lookup_hash),
  CONSTRAINT recipient_by_owner UNIQUE (audience, owner_id)
);

CREATE TABLE notification.addresses (
  recipient_id uuid NOT NULL REFERENCES notification.recipients (id),
  channel notification.channel NOT NULL,
  merchant_id uuid,
  address_sealed bytea NOT NULL,
  address_hash bytea NOT NULL,
  -- What may be told of together waits until then.
  next_digest_at timestamptz NOT NULL DEFAULT '-infinity',
  PRIMARY KEY (recipient_id, channel)
);

-- Addresses that nothing is sent to, whoever's they are.
CREATE TABLE notification.suppressions (
  id uuid PRIMARY KEY,
  channel notification.channel NOT NULL,
  address_hash bytea NOT NULL,
  address_sealed bytea NOT NULL,
  reason text NOT NULL,
  created_at timestamptz NOT NULL,
  CONSTRAINT suppression_by_address UNIQUE (channel, address_hash)
);

-- Whom a delivery concerns.
CREATE TABLE notification.deliveries (
  id uuid PRIMARY KEY,
  merchant_id uuid NOT NULL,
  customer_id uuid REFERENCES notification.recipients (id),
  city_code text NOT NULL,
  reference text NOT NULL,
  drop_from timestamptz NOT NULL,
  drop_until timestamptz NOT NULL
);

CREATE TABLE notification.templates (
  id uuid PRIMARY KEY,
  -- All zeros for the company's own.
  merchant_id uuid NOT NULL,
  status text NOT NULL,
  audience notification.audience NOT NULL,
  channel notification.channel NOT NULL,
  language text NOT NULL,
  version bigint NOT NULL CHECK (version > 0),
  subject text NOT NULL,
  body text NOT NULL,
  created_at timestamptz NOT NULL,
  retired_at timestamptz,
  CONSTRAINT template_by_use UNIQUE (merchant_id, status, audience, channel, language, version)
);
CREATE INDEX templates_by_merchant ON notification.templates (merchant_id, id);
CREATE INDEX templates_in_use ON notification.templates (id) WHERE retired_at IS NULL;

CREATE TABLE notification.messages (
  id uuid PRIMARY KEY,
  recipient_id uuid NOT NULL REFERENCES notification.recipients (id),
  delivery_id uuid NOT NULL,
  status text NOT NULL,
  channel notification.channel NOT NULL,
  merchant_id uuid,
  audience notification.audience NOT NULL,
  language text NOT NULL,
  -- Nothing personal: the reference, times, why an attempt failed.
  variables jsonb NOT NULL,
  -- 0 is sent first.
  priority smallint NOT NULL,
  -- May be told of together with others.
  digestible boolean NOT NULL,
  state notification.message_state NOT NULL,
  reason text NOT NULL DEFAULT '',
  planned_at timestamptz NOT NULL,
  send_after timestamptz NOT NULL,
  -- Of no use to its recipient after this.
  expires_at timestamptz NOT NULL,
  attempts integer NOT NULL DEFAULT 0,
  -- How often all providers were asked in vain.
  rounds integer NOT NULL DEFAULT 0,
  -- The last attempt, and who was asked.
  attempt_id uuid,
  provider text NOT NULL DEFAULT '',
  -- The providers that certainly did not send it in this round.
  refused_by text[] NOT NULL DEFAULT '{}',
  -- Who asked for it to be sent again; empty for what was planned.
  requested_by text NOT NULL DEFAULT '',
  updated_at timestamptz NOT NULL,
  -- Promise 5.
  CONSTRAINT one_message UNIQUE (recipient_id, delivery_id, status, channel)
);
CREATE INDEX messages_by_delivery ON notification.messages (delivery_id, id);
CREATE INDEX messages_by_recipient ON notification.messages (recipient_id, id);
-- The senders' queues.
CREATE INDEX messages_to_send ON notification.messages (channel, priority, send_after)
  WHERE state = 'planned' AND NOT digestible;
CREATE INDEX messages_to_digest ON notification.messages (channel, recipient_id, send_after)
  WHERE state = 'planned' AND digestible;

-- Every try to send a message: written and committed before the provider is asked. A digest is one try of many messages.
CREATE TABLE notification.attempts (
  id uuid NOT NULL,
  message_id uuid NOT NULL REFERENCES notification.messages (id),
  merchant_id uuid,
  channel notification.channel NOT NULL,
  provider text NOT NULL,
  provider_message_id text,
  state notification.message_state NOT NULL,
  error text NOT NULL DEFAULT '',
  requested_by text NOT NULL,
  -- The words, as JSON with subject and body.
  content_sealed bytea NOT NULL,
  started_at timestamptz NOT NULL,
  -- Whoever was to send it has done so, or is dead, by then.
  lease_until timestamptz NOT NULL,
  ended_at timestamptz,
  -- When the provider is next asked what became of it.
  next_look_at timestamptz,
  PRIMARY KEY (id, message_id)
);
CREATE INDEX attempts_by_message ON notification.attempts (message_id, id);
CREATE INDEX attempts_by_provider_id ON notification.attempts (provider_message_id) WHERE provider_message_id IS NOT NULL;
CREATE INDEX attempts_open ON notification.attempts (lease_until) WHERE state = 'sending';
CREATE INDEX attempts_unknown ON notification.attempts (next_look_at) WHERE next_look_at IS NOT NULL;

-- Receipts that were taken: the same one again is a replay.
CREATE TABLE notification.receipts (
  digest bytea PRIMARY KEY,
  received_at timestamptz NOT NULL
);
CREATE INDEX receipts_by_age ON notification.receipts (received_at);

-- Where merchants' systems listen: their URLs are addresses.
CREATE TABLE notification.webhooks (
  merchant_id uuid PRIMARY KEY,
  secret_sealed bytea NOT NULL,
  -- The secret before, which signs too until then.
  previous_sealed bytea,
  previous_until timestamptz,
  -- Messages in a row that failed for good.
  failures integer NOT NULL,
  disabled_at timestamptz,
  updated_at timestamptz NOT NULL
);

-- Where messages go that no provider is configured for.
CREATE TABLE notification.inbox (
  -- The attempt's.
  id uuid PRIMARY KEY,
  merchant_id uuid,
  channel notification.channel NOT NULL,
  address_sealed bytea NOT NULL,
  content_sealed bytea NOT NULL,
  received_at timestamptz NOT NULL
);
CREATE INDEX inbox_by_merchant ON notification.inbox (merchant_id, id);

DO $$
DECLARE table_name text;
BEGIN
  FOREACH table_name IN ARRAY ARRAY['recipients', 'addresses', 'templates', 'messages', 'attempts', 'inbox', 'webhooks'] LOOP
    EXECUTE format('ALTER TABLE notification.%I ENABLE ROW LEVEL SECURITY', table_name);
    EXECUTE format('CREATE POLICY tenant ON notification.%I TO notification_tenant USING (merchant_id = ANY (notification.current_merchant_ids()))', table_name);
    EXECUTE format('CREATE POLICY operator ON notification.%I TO notification_operator USING (true)', table_name);
    EXECUTE format('CREATE POLICY tenant_reads ON notification.%I FOR SELECT TO notification_tenant_reader USING (merchant_id = ANY (notification.current_merchant_ids()))', table_name);
    EXECUTE format('CREATE POLICY operator_reads ON notification.%I FOR SELECT TO notification_operator_reader USING (true)', table_name);
  END LOOP;
END $$;

-- Least privilege: a merchant's transactions write what a merchant may write.
GRANT SELECT, INSERT, UPDATE ON notification.recipients, notification.addresses, notification.templates TO notification_tenant;
GRANT SELECT, UPDATE ON notification.messages TO notification_tenant;
GRANT SELECT ON notification.inbox TO notification_tenant;
GRANT SELECT, INSERT, UPDATE, DELETE ON notification.webhooks TO notification_tenant, notification_operator;
GRANT DELETE ON notification.addresses TO notification_tenant, notification_operator;
-- Whether an address is suppressed, not whose else it is.
GRANT SELECT ON notification.suppressions TO notification_tenant, notification_tenant_reader;
GRANT SELECT, INSERT, UPDATE ON notification.merchants, notification.cities, notification.recipients, notification.addresses,
  notification.deliveries, notification.templates, notification.messages, notification.attempts
  TO notification_operator;
GRANT SELECT, INSERT, DELETE ON notification.seen_events, notification.suppressions, notification.receipts,
  notification.inbox TO notification_operator;
GRANT SELECT ON notification.recipients, notification.addresses, notification.templates, notification.messages,
  notification.attempts, notification.inbox, notification.webhooks TO notification_tenant_reader, notification_operator_reader;
GRANT SELECT ON notification.suppressions TO notification_operator_reader;
