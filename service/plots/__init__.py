"""Pictures of a job for MLflow. Drawn on matplotlib's own canvas for files: no window, no state that is shared."""
