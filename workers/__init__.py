"""The training engine: networks, gradients, optimizers and the Ray actors that run them. No HTTP, no SQL, no MLflow."""
