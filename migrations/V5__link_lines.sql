-- The line of a link or tag in its file, counted from 1: that of its first place; NULL in the front matter, and for
-- edges of kind 'semantic'.
ALTER TABLE edges ADD COLUMN line INTEGER;
-- 1 where no document has the path of a link, and the only one of that name is meant.
ALTER TABLE edges ADD COLUMN by_name INTEGER NOT NULL DEFAULT 0;
CREATE INDEX edges_by_name ON edges (source) WHERE by_name;
