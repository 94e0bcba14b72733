"""Readers that open the database with mode=ro, beside a writer; one of them reads for a second at a time."""

PROCESSES = 4


def start(stage):
    stage.make()
    stage.role("writer")
    for pause in ("0.01", "0.05", "1"):
        stage.role("read_only_reader", pause)
