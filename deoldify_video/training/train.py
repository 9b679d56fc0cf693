"""The training, from top to bottom: phase after phase, step after step.

Everything a step depends on is either in the checkpoint or follows from (seed, step): a training that is killed and resumed
goes on as if nothing had happened. With a budget in steps the result is then the same to the last bit (on one CPU thread); with
a budget in minutes the time already used counts, and only the number of steps can differ.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from deoldify_video.training.batches import make_batch
from deoldify_video.training.observer import MetricsLog, Silent, TrainingObserver
from deoldify_video.training.recipe import CRITIC, Phase
from deoldify_video.training.session import Counters, Training, TrainOptions
from deoldify_video.training.steps import Losses, run_step

LONGEST_PAUSE_S = 60.0  # a suspended machine does not use up the budget


def train(options: TrainOptions, observer: TrainingObserver | None = None) -> Counters:
    """Train a network as `options` say; returns where it ended. The best weights are `RUN/best.safetensors`.

    Raises `InputError` for data that cannot be used, `OutputError` when the run folder is taken or the disk is full, and
    `KeyboardInterrupt` after a signal, when everything is saved for `--resume`.
    """
    observer = observer or Silent()
    torch.set_float32_matmul_precision("high")
    training = Training(options, observer)
    counters, phases = training.counters, training.recipe.phases
    with MetricsLog(options.run) as log, stop_on_signal() as stop:
        while counters.phase < len(phases):
            phase = phases[counters.phase]
            observer.say(f"phase {counters.phase + 1} of {len(phases)}: {phase.name}")
            training.begin_phase(phase)
            _run_phase(training, phase, log, stop)
            counters.phase += 1
            counters.phase_step = counters.checks = 0
            counters.phase_seconds = 0.0
            training.optimizer = training.critic_optimizer = None
        training.save()
        training.sheet()
    return counters


def _run_phase(training: Training, phase: Phase, log: MetricsLog, stop: threading.Event) -> None:
    options, counters = training.options, training.counters
    saved = drawn = clock = time.monotonic()
    sums: Losses = {}
    summed = 0
    while (done := training.progress()) < 1.0:
        batch = make_batch(training.data.store, phase, training.seed, counters.step)
        rate = phase.learning_rate(counters.phase_step, done)
        training.set_rate(rate)
        losses = run_step(phase, training.tools, batch, training.optimizer, training.critic_optimizer)
        if phase.kind != CRITIC:
            training.update_average(phase.ema_decay)
        counters.step += 1
        counters.phase_step += 1
        counters.pictures += len(batch.lab)
        for name, value in losses.items():  # on the device: reading a number there would wait for all that is under way
            sums[name] = sums[name] + value if name in sums else value
        summed += 1
        told = counters.phase_step % options.log_every_steps == 0
        if told:
            means = {name: value.item() / summed for name, value in sums.items()}
        now = time.monotonic()
        used, clock = min(now - clock, LONGEST_PAUSE_S), now
        counters.seconds += used
        counters.phase_seconds += used
        done = training.progress()
        if told:
            training.observer.step(phase.name, counters.step, done, means, counters.pictures / counters.seconds)
            log.add(counters.step, phase.name, means | {"lr": rate})
            sums, summed = {}, 0
        if phase.kind != CRITIC and int(done * phase.checks) > counters.checks:
            counters.checks = int(done * phase.checks)
            training.check(phase, log)
        if now - drawn >= 60.0 * options.sheet_minutes:
            drawn = now
            training.sheet()
        if stop.is_set() or now - saved >= 60.0 * options.save_minutes:
            saved = now
            training.save()
        if stop.is_set():
            training.observer.say(f"stopped at step {counters.step}; everything is saved, go on with --resume")
            raise KeyboardInterrupt


@contextmanager
def stop_on_signal() -> Iterator[threading.Event]:
    """An event that the first SIGINT or SIGTERM sets, so that the step in progress is finished and saved."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
