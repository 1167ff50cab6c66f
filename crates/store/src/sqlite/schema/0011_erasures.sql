-- Business data that went: what was asked for, and of each saga what became of it. It outlives the cases: a restored backup
-- is erased again by it. docs/guides/erase.md tells what a digest covers.
CREATE TABLE erasures (
  number INTEGER PRIMARY KEY,
  at     INTEGER NOT NULL,
  state  TEXT NOT NULL
) STRICT;

CREATE TABLE erased (
  erasure INTEGER NOT NULL,
  saga    TEXT NOT NULL,
  case_id INTEGER,
  done_at INTEGER,
  gone    TEXT NOT NULL,
  PRIMARY KEY (erasure, saga)
) STRICT, WITHOUT ROWID;

-- What services said is with the steps, where an erasure finds it: no bulk act repeats it any more.
UPDATE bulks SET state = json_set(state,
  '$.sample', (SELECT json_group_array(json_remove(value, '$.message')) FROM json_each(state, '$.sample')),
  '$.failures', (SELECT json_group_array(json_set(value, '$.detail', 'what it said is with the step'))
                 FROM json_each(state, '$.failures')))
WHERE json_valid(state) AND json_type(state, '$.sample') = 'array' AND json_type(state, '$.failures') = 'array';

-- Those that wait for their case to settle.
CREATE INDEX erased_waiting ON erased (erasure) WHERE done_at IS NULL;
