"""The job service around the training engine: API, database, dispatcher, tracker, command line."""
