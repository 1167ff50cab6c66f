-- Cases and all that hangs on them, in PostgreSQL. docs/internals/postgres.md explains the choices.
-- Times are UTC milliseconds. Words are small numbers, written down in tables/codes.rs; JSON is kept as the text that was
-- written. Keys that are texts sort by their bytes, whatever the locale of the database is.
-- `key` of reports and steps is case * 2^20 + position (or ordinal), as in SQLite.

-- Nodes that live, or lived. Who is not alive owns nothing that others could not claim.
CREATE TABLE node (
  id          text COLLATE "C" PRIMARY KEY,
  incarnation uuid NOT NULL,
  alive_until timestamptz NOT NULL,
  since       timestamptz NOT NULL DEFAULT clock_timestamp(),
  version     int NOT NULL
) WITH (fillfactor = 50);

-- 64 parts of the sagas and, as number 64, the seat: what belongs to no saga. Who commits has to hold what it writes for.
CREATE TABLE lease (
  partition int PRIMARY KEY CHECK (partition BETWEEN 0 AND 64),
  owner     text COLLATE "C",
  epoch     bigint NOT NULL DEFAULT 0,
  since     timestamptz
) WITH (fillfactor = 50);
INSERT INTO lease (partition) SELECT generate_series(0, 64);

-- Rows that are written again and again have room for their next version on their page, and no index on what changes with
-- each write: then a new version costs no index anything.
CREATE TABLE cases (
  id            bigint PRIMARY KEY,
  opened_at     bigint NOT NULL,
  updated_at    bigint NOT NULL,
  settled_at    bigint,
  partition     smallint NOT NULL CHECK (partition BETWEEN 0 AND 63),
  state         smallint NOT NULL,
  closed_on     smallint,
  saga          text COLLATE "C" NOT NULL,
  rulebook      text COLLATE "C",
  rulebook_hash text COLLATE "C",
  report        text COLLATE "C" NOT NULL,
  message       text,
  memo          text NOT NULL,
  CONSTRAINT cases_saga UNIQUE (saga)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02);
CREATE INDEX cases_by_time ON cases (opened_at, id);
CREATE INDEX cases_by_report ON cases (report, opened_at, id);
-- 3 is `settled`. A case changes its state once in its life, or few times.
CREATE INDEX cases_unsettled ON cases (state, opened_at, id) WHERE state <> 3;
CREATE INDEX cases_settled ON cases (settled_at, id) WHERE state = 3;

CREATE TABLE reports (
  key         bigint PRIMARY KEY,
  received_at bigint NOT NULL,
  role_arg    bigint,
  role        smallint NOT NULL,
  source      text COLLATE "C" NOT NULL,
  id          text COLLATE "C" NOT NULL,
  body        text NOT NULL,
  CONSTRAINT reports_identity UNIQUE (source, id)
) WITH (autovacuum_vacuum_scale_factor = 0.02);
-- 3 is `unmatched`.
CREATE INDEX reports_unanswered ON reports (key) WHERE role = 3;

CREATE TABLE steps (
  key        bigint PRIMARY KEY,
  tag        bigint NOT NULL,
  attempts   bigint NOT NULL,
  planned_at bigint NOT NULL,
  updated_at bigint NOT NULL,
  due_at     bigint,
  until      bigint,
  stage      int NOT NULL,
  state      smallint NOT NULL,
  ending     smallint,
  verb       smallint NOT NULL,
  service    text COLLATE "C" NOT NULL,
  action     text COLLATE "C" NOT NULL,
  location   text,
  memo       text NOT NULL
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02);

CREATE TABLE attempts (
  step     bigint NOT NULL,
  attempt  bigint NOT NULL,
  sent_at  bigint NOT NULL,
  ended_at bigint NOT NULL,
  status   int,
  result   text NOT NULL,
  message  text,
  PRIMARY KEY (step, attempt)
) WITH (autovacuum_vacuum_scale_factor = 0.02);

CREATE TABLE acts (
  id            bigint PRIMARY KEY,
  at            bigint NOT NULL,
  case_id       bigint,
  actor         text NOT NULL,
  act           text NOT NULL,
  reason        text NOT NULL,
  step          text,
  detail        text NOT NULL,
  principal     text,
  address       text,
  reason_digest bytea,
  detail_digest bytea,
  digest        bytea
);
CREATE INDEX acts_of_case ON acts (case_id, id) WHERE case_id IS NOT NULL;

-- The ends of the audit's chain: the last entry that was removed from its beginning, and the last one that was written.
CREATE TABLE audit_ends (
  which  text COLLATE "C" PRIMARY KEY CHECK (which IN ('removed', 'written')),
  number bigint NOT NULL,
  digest bytea NOT NULL CHECK (length(digest) = 32)
) WITH (fillfactor = 50);
INSERT INTO audit_ends (which, number, digest)
  VALUES ('removed', 0, decode(repeat('00', 32), 'hex')), ('written', 0, decode(repeat('00', 32), 'hex'));

