-- What documents mean, as vectors: one for each model. `hash` is that of the document that the vector was made of; where
-- the document has another one by now, the vector counts as missing. `vector` holds `dimension` numbers, f32 with the
-- lowest byte first, of length 1. `nearest_from` is the likeness from which on its nearest documents are edges of kind
-- 'semantic'; NULL where that is to be found out yet.
--
-- With rowids: a vector of 768 numbers takes 3 KiB, which fits a page of a table, and a search reads them all in the
-- order of their pages. WITHOUT ROWID keeps at most a quarter of a page of each row, and the rest in an overflow page.
CREATE TABLE nodes_vectors (
    node         INTEGER NOT NULL REFERENCES nodes (id) ON DELETE CASCADE,
    model        TEXT NOT NULL,
    dimension    INTEGER NOT NULL,
    hash         BLOB NOT NULL,
    nearest_from REAL,
    vector       BLOB NOT NULL,
    PRIMARY KEY (node, model)
);
