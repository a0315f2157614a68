"""Single lines: what says how far a script is, and what only looks like it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from trainqueue.scan import Told, recognise
from trainqueue.scan.words import metrics

Fields = dict[str, Any]


def epoch(number: int, of: int | None, **more: Any) -> Fields:
    return {"epoch": number, "epochs": of, **more}


def steps(step: float, total: float | None, **more: Any) -> Fields:
    return {"step": step, "total": total, **more}


LINES: dict[str, Fields] = {
    "Epoch 3/10": epoch(3, 10, begins=True),
    "epoch: 3/10": epoch(3, 10),
    "EPOCH [3/10]": epoch(3, 10),
    "Epoch 3 of 10": epoch(3, 10),
    "2026-11-25 12:00:01,123 - INFO - Epoch 3/10 - loss: 0.4": epoch(3, 10, begins=False),
    "[2026-11-25 12:00:01][INFO] Epoch 3/10": epoch(3, 10),
    "INFO:root:Epoch 3/10": epoch(3, 10),
    "epoch 0: {'accuracy': 0.84, 'f1': 0.89}": epoch(0, None, begins=False),
    "Epoch [3/10], Step [45/100], Loss: 0.4": epoch(3, 10) | steps(45, 100),
    "Train Epoch: 1 [640/60000 (1%)]\tLoss: 2.300584": epoch(1, None) | steps(640, 60000),
    "Epoch: [0][ 10/391]  Time 0.5 (0.5) Loss 6.9 (6.9)": epoch(0, None) | steps(10, 391),
    "Epoch(train)  [1][ 50/196]  lr: 1.0e-02  loss: 2.3": epoch(1, None) | steps(50, 196),
    "[rank0]: step 300/1000": steps(300, 1000, weak=True),
    "step=300/1,000, loss=0.4": steps(300, 1000, weak=False),
    "[300/1000] loss: 0.4": steps(300, 1000, weak=False),
    "loss: 2.303494  [   64/60000]": steps(64, 60000),
    "iter 300/1000 loss 0.4": steps(300, 1000),
    "iter 300: loss 2.4012, time 120.33ms": steps(300, None),
    "[11/25 12:00:01 d2.utils.events]:  eta: 0:12:34  iter: 19  total_loss: 9.6": steps(19, None),
    "steps:  12%|█▏   | 120/1000 [00:10<01:10, 12.5it/s, avr_loss=0.103]": steps(120, 1000, elapsed=10, left=70),
    " 13%|█▎        | 1.3k/10k [00:10<01:10, 125it/s]": steps(1300, 10000),
    "  0%|          | 0/100 [00:00<?, ?it/s]": steps(0, 100, left=None),
    "100%|##########| 100/100 [1:00:10<00:00,  2.00s/batch, acc=45.2%]": steps(100, 100, elapsed=3610),
    "  5%|5 | 5/100 [1 day, 2:00:10<03:10,  2.00s/it]": steps(5, 100),
    "45it [00:10,  4.30it/s, loss=0.1]": steps(45, None),
    "Map:  45%|████▌     | 450/1000 [00:01<00:01, 430.12 examples/s]": steps(450, 1000, minor=True),
    "model.safetensors:  45%|████▌     | 450M/1.00G [00:01<00:01, 43MB/s]": steps(450e6, 1e9, minor=True),
    "Epoch 3 [val]:  45%|████▌     | 45/100 [00:01<00:01, 43it/s]": epoch(3, None) | steps(45, 100, minor=True),
    "      1/100      2.53G     1.186        640:  45%|████▌     | 45/100 [00:10<00:12,  4.3it/s]": epoch(1, 100),
    " 45/100 [============>.................] - ETA: 3s - loss: 0.4123": steps(45, 100),
    "100/100 [==============================] - 3s 20ms/step - loss: 0.1": steps(100, 100),
    "     45/Unknown - 3s 20ms/step - loss: 0.1": steps(45, None),
    "\x1b[1m45/100\x1b[0m \x1b[32m━━━━\x1b[0m\x1b[37m━━━━\x1b[0m \x1b[1m1s\x1b[0m 20ms/step - loss: 0.4": steps(
        45, 100
    ),
    "Epoch 3/9  ━━━━━━━━╸━━━━━━━ 45/100 0:00:01 • 0:00:02 43.21it/s loss: 0.1": epoch(3, 9, from_zero=True, left=2),
    "Working... ━━━━━━━━━━╸━━━━━━━━━━━━━━━  45% 0:00:12": steps(45, 100),
    "  Num Epochs = 3": {"promised_epochs": 3},
    "  Total optimization steps = 1,000": {"promised_steps": 1000},
    "  num epochs / epoch数: 10": {"promised_epochs": 10},
    "{'loss': 0.5, 'learning_rate': 5e-05, 'epoch': 1.2}": {"passes": 1.2},
    "{'train_runtime': '12.3', 'train_loss': '0.4', 'epoch': '3.0'}": {"over": True, "passes": 3.0},
    "`Trainer.fit` stopped: `max_epochs=3` reached.": {"over": True},
    "Validation loss: 0.4": {"name": "measure"},
}
ORDINARY = """
Reading config from /data/runs/3/10/config.yaml
2026-10-03 12:00:00 INFO started on 3/10/2026
Date: 3/10/2026
The ratio is 1/2 of the total
see page 3/10 for details, or chapter [3/10] of the book
[1/2] c++ -MMD -MF main.o -c main.cpp
[2/2] g++ -shared -o fused.so
see step 3/10 of the guide for the loss
Please read step 3 of 5 in the docs.
Best model at epoch 7
In epoch 3 we saw 4/5
Loading weights from epoch_12.pt
saved checkpoint to runs/epoch 3/10.pt
/home/me/epoch/3/10/model.bin
http://example.com/step/3/10
lr scheduler: cosine, warmup 10/100
accuracy matters more than loss here
UserWarning: The loss is 0 because of step 3
  File "train.py", line 300, in <module>
