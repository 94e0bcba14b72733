-- One row for each document. `path` is its name in the database; `modified_ns` and `bytes` tell whether the
-- file may have changed, `hash` (BLAKE3 of its bytes) whether it has.
CREATE TABLE nodes (
    id           INTEGER PRIMARY KEY,
    path         TEXT NOT NULL UNIQUE,
    folder       TEXT NOT NULL,
    title        TEXT NOT NULL,
    kind         TEXT NOT NULL,
    bytes        INTEGER NOT NULL,
    modified_ns  INTEGER NOT NULL,
    hash         BLOB NOT NULL,
    ingested_at  TEXT NOT NULL,     -- RFC 3339, UTC
    front_matter TEXT,              -- JSON; NULL where the document has none
    body         TEXT NOT NULL      -- last: what stands before it is read without its overflow pages
);

CREATE INDEX nodes_by_folder ON nodes (folder);

-- Links, wikilinks, tags and relations. `target` is what the document says, normalised; `target_node` the
-- document that it means, NULL while there is none.
CREATE TABLE edges (
    source      INTEGER NOT NULL REFERENCES nodes (id) ON DELETE CASCADE,
    kind        TEXT NOT NULL,
    target      TEXT NOT NULL,
    target_node INTEGER REFERENCES nodes (id) ON DELETE SET NULL,
    PRIMARY KEY (source, kind, target)
) WITHOUT ROWID;

CREATE INDEX edges_by_target_node ON edges (target_node) WHERE target_node IS NOT NULL;
CREATE INDEX edges_unresolved ON edges (target) WHERE target_node IS NULL;

-- Full text over title and body. The text itself stays in `nodes`.
CREATE VIRTUAL TABLE nodes_fts USING fts5 (
    title,
    body,
    content = 'nodes',
    content_rowid = 'id',
    tokenize = 'unicode61 remove_diacritics 2'
);

-- The index is kept in step here, not by the program: an entry of an external-content table can be taken out
-- only by telling it the exact old text, and only a trigger is sure to have that, whoever writes. Each row is
-- indexed once either way, so a trigger costs nothing that the program would save. REPLACE does not fire the
-- delete trigger: a document is written with ON CONFLICT (path) DO UPDATE, which also keeps its id and edges.
CREATE TRIGGER nodes_fts_insert AFTER INSERT ON nodes BEGIN
    INSERT INTO nodes_fts (rowid, title, body) VALUES (new.id, new.title, new.body);
END;

CREATE TRIGGER nodes_fts_delete AFTER DELETE ON nodes BEGIN
    INSERT INTO nodes_fts (nodes_fts, rowid, title, body) VALUES ('delete', old.id, old.title, old.body);
END;

CREATE TRIGGER nodes_fts_update AFTER UPDATE OF id, title, body ON nodes BEGIN
    INSERT INTO nodes_fts (nodes_fts, rowid, title, body) VALUES ('delete', old.id, old.title, old.body);
    INSERT INTO nodes_fts (rowid, title, body) VALUES (new.id, new.title, new.body);
END;
