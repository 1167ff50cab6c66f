-- History: the tables of a participant, in whatever language it is written. One process at a time has the file open.
PRAGMA locking_mode = EXCLUSIVE;  -- a second process would take the running requests of the first for abandoned ones
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;        -- what was committed survives a power cut

-- A row for each request that came (`service` is ''), and for each call that was made to another service.
CREATE TABLE IF NOT EXISTS history (
  seq         INTEGER PRIMARY KEY,
  service     TEXT NOT NULL,
  action      TEXT NOT NULL,
  id          TEXT NOT NULL,      -- request id
  saga        TEXT NOT NULL,
  state       TEXT NOT NULL,      -- started, succeeded, failed, unknown, compensated, fenced
  -- Of requests that came:
  fingerprint TEXT,               -- SHA-256 of action and body: the same id with other contents is refused
  body        TEXT,
  context     TEXT,               -- trace and baggage, passed on by a re-run as well
  status      INTEGER,            -- the answer, for whoever asks again; none while it runs, nor once it is undone
  answer      TEXT,
  report      TEXT,               -- id of the report about its failure
  UNIQUE (service, id)
);
CREATE INDEX IF NOT EXISTS history_by_saga ON history (saga);
CREATE INDEX IF NOT EXISTS history_unfinished ON history (seq) WHERE service = '' AND state = 'started';

-- Tombstones: nothing of the action takes effect in this saga any more. Never taken down.
CREATE TABLE IF NOT EXISTS fences (saga TEXT, action TEXT, PRIMARY KEY (saga, action));

-- How the supervisor's steps ended, for when they come again; also which notices went out.
CREATE TABLE IF NOT EXISTS steps (id TEXT PRIMARY KEY, saga TEXT, verb TEXT, action TEXT, outcome TEXT);
CREATE INDEX IF NOT EXISTS steps_by_saga ON steps (saga, verb, action);

-- Reports on their way to the supervisor, in order.
CREATE TABLE IF NOT EXISTS outbox (
  seq     INTEGER PRIMARY KEY,
  headers TEXT NOT NULL,
  data    TEXT NOT NULL,
  state   TEXT NOT NULL DEFAULT 'pending'  -- pending, sent, or dead: the supervisor will not take it
);
CREATE INDEX IF NOT EXISTS outbox_pending ON outbox (seq) WHERE state = 'pending';
