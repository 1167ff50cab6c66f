-- What operators ask for all the time. docs/internals/store.md explains the choices.

-- How many cases there are, kept up to date by whoever adds or removes some: nothing counts a million rows.
INSERT INTO marks (name, value) SELECT 'cases', count(*) FROM cases;

-- A case's first report never changes, so a case costs this index one entry, once.
CREATE INDEX cases_by_report ON cases (report);
