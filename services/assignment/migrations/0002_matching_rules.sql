-- What the matching rules need: each city's settings of them, partners' ratings, cash limits and networks, the merchants'
-- lists of partners, and which rules a window did without.

-- rules: rule name -> {"enabled", "weight", "parameters"}; speeds: [{"vehicle", "speed_m_per_s"}]. What is absent is the
-- default of the code that reads it.
ALTER TABLE assignment.cities
  ADD COLUMN rules jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(rules) = 'object'),
  ADD COLUMN speeds jsonb NOT NULL DEFAULT '[]' CHECK (jsonb_typeof(speeds) = 'array');

ALTER TABLE assignment.partners
  ADD COLUMN rating double precision CHECK (rating BETWEEN 0 AND 5),
  -- INR; NULL for no limit.
  ADD COLUMN cash_limit_minor bigint CHECK (cash_limit_minor >= 0),
  -- Empty for the company's own partners. No reference: a network is known from the first word about its health on.
  ADD COLUMN network_code text NOT NULL DEFAULT '';

CREATE TABLE assignment.partner_networks (
  code text PRIMARY KEY,
  health double precision NOT NULL CHECK (health BETWEEN 0 AND 1),
  note text NOT NULL DEFAULT '',
  version bigint NOT NULL DEFAULT 1,
  updated_at timestamptz NOT NULL
);

-- One row a merchant. Partners are never deleted, and whoever writes these lists checks that they exist.
CREATE TABLE assignment.merchant_partners (
  merchant_id uuid PRIMARY KEY REFERENCES assignment.merchants (id),
  allowed uuid[] NOT NULL,
  denied uuid[] NOT NULL,
  version bigint NOT NULL,
  updated_at timestamptz NOT NULL,
  CONSTRAINT merchant_partners_disjoint CHECK (NOT allowed && denied)
);

-- [{"rule", "problem", "package_id", "partner_id"}]
ALTER TABLE assignment.windows
  ADD COLUMN rule_faults jsonb NOT NULL DEFAULT '[]' CHECK (jsonb_typeof(rule_faults) = 'array');

-- What partners hold as cash on delivery: a delivery is theirs in exactly these states.
CREATE INDEX deliveries_cash ON assignment.deliveries (city_code, partner_id) INCLUDE (cash_on_delivery_minor)
  WHERE cash_on_delivery_minor > 0 AND cash_on_delivery_currency = 'INR'
    AND state IN ('offered', 'assigned', 'picked_up', 'out_for_delivery', 'attempt_failed', 'returning');
-- What partners have completed in their shifts.
CREATE INDEX offers_completed ON assignment.offers (city_code, ended_at) INCLUDE (partner_id) WHERE state = 'completed';

ALTER TABLE assignment.merchant_partners ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON assignment.merchant_partners TO assignment_tenant
  USING (merchant_id = ANY (assignment.current_merchant_ids()));
CREATE POLICY operator ON assignment.merchant_partners TO assignment_operator USING (true);
GRANT SELECT, INSERT, UPDATE ON assignment.merchant_partners TO assignment_tenant, assignment_operator;
GRANT SELECT, INSERT, UPDATE ON assignment.partner_networks TO assignment_operator;
