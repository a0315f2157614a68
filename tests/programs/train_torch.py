"""A small training run on a GPU with PyTorch, that reports its progress: `train_torch.py SECONDS`.

Prints a line of JSON: the loss at the begin and at the end, steps, the GPUs that it sees, and the most bytes that
PyTorch's allocator has reserved. `train_torch.py --all` asks for more memory than there is.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any


def train(seconds: float) -> dict[str, Any]:
    import torch  # type: ignore[import-not-found, unused-ignore]

    device = torch.device("cuda")
    torch.manual_seed(7)
    inputs = torch.randn(4096, 512, device=device)
    wanted = torch.tanh(inputs @ torch.randn(512, 64, device=device))
    model = torch.nn.Sequential(torch.nn.Linear(512, 2048), torch.nn.ReLU(), torch.nn.Linear(2048, 64)).to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    losses, began = list[float](), time.monotonic()
    while time.monotonic() - began < seconds or len(losses) < 50:
        optimizer.zero_grad()
        loss = torch.nn.functional.mse_loss(model(inputs), wanted)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        if len(losses) % 50 == 0:
            report(len(losses), losses[-1])
    reserved = torch.cuda.max_memory_reserved()
    seen = {"gpus": torch.cuda.device_count(), "name": torch.cuda.get_device_name(), "torch": torch.__version__}
    return {"first": losses[0], "last": losses[-1], "steps": len(losses), "reserved": reserved, **seen}


def report(step: int, loss: float) -> None:
    path = Path(os.environ["TRAINQ_PROGRESS"])
    part = path.with_suffix(".part")
    part.write_text(json.dumps({"step": step, "loss": loss}), encoding="ascii")
    part.replace(path)


def burst() -> None:
    import torch  # type: ignore[import-not-found, unused-ignore]

    torch.empty(2 * torch.cuda.get_device_properties(0).total_memory, dtype=torch.uint8, device="cuda")


if __name__ == "__main__":
    if sys.argv[1:] == ["--all"]:
        burst()
    print(json.dumps(train(float(sys.argv[1]))), flush=True)
