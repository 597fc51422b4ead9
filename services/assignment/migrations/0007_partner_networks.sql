-- What goes to partner networks and comes back from them.

-- A network's health is the least of what ops say of it and of what its circuit lets through.
ALTER TABLE assignment.partner_networks
  ADD COLUMN circuit_share double precision NOT NULL DEFAULT 1 CHECK (circuit_share BETWEEN 0 AND 1),
  ADD COLUMN circuit_note text NOT NULL DEFAULT '';

-- 'offer': the network is to know of the offer. 'end': it is to know that the offer is over.
CREATE TYPE assignment.network_wish AS ENUM ('offer', 'end');
-- What the network knows: 'maybe' from the moment before a call until its outcome is known.
CREATE TYPE assignment.network_told AS ENUM ('nothing', 'maybe', 'offer', 'end');

-- An offer to a partner of a network whose API is called: a row each, written by a consumer of the events of offers and
-- worked off by dispatchers.
CREATE TABLE assignment.network_offers (
  offer_id uuid PRIMARY KEY,
  delivery_id uuid NOT NULL,
  partner_id uuid NOT NULL,
  network_code text NOT NULL,
  wish assignment.network_wish NOT NULL,
  -- Why it ended.
  reason text NOT NULL DEFAULT '',
  told assignment.network_told NOT NULL DEFAULT 'nothing',
  -- When there is something to tell; NULL when there is not.
  due_at timestamptz,
  -- A dispatcher is telling until then; one that dies is followed by another after it.
  leased_until timestamptz,
  attempts integer NOT NULL DEFAULT 0,
  last_error text NOT NULL DEFAULT '',
  -- The latest time that the network has told of the offer, by its own clock: what is told late is known by it.
  network_at timestamptz,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL
);
CREATE INDEX network_offers_due ON assignment.network_offers (network_code, due_at) WHERE due_at IS NOT NULL;
CREATE INDEX network_offers_open ON assignment.network_offers (network_code, offer_id) WHERE wish = 'offer';
CREATE INDEX network_offers_by_age ON assignment.network_offers (updated_at) WHERE due_at IS NULL;

-- Where the polling of a network's updates goes on.
CREATE TABLE assignment.network_cursors (
  network_code text PRIMARY KEY,
  cursor text NOT NULL,
  updated_at timestamptz NOT NULL
);

GRANT SELECT, INSERT, UPDATE, DELETE ON assignment.network_offers TO assignment_operator;
GRANT SELECT, INSERT, UPDATE ON assignment.network_cursors TO assignment_operator;
GRANT SELECT ON assignment.network_offers TO assignment_operator_reader;
