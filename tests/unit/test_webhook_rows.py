"""What the command line says of webhooks: those that were tried and not taken, and no others."""

from service.job_rendering import undelivered


def test_webhooks_that_were_not_taken_are_shown_with_the_reason() -> None:
    delivered = {"event": "job.failed", "status": "delivered", "error": None}
    untried = {"event": "job.failed", "status": "pending", "error": None}
    refused = {"event": "job.failed", "status": "pending", "error": "Its receiver answers 500."}
    given_up = {"event": "firing.held", "status": "given_up", "error": "Its receiver answers 302."}
    assert undelivered([delivered, untried, refused, given_up]) == [
        ("webhook", "job.failed is not delivered yet: Its receiver answers 500."),
        ("webhook", "firing.held was given up: Its receiver answers 302."),
    ]
