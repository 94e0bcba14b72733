"""One file per kind: `start(stage)` starts its programs; the other functions are what those programs do."""
