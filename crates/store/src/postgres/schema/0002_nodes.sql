-- Several nodes share the store. Nodes of before go on beside this: nothing that they name is changed.

-- The oldest version of the program's tables that can work on these.
ALTER TABLE amends.schema ADD COLUMN oldest int NOT NULL DEFAULT 1;

-- Gives back what it holds, and takes nothing more.
ALTER TABLE node ADD COLUMN leaving boolean NOT NULL DEFAULT false;

-- Case numbers of a part are sequence * 64 + part; sequences up to last_seq may have been given out. orderly: the part was
-- given back before its present owner took it.
ALTER TABLE lease ADD COLUMN last_seq bigint NOT NULL DEFAULT 0, ADD COLUMN orderly boolean NOT NULL DEFAULT false;

-- What nodes leave for whoever holds a part. It is read by transaction, in the order in which those began.
CREATE TABLE inbox (
  partition smallint NOT NULL CHECK (partition BETWEEN 0 AND 64),
  xid       bigint NOT NULL DEFAULT (pg_current_xact_id()::text::bigint),
  seq       bigint GENERATED ALWAYS AS IDENTITY,
  id        uuid NOT NULL,
  kind      text COLLATE "C" NOT NULL,
  body      text NOT NULL,
  sent_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (partition, xid, seq),
  CONSTRAINT inbox_id UNIQUE (id)
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);
