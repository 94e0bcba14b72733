"""Connections that live for a moment, beside a server that keeps its connection."""

from kinds import short

PROCESSES = 1


def start(stage):
    stage.make()
    stage.role("writer", "0.05")
    for _ in range(3):
        stage.role("opens")


opens = short.opens
