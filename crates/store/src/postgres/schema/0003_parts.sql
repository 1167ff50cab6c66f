-- A part is adopted by itself: its open cases and its announced sagas are found without looking at those of others.
CREATE INDEX cases_open_of_part ON cases (partition, state, opened_at, id) WHERE state <> 3;
DROP INDEX sagas_begun;
CREATE INDEX sagas_begun ON sagas (partition, deadline) WHERE state = 0;
