-- What operators ask for all the time. docs/internals/store.md explains the choices.

-- How many cases there are, kept up to date by whoever adds or removes some: nothing counts a million rows.
INSERT INTO marks (name, value) SELECT 'cases', count(*) FROM cases;

-- A case's first report never changes, so a case costs this index one entry, once.
CREATE INDEX cases_by_report ON cases (report);

-- What operators have set for a service, as JSON: a pause, limits.
CREATE TABLE services (
  service  TEXT PRIMARY KEY,
  settings TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Bulk acts: what was meant is frozen when they are made, how far they have come is written again and again.
CREATE TABLE bulks (
  id    INTEGER PRIMARY KEY,
  ids   TEXT NOT NULL,
  state TEXT NOT NULL
) STRICT;
