-- The relay reads messages out of the log, and no table: its publication is empty.
DO $$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'relay') THEN
    CREATE ROLE relay NOLOGIN;
  END IF;
END $$;
GRANT USAGE ON SCHEMA relay TO relay;
CREATE PUBLICATION lastmile_events;

-- Every slot that events were ever read through. One that is here and is no longer a slot was lost.
CREATE TABLE relay.epochs (
  epoch bigint PRIMARY KEY,
  created_at timestamptz NOT NULL,
  -- Since when Redis is known to keep the epoch's streams; a Redis without them has lost them.
  begun_at timestamptz
);
GRANT SELECT, INSERT, UPDATE ON relay.epochs TO relay;
