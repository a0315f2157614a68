"""How far a script is, from what it logs: pure, text and time in, the progress map out."""

from trainqueue.scan.pace import Pace
from trainqueue.scan.progress import Told
from trainqueue.scan.recognise import recognise
from trainqueue.scan.scanner import Scanner

__all__ = ["Pace", "Scanner", "Told", "recognise"]
