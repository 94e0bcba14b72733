-- The vector of a document in `nodes_vectors` is the mean of those of its sections. `sections` is their number; NULL where
-- an older version made the vector of the beginning of the document alone. Such a vector counts as missing, and answers a
-- search until the next run has replaced it.
ALTER TABLE nodes_vectors ADD COLUMN sections INTEGER;

-- The vectors of the sections of documents that have more than one. `start` is the first byte of the section in
-- `nodes.body`. They go with the vector of the document.
CREATE TABLE nodes_sections (
    node   INTEGER NOT NULL,
    model  TEXT NOT NULL,
    start  INTEGER NOT NULL,
    vector BLOB NOT NULL,
    PRIMARY KEY (node, model, start),
    FOREIGN KEY (node, model) REFERENCES nodes_vectors (node, model) ON DELETE CASCADE
);
