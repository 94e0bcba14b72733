"""Clients that map the main file (mmap_size), beside one that does not."""

import actors

PROCESSES = 3


def start(stage):
    stage.make(rows=2000)
    stage.role("mapped_writer")
    stage.role("mapped_reader")
    stage.role("reader")


def mapped(path):
    connection = actors.connect(path)
    connection.execute("pragma mmap_size=268435456")
    return connection


def mapped_reader(path):
    actors.reader(path, "0.03", mapped(path))


def mapped_writer(path):
    actors.writer(path, "0.02", mapped(path))