CREATE TABLE sagas (
  saga      text COLLATE "C" PRIMARY KEY,
  deadline  bigint NOT NULL,
  partition smallint NOT NULL CHECK (partition BETWEEN 0 AND 63),
  state     smallint NOT NULL,
  service   text COLLATE "C" NOT NULL,
  action    text COLLATE "C",
  data      text NOT NULL
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02);
-- 0 is `begun`: the start goes by the first, pruning by the second.
CREATE INDEX sagas_begun ON sagas (deadline) WHERE state = 0;
CREATE INDEX sagas_over ON sagas (deadline) WHERE state <> 0;

CREATE TABLE rulebooks (
  hash         text COLLATE "C" PRIMARY KEY,
  name         text COLLATE "C" NOT NULL,
  stored_at    bigint NOT NULL,
  activated_at bigint,
  active       smallint NOT NULL,
  from_file    smallint NOT NULL DEFAULT 0,
  sources      text NOT NULL
);
-- At most one version of a name is active, and at most one was the last that a file said.
CREATE UNIQUE INDEX rulebooks_active ON rulebooks (name) WHERE active = 1;
CREATE UNIQUE INDEX rulebooks_from_file ON rulebooks (name) WHERE from_file = 1;

CREATE TABLE strangers (
  rulebook text COLLATE "C" NOT NULL,
  service  text COLLATE "C" NOT NULL,
  action   text COLLATE "C" NOT NULL,
  decision text NOT NULL,
  PRIMARY KEY (rulebook, service, action)
);

CREATE TABLE rule_holds (
  rulebook text COLLATE "C" NOT NULL,
  rule     text COLLATE "C" NOT NULL,
  decision text NOT NULL,
  PRIMARY KEY (rulebook, rule)
);

CREATE TABLE services (
  service  text COLLATE "C" PRIMARY KEY,
  settings text NOT NULL
);

CREATE TABLE bulks (
  id    bigint PRIMARY KEY,
  ids   text NOT NULL,
  state text NOT NULL
);

CREATE TABLE credentials (
  kind   text COLLATE "C" NOT NULL,
  id     text COLLATE "C" NOT NULL,
  digest bytea NOT NULL UNIQUE CHECK (length(digest) = 32),
  state  text NOT NULL,
  PRIMARY KEY (kind, id)
);

CREATE TABLE erasures (
  number bigint PRIMARY KEY,
  at     bigint NOT NULL,
  state  text NOT NULL
);

CREATE TABLE erased (
  erasure bigint NOT NULL,
  saga    text COLLATE "C" NOT NULL,
  case_id bigint,
  done_at bigint,
  gone    text NOT NULL,
  PRIMARY KEY (erasure, saga)
);
CREATE INDEX erased_waiting ON erased (erasure) WHERE done_at IS NULL;

CREATE TABLE rejected (
  number      bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
  size        bigint NOT NULL,
  rejected_at bigint NOT NULL,
  sent_at     bigint,
  cut         smallint NOT NULL,
  id          text COLLATE "C" NOT NULL UNIQUE,
  name        text COLLATE "C" NOT NULL UNIQUE,
  way         text COLLATE "C" NOT NULL,
  place       text NOT NULL,
  source      text COLLATE "C",
  event_id    text,
  saga        text COLLATE "C",
  code        text NOT NULL,
  detail      text NOT NULL,
  headers     text NOT NULL,
  body        bytea NOT NULL
);
CREATE INDEX rejected_sizes ON rejected (number, size);
CREATE INDEX rejected_by_time ON rejected (rejected_at);
CREATE INDEX rejected_by_saga ON rejected (saga) WHERE saga IS NOT NULL;

-- Numbers that outlive the rows they came from.
CREATE TABLE marks (
  name  text COLLATE "C" PRIMARY KEY,
  value bigint NOT NULL
) WITH (fillfactor = 50);
INSERT INTO marks (name, value) VALUES ('cases', 0);

-- What makes the ids and keys of this store its own. Made once, random, and part of every copy.
CREATE TABLE salt (
  "only" smallint PRIMARY KEY CHECK ("only" = 1),
  value bytea NOT NULL CHECK (length(value) = 16)
);
INSERT INTO salt ("only", value)
  SELECT 1, substr(sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())), 1, 16);

-- A text as JSON that can be looked into; nothing of one that can't be read, so that it ends no search.
CREATE FUNCTION amends_json(body text) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
BEGIN
  RETURN body::jsonb;
EXCEPTION WHEN others THEN
  RETURN '{}'::jsonb;
END $$;

-- Ends the statement that it stands in, if there is a row that may not be: nothing of the statement is stored then.
CREATE FUNCTION amends_must(what text, culprit bigint) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
  IF culprit IS NOT NULL THEN
    RAISE EXCEPTION '% %', what, culprit USING ERRCODE = 'AM002';
  END IF;
  RETURN true;
END $$;
