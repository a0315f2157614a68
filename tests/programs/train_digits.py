"""A training run as a user would write it: scikit-learn's digits, some epochs, progress told in one line."""

from __future__ import annotations

import argparse
import time

from sklearn.datasets import load_digits
from sklearn.linear_model import SGDClassifier
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split

from trainqueue import report


def main() -> None:
    parser = argparse.ArgumentParser(description="Train a classifier on the digits data set.")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--lr", type=float, default=0.01)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--crash-in-epoch", type=int, default=0, help="to see what a crash looks like")
    options = parser.parse_args()

    images, digits = load_digits(return_X_y=True)
    train_x, test_x, train_y, test_y = train_test_split(
        images / 16.0, digits, test_size=0.25, random_state=options.seed
    )
    model = SGDClassifier(loss="log_loss", learning_rate="constant", eta0=options.lr, random_state=options.seed)
    accuracy = 0.0
    for epoch in range(1, options.epochs + 1):
        if epoch == options.crash_in_epoch:
            message = f"the loss became NaN in epoch {epoch}"
            raise FloatingPointError(message)
        model.partial_fit(train_x, train_y, classes=range(10))
        loss = log_loss(test_y, model.predict_proba(test_x))
        accuracy = model.score(test_x, test_y)
        print(f"epoch {epoch}/{options.epochs} loss={loss:.4f} accuracy={accuracy:.4f}")
        report(step=epoch, total=options.epochs, loss=loss, accuracy=accuracy)
        time.sleep(0.1)  # a real epoch takes a while; this one lets you see the bar
    print(f"accuracy={accuracy:.4f}")


if __name__ == "__main__":
    main()
