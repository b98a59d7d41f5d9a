"""Trackers of experiments: what an MLflow server or a run folder of Weights & Biases tells of a training.

``told`` is what any tracker can tell of one run. ``mlflow_server`` speaks to a server through MLflow's own client,
``mlflow_run`` makes of its answer what was told; ``wandb_run`` reads a run folder, whose ``.wandb`` file
``wandb_log`` takes apart. Whatever comes from them was said by others: nothing here was observed.
"""
