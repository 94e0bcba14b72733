"""Several processes commit in rollback mode, with each way to end the journal."""

import time

import actors

PROCESSES = 4


def start(stage):
    stage.make("delete")
    for mode in ("delete", "truncate", "persist"):
        stage.role("commits", mode)
    stage.role("reader", "0.01")


def commits(path, mode):
    connection = actors.connect(path)
    connection.execute(f"pragma journal_mode={mode}")
    turns = 0
    while True:
        connection.execute("begin immediate")
        connection.execute("update t set v=randomblob(500) where id=1+abs(random())%200")
        connection.execute("insert into t(v) values(1)")
        # The journal is there, and not hot, while the transaction is open.
        time.sleep(0.02)
        connection.execute("commit")
        turns += 1
        if turns == 1:
            actors.ready()
        time.sleep(0.03)
