"""Predictions on files of any size: rows in, through the API in parts, answers out; for the command line."""
