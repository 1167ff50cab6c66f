-- A store as version 4 of the schema held it: two settled cases of the demo.
PRAGMA application_id = 1095585348;
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
INSERT INTO "acts" VALUES(1,1795874901323,'file','activate','read from `food-order.yaml`',NULL,NULL,'{"hash":"e4ff2d02e2b643b1abf0a30c57deaf7efc1f781ae71d1930c0a0c464d70ba103","rulebook":"food-order"}');
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
INSERT INTO "attempts" VALUES(1048577,1,1795874901677,1795874901695,'busy',503,'it failed again: the order book is locked for a moment');
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
INSERT INTO "cases" VALUES(1,3,1795874901677,1795874902816,1795874902816,2,'order-1-00002','food-order','e4ff2d02e2b643b1abf0a30c57deaf7efc1f781ae71d1930c0a0c464d70ba103','order/report-1','the order book is locked for a moment','{}');
INSERT INTO "cases" VALUES(2,3,1795874901691,1795874901719,1795874901719,0,'order-1-00001','food-order','e4ff2d02e2b643b1abf0a30c57deaf7efc1f781ae71d1930c0a0c464d70ba103','payment/report-1','the bank declined, after a coupon was used','{"told":[{"by":"delivery","service":"rider","action":"match","requestId":"4789cbc859e33c9c9db565910c0d490f","state":"succeeded"},{"by":"delivery","service":"sms","action":"send","requestId":"02480fba6183e9aafa511833703d86a4","state":"succeeded"}]}');
CREATE TABLE marks (
  name  TEXT PRIMARY KEY,
  value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO "marks" VALUES('cases',2);
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
INSERT INTO "reports" VALUES(1048576,1795874901677,0,2,'order','01a2227c-4ea8-73af-95a6-f44a3270ec72','{"id":"01a2227c-4ea8-73af-95a6-f44a3270ec72","source":"order","sagaId":"order-1-00002","time":"2026-11-28T14:08:21.672Z","data":{"code":"report-1","action":"place","requestId":"order-1-00002-place","message":"the order book is locked for a moment","history":[{"service":"order","action":"place","requestId":"order-1-00002-place","state":"failed"},{"service":"payment","action":"pay","requestId":"a146ba2b24071dcbec3867ab47251c4f","state":"succeeded"}],"data":{"orderId":"order-1-00002"}}}');
INSERT INTO "reports" VALUES(2097152,1795874901691,0,0,'payment','01a2227c-4eb2-7485-bba9-afcdac83ff4e','{"id":"01a2227c-4eb2-7485-bba9-afcdac83ff4e","source":"payment","sagaId":"order-1-00001","time":"2026-11-28T14:08:21.682Z","data":{"code":"report-1","action":"pay","requestId":"02396fb606563d60b186b94719dec282","message":"the bank declined, after a coupon was used","history":[{"service":"payment","action":"pay","requestId":"02396fb606563d60b186b94719dec282","state":"failed"},{"service":"coupon","action":"redeem","requestId":"35dc671a619ecd20c40526a45301fad0","state":"succeeded"},{"service":"delivery","action":"request","requestId":"674fb423fa805d90606eda3ec837d010","state":"succeeded"}],"data":{"amount":1090,"orderId":"order-1-00001"}}}');
INSERT INTO "reports" VALUES(2097153,1795874901713,1,NULL,'order','01a2227c-4eb4-7343-bbf3-9fc6b4a3d6ff','{"id":"01a2227c-4eb4-7343-bbf3-9fc6b4a3d6ff","source":"order","sagaId":"order-1-00001","time":"2026-11-28T14:08:21.684Z","data":{"code":"downstream","action":"place","requestId":"order-1-00001-place","message":"`payment.pay` failed: answered 422: the bank declined, after a coupon was used","causedBy":["01a2227c-4eb2-7485-bba9-afcdac83ff4e"],"history":[{"service":"order","action":"place","requestId":"order-1-00001-place","state":"failed"},{"service":"payment","action":"pay","requestId":"02396fb606563d60b186b94719dec282","state":"failed"}],"data":{"action":"pay","service":"payment"}}}');
CREATE TABLE rulebooks (
  hash         TEXT PRIMARY KEY,
  name         TEXT NOT NULL,
  stored_at    INTEGER NOT NULL,
  activated_at INTEGER,
  active       INTEGER NOT NULL,
  sources      TEXT NOT NULL
, from_file INTEGER NOT NULL DEFAULT 0) STRICT, WITHOUT ROWID;
INSERT INTO "rulebooks" VALUES('e4ff2d02e2b643b1abf0a30c57deaf7efc1f781ae71d1930c0a0c464d70ba103','food-order',1795874901323,1795874901323,1,'[["food-order.yaml","# Order, payment, delivery: all of it happens, or none. The message and the rider only have to be retried.\nrulebook: food-order\nsettle: { quiet: 2s }\n\nservices:\n  order:\n    url: \"http://127.0.0.1:37177\"\n    actions:\n      place: { compensation: cancel, calls: [payment.pay] }\n  payment:\n    url: \"http://127.0.0.1:46623\"\n    actions:\n      pay: { compensation: refund, calls: [\"coupon.redeem?\", delivery.request] }\n  coupon:\n    url: \"http://127.0.0.1:38625\"\n    actions:\n      redeem: { compensation: restore }\n  delivery:\n    url: \"http://127.0.0.1:36919\"\n    actions:\n      request: { compensation: cancel, calls: [rider.match, sms.send] }\n  rider:\n    url: \"http://127.0.0.1:45515\"\n    actions:\n      match: { compensation: release, on_failure: retry }\n  sms:\n    url: \"http://127.0.0.1:46239\"\n    actions:\n      send: { on_failure: retry, correction: send-cancellation }\n\n# What each service may report, and where in its work it is then.\nreports:\n  payment/report-1: { in: pay, after: [coupon.redeem, delivery.request] }\n  payment/report-2: { in: pay, after: [delivery.request], without: [coupon.redeem] }\n  order/report-1: { in: place, after: [payment.pay], keep: true }\n  order/report-2: { in: place, after: [payment.pay], without: [coupon.redeem] }\n  order/report-3: { in: place, after: [payment.pay, coupon.redeem] }\n\nrules:\n  - on: payment/report-1\n    compensate: [coupon.redeem, delivery.request, rider.match]\n    notify: [sms.send-cancellation]\n    owner: payment team\n    why: The payment failed after the coupon was used and the delivery was requested.\n\n  - on: payment/report-2\n    compensate: [delivery.request, rider.match]\n    notify: [sms.send-cancellation]\n    owner: payment team\n    why: As report-1, in an order without a coupon.\n\n  - on: order/report-1\n    retry: order.place\n    give_up:\n      after: 10 attempts\n      then: { compensate: recorded }\n    owner: order team\n    why: Everything below the order succeeded and stays; only the order''s own part is run again.\n\n  - on: order/report-2\n    compensate: [payment.pay, delivery.request, rider.match]\n    notify: [sms.send-cancellation]\n    owner: order team\n    why: The order cannot be kept, and all that it called has happened.\n\n  - on: order/report-3\n    compensate: [payment.pay, coupon.redeem, delivery.request, rider.match]\n    notify: [sms.send-cancellation]\n    owner: order team\n    why: As report-2, in an order that used a coupon.\n\n  # Whatever else goes wrong: undo what the Histories say happened or may have happened. A message that went out, or may\n  # have, is followed by its correction.\n  - on: \"*/*\"\n    compensate: recorded\n    owner: operations\n    why: A compensation of what never happened does nothing, so this is always safe.\n"]]',1);
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
INSERT INTO "steps" VALUES(1048577,4,3,1,'order','place',3840407255695669167,0,2,1795874901677,1795874902816,NULL,NULL,NULL,'{"because":[0],"status":200,"sent_at":1795874902797,"may_have_run":true,"counted":1}');
INSERT INTO "steps" VALUES(2097153,4,0,0,'coupon','redeem',1672545978007374511,0,1,1795874901691,1795874901714,NULL,NULL,NULL,'{"because":[0],"status":200,"sent_at":1795874901691}');
INSERT INTO "steps" VALUES(2097154,4,0,0,'delivery','request',5999350590952296371,0,1,1795874901691,1795874901716,NULL,NULL,NULL,'{"because":[0],"status":200,"sent_at":1795874901691}');
INSERT INTO "steps" VALUES(2097155,4,0,0,'rider','match',1508954291794769122,0,1,1795874901691,1795874901713,NULL,NULL,NULL,'{"because":[0],"status":200,"sent_at":1795874901691}');
INSERT INTO "steps" VALUES(2097156,4,4,2,'sms','send-cancellation',-6618553790606202894,65535,1,1795874901691,1795874901719,NULL,NULL,NULL,'{"because":[0],"status":200,"sent_at":1795874901716}');
CREATE INDEX acts_of_case ON acts (case_id) WHERE case_id IS NOT NULL;
CREATE INDEX sagas_by_deadline ON sagas (state, deadline);
CREATE UNIQUE INDEX rulebooks_active ON rulebooks (name) WHERE active = 1;
CREATE INDEX cases_by_time ON cases (opened_at);
CREATE INDEX cases_unsettled ON cases (state, opened_at) WHERE state <> 3;
CREATE INDEX cases_by_report ON cases (report, opened_at);
CREATE INDEX cases_settled ON cases (settled_at) WHERE state = 3;
CREATE UNIQUE INDEX rulebooks_from_file ON rulebooks (name) WHERE from_file = 1;
COMMIT;
PRAGMA user_version = 4;
