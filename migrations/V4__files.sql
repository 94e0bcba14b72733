-- What the row of a document was made of, beside the size and time in `nodes`: the last change of its file's inode (ctime,
-- ns since 1970) and its number, which tell a file that was renamed over another one of the same size and time; and the
-- version of the reader that made the row. A document without a row here is read again by the next ingestion.
CREATE TABLE nodes_files (
    node       INTEGER PRIMARY KEY REFERENCES nodes (id) ON DELETE CASCADE,
    changed_ns INTEGER NOT NULL,
    inode      INTEGER NOT NULL,
    reader     INTEGER NOT NULL
);
