-- What would get an unassigned delivery a partner, with its explanation. No kinds tried: nobody has looked yet.
ALTER TABLE assignment.explanations
  ADD COLUMN remedies jsonb NOT NULL DEFAULT '[]',
  ADD COLUMN remedies_tried text[] NOT NULL DEFAULT '{}';

-- Where a live offer's pickup and drop stand in its partner's route: the stops in the order of their ranks. A new stop
-- gets a rank between its neighbours, so that no other stop ever moves. Offers from before have none, and come first in
-- the order in which they were made.
ALTER TABLE assignment.offers
  ADD COLUMN pickup_rank double precision,
  ADD COLUMN drop_rank double precision,
  ADD CONSTRAINT offer_ranks CHECK (pickup_rank < drop_rank);
-- What a partner still has to do.
CREATE INDEX offers_on_route ON assignment.offers (partner_id) WHERE ended_at IS NULL;
