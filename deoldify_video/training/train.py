"""The training, from top to bottom: phase after phase, step after step.

Everything a step depends on is either in the checkpoint or follows from (seed, step): a training that is killed and resumed
goes on as if nothing had happened. With a budget in steps the result is then the same to the last bit (on one CPU thread); with
a budget in minutes the time already used counts, and only the number of steps can differ.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from deoldify_video.training.batches import Feeder
from deoldify_video.training.recipe import CLASSIFIER, CRITIC, Phase
from deoldify_video.training.session import Counters, Training, TrainOptions
from deoldify_video.training.steps import run_step
from deoldify_video.training.view import MetricsLog, Silent, View

LOG_EVERY_STEPS = 25
LONGEST_PAUSE_S = 60.0  # a suspended machine does not use up the budget


def train(options: TrainOptions, view: View | None = None) -> Counters:
    """Train a network as `options` say; returns where it ended. The best weights are `RUN/best.safetensors`.

    Raises `InputError` for data that cannot be used, `OutputError` when the run folder is taken or the disk is full, and
    `KeyboardInterrupt` after a signal, when everything is saved for `--resume`.
    """
    view = view or Silent()
    training = Training(options, view)
    counters, phases = training.counters, training.recipe.phases
    with MetricsLog(options.run) as log, stop_on_signal() as stop:
        while counters.phase < len(phases):
            phase = phases[counters.phase]
            reason = training.reason_to_skip(phase)
            if reason:
                view.say(f"phase {phase.name} is skipped: {reason}")
            else:
                view.say(f"phase {counters.phase + 1} of {len(phases)}: {phase.name}")
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
    options, counters, tools = training.options, training.counters, training.tools
    workers = 1 if training.device.type == "cpu" else min(8, os.cpu_count() or 1)
    saved = drawn = clock = time.monotonic()
    sums: dict[str, list[float]] = {}
    with Feeder(
        phase, training.data.photos, training.data.tiles, seed=training.seed, start=counters.step, workers=workers
    ) as feeder:
        while (done := training.progress()) < 1.0:
            batches = next(feeder)
            rate = phase.learning_rate(counters.phase_step, done)
            if training.optimizer:
                for group in training.optimizer.param_groups:
                    group["lr"] = rate
            losses = run_step(phase, tools, batches, training.optimizer, training.critic_optimizer)
            if phase.kind not in (CLASSIFIER, CRITIC):
                training.update_average(phase.ema_decay)
            counters.step += 1
            counters.phase_step += 1
            now = time.monotonic()
            used, clock = min(now - clock, LONGEST_PAUSE_S), now
            counters.seconds += used
            counters.phase_seconds += used
            done = training.progress()
            pictures = sum(len(batch.labels) for batch in batches)
            training.view.step(phase.name, counters.step, done, losses, pictures / max(used, 1e-6))
            for name, value in losses.items():
                sums.setdefault(name, []).append(value)
            if counters.phase_step % LOG_EVERY_STEPS == 0 or done >= 1.0:
                log.add(counters.step, phase.name, {name: sum(v) / len(v) for name, v in sums.items()} | {"lr": rate})
                sums.clear()
            if phase.kind not in (CLASSIFIER, CRITIC) and int(done * phase.checks) > counters.checks:
                counters.checks = int(done * phase.checks)
                training.check(phase, log)
            if now - drawn >= 60.0 * options.sheet_minutes:
                drawn = now
                training.sheet()
            if stop.is_set() or now - saved >= 60.0 * options.save_minutes:
                saved = now
                training.save()
            if stop.is_set():
                training.view.say(f"stopped at step {counters.step}; everything is saved, go on with --resume")
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
