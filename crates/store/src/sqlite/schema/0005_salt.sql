-- What makes the ids and keys of this store its own. Made once, random, and part of every copy: a restored supervisor
-- asks under the same keys.
CREATE TABLE salt (
  only  INTEGER PRIMARY KEY CHECK (only = 1),
  value BLOB NOT NULL CHECK (length(value) = 16)
) STRICT;
INSERT INTO salt (only, value) VALUES (1, randomblob(16));
