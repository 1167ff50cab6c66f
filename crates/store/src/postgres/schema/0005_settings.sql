-- What belongs to no saga has a version, the mark `settings`. Nodes tell which of them they go by; and what was planned
-- before `books`, with which a version of a rulebook became active, is refused.
ALTER TABLE node ADD COLUMN settings_seen bigint NOT NULL DEFAULT 0;
ALTER TABLE lease ADD COLUMN books bigint NOT NULL DEFAULT 0;
