-- Messages of brokers that could not be taken as reports. Numbers are in the order of coming and are not given out
-- again; `id` is the place at the broker, `name` what people call it by.
CREATE TABLE rejected (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  name TEXT NOT NULL UNIQUE,
  size INTEGER NOT NULL,
  way TEXT NOT NULL,
  place TEXT NOT NULL,
  source TEXT,
  event_id TEXT,
  saga TEXT,
  code TEXT NOT NULL,
  detail TEXT NOT NULL,
  rejected_at INTEGER NOT NULL,
  sent_at INTEGER,
  cut INTEGER NOT NULL,
  headers TEXT NOT NULL,
  body BLOB NOT NULL
) STRICT;
-- What is counted, and what goes first, without a look at any body.
CREATE INDEX rejected_sizes ON rejected (number, size);
CREATE INDEX rejected_by_time ON rejected (rejected_at);
CREATE INDEX rejected_by_saga ON rejected (saga) WHERE saga IS NOT NULL;
