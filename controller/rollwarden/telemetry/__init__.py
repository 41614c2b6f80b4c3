"""What the operator says about itself: structured logs and metrics. No series per object."""
