"""The tasks of the kind `huey`, as its consumer imports them."""

import os

from huey import SqliteHuey

huey = SqliteHuey(filename=os.environ["QUIET_DB"], results=False)


@huey.task()
def add(a, b):
    return a + b
