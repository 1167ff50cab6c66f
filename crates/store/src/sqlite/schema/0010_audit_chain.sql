-- Who acted as whom and from where, and the hash chain over the audit: each entry's digest covers its content and the
-- digest before it. `reason_digest` and `detail_digest` stand only where the text itself was erased. docs/guides/audit.md tells
-- what a digest covers. The entries that are there get theirs in the same transaction (audit.rs).
ALTER TABLE acts ADD COLUMN principal TEXT;
ALTER TABLE acts ADD COLUMN address TEXT;
ALTER TABLE acts ADD COLUMN reason_digest BLOB;
ALTER TABLE acts ADD COLUMN detail_digest BLOB;
ALTER TABLE acts ADD COLUMN digest BLOB;

-- The ends of the chain: the last entry that was removed from its beginning, and the last one that was written.
CREATE TABLE audit_ends (
  which  TEXT PRIMARY KEY CHECK (which IN ('removed', 'written')),
  number INTEGER NOT NULL,
  digest BLOB NOT NULL CHECK (length(digest) = 32)
) STRICT, WITHOUT ROWID;
INSERT INTO audit_ends (which, number, digest) VALUES ('removed', 0, zeroblob(32)), ('written', 0, zeroblob(32));
