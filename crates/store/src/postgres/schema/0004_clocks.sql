-- When a node showed itself last, and how many milliseconds the database's clock is ahead of its own.
ALTER TABLE node
  ADD COLUMN beaten_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  ADD COLUMN offset_ms bigint;
