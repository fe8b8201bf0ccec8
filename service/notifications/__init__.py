"""Webhooks: what is written to the record about them is sent from here, signed, again and again, in nobody's way."""
