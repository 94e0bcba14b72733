-- A second full-text index, which takes the place of `nodes_fts` document by document. It has two more columns, which the
-- reader makes: the words of the document's name, and the words that the tokenizer finds neither in title nor in body
-- (values of the front matter, folders, parts of camelCase, single characters of writing without blanks).
--
-- A document with `name_words` is in `nodes_words`; one where it is NULL, which an older reader has read, is in
-- `nodes_fts`. A search asks both. The next ingestion reads those documents again, batch by batch, and what is left of
-- them in `nodes_fts` goes all at once when the last one has moved. To move all of them here would hold the write lock
-- for seconds.
ALTER TABLE nodes ADD COLUMN name_words TEXT;
ALTER TABLE nodes ADD COLUMN more_words TEXT;

CREATE VIRTUAL TABLE nodes_words USING fts5 (
    name_words,
    title,
    more_words,
    body,
    content = 'nodes',
    content_rowid = 'id',
    tokenize = 'unicode61 remove_diacritics 2'
);

-- As in V2.
INSERT INTO nodes_words (nodes_words, rank) VALUES ('usermerge', 8);
INSERT INTO nodes_words (nodes_words, rank) VALUES ('automerge', 16);
INSERT INTO nodes_words (nodes_words, rank) VALUES ('crisismerge', 64);

DROP TRIGGER nodes_fts_insert;
DROP TRIGGER nodes_fts_delete;
DROP TRIGGER nodes_fts_update;

CREATE TRIGGER nodes_fts_insert AFTER INSERT ON nodes WHEN new.name_words IS NULL BEGIN
    INSERT INTO nodes_fts (rowid, title, body) VALUES (new.id, new.title, new.body);
END;

CREATE TRIGGER nodes_fts_delete AFTER DELETE ON nodes WHEN old.name_words IS NULL BEGIN
    INSERT INTO nodes_fts (nodes_fts, rowid, title, body) VALUES ('delete', old.id, old.title, old.body);
END;

CREATE TRIGGER nodes_fts_update AFTER UPDATE OF id, title, body, name_words ON nodes WHEN old.name_words IS NULL BEGIN
    INSERT INTO nodes_fts (nodes_fts, rowid, title, body) VALUES ('delete', old.id, old.title, old.body);
    INSERT INTO nodes_fts (rowid, title, body) SELECT new.id, new.title, new.body WHERE new.name_words IS NULL;
END;

CREATE TRIGGER nodes_words_insert AFTER INSERT ON nodes WHEN new.name_words IS NOT NULL BEGIN
    INSERT INTO nodes_words (rowid, name_words, title, more_words, body)
    VALUES (new.id, new.name_words, new.title, new.more_words, new.body);
END;

CREATE TRIGGER nodes_words_delete AFTER DELETE ON nodes WHEN old.name_words IS NOT NULL BEGIN
    INSERT INTO nodes_words (nodes_words, rowid, name_words, title, more_words, body)
    VALUES ('delete', old.id, old.name_words, old.title, old.more_words, old.body);
END;

CREATE TRIGGER nodes_words_update AFTER UPDATE OF id, title, body, name_words, more_words ON nodes BEGIN
    INSERT INTO nodes_words (nodes_words, rowid, name_words, title, more_words, body)
    SELECT 'delete', old.id, old.name_words, old.title, old.more_words, old.body WHERE old.name_words IS NOT NULL;
    INSERT INTO nodes_words (rowid, name_words, title, more_words, body)
    SELECT new.id, new.name_words, new.title, new.more_words, new.body WHERE new.name_words IS NOT NULL;
END;
