-- Who left a letter: people are told that of one that was refused. None of letters of before.
ALTER TABLE inbox ADD COLUMN sender text;
