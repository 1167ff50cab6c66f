-- Tokens and sessions, by the SHA-256 of what is shown.
CREATE TABLE credentials (
  kind   TEXT NOT NULL,
  id     TEXT NOT NULL,
  digest BLOB NOT NULL UNIQUE CHECK (length(digest) = 32),
  state  TEXT NOT NULL,
  PRIMARY KEY (kind, id)
) STRICT, WITHOUT ROWID;
