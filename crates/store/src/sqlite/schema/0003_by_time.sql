-- Lists go by the time of opening and pruning by that of settling, not by numbers: a clock that was wrong for a while, or
-- numbers that several give out, then hide nothing. docs/internals/store.md explains the choices.

-- A case is opened once, so it costs this index one entry, at its end.
CREATE INDEX cases_by_time ON cases (opened_at);

-- The same two as before, with the order of lists in them.
DROP INDEX cases_unsettled;
CREATE INDEX cases_unsettled ON cases (state, opened_at) WHERE state <> 3;
DROP INDEX cases_by_report;
CREATE INDEX cases_by_report ON cases (report, opened_at);

-- What was settled lately is at its end, what may be pruned at its beginning.
CREATE INDEX cases_settled ON cases (settled_at) WHERE state = 3;
