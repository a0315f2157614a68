"""`python -m trainqueue.cli`, for a checkout."""

from trainqueue.cli import main

main()
