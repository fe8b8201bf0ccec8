"""The record: every row that Gradsum keeps, in SQLite or PostgreSQL. The only place that speaks SQL.

Functions take the connection of a transaction (`Database.read()` or `Database.write()`), so that a caller
can make several changes in one; rows come back as frozen dataclasses.
"""
