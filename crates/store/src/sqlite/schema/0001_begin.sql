-- Cases and all that hangs on them. docs/internals/store.md explains the choices.
-- Times are UTC milliseconds. Words are small numbers, written down in codes.rs.
-- `key` of reports and steps is case * 2^20 + position (or ordinal): a case's rows lie together, no index is needed.

CREATE TABLE cases (
  id            INTEGER PRIMARY KEY,
  state         INTEGER NOT NULL,
  opened_at     INTEGER NOT NULL,
  updated_at    INTEGER NOT NULL,
  settled_at    INTEGER,
  closed_on     INTEGER,
  saga          TEXT NOT NULL UNIQUE,
  rulebook      TEXT,
  rulebook_hash TEXT,
  report        TEXT NOT NULL,
  message       TEXT,
  memo          TEXT NOT NULL
) STRICT;

-- 3 is `settled`. Small whatever the age of the store: the start and the lists of unfinished work go by it.
CREATE INDEX cases_unsettled ON cases (state) WHERE state <> 3;

CREATE TABLE reports (
  key         INTEGER PRIMARY KEY,
  received_at INTEGER NOT NULL,
  role        INTEGER NOT NULL,
  role_arg    INTEGER,
  source      TEXT NOT NULL,
  id          TEXT NOT NULL,
  body        TEXT NOT NULL,
  UNIQUE (source, id)
) STRICT;

CREATE TABLE steps (
  key        INTEGER PRIMARY KEY,
  state      INTEGER NOT NULL,
  ending     INTEGER,
  verb       INTEGER NOT NULL,
  service    TEXT NOT NULL,
  action     TEXT NOT NULL,
  tag        INTEGER NOT NULL,
  stage      INTEGER NOT NULL,
  attempts   INTEGER NOT NULL,
  planned_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  due_at     INTEGER,
  until      INTEGER,
  location   TEXT,
  memo       TEXT NOT NULL
) STRICT;

CREATE TABLE attempts (
  step     INTEGER NOT NULL,
  attempt  INTEGER NOT NULL,
  sent_at  INTEGER NOT NULL,
  ended_at INTEGER NOT NULL,
  result   TEXT NOT NULL,
  status   INTEGER,
  message  TEXT,
  PRIMARY KEY (step, attempt)
) STRICT, WITHOUT ROWID;

CREATE TABLE acts (
  id      INTEGER PRIMARY KEY,
  at      INTEGER NOT NULL,
  actor   TEXT NOT NULL,
  act     TEXT NOT NULL,
  reason  TEXT NOT NULL,
  case_id INTEGER,
  step    TEXT,
  detail  TEXT NOT NULL
) STRICT;

CREATE INDEX acts_of_case ON acts (case_id) WHERE case_id IS NOT NULL;

CREATE TABLE sagas (
  saga     TEXT PRIMARY KEY,
  service  TEXT NOT NULL,
  action   TEXT,
  deadline INTEGER NOT NULL,
  state    INTEGER NOT NULL,
  data     TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX sagas_by_deadline ON sagas (state, deadline);

CREATE TABLE rulebooks (
  hash         TEXT PRIMARY KEY,
  name         TEXT NOT NULL,
  stored_at    INTEGER NOT NULL,
  activated_at INTEGER,
  active       INTEGER NOT NULL,
  sources      TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- At most one version of a name is active.
CREATE UNIQUE INDEX rulebooks_active ON rulebooks (name) WHERE active = 1;

-- Numbers that outlive the rows they came from.
CREATE TABLE marks (
  name  TEXT PRIMARY KEY,
  value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
