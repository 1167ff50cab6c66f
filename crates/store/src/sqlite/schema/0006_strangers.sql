-- What people have said of names that a rulebook does not know: it holds for all versions of the rulebook.
CREATE TABLE strangers (
  rulebook TEXT NOT NULL,
  service  TEXT NOT NULL,
  action   TEXT NOT NULL,
  decision TEXT NOT NULL,
  PRIMARY KEY (rulebook, service, action)
) STRICT, WITHOUT ROWID;
