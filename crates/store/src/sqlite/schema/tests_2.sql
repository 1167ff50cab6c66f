-- A store as schema 2 left it: three settled cases and one that waits. Dumped from a file; for tests alone.
PRAGMA application_id = 1095585348;
PRAGMA user_version = 2;
BEGIN TRANSACTION;
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
CREATE TABLE bulks (
  id    INTEGER PRIMARY KEY,
  ids   TEXT NOT NULL,
  state TEXT NOT NULL
) STRICT;
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
INSERT INTO "cases" VALUES(1,3,1795856816303,1795856816343,1795856816343,0,'past-1','past','abf9a1bd33b3b1526fef54c59f8a18dee458308ad538a1e6fb8b554a44cc5716','shop/report-1','article 1 is out of stock','{}');
INSERT INTO "cases" VALUES(2,3,1795856816383,1795856816423,1795856816423,0,'past-2','past','abf9a1bd33b3b1526fef54c59f8a18dee458308ad538a1e6fb8b554a44cc5716','shop/report-2','article 2 is out of stock','{}');
INSERT INTO "cases" VALUES(3,3,1795856816463,1795856816503,1795856816503,0,'past-3','past','abf9a1bd33b3b1526fef54c59f8a18dee458308ad538a1e6fb8b554a44cc5716','shop/report-3','article 3 is out of stock','{}');
INSERT INTO "cases" VALUES(4,0,1795856816543,1795856816583,NULL,NULL,'past-4','past','abf9a1bd33b3b1526fef54c59f8a18dee458308ad538a1e6fb8b554a44cc5716','shop/report-4','article 4 is out of stock','{}');
CREATE TABLE marks (
  name  TEXT PRIMARY KEY,
  value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO "marks" VALUES('cases',4);
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
INSERT INTO "reports" VALUES(1048576,1795856816303,0,0,'shop','past-1','{"id":"past-1","source":"shop","sagaId":"past-1","data":{"code":"report-1","action":"sell","message":"article 1 is out of stock"}}');
INSERT INTO "reports" VALUES(2097152,1795856816383,0,0,'shop','past-2','{"id":"past-2","source":"shop","sagaId":"past-2","data":{"code":"report-2","action":"sell","message":"article 2 is out of stock"}}');
INSERT INTO "reports" VALUES(3145728,1795856816463,0,0,'shop','past-3','{"id":"past-3","source":"shop","sagaId":"past-3","data":{"code":"report-3","action":"sell","message":"article 3 is out of stock"}}');
INSERT INTO "reports" VALUES(4194304,1795856816543,0,0,'shop','past-4','{"id":"past-4","source":"shop","sagaId":"past-4","data":{"code":"report-4","action":"sell","message":"article 4 is out of stock"}}');
CREATE TABLE rulebooks (
  hash         TEXT PRIMARY KEY,
  name         TEXT NOT NULL,
  stored_at    INTEGER NOT NULL,
  activated_at INTEGER,
  active       INTEGER NOT NULL,
  sources      TEXT NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO "rulebooks" VALUES('abf9a1bd33b3b1526fef54c59f8a18dee458308ad538a1e6fb8b554a44cc5716','past',1795860416543,1795860416543,1,'[["rulebook.yaml","rulebook: past\nservices:\n  shop: { url: \"http://127.0.0.1:1\", actions: { sell: { compensation: undo, calls: [bank.pay, depot.reserve, post.send, stamp.give] } } }\n  bank: { url: \"http://127.0.0.1:1\", actions: { pay: { compensation: undo } } }\n  depot: { url: \"http://127.0.0.1:1\", actions: { reserve: { compensation: undo } } }\n  post: { url: \"http://127.0.0.1:1\", actions: { send: { compensation: undo } } }\n  stamp: { url: \"http://127.0.0.1:1\", actions: { give: { compensation: undo } } }\nrules:\n  - { on: \"shop/*\", compensate: [bank.pay, depot.reserve, post.send, stamp.give] }\n"]]');
CREATE TABLE sagas (
  saga     TEXT PRIMARY KEY,
  service  TEXT NOT NULL,
  action   TEXT,
  deadline INTEGER NOT NULL,
  state    INTEGER NOT NULL,
  data     TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE services (
  service  TEXT PRIMARY KEY,
  settings TEXT NOT NULL
) STRICT, WITHOUT ROWID;
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
INSERT INTO "steps" VALUES(1048577,4,0,0,'bank','pay',-3053311857615413143,0,1,1795856816303,1795856816343,NULL,NULL,NULL,'{"because":[0],"sent_at":1795856816303}');
INSERT INTO "steps" VALUES(1048578,4,0,0,'depot','reserve',3757843423682042210,0,1,1795856816303,1795856816343,NULL,NULL,NULL,'{"because":[0],"sent_at":1795856816303}');
INSERT INTO "steps" VALUES(1048579,4,0,0,'post','send',2877068739594524012,0,1,1795856816303,1795856816343,NULL,NULL,NULL,'{"because":[0],"sent_at":1795856816303}');
INSERT INTO "steps" VALUES(1048580,4,0,0,'stamp','give',3729818378636369253,0,1,1795856816303,1795856816343,NULL,NULL,NULL,'{"because":[0],"sent_at":1795856816303}');
INSERT INTO "steps" VALUES(2097153,4,0,0,'bank','pay',-2674680014978945046,0,1,1795856816383,1795856816423,NULL,NULL,NULL,'{"because":[0],"sent_at":1795856816383}');
INSERT INTO "steps" VALUES(2097154,4,0,0,'depot','reserve',3430697611221861007,0,1,1795856816383,1795856816423,NULL,NULL,NULL,'{"because":[0],"sent_at":1795856816383}');
INSERT INTO "steps" VALUES(2097155,4,0,0,'post','send',-5288282685131287819,0,1,1795856816383,1795856816423,NULL,NULL,NULL,'{"because":[0],"sent_at":1795856816383}');
INSERT INTO "steps" VALUES(2097156,4,0,0,'stamp','give',-5384236783123689818,0,1,1795856816383,1795856816423,NULL,NULL,NULL,'{"because":[0],"sent_at":1795856816383}');
INSERT INTO "steps" VALUES(3145729,4,0,0,'bank','pay',3112761634891256539,0,1,1795856816463,1795856816503,NULL,NULL,NULL,'{"because":[0],"sent_at":1795856816463}');
INSERT INTO "steps" VALUES(3145730,4,0,0,'depot','reserve',4813577529630776864,0,1,1795856816463,1795856816503,NULL,NULL,NULL,'{"because":[0],"sent_at":1795856816463}');
INSERT INTO "steps" VALUES(3145731,4,0,0,'post','send',-6293485837672992310,0,1,1795856816463,1795856816503,NULL,NULL,NULL,'{"because":[0],"sent_at":1795856816463}');
INSERT INTO "steps" VALUES(3145732,4,0,0,'stamp','give',-2289248900718530957,0,1,1795856816463,1795856816503,NULL,NULL,NULL,'{"because":[0],"sent_at":1795856816463}');
INSERT INTO "steps" VALUES(4194305,1,NULL,0,'bank','pay',-5095612646731405940,0,3,1795856816543,1795856816583,1795856819543,NULL,NULL,'{"because":[0],"message":"connection refused: 127.0.0.1:1","last":"unreachable","sent_at":1795856816543}');
INSERT INTO "steps" VALUES(4194306,4,0,0,'depot','reserve',-6167799979535492067,0,1,1795856816543,1795856816583,NULL,NULL,NULL,'{"because":[0],"sent_at":1795856816543}');
INSERT INTO "steps" VALUES(4194307,4,0,0,'post','send',-210245746085357117,0,1,1795856816543,1795856816583,NULL,NULL,NULL,'{"because":[0],"sent_at":1795856816543}');
INSERT INTO "steps" VALUES(4194308,4,0,0,'stamp','give',5151337709116899268,0,1,1795856816543,1795856816583,NULL,NULL,NULL,'{"because":[0],"sent_at":1795856816543}');
CREATE INDEX cases_unsettled ON cases (state) WHERE state <> 3;
CREATE INDEX acts_of_case ON acts (case_id) WHERE case_id IS NOT NULL;
CREATE INDEX sagas_by_deadline ON sagas (state, deadline);
CREATE UNIQUE INDEX rulebooks_active ON rulebooks (name) WHERE active = 1;
CREATE INDEX cases_by_report ON cases (report);
COMMIT;
