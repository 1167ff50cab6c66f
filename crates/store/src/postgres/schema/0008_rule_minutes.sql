-- Cases that a limited rule has answered since its minute began, whichever nodes took their reports. The version of its
-- rulebook by content hash.
CREATE TABLE rule_minute (
  rulebook text COLLATE "C" NOT NULL,
  rule     int NOT NULL CHECK (rule >= 0),
  began    timestamptz NOT NULL,
  cases    int NOT NULL,
  PRIMARY KEY (rulebook, rule)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02);
