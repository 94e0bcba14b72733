"""Optuna: four workers of one study, in a rollback-mode file as Optuna makes it."""

import actors

PROCESSES = 4


def start(stage):
    python = stage.venv("python", "optuna")
    # The first one makes the tables; each is waited for afterwards, so that they import at the same time.
    stage.role("worker", "make", python=python)
    workers = [stage.role("worker", python=python, ready=False) for _ in range(3)]
    for worker in workers:
        worker.wait_for_line("ready")


def worker(path, make=""):
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = optuna.storages.RDBStorage(f"sqlite:///{path}", engine_kwargs={"connect_args": {"timeout": 60}})
    study = optuna.create_study(study_name="quiet", storage=storage, load_if_exists=True, sampler=optuna.samplers.RandomSampler())
    study.optimize(lambda trial: trial.suggest_float("x", -1, 1) ** 2, n_trials=1)
    actors.ready()
    study.optimize(lambda trial: trial.suggest_float("x", -1, 1) ** 2)
