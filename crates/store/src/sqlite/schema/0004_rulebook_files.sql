-- Which version of a rulebook was last taken from a file: a file is taken when it differs from that, so that neither a
-- restart nor an unchanged file undoes what a person activated.
ALTER TABLE rulebooks ADD COLUMN from_file INTEGER NOT NULL DEFAULT 0;
CREATE UNIQUE INDEX rulebooks_from_file ON rulebooks (name) WHERE from_file = 1;
