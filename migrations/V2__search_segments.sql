-- How the full-text index's segments are merged. A transaction of an ingestion leaves a segment; the ingestion
-- merges eight of them in short transactions of its own, so that no batch pays for it. Others' writes do so from
-- sixteen on, little by little; all at once, for as long as it takes, only from sixty-four.
INSERT INTO nodes_fts (nodes_fts, rank) VALUES ('usermerge', 8);
INSERT INTO nodes_fts (nodes_fts, rank) VALUES ('automerge', 16);
INSERT INTO nodes_fts (nodes_fts, rank) VALUES ('crisismerge', 64);
