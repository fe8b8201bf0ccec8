"""The commands of `gradsum`, one module a subject."""
