-- What would get an unassigned delivery a partner, with its explanation. No kinds tried: nobody has looked yet.
ALTER TABLE assignment.explanations
  ADD COLUMN remedies jsonb NOT NULL DEFAULT '[]',
  ADD COLUMN remedies_tried text[] NOT NULL DEFAULT '{}';

-- Where a live offer's pickup and drop stand in its partner's route: the stops in the order of their ranks. A new stop
-- gets a rank between its neighbours, so that no other stop ever moves. Old code, which knows no ranks, gets rising ones
-- far behind all others: what it offers comes last.
CREATE SEQUENCE assignment.route_ranks START 1000000000;
GRANT USAGE ON SEQUENCE assignment.route_ranks TO assignment_operator;
ALTER TABLE assignment.offers
  ADD COLUMN pickup_rank double precision,
  ADD COLUMN drop_rank double precision,
  ADD CONSTRAINT offer_ranks CHECK (pickup_rank < drop_rank);
ALTER TABLE assignment.offers
  ALTER COLUMN pickup_rank SET DEFAULT nextval('assignment.route_ranks'),
  ALTER COLUMN drop_rank SET DEFAULT nextval('assignment.route_ranks');
-- What partners hold now, in the order in which it was offered.
UPDATE assignment.offers o SET pickup_rank = 2 * r.place - 1, drop_rank = 2 * r.place
FROM (SELECT id, row_number() OVER (PARTITION BY partner_id ORDER BY id) AS place
  FROM assignment.offers WHERE ended_at IS NULL) AS r
WHERE o.id = r.id;
CREATE INDEX offers_on_route ON assignment.offers (partner_id) WHERE ended_at IS NULL;

-- How many bundles of several parcels a window assigned.
ALTER TABLE assignment.windows ADD COLUMN bundles integer NOT NULL DEFAULT 0;
