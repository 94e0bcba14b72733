"""better-sqlite3: a writer and two readers in Node."""

import stage as stages

PROCESSES = 3


def start(stage):
    node = stage.command("node")
    if not (stages.NODE_MODULES / "better-sqlite3" / "build").exists():
        raise stages.Skip("better-sqlite3 is not installed; run tests/quiet/install.sh")
    script = stages.HERE / "kinds" / "better_sqlite3.js"
    stage.make()
    stage.start(node, script, "write", stage.db)
    stage.start(node, script, "read", stage.db)
    stage.start(node, script, "read", stage.db)
