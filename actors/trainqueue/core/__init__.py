"""The pure heart of trainq: events in, effects out; no thread, clock, socket or file."""