RuntimeError: batch 3 size 10 does not match
GPU 0: 45% | 10/24 GiB
tests 3/10 passed, commit 1/2 applied
Iterating over 300/1000 samples in dataset
batch_size: 32, steps_per_epoch: 100, num_workers 4/8
We trained for 3 epochs of 10 minutes
10/03/2026 12:00:00 - INFO - __main__ - Distributed environment: NO
Some weights were not initialized: ['a/b', 'c/d']
Collecting torch==2.1.0 (from -r requirements.txt (line 3/10))
{'a': 1, 'b': 2}
{"level": "info", "msg": "hello"}
""".strip().splitlines()


@pytest.mark.parametrize("line", LINES)
def test_what_lines_say(line: str) -> None:
    found = recognise(line)
    assert found is not None
    assert {name: getattr(found, name) for name in LINES[line]} == LINES[line]


@pytest.mark.parametrize("line", ORDINARY)
def test_ordinary_lines_say_nothing(line: str) -> None:
    assert recognise(line) is None


def test_metrics_are_finite_numbers_with_names() -> None:
    said = (
        "loss=0.5, val loss: 1e-3, 'grad_norm': '2.5', time 12ms, eta: 0:10, v_num=3, bad=nan, worse=inf, train acc 0.9"
    )
    assert metrics(said) == {"loss": 0.5, "val_loss": 0.001, "grad_norm": 2.5, "train_acc": 0.9}


@given(some.text(alphabet="Epoch3/10[]|%━ stepiterloss=:,.<it(k{}'\x1b\r\n\b9é٣²", max_size=120))
def test_nothing_that_a_job_prints_raises(text: str) -> None:
    told = Told()
    told.scanner.feed(text.encode() + b"\n", 1.0)
    told.map(1.0, 1.0, ended=True)


@pytest.mark.parametrize("number", ["9" * 400, "9" * 30, "0", "٣", "00000000000000000001"])
def test_odd_numbers(number: str) -> None:
    told = Told(["x", "--epochs", number, f"--max-steps={number}"])
    for form in (
        "Epoch {0}/{0}",
        "step {0}/{0} loss {0}",
        " 10%|# | {0}/{0} [{0}:{0}<{0}:{0}, {0}it/s]",
        "Num Epochs = {0}",
    ):
        told.scanner.feed(form.format(number).encode() + b"\n", 1.0)
        found = told.map(1.0, 1.0)
        assert found is None or found["fraction"] is None or 0 <= found["fraction"] <= 1
