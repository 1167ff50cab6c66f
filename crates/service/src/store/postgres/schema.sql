-- The kit's own tables, next to the host's. All times are UTC milliseconds of the database's clock.

CREATE TABLE IF NOT EXISTS amends_schema (version BIGINT PRIMARY KEY);
INSERT INTO amends_schema (version) VALUES (1) ON CONFLICT DO NOTHING;

-- The one clock of all processes.
CREATE OR REPLACE FUNCTION amends_now() RETURNS BIGINT LANGUAGE sql VOLATILE AS
  'SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::BIGINT';

-- The processes that work, or worked, on this History.
CREATE TABLE IF NOT EXISTS amends_workers (
  worker  TEXT PRIMARY KEY,
  seen_at BIGINT NOT NULL
);

-- History: every request that this service received.
CREATE TABLE IF NOT EXISTS amends_requests (
  seq         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  request_id  TEXT NOT NULL UNIQUE,
  saga        TEXT NOT NULL,
  action      TEXT NOT NULL,
  fingerprint BYTEA NOT NULL,         -- SHA-256 of action and body
  body        TEXT NOT NULL,          -- JSON, as it came
  context     TEXT NOT NULL,          -- trace and baggage, JSON; passed on by a re-run
  state       TEXT NOT NULL,          -- a word of `HistoryState`
  worker      TEXT NOT NULL DEFAULT '',  -- the process that started it last
  run         BIGINT NOT NULL DEFAULT 1,  -- how often it was started; who holds a lower number has lost it
  status      INTEGER,                -- of the answer, once there is one
  answer      TEXT,                   -- JSON: the effect's value, or a problem
  report      TEXT,                   -- id of the report about its failure
  started_at  BIGINT NOT NULL,
  ended_at    BIGINT
);
CREATE INDEX IF NOT EXISTS amends_requests_by_saga ON amends_requests (saga, action);
CREATE INDEX IF NOT EXISTS amends_requests_unfinished ON amends_requests (seq) WHERE state = 'started';

-- Every call that this service made to others, written before it is sent and again when it is answered.
CREATE TABLE IF NOT EXISTS amends_calls (
  seq        BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  call_id    TEXT NOT NULL UNIQUE,    -- the request id that the other service sees
  saga       TEXT NOT NULL,
  parent     TEXT NOT NULL,           -- request id of the calling request
  service    TEXT NOT NULL,
  action     TEXT NOT NULL,
  state      TEXT NOT NULL,
  started_at BIGINT NOT NULL,
  ended_at   BIGINT
);
CREATE INDEX IF NOT EXISTS amends_calls_by_saga ON amends_calls (saga, parent);

-- Tombstones: no request of the action may take effect in this saga any more. Up also when the undo was refused.
CREATE TABLE IF NOT EXISTS amends_fences (
  saga     TEXT NOT NULL,
  action   TEXT NOT NULL,
  put_at   BIGINT NOT NULL,
  refused  BIGINT NOT NULL DEFAULT 0, -- originals that it turned away
  PRIMARY KEY (saga, action)
);
CREATE INDEX IF NOT EXISTS amends_fences_by_age ON amends_fences (put_at);

-- Outcomes of the supervisor's steps, by step id.
CREATE TABLE IF NOT EXISTS amends_steps (
  step_id TEXT PRIMARY KEY,
  saga    TEXT NOT NULL,
  verb    TEXT NOT NULL,
  action  TEXT NOT NULL,
  outcome TEXT NOT NULL,
  done_at BIGINT NOT NULL
);
CREATE INDEX IF NOT EXISTS amends_steps_by_saga ON amends_steps (saga);

-- Steps that were answered 202: without an outcome while their undo goes on, then with one that is told until the
-- supervisor has it.
CREATE TABLE IF NOT EXISTS amends_owed (
  step_id    TEXT NOT NULL PRIMARY KEY,
  saga       TEXT NOT NULL,
  action     TEXT NOT NULL,
  proof      TEXT,                     -- came with the step, and goes back with its outcome
  url        TEXT,                     -- where the outcome goes, if the step said so
  found      BIGINT NOT NULL DEFAULT 0,  -- 1: the undo had found an effect of an uncertain request
  outcome    TEXT,
  state      TEXT NOT NULL DEFAULT 'pending',  -- pending, told, dead
  owed_at    BIGINT NOT NULL,
  last_error TEXT
);
CREATE INDEX IF NOT EXISTS amends_owed_by_saga ON amends_owed (saga, action);
CREATE INDEX IF NOT EXISTS amends_owed_pending ON amends_owed (owed_at) WHERE state = 'pending';

-- Notices that went out, once per saga and notice.
CREATE TABLE IF NOT EXISTS amends_notices (
  saga    TEXT NOT NULL,
  notice  TEXT NOT NULL,
  sent_at BIGINT NOT NULL,
  PRIMARY KEY (saga, notice)
);

-- Reports on their way to the supervisor, in order within their saga. Each start of a relay makes dead ones pending once
-- more.
CREATE TABLE IF NOT EXISTS amends_outbox (
  seq         BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  report_id   TEXT NOT NULL UNIQUE,
  saga        TEXT NOT NULL,
  traceparent TEXT,
  happened_at BIGINT NOT NULL,
  data        TEXT NOT NULL,          -- JSON, the event's data
  state       TEXT NOT NULL DEFAULT 'pending',  -- pending, sent, dead
  tries       BIGINT NOT NULL DEFAULT 0,
  due_at      BIGINT NOT NULL DEFAULT 0,        -- not before; in the future while a try is under way
  claimed_by  TEXT,                   -- the process that tries, or tried last
  last_error  TEXT
);
CREATE INDEX IF NOT EXISTS amends_outbox_by_saga ON amends_outbox (saga, seq);
CREATE INDEX IF NOT EXISTS amends_outbox_pending ON amends_outbox (due_at, seq) WHERE state = 'pending';
CREATE INDEX IF NOT EXISTS amends_outbox_dead ON amends_outbox (seq) WHERE state = 'dead';
