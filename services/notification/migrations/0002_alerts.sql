-- Outages: alerts, what is learnt from events about whom they affect, and the merchants who want to be told.
CREATE TABLE notification.alerts (
  id uuid PRIMARY KEY,
  kind text NOT NULL CHECK (kind IN ('network', 'provider', 'queue', 'stream')),
  subject text NOT NULL,
  state text NOT NULL CHECK (state IN ('open', 'acknowledged', 'recovered')),
  symptoms text[] NOT NULL,
  what text NOT NULL,
  action text NOT NULL,
  -- Counts alone: nothing personal, no merchant's name.
  impact jsonb NOT NULL,
  since timestamptz NOT NULL,
  opened_at timestamptz NOT NULL,
  acknowledged_by text NOT NULL DEFAULT '',
  acknowledged_at timestamptz,
  recovered_at timestamptz,
  relapses integer NOT NULL DEFAULT 0 CHECK (relapses >= 0),
  version bigint NOT NULL CHECK (version > 0),
  CONSTRAINT alert_over CHECK ((state = 'recovered') = (recovered_at IS NOT NULL))
);
-- Of one outage one alert, however many alerters believe that they lead.
CREATE UNIQUE INDEX one_open_alert ON notification.alerts (kind, subject) WHERE state <> 'recovered';

-- Which partners are lent by a network.
CREATE TABLE notification.network_partners (
  partner_id uuid PRIMARY KEY,
  network_code text NOT NULL,
  version bigint NOT NULL
);
CREATE INDEX network_partners_by_network ON notification.network_partners (network_code) WHERE network_code <> '';

-- Offers that were taken back because their network was down.
CREATE TABLE notification.withdrawn_offers (
  offer_id uuid PRIMARY KEY,
  delivery_id uuid NOT NULL,
  merchant_id uuid NOT NULL,
  network_code text NOT NULL,
  withdrawn_at timestamptz NOT NULL,
  -- When the delivery was offered to somebody again.
  rematched_at timestamptz
);
CREATE INDEX withdrawn_offers_by_network ON notification.withdrawn_offers (network_code, withdrawn_at);
CREATE INDEX withdrawn_offers_unmatched ON notification.withdrawn_offers (delivery_id) WHERE rematched_at IS NULL;

-- Merchants who asked to be told of outages that affect them.
CREATE TABLE notification.outage_news (merchant_id uuid PRIMARY KEY, asked_at timestamptz NOT NULL);

ALTER TABLE notification.alerts ENABLE ROW LEVEL SECURITY;
CREATE POLICY operator ON notification.alerts TO notification_operator USING (true);
CREATE POLICY operator_reads ON notification.alerts FOR SELECT TO notification_operator_reader USING (true);
ALTER TABLE notification.outage_news ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON notification.outage_news TO notification_tenant USING (merchant_id = ANY (notification.current_merchant_ids()));
CREATE POLICY operator ON notification.outage_news TO notification_operator USING (true);
CREATE POLICY tenant_reads ON notification.outage_news FOR SELECT TO notification_tenant_reader USING (merchant_id = ANY (notification.current_merchant_ids()));
CREATE POLICY operator_reads ON notification.outage_news FOR SELECT TO notification_operator_reader USING (true);

GRANT SELECT, INSERT, UPDATE ON notification.alerts, notification.network_partners TO notification_operator;
GRANT SELECT, INSERT, UPDATE, DELETE ON notification.withdrawn_offers TO notification_operator;
GRANT DELETE ON notification.alerts TO notification_operator;
GRANT SELECT, INSERT, DELETE ON notification.outage_news TO notification_tenant, notification_operator;
GRANT SELECT ON notification.alerts TO notification_operator_reader;
GRANT SELECT ON notification.outage_news TO notification_tenant_reader, notification_operator_reader;
