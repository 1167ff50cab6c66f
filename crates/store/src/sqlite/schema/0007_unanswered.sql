-- Reports without an answer: 3 is `unmatched`. A settled case has none but what came while nobody could work on it, and
-- a start must find those, however many settled cases there are.
CREATE INDEX reports_unanswered ON reports (key) WHERE role = 3;
