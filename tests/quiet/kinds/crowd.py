"""Many of the others on one database: writers, readers, VACUUM, checkpoints, copies, short connections, an idle fork, and a
reader of files."""

from kinds import checkpoints, fork_pool, restic, short, shell_copies, vacuum

PROCESSES = 6


def start(stage):
    shell = stage.command("sqlite3")
    stage.make(rows=1000)
    stage.role("writer", "0.1")
    stage.role("reader", "0.2")
    stage.role("read_only_reader", "0.1")
    stage.role("vacuum")
    stage.role("checkpoints")
    stage.role("opens")
    stage.role("parent")
    stage.role("chunks", "0.01")
    stage.role("copies", shell)


vacuum = vacuum.vacuum
checkpoints = checkpoints.checkpoints
opens = short.opens
parent = fork_pool.parent
square = fork_pool.square
chunks = restic.chunks
copies = shell_copies.copies
