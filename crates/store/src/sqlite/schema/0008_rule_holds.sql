-- What operators hold: a rulebook, or one of its rules by label ('' is all of them), whatever the version.
CREATE TABLE rule_holds (
  rulebook TEXT NOT NULL,
  rule     TEXT NOT NULL,
  decision TEXT NOT NULL,
  PRIMARY KEY (rulebook, rule)
) STRICT, WITHOUT ROWID;
