"""Data that is not uploaded but fetched from a URI: registered by the API, fetched by a child of the dispatcher."""
