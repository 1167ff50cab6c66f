-- What nodes that share the store count together.

-- Requests that may be under way at a service: as many rows as its concurrency. Whoever has one has it until then.
CREATE TABLE permit (
  service     text COLLATE "C" NOT NULL,
  slot        int NOT NULL CHECK (slot >= 0),
  node        text COLLATE "C",
  incarnation uuid,
  until       timestamptz NOT NULL DEFAULT '-infinity',
  PRIMARY KEY (service, slot)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02);
